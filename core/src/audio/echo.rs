//! Acoustic echo cancellation: WebRTC's AEC3 (the Rust port `sonora-aec3`), which estimates the echo's delay and path and
//! tracks them, with compensation of clock drift.

use crate::backend::LISTEN_RATE_HZ;
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::config::EchoCanceller3Config;
use std::collections::VecDeque;

/// Samples of one block of the canceller: 4 ms.
const BLOCK_LEN: usize = 64;

/// The full scale of its samples.
const SCALE: f32 = 32_768.0;

/// The level from which a captured sample counts as clipped.
const CLIPPED: f32 = 0.998;

/// The most playback that is queued ahead of the capture; more arrives only while the microphone is off.
const AHEAD_MAX: usize = LISTEN_RATE_HZ as usize / 2;

/// The playback held back for capture blocks that arrive early: 25 ms, less than any echo delay.
const AHEAD_KEPT: usize = LISTEN_RATE_HZ as usize / 40;

/// The blocks over which the lead of the playback is averaged: 10 s, in which callback jitter averages out.
const WATCH_BLOCKS: u32 = 2_500;

/// The largest drift between the clocks of speaker and microphone.
const DRIFT_MAX: f64 = 500e-6;

/// Audible blocks of playback until the canceller has converged: 2 s.
const LEARNING_BLOCKS: u32 = 500;

/// The longest echo tail, in blocks: half a second.
const ECHO_BLOCKS_MAX: u32 = 125;

/// The level below which playback is inaudible: -60 dB.
const SOUNDS: f32 = 0.001;

/// The echo canceller, at [`LISTEN_RATE_HZ`].
///
/// Each captured block is paired with one block of playback; a missing one counts as silence, so that a host need not push
/// the silence between replies. If it does, the drift between the clocks of speaker and microphone is estimated from the
/// lead of the playback and compensated: otherwise the echo delay would shift during each silence.
///
/// Where it mutes, the output is silent until two seconds of playback have let the canceller converge.
pub(crate) struct EchoCanceller {
    processor: BlockProcessor,
    /// The last sample that was used, then those that were not.
    played: VecDeque<f32>,
    /// The position between the first two of them at which the next block begins.
    phase: f64,
    captured: VecDeque<f32>,
    block: Block,
    clock: ClockWatch,
    /// Audible blocks of playback, and blocks since the last of them.
    sounded: u32,
    silent_for: u32,
}

impl EchoCanceller {
    pub(crate) fn new() -> Self {
        Self {
            processor: BlockProcessor::new(&EchoCanceller3Config::default(), LISTEN_RATE_HZ as usize, 1, 1),
            played: vec![0.0; AHEAD_KEPT].into(),
            phase: 0.0,
            captured: VecDeque::new(),
            block: Block::new(1, 1),
            clock: ClockWatch::default(),
            sounded: 0,
            silent_for: ECHO_BLOCKS_MAX,
        }
    }

    /// Queues playback.
    pub(crate) fn push_playback(&mut self, samples: &[f32]) {
        self.played.extend(samples);
        let surplus = self.played.len().saturating_sub(AHEAD_MAX);
        if surplus > 0 {
            self.played.drain(..surplus);
            self.clock.restart();
        }
    }

    /// Drops playback from before the microphone was switched on, of which no echo can follow.
    pub(crate) fn skip_playback(&mut self) {
        self.played.drain(..self.played.len().saturating_sub(AHEAD_KEPT));
        (self.phase, self.silent_for) = (0.0, ECHO_BLOCKS_MAX);
        self.captured.clear();
        self.clock.restart();
    }

