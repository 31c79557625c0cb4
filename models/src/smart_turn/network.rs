//! The network: Whisper tiny's encoder over 8 s, attention that pools its rows into one, and a small classifier.

use super::ARCHITECTURE;
use super::arithmetic::{Linear, Norm, Product, Rounding, Softmax, Table, gelu};
use crate::gguf::{GgmlType, Gguf};
use crate::kernels::bytes::ByteMatrix;
use tertulia::Result;
use tertulia::backend::CancelFlag;

/// Mel bins, and frames of 8 s.
pub(super) const MEL_BINS: usize = 80;
pub(super) const FRAMES: usize = 800;

const LAYERS: usize = 4;
const POSITIONS: usize = FRAMES / 2;
const WIDTH: usize = 384;
const HEADS: usize = 6;
const HEAD_WIDTH: usize = WIDTH / HEADS;
const MLP_WIDTH: usize = 4 * WIDTH;
const POOL_WIDTH: usize = 256;
const CLASSIFIER_WIDTHS: [usize; 2] = [256, 64];
/// Frames that a convolution covers.
const KERNEL: usize = 3;

/// The loaded network.
pub(super) struct Network {
    input: Rounding,
    conv1: Linear,
    conv1_gelu: Table,
    conv1_gelu_zero: u8,
    conv2: Linear,
    conv2_gelu: [f32; 256],
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    normed: Rounding,
    pool_in: Linear,
    pool_tanh: Table,
    pool_out: Linear,
    pooled: Rounding,
    classifier: [Linear; 3],
    classifier_norm: Norm,
    classifier_normed: Rounding,
    classifier_gelu: Table,
}

impl Network {
    /// # Errors
    /// [`tertulia::ErrorCode::ModelUnsupported`] for another architecture or shape, [`tertulia::ErrorCode::ModelCorrupt`] where a
    /// tensor is absent or a scale is no positive number.
    pub(super) fn read(file: &Gguf) -> Result<Self> {
        if file.str("general.architecture")? != ARCHITECTURE {
            return Err(file.unsupported("not a Smart Turn model"));
        }
        let source = Source(file);
        let input = source.rounding("input.rounding")?;
        let conv1 = source.linear("encoder.conv1", [WIDTH, KERNEL * MEL_BINS], input, true)?;
        let gelu_1 = source.rounding("encoder.conv1.gelu.rounding")?;
        let (before, after) = (conv1.out, gelu_1);
        let conv1_gelu = Table::new(1, |_, byte| after.byte(gelu(before.value(byte))));
        let conv2 = source.linear("encoder.conv2", [WIDTH, KERNEL * WIDTH], gelu_1, true)?;
        let conv2_gelu = std::array::from_fn(|byte| gelu(conv2.out.value(byte as u8)));
        let layers = (0..LAYERS).map(|layer| Layer::read(&source, &format!("encoder.layers.{layer}")));
        let layers = layers.collect::<Result<_>>()?;
        let normed = source.rounding("encoder.norm.rounding")?;
        let pool_in = source.linear("pool.0", [POOL_WIDTH, WIDTH], normed, false)?;
        let tanh = source.rounding("pool.0.tanh.rounding")?;
        let pool_tanh = source.table("pool.0", &pool_in, tanh, |x| x.tanh())?;
        let pool_out = source.linear("pool.2", [1, POOL_WIDTH], tanh, false)?;
        let pooled = source.rounding("pooled.rounding")?;
        let [wide, narrow] = CLASSIFIER_WIDTHS;
        let first = source.linear("classifier.0", [wide, WIDTH], pooled, true)?;
        let classifier_normed = source.rounding("classifier.1.gelu.rounding")?;
        let second = source.linear("classifier.4", [narrow, wide], classifier_normed, true)?;
        let (before, after) = (second.out, source.rounding("classifier.4.gelu.rounding")?);
        let classifier_gelu = Table::new(1, |_, byte| after.byte(gelu(before.value(byte))));
        let third = source.linear("classifier.6", [1, narrow], after, true)?;
        Ok(Self {
            input,
            conv1,
            conv1_gelu,
            conv1_gelu_zero: gelu_1.zero as u8,
            conv2,
            conv2_gelu,
            positions: source.floats("encoder.positions", &[POSITIONS, WIDTH])?,
            layers,
            norm: source.norm("encoder.norm", WIDTH)?,
            normed,
            pool_in,
            pool_tanh,
            pool_out,
            pooled,
            classifier: [first, second, third],
            classifier_norm: source.norm("classifier.1", wide)?,
            classifier_normed,
            classifier_gelu,
        })
    }

