//! [`SessionEngine`], what a host asks of an engine; [`Engine`], which does it; and [`EngineBuilder`].

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;

use crate::audio;
use crate::backend::{
    Backends, BoxFuture, LISTEN_RATE_HZ, MaybeSend, MaybeSync, Model, RecognitionRequest, SpeechChunk, Steps,
    SynthesisRequest, Transcript, VoiceInfo,
};
use crate::catalog::{Catalog, Level, Scenario};
use crate::config::{ListeningMode, SessionConfig};
use crate::driver::jobs::last_transcript;
use crate::driver::local::LocalDriver;
use crate::driver::queue::EventQueue;
use crate::driver::recording::{ListenRequest, Recording};
use crate::driver::{CommitQueue, EngineLoop, Message, Options, SessionCore, SessionKey, SessionShared, Shared};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{Event, SessionId};
use crate::language::LanguageTag;
use crate::platform::{Clock, default_clock};
use crate::session::Session;
use crate::store::{
    ArchiveSource, ExportReport, ImportOptions, ImportReport, SessionCursor, SessionPage, SessionRecord, Store,
    StoreKey, StoreLocation, StoreOptions, StoreUsage, Swept, TurnRecord, Turns, Verified, Write,
};
use crate::turn::EndpointWeights;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long commits that wait are waited for when the host is suspended; iOS gives an app a few seconds.
const FLUSH_WAIT: std::time::Duration = std::time::Duration::from_secs(1);
/// How long opening a session waits for its last handle's closing.
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

    /// Bytes of memory that the models take when they are loaded: those that a session with these settings uses, or
    /// without settings all. Loads nothing.
    fn memory_needed(&self, config: Option<&SessionConfig>) -> u64;

    /// Gives back memory that can be had again: for a platform's warning that it runs short.
    fn trim(&self, level: TrimLevel);

    /// Stops computing within one step and closes the store, so that its file is locked no more: for an app that goes to
    /// the background. What was acknowledged is stored, and so is what waits to be, as far as a second suffices; turns
    /// under way stand still. Sessions stay open: what is pushed and asked of them is done after [`resume`](Self::resume).
    /// Reading the store fails with [`ErrorCode::Suspended`] meanwhile.
    fn suspend(&self);

    /// Opens the store again, and lets turns go on where they stood.
    ///
    /// # Errors
    /// Those of [`Store::open`]; everything stands still as before then, and it can be tried again.
    fn resume(&self) -> Result<()>;

    /// Deletes what the sessions' retention rules no longer let stay, or only counts it.
    ///
    /// # Errors
    /// Those of the store.
    fn sweep(&self, dry_run: bool) -> Result<Swept>;

    /// What the store takes.
    ///
    /// # Errors
    /// Those of [`Store::usage`].
    fn store_usage(&self) -> Result<StoreUsage>;

    /// Reads everything in the store, and says what is damaged or lost.
    ///
    /// # Errors
    /// Those of [`Store::verify`].
    fn verify_store(&self) -> Result<Verified>;

    /// Gives back the room that deleted data takes; see [`Store::compact`].
    ///
    /// # Errors
    /// Those of [`Store::compact`].
    fn compact_store(&self) -> Result<()>;

    /// Deletes sessions so that no byte of them is left in the store; see [`Store::erase`].
    ///
    /// # Errors
    /// [`ErrorCode::SessionBusy`] where one of them is open: nothing is deleted then; those of [`Store::erase`].
    fn erase_sessions(&self, ids: &[SessionId]) -> Result<()>;

    /// Deletes everything in the store, so that no byte is left; see [`Store::erase_all`].
    ///
    /// # Errors
    /// [`ErrorCode::SessionBusy`] where a session is open: nothing is deleted then; those of [`Store::erase_all`].
    fn erase_everything(&self) -> Result<()>;

    /// Gives the store another key, or none; see [`Store::rotate_key`].
    ///
    /// # Errors
    /// [`ErrorCode::SessionBusy`] where a session is open; those of [`Store::rotate_key`].
    fn rotate_store_key(&self, key: Option<StoreKey>) -> Result<()>;

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

