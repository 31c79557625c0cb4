//! [`SessionEngine`], what a host asks of an engine; [`Engine`], which does it; and [`EngineBuilder`].

use crate::audio;
use crate::backend::{
    Backends, BoxFuture, LISTEN_RATE_HZ, MaybeSend, MaybeSync, Model, RecognitionRequest, SpeechChunk, Steps,
    SynthesisRequest, Transcript, VoiceInfo,
};
use crate::catalog::{Catalog, Level, Scenario};
use crate::config::{ListeningMode, SessionConfig, check_patience};
use crate::driver::clock::Clock;
use crate::driver::jobs::last_transcript;
use crate::driver::local::LocalDriver;
use crate::driver::queue::EventQueue;
use crate::driver::recording::{ListenRequest, Recording};
use crate::driver::{Commits, EngineLoop, Message, Options, SessionCore, SessionKey, SessionShared, Shared};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{Event, SessionId};
use crate::language::LanguageTag;
use crate::session::Session;
use crate::store::{
    ArchiveSource, ExportReport, ImportOptions, ImportReport, SessionCursor, SessionPage, SessionRecord, Store,
    StoreLocation, Swept, Turns, Write,
};
use crate::turn::EndpointWeights;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long opening a session waits for its last handle's closing.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
const CLOSING_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What a host asks of an engine. Object safe; every call may come from any thread.
pub trait SessionEngine: MaybeSend + MaybeSync {
    /// Creates a session and opens it.
    ///
    /// # Errors
    /// [`ErrorCode::LanguageUnsupported`], [`ErrorCode::UnknownVoice`], [`ErrorCode::UnknownLevel`],
    /// [`ErrorCode::UnknownScenario`], [`ErrorCode::InvalidLexicon`], [`ErrorCode::InvalidConfig`];
    /// [`ErrorCode::EngineClosed`]; those of the store.
    fn create_session(&self, config: SessionConfig) -> Result<Session>;

    /// Opens a session that exists, where it was left.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::SessionBusy`] where it is open; [`ErrorCode::SessionClosed`]
    /// where it was ended; [`ErrorCode::EngineClosed`]; those of the store.
    fn open_session(&self, id: SessionId) -> Result<Session>;

    /// Lists at most `limit` sessions, the one that changed last first.
    ///
    /// # Errors
    /// Those of the store.
    fn sessions(&self, after: Option<SessionCursor>, limit: usize) -> Result<SessionPage>;

    /// A session and its turns as they are stored.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; those of the store.
    fn session(&self, id: SessionId) -> Result<(SessionRecord, Turns)>;

    /// Writes a session as a file to take along; see [`Store::export_to`]. A session that is open is exported as it is
    /// stored at this moment.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::ArchiveIo`]; those of the store.
    fn export_session_to(&self, id: SessionId, out: &mut dyn std::io::Write) -> Result<ExportReport>;

    /// Takes in a session that was exported; see [`Store::import_from`].
    ///
    /// ```
    /// # use tertulia::{EngineBuilder, SessionConfig, SessionEngine};
    /// use tertulia::store::ImportOptions;
    /// # fn main() -> tertulia::Result<()> {
    /// # let engine = EngineBuilder::new().build()?;
    /// # let id = engine.create_session(SessionConfig::new("en".parse()?, "es".parse()?))?.id();
    /// let mut file = Vec::new();
    /// engine.export_session_to(id, &mut file)?;
    /// engine.delete_session(id)?;
    /// engine.import_session(&mut std::io::Cursor::new(file), &ImportOptions::default())?;
    /// engine.open_session(id)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Store::import_from`]; [`ErrorCode::EngineClosed`].
    fn import_session(&self, source: &mut dyn ArchiveSource, options: &ImportOptions) -> Result<ImportReport>;

    /// Deletes a session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::SessionBusy`] where it is open; those of the store.
    fn delete_session(&self, id: SessionId) -> Result<()>;

    /// What the engine can do, from what its backends say.
    fn capabilities(&self) -> Capabilities;

    /// The levels and scenarios.
    fn catalog(&self) -> &Catalog;

    /// Writes down mono audio of any length, without a session. `languages` as in [`RecognitionRequest`].
    ///
    /// The future does the work on the thread that polls it.
    ///
    /// # Errors
    /// [`ErrorCode::BackendMissing`], [`ErrorCode::AudioEmpty`], [`ErrorCode::AudioInvalidRate`],
    /// [`ErrorCode::AudioInvalidSample`]; those of [`Recognizer`](crate::backend::Recognizer).
    fn transcribe(
        &self,
        samples: Vec<f32>,
        rate: u32,
        languages: Vec<LanguageTag>,
    ) -> BoxFuture<'static, Result<Transcript>>;

