//! Dot products in plain Rust, for every processor: a block becomes floats once for all rows of activations.

use super::Dot;
use crate::gguf::{GgmlType, dequantize};
use crate::kernels::activations::{Activations, GROUP};

/// The way for this type; `None` for types that are no blocks.
pub(super) fn dot(dtype: GgmlType) -> Option<Dot> {
    (dtype.block_len() > 1)
        .then(|| -> Dot { Box::new(move |row, activations, out| dot_row(dtype, row, activations, out)) })
}

fn dot_row(dtype: GgmlType, row: &[u8], activations: &Activations, out: &mut [f32]) {
    let mut weights = [0.0; 256];
    let weights = &mut weights[..dtype.block_len()];
    out.fill(0.0);
    for (block_at, block) in row.chunks_exact(dtype.block_bytes()).enumerate() {
        dequantize(dtype, block, weights);
        for (row_at, out) in out.iter_mut().enumerate() {
            let at = row_at * activations.cols + block_at * weights.len();
            let quants = activations.quants[at..][..weights.len()].as_chunks::<GROUP>().0;
            let scales = &activations.scales[at / GROUP..];
            for ((weights, quants), scale) in weights.as_chunks::<GROUP>().0.iter().zip(quants).zip(scales) {
                *out += scale * dot_group(weights, quants);
            }
        }
    }
}

/// In eight lanes, which the compiler turns into vectors.
fn dot_group(weights: &[f32; GROUP], quants: &[i8; GROUP]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (weights, quants) in weights.as_chunks::<8>().0.iter().zip(quants.as_chunks::<8>().0) {
        for (lane, (weight, quant)) in lanes.iter_mut().zip(weights.iter().zip(quants)) {
            *lane += weight * f32::from(*quant);
        }
    }
    lanes.iter().sum()
}
