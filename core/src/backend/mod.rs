//! The traits that speech and language models implement, object-safe.
//!
//! [`Backends`] is a plain struct of trait objects: take a default set and replace one field. A backend is shared
//! by all sessions (`&self`); the state of one utterance, reply or conversation lives in the stream or
//! [`Conversation`] that it opens. Streams work in bounded [`Steps`]: one token, one partial transcript, one chunk of
//! audio. The driver polls them on a worker of the backend's own and drops them between two steps; a step that may
//! last longer than 50 ms checks the request's [`CancelFlag`] and returns [`ErrorCode::Cancelled`].
//!
//! A backend written as plain blocking code is a closure:
//!
//! ```
//! use tertulia::backend::{steps_from_fn, Steps};
//! let mut left = 3;
//! let countdown: Steps<'static, u32> = steps_from_fn(move || {
//!     left -= 1;
//!     Ok((left >= 0).then_some(left as u32))
//! });
//! # let _ = countdown;
//! ```

mod chat;
mod speech;
mod steps;
mod synthesis;

pub use crate::event::{SpokenWord, Transcript, Word};
pub use crate::platform::{BoxFuture, MaybeSend, MaybeSync};
pub use chat::{ChatModel, ChatRequest, ChatStep, ChatUsage, Conversation, Message, Role, Sampling, StopReason};
#[doc(hidden)]
pub use speech::UtteranceCache;
pub use speech::{RecognitionRequest, RecognitionStep, Recognizer, TurnDetector, Vad, VadModel};
pub use steps::{CancelFlag, StepStream, Steps, block_on, run_steps, steps_from_fn};
pub use synthesis::{Lexicon, SpeechChunk, SynthesisRequest, Synthesizer, VoiceInfo};

use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;

/// The sample rate of all audio that a [`Vad`], [`TurnDetector`] or [`Recognizer`] gets, in Hz.
pub const LISTEN_RATE_HZ: u32 = 16_000;

/// The models of an engine. Each may be absent; a call that needs an absent one fails with
/// [`ErrorCode::BackendMissing`].
#[derive(Clone, Default)]
pub struct Backends {
    /// Voice activity detection.
    pub vad: Option<Arc<dyn VadModel>>,
    /// End-of-turn detection.
    pub turn_detector: Option<Arc<dyn TurnDetector>>,
    /// Speech to text.
    pub recognizer: Option<Arc<dyn Recognizer>>,
    /// Replies.
    pub chat: Option<Arc<dyn ChatModel>>,
    /// Text to speech.
    pub synthesizer: Option<Arc<dyn Synthesizer>>,
}

/// The part that all backends share: a name, and weights that are loaded and unloaded. The defaults are those of a
/// backend without weights.
pub trait Model: MaybeSend + MaybeSync + 'static {
    /// A short name for capabilities and logs, such as `whisper-base`.
    fn name(&self) -> &str;

    /// Checks, without loading the weights, that the model's file can be read; models without a file need no check.
    ///
    /// A model that fails it has no languages and no voices.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Loads the weights, unless they are loaded. `progress` is called with 0 to 1.
    ///
    /// Blocks. Opening a stream of a model that is not loaded loads it.
    ///
    /// # Errors
    /// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`],
    /// [`ErrorCode::ModelUnsupported`], [`ErrorCode::ModelLoadFailed`], [`ErrorCode::OutOfMemory`].
    fn load(&self, _progress: &mut dyn FnMut(f32)) -> Result<()> {
        Ok(())
    }

    /// Frees the weights once no stream uses them.
    fn unload(&self) {}

    /// True if the weights are loaded.
    fn is_loaded(&self) -> bool {
        true
    }

    /// Bytes of memory that the loaded model takes, its working memory included; known before loading.
    fn memory_needed(&self) -> u64 {
        0
    }
}

impl Backends {
    /// The models that are present.
    pub(crate) fn models(&self) -> impl Iterator<Item = Arc<dyn Model>> {
        let Backends { vad, turn_detector, recognizer, chat, synthesizer } = self.clone();
        let speech = [vad.map(|model| model as Arc<dyn Model>), turn_detector.map(|model| model as _)];
        let others =
            [recognizer.map(|model| model as _), chat.map(|model| model as _), synthesizer.map(|model| model as _)];
        speech.into_iter().chain(others).flatten()
    }

    /// The backend, or the error that says it is missing.
    pub(crate) fn require<'a, T: ?Sized>(backend: &'a Option<Arc<T>>, name: &str) -> Result<&'a Arc<T>> {
        backend.as_ref().ok_or_else(|| Error::new(ErrorCode::BackendMissing, format!("the engine has no {name}")))
    }
}