    /// Listens to a recording as if it were a microphone, without a session and without answering: when somebody starts
    /// to speak, stops, and has finished, and what was said. Each step gives one event; `at_ms` is its place in the
    /// audio, and `turn` counts the utterances. The steps do the work on the thread that polls them.
    ///
    /// # Errors
    /// [`ErrorCode::BackendMissing`], [`ErrorCode::AudioEmpty`], [`ErrorCode::AudioInvalidRate`],
    /// [`ErrorCode::AudioInvalidSample`], [`ErrorCode::InvalidConfig`]; those of the backends.
    fn listen(&self, request: ListenRequest) -> Result<Steps<'static, Event>>;

    /// Speaks a text of any length, without a session. The steps do the work on the thread that polls them.
    ///
    /// # Errors
    /// [`ErrorCode::BackendMissing`]; those of [`Synthesizer`](crate::backend::Synthesizer).
    fn synthesize(&self, request: SynthesisRequest) -> Result<Speech>;

    /// Loads every model, so that the first turn need not wait. Blocks; progress shows as `model_loading`.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    fn preload(&self) -> Result<()>;

    /// Frees the models' memory; they are loaded again when they are needed.
    fn unload(&self);

    /// Bytes of memory that the models take when they are loaded.
    fn memory_needed(&self) -> u64;

    /// Deletes what the sessions' retention rules no longer let stay, or only counts it.
    ///
    /// # Errors
    /// Those of the store.
    fn sweep(&self, dry_run: bool) -> Result<Swept>;

    /// The next event of the engine itself; `None` where there is none yet.
    ///
    /// # Errors
    /// [`ErrorCode::EngineClosed`] once the engine was shut down and the last event read.
    fn try_next_event(&self) -> Result<Option<Event>>;

    /// Suspends every session, waits until everything is stored, and stops. Later calls fail with
    /// [`ErrorCode::EngineClosed`].
    fn shut_down(&self);
}

/// Speech being made without a session.
pub struct Speech {
    /// Samples per second.
    pub rate: u32,
    /// The runs of sound; see [`run_steps`](crate::backend::run_steps).
    pub steps: Steps<'static, SpeechChunk>,
}

/// What an engine can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capabilities {
    /// The languages, by tag.
    pub languages: Vec<LanguageCapability>,
    /// The names of the levels.
    pub levels: Vec<String>,
    /// The names of the scenarios.
    pub scenarios: Vec<String>,
    /// The names of the models, by role; a missing one is null.
    pub models: ModelNames,
    /// Whether sessions outlive the process.
    pub persistent: bool,
}

/// What an engine can do in one language.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LanguageCapability {
    /// The language.
    pub tag: LanguageTag,
    /// Whether it is understood.
    pub recognise: bool,
    /// Whether it is spoken.
    pub speak: bool,
    /// Whether the tutor can converse in it.
    pub chat: bool,
    /// The voices of that language.
    pub voices: Vec<String>,
}

/// The names of an engine's models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelNames {
    /// Tells speech from silence.
    pub vad: Option<String>,
    /// Tells a finished utterance from a hesitation.
    pub turn_detector: Option<String>,
    /// Speech to text.
    pub recognizer: Option<String>,
    /// Writes the replies.
    pub chat: Option<String>,
    /// Text to speech.
    pub synthesizer: Option<String>,
}

