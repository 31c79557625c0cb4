//! [`BlockMatrix`]: a weight matrix in GGUF's own blocks, multiplied without being unpacked.

use super::activations::Activations;
use super::dot::{self, Dot};
use super::dot_in_lanes;
use super::flex::{Floats, matrix};
use crate::gguf::{GgmlType, SharedTensor, dequantize};
use burn::tensor::Tensor;
use rayon::prelude::*;
use tertulia::{Error, ErrorCode, Result};

/// A task takes at least this many bytes of weights, so that handing it out costs little beside it.
const TASK_BYTES_MIN: usize = 64 * 1024;

/// A weight matrix `[rows, cols]`, in the blocks of the file that it is mapped from.
pub(crate) struct BlockMatrix {
    tensor: SharedTensor,
    rows: usize,
    cols: usize,
    /// `None` for 16 and 32-bit floats.
    dot: Option<Dot>,
}

impl BlockMatrix {
    /// # Errors
    /// [`ErrorCode::ModelUnsupported`] for a tensor that is no matrix of blocks or floats.
    pub(crate) fn new(tensor: SharedTensor) -> Result<Self> {
        let view = tensor.view();
        let dot = dot::fastest(view.dtype);
        let known = dot.is_some() || matches!(view.dtype, GgmlType::F32 | GgmlType::F16);
        match *view.shape {
            [rows, cols] if known => Ok(Self { rows, cols, dot, tensor }),
            _ => Err(Error::new(ErrorCode::ModelUnsupported, format!("tensor {} is no weight matrix", view.name))),
        }
    }

    /// Writes row `row` as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let view = self.tensor.view();
        dequantize(view.dtype, &view.data[row * self.row_bytes()..][..self.row_bytes()], out);
    }

    /// `x`, `[n, cols]`, times the matrix transposed: `[n, rows]`.
    pub(crate) fn multiply(&self, x: Tensor<2>) -> Tensor<2> {
        let x = &Floats::of(x);
        let (count, dtype) = (x.rows, self.tensor.view().dtype);
        let by_row = match &self.dot {
            Some(dot) => {
                let activations = Activations::quantise(x, self.cols, dtype);
                self.each_row(count, |row, out| dot(row, &activations, out))
            }
            None => self.each_row(count, |row, out| {
                let mut weights = vec![0.0; self.cols];
                dequantize(dtype, row, &mut weights);
                for (x, out) in x.chunks_exact(self.cols).zip(out) {
                    *out = dot_in_lanes::<16>(x, &weights);
                }
            }),
        };
        let by_column = if count == 1 { by_row } else { transpose(&by_row, self.rows, count) };
        matrix(by_column, [count, self.rows])
    }

    fn row_bytes(&self) -> usize {
        self.tensor.view().data.len() / self.rows
    }

    /// `[rows, count]`, each row filled by `dot`.
    fn each_row(&self, count: usize, dot: impl Fn(&[u8], &mut [f32]) + Sync) -> Vec<f32> {
        let row_bytes = self.row_bytes();
        let task_rows = TASK_BYTES_MIN.div_ceil(row_bytes * count).max(8);
        let mut out = vec![0.0; self.rows * count];
        let weights = self.tensor.view().data.par_chunks(row_bytes * task_rows);
        weights.zip(out.par_chunks_mut(count * task_rows)).for_each(|(rows, out)| {
            for (row, out) in rows.chunks_exact(row_bytes).zip(out.chunks_exact_mut(count)) {
                dot(row, out);
            }
        });
        out
    }
}

impl std::fmt::Debug for BlockMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}, {}]", self.tensor.view().name, self.rows, self.cols)
    }
}

/// `[rows, cols]` to `[cols, rows]`.
fn transpose(values: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    // Runs of sixteen rows: what is read and what is written both stay in the cache.
    for first in (0..rows).step_by(16) {
        let end = rows.min(first + 16);
        for col in 0..cols {
            for row in first..end {
                out[col * rows + row] = values[row * cols + col];
            }
        }
    }
    out
}
