//! The traits that speech and language models implement, object-safe.
//!
//! [`Backends`] is a plain struct of trait objects: take a default set and replace one field. A backend is shared
//! by all sessions (`&self`); the state of one utterance, reply or conversation lives in the stream or
//! [`Conversation`] that it opens. Streams work in bounded [`Steps`]: one token, one partial transcript, one chunk of
//! audio. The driver polls them on a worker of the backend's own.
//!
//! Steps come of blocking code ([`steps_from_fn`]), of a future ([`steps_once`]), or of another thread
//! ([`steps_channel`]). A step that is pending is dropped as soon as its request is cancelled; blocking code that may last
//! longer than 50 ms checks the request's [`CancelFlag`] and returns [`ErrorCode::Cancelled`].
//!
//! The engine checks every answer: spans on character boundaries, finite samples, probabilities from 0 to 1. What is wrong
//! fails the turn with the code of the role ([`ErrorCode::RecognizerFailed`], [`ErrorCode::ChatFailed`],
//! [`ErrorCode::SynthesizerFailed`]) and says so; a panic is [`ErrorCode::Internal`].
//!
//! A recogniser:
//!
//! ```
//! # use tertulia::{LanguageTag, Result, backend::*};
//! # async fn transcribe(audio: &[f32]) -> Result<String> { Ok(format!("{} samples", audio.len())) }
//! struct Cloud;
//! impl Model for Cloud { fn name(&self) -> &str { "cloud" } }
//! impl Recognizer for Cloud {
//!     fn languages(&self) -> Vec<LanguageTag> { vec!["en".parse().unwrap(), "es".parse().unwrap()] }
//!     fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
//!         Ok(steps_once(async move { Ok(RecognitionStep::Final(transcribe(&request.audio).await?.into())) }))
//!     }
//! }
//! # let request = RecognitionRequest::new(vec![0.0; 16_000], Cloud.languages());
//! # run_steps(Cloud.recognize(request).unwrap(), |step| Ok(assert!(matches!(step, RecognitionStep::Final(_))))).unwrap();
//! ```
//!
//! A chat model, whose text is pushed by a thread of its own:
//!
//! ```
//! # use tertulia::{LanguageTag, Result, backend::*};
//! # fn stream(messages: &[Message]) -> Vec<String> { messages.iter().map(|message| message.content.clone()).collect() }
//! struct Cloud;
//! impl Model for Cloud { fn name(&self) -> &str { "cloud" } }
//! impl ChatModel for Cloud {
//!     fn languages(&self) -> Vec<LanguageTag> { vec!["en".parse().unwrap(), "es".parse().unwrap()] }
//!     fn open_conversation(&self) -> Result<Box<dyn Conversation>> { Ok(Box::new(Cloud)) }
//! }
//! impl Conversation for Cloud {
//!     fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
//!         let (sender, steps) = steps_channel();
//!         std::thread::spawn(move || {
//!             stream(&request.messages).into_iter().try_for_each(|text| sender.send(ChatStep::Text(text)))?;
//!             sender.send(ChatStep::done())
//!         });
//!         Ok(steps)
//!     }
//! }
//! # let request = ChatRequest::new(vec![Message::new(Role::User, "Hola.")]);
//! # let mut text = String::new();
//! # run_steps(Cloud.reply(request).unwrap(), |step| Ok(if let ChatStep::Text(more) = step { text += &more })).unwrap();
//! # assert_eq!(text, "Hola.");
//! ```
//!
//! A synthesizer that speaks with the platform's default voice:
//!
//! ```
//! # use tertulia::{LanguageTag, Result, backend::*};
//! # async fn speak(text: &str) -> Result<Vec<f32>> { Ok(vec![0.0; text.len() * 100]) }
//! struct Platform;
//! impl Model for Platform { fn name(&self) -> &str { "platform" } }
//! impl Synthesizer for Platform {
//!     fn languages(&self) -> Vec<LanguageTag> { vec!["en".parse().unwrap(), "es".parse().unwrap()] }
//!     fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
//!         Ok(steps_once(async move {
//!             let samples = speak(&request.text).await?;
//!             Ok(SpeechChunk::new(samples, 16_000, 0..request.text.len()))
//!         }))
//!     }
//! }
//! # let request = SynthesisRequest::new("Hola.", Platform.languages());
//! # run_steps(Platform.synthesize(request).unwrap(), |chunk| Ok(assert_eq!(chunk.text_span, 0..5))).unwrap();
//! ```

mod chat;
mod request;
mod speech;
mod steps;
mod synthesis;

pub use crate::event::{SpokenWord, Transcript, Word};
pub use crate::platform::{BoxFuture, MaybeSend, MaybeSync, Progress};
pub use chat::{ChatModel, ChatRequest, ChatStep, ChatUsage, Conversation, Message, Role, Sampling, StopReason};
pub use request::{Purpose, RequestContext};
#[doc(hidden)]
pub use speech::UtteranceCache;
pub use speech::{DetectionRequest, RecognitionRequest, RecognitionStep, Recognizer, TurnDetector, Vad, VadModel};
pub use steps::{CancelFlag, StepSender, StepStream, Steps, steps_channel, steps_from_fn, steps_once};
pub(crate) use steps::{PassedGate, StepGate, steps_opened_by};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use steps::{block_on, run_steps};
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

    /// Loads the weights, unless they are loaded. The engine awaits it on the model's worker before every request, and
    /// drops the future where the work is cancelled.
    ///
    /// # Errors
    /// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`],
    /// [`ErrorCode::ModelUnsupported`], [`ErrorCode::ModelLoadFailed`], [`ErrorCode::OutOfMemory`].
    fn load<'a>(&'a self, _progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
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
