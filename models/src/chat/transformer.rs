//! [`Transformer`]: the network. Root mean square norms, rotary positions, grouped-query attention and a gated
//! feed-forward part (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>); Qwen2 adds biases to the attention's
//! inputs.

use super::config::{Config, RopePairs};
use super::tokenizer::Token;
use crate::gguf::Gguf;
use crate::kernels::attention::LayerCache;
use crate::kernels::blocks::BlockMatrix;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;
use tertulia::backend::CancelFlag;
use tertulia::{Error, ErrorCode, Result};

#[derive(Debug)]
pub(super) struct Transformer {
    config: Config,
    device: Device,
    embedding: BlockMatrix,
    layers: Vec<Layer>,
    norm: Tensor<1>,
    output: Linear,
    /// The angle by which each pair turns from one position to the next.
    angles: Vec<f64>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Tensor<1>,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    inner_norm: Tensor<1>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Debug)]
struct Linear {
    weights: BlockMatrix,
    bias: Option<Tensor<2>>,
}

/// Keys and values of each layer.
#[derive(Debug)]
pub(super) struct KvCache(Vec<LayerCache>);

impl Transformer {
    /// Reads a network whose vocabulary has `vocabulary_len` tokens. `progress` is called with 0 to 1.
    ///
    /// # Errors
    /// `ModelCorrupt` or `ModelUnsupported` where tensors are missing or do not fit together.
    pub(super) fn load(
        file: &Arc<Gguf>,
        config: Config,
        vocabulary_len: usize,
        device: &Device,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let loader = Loader { file, device };
        let Config { width, inner, heads, .. } = config;
        let (query_width, key_width) = (heads.queries * heads.len, heads.keys * heads.len);
        let embedding = loader.matrix("token_embd.weight", [vocabulary_len, width])?;
        let mut layers = Vec::new();
        for at in 0..config.layers {
            let name = |part: &str| format!("blk.{at}.{part}");
            layers.push(Layer {
                attention_norm: loader.vector(&name("attn_norm.weight"), width)?,
                query: loader.linear(&name("attn_q"), [query_width, width])?,
                key: loader.linear(&name("attn_k"), [key_width, width])?,
                value: loader.linear(&name("attn_v"), [key_width, width])?,
                attention_output: loader.linear(&name("attn_output"), [width, query_width])?,
                inner_norm: loader.vector(&name("ffn_norm.weight"), width)?,
                gate: loader.linear(&name("ffn_gate"), [inner, width])?,
                up: loader.linear(&name("ffn_up"), [inner, width])?,
                down: loader.linear(&name("ffn_down"), [width, inner])?,
            });
            progress((at + 1) as f32 / (config.layers + 1) as f32);
        }
        // Small models use the embedding for their output, too.
        let tied = !file.has_tensor("output.weight");
        let output = loader.linear(if tied { "token_embd" } else { "output" }, [vocabulary_len, width])?;
        let norm = loader.vector("output_norm.weight", width)?;
        let angles = loader.angles(&config)?;
        progress(1.0);
        Ok(Self { config, device: device.clone(), embedding, layers, norm, output, angles })
    }

    /// An empty cache.
    pub(super) fn cache(&self) -> KvCache {
        KvCache(self.layers.iter().map(|_| LayerCache::default()).collect())
    }

    /// Evaluates `tokens` at the positions from `start` on and writes them into the cache, replacing what it held
    /// from there on. Gives the hidden states, `[tokens, width]`.
    ///
    /// # Errors
    /// `Cancelled`; the cache still holds what it held up to `start`.
    pub(super) fn evaluate(
        &self,
        tokens: &[Token],
        start: usize,
        cache: &mut KvCache,
        cancel: &CancelFlag,
    ) -> Result<Tensor<2>> {
        let width = self.config.width;
        let mut embedded = vec![0.0; tokens.len() * width];
        for (&token, row) in tokens.iter().zip(embedded.chunks_exact_mut(width)) {
            self.embedding.row(token as usize, row);
        }
        let turns = self.turns(start, tokens.len());
        let mut x = Tensor::<2>::from_data(TensorData::new(embedded, [tokens.len(), width]), &self.device);
        for (layer, memory) in self.layers.iter().zip(&mut cache.0) {
            cancel.check()?;
            let normed = self.normalise(x.clone(), &layer.attention_norm);
            x = x + self.attend(layer, normed, &turns, memory, start);
            let normed = self.normalise(x.clone(), &layer.inner_norm);
            let gated = silu(layer.gate.forward(normed.clone())) * layer.up.forward(normed);
            x = x + layer.down.forward(gated);
        }
        Ok(x)
    }

