//! [`Transformer`]: the network. Root mean square norms, rotary positions, grouped-query attention and a gated
//! feed-forward part (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>); Qwen2 adds biases to the attention's
//! inputs.

use super::config::{Config, RopePairs};
use super::tokenizer::Token;
use crate::gguf::Gguf;
use crate::kernels::attention::LayerCache;
use crate::kernels::lanes;
use crate::kernels::maths::{rms_norm, silu_times};
use crate::kernels::weights::{Weights, add_products};
use std::sync::Arc;
use tertulia::backend::CancelFlag;
use tertulia::{Error, ErrorCode, Result};

#[derive(Debug)]
pub(super) struct Transformer {
    config: Config,
    embedding: Weights,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// Small models use the embedding for their output, too.
    output: Option<Linear>,
    /// The angle by which each pair turns from one position to the next.
    angles: Vec<f64>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    inner_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Debug)]
struct Linear {
    weights: Weights,
    /// One for each row; none adds nothing.
    bias: Vec<f32>,
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
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let loader = Loader { file };
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
        let untied = file.has_tensor("output.weight");
        let output = if untied { Some(loader.linear("output", [vocabulary_len, width])?) } else { None };
        let norm = loader.vector("output_norm.weight", width)?;
        let angles = loader.angles(&config)?;
        progress(1.0);
        Ok(Self { config, embedding, layers, norm, output, angles })
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
    ) -> Result<Vec<f32>> {
        let Config { width, heads, .. } = self.config;
        let mut x = vec![0.0; tokens.len() * width];
        for (&token, row) in tokens.iter().zip(x.chunks_exact_mut(width)) {
            self.embedding.row(token as usize, row);
        }
        let turns = Turns::new(&self.angles, start, tokens.len());
        for (layer, memory) in self.layers.iter().zip(&mut cache.0) {
            cancel.check()?;
            let [mut query, mut key, value] =
                outputs(&self.normalise(&x, &layer.attention_norm), [&layer.query, &layer.key, &layer.value]);
            self.turn(&mut query, heads.queries, &turns);
            self.turn(&mut key, heads.keys, &turns);
            let attended = memory.attend([&query, &key, &value], heads, start);
            layer.attention_output.add_output(&attended, &mut x);
            let [mut gates, inner] = outputs(&self.normalise(&x, &layer.inner_norm), [&layer.gate, &layer.up]);
            silu_times(&mut gates, &inner);
            layer.down.add_output(&gates, &mut x);
        }
        Ok(x)
    }

    /// The logits after each of the hidden states, `[states, width]` to `[states, vocabulary]`, row major.
    ///
    /// # Errors
    /// `ChatFailed` where one is not a number.
    pub(super) fn logits(&self, hidden: &[f32]) -> Result<Vec<f32>> {
        let normed = self.normalise(hidden, &self.norm);
        let count = hidden.len() / self.config.width;
        let (weights, mut logits) = match &self.output {
            Some(output) => (&output.weights, output.biases(count)),
            None => (&self.embedding, vec![0.0; count * self.embedding.rows()]),
        };
        add_products(&normed, [(weights, &mut logits)]);
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(Error::new(ErrorCode::ChatFailed, "logit is not a number"));
        }
        Ok(logits)
    }

    fn normalise(&self, x: &[f32], weights: &[f32]) -> Vec<f32> {
        rms_norm(x, weights, self.config.norm_epsilon)
    }

    /// Turns pairs of elements of each head, `[n, heads * len]`, by their position's angle.
    fn turn(&self, x: &mut [f32], heads: usize, turns: &Turns) {
        let (len, rope) = (self.config.heads.len, &self.config.rope);
        let pairs = rope.len / 2;
        let angles = turns.cos.chunks_exact(pairs).zip(turns.sin.chunks_exact(pairs));
        for (row, (cos, sin)) in x.chunks_exact_mut(heads * len).zip(angles) {
            for head in row.chunks_exact_mut(len) {
                match rope.pairs {
                    RopePairs::Halves => {
                        let (a, b) = head[..rope.len].split_at_mut(pairs);
                        lanes::rotate(a, b, cos, sin);
                    }
                    RopePairs::Neighbours => {
                        for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos.iter().zip(sin)) {
                            let [a, b] = *pair;
                            *pair = [a * cos - b * sin, b * cos + a * sin];
                        }
                    }
                }
            }
        }
    }
}

/// Cosines and sines of some positions, each `[count, pairs]`.
struct Turns {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Turns {
    fn new(angles: &[f64], start: usize, count: usize) -> Self {
        let angles = || (start..start + count).flat_map(|at| angles.iter().map(move |angle| at as f64 * angle));
        Self {
            cos: angles().map(|angle| angle.cos() as f32).collect(),
            sin: angles().map(|angle| angle.sin() as f32).collect(),
        }
    }
}

/// The outputs of several layers for the same rows.
fn outputs<const N: usize>(x: &[f32], linears: [&Linear; N]) -> [Vec<f32>; N] {
    let count = x.len() / linears[0].weights.cols();
    let mut sums = linears.map(|linear| linear.biases(count));
    let mut each = sums.iter_mut();
    add_products(x, linears.map(|linear| (&linear.weights, &mut **each.next().expect("a sum for each"))));
    sums
}

impl Linear {
    /// The biases of `count` rows, or zeros.
    fn biases(&self, count: usize) -> Vec<f32> {
        if self.bias.is_empty() { vec![0.0; count * self.weights.rows()] } else { self.bias.repeat(count) }
    }

    /// Adds the output for each row of `x` to `sum`.
    fn add_output(&self, x: &[f32], sum: &mut [f32]) {
        if !self.bias.is_empty() {
            sum.chunks_exact_mut(self.bias.len()).for_each(|sum| lanes::add(sum, &self.bias));
        }
        add_products(x, [(&self.weights, sum)]);
    }
}

struct Loader<'a> {
    file: &'a Arc<Gguf>,
}

impl Loader<'_> {
    fn linear(&self, name: &str, shape: [usize; 2]) -> Result<Linear> {
        let weights = self.matrix(&format!("{name}.weight"), shape)?;
        let bias = format!("{name}.bias");
        let bias = if self.file.has_tensor(&bias) { self.vector(&bias, shape[0])? } else { Vec::new() };
        Ok(Linear { weights, bias })
    }

    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Weights> {
        self.file.tensor_of(name, &shape)?;
        Weights::new(self.file.shared_tensor(name)?)
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        self.file.tensor_of(name, &[len])?.to_f32()
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
