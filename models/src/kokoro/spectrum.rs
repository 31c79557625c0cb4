//! The short-time Fourier transform of the vocoder: 20 points, a Hann window, a hop of 5.

use std::f64::consts::TAU;
use std::sync::LazyLock;

const POINTS: usize = 20;
const HOP: usize = 5;
/// Bins of a frame, from 0 Hz to half the sample rate.
pub(super) const BINS: usize = POINTS / 2 + 1;
/// Samples that each end is extended by.
const PADDING: usize = POINTS / 2;

/// A bin of a spectrum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Complex {
    re: f32,
    im: f32,
}

impl Complex {
    pub(super) fn polar(magnitude: f32, phase: f32) -> Self {
        Self { re: magnitude * phase.cos(), im: magnitude * phase.sin() }
    }

    pub(super) fn magnitude(&self) -> f32 {
        self.re.hypot(self.im)
    }

    pub(super) fn phase(&self) -> f32 {
        self.im.atan2(self.re)
    }
}

struct Tables {
    window: [f32; POINTS],
    cos: [f32; POINTS],
    sin: [f32; POINTS],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let angle = |n: usize| TAU * n as f64 / POINTS as f64;
    Tables {
        window: std::array::from_fn(|n| (0.5 - 0.5 * angle(n).cos()) as f32),
        cos: std::array::from_fn(|n| angle(n).cos() as f32),
        sin: std::array::from_fn(|n| angle(n).sin() as f32),
    }
});

/// A frame every 5 samples, the first around sample 0; the ends are mirrored. `samples` holds at least 11.
pub(super) fn transform(samples: &[f32]) -> Vec<[Complex; BINS]> {
    let last = samples.len() - 1;
    let at = |position: isize| {
        let mirrored = position.unsigned_abs();
        samples[if mirrored > last { 2 * last - mirrored } else { mirrored }]
    };
    let tables = &*TABLES;
    (0..=samples.len() / HOP)
        .map(|frame| {
            let start = (frame * HOP) as isize - PADDING as isize;
            let windowed: [f32; POINTS] = std::array::from_fn(|n| at(start + n as isize) * tables.window[n]);
            std::array::from_fn(|k| {
                let mut bin = Complex::default();
                for (n, value) in windowed.iter().enumerate() {
                    bin.re += value * tables.cos[n * k % POINTS];
                    bin.im -= value * tables.sin[n * k % POINTS];
                }
                bin
            })
        })
        .collect()
}

/// The samples whose [`transform`] comes closest to these frames: 5 for each frame but the last.
pub(super) fn inverse(frames: &[[Complex; BINS]]) -> Vec<f32> {
    let tables = &*TABLES;
    let len = frames.len().saturating_sub(1) * HOP;
    let mut sum = vec![0.0; len + 2 * PADDING];
    let mut weight = vec![0.0; len + 2 * PADDING];
    for (frame, bins) in frames.iter().enumerate() {
        for n in 0..POINTS {
            let mut value = bins[0].re + if n % 2 == 0 { bins[BINS - 1].re } else { -bins[BINS - 1].re };
            for (k, bin) in bins.iter().enumerate().take(BINS - 1).skip(1) {
                value += 2.0 * (bin.re * tables.cos[n * k % POINTS] - bin.im * tables.sin[n * k % POINTS]);
            }
            sum[frame * HOP + n] += value / POINTS as f32 * tables.window[n];
            weight[frame * HOP + n] += tables.window[n] * tables.window[n];
        }
    }
    let samples = sum.iter().zip(&weight).skip(PADDING).take(len);
    samples.map(|(sum, weight)| sum / weight.max(1e-8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_gives_the_samples_back() {
        let samples: Vec<f32> = (0..200).map(|n| (n as f32 * 0.3).sin() + (n as f32 * 1.7).cos() * 0.5).collect();
        let frames = transform(&samples);
        assert_eq!(frames.len(), 41);
        let polar: Vec<_> = frames.iter().map(|bins| bins.map(|b| Complex::polar(b.magnitude(), b.phase()))).collect();
        for (at, (was, is)) in samples.iter().zip(inverse(&polar)).enumerate() {
            assert!((was - is).abs() < 1e-4, "sample {at}: {was} became {is}");
        }
    }
}
