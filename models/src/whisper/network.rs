//! Whisper's encoder and decoder.
//!
//! Radford et al. (2022): a transformer whose layers normalise before they compute, GELU with the error function,
//! attention heads of `width / heads`, and an output projection tied to the token embedding. All tensors are f32;
//! rows are positions.

use super::mel::WINDOW_FRAMES;
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::module::{attention, conv1d, layer_norm};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::ops::Range;
use tertulia::{Error, ErrorCode, Result};

const NORM_EPSILON: f64 = 1e-5;
const KERNEL: usize = 3;

/// The sizes of a Whisper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) mel_bins: usize,
    /// Positions of the encoder: half the frames of a window.
    pub(super) audio_positions: usize,
    /// Positions of the decoder.
    pub(super) text_positions: usize,
    pub(super) width: usize,
    pub(super) encoder_heads: usize,
    pub(super) decoder_heads: usize,
    pub(super) encoder_layers: usize,
    pub(super) decoder_layers: usize,
    pub(super) tokens: usize,
}

impl Shape {
    /// Every tensor of the model with its dimensions, in the order in which a file holds them.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let width = self.width;
        let mut all = vec![];
        let mut add = |name: String, dims: &[usize]| all.push((name, dims.to_vec()));
        let pair = |add: &mut dyn FnMut(String, &[usize]), name: String, dims: &[usize]| {
            add(format!("{name}.weight"), dims);
            add(format!("{name}.bias"), &dims[..1]);
        };
        pair(&mut add, "encoder.conv1".into(), &[width, self.mel_bins, KERNEL]);
        pair(&mut add, "encoder.conv2".into(), &[width, width, KERNEL]);
        add("encoder.positional_embedding".into(), &[self.audio_positions, width]);
        add("decoder.token_embedding.weight".into(), &[self.tokens, width]);
        add("decoder.positional_embedding".into(), &[self.text_positions, width]);
        for (side, layers) in [("encoder", self.encoder_layers), ("decoder", self.decoder_layers)] {
            for layer in 0..layers {
                let block = format!("{side}.blocks.{layer}");
                pair(&mut add, format!("{block}.attn_ln"), &[width]);
                pair(&mut add, format!("{block}.attn.qkv"), &[3 * width, width]);
                pair(&mut add, format!("{block}.attn.out"), &[width, width]);
                if side == "decoder" {
                    pair(&mut add, format!("{block}.cross_attn_ln"), &[width]);
                    pair(&mut add, format!("{block}.cross_attn.query"), &[width, width]);
                    pair(&mut add, format!("{block}.cross_attn.key_value"), &[2 * width, width]);
                    pair(&mut add, format!("{block}.cross_attn.out"), &[width, width]);
                }
                pair(&mut add, format!("{block}.mlp_ln"), &[width]);
                pair(&mut add, format!("{block}.mlp.0"), &[4 * width, width]);
                pair(&mut add, format!("{block}.mlp.2"), &[width, 4 * width]);
            }
        }
        pair(&mut add, "encoder.ln_post".into(), &[width]);
        pair(&mut add, "decoder.ln".into(), &[width]);
        all
    }

    /// Whether the sizes are those of a Whisper.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where they cannot belong together, [`ErrorCode::ModelUnsupported`] where they are
    /// of some other kind of model.
    pub(super) fn check(&self) -> Result<()> {
        let within = |value: usize, most: usize| (1..=most).contains(&value);
        let sound = within(self.width, 16_384)
            && within(self.encoder_layers, 256)
            && within(self.decoder_layers, 256)
            && within(self.text_positions, 65_536)
            && within(self.tokens, 1 << 20)
            && [self.encoder_heads, self.decoder_heads]
                .iter()
                .all(|h| within(*h, 256) && self.width.is_multiple_of(*h));
        if !sound {
            return Err(Error::new(ErrorCode::ModelCorrupt, format!("these are no sizes of a Whisper: {self:?}")));
        }
        if !within(self.mel_bins, 256) || 2 * self.audio_positions != WINDOW_FRAMES {
            return Err(Error::new(ErrorCode::ModelUnsupported, format!("this Whisper hears otherwise: {self:?}")));
        }
        Ok(())
    }

    /// How many numbers the model holds.
    pub(super) fn parameters(&self) -> u64 {
        self.tensors().iter().map(|(_, dims)| dims.iter().product::<usize>() as u64).sum()
    }
}