    /// The probability that the speaker has finished, from the log-mel spectrum `[MEL_BINS, FRAMES]` of the last 8 s.
    ///
    /// # Errors
    /// [`tertulia::ErrorCode::Cancelled`].
    pub(super) fn finished(&self, mel: &[f32], cancel: &CancelFlag) -> Result<f32> {
        let mut x = self.encoder_input(mel);
        for layer in &self.layers {
            cancel.check()?;
            layer.forward(&mut x);
        }
        cancel.check()?;
        let rows = normalise(&self.norm, self.normed, &x);
        let pooled = self.pool(&rows);
        Ok(self.classify(&pooled))
    }

    /// The convolutions: the encoder's first rows, `[POSITIONS, WIDTH]`.
    fn encoder_input(&self, mel: &[f32]) -> Vec<f32> {
        // A frame before and one after, as silence: then the frames that a convolution covers lie side by side.
        let mut frames = vec![self.input.zero as u8; (FRAMES + 2) * MEL_BINS];
        for (bin, row) in mel.chunks_exact(FRAMES).enumerate() {
            for (frame, value) in frames[MEL_BINS..].chunks_exact_mut(MEL_BINS).zip(row) {
                frame[bin] = self.input.byte(*value);
            }
        }
        let mut convolved = vec![self.conv1_gelu_zero; (FRAMES + 2) * WIDTH];
        let inner = &mut convolved[WIDTH..][..FRAMES * WIDTH];
        self.conv1.forward(&frames, MEL_BINS, inner);
        self.conv1_gelu.apply(inner);
        let mut rows = vec![0; POSITIONS * WIDTH];
        self.conv2.forward(&convolved, 2 * WIDTH, &mut rows);
        rows.iter().zip(&self.positions).map(|(byte, at)| self.conv2_gelu[usize::from(*byte)] + at).collect()
    }

    /// The mean of the rows, weighed by attention.
    fn pool(&self, rows: &[u8]) -> Vec<u8> {
        let mut hidden = vec![0; POSITIONS * POOL_WIDTH];
        self.pool_in.forward(rows, WIDTH, &mut hidden);
        self.pool_tanh.apply(&mut hidden);
        let mut scores = vec![0; POSITIONS];
        self.pool_out.forward(&hidden, POOL_WIDTH, &mut scores);
        // The bias, the same for all rows, falls out of the softmax.
        let scores: Vec<f64> = scores.iter().map(|byte| f64::from(self.pool_out.out.value(*byte))).collect();
        let most = scores.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut sums = [0.0f64; WIDTH];
        for (row, weight) in rows.chunks_exact(WIDTH).zip(&weights) {
            for (sum, byte) in sums.iter_mut().zip(row) {
                *sum += f64::from(self.normed.value(*byte)) * weight / total;
            }
        }
        sums.iter().map(|sum| self.pooled.byte(*sum as f32)).collect()
    }

    fn classify(&self, pooled: &[u8]) -> f32 {
        let [first, second, third] = &self.classifier;
        let (mut wide, mut narrow, mut logit) = ([0; CLASSIFIER_WIDTHS[0]], [0; CLASSIFIER_WIDTHS[1]], [0]);
        first.forward(pooled, WIDTH, &mut wide);
        let values = wide.map(|byte| first.out.value(byte));
        self.classifier_norm.forward(&values, |at, value| wide[at] = self.classifier_normed.byte(gelu(value)));
        second.forward(&wide, wide.len(), &mut narrow);
        self.classifier_gelu.apply(&mut narrow);
        third.forward(&narrow, narrow.len(), &mut logit);
        1.0 / (1.0 + (-third.out.value(logit[0])).exp())
    }
}

