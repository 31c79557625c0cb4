//! Attention over rows of 32-bit floats.

use crate::kernels::lanes;
use crate::kernels::maths::TASK_ELEMENTS;
use crate::kernels::view::{FEW_ROWS, View, multiply};
use gemm::Parallelism;
use rayon::prelude::*;

/// Queries that are attended for together.
const QUERIES: usize = 96;

/// Keys and values of a decoder layer, a row of `2 * width` for each position. Memory is reserved once.
#[derive(Debug)]
pub(crate) struct KvRows {
    rows: Vec<f32>,
    width: usize,
}

impl KvRows {
    pub(crate) fn with_capacity(positions: usize, width: usize) -> Self {
        Self { rows: Vec::with_capacity(positions * 2 * width), width }
    }

    /// Attends from positions `start..start + n` to all up to and including themselves: `projected` is `[n, 3 * width]`,
    /// queries, keys and values. What was held from `start` on is replaced. Gives `[n, width]`.
    pub(super) fn attend(&mut self, projected: &[f32], heads: usize, start: usize) -> Vec<f32> {
        let width = self.width;
        assert!(start * 2 * width <= self.rows.len(), "positions follow each other");
        self.rows.truncate(start * 2 * width);
        projected.chunks_exact(3 * width).for_each(|row| self.rows.extend_from_slice(&row[width..]));
        let count = projected.len() / (3 * width);
        let cached = |at: usize| View::part(&self.rows[at..], start + count, width, 2 * width);
        let queries = View::part(projected, count, width, 3 * width);
        Attention { queries, keys: cached(0), values: cached(width), heads, causal: true }.attend()
    }
}

/// The operands of one attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attention<'a> {
    /// `[n, width]`.
    pub(super) queries: View<'a>,
    /// `[positions, width]`.
    pub(super) keys: View<'a>,
    /// `[positions, width]`.
    pub(super) values: View<'a>,
    pub(super) heads: usize,
    /// Query `i` sees the keys before `n - i - 1` from the end, and that one.
    pub(super) causal: bool,
}

impl Attention<'_> {
    /// Each query's weighted mean of the values, `[n, width]`.
    pub(super) fn attend(&self) -> Vec<f32> {
        let (count, width) = (self.queries.rows, self.queries.cols);
        let (positions, len) = (self.keys.rows, width / self.heads);
        let blocks = count.div_ceil(QUERIES);
        let tasks = (0..blocks * self.heads).into_par_iter().with_min_len((TASK_ELEMENTS / (count * positions)).max(1));
        let done: Vec<Vec<f32>> = tasks.map(|task| self.block(task / self.heads, task % self.heads)).collect();
        let mut out = vec![0.0; count * width];
        for (task, done) in done.iter().enumerate() {
            let first = task / self.heads * QUERIES;
            for (row, done) in (first..).zip(done.chunks_exact(len)) {
                out[row * width + task % self.heads * len..][..len].copy_from_slice(done);
            }
        }
        out
    }

    /// One head of some queries.
    fn block(&self, block: usize, head: usize) -> Vec<f32> {
        let len = self.queries.cols / self.heads;
        let positions = self.keys.rows;
        let first = block * QUERIES;
        let count = QUERIES.min(self.queries.rows - first);
        let queries = head_of(self.queries, first, count, head, len);
        let keys = head_of(self.keys, 0, positions, head, len);
        let values = head_of(self.values, 0, positions, head, len);
        let mut scores = vec![0.0f32; count * positions];
        if count > FEW_ROWS {
            multiply(queries, keys.transposed(), &mut scores, positions, false, Parallelism::None);
        } else {
            for (row, scores) in scores.chunks_exact_mut(positions).enumerate() {
                lanes::dot_rows(queries.row(row), keys, scores);
            }
        }
        let scale = 1.0 / (len as f32).sqrt();
        for (row, scores) in scores.chunks_exact_mut(positions).enumerate() {
            let seen = if self.causal { positions + 1 + first + row - self.queries.rows } else { positions };
            let (seen, unseen) = scores.split_at_mut(seen);
            lanes::softmax(seen, scale);
            unseen.fill(0.0);
        }
        let mut out = vec![0.0f32; count * len];
        if count > FEW_ROWS {
            multiply(View::new(&scores, positions), values, &mut out, len, false, Parallelism::None);
        } else {
            for (out, scores) in out.chunks_exact_mut(len).zip(scores.chunks_exact(positions)) {
                lanes::weigh_rows(scores, values, out);
            }
        }
        out
    }
}

fn head_of(view: View<'_>, first: usize, rows: usize, head: usize, len: usize) -> View<'_> {
    View::part(&view.values[first * view.row_step + head * len..], rows, len, view.row_step)
}
