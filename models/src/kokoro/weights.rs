//! Reads the network's tensors out of its GGUF file, each checked against the shape that the network has.

use crate::gguf::Gguf;
use burn::tensor::{Device, Tensor, TensorData};
use tertulia::Result;

/// A file and the device that its tensors go to.
pub(super) struct Weights<'a> {
    file: &'a Gguf,
    device: &'a Device,
}

impl<'a> Weights<'a> {
    pub(super) fn new(file: &'a Gguf, device: &'a Device) -> Self {
        Self { file, device }
    }

    pub(super) fn device(&self) -> &'a Device {
        self.device
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.file.has_tensor(name)
    }

    /// The tensor as f32.
    ///
    /// # Errors
    /// `ModelCorrupt` where it is missing or has another shape.
    pub(super) fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>> {
        Ok(Tensor::from_data(TensorData::new(self.values(name, &shape)?, shape), self.device))
    }

    /// The tensor's elements as f32, row major.
    ///
    /// # Errors
    /// `ModelCorrupt` where it is missing or has another shape.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.file.tensor_of(name, shape)?.to_f32()
    }
}
