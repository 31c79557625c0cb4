//! Activations as 8-bit integers with a scale per group, the other half of a quantised dot product.

use crate::gguf::GgmlType;
use half::f16;

/// Elements that share a scale.
pub(crate) const GROUP: usize = 32;

/// Rows of activations, each element an 8-bit integer from -127 to 127.
///
/// The rounding is ggml's, so that replies equal those of llama.cpp: weights in blocks of 32 meet activations with a
/// 16-bit scale per 32 elements (`q8_0`), weights in blocks of 256 meet a 32-bit scale per 256 (`q8_K`).
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the portable code reads neither rows nor sums"))]
pub(crate) struct Activations {
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// `[rows, cols]`
    pub(super) quants: Vec<i8>,
    /// `[rows, cols / GROUP]`
    pub(super) scales: Vec<f32>,
    /// Scale times the sum of the group's integers, `[rows, cols / GROUP]`; what a weight's minimum multiplies.
    pub(super) sums: Vec<f32>,
    /// The sums of the integers in each half of a group, `[rows, cols / GROUP]`.
    pub(super) halves: Vec<[i16; 2]>,
}

impl Activations {
    /// Quantises `x`, `[rows, cols]` with `cols` a multiple of the weights' block length.
    pub(crate) fn quantise(x: &[f32], cols: usize, weights: GgmlType) -> Self {
        let block_len = weights.block_len();
        assert!(cols > 0 && cols.is_multiple_of(block_len) && x.len().is_multiple_of(cols), "rows of whole blocks");
        let mut quants = vec![0; x.len()];
        let mut scales = vec![0.0; x.len() / GROUP];
        let mut sums = vec![0.0; x.len() / GROUP];
        let blocks = x.chunks_exact(block_len).zip(quants.chunks_exact_mut(block_len));
        let groups = block_len / GROUP;
        for ((x, quants), scales) in blocks.zip(scales.chunks_exact_mut(groups)) {
            scales.fill(if groups == 1 { quantise_32(x, quants) } else { quantise_256(x, quants) });
        }
        let sum = |quants: &[i8]| quants.iter().map(|&quant| i16::from(quant)).sum::<i16>();
        let halves: Vec<[i16; 2]> =
            quants.chunks_exact(GROUP).map(|group| [sum(&group[..GROUP / 2]), sum(&group[GROUP / 2..])]).collect();
        for ((halves, sum), scale) in halves.iter().zip(&mut sums).zip(&scales) {
            *sum = *scale * f32::from(halves[0] + halves[1]);
        }
        Self { rows: x.len() / cols, cols, quants, scales, sums, halves }
    }
}

fn quantise_32(x: &[f32], quants: &mut [i8]) -> f32 {
    let magnitude = magnitude(x);
    let inverse = if magnitude == 0.0 { 0.0 } else { 127.0 / magnitude };
    for (quant, value) in quants.iter_mut().zip(x) {
        *quant = nearest(value * inverse) as i8;
    }
    f16::from_f32(magnitude / 127.0).to_f32()
}

/// The largest magnitude, in lanes, which the compiler turns into vector instructions.
fn magnitude(x: &[f32]) -> f32 {
    let mut most = [0.0f32; 8];
    for x in x.as_chunks::<8>().0 {
        for (most, x) in most.iter_mut().zip(x) {
            // As bits: for magnitudes the order is the same.
            *most = f32::from_bits(most.to_bits().max(x.to_bits() & 0x7fff_ffff));
        }
    }
    most.into_iter().fold(0.0, f32::max)
}

fn quantise_256(x: &[f32], quants: &mut [i8]) -> f32 {
    let most = magnitude(x);
    if most == 0.0 {
        return 0.0;
    }
    // With its sign; the first one where two are as large.
    let extreme = x.iter().copied().find(|value| value.abs() == most).unwrap_or(most);
    let inverse = -127.0 / extreme;
    for (quant, value) in quants.iter_mut().zip(x) {
        *quant = nearest(value * inverse).min(127.0) as i8;
    }
    1.0 / inverse
}

/// The nearest integer, the even one of two equally near, for magnitudes below 2^22: where a float's last bit counts ones,
/// adding rounds. Without the instruction that `round_ties_even` needs, which the oldest x86-64 lacks, this is far quicker.
fn nearest(value: f32) -> f32 {
    const ONES: f32 = 12_582_912.0;
    (value + ONES) - ONES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        for step in -1300..=1300i16 {
            let value = f32::from(step) / 10.0;
            assert_eq!(nearest(value), value.round_ties_even());
        }
        for value in [0.5, 1.5, -2.5, 126.5, -127.0, 127.000_01] {
            assert_eq!(nearest(value), f32::round_ties_even(value));
        }
    }
}
