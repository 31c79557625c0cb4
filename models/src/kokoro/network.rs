//! The whole network: symbol ids and a style to samples.

use super::albert::{Albert, id_tensor};
use super::decoder::{Decoder, numbers};
use super::predictor::{Predictor, TextEncoder};
use super::vocab::IDS;
use super::weights::Weights;
use super::{FRAME_SAMPLES, PROSODY_WIDTH, STYLE_WIDTH, SYMBOLS_MAX, TIMBRE_WIDTH};
use crate::gguf::Gguf;
use burn::tensor::{Device, Tensor, TensorData};
use tertulia::backend::CancelFlag;
use tertulia::{Error, ErrorCode, Result};

/// Frames of the longest utterance, a minute: one symbol may take 100 frames at half speed, and
/// memory grows with their sum.
const FRAMES_MAX: usize = 2400;

pub(super) struct Network {
    bert: Box<Albert>,
    predictor: Box<Predictor>,
    text_encoder: Box<TextEncoder>,
    decoder: Box<Decoder>,
    device: Device,
}

/// The network's output for an utterance.
pub(super) struct Spoken {
    /// 600 for each frame.
    pub(super) samples: Vec<f32>,
    /// Frames of each symbol, the two enclosing ones included.
    pub(super) durations: Vec<u32>,
    /// Two values a frame; 10 and less where there is no voice.
    pub(super) pitch_hz: Vec<f32>,
}

impl Network {
    /// Reads the weights; `progress` is called with 0 to 1.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where a tensor is missing or has another shape.
    pub(super) fn load(file: &Gguf, device: &Device, progress: &mut dyn FnMut(f32)) -> Result<Self> {
        let weights = Weights::new(file, device);
        progress(0.0);
        let bert = boxed(|| Albert::load(&weights, IDS))?;
        let text_encoder = boxed(|| TextEncoder::load(&weights, IDS))?;
        progress(0.2);
        let predictor = boxed(|| Predictor::load(&weights))?;
        progress(0.5);
        let decoder = boxed(|| Decoder::load(&weights))?;
        progress(1.0);
        Ok(Self { bert, predictor, text_encoder, decoder, device: device.clone() })
    }

    /// Speaks symbols with a style of 256 numbers. Looks at `cancel` between layers and inside the long ones.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; [`ErrorCode::SynthesizerFailed`] where the network makes something that is no
    /// number; [`ErrorCode::InvalidArgument`] for no or too many symbols.
    pub(super) fn speak(&self, ids: &[u32], style: &[f32], speed: f32, cancel: &CancelFlag) -> Result<Spoken> {
        if ids.is_empty() || ids.len() > SYMBOLS_MAX || style.len() != STYLE_WIDTH {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "utterance is out of range: 1 to 510 symbols and a style expected",
            ));
        }
        let enclosed: Vec<u32> = [&[0], ids, &[0]].concat();
        let ids = id_tensor(&enclosed, &self.device);
        let (timbre, prosody) = style.split_at(TIMBRE_WIDTH);
        let timbre = Tensor::<2>::from_data(TensorData::new(timbre.to_vec(), [1, TIMBRE_WIDTH]), &self.device);
        let prosody = Tensor::<2>::from_data(TensorData::new(prosody.to_vec(), [1, PROSODY_WIDTH]), &self.device);

        let encoded = self.predictor.encode(self.bert.forward(&ids, cancel)?, &prosody, cancel)?;
        let durations = numbers(self.predictor.durations(encoded.clone(), cancel)?)?;
        let durations = rounded(&durations, speed)?;
        let spread: Vec<u32> = durations.iter().zip(0..).flat_map(|(&n, at)| (0..n).map(move |_| at)).collect();
        let spread = id_tensor(&spread, &self.device);
        let frames = encoded.select(0, spread.clone());
        let (pitch, energy) = self.predictor.curves(frames, &prosody, cancel)?;
        let text = self.text_encoder.forward(&ids, cancel)?.select(0, spread);
        let samples = self.decoder.forward(text, &pitch, &energy, &timbre, cancel)?;
        if !samples.iter().all(|sample| sample.is_finite()) {
            return Err(Error::new(ErrorCode::SynthesizerFailed, "samples are not finite numbers"));
        }
        let samples: Vec<f32> = samples.into_iter().map(|sample| sample.clamp(-1.0, 1.0)).collect();
        debug_assert_eq!(samples.len(), durations.iter().sum::<u32>() as usize * FRAME_SAMPLES);
        Ok(Spoken { samples, durations, pitch_hz: numbers(pitch)? })
    }
}

/// A part of the network, which is hundreds of kilobytes, and no longer on the stack: a host's thread may have little.
#[inline(never)]
fn boxed<T>(load: impl FnOnce() -> Result<T>) -> Result<Box<T>> {
    load().map(Box::new)
}

/// Whole frames, at least one for each symbol.
fn rounded(durations: &[f32], speed: f32) -> Result<Vec<u32>> {
    let frames: Vec<f32> = durations.iter().map(|frames| (frames / speed).round_ties_even().max(1.0)).collect();
    let sum: f32 = frames.iter().sum();
    if !sum.is_finite() {
        return Err(Error::new(ErrorCode::SynthesizerFailed, "durations are not finite numbers"));
    }
    if sum > FRAMES_MAX as f32 {
        return Err(Error::new(ErrorCode::SynthesizerFailed, "run of speech is too long: a minute at most expected"));
    }
    Ok(frames.into_iter().map(|frames| frames as u32).collect())
}
