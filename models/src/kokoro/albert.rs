//! ALBERT over phonemes (PL-BERT, Li et al. 2023): twelve times the same layer.

use super::layers::{LayerNorm, Linear};
use super::weights::Weights;
use burn::tensor::activation::{gelu_approximate, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use tertulia::Result;
use tertulia::backend::CancelFlag;

const LAYERS: usize = 12;
const HEADS: usize = 12;
const EMBEDDING: usize = 128;
/// The width of what comes out.
pub(super) const WIDTH: usize = 768;
const INNER: usize = 2048;
const EPSILON: f64 = 1e-12;
/// The most symbols of one utterance, the two that enclose it included.
pub(super) const POSITIONS: usize = 512;

pub(super) struct Albert {
    words: Tensor<2>,
    positions: Tensor<2>,
    segment: Tensor<2>,
    embedding_norm: LayerNorm,
    widen: Linear,
    query: Linear,
    key: Linear,
    value: Linear,
    dense: Linear,
    attention_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    norm: LayerNorm,
}

impl Albert {
    pub(super) fn load(weights: &Weights<'_>, symbols: usize) -> Result<Self> {
        let embeddings = "bert.embeddings";
        let layer = "bert.encoder.albert_layer_groups.0.albert_layers.0";
        let linear = |name: &str, inputs, outputs| Linear::load(weights, &format!("{layer}.{name}"), inputs, outputs);
        let norm = |name: &str, width| {
            LayerNorm::load(weights, [&format!("{name}.weight"), &format!("{name}.bias")], width, EPSILON)
        };
        let table = |name: &str, rows| weights.tensor(&format!("{embeddings}.{name}.weight"), [rows, EMBEDDING]);
        let segments: Tensor<2> = table("token_type_embeddings", 2)?;
        Ok(Self {
            words: table("word_embeddings", symbols)?,
            positions: table("position_embeddings", POSITIONS)?,
            segment: segments.narrow(0, 0, 1),
            embedding_norm: norm(&format!("{embeddings}.LayerNorm"), EMBEDDING)?,
            widen: Linear::load(weights, "bert.encoder.embedding_hidden_mapping_in", EMBEDDING, WIDTH)?,
            query: linear("attention.query", WIDTH, WIDTH)?,
            key: linear("attention.key", WIDTH, WIDTH)?,
            value: linear("attention.value", WIDTH, WIDTH)?,
            dense: linear("attention.dense", WIDTH, WIDTH)?,
            attention_norm: norm(&format!("{layer}.attention.LayerNorm"), WIDTH)?,
            inner: linear("ffn", WIDTH, INNER)?,
            outer: linear("ffn_output", INNER, WIDTH)?,
            norm: norm(&format!("{layer}.full_layer_layer_norm"), WIDTH)?,
        })
    }

    /// Symbol ids to `[time, WIDTH]`.
    pub(super) fn forward(&self, ids: &Tensor<1, Int>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let [rows] = ids.dims();
        let x = self.words.clone().select(0, ids.clone()) + self.positions.clone().narrow(0, 0, rows);
        let mut x = self.widen.forward(self.embedding_norm.forward(x + self.segment.clone()));
        for _ in 0..LAYERS {
            cancel.check()?;
            let attended = self.attention_norm.forward(self.attention(x.clone()) + x);
            let inner = gelu_approximate(self.inner.forward(attended.clone()));
            x = self.norm.forward(self.outer.forward(inner) + attended);
        }
        Ok(x)
    }

    fn attention(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, _] = x.dims();
        let head = WIDTH / HEADS;
        let heads = |linear: &Linear| linear.forward(x.clone()).reshape([rows, HEADS, head]).swap_dims(0, 1);
        let scores = heads(&self.query).matmul(heads(&self.key).swap_dims(1, 2)) / (head as f64).sqrt();
        let mixed = softmax(scores, 2).matmul(heads(&self.value));
        self.dense.forward(mixed.swap_dims(0, 1).reshape([rows, WIDTH]))
    }
}

/// Ids as a tensor.
pub(super) fn id_tensor(ids: &[u32], weights_on: &burn::tensor::Device) -> Tensor<1, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let len = ids.len();
    Tensor::from_data(TensorData::new(ids, [len]), weights_on)
}
