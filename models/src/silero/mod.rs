//! Silero VAD v6.2 at 16 kHz: the probability of speech, every 32 ms.
//!
//! Plain loops over buffers that are there from the start: one frame is 0.6 million multiplications, too few for a
//! tensor library to pay off. The network is Silero's (<https://github.com/snakers4/silero-vad>, MIT).
//!
//! ```no_run
//! # fn main() -> tertulia::Result<()> {
//! use tertulia::backend::VadModel;
//! use tertulia_models::silero::SileroVad;
//! let model = SileroVad::new("silero-vad-v6.gguf");
//! let mut vad = model.open()?;
//! let probability = vad.process(&[0.0; 512])?;
//! assert!(probability < 0.5);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "download")]
mod convert;
mod network;

#[cfg(feature = "download")]
pub use convert::convert_onnx;

use crate::ModelSource;
use crate::gguf::Gguf;
use network::{State, Weights};
use parking_lot::Mutex;
use std::sync::Arc;
use tertulia::backend::{BoxFuture, Model, Progress, Vad, VadModel};
use tertulia::{Error, ErrorCode, Result};

/// Samples of one frame, 32 ms.
pub const FRAME_LEN: usize = 512;

/// `general.architecture` of the file.
const ARCHITECTURE: &str = "silero-vad";

/// The model; detectors that it opens share its weights.
pub struct SileroVad {
    source: ModelSource,
    weights: Mutex<Option<Arc<Weights>>>,
}

impl SileroVad {
    /// The model in a GGUF file that [`convert_onnx`] made. The file is read by [`load`](Model::load).
    pub fn new(source: impl Into<ModelSource>) -> Self {
        Self { source: source.into(), weights: Mutex::new(None) }
    }

    fn weights(&self) -> Result<Arc<Weights>> {
        let mut weights = self.weights.lock();
        if let Some(weights) = &*weights {
            return Ok(Arc::clone(weights));
        }
        let loaded = Arc::new(Weights::read(&Gguf::open_source(&self.source)?)?);
        *weights = Some(Arc::clone(&loaded));
        Ok(loaded)
    }
}

impl Model for SileroVad {
    fn name(&self) -> &str {
        "silero-vad-v6"
    }

    fn check(&self) -> Result<()> {
        if self.is_loaded() { Ok(()) } else { Gguf::open_head(&self.source).map(drop) }
    }

    fn load<'a>(&'a self, progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            progress(0.0);
            self.weights()?;
            progress(1.0);
            Ok(())
        })
    }

    fn unload(&self) {
        *self.weights.lock() = None;
    }

    fn is_loaded(&self) -> bool {
        self.weights.lock().is_some()
    }

    fn memory_needed(&self) -> u64 {
        (Weights::BYTES + State::BYTES) as u64
    }
}

impl VadModel for SileroVad {
    fn open(&self) -> Result<Box<dyn Vad>> {
        Ok(Box::new(SileroStream { weights: self.weights()?, state: State::new() }))
    }
}

struct SileroStream {
    weights: Arc<Weights>,
    state: State,
}

impl Vad for SileroStream {
    fn frame_len(&self) -> usize {
        FRAME_LEN
    }

    fn process(&mut self, frame: &[f32]) -> Result<f32> {
        let frame: &[f32; FRAME_LEN] = frame.try_into().map_err(|_| {
            Error::new(
                ErrorCode::InvalidArgument,
                format!("VAD frame has {} samples: {FRAME_LEN} expected", frame.len()),
            )
        })?;
        if frame.iter().any(|sample| !sample.is_finite()) {
            // One such sample would stay in the recurrent state for ever.
            return Err(ErrorCode::AudioInvalidSample.into());
        }
        Ok(self.state.step(&self.weights, frame))
    }

    fn reset(&mut self) {
        self.state.clear();
    }
}