/// How much memory is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimLevel {
    /// What sessions between two turns keep so as to answer sooner: the chat model's memory of the conversation.
    Caches,
    /// The models, too. They are loaded again when they are needed; a turn under way keeps what it uses.
    Models,
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
    store_options: StoreOptions,
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
            store_options: StoreOptions::default(),
            catalog: Catalog::builtin(),
            clock: None,
            options: Options {
                utterance_seconds_max: 120,
                endpoint_weights: EndpointWeights::default(),
                memory_bytes_max: None,
            },
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

    /// How the store is opened: its key, and how much audio it may hold.
    ///
    /// ```
    /// use tertulia::EngineBuilder;
    /// use tertulia::store::{StoreKey, StoreOptions};
    /// # fn main() -> tertulia::Result<()> {
    /// let options = StoreOptions { key: Some(StoreKey::generate()?), audio_bytes_max: Some(200 << 20) };
    /// let engine = EngineBuilder::new().store_options(options).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn store_options(mut self, options: StoreOptions) -> Self {
        self.store_options = options;
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

    /// How many bytes of memory the models may take together; no limit by default. A model that would go over it is not
    /// loaded: the call or turn that needs it fails with [`ErrorCode::OutOfMemory`], rather than the platform ending the
    /// app. [`SessionEngine::memory_needed`] tells beforehand.
    pub fn memory_bytes_max(mut self, bytes: u64) -> Self {
        self.options.memory_bytes_max = Some(bytes);
        self
    }

    /// How the cues of an end of turn are weighed in sessions.
    #[doc(hidden)]
    pub fn endpoint_weights(mut self, weights: EndpointWeights) -> Self {
        self.options.endpoint_weights = weights;
        self
    }

    /// An engine without threads: it works while the [`LocalDriver`] is run.
    ///
    /// # Errors
    /// Those of [`Store::open`]; [`ErrorCode::InvalidConfig`] without a clock where the platform has none.
    pub fn build_local(self) -> Result<(Engine, LocalDriver)> {
        let (shared, engine_loop) = self.assemble(None)?;
        let engine = Engine::new(shared.clone(), None);
        Ok((engine, LocalDriver::new(shared, engine_loop)))
    }

    fn assemble(self, commits: Option<Arc<CommitQueue>>) -> Result<(Arc<Shared>, EngineLoop)> {
        let clock = match self.clock {
            Some(clock) => clock,
            None => default_clock()?,
        };
        let persistent = !matches!(self.store, StoreLocation::Memory);
        let store = Store::open_with(self.store, self.store_options, clock.unix_ms())?;
        let shared = Arc::new(Shared {
            backends: self.backends,
            store,
            catalog: self.catalog,
            opened_us: clock.monotonic_us(),
            clock,
            options: self.options,
            persistent,
            workers: Default::default(),
            housekeeping: Default::default(),
            engine_events: EventQueue::default(),
            open: Default::default(),
            inbox: Default::default(),
            idle: Default::default(),
            commits,
            commit_pause: Default::default(),
            shut_down: AtomicBool::new(false),
        });
        let engine_loop = EngineLoop::new(shared.clone());
        Ok((shared, engine_loop))
    }
}

