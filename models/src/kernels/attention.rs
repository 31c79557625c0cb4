//! Causal attention over a cache of keys and values in 16-bit floats.
#![allow(unsafe_code, reason = "tasks write to columns of their own")]

use super::columns::Columns;
use super::lanes;
use super::view::{FEW_ROWS, View, multiply};
use gemm::Parallelism;
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Positions whose keys or values are unpacked at a time.
const POSITIONS: usize = 64;
/// Rows of queries that a task takes.
const QUERY_ROWS: usize = 32;

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

impl Heads {
    /// Query heads of a key head.
    fn group(self) -> usize {
        self.queries / self.keys
    }
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
    pub(crate) fn attend(&mut self, [q, k, v]: [&[f32]; 3], heads: Heads, start: usize) -> Vec<f32> {
        let row_len = heads.keys * heads.len;
        assert!(start * row_len <= self.keys.len(), "positions follow each other");
        append(&mut self.keys, k, start * row_len, row_len);
        append(&mut self.values, v, start * row_len, row_len);
        let mut out = vec![0.0; q.len()];
        let width = heads.queries * heads.len;
        let sums = Columns::new(&mut out, width);
        let blocks = (q.len() / width).div_ceil(QUERY_ROWS);
        (0..blocks * heads.keys).into_par_iter().for_each(|task| {
            let (first, head) = (task / heads.keys * QUERY_ROWS, task % heads.keys);
            let rows = q[first * width..].chunks(width).take(QUERY_ROWS);
            let columns = head * heads.group() * heads.len;
            let queries: Vec<f32> =
                rows.flat_map(|row| &row[columns..][..heads.group() * heads.len]).copied().collect();
            let means = self.means(&queries, heads, head, start + first);
            for (row, means) in (first..).zip(means.chunks_exact(heads.group() * heads.len)) {
                // SAFETY: no other task has these rows' columns of this head.
                unsafe { sums.add(row, columns, means) };
            }
        });
        out
    }

    /// The weighted means of the values for the queries of one key head, whose first row is at position `start`.
    fn means(&self, queries: &[f32], heads: Heads, head: usize, start: usize) -> Vec<f32> {
        let len = heads.len;
        let queries = View::new(queries, len);
        let positions = start + queries.rows / heads.group();
        let mut scores = vec![0.0f32; queries.rows * positions];
        let mut unpacked = vec![0.0f32; POSITIONS * len];
        for first in (0..positions).step_by(POSITIONS) {
            let keys = self.unpack(&self.keys, heads, head, first..positions.min(first + POSITIONS), &mut unpacked);
            if queries.rows > FEW_ROWS {
                multiply(queries, keys.transposed(), &mut scores[first..], positions, false, Parallelism::None);
            } else {
                for (row, scores) in scores.chunks_exact_mut(positions).enumerate() {
                    lanes::dot_rows(queries.row(row), keys, &mut scores[first..][..keys.rows]);
                }
            }
        }
        let scale = 1.0 / (len as f32).sqrt();
        for (row, scores) in scores.chunks_exact_mut(positions).enumerate() {
            let (seen, unseen) = scores.split_at_mut(start + row / heads.group() + 1);
            lanes::softmax(seen, scale);
            unseen.fill(0.0);
        }
        let mut means = vec![0.0; queries.rows * len];
        for first in (0..positions).step_by(POSITIONS) {
            let values = self.unpack(&self.values, heads, head, first..positions.min(first + POSITIONS), &mut unpacked);
            let weights = View::part(&scores[first..], queries.rows, values.rows, positions);
            if queries.rows > FEW_ROWS {
                multiply(weights, values, &mut means, len, true, Parallelism::None);
            } else {
                for (row, means) in means.chunks_exact_mut(len).enumerate() {
                    lanes::weigh_rows(weights.row(row), values, means);
                }
            }
        }
        means
    }

    /// One head of some rows of the cache.
    fn unpack<'a>(
        &self,
        rows: &[f16],
        heads: Heads,
        head: usize,
        positions: std::ops::Range<usize>,
        out: &'a mut [f32],
    ) -> View<'a> {
        let row_len = heads.keys * heads.len;
        let rows = rows[positions.start * row_len..positions.end * row_len].chunks_exact(row_len);
        for (row, out) in rows.zip(out.chunks_exact_mut(heads.len)) {
            lanes::unpack(&row[head * heads.len..][..heads.len], out);
        }
        View::new(&out[..positions.len() * heads.len], heads.len)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_sees_the_positions_up_to_its_own() {
        let mut random = fastrand::Rng::with_seed(3);
        for (heads, steps) in [
            (Heads { queries: 14, keys: 2, len: 64 }, [1, 70, 1, 1]),
            (Heads { queries: 3, keys: 3, len: 40 }, [5, 1, 130, 2]),
            (Heads { queries: 6, keys: 3, len: 32 }, [40, 33, 1, 1]),
        ] {
            let (width, row_len) = (heads.queries * heads.len, heads.keys * heads.len);
            let mut values = |len: usize| -> Vec<f32> { (0..len).map(|_| random.f32() * 2.0 - 1.0).collect() };
            let (mut cache, mut start) = (LayerCache::default(), 0);
            for count in steps {
                let (q, k, v) = (values(count * width), values(count * row_len), values(count * row_len));
                let ours = cache.attend([&q, &k, &v], heads, start);
                for (row, head) in (0..count).flat_map(|row| (0..heads.queries).map(move |head| (row, head))) {
                    let query = &q[row * width + head * heads.len..][..heads.len];
                    let at = |position: usize| position * row_len + head / heads.group() * heads.len;
                    let weight = |position: usize| {
                        let key = &cache.keys[at(position)..];
                        let dot: f64 = query.iter().zip(key).map(|(q, k)| f64::from(*q) * k.to_f64()).sum();
                        (dot / (heads.len as f64).sqrt()).exp()
                    };
                    let weights: Vec<f64> = (0..=start + row).map(weight).collect();
                    for i in 0..heads.len {
                        let sum: f64 = (0..).zip(&weights).map(|(p, w)| w * cache.values[at(p) + i].to_f64()).sum();
                        let exact = sum / weights.iter().sum::<f64>();
                        let ours = f64::from(ours[row * width + head * heads.len + i]);
                        assert!((ours - exact).abs() < 1e-4, "{heads:?}, row {row}, head {head}: {ours}, not {exact}");
                    }
                }
                start += count;
            }
        }
    }
}
