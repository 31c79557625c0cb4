//! Functions of each element or row, on all threads.

use super::lanes;
use rayon::prelude::*;

/// Elements that are worth a task of their own.
pub(crate) const TASK_ELEMENTS: usize = 16 * 1024;

/// GELU with the error function.
pub(crate) fn gelu(values: &mut [f32]) {
    values.par_chunks_mut(TASK_ELEMENTS).for_each(lanes::gelu);
}

/// SiLU of each gate, times the other value.
pub(crate) fn silu_times(gates: &mut [f32], values: &[f32]) {
    let tasks = gates.par_chunks_mut(TASK_ELEMENTS).zip(values.par_chunks(TASK_ELEMENTS));
    tasks.for_each(|(gates, values)| lanes::silu_times(gates, values));
}

/// Layer norm of each row: mean 0 and variance 1, then `gamma` and `beta`.
pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    each_row(x, gamma.len(), |x, out| lanes::layer_norm(x, gamma, beta, epsilon, out))
}

/// Root mean square norm of each row, then `weights`.
pub(crate) fn rms_norm(x: &[f32], weights: &[f32], epsilon: f32) -> Vec<f32> {
    each_row(x, weights.len(), |x, out| lanes::rms_norm(x, weights, epsilon, out))
}

/// Rows of `width`, each written from the row of `x`.
fn each_row(x: &[f32], width: usize, write: impl Fn(&[f32], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let rows = (TASK_ELEMENTS / width).max(1) * width;
    out.par_chunks_mut(rows).zip(x.par_chunks(rows)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            write(x, out);
        }
    });
    out
}
