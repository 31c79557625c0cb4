//! The speaker's side: plays replies, holds, goes on, throws away, and knows what was played.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tertulia::audio::{self, Resampler};
use tertulia::{Result, TurnId};

/// Plays replies one after the other, at the rate of a device that asks for its sound block by block.
pub(crate) struct Player {
    rate: u32,
    paused: bool,
    replies: VecDeque<Reply>,
}

/// One turn's reply, as far as it has come.
struct Reply {
    turn: TurnId,
    /// Its own rate, at which `played` counts, and its sound so far at the device's.
    rate: u32,
    resampler: Resampler,
    given: u64,
    /// Samples, at its own rate, that were played before those.
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

    /// Goes on at another rate, where the device was changed for another.
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

    /// Adds sound of a turn's reply.
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

    /// No more sound of the turn's reply will come.
    pub(crate) fn complete(&mut self, turn: TurnId) {
        if let Some(reply) = self.replies.iter_mut().find(|reply| reply.turn == turn && !reply.complete) {
            reply.resampler.finish(&mut reply.samples);
            reply.complete = true;
        }
    }

    /// Holds the playback, or goes on.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Throws away what was not played; gives what was, as [`played`](Self::played) does.
    pub(crate) fn flush(&mut self) -> Option<(TurnId, u64)> {
        let played = self.played();
        self.replies.clear();
        self.paused = false;
        played
    }

    /// Fills a block with the sound that is due: silence where there is none. Allocates nothing.
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

    /// The reply that is being played, and how many of its samples were, at its own rate.
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

/// A player is whole between any two of its calls, whatever became of the thread that made the last.
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
    fn what_was_played_is_counted_at_the_replys_rate() {
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
    fn another_device_goes_on_where_the_last_one_was() {
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
    fn a_pause_loses_nothing_and_a_flush_all_that_is_left() {
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
    fn replies_follow_each_other_and_a_late_chunk_is_waited_for() {
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
