//! The kernels as burn operations, for the Flex device.

use super::attention::{Heads, LayerCache};
use super::blocks::BlockMatrix;
use super::dense::{self, Attention, DenseLayer, KvRows, View};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// `x`, `[n, cols]`, times the matrix transposed: `[n, rows]`.
pub(crate) fn multiply(x: Tensor<2>, matrix: &Arc<BlockMatrix>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::multiply_blocks(x.into_dispatch(), matrix.clone()))
}

/// [`LayerCache::attend`].
pub(crate) fn attend(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    cache: &Arc<Mutex<LayerCache>>,
    heads: Heads,
    start: usize,
) -> Tensor<2> {
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attend_cached(q, k, v, cache.clone(), heads, start))
}

/// The activation after a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Gelu,
}

/// A dense layer of each row of `x`.
pub(crate) fn dense(x: Tensor<2>, layer: &Arc<DenseLayer>, then: Then) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::dense_layer(x.into_dispatch(), layer.clone(), then))
}

/// A dense layer of each row of `x`, added to `sum`.
pub(crate) fn dense_onto(sum: Tensor<2>, x: Tensor<2>, layer: &Arc<DenseLayer>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::dense_layer_onto(sum.into_dispatch(), x.into_dispatch(), layer.clone()))
}

/// A convolution over three rows of `x` at a time, with a row of zeros before the first and after the last, and GELU;
/// the layer's columns are the three rows one after another.
pub(crate) fn convolve(x: Tensor<2>, layer: &Arc<DenseLayer>, stride: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::convolve_rows(x.into_dispatch(), layer.clone(), stride))
}

/// The factor and the summand of a layer norm, for each column.
#[derive(Debug)]
pub(crate) struct NormWeights {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) epsilon: f32,
}

/// Layer norm of each row.
pub(crate) fn norm(x: Tensor<2>, weights: &Arc<NormWeights>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::norm_rows(x.into_dispatch(), weights.clone()))
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
pub(crate) fn attend_rows(
    queries: Tensor<2>,
    rows: Range<usize>,
    keys_values: Tensor<2>,
    columns: AttentionColumns,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::attend_to_rows(queries.into_dispatch(), rows, keys_values.into_dispatch(), columns))
}

/// [`KvRows::attend`].
pub(crate) fn attend_causal(projected: Tensor<2>, cache: &Arc<Mutex<KvRows>>, heads: usize, start: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::attend_to_cache(projected.into_dispatch(), cache.clone(), heads, start))
}

#[backend_extension(Flex)]
trait KernelOps: Backend {
    fn dense_layer(x: FloatTensor<Self>, layer: Arc<DenseLayer>, then: Then) -> FloatTensor<Self>;
    fn dense_layer_onto(sum: FloatTensor<Self>, x: FloatTensor<Self>, layer: Arc<DenseLayer>) -> FloatTensor<Self>;
    fn convolve_rows(x: FloatTensor<Self>, layer: Arc<DenseLayer>, stride: usize) -> FloatTensor<Self>;
    fn norm_rows(x: FloatTensor<Self>, weights: Arc<NormWeights>) -> FloatTensor<Self>;
    fn attend_to_rows(
        queries: FloatTensor<Self>,
        rows: Range<usize>,
        keys_values: FloatTensor<Self>,
        columns: AttentionColumns,
    ) -> FloatTensor<Self>;
    fn attend_to_cache(
        projected: FloatTensor<Self>,
        cache: Arc<Mutex<KvRows>>,
        heads: usize,
        start: usize,
    ) -> FloatTensor<Self>;
    fn multiply_blocks(x: FloatTensor<Self>, matrix: Arc<BlockMatrix>) -> FloatTensor<Self>;
    fn attend_cached(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cache: Arc<Mutex<LayerCache>>,
        heads: Heads,
        start: usize,
    ) -> FloatTensor<Self>;
}

