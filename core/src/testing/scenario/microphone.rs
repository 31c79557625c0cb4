//! The microphone of a scenario: its spans as blocks of samples.

use super::Span;
use crate::testing::scripted::{NOISE_LEVEL, SPEECH_LEVEL, sound};

/// The microphone gives a block so often.
const BLOCK_MS: u64 = 32;

/// A block of the microphone: when it comes, and what it is.
pub(super) type Block = (u64, Sound);

/// Samples, one of each channel after the other.
pub(super) struct Sound {
    pub(super) rate: u32,
    pub(super) channels: usize,
    pub(super) samples: Vec<f32>,
}

/// The blocks that the microphone gives, each when it is complete; none for nothing.
pub(super) fn blocks(spans: &[Span]) -> Vec<Block> {
    let (mut blocks, mut at_ms, mut rate, mut channels) = (Vec::new(), 0, 16_000, 1);
    for span in spans {
        let (level, ms) = match *span {
            Span::RateHz(next) => {
                rate = next;
                continue;
            }
            Span::Channels(next) => {
                channels = next;
                continue;
            }
            Span::NothingMs(ms) => {
                at_ms += ms;
                continue;
            }
            Span::SpeechMs(ms) => (SPEECH_LEVEL, ms),
            Span::NoiseMs(ms) => (NOISE_LEVEL, ms),
            Span::SilenceMs(ms) => (0.0, ms),
        };
        let end_ms = at_ms + ms;
        while at_ms < end_ms {
            let ms = BLOCK_MS.min(end_ms - at_ms);
            at_ms += ms;
            // The mean of the channels counts.
            let first = sound(level * channels as f32, ms, rate);
            let mut samples = vec![0.0; first.len() * channels];
            samples.iter_mut().step_by(channels).zip(first).for_each(|(to, from)| *to = from);
            blocks.push((at_ms, Sound { rate, channels, samples }));
        }
    }
    blocks
}
