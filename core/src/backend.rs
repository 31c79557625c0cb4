//! What the engine needs from speech and language models, as object-safe traits.
//!
//! [`Backends`] is a plain struct of trait objects: take a default set and replace one field. A backend is shared
//! by all sessions (`&self`); whatever belongs to one utterance, reply or conversation lives in the stream or
//! [`Conversation`] that it opens. Streams work in bounded [`Steps`]: one token, one partial, one short run of
//! audio. The driver polls them on a worker of the backend's own and drops them between two steps; a step that may
//! last longer than 50 ms looks at the request's [`CancelFlag`] and returns [`ErrorCode::Cancelled`].
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

use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use crate::event::{SpokenWord, Transcript, Word};
pub use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// The sample rate of all audio that a [`Vad`] or [`Recognizer`] hears, in Hz.
pub const LISTEN_RATE_HZ: u32 = 16_000;

/// The models of an engine. Each may be absent; a call that needs an absent one fails with
/// [`ErrorCode::BackendMissing`].
#[derive(Clone, Default)]
pub struct Backends {
    /// Tells speech from silence.
    pub vad: Option<Arc<dyn VadModel>>,
    /// Tells a finished utterance from a hesitation.
    pub turn_detector: Option<Arc<dyn TurnDetector>>,
    /// Speech to text.
    pub recognizer: Option<Arc<dyn Recognizer>>,
    /// Writes the replies.
    pub chat: Option<Arc<dyn ChatModel>>,
    /// Text to speech.
    pub synthesizer: Option<Arc<dyn Synthesizer>>,
}

/// What every backend has: a name, and weights that come and go.
pub trait Model: MaybeSend + MaybeSync + 'static {
    /// A short name for capabilities and logs, such as `whisper-base`.
    fn name(&self) -> &str;

    /// Loads the weights; nothing happens where they are loaded. `progress` is called with 0 to 1.
    ///
    /// Blocks. Opening a stream of a model that is not loaded loads it.
    ///
    /// # Errors
    /// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`],
    /// [`ErrorCode::ModelUnsupported`], [`ErrorCode::ModelLoadFailed`], [`ErrorCode::OutOfMemory`].
    fn load(&self, progress: &mut dyn FnMut(f32)) -> Result<()>;

    /// Frees the weights once no stream uses them.
    fn unload(&self);

    /// Whether the weights are loaded.
    fn is_loaded(&self) -> bool;

    /// Bytes of memory that the loaded model takes, its working memory included; known before loading.
    fn memory_needed(&self) -> u64;
}

/// A stop sign shared between whoever cancels and the step that looks at it.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; there is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// # Errors
    /// [`ErrorCode::Cancelled`] where the flag is raised.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(ErrorCode::Cancelled.into()) } else { Ok(()) }
    }
}

/// A run of bounded steps, each giving one item; `None` ends it, an error ends it too.
pub trait StepStream: MaybeSend {
    /// What one step gives.
    type Item;

    /// Does one bounded piece of work. After `None` or an error it is not called again.
    fn step(&mut self) -> BoxFuture<'_, Result<Option<Self::Item>>>;
}

/// A boxed [`StepStream`].
pub type Steps<'a, T> = Box<dyn StepStream<Item = T> + 'a>;

/// Steps from blocking code: the closure does one bounded piece of work a call, and ends with `None`.
pub fn steps_from_fn<'a, T, F>(work: F) -> Steps<'a, T>
where
    T: MaybeSend + 'a,
    F: FnMut() -> Result<Option<T>> + MaybeSend + 'a,
{
    struct FromFn<F, T>(F, PhantomData<fn() -> T>);
    impl<T: MaybeSend, F: FnMut() -> Result<Option<T>> + MaybeSend> StepStream for FromFn<F, T> {
        type Item = T;
        fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
            let result = (self.0)();
            Box::pin(std::future::ready(result))
        }
    }
    Box::new(FromFn(work, PhantomData))
}

/// Tells speech from silence, for one stream of audio at a time.
pub trait VadModel: Model {
    /// Opens a detector with empty state.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    fn open(&self) -> Result<Box<dyn Vad>>;
}

/// A voice activity detector hearing one stream of audio.
pub trait Vad: MaybeSend {
    /// Samples of one frame at [`LISTEN_RATE_HZ`]; 512 for Silero.
    fn frame_len(&self) -> usize;

    /// The probability, 0 to 1, that someone speaks in the next frame. Allocates nothing.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where `frame` is not [`frame_len`](Vad::frame_len) long.
    fn process(&mut self, frame: &[f32]) -> Result<f32>;

    /// Forgets what was heard.
    fn reset(&mut self);
}