/// Where the tensors come from: the values of a named tensor, which has exactly these dimensions.
pub(super) trait TensorSource {
    /// # Errors
    /// A model code where there is none, or it has another shape.
    fn values(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>>;
}

/// A loaded Whisper.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) shape: Shape,
    device: Device,
    conv1: Conv,
    conv2: Conv,
    audio_positions: Tensor<2>,
    pub(super) encoder_layers: Vec<EncoderLayer>,
    encoder_norm: Norm,
    /// `[tokens, width]`, the output projection too.
    embedding: Tensor<2>,
    text_positions: Tensor<2>,
    decoder_layers: Vec<DecoderLayer>,
    decoder_norm: Norm,
}

impl Network {
    /// Reads all tensors.
    ///
    /// # Errors
    /// The source's.
    pub(super) fn load(shape: Shape, source: &mut dyn TensorSource, device: &Device) -> Result<Self> {
        let mut load = Loader { source, device };
        let width = shape.width;
        Ok(Self {
            conv1: load.conv("encoder.conv1", shape.mel_bins, width, 1)?,
            conv2: load.conv("encoder.conv2", width, width, 2)?,
            audio_positions: load.tensor("encoder.positional_embedding", [shape.audio_positions, width])?,
            encoder_layers: (0..shape.encoder_layers)
                .map(|i| {
                    let block = format!("encoder.blocks.{i}");
                    Ok(EncoderLayer {
                        attention: load.self_attention(&block, width, shape.encoder_heads)?,
                        mlp: load.mlp(&block, width)?,
                    })
                })
                .collect::<Result<_>>()?,
            encoder_norm: load.norm("encoder.ln_post", width)?,
            embedding: load.tensor("decoder.token_embedding.weight", [shape.tokens, width])?,
            text_positions: load.tensor("decoder.positional_embedding", [shape.text_positions, width])?,
            decoder_layers: (0..shape.decoder_layers)
                .map(|i| {
                    let block = format!("decoder.blocks.{i}");
                    Ok(DecoderLayer {
                        attention: load.self_attention(&block, width, shape.decoder_heads)?,
                        cross: CrossAttention {
                            norm: load.norm(&format!("{block}.cross_attn_ln"), width)?,
                            query: load.linear(&format!("{block}.cross_attn.query"), width, width)?,
                            key_value: load.linear(&format!("{block}.cross_attn.key_value"), width, 2 * width)?,
                            out: load.linear(&format!("{block}.cross_attn.out"), width, width)?,
                            heads: shape.decoder_heads,
                        },
                        mlp: load.mlp(&block, width)?,
                    })
                })
                .collect::<Result<_>>()?,
            decoder_norm: load.norm("decoder.ln", width)?,
            device: device.clone(),
            shape,
        })
    }

    /// The log-mel spectrum after the first convolution: `[mel_bins, frames]` with two frames for a position, of which
    /// there are [`Shape::audio_positions`] at most.
    pub(super) fn hear(&self, mel: Vec<f32>) -> Tensor<3> {
        let frames = mel.len() / self.shape.mel_bins;
        self.conv1.forward(Tensor::from_data(TensorData::new(mel, [1, self.shape.mel_bins, frames]), &self.device))
    }

    /// The encoder's first rows, `[positions, width]`, from what [`hear`](Self::hear) gave.
    pub(super) fn listen(&self, heard: Tensor<3>) -> Tensor<2> {
        let x = self.conv2.forward(heard).squeeze_dim::<2>(0).transpose();
        let positions = x.dims()[0];
        x + self.audio_positions.clone().slice(0..positions)
    }

