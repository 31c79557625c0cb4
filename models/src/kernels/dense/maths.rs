//! Functions of each element or row.

use crate::kernels::lanes;
use rayon::prelude::*;

/// Elements that are worth a task of their own.
pub(super) const TASK_ELEMENTS: usize = 16 * 1024;

/// GELU with the error function.
pub(crate) fn gelu(values: &mut [f32]) {
    values.par_chunks_mut(TASK_ELEMENTS).for_each(lanes::gelu);
}

/// Layer norm of each row: mean 0 and variance 1, then `gamma` and `beta`.
pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let width = gamma.len();
    let mut out = vec![0.0; x.len()];
    let rows = (TASK_ELEMENTS / width).max(1) * width;
    out.par_chunks_mut(rows).zip(x.par_chunks(rows)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            lanes::layer_norm(x, gamma, beta, epsilon, out);
        }
    });
    out
}
