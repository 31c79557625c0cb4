//! Matrices on burn's Flex device as the floats that kernels read and write.

use burn::backend::Flex;
use burn::tensor::{Bytes, DType, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};
use std::ops::Deref;

/// The elements of a matrix, row by row.
pub(crate) struct Floats {
    tensor: FlexTensor,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Floats {
    /// # Panics
    /// Where `x` is on another device: the kernels run on Flex alone.
    pub(crate) fn of(x: Tensor<2>) -> Self {
        let [rows, cols] = x.dims();
        let tensor = x.try_into_primitive::<Flex>().expect("models compute on the Flex device").to_contiguous();
        Self { tensor, rows, cols }
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.tensor.as_slice().expect("activations are contiguous 32-bit floats")
    }
}

/// The matrix with these elements, row by row.
pub(crate) fn matrix(values: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
    let layout = Layout::contiguous(Shape::from(shape));
    Tensor::from_primitive::<Flex>(FlexTensor::new(Bytes::from_elems(values), layout, DType::F32))
}
