//! Audio input: decoding, resampling, echo cancellation.
//!
//! All samples are mono `f32` between -1 and 1. The engine listens at
//! [`LISTEN_RATE_HZ`](crate::backend::LISTEN_RATE_HZ); [`decode`] and [`Session::push_audio`](crate::Session::push_audio)
//! take any rate from [`RATE_HZ_MIN`] to [`RATE_HZ_MAX`].
//!
//! ```
//! use tertulia::audio;
//! let quiet = vec![0.0; 8_000];
//! let file = audio::write_wav(&quiet, 8_000);
//! let pcm = audio::decode(&file)?;
//! assert_eq!((pcm.samples.len(), pcm.rate), (8_000, 8_000));
//! assert_eq!(audio::resample(&pcm.samples, pcm.rate, 16_000)?.len(), 16_000);
//! # Ok::<(), tertulia::Error>(())
//! ```

mod decode;
mod echo;
mod edit_list;
mod opus;
mod pcm;
mod resample;

pub use decode::{DECODE_SECONDS_MAX, decode, decode_limited};
pub(crate) use echo::EchoCanceller;
pub(crate) use pcm::Sample;
pub use pcm::{Pcm, from_i16, to_i16, write_wav};
pub(crate) use resample::AnyRate;
pub use resample::{Resampler, resample};

use crate::error::{Error, ErrorCode, Result};

/// The lowest sample rate that is taken, in Hz.
pub const RATE_HZ_MIN: u32 = 8_000;

/// The highest sample rate that is taken, in Hz.
pub const RATE_HZ_MAX: u32 = 192_000;

/// The most channels of a file; they are mixed to one.
pub const CHANNELS_MAX: usize = 8;

/// Checks the rate and that every sample is finite.
pub(crate) fn check_samples<S: Sample>(block: &[S], rate: u32) -> Result<()> {
    check_rate(rate)?;
    let invalid = |sample: &S| !sample.value().is_finite();
    // All of them, which the compiler turns into a few wide steps, unlike a search that may end at each.
    if block.iter().filter(|sample| invalid(sample)).count() == 0 {
        return Ok(());
    }
    let index = block.iter().position(invalid).unwrap_or_default();
    Err(Error::new(ErrorCode::AudioInvalidSample, format!("sample {index} of the block is not finite")))
}

/// Checks how many channels a block has, and that it ends with a whole frame.
pub(crate) fn check_frames<S: Sample>(block: &[S], channels: usize) -> Result<()> {
    check_channels(channels)?;
    if !block.len().is_multiple_of(channels) {
        let detail = format!("{} samples are not whole frames of {channels} channels", block.len());
        return Err(Error::new(ErrorCode::AudioInvalidSample, detail));
    }
    Ok(())
}

fn check_channels(channels: usize) -> Result<()> {
    if (1..=CHANNELS_MAX).contains(&channels) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::AudioInvalidRate, format!("{channels} channels; 1 to {CHANNELS_MAX}")))
}

/// Appends the mean of each frame's channels.
pub(crate) fn push_mono<S: Sample>(interleaved: &[S], channels: usize, mono: &mut Vec<f32>) {
    if channels == 1 {
        return mono.extend(interleaved.iter().map(Sample::value));
    }
    let share = 1.0 / channels as f32;
    let mean = |frame: &[S]| frame.iter().map(Sample::value).sum::<f32>() * share;
    mono.extend(interleaved.chunks_exact(channels).map(mean));
}

fn check_rate(rate: u32) -> Result<()> {
    if (RATE_HZ_MIN..=RATE_HZ_MAX).contains(&rate) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::AudioInvalidRate, format!("{rate} Hz is outside {RATE_HZ_MIN} to {RATE_HZ_MAX}")))
}
