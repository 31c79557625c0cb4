//! The layers of Whisper's network, and how they are loaded.
//!
//! Computed by the kernels of [`dense`](crate::kernels::dense); the decoder's weights stay in 16 bits where the file has
//! them so.

use super::network::{AttentionProbe, KeyValues};
use super::shape::KERNEL;
use crate::gguf::Gguf;
use crate::kernels::dense::{AttentionColumns, DenseLayer, DenseMatrix, KvRows, LayerNorm, attend, attend_causal};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::Range;
use tertulia::Result;

const NORM_EPSILON: f32 = 1e-5;

/// A convolution over three rows, with GELU.
#[derive(Debug)]
pub(super) struct Conv {
    layer: DenseLayer,
    stride: usize,
}

impl Conv {
    /// `[rows, channels]`
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.layer.convolve_gelu(x, self.stride)
    }
}

#[derive(Debug)]
pub(super) struct Mlp {
    norm: LayerNorm,
    up: DenseLayer,
    down: DenseLayer,
}

impl Mlp {
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.up.forward_gelu(self.norm.forward(x.clone()));
        self.down.forward_onto(x, y)
    }
}

#[derive(Debug)]
pub(super) struct SelfAttention {
    norm: LayerNorm,
    qkv: DenseLayer,
    out: DenseLayer,
    heads: usize,
}

impl SelfAttention {
    /// Queries, keys and values of some rows: `[rows, 3 * width]`.
    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        self.qkv.forward(self.norm.forward(x))
    }

    /// Attention of some of the projected rows to all there are.
    fn attend(&self, projected: &Tensor<2>, rows: Range<usize>, all: &Tensor<2>) -> Tensor<2> {
        let width = projected.dims()[1] / 3;
        let columns = AttentionColumns { heads: self.heads, width, keys: width, values: 2 * width };
        attend(projected.clone(), rows, all.clone(), columns)
    }

    /// Rows at the positions from `start` on attend to those in the cache, which they join, and to one another, never
    /// ahead.
    pub(super) fn extend(&self, x: Tensor<2>, cache: &mut KvRows, start: usize) -> Tensor<2> {
        let y = attend_causal(self.project(x.clone()), cache, self.heads, start);
        self.out.forward_onto(x, y)
    }
}

/// One layer of the encoder, computed some rows at a time so that a cancel takes effect in between.
#[derive(Debug)]
pub(super) struct EncoderLayer {
    pub(super) attention: SelfAttention,
    pub(super) mlp: Mlp,
}

impl EncoderLayer {
    /// Queries, keys and values of the layer's rows.
    pub(super) fn project(&self, x: &Tensor<2>) -> Tensor<2> {
        self.attention.project(x.clone())
    }

    /// Some rows of the layer's output for `x`, from what [`project`](Self::project) gave of `x`, and of all rows that
    /// these attend to.
    pub(super) fn forward(
        &self,
        x: &Tensor<2>,
        rows: Range<usize>,
        projected: &Tensor<2>,
        all: &Tensor<2>,
    ) -> Tensor<2> {
        let y = self.attention.attend(projected, rows.clone(), all);
        self.mlp.forward(self.attention.out.forward_onto(x.clone().slice([rows]), y))
    }
}

#[derive(Debug)]
pub(super) struct DecoderLayer {
    pub(super) attention: SelfAttention,
    pub(super) cross: CrossAttention,
    pub(super) mlp: Mlp,
}

#[derive(Debug)]
pub(super) struct CrossAttention {
    pub(super) norm: LayerNorm,
    pub(super) query: DenseLayer,
    pub(super) key_value: DenseLayer,
    pub(super) out: DenseLayer,
    pub(super) heads: usize,
}

