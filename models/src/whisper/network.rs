//! Whisper's encoder and decoder.
//!
//! Radford et al. (2022): a transformer whose layers normalise before they compute, GELU with the error function,
//! attention heads of `width / heads`, and an output projection tied to the token embedding. Rows are positions. On the
//! CPU the layers are the kernels of [`dense`](crate::kernels::dense), elsewhere burn's own operations; the decoder's
//! weights are kept in 16 bits where the file has them so.

use crate::kernels::dense::{DenseLayer, DenseMatrix};
use crate::kernels::ops::{self, NormWeights, Places, Then};
use crate::mel::WINDOW_FRAMES;
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::module::{attention, conv1d, layer_norm};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::ops::Range;
use std::sync::Arc;
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
    embedding: Linear,
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
                        attention: load.self_attention(&block, width, shape.encoder_heads, DenseMatrix::new)?,
                        mlp: load.mlp(&block, width, DenseMatrix::new)?,
                    })
                })
                .collect::<Result<_>>()?,
            encoder_norm: load.norm("encoder.ln_post", width)?,
            embedding: load.embedding("decoder.token_embedding.weight", shape.tokens, width)?,
            text_positions: load.tensor("decoder.positional_embedding", [shape.text_positions, width])?,
            decoder_layers: (0..shape.decoder_layers)
                .map(|i| {
                    let block = format!("decoder.blocks.{i}");
                    Ok(DecoderLayer {
                        attention: load.self_attention(&block, width, shape.decoder_heads, DenseMatrix::compact)?,
                        cross: CrossAttention {
                            norm: load.norm(&format!("{block}.cross_attn_ln"), width)?,
                            query: load.layer(
                                &format!("{block}.cross_attn.query"),
                                width,
                                width,
                                DenseMatrix::compact,
                            )?,
                            key_value: load.layer(
                                &format!("{block}.cross_attn.key_value"),
                                width,
                                2 * width,
                                DenseMatrix::new,
                            )?,
                            out: load.layer(&format!("{block}.cross_attn.out"), width, width, DenseMatrix::compact)?,
                            heads: shape.decoder_heads,
                        },
                        mlp: load.mlp(&block, width, DenseMatrix::compact)?,
                    })
                })
                .collect::<Result<_>>()?,
            decoder_norm: load.norm("decoder.ln", width)?,
            device: device.clone(),
            shape,
        })
    }

    /// The log-mel spectrum after the first convolution, `[frames, width]`, with two frames for a position, of which
    /// there are [`Shape::audio_positions`] at most.
    pub(super) fn hear(&self, mel: Vec<f32>) -> Tensor<2> {
        let frames = mel.len() / self.shape.mel_bins;
        let mel = Tensor::<2>::from_data(TensorData::new(mel, [self.shape.mel_bins, frames]), &self.device);
        self.conv1.forward(mel.transpose())
    }

    /// The encoder's input, `[positions, width]`, from what [`hear`](Self::hear) gave of the sound from position `first`
    /// on.
    pub(super) fn listen(&self, heard: Tensor<2>, first: usize) -> Tensor<2> {
        let x = self.conv2.forward(heard);
        let positions = x.dims()[0];
        x + self.audio_positions.clone().slice(first..first + positions)
    }

    /// The encoder from spectrum to last rows, in one go.
    pub(super) fn encode(&self, mel: Vec<f32>) -> Tensor<2> {
        let mut x = self.listen(self.hear(mel), 0);
        for layer in &self.encoder_layers {
            let projected = layer.project(&x);
            let rows = x.dims()[0];
            x = layer.forward(&x, 0..rows, &projected, &projected);
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
    pub(super) fn cross_keys(&self, layer: usize, encoded: &Tensor<2>) -> KeyValues {
        KeyValues(self.decoder_layers[layer].cross.key_value.forward(encoded.clone()))
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
        let mut x = self.embedding.rows(tokens, &self.device) + self.text_positions.clone().slice(cache.len..end);
        for (index, layer) in self.decoder_layers.iter().enumerate() {
            let (y, all) = layer.attention.extend(x, cache.layers.get(index));
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

/// Keys and values that one decoder layer hears of the encoder: `[positions, 2 * width]`.
#[derive(Clone, Debug)]
pub(super) struct KeyValues(pub(super) Tensor<2>);

impl KeyValues {
    /// How many positions there are to attend to.
    pub(super) fn positions(&self) -> usize {
        self.0.dims()[0]
    }
}

/// What the decoder remembers of the tokens before.
#[derive(Clone, Debug, Default)]
pub(super) struct TextCache {
    /// Queries, keys and values of each layer: `[len, 3 * width]`.
    layers: Vec<Tensor<2>>,
    len: usize,
}

impl TextCache {
    /// How many tokens it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all but the first `len` tokens.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
            for layer in &mut self.layers {
                *layer = layer.clone().slice(0..len);
            }
        }
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

/// A convolution over three rows, with GELU.
#[derive(Debug)]
enum Conv {
    Kernel { layer: Arc<DenseLayer>, stride: usize },
    Stock { weight: Box<Tensor<3>>, bias: Box<Tensor<1>>, stride: usize },
}

impl Conv {
    /// `[rows, channels]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Kernel { layer, stride } => ops::convolve(x, layer, *stride),
            Self::Stock { weight, bias, stride } => {
                let options = ConvOptions::new([*stride], [1], [1], 1);
                let x = x.transpose().unsqueeze::<3>();
                gelu(conv1d(x, weight.as_ref().clone(), Some(bias.as_ref().clone()), options))
                    .squeeze_dim::<2>(0)
                    .transpose()
            }
        }
    }
}

#[derive(Debug)]
enum Linear {
    Kernel(Arc<DenseLayer>),
    /// `[out, in]`, as files hold it, and `[1, out]`.
    Stock {
        weight: Box<Tensor<2>>,
        bias: Option<Box<Tensor<2>>>,
    },
}

impl Linear {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Kernel(layer) => ops::dense(x, layer, Then::Nothing),
            Self::Stock { weight, bias } => {
                let x = x.matmul(weight.as_ref().clone().transpose());
                match bias {
                    Some(bias) => x + bias.as_ref().clone(),
                    None => x,
                }
            }
        }
    }

    fn forward_gelu(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Kernel(layer) => ops::dense(x, layer, Then::Gelu),
            Self::Stock { .. } => gelu(self.forward(x)),
        }
    }

    /// The layer's output for `x` added to `sum`.
    fn forward_onto(&self, sum: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Kernel(layer) => ops::dense_onto(sum, x, layer),
            Self::Stock { .. } => sum + self.forward(x),
        }
    }

    /// Rows of the weights.
    fn rows(&self, rows: &[u32], device: &Device) -> Tensor<2> {
        match self {
            Self::Kernel(layer) => {
                let width = layer.matrix.cols();
                let mut values = vec![0.0; rows.len() * width];
                for (row, values) in rows.iter().zip(values.chunks_exact_mut(width)) {
                    layer.matrix.row(*row as usize, values);
                }
                Tensor::from_data(TensorData::new(values, [rows.len(), width]), device)
            }
            Self::Stock { weight, .. } => {
                let rows: Vec<i64> = rows.iter().map(|row| i64::from(*row)).collect();
                let len = rows.len();
                weight.as_ref().clone().select(0, Tensor::<1, Int>::from_data(TensorData::new(rows, [len]), device))
            }
        }
    }
}