    /// Appends the captured samples without echo to `out`, in whole blocks. With `mutes` they are silence until the
    /// canceller has converged.
    pub(crate) fn process(&mut self, samples: &[f32], mutes: bool, out: &mut Vec<f32>) {
        self.captured.extend(samples);
        while self.captured.len() >= BLOCK_LEN {
            self.take_played();
            let sounds = self.block.view(0, 0).iter().any(|sample| sample.abs() > SOUNDS * SCALE);
            self.silent_for = if sounds { 0 } else { self.silent_for.saturating_add(1) };
            self.sounded = self.sounded.saturating_add(u32::from(sounds));
            let learns = mutes && self.sounded < LEARNING_BLOCKS && self.silent_for < ECHO_BLOCKS_MAX;
            self.processor.buffer_render(&self.block);
            let mut is_clipped = false;
            for (to, from) in self.block.view_mut(0, 0).iter_mut().zip(self.captured.drain(..BLOCK_LEN)) {
                is_clipped |= from.abs() >= CLIPPED;
                *to = from * SCALE;
            }
            self.processor.process_capture(false, is_clipped, None, &mut self.block);
            let gain = if learns { 0.0 } else { 1.0 / SCALE };
            out.extend(self.block.view(0, 0).iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)));
        }
    }

    /// Fills `block` with playback resampled to the microphone's clock (Catmull-Rom).
    fn take_played(&mut self) {
        let step = 1.0 + self.clock.drift;
        let needed = (self.phase + step * BLOCK_LEN as f64) as usize + 4;
        let block = self.block.view_mut(0, 0);
        if self.played.len() < needed {
            block.fill(0.0);
            self.clock.restart();
            return;
        }
        let surplus = self.clock.watch(self.played.len() as f64 - self.phase);
        self.played.drain(..surplus.min(self.played.len() - needed));
        for sample in block.iter_mut() {
            let (at, t) = (self.phase as usize, self.phase.fract() as f32);
            let [a, b, c, d] = [0, 1, 2, 3].map(|offset| self.played[at + offset]);
            let between = b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)));
            *sample = between * SCALE;
            self.phase += step;
        }
        self.played.drain(..self.phase as usize);
        self.phase = self.phase.fract();
    }
}

/// Estimates the drift of the speaker's clock against the microphone's.
#[derive(Default)]
struct ClockWatch {
    /// Samples of playback per captured sample, minus one.
    drift: f64,
    ahead_sum: f64,
    ahead_least: f64,
    blocks: u32,
    /// The mean lead over the blocks before those.
    before: Option<f64>,
}

impl ClockWatch {
    /// Restarts the measurement after samples were dropped; the estimate stays.
    fn restart(&mut self) {
        *self = Self { drift: self.drift, ..Self::default() };
    }