/// One layer of the encoder.
struct Layer {
    attention_norm: Norm,
    attention_normed: Rounding,
    query: Linear,
    query_scaled: Table,
    key: Linear,
    key_scaled: Table,
    value: Linear,
    value_biased: Table,
    scores: Product,
    softmax: Softmax,
    mix: Product,
    out: Linear,
    out_bias: Vec<f32>,
    mlp_norm: Norm,
    mlp_normed: Rounding,
    up: Linear,
    up_gelu: Table,
    down: Linear,
    down_bias: Vec<f32>,
}

impl Layer {
    fn read(source: &Source<'_>, layer: &str) -> Result<Self> {
        // Queries and keys are both scaled by the fourth root of the head's width.
        let root = (HEAD_WIDTH as f32).powf(-0.25);
        let name = |part: &str| format!("{layer}.{part}");
        let rounding = |part: &str| source.rounding(&name(&format!("{part}.rounding")));
        let square = [WIDTH, WIDTH];
        let attention_normed = rounding("attn_norm")?;
        let [query, key, value] =
            ["query", "key", "value"].map(|part| source.linear(&name(part), square, attention_normed, false));
        let (query, key, value) = (query?, key?, value?);
        let (queries, keys, values) = (rounding("query.scaled")?, rounding("key.scaled")?, rounding("value.biased")?);
        let (scores, attention, mixed) = (rounding("scores")?, rounding("attention")?, rounding("mixed")?);
        if attention.zero != 0 {
            return Err(source.0.unsupported("attention weights have a zero point"));
        }
        let mlp_normed = rounding("mlp_norm")?;
        let up = source.linear(&name("up"), [MLP_WIDTH, WIDTH], mlp_normed, false)?;
        let gelu_rounding = rounding("up.gelu")?;
        let key_out = key.out;
        Ok(Self {
            attention_norm: source.norm(&name("attn_norm"), WIDTH)?,
            attention_normed,
            query_scaled: source.table(&name("query"), &query, queries, |x| x * root)?,
            query,
            key_scaled: Table::new(1, |_, byte| keys.byte(key_out.value(byte) * root)),
            key,
            value_biased: source.table(&name("value"), &value, values, |x| x)?,
            value,
            scores: Product { left: queries, right: keys, out: scores },
            softmax: Softmax::new(POSITIONS, scores.scale, attention.scale),
            mix: Product { left: attention, right: values, out: mixed },
            out: source.linear(&name("out"), square, mixed, false)?,
            out_bias: source.floats(&name("out.bias"), &[WIDTH])?,
            mlp_norm: source.norm(&name("mlp_norm"), WIDTH)?,
            mlp_normed,
            up_gelu: source.table(&name("up"), &up, gelu_rounding, gelu)?,
            up,
            down: source.linear(&name("down"), [WIDTH, MLP_WIDTH], gelu_rounding, false)?,
            down_bias: source.floats(&name("down.bias"), &[WIDTH])?,
        })
    }

    fn forward(&self, x: &mut [f32]) {
        let rows = normalise(&self.attention_norm, self.attention_normed, x);
        let mixed = self.attend(&rows);
        add(x, &self.out, &self.out_bias, &mixed, WIDTH);
        let rows = normalise(&self.mlp_norm, self.mlp_normed, x);
        let mut hidden = vec![0; POSITIONS * MLP_WIDTH];
        self.up.forward(&rows, WIDTH, &mut hidden);
        self.up_gelu.apply(&mut hidden);
        add(x, &self.down, &self.down_bias, &hidden, MLP_WIDTH);
    }

    fn attend(&self, rows: &[u8]) -> Vec<u8> {
        let project = |linear: &Linear, table: &Table| {
            let mut out = vec![0; POSITIONS * WIDTH];
            linear.forward(rows, WIDTH, &mut out);
            table.apply(&mut out);
            out
        };
        let queries = project(&self.query, &self.query_scaled);
        let keys = project(&self.key, &self.key_scaled);
        let values = project(&self.value, &self.value_biased);
        let mut attention = vec![0; POSITIONS * POSITIONS];
        let mut mixed = vec![0; POSITIONS * WIDTH];
        for head in (0..WIDTH).step_by(HEAD_WIDTH) {
            let keys = Product::pack(POSITIONS, HEAD_WIDTH, |row, col| keys[row * WIDTH + head + col]);
            let steps = [WIDTH, POSITIONS];
            self.scores.forward(&queries[head..], (&keys, HEAD_WIDTH), POSITIONS, steps, &mut attention);
            self.softmax.apply(&mut attention, POSITIONS);
            let values = Product::pack(HEAD_WIDTH, POSITIONS, |row, col| values[col * WIDTH + head + row]);
            let steps = [POSITIONS, WIDTH];
            self.mix.forward(&attention, (&values, POSITIONS), POSITIONS, steps, &mut mixed[head..]);
        }
        mixed
    }
}

