//! The kernels as burn operations, for the Flex device.

use super::attention::{Heads, LayerCache};
use super::blocks::BlockMatrix;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};
use parking_lot::Mutex;
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

#[backend_extension(Flex)]
trait KernelOps: Backend {
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
