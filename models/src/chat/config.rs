//! [`Config`]: a transformer's shape, from a GGUF file's metadata.

use crate::gguf::Gguf;
use crate::kernels::attention::Heads;
use tertulia::Result;

/// The shape of a Llama-like transformer.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Layers.
    pub(super) layers: usize,
    /// Elements of a hidden state.
    pub(super) width: usize,
    /// Elements inside the feed-forward part.
    pub(super) inner: usize,
    /// Attention heads.
    pub(super) heads: Heads,
    /// Positions the model was trained for.
    pub(super) context_len: usize,
    /// Added to the mean square before the root.
    pub(super) norm_epsilon: f32,
    /// Rotary positions.
    pub(super) rope: Rope,
}

/// Rotary positions (Su et al. 2021, <https://arxiv.org/abs/2104.09864>).
#[derive(Clone, Debug)]
pub(super) struct Rope {
    /// Elements of a head that turn; the rest stay.
    pub(super) len: usize,
    /// The base of the wavelengths.
    pub(super) base: f32,
    /// Positions are divided by this.
    pub(super) factor: f32,
    /// Which two elements turn together.
    pub(super) pairs: RopePairs,
}

/// Which two elements of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RopePairs {
    /// Neighbours: 0 and 1, 2 and 3 (Llama in GGUF).
    Neighbours,
    /// One of each half: 0 and `len / 2` (Qwen2).
    Halves,
}

impl Config {
    /// # Errors
    /// `ModelUnsupported` for other architectures, `ModelCorrupt` where the metadata is not sound.
    pub(super) fn from_gguf(file: &Gguf) -> Result<Self> {
        let architecture = file.str("general.architecture")?;
        let pairs = match architecture {
            "llama" => RopePairs::Neighbours,
            "qwen2" => RopePairs::Halves,
            _ => return Err(file.unsupported(format!("unsupported architecture: {architecture}"))),
        };
        let key = |name: &str| format!("{architecture}.{name}");
        let count = |name: &str| -> Result<usize> {
            let count = file.u32(&key(name))? as usize;
            // Far above any model, far below what could overflow.
            if (1..=1 << 20).contains(&count) {
                Ok(count)
            } else {
                Err(file.corrupt(format!("{name} is out of range")))
            }
        };
        let optional = |name: &str, default: usize| -> Result<usize> {
            if file.value(&key(name)).is_some() { count(name) } else { Ok(default) }
        };
        if optional("expert_count", 0)? > 0 {
            return Err(file.unsupported("unsupported architecture: mixture of experts"));
        }
        let width = count("embedding_length")?;
        let queries = count("attention.head_count")?;
        let keys = optional("attention.head_count_kv", queries)?;
        let len = optional("attention.key_length", width / queries)?;
        let rope_len = optional("rope.dimension_count", len)?;
        let even = len > 0 && rope_len.is_multiple_of(2) && rope_len <= len;
        if !queries.is_multiple_of(keys) || !even || optional("attention.value_length", len)? != len {
            return Err(file.corrupt("attention heads do not fit together"));
        }
        let float = |name: &str| -> Result<f32> {
            let value = file.f32(&key(name))?;
            let sound = value.is_finite() && value > 0.0;
            if sound { Ok(value) } else { Err(file.corrupt(format!("{name} is out of range"))) }
        };
        let rope_type =
            file.value(&key("rope.scaling.type")).map(|_| file.str(&key("rope.scaling.type"))).transpose()?;
        let factor = match rope_type {
            None | Some("none") => 1.0,
            Some("linear") => float("rope.scaling.factor")?,
            Some(other) => return Err(file.unsupported(format!("unsupported position scaling: {other}"))),
        };
        let base = if file.value(&key("rope.freq_base")).is_some() { float("rope.freq_base")? } else { 10_000.0 };
        Ok(Self {
            layers: count("block_count")?,
            width,
            inner: count("feed_forward_length")?,
            heads: Heads { queries, keys, len },
            context_len: count("context_length")?,
            norm_epsilon: float("attention.layer_norm_rms_epsilon")?,
            rope: Rope { len: rope_len, base, factor, pairs },
        })
    }

    /// Bytes that the cache takes for one position: keys and values in 16 bits.
    pub(super) fn cache_bytes_per_token(&self) -> usize {
        self.layers * self.heads.keys * self.heads.len * 2 * size_of::<half::f16>()
    }
}
