//! The inner loops in a form that compilers turn into vectors; a product and a sum are rounded each.

use super::View;
use crate::kernels::sums_in_lanes;

const LANES: usize = 32;

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (lanes, rest) = sums_in_lanes::<LANES>(a, b);
    sum(&lanes) + rest
}

#[inline(always)]
fn sum(lanes: &[f32; LANES]) -> f32 {
    let mut eight = [0.0f32; 8];
    for (at, lane) in lanes.iter().enumerate() {
        eight[at % 8] += lane;
    }
    eight.iter().sum()
}

#[inline(always)]
pub(super) fn dot_rows(row: &[f32], others: View<'_>, out: &mut [f32]) {
    for (at, out) in out.iter_mut().enumerate() {
        *out = dot(row, others.row(at));
    }
}

#[inline(always)]
pub(super) fn weigh_rows(weights: &[f32], rows: View<'_>, out: &mut [f32]) {
    for (at, weight) in weights.iter().enumerate() {
        for (out, value) in out.iter_mut().zip(rows.row(at)) {
            *out += weight * value;
        }
    }
}

#[inline(always)]
pub(super) fn softmax(scores: &mut [f32], scale: f32) {
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for at in 0..LANES {
            most[at] = if chunk[at] > most[at] { chunk[at] } else { most[at] };
        }
    }
    let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut totals = [0.0f32; LANES];
    for chunk in chunks {
        for at in 0..LANES {
            chunk[at] = exp((chunk[at] - most) * scale);
            totals[at] += chunk[at];
        }
    }
    for score in rest.iter_mut() {
        *score = exp((*score - most) * scale);
    }
    let share = 1.0 / (sum(&totals) + rest.iter().sum::<f32>());
    scores.iter_mut().for_each(|score| *score *= share);
}

#[inline(always)]
pub(super) fn gelu(values: &mut [f32]) {
    for value in values {
        *value *= 0.5 * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
    }
}

#[inline(always)]
pub(super) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = x.len() as f32;
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut totals = [0.0f32; LANES];
    for chunk in chunks {
        for at in 0..LANES {
            totals[at] += chunk[at];
        }
    }
    let mean = (sum(&totals) + rest.iter().sum::<f32>()) / width;
    let mut totals = [0.0f32; LANES];
    for chunk in chunks {
        for at in 0..LANES {
            totals[at] += (chunk[at] - mean) * (chunk[at] - mean);
        }
    }
    let variance = (sum(&totals) + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>()) / width;
    let scale = 1.0 / (variance + epsilon).sqrt();
    for (((out, x), gamma), beta) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
        *out = (x - mean) * scale * gamma + beta;
    }
}

#[inline(always)]
pub(super) fn rms_norm(x: &[f32], weights: &[f32], epsilon: f32, out: &mut [f32]) {
    let scale = 1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weights) {
        *out = x * scale * weight;
    }
}

#[inline(always)]
pub(super) fn silu_times(gates: &mut [f32], values: &[f32]) {
    for (gate, value) in gates.iter_mut().zip(values) {
        let opposite = if *gate < -88.0 { 88.0 } else { -*gate };
        *gate = *gate / (1.0 + exp(opposite)) * value;
    }
}

#[inline(always)]
pub(super) fn rotate(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((a, b), (cos, sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[inline(always)]
pub(super) fn add(sum: &mut [f32], values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The error function to 2e-7: Abramowitz and Stegun (1964), 7.1.26.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    (1.0 - series * exp(-size * size)).copysign(x)
}

/// The exponential function of what is not over 88, to 2e-7 of it; 0 under -87.
///
/// `2^n e^r` with a whole `n` and `r` within half of `ln 2`, in the manner of the Cephes library.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: what is added to it is rounded to whole numbers
    let bounded = if x > -87.0 { x } else { -87.0 };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (bounded - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut series = 1.987_569_1e-4f32;
    for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        series = series * r + factor;
    }
    let fraction = series * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let value = fraction * power;
    if x > -87.0 { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{erf, exp};

    #[test]
    fn the_exponential_and_the_error_function_are_exact_to_seven_digits() {
        for step in -8_700..=8_800 {
            let x = step as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7 || step <= -8_700, "{x}: {}", exp(x));
        }
        assert_eq!((exp(-100.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
        for (x, exact) in [(0.0, 0.0), (0.1, 0.112_462_916), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (3.0, 0.999_977_9)]
        {
            assert!((erf(x) - exact).abs() < 3e-7 && (erf(-x) + exact).abs() < 3e-7, "{x}: {}", erf(x));
        }
    }
}
