//! The kernels as burn operations, for the Flex device.

use super::attention::{Heads, LayerCache};
use super::blocks::BlockMatrix;
use super::dense::{self, Attention, DenseLayer, View};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// Whether the kernels run on this device.
pub(crate) fn supported(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

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

/// What follows a dense layer.
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

/// Which rows and columns hold what attention needs.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) heads: usize,
    /// Columns of queries, keys and values.
    pub(crate) width: usize,
    /// The rows that ask, whose queries are the first columns.
    pub(crate) asking: Range<usize>,
    /// The first column of the keys and of the values, among those of the rows that are asked.
    pub(crate) keys_at: usize,
    pub(crate) values_at: usize,
    /// Whether the last row that asks sees all rows, and each before it one less.
    pub(crate) causal: bool,
}

/// Attention of rows of `asking` to those of `asked`: `[n, width]`.
pub(crate) fn attend_rows(asking: Tensor<2>, asked: Tensor<2>, places: Places) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::attend_to_rows(asking.into_dispatch(), asked.into_dispatch(), places))
}

#[backend_extension(Flex)]
trait KernelOps: Backend {
    fn dense_layer(x: FloatTensor<Self>, layer: Arc<DenseLayer>, then: Then) -> FloatTensor<Self>;
    fn dense_layer_onto(sum: FloatTensor<Self>, x: FloatTensor<Self>, layer: Arc<DenseLayer>) -> FloatTensor<Self>;
    fn convolve_rows(x: FloatTensor<Self>, layer: Arc<DenseLayer>, stride: usize) -> FloatTensor<Self>;
    fn norm_rows(x: FloatTensor<Self>, weights: Arc<NormWeights>) -> FloatTensor<Self>;
    fn attend_to_rows(asking: FloatTensor<Self>, asked: FloatTensor<Self>, places: Places) -> FloatTensor<Self>;
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

    fn attend_to_rows(asking: FlexTensor, asked: FlexTensor, places: Places) -> FlexTensor {
        let (asking, asked) = (asking.to_contiguous(), asked.to_contiguous());
        let Places { heads, width, causal, .. } = places;
        let count = places.asking.len();
        let [_, step] = asking.layout().shape().dims::<2>();
        let queries = View::part(&floats(&asking)[places.asking.start * step..], count, width, step);
        let [positions, step] = asked.layout().shape().dims::<2>();
        let part = |at: usize| View::part(&floats(&asked)[at..], positions, width, step);
        let (keys, values) = (part(places.keys_at), part(places.values_at));
        tensor(Attention { queries, keys, values, heads, causal }.attend(), [count, width])
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
