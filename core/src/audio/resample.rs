//! Sample rate conversion by windowed sinc interpolation (rubato).

use super::check_rate;
use crate::backend::LISTEN_RATE_HZ;
use crate::error::{Error, ErrorCode, Result};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    calculate_cutoff,
};

/// Filter length in samples of the lower of both rates: flat to eight tenths of its Nyquist frequency.
const SINC_LEN: f64 = 128.0;

/// Positions between two samples at which the filter is tabulated; cubic interpolation does the rest.
const OVERSAMPLING: usize = 128;

/// Resamples a whole buffer. Delay is compensated: sample `n` of the result sounds at the same time as sample
/// `n * from / to` of the input. The result has `round(len * to / from)` samples.
///
/// # Errors
/// [`ErrorCode::AudioInvalidRate`] for a rate outside 8,000 to 192,000 Hz.
pub fn resample(pcm: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    let mut resampler = Resampler::new(from, to)?;
    let mut out = Vec::with_capacity(resampler.output_len(pcm.len() as u64) as usize);
    resampler.push(pcm, &mut out);
    resampler.finish(&mut out);
    Ok(out)
}

/// Resamples a stream of blocks of any size. The result does not depend on how the stream was cut into blocks,
/// and equals [`resample`] of the whole.
///
/// ```
/// use tertulia::audio::Resampler;
/// let mut resampler = Resampler::new(48_000, 16_000)?;
/// let mut out = Vec::new();
/// for block in [[0.0; 960]; 50] {
///     resampler.push(&block, &mut out);
/// }
/// resampler.finish(&mut out);
/// assert_eq!(out.len(), 16_000);
/// # Ok::<(), tertulia::Error>(())
/// ```
pub struct Resampler {
    from: u32,
    to: u32,
    /// `None` where both rates are equal.
    sinc: Option<Async<f32>>,
    /// Samples that wait until a chunk is full.
    pending: Vec<f32>,
    chunk_len: usize,
    scratch: Vec<f32>,
    /// Zeros put before the stream, so that the delay is a whole number of output samples.
    lead_len: usize,
    /// The delay in output samples, and how much of it is still to be left out.
    trim_len: usize,
    trim: usize,
    pushed: u64,
    produced: u64,
}

impl Resampler {
    /// A converter from `from` to `to` samples a second.
    ///
    /// # Errors
    /// [`ErrorCode::AudioInvalidRate`] for a rate outside 8,000 to 192,000 Hz.
    pub fn new(from: u32, to: u32) -> Result<Self> {
        check_rate(from)?;
        check_rate(to)?;
        let ratio = f64::from(to) / f64::from(from);
        let sinc_len = ((SINC_LEN / ratio.min(1.0) / 8.0).ceil() * 8.0) as usize;
        // 10 ms: small enough to stream, large enough for the filter's bookkeeping not to show.
        let chunk_len = from as usize / 100;
        let parameters = SincInterpolationParameters {
            sinc_len,
            // Not the one for `sinc_len`: the filter grows with the ratio, and its edge is as wide as before.
            f_cutoff: Some(calculate_cutoff(SINC_LEN as usize, WindowFunction::BlackmanHarris2)),
            oversampling_factor: OVERSAMPLING,
            interpolation: SincInterpolationType::Cubic,
            window: WindowFunction::BlackmanHarris2,
        };
        let sinc = (from != to)
            .then(|| Async::<f32>::new_sinc(ratio, 1.0, &parameters, chunk_len, 1, FixedAsync::Input))
            .transpose()
            .map_err(|source| {
                Error::new(ErrorCode::Internal, "the resampler refused its settings").with_source(source)
            })?;
        let (lead_len, trim_len) = align(from, to, sinc_len);
        let mut resampler = Self {
            from,
            to,
            pending: Vec::with_capacity(chunk_len),
            chunk_len,
            scratch: vec![0.0; sinc.as_ref().map_or(0, |sinc| sinc.output_frames_max())],
            sinc,
            lead_len,
            trim_len,
            trim: 0,
            pushed: 0,
            produced: 0,
        };
        resampler.restart();
        Ok(resampler)
    }

