//! The layers of a transformer on burn's tensors.

use super::attention::{Attention, KvRows};
use super::matrix::DenseMatrix;
use crate::kernels::flex::{Floats, matrix};
use crate::kernels::maths::{gelu, layer_norm};
use crate::kernels::view::View;
use burn::tensor::Tensor;
use std::ops::Range;

/// A matrix and what is added to its products.
#[derive(Debug)]
pub(crate) struct DenseLayer {
    pub(crate) matrix: DenseMatrix,
    /// One for each row; none adds nothing.
    pub(crate) bias: Vec<f32>,
}

impl DenseLayer {
    /// The layer's output for each row of `x`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = Floats::of(x);
        matrix(self.outputs(View::new(&x, x.cols)), [x.rows, self.matrix.rows()])
    }

    /// The layer's output for each row of `x`, then GELU.
    pub(crate) fn forward_gelu(&self, x: Tensor<2>) -> Tensor<2> {
        let x = Floats::of(x);
        let mut out = self.outputs(View::new(&x, x.cols));
        gelu(&mut out);
        matrix(out, [x.rows, self.matrix.rows()])
    }

    /// The layer's output for each row of `x`, added to `sum`.
    pub(crate) fn forward_onto(&self, sum: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        let (sum, x) = (Floats::of(sum), Floats::of(x));
        let mut out = sum.to_vec();
        self.add_outputs(View::new(&x, x.cols), &mut out);
        matrix(out, [sum.rows, sum.cols])
    }

    /// A convolution over three rows of `x` at a time, with a row of zeros before the first and after the last, and GELU;
    /// the layer's columns are the three rows one after another.
    pub(crate) fn convolve_gelu(&self, x: Tensor<2>, stride: usize) -> Tensor<2> {
        let x = Floats::of(x);
        let mut padded = vec![0.0; (x.rows + 2) * x.cols];
        padded[x.cols..][..x.len()].copy_from_slice(&x);
        let count = x.rows.div_ceil(stride);
        let mut out = self.outputs(View::part(&padded, count, 3 * x.cols, stride * x.cols));
        gelu(&mut out);
        matrix(out, [count, self.matrix.rows()])
    }

    fn outputs(&self, x: View<'_>) -> Vec<f32> {
        let mut out = vec![0.0; x.rows * self.matrix.rows()];
        self.add_outputs(x, &mut out);
        out
    }

    fn add_outputs(&self, x: View<'_>, out: &mut [f32]) {
        if !self.bias.is_empty() {
            for out in out.chunks_exact_mut(self.bias.len()) {
                out.iter_mut().zip(&self.bias).for_each(|(out, bias)| *out += bias);
            }
        }
        self.matrix.multiply_add(x, out);
    }
}

/// Layer norm: the factor and the summand of each column.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl LayerNorm {
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = Floats::of(x);
        matrix(layer_norm(&x, &self.gamma, &self.beta, self.epsilon), [x.rows, x.cols])
    }
}

/// Where attention finds its heads among the columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionColumns {
    pub(crate) heads: usize,
    /// Columns of queries, keys and values; the queries are the first ones of their rows.
    pub(crate) width: usize,
    /// The first column of the keys and of the values.
    pub(crate) keys: usize,
    pub(crate) values: usize,
}

/// Attention of the queries in `rows` to all keys: `[rows, width]`.
pub(crate) fn attend(
    queries: Tensor<2>,
    rows: Range<usize>,
    keys_values: Tensor<2>,
    columns: AttentionColumns,
) -> Tensor<2> {
    let (queries, keys_values) = (Floats::of(queries), Floats::of(keys_values));
    let AttentionColumns { heads, width, keys, values } = columns;
    let count = rows.len();
    let part = |at: usize| View::part(&keys_values[at..], keys_values.rows, width, keys_values.cols);
    let (keys, values) = (part(keys), part(values));
    let queries = View::part(&queries[rows.start * queries.cols..], count, width, queries.cols);
    matrix(Attention { queries, keys, values, heads, causal: false }.attend(), [count, width])
}

/// Causal attention of the rows from position `start` on to those in the cache, which they join, and to one another:
/// `[n, 3 * width]`, queries, keys and values, to `[n, width]`.
pub(crate) fn attend_causal(projected: Tensor<2>, cache: &mut KvRows, heads: usize, start: usize) -> Tensor<2> {
    let projected = Floats::of(projected);
    matrix(cache.attend(&projected, heads, start), [projected.rows, projected.cols / 3])
}
