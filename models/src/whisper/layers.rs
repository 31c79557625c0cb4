//! The layers of Whisper's network, and how they are loaded.
//!
//! Computed by the kernels of [`dense`](crate::kernels::dense); the decoder's weights stay in 16 bits where the file has
//! them so.

use super::network::{AttentionProbe, KeyValues, TensorSource};
use super::shape::KERNEL;
use crate::kernels::dense::{DenseLayer, DenseMatrix, KvRows};
use crate::kernels::ops::{self, AttentionColumns, NormWeights, Then};
use burn::tensor::{Device, Tensor, TensorData};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use tertulia::Result;

const NORM_EPSILON: f32 = 1e-5;

/// A convolution over three rows, with GELU.
#[derive(Debug)]
pub(super) struct Conv {
    layer: Arc<DenseLayer>,
    stride: usize,
}

impl Conv {
    /// `[rows, channels]`
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::convolve(x, &self.layer, self.stride)
    }
}

#[derive(Debug)]
pub(super) struct Linear(Arc<DenseLayer>);

impl Linear {
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::dense(x, &self.0, Then::Nothing)
    }

    fn forward_gelu(&self, x: Tensor<2>) -> Tensor<2> {
        ops::dense(x, &self.0, Then::Gelu)
    }

    /// The layer's output for `x` added to `sum`.
    fn forward_onto(&self, sum: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        ops::dense_onto(sum, x, &self.0)
    }

    /// Rows of the weights.
    pub(super) fn rows(&self, rows: &[u32], device: &Device) -> Tensor<2> {
        let width = self.0.matrix.cols();
        let mut values = vec![0.0; rows.len() * width];
        for (row, values) in rows.iter().zip(values.chunks_exact_mut(width)) {
            self.0.matrix.row(*row as usize, values);
        }
        Tensor::from_data(TensorData::new(values, [rows.len(), width]), device)
    }
}

#[derive(Debug)]
pub(super) struct Norm(Arc<NormWeights>);

impl Norm {
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::norm(x, &self.0)
    }
}

#[derive(Debug)]
pub(super) struct Mlp {
    norm: Norm,
    up: Linear,
    down: Linear,
}

impl Mlp {
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.up.forward_gelu(self.norm.forward(x.clone()));
        self.down.forward_onto(x, y)
    }
}

#[derive(Debug)]
pub(super) struct SelfAttention {
    norm: Norm,
    qkv: Linear,
    out: Linear,
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
        ops::attend_rows(projected.clone(), rows, all.clone(), columns)
    }

    /// Rows at the positions from `start` on attend to those in the cache, which they join, and to one another, never
    /// ahead.
    pub(super) fn extend(&self, x: Tensor<2>, cache: &Arc<Mutex<KvRows>>, start: usize) -> Tensor<2> {
        let y = ops::attend_causal(self.project(x.clone()), cache, self.heads, start);
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
    pub(super) norm: Norm,
    pub(super) query: Linear,
    pub(super) key_value: Linear,
    pub(super) out: Linear,
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
        let y = ops::attend_rows(queries, 0..rows, encoded.0.clone(), columns);
        Ok(self.out.forward_onto(x, y))
    }
}

/// How a matrix is kept: for many rows at a time, or for a few.
type Pack = fn(Vec<f32>, usize) -> DenseMatrix;

/// Makes layers of a source's tensors.
pub(super) struct Loader<'a> {
    pub(super) source: &'a mut dyn TensorSource,
    pub(super) device: &'a Device,
}

impl Loader<'_> {
    pub(super) fn tensor<const D: usize>(&mut self, name: &str, dims: [usize; D]) -> Result<Tensor<D>> {
        let values = self.source.values(name, &dims)?;
        Ok(Tensor::from_data(TensorData::new(values, dims), self.device))
    }

    pub(super) fn layer(&mut self, name: &str, inputs: usize, outputs: usize, pack: Pack) -> Result<Linear> {
        let matrix = pack(self.source.values(&format!("{name}.weight"), &[outputs, inputs])?, inputs);
        let bias = self.source.values(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear(Arc::new(DenseLayer { matrix, bias })))
    }

    pub(super) fn embedding(&mut self, name: &str, rows: usize, width: usize) -> Result<Linear> {
        let matrix = DenseMatrix::compact(self.source.values(name, &[rows, width])?, width);
        Ok(Linear(Arc::new(DenseLayer { matrix, bias: Vec::new() })))
    }

    pub(super) fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        let gamma = self.source.values(&format!("{name}.weight"), &[width])?;
        let beta = self.source.values(&format!("{name}.bias"), &[width])?;
        Ok(Norm(Arc::new(NormWeights { gamma, beta, epsilon: NORM_EPSILON })))
    }

    pub(super) fn conv(&mut self, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Conv> {
        let weights = self.source.values(&format!("{name}.weight"), &[outputs, inputs, KERNEL])?;
        let bias = self.source.values(&format!("{name}.bias"), &[outputs])?;
        // Of each output, the columns of one row of the input after those of the row before.
        let cols = KERNEL * inputs;
        let from = |at: usize| at / cols * cols + at % inputs * KERNEL + at % cols / inputs;
        let matrix = DenseMatrix::new((0..weights.len()).map(|at| weights[from(at)]).collect(), cols);
        Ok(Conv { layer: Arc::new(DenseLayer { matrix, bias }), stride })
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
