//! The engine.

use super::config::{EngineOptions, SessionConfig, SessionUpdate, mirrored};
use super::event::TertuliaEvent;
use super::host::{HostBackends, SynthesisRequest};
use super::job::EngineJob;
use super::record::{
    AudioKind, Capabilities, EngineWorker, SessionCursor, SessionPage, SessionQuery, SessionRecord, StoreUsage,
    StoredAudio, TurnPage,
};
use super::session::{EventWaker, TertuliaSession, waking};
use super::{Result, call, languages, samples, session_id};
use crate::boundary::invalid;
use crate::engine_calls::{self, EngineObject};
use engine::backend::SynthesisRequest as CoreSynthesis;
use engine::store::StoreKey;
use engine::{Command, ListenRequest, SessionEngine, SessionId, TurnId};
use std::sync::Arc;
use std::time::Duration;

/// An engine. `shut_down` ends it: without that it lasts until the last reference is gone.
#[derive(uniffi::Object)]
pub struct TertuliaEngine(EngineObject);

impl TertuliaEngine {
    #[cfg(feature = "testing")]
    pub(super) fn of(engine: engine::Engine) -> Arc<Self> {
        Arc::new(Self(EngineObject::new(engine)))
    }

    fn handle(&self, id: SessionId) -> engine::Result<Arc<TertuliaSession>> {
        Ok(TertuliaSession::new(self.0.engine()?.handle(id)?))
    }

    fn job<T: super::job::Item>(
        &self,
        start: impl FnOnce(&engine::Engine) -> engine::Result<engine::Job<'static, T>>,
    ) -> Result<Arc<EngineJob>> {
        call(|| Ok(EngineJob::new(start(&*self.0.engine()?)?)))
    }
}

#[uniffi::export]
impl TertuliaEngine {
    /// Opens an engine. The host's own backends take the place of the options' models.
    #[uniffi::constructor]
    pub fn new(options: EngineOptions, backends: HostBackends) -> Result<Arc<Self>> {
        call(|| Ok(Arc::new(Self(EngineObject::open(backends.read()?, &options.read()?)?))))
    }

    /// Makes a call that a command in JSON stands for, and gives its answer in JSON (docs/schema).
    pub fn apply(&self, command_json: &str) -> Result<String> {
        call(|| Ok(self.0.engine()?.apply(Command::from_json(command_json)?)?.to_json()))
    }

    /// Creates a session and opens it. It stays open until it is closed or ended.
    pub fn create_session(&self, config: SessionConfig) -> Result<Arc<TertuliaSession>> {
        call(|| self.handle(self.0.engine()?.create_session(config.read()?)?.detach()))
    }

    /// Opens a stored session where it was left, with changes of its settings.
    #[uniffi::method(default(update = None))]
    pub fn open_session(&self, session: &str, update: Option<SessionUpdate>) -> Result<Arc<TertuliaSession>> {
        call(|| {
            let update = update.map(|update| update.read()).transpose()?.unwrap_or_default();
            self.handle(self.0.engine()?.open_session(session_id(session)?, &update)?.detach())
        })
    }

    /// Another handle of an open session. Fails with SessionClosed where it is not open.
    pub fn session_handle(&self, session: &str) -> Result<Arc<TertuliaSession>> {
        call(|| self.handle(session_id(session)?))
    }

    /// Closes a session without ending it.
    pub fn close_session(&self, session: &str) -> Result<()> {
        call(|| self.0.engine()?.close_session(session_id(session)?))
    }

    /// Ends a session for good.
    pub fn end_session(&self, session: &str) -> Result<()> {
        call(|| self.0.engine()?.end_session(session_id(session)?))
    }

    /// Deletes a session, which must not be open.
    pub fn delete_session(&self, session: &str) -> Result<()> {
        call(|| self.0.engine()?.delete_session(session_id(session)?))
    }

    /// The sessions that match, the one that changed last first, in pages.
    #[uniffi::method(default(query = None, after = None, limit = 50))]
    pub fn sessions(
        &self,
        query: Option<SessionQuery>,
        after: Option<SessionCursor>,
        limit: u32,
    ) -> Result<SessionPage> {
        call(|| {
            let query = query.map(|query| mirrored(&query)).transpose()?.unwrap_or_default();
            let after = after.map(|after| mirrored(&after)).transpose()?;
            mirrored(&self.0.engine()?.sessions(&query, after, limit as usize)?)
        })
    }

    /// A session as it is stored.
    pub fn session(&self, session: &str) -> Result<SessionRecord> {
        call(|| mirrored(&self.0.engine()?.session(session_id(session)?)?.0))
    }

    /// At most `limit` turns of a session, open or not, after the turn `after` or from the first on.
    #[uniffi::method(default(after = None, limit = 50))]
    pub fn turns(&self, session: &str, after: Option<u64>, limit: u32) -> Result<TurnPage> {
        call(|| mirrored(&self.0.engine()?.turns(session_id(session)?, after.map(TurnId), limit as usize)?))
    }

    /// The audio of a turn of a session, open or not.
    pub fn audio(&self, session: &str, turn: u64, kind: AudioKind) -> Result<StoredAudio> {
        call(|| {
            let audio = self.0.engine()?.audio(session_id(session)?, TurnId(turn), kind.into())?;
            Ok(StoredAudio { rate: audio.rate, pcm: bytemuck::cast_slice(&audio.samples).to_vec() })
        })
    }

    /// The engine's abilities, as its backends state them.
    pub fn capabilities(&self) -> Result<Capabilities> {
        call(|| mirrored(&self.0.engine()?.capabilities()))
    }

    /// The space that the store takes.
    pub fn store_usage(&self) -> Result<StoreUsage> {
        call(|| mirrored(&self.0.engine()?.store_usage()?))
    }

