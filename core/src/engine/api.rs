//! [`SessionEngine`]: everything that a host can ask of an engine.

use super::{Capabilities, Command, CommandOutput};
use crate::backend::{MaybeSend, MaybeSync, SpeechChunk, SynthesisRequest, Transcript};
use crate::catalog::Catalog;
use crate::config::{SessionConfig, SessionUpdate};
use crate::driver::recording::ListenRequest;
use crate::driver::worker::Worker;
use crate::error::Result;
use crate::event::{Event, SessionId, TurnId};
use crate::job::Job;
use crate::language::LanguageTag;
use crate::session::{Events, Session};
use crate::store::{
    ArchiveOutput, ArchiveSource, AudioKind, ExportReport, ImportOptions, ImportReport, SessionCursor, SessionPage,
    SessionQuery, SessionRecord, StoreKey, StoreUsage, StoredAudio, Swept, TurnPage, Turns, Verified,
};
#[cfg(doc)]
use crate::{backend::Model, error::ErrorCode, store::Store};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The calls of an engine. Object safe; every call may come from any thread, and [a table](crate#calls-time-disk-threads)
/// says how long it takes. Only [`Engine`](crate::Engine) implements it, so that calls can be added.
///
/// # Errors
/// Beside those named at each call: calls that read or write the store fail with its codes
/// ([`ErrorCode::block`] 7), and with [`ErrorCode::Suspended`] between [`suspend`](Self::suspend) and
/// [`resume`](Self::resume); they, and calls that change something, fail with [`ErrorCode::EngineClosed`] after
/// [`shut_down`](Self::shut_down).
pub trait SessionEngine: Sealed + MaybeSend + MaybeSync {
    /// Creates a session and opens it.
    ///
    /// # Errors
    /// [`ErrorCode::LanguageUnsupported`], [`ErrorCode::UnknownVoice`], [`ErrorCode::UnknownLevel`],
    /// [`ErrorCode::UnknownScenario`], [`ErrorCode::InvalidLexicon`], [`ErrorCode::InvalidConfig`].
    fn create_session(&self, config: SessionConfig) -> Result<Session>;

    /// Opens a stored session where it was left, with these changes of its settings, which are stored. Without any it is
    /// opened as it is; a session whose voice, level or scenario is gone needs another. One that is just being closed is
    /// waited for.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::SessionBusy`] where it is open; [`ErrorCode::SessionClosed`]
    /// where it was ended; those of [`create_session`](Self::create_session) for the settings.
    fn open_session(&self, id: SessionId, update: &SessionUpdate) -> Result<Session>;

    /// A handle of an open session, which does not keep it open.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`] where it is not open.
    fn handle(&self, id: SessionId) -> Result<Session>;

    /// Makes the call that a command stands for. Fails as that call does.
    fn apply(&self, command: Command) -> Result<CommandOutput> {
        command.apply_to(self)
    }

    /// Closes a session without ending it, whatever handles of it there are; see [`Session::close`]. Returns at once.
    /// Does nothing where it is not open, or is being closed.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`] where there is no such session, open or not.
    fn close_session(&self, id: SessionId) -> Result<()>;

    /// Ends a session for good. One that is open is ended as by [`Session::end`], whatever handles of it there are, and
    /// this returns at once; one that is not is ended in the store before this returns. Does nothing where it was ended.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::SessionBusy`] where another call is opening or deleting it.
    fn end_session(&self, id: SessionId) -> Result<()>;

    /// The sessions that match, the one that changed last first, in pages of bounded work; see [`Store::sessions`].
    fn sessions(&self, query: &SessionQuery, after: Option<SessionCursor>, limit: usize) -> Result<SessionPage>;

    /// A session and its turns as they are stored. Fails with [`ErrorCode::SessionNotFound`].
    fn session(&self, id: SessionId) -> Result<(SessionRecord, Turns)>;

    /// At most `limit` turns (at least one) of a session, open or not, after the turn `after` or from the first on, in
    /// order; pages say how many of their turns are damaged. Fails with [`ErrorCode::SessionNotFound`].
    fn turns(&self, id: SessionId, after: Option<TurnId>, limit: usize) -> Result<TurnPage>;

    /// The audio of a turn of a session, open or not.
    ///
    /// # Errors
    /// [`ErrorCode::AudioGone`] where it was not kept, or not that long; [`ErrorCode::TurnNotFound`],
    /// [`ErrorCode::SessionNotFound`].
    fn audio(&self, id: SessionId, turn: TurnId, kind: AudioKind) -> Result<StoredAudio>;

    /// Writes a session as an archive; see [`Store::export_to`]. An open session is exported as it is stored now.
    ///
    /// # Errors
    /// The job fails with [`ErrorCode::SessionNotFound`], [`ErrorCode::ArchiveIo`].
    fn export_session_to<'a>(&self, id: SessionId, out: Box<dyn ArchiveOutput + 'a>) -> Job<'a, ExportReport>;

    /// Stores a session from its archive; see [`Store::import_from`], errors of the job included.
    ///
    /// ```
    /// # use tertulia::{EngineBuilder, SessionConfig, SessionEngine, SessionUpdate};
    /// use tertulia::store::ImportOptions;
    /// # fn main() -> tertulia::Result<()> {
    /// # let engine = EngineBuilder::new().build()?;
    /// # let id = engine.create_session(SessionConfig::new("en".parse()?, "es".parse()?))?.id();
    /// let mut file = Vec::new();
    /// engine.export_session_to(id, Box::new(&mut file)).wait()?;
    /// engine.delete_session(id)?;
    /// engine.import_session(Box::new(std::io::Cursor::new(file)), ImportOptions::default()).wait()?;
    /// engine.open_session(id, &SessionUpdate::new())?;
    /// # Ok(())
    /// # }
    /// ```
    fn import_session<'a>(&self, source: Box<dyn ArchiveSource + 'a>, options: ImportOptions) -> Job<'a, ImportReport>;

    /// Deletes a session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::SessionBusy`] where it is open.
    fn delete_session(&self, id: SessionId) -> Result<()>;

    /// The engine's abilities, as its backends state them.
    fn capabilities(&self) -> Capabilities;

    /// The levels and scenarios.
    fn catalog(&self) -> &Catalog;

    /// Transcribes mono audio of any length without a session. `rate` is in Hz; `languages` as in
    /// [`RecognitionRequest`](crate::backend::RecognitionRequest).
    ///
    /// # Errors
    /// The job fails with [`ErrorCode::BackendMissing`], [`ErrorCode::AudioEmpty`], [`ErrorCode::AudioInvalidRate`],
    /// [`ErrorCode::AudioInvalidSample`], and those of [`Recognizer`](crate::backend::Recognizer).
    fn transcribe(&self, samples: Vec<f32>, rate: u32, languages: Vec<LanguageTag>) -> Job<'static, Transcript>;

    /// Runs VAD, endpointing and recognition over a recording as over an open microphone, without a session and without
    /// replies. The job gives one event after the other; its `at_ms` is its place in the audio, its `turn` the number of
    /// the utterance.
    ///
    /// # Errors
    /// [`ErrorCode::BackendMissing`], [`ErrorCode::AudioEmpty`], [`ErrorCode::AudioInvalidRate`],
    /// [`ErrorCode::AudioInvalidSample`], [`ErrorCode::InvalidConfig`]; the job's are those of the backends.
    fn listen(&self, request: ListenRequest) -> Result<Job<'static, Event>>;

    /// Synthesises a text of any length without a session. The job gives one chunk of audio after the other.
    ///
    /// # Errors
    /// [`ErrorCode::BackendMissing`]; the job's are those of [`Synthesizer`](crate::backend::Synthesizer).
    fn synthesize(&self, request: SynthesisRequest) -> Result<Job<'static, SpeechChunk>>;

    /// Loads every model, so that the first turn need not wait; progress shows as `model_loading`, too. The job fails as
    /// [`Model::load`] does.
    fn preload(&self) -> Job<'static, ()>;

    /// Frees the models' memory; they are loaded again when they are needed.
    fn unload(&self);

    /// Bytes of memory that the loaded models take: those that a session with these settings uses, or without settings
    /// all. Loads nothing.
    fn memory_needed(&self, config: Option<&SessionConfig>) -> u64;

    /// Frees memory that can be computed or loaded again: for a platform's memory warning.
    fn trim(&self, level: TrimLevel);

    /// Stops computing within one step and closes the store, so that its file is no longer locked: for an app that goes
    /// to the background. Turns under way stand still; commits that wait are written, within a second and the time
    /// that is left. Sessions stay open, and calls on them are carried out after [`resume`](Self::resume).
    ///
    /// Returns when everything stands still, or after `deadline` with what did not: a step of a backend that takes
    /// longer, a call that reads or writes the store. Nothing else begins then either, and the store closes when that
    /// call ends.
    ///
    /// # Errors
    /// [`ErrorCode::CalledFromCallback`] from a backend or a waker, [`ErrorCode::EngineClosed`]; nothing is suspended then.
    fn suspend(&self, deadline: Duration) -> Result<StillRunning>;

    /// Opens the store again and lets turns go on. Fails as [`Store::open`] does; everything stands still as before
    /// then, and it can be tried again. [`ErrorCode::EngineClosed`] after `shut_down`.
    fn resume(&self) -> Result<()>;

    /// Deletes the data whose retention has ended, or with `dry_run` only counts it.
    fn sweep(&self, dry_run: bool) -> Result<Swept>;

    /// The space that the store takes; see [`Store::usage`].
    fn store_usage(&self) -> Result<StoreUsage>;

    /// Reads everything in the store and reports damage; see [`Store::verify`].
    fn verify_store(&self) -> Job<'static, Verified>;

    /// Gives the space of deleted data back to the file system; see [`Store::compact`], errors of
    /// the job included.
    fn compact_store(&self) -> Job<'static, ()>;

    /// Deletes sessions so that no byte of them is left in the store; see [`Store::erase`], errors of the job included.
    /// With [`ErrorCode::SessionBusy`], where one of them is open, nothing is deleted. None of them can be opened until
    /// the job is dropped.
    fn erase_sessions(&self, ids: &[SessionId]) -> Result<Job<'static, ()>>;

    /// Deletes everything in the store so that no byte is left; see [`Store::erase_all`], errors of the job included. With
    /// [`ErrorCode::SessionBusy`], where a session is open, nothing is deleted. No session can be opened or created until
    /// the job is dropped.
    fn erase_everything(&self) -> Result<Job<'static, ()>>;

    /// Gives the store another key, or none; see [`Store::rotate_key`], errors of the job included. Fails with
    /// [`ErrorCode::SessionBusy`] where a session is open. No session can be opened or created until the job is dropped.
    fn rotate_store_key(&self, key: Option<StoreKey>) -> Result<Job<'static, ()>>;

    /// The one reader of the engine's own events: models being loaded, and errors outside sessions. Reading fails with
    /// [`ErrorCode::EngineClosed`] once the engine was shut down and the last event read.
    ///
    /// # Errors
    /// [`ErrorCode::EventsTaken`] while there is another reader.
    fn events(&self) -> Result<Events>;

    /// Closes every session, stores everything, and stops. The store is closed then, whoever still holds a
    /// [`Session`] or [`Events`], and another engine can open its file.
    ///
    /// Returns when that is done, or after `timeout` with what still runs: a step of a backend that takes longer, or
    /// the store. It goes on by itself, and the store need not wait for a backend; calling this again waits again. Without
    /// [`Worker::Store`] in the answer the store is closed. An engine without threads ends while its driver is run.
    ///
    /// # Errors
    /// [`ErrorCode::CalledFromCallback`] from a backend or a waker; nothing is shut down then.
    fn shut_down(&self, timeout: Duration) -> Result<StillRunning>;
}

/// The parts of an engine that had not stopped when the time was over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StillRunning {
    /// The workers, each once; [`Capabilities::models`] names their models.
    pub workers: Vec<Worker>,
}

impl StillRunning {
    /// True where everything has stopped.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }
}

/// No type outside this crate is an engine.
pub trait Sealed {}

/// The memory that [`SessionEngine::trim`] frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrimLevel {
    /// Caches of sessions between two turns: the chat model's KV cache of the conversation.
    Caches,
    /// The models, too. They are loaded again when they are needed; a turn under way keeps what it uses.
    Models,
}