impl KernelOps for Flex {
    fn dense_layer(x: FlexTensor, layer: Arc<DenseLayer>, then: Then) -> FlexTensor {
        let x = x.to_contiguous();
        let [rows, cols] = x.layout().shape().dims::<2>();
        let mut out = layer.forward(View::new(floats(&x), cols));
        if then == Then::Gelu {
            dense::gelu(&mut out);
        }
        tensor(out, [rows, layer.matrix.rows()])
    }

    fn dense_layer_onto(sum: FlexTensor, x: FlexTensor, layer: Arc<DenseLayer>) -> FlexTensor {
        let (sum, x) = (sum.to_contiguous(), x.to_contiguous());
        let [_, cols] = x.layout().shape().dims::<2>();
        let mut out = floats(&sum).to_vec();
        layer.add_to(View::new(floats(&x), cols), &mut out);
        tensor(out, sum.layout().shape().dims::<2>())
    }

    fn convolve_rows(x: FlexTensor, layer: Arc<DenseLayer>, stride: usize) -> FlexTensor {
        let x = x.to_contiguous();
        let [rows, cols] = x.layout().shape().dims::<2>();
        let mut padded = vec![0.0; (rows + 2) * cols];
        padded[cols..][..rows * cols].copy_from_slice(floats(&x));
        let count = rows.div_ceil(stride);
        let mut out = layer.forward(View::part(&padded, count, 3 * cols, stride * cols));
        dense::gelu(&mut out);
        tensor(out, [count, layer.matrix.rows()])
    }

    fn norm_rows(x: FlexTensor, weights: Arc<NormWeights>) -> FlexTensor {
        let x = x.to_contiguous();
        let out = dense::layer_norm(floats(&x), &weights.gamma, &weights.beta, weights.epsilon);
        tensor(out, x.layout().shape().dims::<2>())
    }

    fn attend_to_rows(
        queries: FlexTensor,
        rows: Range<usize>,
        keys_values: FlexTensor,
        columns: AttentionColumns,
    ) -> FlexTensor {
        let (queries, keys_values) = (queries.to_contiguous(), keys_values.to_contiguous());
        let AttentionColumns { heads, width, keys, values } = columns;
        let [_, step] = queries.layout().shape().dims::<2>();
        let count = rows.len();
        let queries = View::part(&floats(&queries)[rows.start * step..], count, width, step);
        let [positions, step] = keys_values.layout().shape().dims::<2>();
        let part = |at: usize| View::part(&floats(&keys_values)[at..], positions, width, step);
        let (keys, values) = (part(keys), part(values));
        tensor(Attention { queries, keys, values, heads, causal: false }.attend(), [count, width])
    }

    fn attend_to_cache(projected: FlexTensor, cache: Arc<Mutex<KvRows>>, heads: usize, start: usize) -> FlexTensor {
        let projected = projected.to_contiguous();
        let [count, columns] = projected.layout().shape().dims::<2>();
        tensor(cache.lock().attend(floats(&projected), heads, start), [count, columns / 3])
    }

    fn multiply_blocks(x: FlexTensor, matrix: Arc<BlockMatrix>) -> FlexTensor {
        let x = x.to_contiguous();
        let rows = x.layout().shape().dims::<2>()[0];
        tensor(matrix.multiply(floats(&x)), [rows, matrix.shape()[0]])
    }

    fn attend_cached(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        cache: Arc<Mutex<LayerCache>>,
        heads: Heads,
        start: usize,
    ) -> FlexTensor {
        let (q, k, v) = (q.to_contiguous(), k.to_contiguous(), v.to_contiguous());
        let shape = q.layout().shape().dims::<2>();
        tensor(cache.lock().attend(floats(&q), floats(&k), floats(&v), heads, start), shape)
    }
}

fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("activations are contiguous 32-bit floats")
}

fn tensor(values: Vec<f32>, shape: [usize; 2]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape)), DType::F32)
}
