//! Smart Turn v3.2, a turn detector: the probability of an end of turn, from audio alone.
//!
//! Whisper tiny's encoder over the last 8 s, attention that pools its rows, and a small classifier, trained by Pipecat
//! on 23 languages (<https://github.com/pipecat-ai/smart-turn>, BSD-2-Clause). The published weights are 8 bits wide
//! and so are its activations, and it decides as published only where these are rounded alike. So the encoder is not
//! Whisper's code on floats but computes in integers; the log-mel front end is Whisper's.
//!
//! ```no_run
//! # fn main() -> tertulia::Result<()> {
//! use tertulia::backend::{DetectionRequest, TurnDetector, block_on};
//! use tertulia_models::smart_turn::SmartTurn;
//! let detector = SmartTurn::new("smart-turn-v3.2.gguf");
//! let audio = [0.0; 16_000]; // speech at 16 kHz, with 100 to 200 ms of silence after the last
//! let probability = block_on(detector.probability_finished(DetectionRequest::new(audio)))?;
//! assert!((0.0..=1.0).contains(&probability));
//! # Ok(())
//! # }
//! ```

mod arithmetic;
#[cfg(feature = "download")]
mod convert;
mod network;

#[cfg(feature = "download")]
pub use convert::convert_onnx;

use crate::ModelSource;
use crate::gguf::Gguf;
use crate::mel::{HOP, MelFrontEnd};
use arithmetic::pairwise_sum;
use network::{FRAMES, MEL_BINS, Network};
use parking_lot::Mutex;
use std::sync::Arc;
use tertulia::backend::{BoxFuture, CancelFlag, DetectionRequest, Model, Progress, TurnDetector};
use tertulia::{Error, ErrorCode, Result};

/// `general.architecture` of the file.
const ARCHITECTURE: &str = "smart-turn";
/// The last samples that count: 8 s.
const WINDOW_SAMPLES: usize = FRAMES * HOP;
/// Keeps silence from being divided by its loudness.
const VARIANCE_MIN: f32 = 1e-7;
/// Weights, tables, and the buffers of one call.
const MEMORY_BYTES: u64 = 16_000_000;

/// The model.
///
/// A call takes one thread for some 35 ms, however short the audio. It looks at the cancel flag after the front end and
/// before each of the encoder's four layers.
pub struct SmartTurn {
    source: ModelSource,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

struct Loaded {
    front_end: MelFrontEnd,
    network: Network,
}

impl SmartTurn {
    /// The model in a GGUF file that [`convert_onnx`] made. The file is read by [`load`](Model::load).
    pub fn new(source: impl Into<ModelSource>) -> Self {
        Self { source: source.into(), loaded: Mutex::new(None) }
    }

    fn loaded(&self) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = &*loaded {
            return Ok(Arc::clone(loaded));
        }
        let network = Network::read(&Gguf::open_source(&self.source)?)?;
        let fresh = Arc::new(Loaded { front_end: MelFrontEnd::new(MEL_BINS), network });
        *loaded = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    fn finished(&self, audio: &[f32], cancel: &CancelFlag) -> Result<f32> {
        cancel.check()?;
        let window = window(audio)?;
        let model = self.loaded()?;
        let mel = model.front_end.log_mel(&window, FRAMES);
        model.network.finished(&mel, cancel)
    }
}

impl std::fmt::Debug for SmartTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmartTurn").field("source", &self.source).field("loaded", &self.is_loaded()).finish()
    }
}

impl Model for SmartTurn {
    fn name(&self) -> &str {
        "smart-turn-v3.2"
    }

    fn check(&self) -> Result<()> {
        if self.is_loaded() { Ok(()) } else { Gguf::open_head(&self.source).map(drop) }
    }

    fn load<'a>(&'a self, progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            progress(0.0);
            self.loaded()?;
            progress(1.0);
            Ok(())
        })
    }

    fn unload(&self) {
        *self.loaded.lock() = None;
    }

    fn is_loaded(&self) -> bool {
        self.loaded.lock().is_some()
    }

    fn memory_needed(&self) -> u64 {
        MEMORY_BYTES
    }
}

impl TurnDetector for SmartTurn {
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::AudioEmpty`], [`ErrorCode::AudioInvalidSample`],
    /// [`ErrorCode::Cancelled`].
    fn probability_finished(&self, request: DetectionRequest) -> BoxFuture<'_, Result<f32>> {
        Box::pin(async move { self.finished(&request.audio, &request.cancel) })
    }
}

/// The last 8 s, zeros before shorter audio, with mean 0 and variance 1.
fn window(audio: &[f32]) -> Result<Vec<f32>> {
    if audio.is_empty() {
        return Err(ErrorCode::AudioEmpty.into());
    }
    let last = &audio[audio.len().saturating_sub(WINDOW_SAMPLES)..];
    let mut window = vec![0.0; WINDOW_SAMPLES];
    window[WINDOW_SAMPLES - last.len()..].copy_from_slice(last);
    let mean = pairwise_sum(&window) / WINDOW_SAMPLES as f32;
    window.iter_mut().for_each(|sample| *sample -= mean);
    let squares: Vec<f32> = window.iter().map(|sample| sample * sample).collect();
    let variance = pairwise_sum(&squares) / WINDOW_SAMPLES as f32;
    if !variance.is_finite() {
        return Err(Error::new(ErrorCode::AudioInvalidSample, "samples are out of range: -1 to 1 expected"));
    }
    let deviation = (variance + VARIANCE_MIN).sqrt();
    window.iter_mut().for_each(|sample| *sample /= deviation);
    Ok(window)
}
