//! Inner loops over 32-bit floats, with the widest vectors that the processor has.

mod portable;

use super::simd::{halves, widest};
use super::view::View;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// The sum of products.
pub(crate) fn dot_halves(a: &[f32], b: &[f16]) -> f32 {
    if let Some(sum) = halves::dot(a, b) {
        return sum;
    }
    let mut unpacked = [0.0f32; 64];
    let mut total = 0.0;
    for (a, b) in a.chunks(64).zip(b.chunks(64)) {
        unpack(b, &mut unpacked[..b.len()]);
        total += portable::dot(a, &unpacked[..a.len()]);
    }
    total
}

/// 16 bits to 32.
pub(crate) fn unpack(packed: &[f16], out: &mut [f32]) {
    if !halves::unpack(packed, out) {
        packed.convert_to_f32_slice(out);
    }
}

widest! {
    /// The sum of products.
    dot(a: &[f32], b: &[f32]) -> f32;
    /// The product of one row with each of others.
    dot_rows(row: &[f32], others: View<'_>, out: &mut [f32]);
    /// Adds rows, each times its weight.
    weigh_rows(weights: &[f32], rows: View<'_>, out: &mut [f32]);
    /// Weights that sum to one, from scores times `scale`.
    softmax(scores: &mut [f32], scale: f32);
    /// GELU with the error function.
    gelu(values: &mut [f32]);
    /// Layer norm of one row.
    layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, out: &mut [f32]);
    /// Divides a row by its root mean square, and multiplies it with `weights`.
    rms_norm(x: &[f32], weights: &[f32], epsilon: f32, out: &mut [f32]);
    /// SiLU of each gate, times the other value.
    silu_times(gates: &mut [f32], values: &[f32]);
    /// Turns pairs of values by an angle.
    rotate(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32]);
    /// Adds values.
    add(sum: &mut [f32], values: &[f32]);
}