    /// The encoder from spectrum to last rows, in one go.
    pub(super) fn encode(&self, mel: Vec<f32>) -> Tensor<2> {
        let mut x = self.listen(self.hear(mel));
        for layer in &self.encoder_layers {
            let (queries, all) = layer.project(&x);
            let rows = x.dims()[0];
            x = layer.forward(&x, 0..rows, &queries, &all);
        }
        self.encoded(x)
    }

    /// The encoder's last rows.
    pub(super) fn encoded(&self, x: Tensor<2>) -> Tensor<2> {
        self.encoder_norm.forward(x)
    }

    /// How many decoder layers hear the encoder.
    pub(super) fn cross_layers(&self) -> usize {
        self.decoder_layers.len()
    }

    /// What one decoder layer hears of the encoder's last rows.
    ///
    /// # Errors
    /// [`ErrorCode::RecognizerFailed`] where the device fails.
    pub(super) fn cross_keys(&self, layer: usize, encoded: &Tensor<2>) -> Result<KeyValues> {
        let cross = &self.decoder_layers[layer].cross;
        let (keys, values) = halves(cross.key_value.forward(encoded.clone()));
        // Each token reads them whole: in one piece, once and for all.
        Ok(KeyValues {
            keys: contiguous(split_heads(keys, cross.heads), &self.device)?,
            values: contiguous(split_heads(values, cross.heads), &self.device)?,
        })
    }

    /// The decoder's last rows for `tokens`, which follow those that `cache` holds; they join it.
    ///
    /// Where `witness` is given, it is told the attention that these tokens pay to the encoder's positions.
    pub(super) fn decode(
        &self,
        tokens: &[u32],
        heard: &[KeyValues],
        cache: &mut TextCache,
        mut witness: Option<&mut AttentionWitness>,
    ) -> Result<Tensor<2>> {
        let end = cache.len + tokens.len();
        if end > self.shape.text_positions || tokens.is_empty() {
            return Err(Error::new(ErrorCode::RecognizerFailed, "more tokens than the decoder has positions"));
        }
        let ids: Vec<i64> = tokens.iter().map(|t| i64::from(*t)).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [tokens.len()]), &self.device);
        let mut x = self.embedding.clone().select(0, ids) + self.text_positions.clone().slice(cache.len..end);
        for (index, layer) in self.decoder_layers.iter().enumerate() {
            let past = cache.layers.get_mut(index);
            let (y, all) = layer.attention.extend(x, past.map(|past| &*past));
            match cache.layers.get_mut(index) {
                Some(past) => *past = all,
                None => cache.layers.push(all),
            }
            x = layer.cross.forward(y, &heard[index], index, witness.as_deref_mut())?;
            x = layer.mlp.forward(x);
        }
        cache.len = end;
        Ok(self.decoder_norm.forward(x))
    }

    /// The logits of the token after row `row` of what [`decode`](Self::decode) gave.
    ///
    /// # Errors
    /// [`ErrorCode::RecognizerFailed`] where the device fails.
    pub(super) fn logits(&self, rows: &Tensor<2>, row: usize) -> Result<Vec<f32>> {
        let row = rows.clone().slice(row..row + 1);
        values(row.matmul(self.embedding.clone().transpose()))
    }
}

/// Keys and values of attention, each `[1, heads, positions, width / heads]`.
#[derive(Clone, Debug)]
pub(super) struct KeyValues {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl KeyValues {
    /// How many positions there are to attend to.
    pub(super) fn positions(&self) -> usize {
        self.keys.dims()[2]
    }
}

/// What the decoder remembers of the tokens before.
#[derive(Clone, Debug, Default)]
pub(super) struct TextCache {
    layers: Vec<KeyValues>,
    len: usize,
}

impl TextCache {
    /// How many tokens it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Gathers the attention that chosen heads pay to the first positions of the encoder.
#[derive(Debug)]
pub(super) struct AttentionWitness {
    /// `(decoder layer, head)`.
    pub(super) heads: Vec<(usize, usize)>,
    /// How many of the encoder's positions count.
    pub(super) positions: usize,
    /// For each head seen, its weights `[tokens, positions]`, each row summing to one.
    pub(super) weights: Vec<Vec<f32>>,
}

#[derive(Debug)]
struct Conv {
    weight: Tensor<3>,
    bias: Tensor<1>,
    stride: usize,
}

impl Conv {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let options = ConvOptions::new([self.stride], [1], [1], 1);
        gelu(conv1d(x, self.weight.clone(), Some(self.bias.clone()), options))
    }
}

#[derive(Debug)]
struct Linear {
    /// `[out, in]`, as files hold it.
    weight: Tensor<2>,
    bias: Tensor<2>,
}

impl Linear {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.clone().transpose()) + self.bias.clone()
    }
}