#[derive(Debug)]
enum Norm {
    Kernel(Arc<NormWeights>),
    Stock { gamma: Box<Tensor<1>>, beta: Box<Tensor<1>> },
}

impl Norm {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Kernel(weights) => ops::norm(x, weights),
            Self::Stock { gamma, beta } => {
                layer_norm(x, gamma.as_ref().clone(), Some(beta.as_ref().clone()), NORM_EPSILON)
            }
        }
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
        let y = self.up.forward_gelu(self.norm.forward(x.clone()));
        self.down.forward_onto(x, y)
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
    /// Queries, keys and values of some rows: `[rows, 3 * width]`.
    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        self.qkv.forward(self.norm.forward(x))
    }

    /// What some of the projected rows hear of all there are.
    fn attend(&self, projected: &Tensor<2>, rows: Range<usize>, all: &Tensor<2>, causal: bool) -> Tensor<2> {
        let width = projected.dims()[1] / 3;
        let places = Places { heads: self.heads, width, asking: rows, keys_at: width, values_at: 2 * width, causal };
        attend(projected, all, places)
    }

    /// Rows that follow those of `past` attend to them and to one another, never ahead.
    fn extend(&self, x: Tensor<2>, past: Option<&Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
        let new = self.project(x.clone());
        let all = match past {
            Some(past) => Tensor::cat(vec![past.clone(), new], 0),
            None => new,
        };
        let (rows, end) = (x.dims()[0], all.dims()[0]);
        let y = self.attend(&all, end - rows..end, &all, true);
        (self.out.forward_onto(x, y), all)
    }
}

/// Attention by the kernel where there is one, else by burn.
fn attend(asking: &Tensor<2>, asked: &Tensor<2>, places: Places) -> Tensor<2> {
    if ops::supported(&asking.device()) {
        return ops::attend_rows(asking.clone(), asked.clone(), places);
    }
    let Places { heads, width, causal, .. } = places;
    let part =
        |x: &Tensor<2>, rows: Range<usize>, at: usize| split_heads(x.clone().slice([rows, at..at + width]), heads);
    let all = 0..asked.dims()[0];
    let queries = part(asking, places.asking, 0);
    let (keys, values) = (part(asked, all.clone(), places.keys_at), part(asked, all, places.values_at));
    let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
    join_heads(attention(queries, keys, values, None, None, options))
}

/// One layer of the encoder, computed some rows at a time so that a cancel is heard in between.
#[derive(Debug)]
pub(super) struct EncoderLayer {
    attention: SelfAttention,
    mlp: Mlp,
}

