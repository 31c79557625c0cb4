//! Prosody: durations, pitch and energy from the phonemes and the style (StyleTTS 2, Li et al.
//! 2023), and the phonemes' own encoding for the decoder.

use super::layers::{AdaIn, AdaLayerNorm, Conv, ConvSize, Doubling, LayerNorm, Linear, Lstm, doubled};
use super::weights::Weights;
use super::{PROSODY_WIDTH, albert};
use burn::tensor::activation::{leaky_relu, sigmoid};
use burn::tensor::{Int, Tensor};
use std::f64::consts::FRAC_1_SQRT_2;
use tertulia::Result;
use tertulia::backend::CancelFlag;

/// The width of phoneme encodings.
pub(super) const HIDDEN: usize = 512;
const STYLED: usize = HIDDEN + PROSODY_WIDTH;
const LSTM: usize = HIDDEN / 2;
/// A duration is the sum of this many probabilities, in frames.
const DURATION_BINS: usize = 50;

pub(super) struct Predictor {
    bert_encoder: Linear,
    encoder: [(Lstm, AdaLayerNorm); 3],
    lstm: Lstm,
    duration: Linear,
    shared: Lstm,
    pitch: Curve,
    energy: Curve,
}

impl Predictor {
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self> {
        let layer = |index: usize| -> Result<(Lstm, AdaLayerNorm)> {
            let name = |index| format!("predictor.text_encoder.lstms.{index}");
            Ok((
                Lstm::load(weights, &name(2 * index), STYLED, LSTM)?,
                AdaLayerNorm::load(weights, &name(2 * index + 1), PROSODY_WIDTH, HIDDEN)?,
            ))
        };
        Ok(Self {
            bert_encoder: Linear::load(weights, "bert_encoder", albert::WIDTH, HIDDEN)?,
            encoder: [layer(0)?, layer(1)?, layer(2)?],
            lstm: Lstm::load(weights, "predictor.lstm", STYLED, LSTM)?,
            duration: Linear::load(weights, "predictor.duration_proj.linear_layer", HIDDEN, DURATION_BINS)?,
            shared: Lstm::load(weights, "predictor.shared", STYLED, LSTM)?,
            pitch: Curve::load(weights, "F0")?,
            energy: Curve::load(weights, "N")?,
        })
    }

    /// ALBERT's output to `[time, STYLED]`, from which durations, pitch and energy are read.
    pub(super) fn encode(&self, bert: Tensor<2>, style: &Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let x = self.bert_encoder.forward(bert);
        let [rows, _] = x.dims();
        let styles = style.clone().repeat(&[rows, 1]);
        let mut x = Tensor::cat(vec![x, styles.clone()], 1);
        for (lstm, norm) in &self.encoder {
            let y = norm.forward(lstm.forward(x, cancel)?, style);
            x = Tensor::cat(vec![y, styles.clone()], 1);
        }
        Ok(x)
    }

    /// Frames for each symbol at the voice's own pace, `[time, 1]`; not rounded.
    pub(super) fn durations(&self, encoded: Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let x = self.lstm.forward(encoded, cancel)?;
        Ok(sigmoid(self.duration.forward(x)).sum_dim(1))
    }

    /// Pitch in Hz and energy, two values a frame, `[2 frames, 1]`. `frames` is the encoding spread over frames.
    pub(super) fn curves(
        &self,
        frames: Tensor<2>,
        style: &Tensor<2>,
        cancel: &CancelFlag,
    ) -> Result<(Tensor<2>, Tensor<2>)> {
        let x = self.shared.forward(frames, cancel)?;
        Ok((self.pitch.forward(x.clone(), style, cancel)?, self.energy.forward(x, style, cancel)?))
    }
}

struct Curve {
    blocks: [StyledBlock; 3],
    projection: Conv,
}