#[derive(Debug)]
struct Norm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
}

impl Norm {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        layer_norm(x, self.gamma.clone(), Some(self.beta.clone()), NORM_EPSILON)
    }
}

#[derive(Debug)]
struct Mlp {
    norm: Norm,
    up: Linear,
    down: Linear,
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.down.forward(gelu(self.up.forward(self.norm.forward(x.clone()))));
        x + y
    }
}

#[derive(Debug)]
struct SelfAttention {
    norm: Norm,
    qkv: Linear,
    out: Linear,
    heads: usize,
}

impl SelfAttention {
    /// Queries, keys and values of some rows.
    fn project(&self, x: Tensor<2>) -> (Tensor<4>, KeyValues) {
        let [rows, width] = x.dims();
        let qkv = self.qkv.forward(self.norm.forward(x));
        let part = |i: usize| split_heads(qkv.clone().slice([0..rows, i * width..(i + 1) * width]), self.heads);
        (part(0), KeyValues { keys: part(1), values: part(2) })
    }

    /// Rows that follow those of `past` attend to them and to one another, never ahead.
    fn extend(&self, x: Tensor<2>, past: Option<&KeyValues>) -> (Tensor<2>, KeyValues) {
        let (queries, new) = self.project(x.clone());
        let all = match past {
            Some(past) => KeyValues {
                keys: Tensor::cat(vec![past.keys.clone(), new.keys], 2),
                values: Tensor::cat(vec![past.values.clone(), new.values], 2),
            },
            None => new,
        };
        let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
        let y = attention(queries, all.keys.clone(), all.values.clone(), None, None, options);
        (x + self.out.forward(join_heads(y)), all)
    }
}

/// One layer of the encoder, computed some rows at a time so that a cancel is heard in between.
#[derive(Debug)]
pub(super) struct EncoderLayer {
    attention: SelfAttention,
    mlp: Mlp,
}

impl EncoderLayer {
    /// What the layer's rows ask of one another.
    pub(super) fn project(&self, x: &Tensor<2>) -> (Tensor<4>, KeyValues) {
        self.attention.project(x.clone())
    }

    /// Some rows of the layer's output, from what [`project`](Self::project) gave of all rows.
    pub(super) fn forward(&self, x: &Tensor<2>, rows: Range<usize>, queries: &Tensor<4>, all: &KeyValues) -> Tensor<2> {
        let [batch, heads, _, head_width] = queries.dims();
        let queries = queries.clone().slice([0..batch, 0..heads, rows.clone(), 0..head_width]);
        let y = attention(queries, all.keys.clone(), all.values.clone(), None, None, AttentionModuleOptions::default());
        self.mlp.forward(x.clone().slice([rows]) + self.attention.out.forward(join_heads(y)))
    }
}

#[derive(Debug)]
struct DecoderLayer {
    attention: SelfAttention,
    cross: CrossAttention,
    mlp: Mlp,
}

#[derive(Debug)]
struct CrossAttention {
    norm: Norm,
    query: Linear,
    key_value: Linear,
    out: Linear,
    heads: usize,
}