impl EncoderLayer {
    /// What the layer's rows ask of one another.
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
        let y = self.attention.attend(projected, rows.clone(), all, false);
        self.mlp.forward(self.attention.out.forward_onto(x.clone().slice([rows]), y))
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
        let queries = self.query.forward(self.norm.forward(x.clone()));
        let [rows, width] = queries.dims();
        if let Some(witness) = witness {
            witness.see(layer, &queries, &heard.0, width / self.heads)?;
        }
        let places = Places { heads: self.heads, width, asking: 0..rows, keys_at: 0, values_at: width, causal: false };
        let y = attend(&queries, &heard.0, places);
        Ok(self.out.forward_onto(x, y))
    }
}

impl AttentionWitness {
    fn see(&mut self, layer: usize, queries: &Tensor<2>, keys: &Tensor<2>, head_width: usize) -> Result<()> {
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

/// The tensor's values, row by row.
pub(super) fn values<const D: usize>(x: Tensor<D>) -> Result<Vec<f32>> {
    x.into_data().try_to_vec().map_err(|error| {
        let detail = format!("the device gave no numbers back: {error:?}");
        Error::new(ErrorCode::RecognizerFailed, detail)
    })
}

/// How a matrix is kept: for many rows at a time, or for a few.
type Pack = fn(Vec<f32>, usize) -> DenseMatrix;

struct Loader<'a> {
    source: &'a mut dyn TensorSource,
    device: &'a Device,
}

impl Loader<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, dims: [usize; D]) -> Result<Tensor<D>> {
        let values = self.source.values(name, &dims)?;
        Ok(Tensor::from_data(TensorData::new(values, dims), self.device))
    }

    fn layer(&mut self, name: &str, inputs: usize, outputs: usize, pack: Pack) -> Result<Linear> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        if ops::supported(self.device) {
            let matrix = pack(self.source.values(&weight, &[outputs, inputs])?, inputs);
            let bias = self.source.values(&bias, &[outputs])?;
            return Ok(Linear::Kernel(Arc::new(DenseLayer { matrix, bias })));
        }
        let weight = Box::new(self.tensor(&weight, [outputs, inputs])?);
        Ok(Linear::Stock { weight, bias: Some(Box::new(self.tensor::<1>(&bias, [outputs])?.unsqueeze())) })
    }

    fn embedding(&mut self, name: &str, rows: usize, width: usize) -> Result<Linear> {
        if ops::supported(self.device) {
            let matrix = DenseMatrix::compact(self.source.values(name, &[rows, width])?, width);
            return Ok(Linear::Kernel(Arc::new(DenseLayer { matrix, bias: Vec::new() })));
        }
        Ok(Linear::Stock { weight: Box::new(self.tensor(name, [rows, width])?), bias: None })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        let (gamma, beta) = (format!("{name}.weight"), format!("{name}.bias"));
        if ops::supported(self.device) {
            let (gamma, beta) = (self.source.values(&gamma, &[width])?, self.source.values(&beta, &[width])?);
            return Ok(Norm::Kernel(Arc::new(NormWeights { gamma, beta, epsilon: NORM_EPSILON as f32 })));
        }
        let (gamma, beta) = (self.tensor(&gamma, [width])?, self.tensor(&beta, [width])?);
        Ok(Norm::Stock { gamma: Box::new(gamma), beta: Box::new(beta) })
    }

    fn conv(&mut self, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Conv> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let dims = [outputs, inputs, KERNEL];
        if ops::supported(self.device) {
            let weights = self.source.values(&weight, &dims)?;
            // Of each output, the columns of one row of the input after those of the row before.
            let cols = KERNEL * inputs;
            let place = |at: usize| at / cols * cols + at % inputs * KERNEL + at % cols / inputs;
            let matrix = DenseMatrix::new((0..weights.len()).map(|at| weights[place(at)]).collect(), cols);
            let bias = self.source.values(&bias, &[outputs])?;
            return Ok(Conv::Kernel { layer: Arc::new(DenseLayer { matrix, bias }), stride });
        }
        let (weight, bias) = (self.tensor(&weight, dims)?, self.tensor(&bias, [outputs])?);
        Ok(Conv::Stock { weight: Box::new(weight), bias: Box::new(bias), stride })
    }

    fn self_attention(&mut self, block: &str, width: usize, heads: usize, pack: Pack) -> Result<SelfAttention> {
        Ok(SelfAttention {
            norm: self.norm(&format!("{block}.attn_ln"), width)?,
            qkv: self.layer(&format!("{block}.attn.qkv"), width, 3 * width, pack)?,
            out: self.layer(&format!("{block}.attn.out"), width, width, pack)?,
            heads,
        })
    }

    fn mlp(&mut self, block: &str, width: usize, pack: Pack) -> Result<Mlp> {
        Ok(Mlp {
            norm: self.norm(&format!("{block}.mlp_ln"), width)?,
            up: self.layer(&format!("{block}.mlp.0"), width, 4 * width, pack)?,
            down: self.layer(&format!("{block}.mlp.2"), 4 * width, width, pack)?,
        })
    }
}
