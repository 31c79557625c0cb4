//! Samples, and their two plain outside forms: 16-bit integers and WAV.

use crate::wav::{WAV_HEADER_LEN, wav_header};

/// Decoded sound.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Pcm {
    /// Mono samples between -1 and 1.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub rate: u32,
}

impl Pcm {
    /// How long it lasts, in ms.
    pub fn duration_ms(&self) -> u64 {
        if self.rate == 0 { 0 } else { self.samples.len() as u64 * 1000 / u64::from(self.rate) }
    }
}

/// Rounds to 16 bits; what is outside -1 to 1 is clamped, NaN becomes 0.
pub fn to_i16(samples: &[f32]) -> Vec<i16> {
    // Half a step away from zero and then cut off: a call to round each would take most of the time.
    let round = |scaled: f32| (scaled + 0.5_f32.copysign(scaled)) as i16;
    samples.iter().map(|sample| round(sample * 32_768.0)).collect()
}

/// 16-bit samples as floats, -1 to just under 1.
pub fn from_i16(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(Sample::value).collect()
}

/// A sample that a microphone gives.
pub(crate) trait Sample {
    /// Its value, from -1 to 1.
    fn value(&self) -> f32;
}

impl Sample for f32 {
    fn value(&self) -> f32 {
        *self
    }
}

impl Sample for i16 {
    fn value(&self) -> f32 {
        f32::from(*self) / 32_768.0
    }
}

/// A WAV file of 16-bit mono samples. The format's sizes are 32 bits wide: what lies beyond 4 GiB is left out.
pub fn write_wav(samples: &[f32], rate: u32) -> Vec<u8> {
    let samples = &samples[..samples.len().min((u32::MAX as usize - WAV_HEADER_LEN) / 2)];
    let mut file = Vec::with_capacity(WAV_HEADER_LEN + samples.len() * 2);
    file.extend_from_slice(&wav_header(rate, samples.len() as u64));
    for sample in to_i16(samples) {
        file.extend_from_slice(&sample.to_le_bytes());
    }
    file
}