impl CrossAttention {
    fn forward(
        &self,
        x: Tensor<2>,
        heard: &KeyValues,
        layer: usize,
        witness: Option<&mut AttentionWitness>,
    ) -> Result<Tensor<2>> {
        let queries = split_heads(self.query.forward(self.norm.forward(x.clone())), self.heads);
        if let Some(witness) = witness {
            witness.see(layer, &queries, &heard.keys)?;
        }
        let options = AttentionModuleOptions::default();
        let y = attention(queries, heard.keys.clone(), heard.values.clone(), None, None, options);
        Ok(x + self.out.forward(join_heads(y)))
    }
}

impl AttentionWitness {
    fn see(&mut self, layer: usize, queries: &Tensor<4>, keys: &Tensor<4>) -> Result<()> {
        let [_, _, rows, head_width] = queries.dims();
        for (_, head) in self.heads.iter().filter(|(at, _)| *at == layer) {
            let queries = queries.clone().slice([0..1, *head..head + 1, 0..rows, 0..head_width]);
            let keys = keys.clone().slice([0..1, *head..head + 1, 0..self.positions, 0..head_width]);
            let scores = queries.matmul(keys.swap_dims(2, 3)) / (head_width as f32).sqrt();
            self.weights.push(values(softmax(scores, 3))?);
        }
        Ok(())
    }
}

/// `[rows, width]` as `[1, heads, rows, width / heads]`.
fn split_heads(x: Tensor<2>, heads: usize) -> Tensor<4> {
    let [rows, width] = x.dims();
    x.reshape([1, rows, heads, width / heads]).swap_dims(1, 2)
}

/// The way back from [`split_heads`].
fn join_heads(x: Tensor<4>) -> Tensor<2> {
    let [_, heads, rows, head_width] = x.dims();
    x.swap_dims(1, 2).reshape([rows, heads * head_width])
}

fn halves(x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let [rows, width] = x.dims();
    (x.clone().slice([0..rows, 0..width / 2]), x.slice([0..rows, width / 2..width]))
}

fn contiguous(x: Tensor<4>, device: &Device) -> Result<Tensor<4>> {
    let dims = x.dims();
    Ok(Tensor::from_data(TensorData::new(values(x)?, dims), device))
}

/// The tensor's values, row by row.
pub(super) fn values<const D: usize>(x: Tensor<D>) -> Result<Vec<f32>> {
    x.into_data().try_to_vec().map_err(|error| {
        let detail = format!("the device gave no numbers back: {error:?}");
        Error::new(ErrorCode::RecognizerFailed, detail)
    })
}

struct Loader<'a> {
    source: &'a mut dyn TensorSource,
    device: &'a Device,
}

impl Loader<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, dims: [usize; D]) -> Result<Tensor<D>> {
        let values = self.source.values(name, &dims)?;
        Ok(Tensor::from_data(TensorData::new(values, dims), self.device))
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"), [outputs, inputs])?,
            bias: self.tensor::<1>(&format!("{name}.bias"), [outputs])?.unsqueeze(),
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        Ok(Norm {
            gamma: self.tensor(&format!("{name}.weight"), [width])?,
            beta: self.tensor(&format!("{name}.bias"), [width])?,
        })
    }

    fn conv(&mut self, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Conv> {
        Ok(Conv {
            weight: self.tensor(&format!("{name}.weight"), [outputs, inputs, KERNEL])?,
            bias: self.tensor(&format!("{name}.bias"), [outputs])?,
            stride,
        })
    }

    fn self_attention(&mut self, block: &str, width: usize, heads: usize) -> Result<SelfAttention> {
        Ok(SelfAttention {
            norm: self.norm(&format!("{block}.attn_ln"), width)?,
            qkv: self.linear(&format!("{block}.attn.qkv"), width, 3 * width)?,
            out: self.linear(&format!("{block}.attn.out"), width, width)?,
            heads,
        })
    }

    fn mlp(&mut self, block: &str, width: usize) -> Result<Mlp> {
        Ok(Mlp {
            norm: self.norm(&format!("{block}.mlp_ln"), width)?,
            up: self.linear(&format!("{block}.mlp.0"), width, 4 * width)?,
            down: self.linear(&format!("{block}.mlp.2"), 4 * width, width)?,
        })
    }
}