impl Curve {
    fn load(weights: &Weights<'_>, name: &str) -> Result<Self> {
        let block = |index, inputs, outputs, doubling| {
            StyledBlock::load(weights, &format!("predictor.{name}.{index}"), inputs, outputs, doubling)
        };
        let (wide, narrow) = (HIDDEN, HIDDEN / 2);
        let projection = ConvSize { inputs: narrow, outputs: 1, kernel: 1 };
        Ok(Self {
            blocks: [block(0, wide, wide, false)?, block(1, wide, narrow, true)?, block(2, narrow, narrow, false)?],
            projection: Conv::load(weights, &format!("predictor.{name}_proj"), projection)?,
        })
    }

    fn forward(&self, mut x: Tensor<2>, style: &Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        for block in &self.blocks {
            x = block.forward(x, style, cancel)?;
        }
        self.projection.forward(x, cancel)
    }
}

/// Two convolutions, each after an adaptive norm, beside a shortcut; may double the length.
pub(super) struct StyledBlock {
    norms: [AdaIn; 2],
    convs: [Conv; 2],
    shortcut: Option<Conv>,
    pool: Option<Doubling>,
}

impl StyledBlock {
    pub(super) fn load(
        weights: &Weights<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
        doubling: bool,
    ) -> Result<Self> {
        let norm =
            |index, channels| AdaIn::load(weights, &format!("{name}.norm{index}"), PROSODY_WIDTH, channels, None);
        let conv = |part: &str, inputs, kernel| {
            Conv::load(weights, &format!("{name}.{part}"), ConvSize { inputs, outputs, kernel })
        };
        Ok(Self {
            norms: [norm(1, inputs)?, norm(2, outputs)?],
            convs: [conv("conv1", inputs, 3)?, conv("conv2", outputs, 3)?],
            shortcut: if inputs != outputs { Some(conv("conv1x1", inputs, 1)?) } else { None },
            pool: if doubling { Some(Doubling::load(weights, &format!("{name}.pool"), inputs)?) } else { None },
        })
    }

    pub(super) fn forward(&self, x: Tensor<2>, style: &Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let mut y = self.norms[0].forward(x.clone(), style);
        let mut shortcut = x;
        if let Some(pool) = &self.pool {
            y = pool.forward(y);
            shortcut = doubled(shortcut);
        }
        if let Some(conv) = &self.shortcut {
            shortcut = conv.forward(shortcut, cancel)?;
        }
        let y = self.convs[0].forward(y, cancel)?;
        let y = self.convs[1].forward(self.norms[1].forward(y, style), cancel)?;
        Ok((y + shortcut) * FRAC_1_SQRT_2)
    }
}

/// The phonemes' encoding for the decoder: convolutions and an LSTM.
pub(super) struct TextEncoder {
    embedding: Tensor<2>,
    convs: [(Conv, LayerNorm); 3],
    lstm: Lstm,
}

impl TextEncoder {
    pub(super) fn load(weights: &Weights<'_>, symbols: usize) -> Result<Self> {
        let layer = |index: usize| -> Result<(Conv, LayerNorm)> {
            let name = format!("text_encoder.cnn.{index}");
            let size = ConvSize { inputs: HIDDEN, outputs: HIDDEN, kernel: 5 };
            let norm = [&*format!("{name}.1.gamma"), &format!("{name}.1.beta")];
            Ok((Conv::load(weights, &format!("{name}.0"), size)?, LayerNorm::load(weights, norm, HIDDEN, 1e-5)?))
        };
        Ok(Self {
            embedding: weights.tensor("text_encoder.embedding.weight", [symbols, HIDDEN])?,
            convs: [layer(0)?, layer(1)?, layer(2)?],
            lstm: Lstm::load(weights, "text_encoder.lstm", HIDDEN, LSTM)?,
        })
    }

    /// Symbol ids to `[time, HIDDEN]`.
    pub(super) fn forward(&self, ids: &Tensor<1, Int>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let mut x = self.embedding.clone().select(0, ids.clone());
        for (conv, norm) in &self.convs {
            x = leaky_relu(norm.forward(conv.forward(x, cancel)?), 0.2);
        }
        self.lstm.forward(x, cancel)
    }
}