/// Tells, from sound, whether the speaker has finished.
pub trait TurnDetector: Model {
    /// The probability, 0 to 1, that the utterance is finished. `audio` is what was heard of it so far, at
    /// [`LISTEN_RATE_HZ`], with 100 to 200 ms of silence at its end; the last 8 s count.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::Cancelled`].
    fn probability_finished<'a>(&'a self, audio: &'a [f32], cancel: &'a CancelFlag) -> BoxFuture<'a, Result<f32>>;
}

/// Speech to text.
pub trait Recognizer: Model {
    /// The languages it can write down.
    fn languages(&self) -> Vec<LanguageTag>;

    /// Starts to recognise a whole utterance of any length.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::LanguageUnsupported`]. Steps fail with
    /// [`ErrorCode::RecognizerFailed`] or [`ErrorCode::Cancelled`].
    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>>;
}

/// What to recognise, and how.
#[derive(Clone, Debug)]
pub struct RecognitionRequest {
    /// Mono samples at [`LISTEN_RATE_HZ`], each between -1 and 1.
    pub audio: Arc<[f32]>,
    /// One language to force it; several to have the likeliest among them chosen.
    pub languages: Vec<LanguageTag>,
    /// Words to expect. They help with names and hide a learner's errors, so there are none by default.
    pub vocabulary: Vec<String>,
    /// Whether words need start and end times. Where they do not, as words that are shown while somebody still speaks,
    /// a recogniser may listen with less care to answer sooner.
    pub word_times: bool,
    /// Where the recogniser keeps intermediate results of an utterance that is recognised again while it grows; each of
    /// these requests has the audio of the one before as its beginning.
    #[doc(hidden)]
    pub cache: Option<UtteranceCache>,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl RecognitionRequest {
    /// A request with word times, without vocabulary, of an utterance that is complete.
    pub fn new(audio: impl Into<Arc<[f32]>>, languages: Vec<LanguageTag>) -> Self {
        let (vocabulary, cancel) = (Vec::new(), CancelFlag::new());
        Self { audio: audio.into(), languages, vocabulary, word_times: true, cache: None, cancel }
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
pub enum RecognitionStep {
    /// Work went on, and there is nothing to show.
    Working,
    /// The text so far.
    Partial {
        /// All of it, from the utterance's start.
        text: String,
        /// How many bytes of it will not change any more.
        stable_len: usize,
    },
    /// The whole utterance as it was understood at first. Word times, and a second hearing where doubts remain, take
    /// more work; then a final transcript follows that may differ. Who can do with these words need not wait for it.
    FirstPass(Transcript),
    /// The last item.
    Final(Transcript),
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// The learner.
    User,
    /// The tutor.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// What it says.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Writes replies.
pub trait ChatModel: Model {
    /// The languages it can converse in.
    fn languages(&self) -> Vec<LanguageTag>;

    /// The context length in tokens.
    fn context_len(&self) -> usize;

    /// The tokens of a text, without marks of the chat format; what of a conversation is summarised goes by it.
    ///
    /// Loads nothing and does not wait: a model that is not loaded guesses. By default a guess that is rather too high:
    /// a token for every three bytes.
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(3)
    }

    /// Opens a conversation with an empty cache.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    fn open_conversation(&self) -> Result<Box<dyn Conversation>>;
}

/// A conversation and the model's memory of it (the KV cache), kept from turn to turn.
pub trait Conversation: MaybeSend {
    /// Starts to write the next message. The request names the whole conversation; only what the cache does not
    /// hold yet is evaluated.
    ///
    /// Where it does not fit, whole messages leave after the first `pinned`, oldest first, so that a user's
    /// message stays first among those that remain.
    ///
    /// # Errors
    /// [`ErrorCode::ContextFull`] where the pinned messages and the last one alone do not fit;
    /// [`ErrorCode::ChatTemplateInvalid`]. Steps fail with [`ErrorCode::ChatFailed`] or [`ErrorCode::Cancelled`].
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>>;

    /// Bytes that the cache takes now.
    fn cache_bytes(&self) -> u64;

    /// Gives the cache's memory back; the next reply evaluates everything anew.
    fn drop_cache(&mut self);
}

/// What to answer, and how.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// How many of the first messages never leave. Of the engine's requests these are all but the last: the engine
    /// summarises what does not fit, and nothing else leaves.
    pub pinned: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Stops the work.
    pub cancel: CancelFlag,
}

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// 0 takes the likeliest token always.
    pub temperature: f32,
    /// Only the likeliest tokens whose probabilities reach this sum are considered, 0 to 1.
    pub top_p: f32,
    /// Only this many of the likeliest tokens are considered; 0 for all.
    pub top_k: u32,
    /// Divides the logits of tokens seen in the last 64; 1 for none.
    pub repetition_penalty: f32,
    /// The same seed gives the same reply; `None` takes a fresh one.
    pub seed: Option<u64>,
    /// Texts that end the reply; they are not part of it.
    pub stop: Vec<String>,
    /// The most tokens of one reply; 0 only evaluates the prompt, so that the reply to come starts sooner.
    pub max_tokens: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 0.9,
            top_k: 40,
            repetition_penalty: 1.1,
            seed: None,
            stop: Vec::new(),
            max_tokens: 256,
        }
    }
}

