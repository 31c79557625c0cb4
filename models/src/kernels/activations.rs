//! Activations as 8-bit integers with a scale per group, the other half of a quantised dot product.

use super::maths::TASK_ELEMENTS;
use rayon::prelude::*;

/// Elements that share a scale.
pub(crate) const GROUP: usize = 32;

/// Rows of activations, each element an 8-bit integer from -127 to 127.
///
/// The rounding is ggml's, so that replies equal those of llama.cpp: weights in blocks of 32 meet activations with a
/// 16-bit scale per 32 elements (`q8_0`), weights in blocks of 256 meet a 32-bit scale per 256 (`q8_K`).
#[derive(Debug)]
pub(crate) struct Activations {
    rows: usize,
    cols: usize,
    /// `[rows, cols]`
    quants: Vec<i8>,
    /// `[rows, cols / GROUP]`
    groups: Vec<Group>,
}

/// The scale and the sums of a group's integers.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "plain Rust reads no halves")
)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Group {
    pub(super) scale: f32,
    /// Scale times the sum of the integers; what a weight's minimum multiplies.
    pub(super) sum: f32,
    /// The sums of the integers in each half.
    pub(super) halves: [i16; 2],
}

/// Some rows of activations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivationRows<'a> {
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// `[rows, cols]`
    pub(super) quants: &'a [i8],
    /// `[rows, cols / GROUP]`
    pub(super) groups: &'a [Group],
}

impl Activations {
    /// Quantises `x`, `[rows, cols]` with `cols` a multiple of the weights' block length.
    pub(crate) fn quantise(x: &[f32], cols: usize, block_len: usize) -> Self {
        assert!(cols > 0 && cols.is_multiple_of(block_len) && x.len().is_multiple_of(cols), "rows of whole blocks");
        let mut quants = vec![0; x.len()];
        let mut groups = vec![Group::default(); x.len() / GROUP];
        let quantise = if block_len == GROUP { lanes::quantise_32 } else { lanes::quantise_256 };
        let task = (TASK_ELEMENTS / cols).max(1) * cols;
        x.par_chunks(task)
            .zip(quants.par_chunks_mut(task))
            .zip(groups.par_chunks_mut(task / GROUP))
            .for_each(|((x, quants), groups)| quantise(x, quants, groups));
        Self { rows: x.len() / cols, cols, quants, groups }
    }

    /// The rows from `first` on, `count` of them.
    pub(crate) fn rows(&self, first: usize, count: usize) -> ActivationRows<'_> {
        let Self { cols, .. } = *self;
        ActivationRows {
            rows: count,
            cols,
            quants: &self.quants[first * cols..][..count * cols],
            groups: &self.groups[first * (cols / GROUP)..][..count * (cols / GROUP)],
        }
    }

    pub(crate) fn all(&self) -> ActivationRows<'_> {
        self.rows(0, self.rows)
    }
}

mod lanes {
    use super::{Group, portable};

    crate::kernels::simd::widest! {
        /// Quantises groups, each with a scale of its own.
        quantise_32(x: &[f32], quants: &mut [i8], groups: &mut [Group]);
        /// Quantises groups of which eight share a scale.
        quantise_256(x: &[f32], quants: &mut [i8], groups: &mut [Group]);
    }
}

/// In lanes, which the compiler turns into vector instructions.
mod portable {
    use super::{GROUP, Group};
    use half::f16;

    const LANES: usize = 8;

    #[inline(always)]
    pub(super) fn quantise_32(x: &[f32], quants: &mut [i8], groups: &mut [Group]) {
        let (x, quants) = (x.as_chunks::<GROUP>().0, quants.as_chunks_mut::<GROUP>().0);
        for ((x, quants), group) in x.iter().zip(quants).zip(groups) {
            let magnitude = magnitude(x);
            let inverse = if magnitude == 0.0 { 0.0 } else { 127.0 / magnitude };
            let scale = f16::from_f32(magnitude / 127.0).to_f32();
            *group = round(x, quants, inverse, scale);
        }
    }

    #[inline(always)]
    pub(super) fn quantise_256(x: &[f32], quants: &mut [i8], groups: &mut [Group]) {
        const BLOCK: usize = 8 * GROUP;
        let (x, quants) = (x.as_chunks::<BLOCK>().0, quants.as_chunks_mut::<BLOCK>().0);
        for ((x, quants), groups) in x.iter().zip(quants).zip(groups.as_chunks_mut::<8>().0) {
            let most = magnitude(x);
            // With its sign; the first one where two are as large.
            let extreme = x.iter().copied().find(|value| value.abs() == most).unwrap_or(most);
            let (inverse, scale) = if most == 0.0 { (0.0, 0.0) } else { (-127.0 / extreme, 1.0 / (-127.0 / extreme)) };
            let (x, quants) = (x.as_chunks::<GROUP>().0, quants.as_chunks_mut::<GROUP>().0);
            for ((x, quants), group) in x.iter().zip(quants).zip(groups) {
                *group = round(x, quants, inverse, scale);
            }
        }
    }

    /// Rounds a group's elements.
    #[inline(always)]
    fn round(x: &[f32; GROUP], quants: &mut [i8; GROUP], inverse: f32, scale: f32) -> Group {
        let mut sums = [0i32; 2];
        for ((x, quants), sum) in x.as_chunks::<16>().0.iter().zip(quants.as_chunks_mut::<16>().0).zip(&mut sums) {
            for (x, quant) in x.iter().zip(quants) {
                *quant = nearest(x * inverse) as i8;
                *sum += i32::from(*quant);
            }
        }
        Group { scale, sum: scale * (sums[0] + sums[1]) as f32, halves: sums.map(|sum| sum as i16) }
    }

    /// The largest magnitude.
    #[inline(always)]
    fn magnitude(x: &[f32]) -> f32 {
        let mut most = [0u32; LANES];
        for x in x.as_chunks::<LANES>().0 {
            for (most, x) in most.iter_mut().zip(x) {
                // As bits: for magnitudes the order is the same.
                *most = (*most).max(x.to_bits() & 0x7fff_ffff);
            }
        }
        f32::from_bits(most.into_iter().fold(0, u32::max))
    }

    /// The nearest integer, the even one of two equally near, for magnitudes below 2^22: where a float's last bit counts
    /// ones, adding rounds. Its lower bits are the integer.
    #[inline(always)]
    pub(super) fn nearest(value: f32) -> i32 {
        const ONES: f32 = 12_582_912.0;
        (value + ONES).to_bits() as i32 - ONES.to_bits() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::portable::nearest;

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        for step in -1300..=1300i16 {
            let value = f32::from(step) / 10.0;
            assert_eq!(nearest(value) as f32, value.round_ties_even());
        }
        for value in [0.5, 1.5, -2.5, 126.5, -127.0, 127.000_01] {
            assert_eq!(nearest(value) as f32, f32::round_ties_even(value));
        }
    }
}
