//! Takes the speaker's sound out of the microphone's: WebRTC's third echo canceller (the Rust port `sonora-aec3`), which
//! finds the echo's delay and path by itself and follows them.

use crate::backend::LISTEN_RATE_HZ;
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::config::EchoCanceller3Config;
use std::collections::VecDeque;

/// Samples that the canceller works on at a time: 4 ms.
const BLOCK_LEN: usize = 64;

/// Its samples are as large as 16-bit integers.
const SCALE: f32 = 32_768.0;

/// A microphone that is so loud is taken to be clipped.
const CLIPPED: f32 = 0.998;

/// What was played and not heard at most: more comes where the microphone is off.
const AHEAD_MAX: usize = LISTEN_RATE_HZ as usize / 2;

/// So much of it is held back, for a microphone that is ahead now and then: 25 ms, less than any echo takes.
const AHEAD_KEPT: usize = LISTEN_RATE_HZ as usize / 40;

/// The playback that is ahead is measured over so many blocks: 10 s, in which the unevenness of callbacks averages out.
const WATCH_BLOCKS: u32 = 2_500;

/// The speaker's and the microphone's clock differ by less.
const DRIFT_MAX: f64 = 500e-6;

/// Until it has heard so many blocks of playback that sound (2 s), the canceller does not know where the echo comes from.
const LEARNING_BLOCKS: u32 = 500;

/// For so many blocks after a sound was played its echo may come: half a second.
const ECHO_BLOCKS_MAX: u32 = 125;

/// What is softer does not sound: -60 dB.
const SOUNDS: f32 = 0.001;

/// Cancels echo, at [`LISTEN_RATE_HZ`].
///
/// One block of playback goes with each block that is heard: a late one is taken for silence, so that a host need not
/// tell of the silence between replies. Where it does, the difference between the clocks of the speaker and the microphone
/// is measured by how much the playback is ahead, and taken out: else the echo moves on during each silence, and the
/// canceller finds it elsewhere when the next reply begins.
///
/// Nothing is let through while the first two seconds are played, in which the canceller learns.
pub(crate) struct EchoCanceller {
    processor: BlockProcessor,
    /// The last sample that was taken, and those that were not.
    played: VecDeque<f32>,
    /// Where between the first two of them the next block begins.
    phase: f64,
    heard: VecDeque<f32>,
    block: Block,
    clock: ClockWatch,
    /// Blocks that sounded, and blocks since the last of them.
    sounded: u32,
    silent_for: u32,
}

impl EchoCanceller {
    pub(crate) fn new() -> Self {
        Self {
            processor: BlockProcessor::new(&EchoCanceller3Config::default(), LISTEN_RATE_HZ as usize, 1, 1),
            played: vec![0.0; AHEAD_KEPT].into(),
            phase: 0.0,
            heard: VecDeque::new(),
            block: Block::new(1, 1),
            clock: ClockWatch::default(),
            sounded: 0,
            silent_for: ECHO_BLOCKS_MAX,
        }
    }

    /// Takes what the speaker plays.
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
        self.heard.clear();
        self.clock.restart();
    }

    /// Takes what the microphone heard, and appends to `out` what is ready of it without echo: up to a block less. Where
    /// it `mutes`, nothing passes while it learns.
    pub(crate) fn process(&mut self, samples: &[f32], mutes: bool, out: &mut Vec<f32>) {
        self.heard.extend(samples);
        while self.heard.len() >= BLOCK_LEN {
            self.take_played();
            let sounds = self.block.view(0, 0).iter().any(|sample| sample.abs() > SOUNDS * SCALE);
            self.silent_for = if sounds { 0 } else { self.silent_for.saturating_add(1) };
            self.sounded = self.sounded.saturating_add(u32::from(sounds));
            let learns = mutes && self.sounded < LEARNING_BLOCKS && self.silent_for < ECHO_BLOCKS_MAX;
            self.processor.buffer_render(&self.block);
            let mut is_clipped = false;
            for (to, from) in self.block.view_mut(0, 0).iter_mut().zip(self.heard.drain(..BLOCK_LEN)) {
                is_clipped |= from.abs() >= CLIPPED;
                *to = from * SCALE;
            }
            self.processor.process_capture(false, is_clipped, None, &mut self.block);
            let gain = if learns { 0.0 } else { 1.0 / SCALE };
            out.extend(self.block.view(0, 0).iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)));
        }
    }

    /// Puts a block of playback into `block`, at the microphone's pace (Catmull-Rom between the samples).
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