    /// The logits after each of the hidden states, `[states, vocabulary]`, row major.
    ///
    /// # Errors
    /// `ChatFailed` where one is not a number.
    pub(super) fn logits(&self, hidden: Tensor<2>) -> Result<Vec<f32>> {
        let logits = self.output.forward(self.normalise(hidden, &self.norm));
        let failed = |what: &str| Error::new(ErrorCode::ChatFailed, what);
        let logits = logits.into_data().try_into_vec::<f32>().map_err(|_| failed("logits cannot be read"))?;
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(failed("logit is not a number"));
        }
        Ok(logits)
    }

    fn attend(
        &self,
        layer: &Layer,
        x: Tensor<2>,
        turns: &(Tensor<3>, Tensor<3>),
        memory: &mut LayerCache,
        start: usize,
    ) -> Tensor<2> {
        let heads = self.config.heads;
        let [count, _] = x.dims();
        let query = self.turn(layer.query.forward(x.clone()).reshape([count, heads.queries, heads.len]), turns);
        let key = self.turn(layer.key.forward(x.clone()).reshape([count, heads.keys, heads.len]), turns);
        let value = layer.value.forward(x);
        let query = query.reshape([count, heads.queries * heads.len]);
        let key = key.reshape([count, heads.keys * heads.len]);
        layer.attention_output.forward(memory.attend(query, key, value, heads, start))
    }

    fn normalise(&self, x: Tensor<2>, weights: &Tensor<1>) -> Tensor<2> {
        let mean = (x.clone() * x.clone()).mean_dim(1) + self.config.norm_epsilon;
        x * mean.sqrt().recip() * weights.clone().unsqueeze()
    }

    /// Cosines and sines for the positions from `start` on, each `[count, 1, pairs]`.
    fn turns(&self, start: usize, count: usize) -> (Tensor<3>, Tensor<3>) {
        let angles = || (start..start + count).flat_map(|at| self.angles.iter().map(move |angle| at as f64 * angle));
        let tensor =
            |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [count, 1, self.angles.len()]), &self.device);
        (
            tensor(angles().map(|angle| angle.cos() as f32).collect()),
            tensor(angles().map(|angle| angle.sin() as f32).collect()),
        )
    }

    /// Turns pairs of elements of each head, `[n, heads, len]`, by their position's angle.
    fn turn(&self, x: Tensor<3>, (cos, sin): &(Tensor<3>, Tensor<3>)) -> Tensor<3> {
        let [count, heads, len] = x.dims();
        let rope = &self.config.rope;
        let pairs = rope.len / 2;
        let turned = x.clone().slice([0..count, 0..heads, 0..rope.len]);
        let shape = [count, heads, pairs];
        let turned = match rope.pairs {
            RopePairs::Halves => {
                let a = turned.clone().slice([0..count, 0..heads, 0..pairs]);
                let b = turned.slice([0..count, 0..heads, pairs..rope.len]);
                let (a, b) = rotate(a, b, cos, sin);
                Tensor::cat(vec![a, b], 2)
            }
            RopePairs::Neighbours => {
                let both = turned.reshape([count, heads, pairs, 2]);
                let a = both.clone().slice([0..count, 0..heads, 0..pairs, 0..1]).reshape(shape);
                let b = both.slice([0..count, 0..heads, 0..pairs, 1..2]).reshape(shape);
                let (a, b) = rotate(a, b, cos, sin);
                Tensor::stack::<4>(vec![a, b], 3).reshape([count, heads, rope.len])
            }
        };
        if rope.len == len {
            turned
        } else {
            Tensor::cat(vec![turned, x.slice([0..count, 0..heads, rope.len..len])], 2)
        }
    }
}

fn rotate(a: Tensor<3>, b: Tensor<3>, cos: &Tensor<3>, sin: &Tensor<3>) -> (Tensor<3>, Tensor<3>) {
    let turned_a = a.clone() * cos.clone() - b.clone() * sin.clone();
    let turned_b = b * cos.clone() + a * sin.clone();
    (turned_a, turned_b)
}

impl Linear {
    /// `[n, inputs]` to `[n, outputs]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.weights.multiply(x);
        match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        }
    }
}

struct Loader<'a> {
    file: &'a Arc<Gguf>,
    device: &'a Device,
}

impl Loader<'_> {
    fn linear(&self, name: &str, shape: [usize; 2]) -> Result<Linear> {
        let weights = self.matrix(&format!("{name}.weight"), shape)?;
        let bias = format!("{name}.bias");
        let bias = if self.file.has_tensor(&bias) { Some(self.vector(&bias, shape[0])?.unsqueeze()) } else { None };
        Ok(Linear { weights, bias })
    }

    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<BlockMatrix> {
        self.file.tensor_of(name, &shape)?;
        BlockMatrix::new(self.file.shared_tensor(name)?)
    }

    fn vector(&self, name: &str, len: usize) -> Result<Tensor<1>> {
        let values = self.file.tensor_of(name, &[len])?.to_f32()?;
        Ok(Tensor::from_data(TensorData::new(values, [len]), self.device))
    }

    /// The angle of each pair; Llama 3.1 and later stretch some of them by factors in the file.
    fn angles(&self, config: &Config) -> Result<Vec<f64>> {
        let rope = &config.rope;
        let pairs = rope.len / 2;
        let factors = if self.file.has_tensor("rope_freqs.weight") {
            self.file.tensor_of("rope_freqs.weight", &[pairs])?.to_f32()?
        } else {
            vec![1.0; pairs]
        };
        let angle = |pair: usize| f64::from(rope.base).powf(-2.0 * pair as f64 / rope.len as f64);
        let scaled = |(pair, factor): (usize, &f32)| angle(pair) / f64::from(rope.factor * factor);
        Ok(factors.iter().enumerate().map(scaled).collect())
    }
}
