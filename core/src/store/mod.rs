//! The store: sessions, turns and audio in one redb file.

mod record;

pub use record::{
    AudioInfo, AudioKind, SessionCursor, SessionPage, SessionRecord, SessionSummary, StoredAudio, TurnRecord,
    TurnState, Turns, samples_to_i16,
};

use crate::backend::{MaybeSend, MaybeSync};
use crate::error::{ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use std::sync::Arc;

/// Sessions, turns and audio, durable.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    #[allow(dead_code, reason = "read once the store opens files")]
    location: StoreLocation,
}

/// Where a store lives.
#[non_exhaustive]
pub enum StoreLocation {
    /// In memory, gone with the last clone of the [`Store`].
    Memory,
    /// In this file, which is created where it is missing; its folder must be there.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    File(std::path::PathBuf),
    /// In what the factory opens; see [`StoreLocation::backend`].
    Backend(Box<dyn BackendFactory>),
}

impl StoreLocation {
    /// A store in a redb backend. `open` is called again after an IO error, once the backend before is dropped.
    pub fn backend(
        open: impl Fn() -> Result<Box<dyn redb::StorageBackend>> + MaybeSend + MaybeSync + 'static,
    ) -> StoreLocation {
        StoreLocation::Backend(Box::new(open))
    }
}

/// Opens the storage of a store; any closure that does is one.
pub trait BackendFactory: MaybeSend + MaybeSync {
    /// Opens the storage.
    ///
    /// # Errors
    /// Handed on to the caller of the store; [`ErrorCode::StoreLocked`], [`ErrorCode::StoreOpenFailed`].
    fn open(&self) -> Result<Box<dyn redb::StorageBackend>>;
}

impl<F: Fn() -> Result<Box<dyn redb::StorageBackend>> + MaybeSend + MaybeSync> BackendFactory for F {
    fn open(&self) -> Result<Box<dyn redb::StorageBackend>> {
        self()
    }
}

/// One change. The changes of one [`Store::apply`] happen together or not at all, in their order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Write {
    /// Creates the session, or replaces its settings, title and end. Counts and times never go back.
    PutSession(SessionRecord),
    /// Creates or replaces a turn; its session must be there. Its audio in the store stays as it is.
    PutTurn(TurnRecord),
    /// Creates or replaces audio of a turn that is there. Nothing is written where the session's rule is
    /// [`Keep::Never`](crate::Keep::Never).
    PutAudio {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
        /// Whose audio.
        kind: AudioKind,
        /// Samples per second.
        rate: u32,
        /// Mono samples; see [`samples_to_i16`].
        samples: Vec<i16>,
    },
    /// Deletes audio of a turn, if there is any.
    DropAudio {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
        /// Whose audio.
        kind: AudioKind,
    },
    /// Ends the session, and deletes what was kept until its end.
    EndSession {
        /// The session.
        id: SessionId,
        /// Unix time in ms.
        now_ms: u64,
    },
}

/// What a sweep deleted, or would delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Swept {
    /// Recordings of learners.
    pub user_audio: u64,
    /// Recordings of replies.
    pub reply_audio: u64,
    /// Turns whose texts went.
    pub texts: u64,
    /// Bytes of sound.
    pub audio_bytes: u64,
}

/// A session as data to take along.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionExport {
    /// The session.
    pub session: SessionRecord,
    /// Its turns.
    pub turns: Turns,
    /// Their audio.
    pub audio: Vec<ExportedAudio>,
}

/// One recording as a WAV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedAudio {
    /// The turn.
    pub turn: TurnId,
    /// Whose audio.
    pub kind: AudioKind,
    /// A file name, unique in the session: `turn-7-user.wav`.
    pub file_name: String,
    /// The bytes of the file: mono, 16 bits.
    pub wav: Vec<u8>,
}

impl SessionExport {
    /// One JSON object a line: the session, then its turns.
    pub fn json_lines(&self) -> String {
        String::new()
    }
}

impl Store {
    /// Opens or creates a store. Turns that a crash left open are closed as interrupted.
    ///
    /// # Errors
    /// [`ErrorCode::StoreLocked`], [`ErrorCode::StoreNotAStore`], [`ErrorCode::StoreFromFuture`],
    /// [`ErrorCode::StoreCorrupt`], [`ErrorCode::StoreReadOnly`], [`ErrorCode::StoreFull`],
    /// [`ErrorCode::StoreOpenFailed`].
    pub fn open(location: StoreLocation, now_ms: u64) -> Result<Store> {
        let _ = now_ms;
        Ok(Store(Arc::new(Inner { location })))
    }

    /// Does all of `writes` or nothing, and returns when they are durable. Group commit: hand in several sessions'
    /// writes at once.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::TurnNotFound`]; [`ErrorCode::StoreFull`],
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn apply(&self, writes: &[Write]) -> Result<()> {
        let _ = writes;
        Err(ErrorCode::Unsupported.into())
    }

    /// The session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::RecordCorrupt`]; [`ErrorCode::StoreIo`].
    pub fn session(&self, id: SessionId) -> Result<SessionRecord> {
        let _ = id;
        Err(ErrorCode::Unsupported.into())
    }

    /// At most `limit` sessions, the one that changed last first.
    ///
    /// # Errors
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn sessions(&self, after: Option<SessionCursor>, limit: usize) -> Result<SessionPage> {
        let _ = (after, limit);
        Err(ErrorCode::Unsupported.into())
    }

    /// All turns of a session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::RecordCorrupt`] for the session's own record;
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn turns(&self, id: SessionId) -> Result<Turns> {
        let _ = id;
        Err(ErrorCode::Unsupported.into())
    }

    /// The last `count` turns of a session, in order.
    ///
    /// # Errors
    /// Those of [`Store::turns`].
    pub fn last_turns(&self, id: SessionId, count: usize) -> Result<Turns> {
        let _ = (id, count);
        Err(ErrorCode::Unsupported.into())
    }

    /// One turn.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::TurnNotFound`], [`ErrorCode::RecordCorrupt`];
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn turn(&self, id: SessionId, turn: TurnId) -> Result<TurnRecord> {
        let _ = (id, turn);
        Err(ErrorCode::Unsupported.into())
    }

    /// The audio of a turn.
    ///
    /// # Errors
    /// [`ErrorCode::AudioGone`] where it was not kept; those of [`Store::turn`].
    pub fn audio(&self, id: SessionId, turn: TurnId, kind: AudioKind) -> Result<StoredAudio> {
        let _ = (id, turn, kind);
        Err(ErrorCode::Unsupported.into())
    }

    /// Deletes a session with all that belongs to it.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`].
    pub fn delete_session(&self, id: SessionId) -> Result<()> {
        let _ = id;
        Err(ErrorCode::Unsupported.into())
    }

    /// Deletes what the sessions' rules no longer let stay at `now_ms`, or only counts it. Many small
    /// transactions; not for the audio path.
    ///
    /// # Errors
    /// [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn sweep(&self, now_ms: u64, dry_run: bool) -> Result<Swept> {
        let _ = (now_ms, dry_run);
        Err(ErrorCode::Unsupported.into())
    }

    /// The session as data to take along.
    ///
    /// # Errors
    /// Those of [`Store::turns`].
    pub fn export(&self, id: SessionId) -> Result<SessionExport> {
        let _ = id;
        Err(ErrorCode::Unsupported.into())
    }
}
