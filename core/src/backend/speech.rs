//! Speech in: voice activity detection, end-of-turn detection, recognition.

#[cfg(doc)]
use super::LISTEN_RATE_HZ;
use super::{BoxFuture, CancelFlag, MaybeSend, Model, Purpose, RequestContext, Steps, Transcript};
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::language::LanguageTag;
use std::any::Any;
use std::sync::Arc;

/// Voice activity detection.
pub trait VadModel: Model {
    /// Opens a detector with empty state.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    fn open(&self) -> Result<Box<dyn Vad>>;
}

/// A voice activity detector of one stream of audio.
pub trait Vad: MaybeSend {
    /// Samples of one frame at [`LISTEN_RATE_HZ`]; 512 for Silero.
    fn frame_len(&self) -> usize;

    /// The probability, 0 to 1, of speech in the next frame. Allocates nothing.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where `frame` is not [`frame_len`](Vad::frame_len) long.
    fn process(&mut self, frame: &[f32]) -> Result<f32>;

    /// Empties the state, for another stream.
    fn reset(&mut self);
}

/// End-of-turn detection from sound.
pub trait TurnDetector: Model {
    /// The probability, 0 to 1, that the utterance is finished.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::TurnDetectorFailed`], [`ErrorCode::Cancelled`].
    fn probability_finished(&self, request: DetectionRequest) -> BoxFuture<'_, Result<f32>>;
}

/// A request to a turn detector.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DetectionRequest {
    /// The utterance so far: mono samples at [`LISTEN_RATE_HZ`], with 100 to 200 ms of silence at the end; the last 8 s
    /// count.
    pub audio: Arc<[f32]>,
    /// For whom it is made.
    pub context: RequestContext,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl DetectionRequest {
    /// A request without a session.
    pub fn new(audio: impl Into<Arc<[f32]>>) -> Self {
        let context = RequestContext { purpose: Purpose::Partial, ..RequestContext::default() };
        Self { audio: audio.into(), context, cancel: CancelFlag::new() }
    }
}

/// Speech to text.
pub trait Recognizer: Model {
    /// The languages that it recognises.
    fn languages(&self) -> Vec<LanguageTag>;

    /// False for a purpose that it declines, such as [`Purpose::Partial`] and [`Purpose::Draft`] where each request is
    /// paid for. Read once, when the engine is built.
    fn accepts(&self, _purpose: Purpose) -> bool {
        true
    }

    /// Starts to recognise a whole utterance of any length.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::LanguageUnsupported`]. Steps fail with
    /// [`ErrorCode::RecognizerFailed`] or [`ErrorCode::Cancelled`].
    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>>;
}

/// A request to recognise an utterance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecognitionRequest {
    /// Mono samples at [`LISTEN_RATE_HZ`], each between -1 and 1.
    pub audio: Arc<[f32]>,
    /// One language to force it; several to have the likeliest among them chosen.
    pub languages: Vec<LanguageTag>,
    /// Words to expect. They help with names and hide a learner's errors; none by default.
    pub vocabulary: Vec<String>,
    /// True if words need start and end times. For partial transcripts they do not; a recogniser may then trade
    /// accuracy for time.
    pub word_times: bool,
    /// The intermediate results of earlier requests for the same utterance while it grows; the audio of each of them is
    /// a prefix of this request's.
    #[doc(hidden)]
    pub cache: Option<UtteranceCache>,
    /// For what, and for whom, it is made.
    pub context: RequestContext,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl RecognitionRequest {
    /// A request with word times, without vocabulary, of an utterance that is complete.
    pub fn new(audio: impl Into<Arc<[f32]>>, languages: Vec<LanguageTag>) -> Self {
        Self {
            audio: audio.into(),
            languages,
            vocabulary: Vec::new(),
            word_times: true,
            cache: None,
            context: RequestContext::default(),
            cancel: CancelFlag::new(),
        }
    }
}

/// One value of the recogniser's own type, kept between the requests of one utterance. Clones share it.
///
/// ```
/// use std::sync::Arc;
/// use tertulia::backend::UtteranceCache;
///
/// let cache = UtteranceCache::default();
/// cache.clone().set(Arc::new(vec![1, 2, 3]));
/// assert_eq!(cache.get::<Vec<i32>>().as_deref(), Some(&vec![1, 2, 3]));
/// assert_eq!(cache.get::<String>(), None);
/// ```
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct UtteranceCache(Arc<parking_lot::Mutex<Option<Arc<dyn Any + Send + Sync>>>>);

impl UtteranceCache {
    /// The value; `None` where there is none, or one of another type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.lock().clone()?.downcast().ok()
    }

    /// Replaces the value.
    pub fn set<T: Any + Send + Sync>(&self, value: Arc<T>) {
        *self.0.lock() = Some(value);
    }
}

impl std::fmt::Debug for UtteranceCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UtteranceCache").finish_non_exhaustive()
    }
}

/// One step of a recognition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RecognitionStep {
    /// Nothing to show yet.
    Working,
    /// A partial transcript.
    Partial {
        /// All of it, from the utterance's start.
        text: String,
        /// Bytes of its stable prefix, which will not change any more.
        stable_len: usize,
    },
    /// The whole utterance after the first decoding pass. Word times, and a second pass where confidence is low, take
    /// more work; then the final transcript follows and may differ.
    FirstPass(Transcript),
    /// The last item.
    Final(Transcript),
}