    /// Adds a measured lead; returns the samples to drop where the lead is permanent because the microphone was off.
    fn watch(&mut self, ahead: f64) -> usize {
        self.ahead_least = if self.blocks == 0 { ahead } else { self.ahead_least.min(ahead) };
        self.ahead_sum += ahead;
        self.blocks += 1;
        if self.blocks < WATCH_BLOCKS {
            return 0;
        }
        let mean = self.ahead_sum / f64::from(self.blocks);
        if let Some(before) = self.before {
            let grows = (mean - before) / f64::from(self.blocks * BLOCK_LEN as u32);
            self.drift = (self.drift + grows / 2.0).clamp(-DRIFT_MAX, DRIFT_MAX);
        }
        let least = self.ahead_least;
        (self.ahead_sum, self.blocks, self.before) = (0.0, 0, Some(mean));
        if least > 4.0 * AHEAD_KEPT as f64 {
            self.restart();
            return least as usize - AHEAD_KEPT;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal with the bandwidth and modulation of speech.
    fn voice(len: usize, mut seed: u32) -> Vec<f32> {
        let mut low = 0.0;
        (0..len)
            .map(|at| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (seed >> 8) as f32 / (1 << 23) as f32 - 1.0;
                low += 0.4 * (noise - low);
                // Syllables.
                low * (0.55 + 0.45 * (at as f32 / 1_300.0).sin()) * 0.5
            })
            .collect()
    }

    fn level_db(samples: &[f32]) -> f32 {
        10.0 * (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32 + 1e-12).log10()
    }

    /// The output for `captured`, with `played` pushed in blocks of 10 ms.
    fn cancelled(played: &[f32], captured: &[f32]) -> Vec<f32> {
        let mut canceller = EchoCanceller::new();
        let mut out = Vec::new();
        for (played, captured) in played.chunks(160).zip(captured.chunks(160)) {
            canceller.push_playback(played);
            canceller.process(captured, true, &mut out);
        }
        out
    }

    fn echo(played: &[f32], delay: usize, gain: f32) -> Vec<f32> {
        let later = played.iter().map(|sample| sample * gain);
        std::iter::repeat_n(0.0, delay).chain(later).take(played.len()).collect()
    }

    #[test]
    fn echo_is_cancelled_at_any_delay() {
        let played = voice(16_000 * 6, 1);
        for delay_ms in [40, 180, 400] {
            let captured = echo(&played, delay_ms * 16, 0.4);
            let rest = cancelled(&played, &captured);
            let after_s = 16_000 * 3;
            let (before, after) = (level_db(&captured[after_s..]), level_db(&rest[after_s..]));
            assert!(after < before - 20.0, "{delay_ms} ms: {before:.1} dB became {after:.1} dB");
        }
    }

    #[test]
    fn near_end_speech_without_playback_passes_unchanged() {
        let speech = voice(16_000 * 4, 2);
        let rest = cancelled(&vec![0.0; speech.len()], &speech);
        let (before, after) = (level_db(&speech[16_000..]), level_db(&rest[16_000..]));
        assert!((before - after).abs() < 1.0, "{before:.1} dB became {after:.1} dB");
    }

    #[test]
    fn output_is_silent_until_the_canceller_converges() {
        let played = voice(16_000 * 2, 5);
        let rest = cancelled(&played, &echo(&played, 1_600, 0.5));
        assert!(rest[..16_000 * 3 / 2].iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn silence_between_replies_need_not_be_pushed() {
        let mut canceller = EchoCanceller::new();
        let mut out = Vec::new();
        let played = voice(16_000 * 3, 3);
        let echo = echo(&played, 1_600, 0.4);
        for _ in 0..3 {
            out.clear();
            for (played, captured) in played.chunks(160).zip(echo.chunks(160)) {
                canceller.push_playback(played);
                canceller.process(captured, true, &mut out);
            }
            canceller.process(&vec![0.0; 16_000 * 2], true, &mut Vec::new());
        }
        let rest = &out[16_000..];
        assert!(level_db(rest) < level_db(&echo[16_000..]) - 20.0, "{:.1} dB", level_db(rest));
    }

    #[test]
    fn playback_queue_is_bounded_while_the_microphone_is_off() {
        let mut canceller = EchoCanceller::new();
        for _ in 0..100 {
            canceller.push_playback(&[0.1; 16_000]);
        }
        assert_eq!(canceller.played.len(), AHEAD_MAX);
        let mut out = Vec::new();
        for _ in 0..1_100 {
            canceller.push_playback(&[0.1; 160]);
            canceller.process(&[0.0; 160], true, &mut out);
        }
        assert!(canceller.played.len() <= AHEAD_KEPT + 320, "{} samples ahead", canceller.played.len());
    }

    #[test]
    fn clock_drift_is_compensated() {
        for drift in [100e-6, -100e-6] {
            let mut canceller = EchoCanceller::new();
            let (mut captured, mut out) = (0.0f64, Vec::new());
            for block in 1..=9_000 {
                canceller.push_playback(&[0.0; 160]);
                let len = (f64::from(block) * 160.0 / (1.0 + drift) - captured) as usize;
                captured += len as f64;
                canceller.process(&vec![0.0; len], true, &mut out);
            }
            let found = canceller.clock.drift;
            assert!((found - drift).abs() < 25e-6, "drift {drift} was estimated as {found}");
        }
    }
}
