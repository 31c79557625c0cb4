//! [`Weights`]: a weight matrix of a GGUF file, multiplied with rows of floats.
#![allow(unsafe_code, reason = "tasks write to columns of their own")]

use super::activations::Activations;
use super::columns::Columns;
use super::lanes;
use super::packed::PackedMatrix;
use crate::gguf::{GgmlType, SharedTensor, dequantize};
use rayon::prelude::*;
use tertulia::{Error, ErrorCode, Result};

/// A weight matrix `[rows, cols]`: packed if its blocks are quantised, else as it lies in the file.
pub(crate) struct Weights {
    rows: usize,
    cols: usize,
    stored: Stored,
}

enum Stored {
    Packed(PackedMatrix),
    /// 16 or 32-bit floats.
    Floats(SharedTensor),
}

impl Weights {
    /// # Errors
    /// [`ErrorCode::ModelUnsupported`] for a tensor that is no matrix of blocks or floats.
    pub(crate) fn new(tensor: SharedTensor) -> Result<Self> {
        let view = tensor.view();
        let (&[rows, cols], packed) = (view.shape, PackedMatrix::new(&view)) else {
            return Err(Error::new(ErrorCode::ModelUnsupported, format!("tensor {} is no matrix", view.name)));
        };
        let stored = match packed {
            Some(packed) => {
                tensor.release();
                Stored::Packed(packed)
            }
            None if matches!(view.dtype, GgmlType::F32 | GgmlType::F16) => Stored::Floats(tensor),
            None => {
                let why = format!("tensor {} is no weight matrix", view.name);
                return Err(Error::new(ErrorCode::ModelUnsupported, why));
            }
        };
        Ok(Self { rows, cols, stored })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Writes row `row` as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        match &self.stored {
            Stored::Packed(matrix) => matrix.row(row, out),
            Stored::Floats(tensor) => float_row(tensor, row, out),
        }
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.cols)
    }
}

/// A matrix of weights, and the sum to which its products are added, `[n, rows]`.
pub(crate) type Product<'a> = (&'a Weights, &'a mut [f32]);

/// Adds `x`, `[n, cols]`, times each matrix transposed to the sum beside it. The matrices are as wide as each other; `x` is
/// quantised once for all, and all threads work on all of them.
pub(crate) fn add_products<const N: usize>(x: &[f32], products: [Product<'_>; N]) {
    let cols = products[0].0.cols;
    let mut quantised: Vec<(usize, Activations)> = Vec::new();
    for (weights, sum) in &products {
        assert!(weights.cols == cols && sum.len() * cols == x.len() * weights.rows, "a sum for each row");
        if let Stored::Packed(matrix) = &weights.stored
            && quantised.iter().all(|(block_len, _)| *block_len != matrix.block_len())
        {
            quantised.push((matrix.block_len(), Activations::quantise(x, cols, matrix.block_len())));
        }
    }
    let jobs =
        products.map(|(weights, sum)| Job { weights, x, quantised: &quantised, sum: Columns::new(sum, weights.rows) });
    let tasks: Vec<(&Job<'_>, usize)> =
        jobs.iter().flat_map(|job| job.tasks().into_iter().map(move |task| (job, task))).collect();
    tasks.into_par_iter().for_each(|(job, task)| {
        // SAFETY: each task is there once.
        unsafe { job.run(task) };
    });
}

struct Job<'a> {
    weights: &'a Weights,
    x: &'a [f32],
    quantised: &'a [(usize, Activations)],
    sum: Columns<'a>,
}

/// Rows of floats that a task multiplies.
const FLOAT_ROWS: usize = 64;

impl Job<'_> {
    /// The first row of each task.
    fn tasks(&self) -> Vec<usize> {
        match &self.weights.stored {
            Stored::Packed(matrix) => matrix.tasks(self.activations(matrix)).collect(),
            Stored::Floats(_) => (0..self.weights.rows).step_by(FLOAT_ROWS).collect(),
        }
    }

    /// # Safety
    /// Each task is given to one thread.
    unsafe fn run(&self, task: usize) {
        match &self.weights.stored {
            // SAFETY: the caller's promise.
            Stored::Packed(matrix) => unsafe { matrix.multiply_add(task, self.activations(matrix), self.sum) },
            Stored::Floats(tensor) => {
                let mut weights = vec![0.0; self.weights.cols];
                for row in task..self.weights.rows.min(task + FLOAT_ROWS) {
                    float_row(tensor, row, &mut weights);
                    for (at, x) in self.x.chunks_exact(weights.len()).enumerate() {
                        // SAFETY: the row is of this task, which is this thread's.
                        unsafe { self.sum.add(at, row, &[lanes::dot(x, &weights)]) };
                    }
                }
            }
        }
    }

    fn activations(&self, matrix: &PackedMatrix) -> &Activations {
        let found = self.quantised.iter().find(|(block_len, _)| *block_len == matrix.block_len());
        &found.expect("quantised for each length of blocks").1
    }
}

fn float_row(tensor: &SharedTensor, row: usize, out: &mut [f32]) {
    let view = tensor.view();
    let row_bytes = out.len() * view.dtype.block_bytes();
    dequantize(view.dtype, &view.data[row * row_bytes..][..row_bytes], out);
}
