//! The engine: [`SessionEngine`] is its API, [`Engine`] implements it, [`EngineBuilder`] makes one.

mod api;
mod builder;
mod capabilities;
mod command;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;
mod options;

pub use crate::driver::worker::Worker;
pub use api::{SessionEngine, StillRunning, TrimLevel};
pub use builder::EngineBuilder;
pub use capabilities::{Capabilities, LanguageCapability, ModelNames};
pub use command::{Command, CommandOutput};
pub use options::{EngineOptions, ModelChoice, ModelChoices, StorePlace};

use crate::audio::{self, Resampler};
use crate::backend::{
    Backends, LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, SpeechChunk, SynthesisRequest, Transcript,
    steps_opened_by,
};
use crate::catalog::Catalog;
use crate::config::{ListeningMode, SessionConfig, SessionUpdate};
use crate::driver::callback;
use crate::driver::jobs::no_transcript;
use crate::driver::open_sessions::Reserved;
use crate::driver::recording::{ListenRequest, Recording};
use crate::driver::{Message, SessionCore, SessionKey, SessionShared, Shared};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{Event, SessionId, TurnId};
use crate::job::{Job, JobControl};
use crate::language::LanguageTag;
use crate::session::{Events, Session};
use crate::store::{
    ArchiveOutput, ArchiveSource, AudioKind, ExportReport, ImportOptions, ImportReport, SessionCursor, SessionPage,
    SessionQuery, SessionRecord, StoreKey, StoreUsage, StoredAudio, Swept, TurnPage, TurnRecord, Turns, Verified,
    Write,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest wait for commits when the host is suspended; iOS gives an app a few seconds.
const FLUSH_WAIT: Duration = Duration::from_secs(1);
/// The longest wait of a call that opens a session whose last handle was just dropped.
const CLOSING_WAIT: Duration = Duration::from_secs(10);

/// How long dropping an engine waits for its end.
const DROP_WAIT: Duration = Duration::from_secs(10);
/// Audio that is resampled in one piece.
const RESAMPLED_SECONDS: usize = 30;
/// The longest time that is counted.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// The engine. Dropping it [shuts it down](SessionEngine::shut_down), and waits up to ten seconds; from a backend or a
/// waker it does not wait.
pub struct Engine {
    shared: Arc<Shared>,
    next_key: AtomicU64,
    /// Held while the work is being stopped or started: two such calls would undo each other.
    suspending: Mutex<()>,
    /// Waits for the threads to end, where the engine has any.
    join: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.begin_shut_down();
        let running = if callback::is_inside() { StillRunning::default() } else { self.wait_for_end(DROP_WAIT) };
        if !running.is_empty() && self.has_threads() {
            tracing::warn!(?running, "the engine was dropped and has not ended");
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl api::Sealed for Engine {}

impl SessionEngine for Engine {
    fn create_session(&self, config: SessionConfig) -> Result<Session> {
        self.check_open()?;
        self.shared.check_config(&config)?;
        let now_ms = self.shared.clock.unix_ms();
        let record = SessionRecord::new(SessionId::new(now_ms), config, now_ms);
        self.shared.store.apply(&[Write::PutSession(record.clone())])?;
        self.shared.open.reserve(record.id, Duration::ZERO)?;
        Ok(self.hand_over(record, &[], false))
    }

    fn open_session(&self, id: SessionId, update: &SessionUpdate) -> Result<Session> {
        self.check_open()?;
        self.shared.open.reserve(id, self.closing_wait())?;
        match self.read_to_open(id, update) {
            Ok((record, turns)) => Ok(self.hand_over(record, &turns, true)),
            Err(error) => {
                self.shared.open.release(id);
                Err(error)
            }
        }
    }

    fn handle(&self, id: SessionId) -> Result<Session> {
        self.check_open()?;
        let session = self.shared.open.get(id);
        let session = session.ok_or_else(|| Error::new(ErrorCode::SessionClosed, "the session is not open"))?;
        Ok(Session::new(session, false))
    }

    fn close_session(&self, id: SessionId) -> Result<()> {
        self.check_open()?;
        match self.shared.open.get(id) {
            Some(session) => _ = session.close(false),
            None => _ = self.shared.store.session(id)?,
        }
        Ok(())
    }

    fn end_session(&self, id: SessionId) -> Result<()> {
        self.check_open()?;
        if self.shared.open.get(id).is_some_and(|session| session.close(true)) {
            return Ok(());
        }
        let store = &self.shared.store;
        self.while_closed(id, || match store.session(id)?.ended_ms {
            Some(_) => Ok(()),
            None => store.apply(&[Write::EndSession { id, now_ms: self.shared.clock.unix_ms() }]),
        })
    }

    fn sessions(&self, query: &SessionQuery, after: Option<SessionCursor>, limit: usize) -> Result<SessionPage> {
        self.shared.store.sessions(query, after, limit)
    }

    fn session(&self, id: SessionId) -> Result<(SessionRecord, Turns)> {
        Ok((self.shared.store.session(id)?, self.shared.store.turns(id)?))
    }

    fn turns(&self, id: SessionId, after: Option<TurnId>, limit: usize) -> Result<TurnPage> {
        self.shared.store.turns_page(id, after, limit)
    }

    fn audio(&self, id: SessionId, turn: TurnId, kind: AudioKind) -> Result<StoredAudio> {
        self.shared.store.audio(id, turn, kind)
    }

    fn export_session_to<'a>(&self, id: SessionId, out: Box<dyn ArchiveOutput + 'a>) -> Job<'a, ExportReport> {
        self.shared.gated(self.shared.store.export_to(id, out))
    }

    fn import_session<'a>(&self, source: Box<dyn ArchiveSource + 'a>, options: ImportOptions) -> Job<'a, ImportReport> {
        self.shared.gated(self.shared.store.import_from(source, options, self.shared.clock.unix_ms()))
    }

    fn delete_session(&self, id: SessionId) -> Result<()> {
        self.check_open()?;
        self.while_closed(id, || self.shared.store.delete_session(id))
    }

    fn capabilities(&self) -> Capabilities {
        let Shared { backends, catalog, persistent, .. } = &*self.shared;
        Capabilities {
            languages: LanguageCapability::all(backends),
            levels: catalog.levels().iter().map(|level| level.name.clone()).collect(),
            scenarios: catalog.scenarios().iter().map(|scenario| scenario.name.clone()).collect(),
            models: ModelNames::of(backends),
            persistent: *persistent,
        }
    }

    fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    fn transcribe(&self, samples: Vec<f32>, rate: u32, languages: Vec<LanguageTag>) -> Job<'static, Transcript> {
        let (shared, control) = (self.shared.clone(), JobControl::default());
        let job = transcription(shared, samples, rate, languages, control.clone());
        self.shared.gated(Job::once(control, job))
    }

    fn listen(&self, request: ListenRequest) -> Result<Job<'static, Event>> {
        self.check_open()?;
        Ok(self.shared.gated(Recording::job(&self.shared, request)?))
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Job<'static, SpeechChunk>> {
        let synthesizer = Backends::require(&self.shared.backends.synthesizer, "synthesizer")?.clone();
        let (shared, control) = (self.shared.clone(), JobControl::new(request.cancel.clone()));
        let steps = steps_opened_by(async move {
            shared.ensure_loaded(&*synthesizer).await?;
            synthesizer.synthesize(request)
        });
        Ok(self.shared.gated(Job::new(control, steps)))
    }

    fn preload(&self) -> Job<'static, ()> {
        let (shared, control) = (self.shared.clone(), JobControl::default());
        let models = shared.backends.models().count();
        self.shared.gated(Job::once(control.clone(), async move {
            for (loaded, model) in shared.backends.models().enumerate() {
                control.piece(loaded as f32 / models as f32).await?;
                shared.ensure_loaded(&*model).await?;
            }
            Ok(())
        }))
    }

    fn unload(&self) {
        self.shared.backends.models().for_each(|model| model.unload());
    }

    fn memory_needed(&self, config: Option<&SessionConfig>) -> u64 {
        let listens = config.is_none_or(|config| config.listening.mode == ListeningMode::Continuous);
        let backends = &self.shared.backends;
        let used = Backends {
            vad: backends.vad.clone().filter(|_| listens),
            turn_detector: backends.turn_detector.clone().filter(|_| listens),
            ..backends.clone()
        };
        used.models().map(|model| model.memory_needed()).sum()
    }

    fn trim(&self, level: TrimLevel) {
        self.shared.send(Message::Trim);
        if level == TrimLevel::Models {
            self.unload();
        }
    }

    fn suspend(&self, deadline: Duration) -> Result<StillRunning> {
        callback::refuse()?;
        let _alone = self.suspending.lock();
        self.check_open()?;
        let until = self.has_threads().then(|| Instant::now() + deadline.min(TIMEOUT_MAX));
        let left = || until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        let Shared { workers, commit_pause, store, .. } = &*self.shared;
        workers.pause.close();
        // The rest of the time is the store's, which need not wait for a backend.
        workers.pause.wait(left() / 2);
        self.flush_commits(left().min(FLUSH_WAIT));
        commit_pause.close();
        let mut running = commit_pause.wait(left());
        if !store.suspend_within(left()) {
            running = vec![Worker::Store];
        }
        running.extend(workers.pause.wait(left()));
        Ok(StillRunning { workers: running })
    }

    fn resume(&self) -> Result<()> {
        let _alone = self.suspending.lock();
        self.check_open()?;
        self.shared.store.resume()?;
        self.shared.send(Message::Resume);
        self.shared.commit_pause.open();
        self.shared.workers.pause.open();
        Ok(())
    }

    fn sweep(&self, dry_run: bool) -> Result<Swept> {
        self.shared.store.sweep(self.shared.clock.unix_ms(), dry_run)
    }

    fn store_usage(&self) -> Result<StoreUsage> {
        self.shared.store.usage()
    }

    fn verify_store(&self) -> Job<'static, Verified> {
        self.shared.gated(self.shared.store.verify())
    }

    fn compact_store(&self) -> Job<'static, ()> {
        self.shared.gated(self.shared.store.compact())
    }

    fn erase_sessions(&self, ids: &[SessionId]) -> Result<Job<'static, ()>> {
        self.check_open()?;
        let unique: BTreeSet<SessionId> = ids.iter().copied().collect();
        let reserved = Reserved::new(&self.shared, unique, self.closing_wait())?;
        Ok(self.with_reserved(reserved, self.shared.store.erase(ids)))
    }

    fn erase_everything(&self) -> Result<Job<'static, ()>> {
        self.check_open()?;
        Ok(self.with_reserved(Reserved::all(&self.shared, self.closing_wait())?, self.shared.store.erase_all()))
    }

    fn rotate_store_key(&self, key: Option<StoreKey>) -> Result<Job<'static, ()>> {
        self.check_open()?;
        Ok(self.with_reserved(Reserved::all(&self.shared, self.closing_wait())?, self.shared.store.rotate_key(key)))
    }

    fn events(&self) -> Result<Events> {
        Events::take(&self.shared.engine_events)
    }

    fn shut_down(&self, timeout: Duration) -> Result<StillRunning> {
        callback::refuse()?;
        self.begin_shut_down();
        Ok(self.wait_for_end(timeout))
    }
}