/// Builds an [`Engine`].
///
/// ```
/// use tertulia::{EngineBuilder, SessionEngine};
/// # fn main() -> tertulia::Result<()> {
/// // In memory and without models; see `backends` and `store`.
/// let engine = EngineBuilder::new().build()?;
/// assert!(engine.capabilities().languages.is_empty());
/// engine.shut_down();
/// # Ok(())
/// # }
/// ```
pub struct EngineBuilder {
    backends: Backends,
    store: StoreLocation,
    catalog: Catalog,
    clock: Option<Arc<dyn Clock>>,
    options: Options,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl EngineBuilder {
    /// An engine without models, with a store in memory and the levels and scenarios that come with it.
    pub fn new() -> Self {
        Self {
            backends: Backends::default(),
            store: StoreLocation::Memory,
            catalog: Catalog::builtin(),
            clock: None,
            options: Options { utterance_seconds_max: 120, endpoint_weights: EndpointWeights::default() },
        }
    }

    /// The models.
    pub fn backends(mut self, backends: Backends) -> Self {
        self.backends = backends;
        self
    }

    /// Where sessions are stored.
    pub fn store(mut self, location: StoreLocation) -> Self {
        self.store = location;
        self
    }

    /// The levels and scenarios.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// Where the time is read; by default the operating system's, which a browser build does not have.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The longest utterance, in seconds; 120 by default.
    pub fn utterance_seconds_max(mut self, seconds: u32) -> Self {
        self.options.utterance_seconds_max = seconds;
        self
    }

    /// How the witnesses of an utterance's end are weighed in sessions; those of [`EndpointWeights::default`] by default.
    pub fn endpoint_weights(mut self, weights: EndpointWeights) -> Self {
        self.options.endpoint_weights = weights;
        self
    }

    /// An engine with threads of its own: one for the sessions, one for each heavy backend, one for commits.
    ///
    /// # Errors
    /// Those of [`Store::open`]; [`ErrorCode::OutOfMemory`] where the system gives no thread.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub fn build(self) -> Result<Engine> {
        use crate::driver::inbox::Inbox;
        use crate::driver::threaded::Threads;
        let commits: Arc<Inbox<_>> = Arc::default();
        let (shared, engine_loop) = self.assemble(Commits::Thread(commits.clone()))?;
        let threads = Threads::start(&shared, engine_loop, commits)?;
        Ok(Engine { shared, next_key: AtomicU64::new(0), threads: Mutex::new(Some(threads)) })
    }

    /// An engine without threads: it works while the [`LocalDriver`] is run.
    ///
    /// # Errors
    /// Those of [`Store::open`]; [`ErrorCode::InvalidConfig`] without a clock where the platform has none.
    pub fn build_local(self) -> Result<(Engine, LocalDriver)> {
        let (shared, engine_loop) = self.assemble(Commits::AtOnce)?;
        let engine = Engine {
            shared: shared.clone(),
            next_key: AtomicU64::new(0),
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            threads: Mutex::new(None),
        };
        Ok((engine, LocalDriver::new(shared, engine_loop)))
    }

