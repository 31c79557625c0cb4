//! The player of replies: queues, pauses, resumes and flushes them, and counts the samples played.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tertulia::audio::{self, Resampler};
use tertulia::{Result, TurnId};

/// A queue of replies, rendered block by block at the device's rate.
pub(crate) struct Player {
    rate: u32,
    paused: bool,
    replies: VecDeque<Reply>,
}

/// One turn's reply, as far as it has been received.
struct Reply {
    turn: TurnId,
    /// Its own rate, at which `played` counts.
    rate: u32,
    resampler: Resampler,
    given: u64,
    /// Samples at its own rate that were played before `samples`, which are at the device's.
    before: u64,
    samples: Vec<f32>,
    at: usize,
    /// No more will come.
    complete: bool,
}

impl Player {
    /// A player for a device that takes `rate` samples a second.
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate, paused: false, replies: VecDeque::new() }
    }

    /// Continues at another rate, for another device.
    pub(crate) fn set_rate(&mut self, rate: u32) -> Result<()> {
        let old = std::mem::replace(&mut self.rate, rate);
        for reply in self.replies.iter_mut().filter(|_| old != rate) {
            reply.before += reply.at as u64 * u64::from(reply.rate) / u64::from(old);
            reply.samples = audio::resample(&reply.samples[reply.at..], old, rate)?;
            reply.at = 0;
            reply.resampler = Resampler::new(reply.rate, rate)?;
        }
        Ok(())
    }

    /// Appends audio of a turn's reply.
    pub(crate) fn push(&mut self, turn: TurnId, pcm: &[f32], rate: u32) -> Result<()> {
        if self.replies.back().is_none_or(|reply| reply.turn != turn) {
            let resampler = Resampler::new(rate, self.rate)?;
            let (given, before, samples, at) = (0, 0, Vec::new(), 0);
            self.replies.push_back(Reply { turn, rate, resampler, given, before, samples, at, complete: false });
        }
        if let Some(reply) = self.replies.back_mut() {
            reply.given += pcm.len() as u64;
            reply.resampler.push(pcm, &mut reply.samples);
        }
        Ok(())
    }

    /// Marks the turn's reply as complete.
    pub(crate) fn complete(&mut self, turn: TurnId) {
        if let Some(reply) = self.replies.iter_mut().find(|reply| reply.turn == turn && !reply.complete) {
            reply.resampler.finish(&mut reply.samples);
            reply.complete = true;
        }
    }

    /// Pauses or resumes the playback.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Drops all audio that was not played; the result is that of [`played`](Self::played).
    pub(crate) fn flush(&mut self) -> Option<(TurnId, u64)> {
        let played = self.played();
        self.replies.clear();
        self.paused = false;
        played
    }

    /// Fills a block with audio that is due, then with silence. Does not allocate.
    pub(crate) fn render(&mut self, mut block: &mut [f32]) {
        while let Some(reply) = self.replies.front_mut().filter(|_| !self.paused && !block.is_empty()) {
            let len = (reply.samples.len() - reply.at).min(block.len());
            let (now, later) = block.split_at_mut(len);
            now.copy_from_slice(&reply.samples[reply.at..reply.at + len]);
            reply.at += len;
            block = later;
            if !(reply.is_over() && self.replies.len() > 1) {
                break;
            }
            self.replies.pop_front();
        }
        block.fill(0.0);
    }

    /// The reply that is playing, and the number of its samples played, at its own rate.
    pub(crate) fn played(&self) -> Option<(TurnId, u64)> {
        let reply = self.replies.front()?;
        let played = match reply.is_over() {
            true => reply.given,
            false => reply.before + reply.at as u64 * u64::from(reply.rate) / u64::from(self.rate),
        };
        Some((reply.turn, played))
    }
}

impl Reply {
    fn is_over(&self) -> bool {
        self.complete && self.at == self.samples.len()
    }
}

/// Locks a player; it is consistent between any two calls, even after a panic of another thread.
pub(crate) fn lock(player: &Mutex<Player>) -> MutexGuard<'_, Player> {
    player.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: TurnId = TurnId(1);

    fn rendered(player: &mut Player, len: usize) -> Vec<f32> {
        let mut block = vec![9.0; len];
        player.render(&mut block);
        block
    }

    #[test]
    fn played_samples_count_at_the_replys_rate() {
        let mut player = Player::new(48_000);
        player.push(TURN, &[0.5; 24_000], 24_000).unwrap();
        rendered(&mut player, 4_800);
        assert_eq!(player.played(), Some((TURN, 2_400)));
        player.complete(TURN);
        let rest = rendered(&mut player, 48_000);
        assert_eq!(player.played(), Some((TURN, 24_000)));
        assert_eq!(rest[43_200..], [0.0; 4_800], "silence after the end");
    }

    #[test]
    fn rate_change_keeps_the_played_position() {
        let mut player = Player::new(24_000);
        player.push(TURN, &[0.5; 24_000], 24_000).unwrap();
        player.complete(TURN);
        rendered(&mut player, 12_000);
        player.set_rate(48_000).unwrap();
        assert_eq!(player.played(), Some((TURN, 12_000)));
        rendered(&mut player, 12_000);
        assert_eq!(player.played(), Some((TURN, 18_000)));
        assert_eq!(rendered(&mut player, 24_000)[12_000..], [0.0; 12_000]);
        assert_eq!(player.played(), Some((TURN, 24_000)));
    }

    #[test]
    fn pause_keeps_and_flush_drops_unplayed_audio() {
        let mut player = Player::new(24_000);
        let ramp: Vec<f32> = (0..1_000).map(|at| at as f32 / 1_000.0).collect();
        player.push(TURN, &ramp, 24_000).unwrap();
        assert_eq!(rendered(&mut player, 100), ramp[..100]);
        player.pause(true);
        assert_eq!(rendered(&mut player, 100), [0.0; 100]);
        player.pause(false);
        assert_eq!(rendered(&mut player, 100), ramp[100..200]);
        assert_eq!(player.flush(), Some((TURN, 200)));
        assert_eq!(rendered(&mut player, 100), [0.0; 100]);
        assert_eq!(player.played(), None);
    }

    #[test]
    fn replies_are_queued_and_a_late_chunk_is_awaited() {
        let mut player = Player::new(24_000);
        player.push(TURN, &[0.1; 100], 24_000).unwrap();
        assert_eq!(rendered(&mut player, 200)[100..], [0.0; 100]);
        player.push(TURN, &[0.2; 100], 24_000).unwrap();
        player.complete(TURN);
        player.push(TurnId(2), &[0.3; 100], 24_000).unwrap();
        let block = rendered(&mut player, 150);
        assert_eq!((block[99], block[100]), (0.2, 0.3));
        assert_eq!(player.played(), Some((TurnId(2), 50)));
    }
}