/// Rows of floats, normalised, as bytes.
fn normalise(norm: &Norm, out: Rounding, x: &[f32]) -> Vec<u8> {
    let mut rows = vec![0; x.len()];
    for (row, bytes) in x.chunks_exact(WIDTH).zip(rows.chunks_exact_mut(WIDTH)) {
        norm.forward(row, |at, value| bytes[at] = out.byte(value));
    }
    rows
}

/// Adds what a layer and its bias make of `rows`, each `width` long.
fn add(x: &mut [f32], linear: &Linear, bias: &[f32], rows: &[u8], width: usize) {
    let mut made = vec![0; x.len()];
    linear.forward(rows, width, &mut made);
    for (x, made) in x.chunks_exact_mut(WIDTH).zip(made.chunks_exact(WIDTH)) {
        for ((x, byte), bias) in x.iter_mut().zip(made).zip(bias) {
            *x += linear.out.value(*byte) + bias;
        }
    }
}

/// The file, each tensor checked against the shape that the network has.
struct Source<'a>(&'a Gguf);

impl Source<'_> {
    fn data(&self, name: &str, shape: &[usize], dtype: GgmlType) -> Result<&[u8]> {
        let tensor = self.0.tensor(name)?;
        if tensor.shape != shape || tensor.dtype != dtype {
            return Err(self.0.unsupported(format!("tensor {name} has another shape or type")));
        }
        Ok(tensor.data)
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let data = self.data(name, shape, GgmlType::F32)?;
        Ok(data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn rounding(&self, name: &str) -> Result<Rounding> {
        let values = self.floats(name, &[2])?;
        let (scale, zero) = (values[0], values[1]);
        let sound = scale.is_finite() && scale > 0.0 && (0.0..=255.0).contains(&zero);
        if sound {
            Ok(Rounding { scale, zero: zero as i32 })
        } else {
            Err(self.0.corrupt(format!("{name} is no rounding")))
        }
    }

    /// A linear layer; its bias belongs to the integer products (`biased`), or comes after the rounding.
    fn linear(&self, name: &str, [rows, cols]: [usize; 2], input: Rounding, biased: bool) -> Result<Linear> {
        let weight = self.data(&format!("{name}.weight"), &[rows, cols], GgmlType::I8)?;
        let scales = self.floats(&format!("{name}.scale"), &[rows])?;
        let bias = if biased {
            let data = self.data(&format!("{name}.bias"), &[rows], GgmlType::I32)?;
            data.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
        } else {
            vec![0; rows]
        };
        // Far above what occurs, far below what could overflow.
        if bias.iter().any(|bias: &i32| bias.unsigned_abs() > 1 << 30) {
            return Err(self.0.corrupt(format!("{name}.bias is out of range")));
        }
        let matrix = ByteMatrix::new(rows, cols, |row, col| weight[row * cols + col] as i8);
        Ok(Linear::new(matrix, &scales, &bias, input, self.rounding(&format!("{name}.rounding"))?))
    }

    /// The steps after a linear layer as a table: its bias, a function, and a rounding.
    fn table(&self, name: &str, linear: &Linear, after: Rounding, of: impl Fn(f32) -> f32) -> Result<Table> {
        let before = linear.out;
        let bias = self.floats(&format!("{name}.bias"), &[linear.width()])?;
        Ok(Table::new(bias.len(), |column, byte| after.byte(of(before.value(byte) + bias[column]))))
    }

    fn norm(&self, name: &str, width: usize) -> Result<Norm> {
        Ok(Norm {
            gamma: self.floats(&format!("{name}.weight"), &[width])?,
            beta: self.floats(&format!("{name}.bias"), &[width])?,
        })
    }
}