    fn assemble(self, commits: Commits) -> Result<(Arc<Shared>, EngineLoop)> {
        let clock = match self.clock {
            Some(clock) => clock,
            None => default_clock()?,
        };
        let persistent = !matches!(self.store, StoreLocation::Memory);
        let store = Store::open(self.store, clock.unix_ms())?;
        let shared = Arc::new(Shared {
            backends: self.backends,
            store,
            catalog: self.catalog,
            opened_us: clock.monotonic_us(),
            clock,
            options: self.options,
            persistent,
            workers: Default::default(),
            engine_events: EventQueue::default(),
            open: Default::default(),
            inbox: Default::default(),
            commits,
            shut_down: AtomicBool::new(false),
        });
        let engine_loop = EngineLoop::new(shared.clone());
        Ok((shared, engine_loop))
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn default_clock() -> Result<Arc<dyn Clock>> {
    Ok(Arc::new(crate::driver::clock::SystemClock::new()))
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn default_clock() -> Result<Arc<dyn Clock>> {
    Err(Error::new(ErrorCode::InvalidConfig, "the host must give a clock here"))
}

/// The engine. Dropping it shuts it down.
pub struct Engine {
    shared: Arc<Shared>,
    next_key: AtomicU64,
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    threads: Mutex<Option<crate::driver::threaded::Threads>>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl SessionEngine for Engine {
    fn create_session(&self, config: SessionConfig) -> Result<Session> {
        self.check_open()?;
        check_config(&config, &self.shared)?;
        let now_ms = self.shared.clock.unix_ms();
        let record = SessionRecord::new(SessionId::new(now_ms), config, now_ms);
        self.shared.store.apply(&[Write::PutSession(record.clone())])?;
        self.shared.open.reserve(record.id, std::time::Duration::ZERO)?;
        Ok(self.hand_over(record, Turns::default(), false))
    }

    fn open_session(&self, id: SessionId) -> Result<Session> {
        self.check_open()?;
        self.shared.open.reserve(id, self.closing_wait())?;
        let opened = self.session(id).and_then(|(record, turns)| {
            if record.ended_ms.is_some() {
                return Err(Error::new(ErrorCode::SessionClosed, "the session was ended"));
            }
            check_config(&record.config, &self.shared)?;
            Ok((record, turns))
        });
        match opened {
            Ok((record, turns)) => Ok(self.hand_over(record, turns, true)),
            Err(error) => {
                self.shared.open.release(id);
                Err(error)
            }
        }
    }

    fn sessions(&self, after: Option<SessionCursor>, limit: usize) -> Result<SessionPage> {
        self.shared.store.sessions(after, limit)
    }

    fn session(&self, id: SessionId) -> Result<(SessionRecord, Turns)> {
        Ok((self.shared.store.session(id)?, self.shared.store.turns(id)?))
    }

    fn export_session_to(&self, id: SessionId, out: &mut dyn std::io::Write) -> Result<ExportReport> {
        self.shared.store.export_to(id, out)
    }

    fn import_session(&self, source: &mut dyn ArchiveSource, options: &ImportOptions) -> Result<ImportReport> {
        self.check_open()?;
        self.shared.store.import_from(source, options, self.shared.clock.unix_ms())
    }

    fn delete_session(&self, id: SessionId) -> Result<()> {
        self.check_open()?;
        self.shared.open.reserve(id, self.closing_wait())?;
        let deleted = self.shared.store.delete_session(id);
        self.shared.open.release(id);
        deleted
    }

    fn capabilities(&self) -> Capabilities {
        let backends = &self.shared.backends;
        fn name<M: Model + ?Sized>(model: &Option<Arc<M>>) -> Option<String> {
            model.as_ref().map(|model| model.name().to_owned())
        }
        Capabilities {
            languages: language_capabilities(backends),
            levels: self.shared.catalog.levels().iter().map(|level: &Level| level.name.clone()).collect(),
            scenarios: self.shared.catalog.scenarios().iter().map(|s: &Scenario| s.name.clone()).collect(),
            models: ModelNames {
                vad: name(&backends.vad),
                turn_detector: name(&backends.turn_detector),
                recognizer: name(&backends.recognizer),
                chat: name(&backends.chat),
                synthesizer: name(&backends.synthesizer),
            },
            persistent: self.shared.persistent,
        }
    }

    fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    fn transcribe(
        &self,
        samples: Vec<f32>,
        rate: u32,
        languages: Vec<LanguageTag>,
    ) -> BoxFuture<'static, Result<Transcript>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let recognizer = Backends::require(&shared.backends.recognizer, "recogniser")?;
            if samples.is_empty() {
                return Err(ErrorCode::AudioEmpty.into());
            }
            if samples.iter().any(|sample| !sample.is_finite()) {
                return Err(ErrorCode::AudioInvalidSample.into());
            }
            let audio = audio::resample(&samples, rate, LISTEN_RATE_HZ)?;
            shared.ensure_loaded(&**recognizer)?;
            let transcript = last_transcript(recognizer.recognize(RecognitionRequest::new(audio, languages))?).await?;
            transcript.ok_or_else(|| Error::new(ErrorCode::RecognizerFailed, "it ended without a transcript"))
        })
    }

    fn listen(&self, request: ListenRequest) -> Result<Steps<'static, Event>> {
        self.check_open()?;
        Ok(Box::new(Recording::new(self.shared.clone(), request)?))
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Speech> {
        let synthesizer = self.shared.ready(&self.shared.backends.synthesizer, "synthesizer")?;
        Ok(Speech { rate: synthesizer.sample_rate(), steps: synthesizer.synthesize(request)? })
    }

    fn preload(&self) -> Result<()> {
        for_each_model(&self.shared.backends, |model| self.shared.ensure_loaded(model))
    }

    fn unload(&self) {
        let _: Result<()> = for_each_model(&self.shared.backends, |model| {
            model.unload();
            Ok(())
        });
    }

    fn memory_needed(&self) -> u64 {
        let mut bytes = 0;
        let _: Result<()> = for_each_model(&self.shared.backends, |model| {
            bytes += model.memory_needed();
            Ok(())
        });
        bytes
    }

    fn sweep(&self, dry_run: bool) -> Result<Swept> {
        self.shared.store.sweep(self.shared.clock.unix_ms(), dry_run)
    }

    fn try_next_event(&self) -> Result<Option<Event>> {
        self.shared.engine_events.try_next().map_err(|_closed| ErrorCode::EngineClosed.into())
    }

    fn shut_down(&self) {
        if self.shared.shut_down.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.send(Message::ShutDown);
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        if let Some(threads) = self.threads.lock().take() {
            threads.join();
            self.shared.inbox.close();
        }
        self.shared.engine_events.close();
    }
}

impl Engine {
    /// The same as [`SessionEngine::try_next_event`], waiting up to `timeout`.
    ///
    /// # Errors
    /// [`ErrorCode::EngineClosed`] once the engine was shut down and the last event read.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub fn next_event(&self, timeout: std::time::Duration) -> Result<Option<Event>> {
        self.shared.engine_events.next_timeout(timeout).map_err(|_closed| ErrorCode::EngineClosed.into())
    }