    /// Takes samples, and appends to `out` what is ready.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.pushed += samples.len() as u64;
        if self.sinc.is_none() {
            out.extend_from_slice(samples);
            return;
        }
        self.feed(samples, out);
    }

    /// Ends the stream: appends the rest to `out`, so that all of it has `round(pushed * to / from)` samples. The
    /// converter is then ready for another stream.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if self.sinc.is_some() {
            let goal = self.output_len(self.pushed);
            let silence = vec![0.0; self.chunk_len];
            while self.produced < goal {
                self.feed(&silence, out);
            }
            out.truncate(out.len() - (self.produced - goal) as usize);
        }
        self.restart();
    }

    /// How many samples a stream of `input_len` becomes.
    pub fn output_len(&self, input_len: u64) -> u64 {
        let (from, to) = (u128::from(self.from), u128::from(self.to));
        ((u128::from(input_len) * to * 2 + from) / (from * 2)) as u64
    }

    fn restart(&mut self) {
        (self.pushed, self.produced) = (0, 0);
        self.pending.clear();
        let Some(sinc) = &mut self.sinc else { return };
        sinc.reset();
        self.trim = self.trim_len;
        self.pending.resize(self.lead_len, 0.0);
    }

    fn feed(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        while self.pending.len() + samples.len() >= self.chunk_len {
            let (now, later) = samples.split_at(self.chunk_len.saturating_sub(self.pending.len()).min(samples.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            self.process_chunk(out);
        }
        self.pending.extend_from_slice(samples);
    }

    fn process_chunk(&mut self, out: &mut Vec<f32>) {
        let sinc = self.sinc.as_mut().expect("feed is called only where rates differ");
        let scratch_len = self.scratch.len();
        let input = InterleavedSlice::new(&self.pending, 1, self.chunk_len).expect("a whole chunk is pending");
        let mut output = InterleavedSlice::new_mut(&mut self.scratch, 1, scratch_len).expect("sized for it");
        let (_, made) = sinc
            .process_into_buffer(&input, &mut output, None::<&Indexing>)
            .expect("both buffers hold what the resampler asked for");
        self.pending.drain(..self.chunk_len);
        let trimmed = made.min(self.trim);
        self.trim -= trimmed;
        out.extend_from_slice(&self.scratch[trimmed..made]);
        self.produced += (made - trimmed) as u64;
    }
}

/// Resamples audio of any rate, which may change, to [`LISTEN_RATE_HZ`].
#[derive(Default)]
pub(crate) struct AnyRate {
    /// The resampler in use, with its input rate.
    resampler: Option<(u32, Resampler)>,
}

impl AnyRate {
    /// Appends the resampled samples. After a change of rate the rest of the last filter comes first.
    pub(crate) fn push(&mut self, samples: &[f32], rate: u32, out: &mut Vec<f32>) -> Result<()> {
        if self.resampler.as_ref().is_none_or(|(from, _)| *from != rate) {
            self.finish(out);
            self.resampler = Some((rate, Resampler::new(rate, LISTEN_RATE_HZ)?));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(samples, out);
        }
        Ok(())
    }

    /// Appends the rest of the filter, and resets it.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some((_, mut last)) = self.resampler.take() {
            last.finish(out);
        }
    }
}

/// How many zeros to put in front, and how many output samples to leave out, so that input and output start at the
/// same time, as nearly as a search over the first thousand leads can make it.
fn align(from: u32, to: u32, sinc_len: usize) -> (usize, usize) {
    const LEAD_MAX: u32 = 1_000;
    let ratio = f64::from(to) / f64::from(from);
    // The filter's centre lies one tabulated position before its middle, and the first output one step after the start.
    let delay = |lead: u32| ratio * (sinc_len as f64 / 2.0 + f64::from(lead) - 1.0 / OVERSAMPLING as f64) - 1.0;
    let misfit = |lead: &u32| (delay(*lead) - delay(*lead).round()).abs();
    let leads = (0..LEAD_MAX.min(from)).filter(|&lead| delay(lead) > -0.5);
    // Rounded, so that rounding errors do not prefer a later lead to an equally good earlier one.
    let lead = leads.min_by_key(|lead| (misfit(lead) * 1e6) as u64).unwrap_or(0);
    (lead as usize, delay(lead).round() as usize)
}
