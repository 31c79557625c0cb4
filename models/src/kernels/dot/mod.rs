//! Dot products of one quantised row with rows of quantised activations; the instruction set is chosen at run time.

mod portable;

use super::activations::Activations;
use super::simd;
use crate::gguf::GgmlType;

/// Takes a quantised row and activations, and writes the row's dot product with each row of the activations.
pub(super) type Dot = Box<dyn Fn(&[u8], &Activations, &mut [f32]) + Send + Sync>;

/// The fastest way on this processor; `None` for types that are no blocks of 32 or 256.
pub(super) fn fastest(dtype: GgmlType) -> Option<Dot> {
    simd::dot::dot(dtype).or_else(|| portable::dot(dtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::dequantize;

    const QUANTISED: [GgmlType; 7] =
        [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q8_0, GgmlType::Q4K, GgmlType::Q5K, GgmlType::Q6K];

    /// Bytes that look random, with sane 16-bit scales where the format has scales.
    fn row(dtype: GgmlType, cols: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        let mut bytes: Vec<u8> = (0..dtype.tensor_bytes(&[cols]).unwrap()).map(|_| next()).collect();
        for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
            let scales = match dtype {
                GgmlType::Q4_1 | GgmlType::Q4K | GgmlType::Q5K => vec![0, 2],
                GgmlType::Q6K => vec![208],
                _ => vec![0],
            };
            for at in scales {
                let scale = half::f16::from_f32(0.001 + f32::from(block[at]) * 0.0001);
                block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn every_kernel_agrees_with_plain_floats() {
        let cols = 768;
        for dtype in QUANTISED {
            let row = row(dtype, cols, dtype.id().into());
            let mut weights = vec![0.0; cols];
            dequantize(dtype, &row, &mut weights);
            for rows in 1..=9 {
                let x: Vec<f32> = (0..rows * cols).map(|at| ((at * 37 % 101) as f32 - 50.0) / 25.0).collect();
                let activations = Activations::quantise(&x, cols, dtype);
                let expected: Vec<f32> = (0..rows)
                    .map(|row| {
                        let at = row * cols;
                        let scales = activations.scales[at / 32..].iter().flat_map(|scale| [*scale; 32]);
                        let x = activations.quants[at..][..cols].iter().zip(scales);
                        x.zip(&weights).map(|((&quant, scale), weight)| f32::from(quant) * scale * weight).sum()
                    })
                    .collect();
                for dot in [portable::dot(dtype).unwrap(), fastest(dtype).unwrap()] {
                    let mut out = vec![f32::NAN; rows];
                    dot(&row, &activations, &mut out);
                    for (out, expected) in out.iter().zip(&expected) {
                        let size = weights.iter().map(|weight| weight.abs()).sum::<f32>();
                        assert!((out - expected).abs() <= 1e-5 * size, "{dtype:?}, {rows} rows: {out}, not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn extreme_bytes_do_not_overflow() {
        for dtype in QUANTISED {
            for fill in [0x00, 0x7f, 0x80, 0xff] {
                let mut row = row(dtype, 256, 1);
                let untouched = row.clone();
                row.fill(fill);
                // The 16-bit floats stay sane.
                for (block, from) in
                    row.chunks_exact_mut(dtype.block_bytes()).zip(untouched.chunks_exact(dtype.block_bytes()))
                {
                    let at = if dtype == GgmlType::Q6K { 208 } else { 0 };
                    block[at..at + 2].copy_from_slice(&from[at..at + 2]);
                    if matches!(dtype, GgmlType::Q4_1 | GgmlType::Q4K | GgmlType::Q5K) {
                        block[2..4].copy_from_slice(&from[2..4]);
                    }
                }
                for sign in [1.0, -1.0] {
                    let activations = Activations::quantise(&[sign; 256], 256, dtype);
                    let (mut portable, mut fast) = ([0.0], [0.0]);
                    portable::dot(dtype).unwrap()(&row, &activations, &mut portable);
                    fastest(dtype).unwrap()(&row, &activations, &mut fast);
                    let near = (portable[0] - fast[0]).abs() <= 1e-4 * portable[0].abs().max(1.0);
                    assert!(near, "{dtype:?} {fill:#x}: {} and {}", portable[0], fast[0]);
                }
            }
        }
    }
}