    fn check_open(&self) -> Result<()> {
        if self.shared.shut_down.load(Ordering::Acquire) { Err(ErrorCode::EngineClosed.into()) } else { Ok(()) }
    }

    /// An engine without threads cannot wait for work that only its caller can do.
    fn closing_wait(&self) -> std::time::Duration {
        match self.shared.commits {
            Commits::AtOnce => std::time::Duration::ZERO,
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            Commits::Thread(_) => CLOSING_WAIT,
        }
    }

    fn hand_over(&self, record: SessionRecord, turns: Turns, resumed: bool) -> Session {
        let key = SessionKey(self.next_key.fetch_add(1, Ordering::Relaxed));
        let session = Arc::new(SessionShared::new(&self.shared, key, &record));
        let core = SessionCore::new(self.shared.clone(), session.clone(), record, &turns.turns, resumed);
        self.shared.send(Message::Open(Box::new(core)));
        Session::new(self.shared.clone(), session)
    }
}

/// Whether the engine can do what the settings ask for.
pub(crate) fn check_config(config: &SessionConfig, shared: &Shared) -> Result<()> {
    shared.catalog.level(&config.level)?;
    shared.catalog.scenario(&config.scenario)?;
    if !(0.5..=2.0).contains(&config.speed) {
        return Err(Error::new(ErrorCode::InvalidConfig, "speed is outside 0.5 to 2"));
    }
    check_patience(config.patience)?;
    let backends = &shared.backends;
    config.listening.check()?;
    if config.listening.mode == ListeningMode::Continuous {
        Backends::require(&backends.vad, "voice activity detector")?;
    }
    let has = |languages: &[LanguageTag], tag: &LanguageTag| languages.iter().any(|l| l.same_language(tag));
    if let Some(recognizer) = &backends.recognizer {
        let known = recognizer.languages();
        require_language(has(&known, &config.target) && has(&known, &config.native), "recogniser")?;
    }
    if let Some(chat) = &backends.chat {
        require_language(has(&chat.languages(), &config.target), "chat model")?;
    }
    if let Some(synthesizer) = &backends.synthesizer {
        require_language(has(&synthesizer.languages(), &config.target), "synthesizer")?;
        if let Some(voice) = &config.voice
            && !synthesizer.voices().iter().any(|known| &known.name == voice)
        {
            return Err(Error::new(ErrorCode::UnknownVoice, format!("no voice is named {voice}")));
        }
        synthesizer.check_lexicon(&config.lexicon)?;
    }
    Ok(())
}

fn require_language(supported: bool, what: &str) -> Result<()> {
    if supported {
        return Ok(());
    }
    Err(Error::new(ErrorCode::LanguageUnsupported, format!("the {what} does not know a language of the session")))
}

fn language_capabilities(backends: &Backends) -> Vec<LanguageCapability> {
    let recognise = backends.recognizer.as_ref().map(|model| model.languages()).unwrap_or_default();
    let chat = backends.chat.as_ref().map(|model| model.languages()).unwrap_or_default();
    let speak = backends.synthesizer.as_ref().map(|model| model.languages()).unwrap_or_default();
    let voices: Vec<VoiceInfo> = backends.synthesizer.as_ref().map(|model| model.voices()).unwrap_or_default();
    let mut tags: Vec<&LanguageTag> = recognise.iter().chain(&chat).chain(&speak).collect();
    tags.sort();
    tags.dedup();
    tags.into_iter()
        .map(|tag| LanguageCapability {
            tag: tag.clone(),
            recognise: recognise.contains(tag),
            speak: speak.contains(tag),
            chat: chat.contains(tag),
            voices: voices.iter().filter(|v| v.language.same_language(tag)).map(|v| v.name.clone()).collect(),
        })
        .collect()
}

fn for_each_model(backends: &Backends, mut each: impl FnMut(&dyn Model) -> Result<()>) -> Result<()> {
    if let Some(model) = &backends.vad {
        each(&**model)?;
    }
    if let Some(model) = &backends.turn_detector {
        each(&**model)?;
    }
    if let Some(model) = &backends.recognizer {
        each(&**model)?;
    }
    if let Some(model) = &backends.chat {
        each(&**model)?;
    }
    if let Some(model) = &backends.synthesizer {
        each(&**model)?;
    }
    Ok(())
}
