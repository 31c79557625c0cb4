//! Whisper's encoder and decoder.
//!
//! Radford et al. (2022): a transformer whose layers normalise before they compute, GELU with the error function,
//! attention heads of `width / heads`, and an output projection tied to the token embedding. Rows are positions.

use super::layers::{Conv, CrossAttention, DecoderLayer, EncoderLayer, Loader};
use super::shape::Shape;
use crate::kernels::dense::{DenseLayer, DenseMatrix, KvRows, LayerNorm};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use tertulia::{Error, ErrorCode, Result};

/// A loaded Whisper.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) shape: Shape,
    device: Device,
    conv1: Conv,
    conv2: Conv,
    audio_positions: Tensor<2>,
    pub(super) encoder_layers: Vec<EncoderLayer>,
    encoder_norm: LayerNorm,
    /// `[tokens, width]`, the output projection too.
    embedding: DenseLayer,
    text_positions: Tensor<2>,
    decoder_layers: Vec<DecoderLayer>,
    decoder_norm: LayerNorm,
}

impl Network {
    /// Reads all tensors.
    ///
    /// # Errors
    /// A model code where a tensor is absent or has another shape.
    pub(super) fn load(shape: Shape, mut load: Loader<'_>) -> Result<Self> {
        let (width, heads) = (shape.width, shape.decoder_heads);
        let mut encoder_layers = Vec::new();
        let (conv1, conv2) =
            (load.conv("encoder.conv1", shape.mel_bins, width, 1)?, load.conv("encoder.conv2", width, width, 2)?);
        let audio_positions = load.tensor("encoder.positional_embedding", [shape.audio_positions, width])?;
        for block in (0..shape.encoder_layers).map(|i| format!("encoder.blocks.{i}")) {
            encoder_layers.push(EncoderLayer {
                attention: load.self_attention(&block, width, shape.encoder_heads, DenseMatrix::new)?,
                mlp: load.mlp(&block, width, DenseMatrix::new)?,
            });
        }
        let encoder_norm = load.norm("encoder.ln_post", width)?;
        let embedding = load.embedding("decoder.token_embedding.weight", shape.tokens, width)?;
        let text_positions = load.tensor("decoder.positional_embedding", [shape.text_positions, width])?;
        let mut decoder_layers = Vec::new();
        for block in (0..shape.decoder_layers).map(|i| format!("decoder.blocks.{i}")) {
            let name = |part: &str| format!("{block}.cross_attn.{part}");
            decoder_layers.push(DecoderLayer {
                attention: load.self_attention(&block, width, heads, DenseMatrix::compact)?,
                cross: CrossAttention {
                    norm: load.norm(&format!("{block}.cross_attn_ln"), width)?,
                    query: load.layer(&name("query"), width, width, DenseMatrix::compact)?,
                    key_value: load.layer(&name("key_value"), width, 2 * width, DenseMatrix::new)?,
                    out: load.layer(&name("out"), width, width, DenseMatrix::compact)?,
                    heads,
                },
                mlp: load.mlp(&block, width, DenseMatrix::compact)?,
            });
        }
        let decoder_norm = load.norm("decoder.ln", width)?;
        Ok(Self {
            shape,
            device: load.device.clone(),
            conv1,
            conv2,
            audio_positions,
            encoder_layers,
            encoder_norm,
            embedding,
            text_positions,
            decoder_layers,
            decoder_norm,
        })
    }

    /// The log-mel spectrum after the first convolution, `[frames, width]`, with two frames for a position, of which
    /// there are [`Shape::audio_positions`] at most.
    pub(super) fn conv1(&self, mel: Vec<f32>) -> Tensor<2> {
        let frames = mel.len() / self.shape.mel_bins;
        let mel = Tensor::<2>::from_data(TensorData::new(mel, [self.shape.mel_bins, frames]), &self.device);
        self.conv1.forward(mel.transpose())
    }

    /// The encoder's input, `[positions, width]`, from what [`conv1`](Self::conv1) gave of the audio from position
    /// `first` on.
    pub(super) fn encoder_input(&self, frames: Tensor<2>, first: usize) -> Tensor<2> {
        let x = self.conv2.forward(frames);
        let positions = x.dims()[0];
        x + self.audio_positions.clone().slice(first..first + positions)
    }

    /// The encoder from spectrum to output, in one go.
    pub(super) fn encode(&self, mel: Vec<f32>) -> Tensor<2> {
        let mut x = self.encoder_input(self.conv1(mel), 0);
        for layer in &self.encoder_layers {
            let projected = layer.project(&x);
            let rows = x.dims()[0];
            x = layer.forward(&x, 0..rows, &projected, &projected);
        }
        self.encoder_output(x)
    }

    /// The encoder's output from its last layer's.
    pub(super) fn encoder_output(&self, x: Tensor<2>) -> Tensor<2> {
        self.encoder_norm.forward(x)
    }