impl CrossAttention {
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        encoded: &KeyValues,
        layer: usize,
        probe: Option<&mut AttentionProbe>,
    ) -> Result<Tensor<2>> {
        let queries = self.query.forward(self.norm.forward(x.clone()));
        let [rows, width] = queries.dims();
        if let Some(probe) = probe {
            probe.add(layer, &queries, &encoded.0, width / self.heads)?;
        }
        let columns = AttentionColumns { heads: self.heads, width, keys: 0, values: width };
        let y = attend(queries, 0..rows, encoded.0.clone(), columns);
        Ok(self.out.forward_onto(x, y))
    }
}

/// How a matrix is kept: for many rows at a time, or for a few.
type Pack = fn(Vec<f32>, usize) -> DenseMatrix;

/// Makes layers of a file's tensors.
pub(super) struct Loader<'a> {
    pub(super) file: &'a Gguf,
    pub(super) device: &'a Device,
    /// Tensors that are read, and all there are.
    pub(super) done: usize,
    pub(super) all: usize,
    /// Called with 0 to 1.
    pub(super) progress: &'a mut dyn FnMut(f32),
}

impl Loader<'_> {
    fn values(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>> {
        let values = self.file.tensor_of(name, dims)?.to_f32()?;
        self.done += 1;
        (self.progress)(self.done as f32 / self.all as f32);
        Ok(values)
    }

    pub(super) fn tensor<const D: usize>(&mut self, name: &str, dims: [usize; D]) -> Result<Tensor<D>> {
        let values = self.values(name, &dims)?;
        Ok(Tensor::from_data(TensorData::new(values, dims), self.device))
    }

    pub(super) fn layer(&mut self, name: &str, inputs: usize, outputs: usize, pack: Pack) -> Result<DenseLayer> {
        let matrix = pack(self.values(&format!("{name}.weight"), &[outputs, inputs])?, inputs);
        let bias = self.values(&format!("{name}.bias"), &[outputs])?;
        Ok(DenseLayer { matrix, bias })
    }

    pub(super) fn embedding(&mut self, name: &str, rows: usize, width: usize) -> Result<DenseLayer> {
        let matrix = DenseMatrix::compact(self.values(name, &[rows, width])?, width);
        Ok(DenseLayer { matrix, bias: Vec::new() })
    }

    pub(super) fn norm(&mut self, name: &str, width: usize) -> Result<LayerNorm> {
        let gamma = self.values(&format!("{name}.weight"), &[width])?;
        let beta = self.values(&format!("{name}.bias"), &[width])?;
        Ok(LayerNorm { gamma, beta, epsilon: NORM_EPSILON })
    }

    pub(super) fn conv(&mut self, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Conv> {
        let weights = self.values(&format!("{name}.weight"), &[outputs, inputs, KERNEL])?;
        let bias = self.values(&format!("{name}.bias"), &[outputs])?;
        // Of each output, the columns of one row of the input after those of the row before.
        let cols = KERNEL * inputs;
        let from = |at: usize| at / cols * cols + at % inputs * KERNEL + at % cols / inputs;
        let matrix = DenseMatrix::new((0..weights.len()).map(|at| weights[from(at)]).collect(), cols);
        Ok(Conv { layer: DenseLayer { matrix, bias }, stride })
    }

    pub(super) fn self_attention(
        &mut self,
        block: &str,
        width: usize,
        heads: usize,
        pack: Pack,
    ) -> Result<SelfAttention> {
        Ok(SelfAttention {
            norm: self.norm(&format!("{block}.attn_ln"), width)?,
            qkv: self.layer(&format!("{block}.attn.qkv"), width, 3 * width, pack)?,
            out: self.layer(&format!("{block}.attn.out"), width, width, pack)?,
            heads,
        })
    }

    pub(super) fn mlp(&mut self, block: &str, width: usize, pack: Pack) -> Result<Mlp> {
        Ok(Mlp {
            norm: self.norm(&format!("{block}.mlp_ln"), width)?,
            up: self.layer(&format!("{block}.mlp.0"), width, 4 * width, pack)?,
            down: self.layer(&format!("{block}.mlp.2"), 4 * width, width, pack)?,
        })
    }
}