/// Measures how much faster the speaker's clock is than the microphone's.
#[derive(Default)]
struct ClockWatch {
    /// Samples of playback per sample heard, less one.
    drift: f64,
    ahead_sum: f64,
    ahead_least: f64,
    blocks: u32,
    /// What was ahead in the mean of the blocks before those.
    before: Option<f64>,
}

impl ClockWatch {
    /// Forgets what was measured, but not what came of it: samples were left out.
    fn restart(&mut self) {
        *self = Self { drift: self.drift, ..Self::default() };
    }

    /// Takes how much is ahead; gives how much of it is to be dropped, as it always is: the microphone was off.
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

    /// Something as wide and as uneven as speech.
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

    /// What is left of `heard` where `played` was told in blocks of 10 ms.
    fn cancelled(played: &[f32], heard: &[f32]) -> Vec<f32> {
        let mut canceller = EchoCanceller::new();
        let mut out = Vec::new();
        for (played, heard) in played.chunks(160).zip(heard.chunks(160)) {
            canceller.push_playback(played);
            canceller.process(heard, true, &mut out);
        }
        out
    }

    fn echo(played: &[f32], delay: usize, gain: f32) -> Vec<f32> {
        let later = played.iter().map(|sample| sample * gain);
        std::iter::repeat_n(0.0, delay).chain(later).take(played.len()).collect()
    }

    #[test]
    fn an_echo_is_taken_out_whatever_its_delay() {
        let played = voice(16_000 * 6, 1);
        for delay_ms in [40, 180, 400] {
            let heard = echo(&played, delay_ms * 16, 0.4);
            let rest = cancelled(&played, &heard);
            let after_s = 16_000 * 3;
            let (before, after) = (level_db(&heard[after_s..]), level_db(&rest[after_s..]));
            assert!(after < before - 20.0, "{delay_ms} ms: {before:.1} dB became {after:.1} dB");
        }
    }

    #[test]
    fn somebody_who_speaks_while_nothing_is_played_is_left_alone() {
        let speech = voice(16_000 * 4, 2);
        let rest = cancelled(&vec![0.0; speech.len()], &speech);
        let (before, after) = (level_db(&speech[16_000..]), level_db(&rest[16_000..]));
        assert!((before - after).abs() < 1.0, "{before:.1} dB became {after:.1} dB");
    }

    #[test]
    fn nothing_of_an_echo_comes_through_while_the_canceller_learns() {
        let played = voice(16_000 * 2, 5);
        let rest = cancelled(&played, &echo(&played, 1_600, 0.5));
        assert!(rest[..16_000 * 3 / 2].iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn the_silence_between_replies_need_not_be_told() {
        let mut canceller = EchoCanceller::new();
        let mut out = Vec::new();
        let played = voice(16_000 * 3, 3);
        let echo = echo(&played, 1_600, 0.4);
        for _ in 0..3 {
            out.clear();
            for (played, heard) in played.chunks(160).zip(echo.chunks(160)) {
                canceller.push_playback(played);
                canceller.process(heard, true, &mut out);
            }
            canceller.process(&vec![0.0; 16_000 * 2], true, &mut Vec::new());
        }
        let rest = &out[16_000..];
        assert!(level_db(rest) < level_db(&echo[16_000..]) - 20.0, "{:.1} dB", level_db(rest));
    }

    #[test]
    fn playback_while_the_microphone_is_off_does_not_pile_up() {
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
    fn clocks_that_differ_are_brought_together() {
        for drift in [100e-6, -100e-6] {
            let mut canceller = EchoCanceller::new();
            let (mut heard, mut out) = (0.0f64, Vec::new());
            for block in 1..=9_000 {
                canceller.push_playback(&[0.0; 160]);
                let len = (f64::from(block) * 160.0 / (1.0 + drift) - heard) as usize;
                heard += len as f64;
                canceller.process(&vec![0.0; len], true, &mut out);
            }
            let found = canceller.clock.drift;
            assert!((found - drift).abs() < 25e-6, "{drift} was taken for {found}");
        }
    }
}
