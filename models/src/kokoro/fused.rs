//! Adaptive instance norm and the activation after it in two passes over the memory. Composed of burn's operations they
//! take a dozen, which is as long as the convolutions between them.

use crate::kernels::flex::{Floats, matrix};
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::f32::consts::PI;

/// Rows that one task works on.
const ROWS: usize = 256;

/// Normalises each column of `x` to the mean 0 and the variance 1, makes `(1 + gamma) x + beta` of it, and then
/// Snake with `alpha`, or a leaky ReLU of slope 0.2 where there is none. All but `x` are `[1, columns]`.
pub(super) fn adain(x: Tensor<2>, gamma: Tensor<2>, beta: Tensor<2>, alpha: Option<&Tensor<2>>) -> Tensor<2> {
    let [x, gamma, beta] = [x, gamma, beta].map(Floats::of);
    let alpha = alpha.map(|alpha| Floats::of(alpha.clone()));
    let columns = x.cols;
    let (mean, deviation) = statistics(&x, columns);
    let scale: Vec<f32> = gamma.iter().zip(&deviation).map(|(gamma, deviation)| (1.0 + gamma) / deviation).collect();
    let shift: Vec<f32> = beta.iter().zip(&mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
    let mut y = vec![0.0f32; x.len()];
    y.par_chunks_mut(ROWS * columns).zip(x.par_chunks(ROWS * columns)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(columns).zip(x.chunks_exact(columns)) {
            let row = y.iter_mut().zip(x).zip(&scale).zip(&shift);
            if let Some(alpha) = &alpha {
                for ((((y, x), scale), shift), alpha) in row.zip(alpha.iter()) {
                    let x = x * scale + shift;
                    *y = x + sine_squared(x * alpha) / alpha;
                }
            } else {
                for (((y, x), scale), shift) in row {
                    let x = x * scale + shift;
                    *y = if x < 0.0 { 0.2 * x } else { x };
                }
            }
        }
    });
    matrix(y, [x.rows, columns])
}

/// Mean and standard deviation of each column; the latter with 1e-5 added to the variance.
fn statistics(x: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = x.len() / columns;
    let sums = |term: &(dyn Fn(&mut [f32], &[f32]) + Sync)| -> Vec<f32> {
        let partial = x.par_chunks(ROWS * columns).map(|block| {
            let mut sum = vec![0.0f32; columns];
            block.chunks_exact(columns).for_each(|row| term(&mut sum, row));
            sum
        });
        // Collected first: added in whichever order tasks end, the sum would not be the same each time.
        let mut total = vec![0.0f64; columns];
        for sum in partial.collect::<Vec<_>>() {
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += f64::from(sum));
        }
        total.into_iter().map(|total| (total / rows as f64) as f32).collect()
    };
    let mean = sums(&|sum, row| sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
    let variance = sums(&|sum, row| {
        sum.iter_mut().zip(row).zip(&mean).for_each(|((sum, x), mean)| *sum += (x - mean) * (x - mean));
    });
    (mean, variance.into_iter().map(|variance| (variance + 1e-5).sqrt()).collect())
}

/// `sin(x)^2` to 2e-6, in operations that compilers turn into vector code.
#[inline(always)]
fn sine_squared(x: f32) -> f32 {
    // Added and taken away again, 1.5 * 2^23 leaves the nearest whole number. The square has the period pi.
    const ROUND: f32 = 12_582_912.0;
    let turns = x * (1.0 / PI);
    let part = (turns - ((turns + ROUND) - ROUND)) * PI;
    let square = part * part;
    // Taylor's series around 0, up to x^11, for |x| <= pi / 2.
    let sine = -2.505_210_8e-8;
    let sine = sine * square + 2.755_731_9e-6;
    let sine = sine * square - 1.984_127e-4;
    let sine = sine * square + 8.333_333e-3;
    let sine = sine * square - 0.166_666_67;
    let sine = (sine * square + 1.0) * part;
    sine * sine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sine_is_a_sine() {
        for step in -4000..4000 {
            let x = step as f32 * 0.01;
            let expected = (f64::from(x).sin().powi(2)) as f32;
            assert!((sine_squared(x) - expected).abs() < 1e-5, "{x}: {} for {expected}", sine_squared(x));
        }
    }
}
