//! The bounded collector behind `push_audio`.

use super::{AnyRate, check_frames, check_samples, mono};
use crate::backend::LISTEN_RATE_HZ;
use crate::error::{Error, ErrorCode, Result};

/// The longest utterance, in seconds, where nothing else is set.
pub const UTTERANCE_SECONDS_MAX: u32 = 120;

/// Collects blocks of samples into one utterance at [`LISTEN_RATE_HZ`].
///
/// Blocks may have any size, and the rate may change between them.
///
/// ```
/// use tertulia::audio::UtteranceBuffer;
/// let mut buffer = UtteranceBuffer::default();
/// buffer.push(&[0.0; 480], 48_000)?;
/// buffer.push(&[0.0; 441], 44_100)?;
/// assert_eq!(buffer.take().len(), 320);
/// assert!(buffer.is_empty());
/// # Ok::<(), tertulia::Error>(())
/// ```
pub struct UtteranceBuffer {
    samples: Vec<f32>,
    samples_max: usize,
    any_rate: AnyRate,
    /// Clamped input on its way into the resampler.
    scratch: Vec<f32>,
}

impl Default for UtteranceBuffer {
    fn default() -> Self {
        Self::new(UTTERANCE_SECONDS_MAX)
    }
}

impl UtteranceBuffer {
    /// An empty buffer that holds up to `seconds_max`. Memory grows with what is pushed.
    pub fn new(seconds_max: u32) -> Self {
        Self {
            samples: Vec::new(),
            samples_max: seconds_max as usize * LISTEN_RATE_HZ as usize,
            any_rate: AnyRate::default(),
            scratch: Vec::new(),
        }
    }

    /// Takes one block: mono, at `rate` samples a second. Samples outside -1 to 1 are clamped.
    ///
    /// # Errors
    /// Nothing of the block is kept after [`ErrorCode::AudioInvalidRate`] (a rate outside 8,000 to 192,000 Hz) or
    /// [`ErrorCode::AudioInvalidSample`] (a sample that is not finite). After [`ErrorCode::AudioOverrun`] the buffer
    /// is full: it keeps what it had and as much of the block as there was room for.
    pub fn push(&mut self, block: &[f32], rate: u32) -> Result<()> {
        self.push_interleaved(block, 1, rate)
    }

    /// Takes one block of up to eight channels, frame by frame, as [`push`](Self::push) takes one of one: their mean counts.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`ErrorCode::AudioInvalidRate`] for another number of channels,
    /// [`ErrorCode::AudioInvalidSample`] where the last frame is not whole.
    pub fn push_interleaved(&mut self, block: &[f32], channels: usize, rate: u32) -> Result<()> {
        check_samples(block, rate)?;
        check_frames(block, channels)?;
        if block.is_empty() {
            return Ok(());
        }
        // A second at a time, so that a block of hours needs no more memory than the buffer may hold.
        for run in block.chunks(rate as usize * channels) {
            if self.samples.len() >= self.samples_max {
                return Err(self.overrun());
            }
            self.push_run(run, channels, rate)?;
        }
        if self.samples.len() > self.samples_max {
            self.samples.truncate(self.samples_max);
            return Err(self.overrun());
        }
        Ok(())
    }

    /// Takes the utterance, at [`LISTEN_RATE_HZ`], and resets the buffer.
    pub fn take(&mut self) -> Vec<f32> {
        self.flush();
        std::mem::take(&mut self.samples)
    }

    /// Discards the utterance.
    pub fn clear(&mut self) {
        self.any_rate = AnyRate::default();
        self.samples = Vec::new();
    }

    /// Samples at [`LISTEN_RATE_HZ`] that are ready; up to 20 ms more may be in the resampler.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// True if nothing was pushed since the start or the last [`take`](Self::take).
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.any_rate.is_empty()
    }

    fn push_run(&mut self, run: &[f32], channels: usize, rate: u32) -> Result<()> {
        self.scratch.clear();
        self.scratch.extend(mono(run, channels).map(|sample| sample.clamp(-1.0, 1.0)));
        let before = self.samples.len();
        self.any_rate.push(&self.scratch, rate, &mut self.samples)?;
        clamp(&mut self.samples[before..]);
        Ok(())
    }

    fn flush(&mut self) {
        let before = self.samples.len();
        self.any_rate.finish(&mut self.samples);
        clamp(&mut self.samples[before..]);
        self.samples.truncate(self.samples_max);
    }

    fn overrun(&self) -> Error {
        let seconds_max = self.samples_max / LISTEN_RATE_HZ as usize;
        Error::new(ErrorCode::AudioOverrun, format!("the utterance is longer than {seconds_max} s"))
    }
}

/// The sinc filter overshoots near full scale.
fn clamp(samples: &mut [f32]) {
    for sample in samples {
        *sample = sample.clamp(-1.0, 1.0);
    }
}
