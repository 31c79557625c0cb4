//! The log-mel front end: the encoder input for a window of audio, 30 s for Whisper.
//!
//! 400-point FFT, hop 160, periodic Hann window, reflected edges, Slaney mel filters (area-normalised) from 0 to
//! 8 kHz, then `log10`, clamped to 8 below the loudest, and `(x + 4) / 4`. Source: Radford et al., "Robust Speech
//! Recognition via Large-Scale Weak Supervision" (2022), and `whisper/audio.py` of its reference implementation.
//!
//! Computed in 64 bits, as Smart Turn needs it: that network rounds its input to 8 bits, and a last bit of a float can
//! tip a rounding.

use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;

/// Samples between two frames.
pub(crate) const HOP: usize = 160;

const FFT_LEN: usize = 400;
const EDGE: usize = FFT_LEN / 2;
const SAMPLE_RATE_HZ: f64 = 16_000.0;
/// Power below which nothing is told apart, as in the reference.
const POWER_MIN: f64 = 1e-10;

/// Computes log-mel spectra with a fixed number of bins.
pub(crate) struct MelFrontEnd {
    fft: Arc<dyn RealToComplex<f64>>,
    hann: Vec<f64>,
    /// For each bin its first FFT bin, and its weights from there on.
    filters: Vec<(usize, Vec<f64>)>,
}

impl MelFrontEnd {
    /// A front end with `bins` mel bins: 80, or 128 for large-v3.
    pub(crate) fn new(bins: usize) -> Self {
        let hann =
            (0..FFT_LEN).map(|i| 0.5 - 0.5 * (2.0 * std::f64::consts::PI * i as f64 / FFT_LEN as f64).cos()).collect();
        let fft = RealFftPlanner::new().plan_fft_forward(FFT_LEN);
        Self { fft, hann, filters: slaney_filters(bins) }
    }

    /// The spectrum of a window of `frames` times [`HOP`] samples, `[bins, frames]` row by row: `samples`, cut off where
    /// it ends, and silence after them.
    pub(crate) fn log_mel(&self, samples: &[f32], frames: usize) -> Vec<f32> {
        let window = frames * HOP;
        let samples = &samples[..samples.len().min(window)];
        let bins = self.filters.len();
        let mut mel = vec![POWER_MIN.log10(); bins * frames];
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut power = vec![0.0; spectrum.len()];
        // Later frames cover silence alone, but for the last few, which cover the audio reflected at the window's end.
        let frames_covered = ((samples.len() + EDGE).div_ceil(HOP)).min(frames);
        for index in 0..frames_covered {
            let start = (index * HOP) as isize - EDGE as isize;
            for (i, value) in frame.iter_mut().enumerate() {
                *value = f64::from(mirrored(samples, window, start + i as isize)) * self.hann[i];
            }
            if self.fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
                continue; // Never: the vectors were made by the plan itself.
            }
            for (power, bin) in power.iter_mut().zip(&spectrum) {
                *power = bin.norm_sqr();
            }
            for (row, (first, weights)) in self.filters.iter().enumerate() {
                let energy: f64 = weights.iter().zip(&power[*first..]).map(|(w, p)| w * p).sum();
                mel[row * frames + index] = energy.max(POWER_MIN).log10();
            }
        }
        let loudest = mel.iter().copied().fold(f64::MIN, f64::max);
        mel.into_iter().map(|value| ((value.max(loudest - 8.0) + 4.0) / 4.0) as f32).collect()
    }
}

/// The sample at `index` of a window that begins with `samples`, mirrored at both of its ends.
fn mirrored(samples: &[f32], window: usize, index: isize) -> f32 {
    let last = window as isize - 1;
    let index = index.abs();
    let index = if index > last { 2 * last - index } else { index };
    samples.get(index as usize).copied().unwrap_or(0.0)
}

/// Triangular filters, evenly spaced on Slaney's mel scale, each with an area of one.
fn slaney_filters(bins: usize) -> Vec<(usize, Vec<f64>)> {
    let top = hz_to_mel(SAMPLE_RATE_HZ / 2.0);
    let edges_hz: Vec<f64> = (0..bins + 2).map(|i| mel_to_hz(top * i as f64 / (bins + 1) as f64)).collect();
    let fft_hz = |i: usize| i as f64 * SAMPLE_RATE_HZ / FFT_LEN as f64;
    edges_hz
        .windows(3)
        .map(|edge| {
            let area = 2.0 / (edge[2] - edge[0]);
            let weight = |i: usize| {
                let rise = (fft_hz(i) - edge[0]) / (edge[1] - edge[0]);
                let fall = (edge[2] - fft_hz(i)) / (edge[2] - edge[1]);
                rise.min(fall).max(0.0) * area
            };
            let covers = |i: &usize| weight(*i) > 0.0;
            let first = (0..=FFT_LEN / 2).find(covers).unwrap_or(0);
            let last = (first..=FFT_LEN / 2).rfind(covers).unwrap_or(first);
            (first, (first..=last).map(weight).collect())
        })
        .collect()
}

/// Slaney's scale: linear to 1 kHz, logarithmic above.
const LINEAR_TOP_HZ: f64 = 1000.0;
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const LINEAR_TOP_MEL: f64 = LINEAR_TOP_HZ / HZ_PER_MEL;

fn hz_to_mel(hz: f64) -> f64 {
    if hz < LINEAR_TOP_HZ { hz / HZ_PER_MEL } else { LINEAR_TOP_MEL + (hz / LINEAR_TOP_HZ).ln() * 27.0 / 6.4f64.ln() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < LINEAR_TOP_MEL {
        mel * HZ_PER_MEL
    } else {
        LINEAR_TOP_HZ * ((mel - LINEAR_TOP_MEL) * 6.4f64.ln() / 27.0).exp()
    }
}
