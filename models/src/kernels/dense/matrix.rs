//! Weight matrices and their products.
//!
//! Large products go to the `gemm` crate; a few rows at a time are multiplied here, with weights that are read once and
//! may be stored in 16 bits.

use crate::kernels::lanes;
use crate::kernels::view::{FEW_ROWS, View, multiply};
use gemm::Parallelism;
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// A task multiplies at least this many weights.
const TASK_WEIGHTS: usize = 32 * 1024;
/// Weight rows of 16 bits that are unpacked at a time, for products with many rows.
const UNPACKED_ROWS: usize = 192;

/// A weight matrix `[rows, cols]`.
#[derive(Debug)]
pub(crate) struct DenseMatrix {
    cols: usize,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Full(Vec<f32>),
    Half(Vec<f16>),
}

impl DenseMatrix {
    /// A matrix for products with many rows.
    pub(crate) fn new(weights: Vec<f32>, cols: usize) -> Self {
        assert!(cols > 0 && weights.len().is_multiple_of(cols), "whole rows");
        Self { cols, weights: Weights::Full(weights) }
    }

    /// A matrix for products with a few rows: in 16 bits where nothing is lost by it.
    pub(crate) fn compact(weights: Vec<f32>, cols: usize) -> Self {
        assert!(cols > 0 && weights.len().is_multiple_of(cols), "whole rows");
        let mut halves = vec![f16::ZERO; weights.len()];
        halves.convert_from_f32_slice(&weights);
        let lossless = halves.iter().zip(&weights).all(|(half, full)| half.to_f32() == *full);
        if lossless { Self { cols, weights: Weights::Half(halves) } } else { Self::new(weights, cols) }
    }

    pub(crate) fn rows(&self) -> usize {
        let len = match &self.weights {
            Weights::Full(weights) => weights.len(),
            Weights::Half(weights) => weights.len(),
        };
        len / self.cols
    }

    /// Writes row `row` as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let span = row * self.cols..(row + 1) * self.cols;
        match &self.weights {
            Weights::Full(weights) => out.copy_from_slice(&weights[span]),
            Weights::Half(weights) => lanes::unpack(&weights[span], out),
        }
    }

    /// Adds `x`, `[n, cols]`, times the matrix transposed to `out`, `[n, rows]`.
    pub(crate) fn multiply_add(&self, x: View<'_>, out: &mut [f32]) {
        let rows = self.rows();
        assert_eq!((x.cols, out.len()), (self.cols, x.rows * rows), "whole rows");
        match &self.weights {
            Weights::Full(weights) if x.rows > FEW_ROWS => {
                let weights = View::new(weights, self.cols);
                multiply(x, weights.transposed(), out, rows, true, Parallelism::Rayon(0));
            }
            Weights::Half(weights) if x.rows > FEW_ROWS => self.many_rows_of_halves(x, weights, out),
            _ => self.few_rows(x, out, rows),
        }
    }

    /// Unpacks some weights at a time, and multiplies all rows of `x` with them.
    fn many_rows_of_halves(&self, x: View<'_>, weights: &[f16], out: &mut [f32]) {
        let rows = self.rows();
        let panels = weights.par_chunks(UNPACKED_ROWS * self.cols);
        let products: Vec<Vec<f32>> = panels
            .map(|panel| {
                let mut unpacked = vec![0.0f32; panel.len()];
                lanes::unpack(panel, &mut unpacked);
                let panel = View::new(&unpacked, self.cols).transposed();
                let mut products = vec![0.0f32; x.rows * panel.cols];
                multiply(x, panel, &mut products, panel.cols, false, Parallelism::None);
                products
            })
            .collect();
        for (row, out) in out.chunks_exact_mut(rows).enumerate() {
            for (products, out) in products.iter().zip(out.chunks_mut(UNPACKED_ROWS)) {
                let products = &products[row * out.len()..][..out.len()];
                out.iter_mut().zip(products).for_each(|(out, product)| *out += product);
            }
        }
    }

    /// Each weight is read once, for all rows of `x`.
    fn few_rows(&self, x: View<'_>, out: &mut [f32], rows: usize) {
        let count = x.rows;
        let task_rows = (TASK_WEIGHTS / (self.cols * count.min(4))).max(1);
        let mut products = vec![0.0f32; rows * count];
        products.par_chunks_mut(task_rows * count).enumerate().for_each(|(task, products)| {
            let mut unpacked = vec![0.0f32; self.cols];
            for (at, products) in products.chunks_exact_mut(count).enumerate() {
                let row = task * task_rows + at;
                let span = row * self.cols..(row + 1) * self.cols;
                let weights = match &self.weights {
                    Weights::Full(weights) => &weights[span],
                    Weights::Half(weights) if count == 1 => {
                        products[0] = lanes::dot_halves(x.row(0), &weights[span]);
                        continue;
                    }
                    Weights::Half(weights) => {
                        lanes::unpack(&weights[span], &mut unpacked);
                        &unpacked
                    }
                };
                for (row, product) in products.iter_mut().enumerate() {
                    *product = lanes::dot(x.row(row), weights);
                }
            }
        });
        for (row, products) in products.chunks_exact(count).enumerate() {
            for (at, product) in products.iter().enumerate() {
                out[at * rows + row] += product;
            }
        }
    }
}
