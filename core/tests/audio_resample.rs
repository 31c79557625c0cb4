//! The resampler: passband, stopband, exact length and timing, independence of block size.

use std::f64::consts::TAU;
use tertulia::ErrorCode;
use tertulia::audio::{Resampler, resample};

const PAIRS: [(u32, u32); 7] = [
    (48_000, 16_000),
    (44_100, 16_000),
    (8_000, 16_000),
    (22_050, 16_000),
    (24_000, 48_000),
    (192_000, 16_000),
    (44_101, 16_000),
];

#[test]
fn resampling_keeps_a_sine_in_the_passband() {
    for (from, to) in PAIRS {
        let nyquist_hz = f64::from(from.min(to)) / 2.0;
        for share in [0.02, 0.31, 0.8] {
            let hz = nyquist_hz * share;
            let out = middle(resample(&sine(hz, from, 1.0), from, to).unwrap());
            let fit = fit_sine(&out.samples, hz, to, out.start);
            assert!(fit.snr_db > 100.0, "{hz} Hz, {from} to {to}: {} dB", fit.snr_db);
            assert!((fit.amplitude - 0.5).abs() < 0.001, "{hz} Hz, {from} to {to}: amplitude {}", fit.amplitude);
            let late_samples = fit.phase / TAU * f64::from(to) / hz;
            assert!(late_samples.abs() < 0.02, "{hz} Hz, {from} to {to}: {late_samples} samples late");
        }
    }
}

#[test]
fn resampling_removes_a_sine_above_nyquist() {
    for (from, to, hz) in
        [(48_000, 16_000, 8_400.0), (48_000, 16_000, 15_000.0), (44_100, 16_000, 8_400.0), (192_000, 16_000, 90_000.0)]
    {
        let out = middle(resample(&sine(hz, from, 1.0), from, to).unwrap());
        let power = out.samples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / out.samples.len() as f64;
        let alias_db = 10.0 * (power / (0.5f64.powi(2) / 2.0)).log10();
        assert!(alias_db < -90.0, "{hz} Hz, {from} to {to}: {alias_db} dB");
    }
}

#[test]
fn resampling_has_the_exact_length() {
    for (from, to) in PAIRS {
        for len in [0usize, 1, 2, 3, 159, 160, 4_800, 44_100, 50_001] {
            let expected = (len as f64 * f64::from(to) / f64::from(from)).round() as usize;
            assert_eq!(resample(&vec![0.1; len], from, to).unwrap().len(), expected, "{len}, {from} to {to}");
        }
    }
}

#[test]
fn resampling_a_stream_equals_resampling_the_whole() {
    let input = sine(440.0, 44_100, 0.7);
    let whole = resample(&input, 44_100, 16_000).unwrap();
    let mut resampler = Resampler::new(44_100, 16_000).unwrap();
    for block_len in [1, 7, 128, 441, 442, 1_024, 100_000] {
        let mut out = Vec::new();
        for block in input.chunks(block_len) {
            resampler.push(block, &mut out);
        }
        resampler.finish(&mut out);
        assert!(out == whole, "blocks of {block_len} differ");
    }
}

#[test]
fn the_resampler_delay_is_small() {
    let mut resampler = Resampler::new(48_000, 16_000).unwrap();
    let mut out = Vec::new();
    resampler.push(&[0.0; 48_000], &mut out);
    assert!(out.len() > 16_000 - 320, "{} of 16000 samples are out", out.len());
}

#[test]
fn equal_rates_pass_samples_through() {
    let input = sine(440.0, 16_000, 0.1);
    assert_eq!(resample(&input, 16_000, 16_000).unwrap(), input);
}

#[test]
fn sample_rates_outside_the_range_are_refused() {
    for (from, to) in [(0, 16_000), (16_000, 0), (7_999, 16_000), (192_001, 16_000), (1_000_000, 16_000)] {
        assert_eq!(resample(&[0.0; 10], from, to).unwrap_err().code(), ErrorCode::AudioInvalidRate);
    }
}

fn sine(hz: f64, rate: u32, seconds: f64) -> Vec<f32> {
    let len = (seconds * f64::from(rate)) as usize;
    (0..len).map(|n| (0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

struct Middle {
    samples: Vec<f32>,
    start: usize,
}

/// Without the ends, where the filter reaches beyond the sound.
fn middle(samples: Vec<f32>) -> Middle {
    let start = samples.len() / 4;
    Middle { samples: samples[start..samples.len() - start].to_vec(), start }
}

struct SineFit {
    snr_db: f64,
    amplitude: f64,
    /// How late the sine is, in radians.
    phase: f64,
}

/// Least squares over sine and cosine.
fn fit_sine(samples: &[f32], hz: f64, rate: u32, start: usize) -> SineFit {
    let angle = |n: usize| TAU * hz * (n + start) as f64 / f64::from(rate);
    let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, &x) in samples.iter().enumerate() {
        let ((s, c), x) = (angle(n).sin_cos(), f64::from(x));
        (ss, sc, cc, xs, xc) = (ss + s * s, sc + s * c, cc + c * c, xs + x * s, xc + x * c);
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
    let (mut signal, mut noise) = (0.0, 0.0);
    for (n, &x) in samples.iter().enumerate() {
        let fitted = a * angle(n).sin() + b * angle(n).cos();
        (signal, noise) = (signal + fitted * fitted, noise + (f64::from(x) - fitted).powi(2));
    }
    SineFit { snr_db: 10.0 * (signal / noise).log10(), amplitude: a.hypot(b), phase: -b.atan2(a) }
}