/// One step of a reply.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatStep {
    /// Part of the prompt was evaluated, and there is nothing to show.
    Working,
    /// More text: whole characters, never empty.
    Text(String),
    /// The last item.
    Done {
        /// Why the reply ended.
        reason: StopReason,
        /// What it took.
        usage: ChatUsage,
    },
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model had said what it wanted to say, or a stop text came.
    Stop,
    /// The token limit or the end of the context was reached.
    Length,
}

/// What a reply took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChatUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that had to be evaluated, the cache not holding them.
    pub evaluated_tokens: u32,
    /// Tokens of the reply.
    pub reply_tokens: u32,
    /// Messages that did not fit and were left out.
    pub dropped_messages: u32,
}

/// Text to speech.
pub trait Synthesizer: Model {
    /// The languages it can pronounce.
    fn languages(&self) -> Vec<LanguageTag>;

    /// The voices.
    fn voices(&self) -> Vec<VoiceInfo>;

    /// Samples per second of what it makes.
    fn sample_rate(&self) -> u32;

    /// Whether the lexicon can be spoken.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidLexicon`] names the first entry that cannot.
    fn check_lexicon(&self, lexicon: &Lexicon) -> Result<()>;

    /// Starts to speak a text of any length.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::UnknownVoice`], [`ErrorCode::LanguageUnsupported`],
    /// [`ErrorCode::InvalidArgument`] for a speed outside 0.5 to 2. Steps fail with
    /// [`ErrorCode::SynthesizerFailed`] or [`ErrorCode::Cancelled`].
    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>>;
}

/// A voice of a synthesizer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VoiceInfo {
    /// The name that settings use, such as `ef_dora`.
    pub name: String,
    /// The voice's own language.
    pub language: LanguageTag,
}

/// What to speak, and how.
#[derive(Clone, Debug)]
pub struct SynthesisRequest {
    /// The text as it is shown.
    pub text: String,
    /// The languages that may occur in it; the first is the likeliest.
    pub languages: Vec<LanguageTag>,
    /// The voice's name.
    pub voice: String,
    /// 1 is the voice's own pace, 0.5 half as fast, 2 twice.
    pub speed: f32,
    /// Pronunciations of the host; they change the sound, never the text.
    pub lexicon: Arc<Lexicon>,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl SynthesisRequest {
    /// A request at the voice's own pace, without lexicon.
    pub fn new(text: impl Into<String>, languages: Vec<LanguageTag>, voice: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            languages,
            voice: voice.into(),
            speed: 1.0,
            lexicon: Arc::default(),
            cancel: CancelFlag::new(),
        }
    }
}

/// Pronunciations: language, then word in lower case, then IPA.
pub type Lexicon = BTreeMap<LanguageTag, BTreeMap<String, String>>;

/// A short run of speech.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeechChunk {
    /// Mono samples between -1 and 1, at [`Synthesizer::sample_rate`].
    pub samples: Vec<f32>,
    /// The bytes of the request's text that this run speaks. The runs follow each other without gap or overlap
    /// and cover all of the text.
    pub text_span: Range<usize>,
    /// The words in it, in order; empty where the voice does not know its word times.
    pub words: Vec<SpokenWord>,
}

/// Drives `steps` to the end on this thread, handing each item to `each`; for tests, tools and synchronous hosts.
///
/// # Errors
/// The step's, or `each`'s.
pub fn run_steps<T>(mut steps: Steps<'_, T>, mut each: impl FnMut(T) -> Result<()>) -> Result<()> {
    while let Some(item) = block_on(steps.step())? {
        each(item)?;
    }
    Ok(())
}

/// Polls a future on this thread until it is ready, sleeping while it waits.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

impl Backends {
    /// Calls `each` with every model that is there, until it fails.
    pub(crate) fn for_each_model(&self, mut each: impl FnMut(&dyn Model) -> Result<()>) -> Result<()> {
        if let Some(model) = &self.vad {
            each(&**model)?;
        }
        if let Some(model) = &self.turn_detector {
            each(&**model)?;
        }
        if let Some(model) = &self.recognizer {
            each(&**model)?;
        }
        if let Some(model) = &self.chat {
            each(&**model)?;
        }
        if let Some(model) = &self.synthesizer {
            each(&**model)?;
        }
        Ok(())
    }

    /// The backend, or the error that says it is missing.
    pub(crate) fn require<'a, T: ?Sized>(backend: &'a Option<Arc<T>>, what: &str) -> Result<&'a Arc<T>> {
        backend.as_ref().ok_or_else(|| Error::new(ErrorCode::BackendMissing, format!("the engine has no {what}")))
    }
}