    /// How many decoder layers attend to the encoder.
    pub(super) fn cross_layers(&self) -> usize {
        self.decoder_layers.len()
    }

    /// The cross attention's keys and values of one decoder layer.
    pub(super) fn cross_keys(&self, layer: usize, encoded: &Tensor<2>) -> KeyValues {
        KeyValues(self.decoder_layers[layer].cross.key_value.forward(encoded.clone()))
    }

    /// An empty cache with room for all of the decoder's positions.
    pub(super) fn kv_cache(&self) -> KvCache {
        let rows = |_| KvRows::with_capacity(self.shape.text_positions, self.shape.width);
        KvCache { layers: self.decoder_layers.iter().map(rows).collect(), len: 0 }
    }

    /// The decoder's last rows for `tokens`, which follow those that `cache` holds; they join it.
    ///
    /// A `probe` is given the attention that these tokens pay to the encoder's positions.
    pub(super) fn decode(
        &self,
        tokens: &[u32],
        cross: &[KeyValues],
        cache: &mut KvCache,
        mut probe: Option<&mut AttentionProbe>,
    ) -> Result<Tensor<2>> {
        let end = cache.len + tokens.len();
        if end > self.shape.text_positions || tokens.is_empty() {
            return Err(Error::new(ErrorCode::RecognizerFailed, "decoder has too few positions for the tokens"));
        }
        let mut x = self.embed(tokens) + self.text_positions.clone().slice(cache.len..end);
        for (index, (layer, rows)) in self.decoder_layers.iter().zip(&mut cache.layers).enumerate() {
            x = layer.attention.extend(x, rows, cache.len);
            x = layer.cross.forward(x, &cross[index], index, probe.as_deref_mut())?;
            x = layer.mlp.forward(x);
        }
        cache.len = end;
        Ok(self.decoder_norm.forward(x))
    }

    fn embed(&self, tokens: &[u32]) -> Tensor<2> {
        let width = self.shape.width;
        let mut rows = vec![0.0; tokens.len() * width];
        for (token, row) in tokens.iter().zip(rows.chunks_exact_mut(width)) {
            self.embedding.matrix.row(*token as usize, row);
        }
        Tensor::from_data(TensorData::new(rows, [tokens.len(), width]), &self.device)
    }

    /// The logits of the token after row `row` of what [`decode`](Self::decode) gave.
    ///
    /// # Errors
    /// [`ErrorCode::RecognizerFailed`] where the device fails.
    pub(super) fn logits(&self, rows: &Tensor<2>, row: usize) -> Result<Vec<f32>> {
        self.all_logits(rows.clone().slice(row..row + 1))
    }

    /// The logits of the token after each row, row by row.
    ///
    /// # Errors
    /// As for [`logits`](Self::logits).
    pub(super) fn all_logits(&self, rows: Tensor<2>) -> Result<Vec<f32>> {
        values(self.embedding.forward(rows))
    }
}

/// Keys and values of one decoder layer's cross attention: `[positions, 2 * width]`.
#[derive(Clone, Debug)]
pub(super) struct KeyValues(pub(super) Tensor<2>);

impl KeyValues {
    /// How many positions there are to attend to.
    pub(super) fn positions(&self) -> usize {
        self.0.dims()[0]
    }
}

/// The decoder's keys and values of the tokens before.
#[derive(Debug)]
pub(super) struct KvCache {
    layers: Vec<KvRows>,
    len: usize,
}

impl KvCache {
    /// How many tokens it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Drops all but the first `len` tokens.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// Collects the attention that chosen heads pay to the first positions of the encoder.
#[derive(Debug)]
pub(super) struct AttentionProbe {
    /// `(decoder layer, head)`.
    pub(super) heads: Vec<(usize, usize)>,
    /// How many of the encoder's positions count.
    pub(super) positions: usize,
    /// For each head, its weights `[tokens, positions]`, each row summing to one.
    pub(super) weights: Vec<Vec<f32>>,
}

impl AttentionProbe {
    /// Takes in one layer's attention.
    pub(super) fn add(&mut self, layer: usize, queries: &Tensor<2>, keys: &Tensor<2>, head_width: usize) -> Result<()> {
        let rows = queries.dims()[0];
        for (_, head) in self.heads.iter().filter(|(at, _)| *at == layer) {
            let columns = head * head_width..(head + 1) * head_width;
            let queries = queries.clone().slice([0..rows, columns.clone()]);
            let keys = keys.clone().slice([0..self.positions, columns]);
            let scores = queries.matmul(keys.transpose()) / (head_width as f32).sqrt();
            self.weights.push(values(softmax(scores, 1))?);
        }
        Ok(())
    }
}

/// The tensor's values, row by row.
pub(super) fn values<const D: usize>(x: Tensor<D>) -> Result<Vec<f32>> {
    x.into_data().try_to_vec().map_err(|error| {
        Error::new(ErrorCode::RecognizerFailed, format!("tensor cannot be read from the device: {error:?}"))
    })
}