/// The engine. Dropping it shuts it down.
pub struct Engine {
    shared: Arc<Shared>,
    next_key: AtomicU64,
    /// Waits for the threads to end, where the engine has any.
    join: Mutex<Option<Box<dyn FnOnce() + Send>>>,
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
        self.shared.check_config(&config)?;
        let now_ms = self.shared.clock.unix_ms();
        let record = SessionRecord::new(SessionId::new(now_ms), config, now_ms);
        self.shared.store.apply(&[Write::PutSession(record.clone())])?;
        self.shared.open.reserve(record.id, std::time::Duration::ZERO)?;
        Ok(self.hand_over(record, &[], false))
    }

    fn open_session(&self, id: SessionId) -> Result<Session> {
        self.check_open()?;
        self.shared.open.reserve(id, self.closing_wait())?;
        let opened = self.shared.store.resume_session(id).and_then(|(record, turns)| {
            if record.ended_ms.is_some() {
                return Err(Error::new(ErrorCode::SessionClosed, "the session was ended"));
            }
            self.shared.check_config(&record.config)?;
            Ok((record, turns))
        });
        match opened {
            Ok((record, turns)) => Ok(self.hand_over(record, &turns, true)),
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
        self.shared.backends.for_each_model(|model| self.shared.ensure_loaded(model))
    }

    fn unload(&self) {
        let _: Result<()> = self.shared.backends.for_each_model(|model| {
            model.unload();
            Ok(())
        });
    }

    fn memory_needed(&self, config: Option<&SessionConfig>) -> u64 {
        let listens = config.is_none_or(|config| config.listening.mode == ListeningMode::Continuous);
        let backends = &self.shared.backends;
        let used = Backends {
            vad: backends.vad.clone().filter(|_| listens),
            turn_detector: backends.turn_detector.clone().filter(|_| listens),
            ..backends.clone()
        };
        let mut bytes = 0;
        let _: Result<()> = used.for_each_model(|model| {
            bytes += model.memory_needed();
            Ok(())
        });
        bytes
    }

    fn trim(&self, level: TrimLevel) {
        self.shared.send(Message::Trim);
        if level == TrimLevel::Models {
            self.unload();
        }
    }

    fn suspend(&self) {
        self.shared.workers.pause();
        self.flush_commits();
        self.shared.commit_pause.close();
        self.shared.store.suspend();
    }

    fn resume(&self) -> Result<()> {
        self.shared.store.resume()?;
        self.shared.commit_pause.open();
        self.shared.workers.go_on();
        Ok(())
    }

    fn sweep(&self, dry_run: bool) -> Result<Swept> {
        self.shared.store.sweep(self.shared.clock.unix_ms(), dry_run)
    }

    fn store_usage(&self) -> Result<StoreUsage> {
        self.shared.store.usage()
    }

    fn verify_store(&self) -> Result<Verified> {
        self.shared.store.verify()
    }

    fn compact_store(&self) -> Result<()> {
        self.shared.store.compact()
    }

    fn erase_sessions(&self, ids: &[SessionId]) -> Result<()> {
        self.check_open()?;
        let mut reserved = Vec::new();
        let mut result = Ok(());
        for &id in ids {
            match self.shared.open.reserve(id, self.closing_wait()) {
                Ok(()) => reserved.push(id),
                // Named twice.
                Err(_) if reserved.contains(&id) => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let erased = result.and_then(|()| self.shared.store.erase(ids));
        reserved.into_iter().for_each(|id| self.shared.open.release(id));
        erased
    }

    fn erase_everything(&self) -> Result<()> {
        self.check_open()?;
        self.shared.open.while_none_is_open(|| self.shared.store.erase_all())
    }

    fn rotate_store_key(&self, key: Option<StoreKey>) -> Result<()> {
        self.check_open()?;
        self.shared.open.while_none_is_open(|| self.shared.store.rotate_key(key))
    }

    fn try_next_event(&self) -> Result<Option<Event>> {
        self.shared.engine_events.try_next().map_err(|_closed| ErrorCode::EngineClosed.into())
    }

    fn shut_down(&self) {
        if self.shared.shut_down.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.shared.commit_pause.is_closed()
            && let Err(error) = self.shared.store.resume()
        {
            tracing::warn!(code = error.code().number(), "what was not stored when the host was suspended is lost");
        }
        self.shared.commit_pause.open();
        self.shared.workers.go_on();
        self.shared.send(Message::ShutDown);
        if let Some(join) = self.join.lock().take() {
            join();
            self.shared.inbox.close();
        }
        self.shared.engine_events.close();
    }
}

impl Engine {
    fn new(shared: Arc<Shared>, join: Option<Box<dyn FnOnce() + Send>>) -> Self {
        Self { shared, next_key: AtomicU64::new(0), join: Mutex::new(join) }
    }

    fn check_open(&self) -> Result<()> {
        if self.shared.shut_down.load(Ordering::Acquire) { Err(ErrorCode::EngineClosed.into()) } else { Ok(()) }
    }

    /// Waits until what waits to be stored is, for a while.
    fn flush_commits(&self) {
        if let Some(commits) = &self.shared.commits {
            let until = std::time::Instant::now() + FLUSH_WAIT;
            let (reached, is_reached) = std::sync::mpsc::channel();
            self.shared.send(Message::Barrier(reached));
            let _ = is_reached.recv_timeout(FLUSH_WAIT);
            while !commits.is_empty() && std::time::Instant::now() < until {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    /// An engine without threads cannot wait for work that only its caller can do.
    fn closing_wait(&self) -> std::time::Duration {
        if self.shared.commits.is_some() { CLOSING_WAIT } else { std::time::Duration::ZERO }
    }

    fn hand_over(&self, record: SessionRecord, turns: &[TurnRecord], resumed: bool) -> Session {
        let key = SessionKey(self.next_key.fetch_add(1, Ordering::Relaxed));
        let session = Arc::new(SessionShared::new(&self.shared, key, &record));
        let core = SessionCore::new(self.shared.clone(), session.clone(), record, turns, resumed);
        self.shared.send(Message::Open(Box::new(core)));
        Session::new(self.shared.clone(), session)
    }
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
