//! Causal attention over a cache of keys and values in 16-bit floats.

use super::dot_in_lanes;
use super::flex::{Floats, matrix};
use burn::tensor::Tensor;
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Fewer products than this are not worth a second thread.
const PARALLEL_MIN: usize = 1 << 16;

/// The shape of one layer's attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) queries: usize,
    /// Key and value heads; each serves `queries / keys` query heads.
    pub(crate) keys: usize,
    /// Elements of one head.
    pub(crate) len: usize,
}

/// One layer's keys and values, a row of `heads.keys * heads.len` elements for each position.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    keys: Vec<f16>,
    values: Vec<f16>,
}

impl LayerCache {
    /// Attends from positions `start..start + n` to all up to and including themselves. `q` is
    /// `[n, queries * len]`, `k` and `v` are `[n, keys * len]`; what the cache held from `start` on is replaced.
    /// Gives `[n, queries * len]`.
    pub(crate) fn attend(&mut self, q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, heads: Heads, start: usize) -> Tensor<2> {
        let [q, k, v] = [q, k, v].map(Floats::of);
        let row_len = heads.keys * heads.len;
        assert!(start * row_len <= self.keys.len(), "positions follow each other");
        append(&mut self.keys, &k, start * row_len, row_len);
        append(&mut self.values, &v, start * row_len, row_len);
        let mut out = vec![0.0; q.len()];
        let attend = |(at, (q, out)): (usize, (&[f32], &mut [f32]))| {
            let (position, head) = (start + at / heads.queries, at % heads.queries);
            let offset = head / (heads.queries / heads.keys) * heads.len;
            attend_one(q, &self.keys, &self.values, position + 1, row_len, offset, out);
        };
        if q.len() * (start + 1) < PARALLEL_MIN {
            q.chunks_exact(heads.len).zip(out.chunks_exact_mut(heads.len)).enumerate().for_each(attend);
        } else {
            q.par_chunks_exact(heads.len).zip(out.par_chunks_exact_mut(heads.len)).enumerate().for_each(attend);
        }
        matrix(out, [q.rows, q.cols])
    }
}

fn append(cache: &mut Vec<f16>, rows: &[f32], at: usize, row_len: usize) {
    /// Rows by which the cache grows, so that it is not copied at each token.
    const GROWTH: usize = 256;
    cache.truncate(at);
    if cache.capacity() - at < rows.len() {
        cache.reserve_exact(rows.len() + GROWTH * row_len);
    }
    cache.resize(at + rows.len(), f16::ZERO);
    cache[at..].convert_from_f32_slice(rows);
}

/// One query against the first `positions` rows; its head lies at `offset` in each row.
fn attend_one(
    q: &[f32],
    keys: &[f16],
    values: &[f16],
    positions: usize,
    row_len: usize,
    offset: usize,
    out: &mut [f32],
) {
    let scale = 1.0 / (q.len() as f32).sqrt();
    let mut row = vec![0.0f32; q.len()];
    let mut weights = vec![0.0f32; positions];
    for (weight, key) in weights.iter_mut().zip(keys.chunks_exact(row_len)) {
        key[offset..][..q.len()].convert_to_f32_slice(&mut row);
        *weight = scale * dot_in_lanes::<8>(q, &row);
    }
    let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for weight in &mut weights {
        *weight = (*weight - most).exp();
        total += *weight;
    }
    for (weight, value) in weights.iter().zip(values.chunks_exact(row_len)) {
        value[offset..][..q.len()].convert_to_f32_slice(&mut row);
        for (out, value) in out.iter_mut().zip(&row) {
            *out += weight / total * value;
        }
    }
}