impl Engine {
    fn new(shared: Arc<Shared>, join: Option<Box<dyn FnOnce() + Send>>) -> Self {
        Self { shared, next_key: AtomicU64::new(0), suspending: Mutex::new(()), join: Mutex::new(join) }
    }

    /// The job, which keeps sessions from being opened until it is dropped.
    fn with_reserved(&self, reserved: Reserved, job: Job<'static, ()>) -> Job<'static, ()> {
        let control = job.control();
        self.shared.gated(Job::once(control, async move {
            let _reserved = reserved;
            job.result().await
        }))
    }

    fn check_open(&self) -> Result<()> {
        if self.shared.shut_down.is_cancelled() { Err(ErrorCode::EngineClosed.into()) } else { Ok(()) }
    }

    fn begin_shut_down(&self) {
        if !self.shared.shut_down.raise() {
            return;
        }
        let _alone = self.suspending.lock();
        if self.shared.commit_pause.is_closed()
            && let Err(error) = self.shared.store.resume()
        {
            tracing::warn!(error = error.chain(), "commits that waited since the suspension are lost");
        }
        self.shared.commit_pause.open();
        self.shared.workers.pause.open();
        self.shared.send(Message::ShutDown);
        if !self.has_threads() && self.shared.running.wait(Duration::ZERO).is_empty() {
            // Its driver is gone, and did not know.
            self.shared.stop();
        }
    }

    /// Waits for the threads to end; what still runs after `timeout`.
    fn wait_for_end(&self, timeout: Duration) -> StillRunning {
        let timeout = if self.has_threads() { timeout.min(TIMEOUT_MAX) } else { Duration::ZERO };
        let workers = self.shared.running.wait(timeout);
        if workers.is_empty()
            && let Some(join) = self.join.lock().take()
        {
            join();
        }
        StillRunning { workers }
    }

    /// Stops the machines, and waits until what waits to be stored is, for a while.
    fn flush_commits(&self, timeout: Duration) {
        let (done, is_done) = std::sync::mpsc::channel();
        self.shared.send(Message::Suspend(done));
        if self.has_threads() {
            let _ = is_done.recv_timeout(timeout);
        }
    }

    fn has_threads(&self) -> bool {
        self.shared.commits.is_some()
    }

    /// An engine without threads cannot wait for work that only its caller can do, and neither can one of its callbacks.
    fn closing_wait(&self) -> Duration {
        if self.has_threads() && !callback::is_inside() { CLOSING_WAIT } else { Duration::ZERO }
    }

    /// Does the work on a session that is not open, and lets it not be opened meanwhile.
    fn while_closed(&self, id: SessionId, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let _reserved = Reserved::new(&self.shared, [id], self.closing_wait())?;
        work()
    }

    /// A session that is to be opened, and its turns; its settings are changed first.
    fn read_to_open(&self, id: SessionId, update: &SessionUpdate) -> Result<(SessionRecord, Vec<TurnRecord>)> {
        let (mut record, turns) = self.shared.store.resume_session(id)?;
        if record.ended_ms.is_some() {
            return Err(Error::new(ErrorCode::SessionClosed, "the session was ended"));
        }
        let config = update.applied_to(&record.config)?;
        self.shared.check_config(&config)?;
        if config != record.config {
            (record.config, record.updated_ms) = (config, self.shared.clock.unix_ms());
            self.shared.store.apply(&[Write::PutSession(record.clone())])?;
        }
        Ok((record, turns))
    }

    fn hand_over(&self, record: SessionRecord, turns: &[TurnRecord], resumed: bool) -> Session {
        let key = SessionKey(self.next_key.fetch_add(1, Ordering::Relaxed));
        let session = Arc::new(SessionShared::new(self.shared.clone(), key, &record));
        self.shared.open.enter(&session);
        let core = SessionCore::new(session.clone(), record, turns, resumed);
        self.shared.send(Message::Open(Box::new(core)));
        Session::new(session, true)
    }
}

/// Recognises a recording as one utterance.
async fn transcription(
    shared: Arc<Shared>,
    samples: Vec<f32>,
    rate: u32,
    languages: Vec<LanguageTag>,
    control: JobControl,
) -> Result<Transcript> {
    let recognizer = Backends::require(&shared.backends.recognizer, "recogniser")?;
    if samples.is_empty() {
        return Err(ErrorCode::AudioEmpty.into());
    }
    audio::check_samples(&samples, rate)?;
    let mut resampler = Resampler::new(rate, LISTEN_RATE_HZ)?;
    let mut audio = Vec::with_capacity(resampler.output_len(samples.len() as u64) as usize);
    for block in samples.chunks(rate as usize * RESAMPLED_SECONDS) {
        resampler.push(block, &mut audio);
        control.piece(0.0).await?;
    }
    resampler.finish(&mut audio);
    shared.ensure_loaded(&**recognizer).await?;
    let cancel = control.cancel_flag().clone();
    let mut steps = recognizer.recognize(RecognitionRequest { cancel, ..RecognitionRequest::new(audio, languages) })?;
    while let Some(step) = steps.step().await? {
        if let RecognitionStep::Final(transcript) = step {
            return Ok(transcript);
        }
        control.piece(0.0).await?;
    }
    Err(no_transcript())
}