    /// Waits up to `timeout_ms` for the next event of the engine itself: models being loaded, errors outside sessions. One
    /// thread reads: EventsTaken while another does.
    pub fn next_event(&self, timeout_ms: u64) -> Result<Option<TertuliaEvent>> {
        call(|| Ok(self.0.reader.next(|| self.0.engine()?.events(), timeout_ms)?.map(Into::into)))
    }

    /// Has the waker called whenever there may be a new event of the engine; none for no more calls.
    pub fn set_waker(&self, waker: Option<Arc<dyn EventWaker>>) -> Result<()> {
        call(|| match waker {
            Some(waker) => self.0.reader.set_waker(|| self.0.engine()?.events(), waking(waker)),
            None => self.0.reader.set_waker(|| self.0.engine()?.events(), || {}),
        })
    }

    /// A job that transcribes mono samples (little-endian 32-bit floats) as one utterance. One language forces it, several
    /// are chosen from, none for all.
    #[uniffi::method(default(languages = []))]
    pub fn transcribe(&self, pcm: &[u8], rate: u32, languages: Vec<String>) -> Result<Arc<EngineJob>> {
        let tags = languages;
        self.job(|engine| Ok(engine.transcribe(samples(pcm)?.into_owned(), rate, self::languages(&tags)?)))
    }

    /// The same with a whole file (webm, mp4, ogg, wav, mp3 or flac).
    #[uniffi::method(default(languages = []))]
    pub fn transcribe_encoded(&self, bytes: &[u8], languages: Vec<String>) -> Result<Arc<EngineJob>> {
        let tags = languages;
        self.job(|engine| {
            let audio = engine::audio::decode(bytes)?;
            Ok(engine.transcribe(audio.samples, audio.rate, self::languages(&tags)?))
        })
    }

    /// A job that listens to a recording as to an open microphone, with endpointing, and gives events.
    #[uniffi::method(default(languages = []))]
    pub fn listen(&self, pcm: &[u8], rate: u32, languages: Vec<String>) -> Result<Arc<EngineJob>> {
        let tags = languages;
        self.job(|engine| engine.listen(ListenRequest::new(samples(pcm)?.into_owned(), rate, self::languages(&tags)?)))
    }

    /// A job that speaks a text.
    pub fn synthesize(&self, request: SynthesisRequest) -> Result<Arc<EngineJob>> {
        self.job(|engine| {
            let mut core = CoreSynthesis::new(request.text, languages(&request.languages)?);
            (core.voice, core.speed) = (request.voice, request.speed);
            engine.synthesize(core)
        })
    }

    /// A job that loads every model, so that the first turn need not wait.
    pub fn preload(&self) -> Result<Arc<EngineJob>> {
        self.job(|engine| Ok(engine.preload()))
    }

    /// A job that writes a session as an archive to the file at `path`.
    pub fn export_session(&self, session: &str, path: &str) -> Result<Arc<EngineJob>> {
        self.job(|engine| engine_calls::export_job(engine, session_id(session)?, path))
    }

    /// A job that stores a session from the archive at `path`, under its own id or another.
    #[uniffi::method(default(new_id = None))]
    pub fn import_session(&self, path: &str, new_id: Option<String>) -> Result<Arc<EngineJob>> {
        self.job(|engine| engine_calls::import_job(engine, path, new_id.map(|id| session_id(&id)).transpose()?))
    }

    /// A job that reads everything in the store and reports damage.
    pub fn verify_store(&self) -> Result<Arc<EngineJob>> {
        self.job(|engine| Ok(engine.verify_store()))
    }

    /// A job that gives the space of deleted data back to the file system.
    pub fn compact_store(&self) -> Result<Arc<EngineJob>> {
        self.job(|engine| Ok(engine.compact_store()))
    }

    /// A job that deletes sessions so that no byte of them is left.
    pub fn erase_sessions(&self, sessions: Vec<String>) -> Result<Arc<EngineJob>> {
        self.job(|engine| {
            let ids = sessions.iter().map(|id| session_id(id)).collect::<engine::Result<Vec<_>>>()?;
            engine.erase_sessions(&ids)
        })
    }

    /// A job that deletes everything in the store so that no byte is left.
    pub fn erase_everything(&self) -> Result<Arc<EngineJob>> {
        self.job(|engine| engine.erase_everything())
    }

    /// A job that gives the store another key of 32 bytes, or none.
    pub fn rotate_store_key(&self, key: Option<Vec<u8>>) -> Result<Arc<EngineJob>> {
        self.job(|engine| {
            let key = key.map(|key| key.try_into().map_err(|_| invalid("key: 32 bytes were expected")));
            engine.rotate_store_key(key.transpose()?.map(StoreKey::new))
        })
    }

    /// Stops computing and closes the store, for an app that goes to the background. Returns within `deadline_ms` with what
    /// still runs then. Not in a callback.
    pub fn suspend(&self, deadline_ms: u64) -> Result<Vec<EngineWorker>> {
        call(|| Ok(workers(self.0.engine()?.suspend(Duration::from_millis(deadline_ms))?)))
    }

    /// Opens the store again and lets turns go on.
    pub fn resume(&self) -> Result<()> {
        call(|| self.0.engine()?.resume())
    }

    /// Closes every session, stores everything, and stops; returns within `timeout_ms` with what still runs then. Another
    /// engine can open the store then, whatever references are left. Not in a callback.
    pub fn shut_down(&self, timeout_ms: u64) -> Result<Vec<EngineWorker>> {
        call(|| Ok(workers(self.0.engine()?.shut_down(Duration::from_millis(timeout_ms))?)))
    }
}

fn workers(running: engine::StillRunning) -> Vec<EngineWorker> {
    running.workers.into_iter().map(Into::into).collect()
}
