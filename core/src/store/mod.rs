//! The store: sessions, turns and audio in one redb file.
//!
//! Calls block on the disk; none of them belongs on an audio thread. Those that take long are jobs. Acknowledged means
//! durable: writes whose commit returned survive the end of the process and a power loss. A full disk or an IO error
//! fails the call that meets it; once the cause is gone, the next call succeeds, without reopening the store. Damage is
//! never returned as data: it is [`RecordCorrupt`](ErrorCode::RecordCorrupt) where it costs one record, and
//! [`StoreCorrupt`](ErrorCode::StoreCorrupt) where it costs more. The clock is an argument throughout.
//! docs/store-format.md describes the file byte by byte.
//!
//! ```
//! use tertulia::store::{ImportOptions, SessionQuery, Store, StoreLocation};
//!
//! # fn main() -> tertulia::Result<()> {
//! let now_ms = 1_700_000_000_000;
//! let store = Store::open(StoreLocation::Memory, now_ms)?;
//! for session in store.sessions(&SessionQuery::default(), None, 50)?.sessions {
//!     let mut file = Vec::new();
//!     store.export_to(session.id, Box::new(&mut file)).wait()?;
//!     let elsewhere = Store::open(StoreLocation::Memory, now_ms)?;
//!     elsewhere.import_from(Box::new(std::io::Cursor::new(file)), ImportOptions::default(), now_ms).wait()?;
//! }
//! # Ok(())
//! # }
//! ```

mod archive;
mod check;
mod compact;
mod db;
mod fault;
mod file;
mod jobs;
mod keys;
mod lineage;
mod location;
mod meta;
mod payload;
mod query;
mod quota;
mod read;
mod record;
mod recover;
mod replace;
mod retention;
mod schema;
mod sweep;
mod tables;
mod unsynced;
mod write;

pub use archive::{ArchiveOutput, ArchiveSource, ExportReport, ImportOptions, ImportReport};
pub use check::{Damage, StoreUsage, Verified};
pub use keys::StoreKey;
pub(crate) use lineage::Lineage;
pub use location::{BackendFactory, StoreLocation};
pub use query::SessionQuery;
pub use record::{
    AudioInfo, AudioKind, SessionCursor, SessionPage, SessionRecord, SessionSummary, StoredAudio, Summary, TurnPage,
    TurnRecord, TurnState, Turns,
};
pub use redb;
pub use sweep::Swept;
#[doc(hidden)]
pub use write::Write;

use crate::error::{Error, ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use db::Db;
use fault::Fault;
use quota::Quota;
use schema::blob_key;
use std::sync::Arc;
use std::time::Duration;
use tables::Snapshot;
use write::Budget;

/// The options of a store.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// The key of an encrypted store. A new store is encrypted where one is given.
    pub key: Option<StoreKey>,
    /// The quota of audio in bytes, all sessions together; `None` for no limit. Where there is more, a sweep evicts the
    /// oldest, down to a sixteenth below the quota; audio with which a failed turn can be retried goes last.
    pub audio_bytes_max: Option<u64>,
}

/// Sessions, turns and audio, durable. Clones share one open store, which closes with the last of them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: Db,
    quota: Quota,
    /// Held during an import.
    importing: async_lock::Mutex<()>,
}

impl Store {
    /// Opens or creates a store. Turns that a crash left open are closed as interrupted by it.
    ///
    /// # Errors
    /// [`ErrorCode::StoreLocked`], [`ErrorCode::StoreNotAStore`], [`ErrorCode::StoreFromFuture`],
    /// [`ErrorCode::StoreCorrupt`], [`ErrorCode::StoreReadOnly`], [`ErrorCode::StoreFull`], [`ErrorCode::StoreHasLog`],
    /// [`ErrorCode::StoreOpenFailed`], [`ErrorCode::StoreIo`].
    pub fn open(location: StoreLocation, now_ms: u64) -> Result<Store> {
        Store::open_with(location, StoreOptions::default(), now_ms)
    }

    /// The same with options.
    ///
    /// # Errors
    /// Those of [`Store::open`]; [`ErrorCode::StoreWrongKey`].
    pub fn open_with(location: StoreLocation, options: StoreOptions, now_ms: u64) -> Result<Store> {
        let db = Db::open(location.into_factory(), options.key, now_ms)?;
        // Where nothing can be written, nothing is repaired.
        if !db.run(|open| Ok(open.is_read_only()))? {
            unless_corrupt(recover::check_list(&db))?;
            unless_corrupt(archive::adopt_leftovers(&db))?;
            unless_corrupt(sweep::purge(&db))?;
            unless_corrupt(recover::close_open_turns(&db))?;
        }
        let quota = Quota::new(options.audio_bytes_max);
        Ok(Store(Arc::new(Inner { db, quota, importing: async_lock::Mutex::new(()) })))
    }

    /// Reports whether the storage can only be read.
    ///
    /// # Errors
    /// [`ErrorCode::Suspended`]; those of [`Store::open`].
    pub fn is_read_only(&self) -> Result<bool> {
        self.0.db.run(|open| Ok(open.is_read_only()))
    }

    /// Closes the storage and releases its lock, after running calls; later ones fail with [`ErrorCode::Suspended`] until
    /// [`Store::resume`]. For phones: iOS ends apps that hold a file's lock while they are suspended.
    pub fn suspend(&self) {
        self.0.db.suspend();
    }

    /// Suspends it, waiting up to `timeout` for running calls; false where one still runs, which closes the storage when it
    /// ends.
    pub(crate) fn suspend_within(&self, timeout: Duration) -> bool {
        self.0.db.suspend_within(timeout)
    }

    /// Closes the storage for good, whoever else has this store, after running calls; later ones fail with
    /// [`ErrorCode::EngineClosed`].
    pub(crate) fn close(&self) {
        self.0.db.close();
    }

    /// Opens the storage again.
    ///
    /// # Errors
    /// Those of [`Store::open`], such as [`ErrorCode::StoreLocked`] where another process opened it meanwhile. Later
    /// calls try again.
    pub fn resume(&self) -> Result<()> {
        self.0.db.resume()
    }

    /// Counts the records and the bytes that they take. Reads every page of the storage, and blocks writes meanwhile.
    ///
    /// # Errors
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn usage(&self) -> Result<StoreUsage> {
        check::usage(&self.0.db, self.0.quota.max)
    }

    /// Reports whether records are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.db.is_encrypted()
    }

    /// Commits all of `writes` or nothing, in one transaction with one sync, and returns when they are durable. After
    /// [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`] or [`ErrorCode::StoreCorrupt`] they may be there nevertheless,
    /// all or none; repeating them is harmless.
    #[doc(hidden)]
    pub fn apply(&self, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        self.0.db.run(|open| {
            tables::write(open, |tables| {
                let mut budget = Budget(schema::DELETES_MAX);
                for write in writes {
                    match write {
                        Write::PutSession(record) => tables.put_session(record)?,
                        Write::PutSummary { session, summary } => tables.put_summary(*session, summary)?,
                        Write::PutTurn(record) => tables.put_turn(record)?,
                        Write::PutAudio { session, turn, kind, rate, samples } => {
                            tables.put_audio(*session, *turn, *kind, *rate, samples)?;
                        }
                        Write::DropAudio { session, turn, kind } => {
                            tables.drop_audio(&blob_key(*session, *turn, *kind), &mut budget)?;
                        }
                        Write::EndSession { id, now_ms } => {
                            tables.end_session(*id, *now_ms)?;
                            tables.expire(&[*id], *now_ms, &mut budget)?;
                        }
                    }
                }
                Ok(())
            })
        })?;
        for write in writes {
            // Rows that one transaction could not delete are no failure: their deletion is durable.
            match write {
                Write::PutAudio { samples, .. } => self.0.quota.add(schema::blob_bytes(samples.len() as u64)),
                Write::EndSession { id, now_ms } => {
                    warn_of_leftovers(sweep::sweep(&self.0.db, Some(*id), *now_ms).map(drop));
                }
                Write::DropAudio { .. } => warn_of_leftovers(sweep::purge(&self.0.db)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::RecordCorrupt`]; [`ErrorCode::StoreIo`],
    /// [`ErrorCode::StoreCorrupt`].
    pub fn session(&self, id: SessionId) -> Result<SessionRecord> {
        self.read(id, |snapshot| Ok(snapshot.load_session(id)?.record(id)?))
    }

    /// The session, and the turns that its summary does not cover, in order, without damaged ones.
    ///
    /// # Errors
    /// Those of [`Store::session`].
    pub fn resume_session(&self, id: SessionId) -> Result<(SessionRecord, Vec<TurnRecord>)> {
        self.read(id, |snapshot| {
            let session = snapshot.load_session(id)?.record(id)?;
            let from = session.summary.as_ref().map_or(0, |summary| summary.through.0.saturating_add(1));
            Ok((session, snapshot.turns_there(id, TurnId(from), None)?.0))
        })
    }

    /// The sessions that match, the one that changed last first: at most `limit` (at least one) after the cursor.
    ///
    /// A page that looked through 1,000 sessions that do not match, or 1 MiB of turns, ends there: it may be short, or
    /// empty, and [`SessionPage::next`] says where the next one goes on.
    ///
    /// # Errors
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn sessions(&self, query: &SessionQuery, after: Option<SessionCursor>, limit: usize) -> Result<SessionPage> {
        self.0.db.run(|open| Snapshot::of(open)?.page(query, after, limit))
    }

    /// All turns of a session, in order.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::RecordCorrupt`] for the session's own record;
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn turns(&self, id: SessionId) -> Result<Turns> {
        self.turns_from(id, TurnId(0))
    }

    /// The turns of a session from `from` on, in order.
    ///
    /// # Errors
    /// Those of [`Store::turns`].
    pub fn turns_from(&self, id: SessionId, from: TurnId) -> Result<Turns> {
        self.read(id, |snapshot| snapshot.turns_of(id, from, None))
    }

    /// At most `limit` turns of a session (at least one) after the turn `after`, or from the first on, in order.
    ///
    /// # Errors
    /// Those of [`Store::turns`].
    pub fn turns_page(&self, id: SessionId, after: Option<TurnId>, limit: usize) -> Result<TurnPage> {
        self.read(id, |snapshot| snapshot.turns_page(id, after, limit))
    }

    /// The last `count` turns of a session, in order.
    ///
    /// # Errors
    /// Those of [`Store::turns`].
    pub fn last_turns(&self, id: SessionId, count: usize) -> Result<Turns> {
        self.read(id, |snapshot| snapshot.turns_of(id, TurnId(0), Some(count)))
    }

    /// One turn.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`], [`ErrorCode::TurnNotFound`], [`ErrorCode::RecordCorrupt`];
    /// [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn turn(&self, id: SessionId, turn: TurnId) -> Result<TurnRecord> {
        self.read(id, |snapshot| snapshot.turn(id, turn))
    }

    /// The audio of a turn.
    ///
    /// # Errors
    /// [`ErrorCode::AudioGone`] where it was not kept, or not that long; those of [`Store::turn`].
    pub fn audio(&self, id: SessionId, turn: TurnId, kind: AudioKind) -> Result<StoredAudio> {
        self.read(id, |snapshot| snapshot.audio_of(id, turn, kind))
    }

    /// Deletes a session with all that belongs to it. The rows of a long session are removed in further small
    /// transactions, which go on after a crash; none of them is visible once this returns.
    ///
    /// # Errors
    /// [`ErrorCode::SessionNotFound`]; [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`],
    /// [`ErrorCode::StoreCorrupt`].
    pub fn delete_session(&self, id: SessionId) -> Result<()> {
        self.0.db.run(|open| tables::write(open, |tables| tables.delete_session(id)))?;
        warn_of_leftovers(sweep::purge(&self.0.db));
        Ok(())
    }

    /// True where more than two thirds of the storage, and 16 MB, are unused, and a compaction need not wait for an export.
    pub(crate) fn wastes_room(&self) -> Result<bool> {
        Ok(!self.0.db.is_pinned() && check::wastes_room(&self.0.db)?)
    }

    /// Deletes what has expired at `now_ms` (Unix time) by the sessions' retention, or only counts it; where there is
    /// more audio than the quota, evicts the oldest. Age counts from the end of a turn; an open turn has none, and a clock
    /// that was put back deletes nothing early. Runs in small transactions, between which other calls run.
    ///
    /// # Errors
    /// [`ErrorCode::StoreFull`], [`ErrorCode::StoreIo`], [`ErrorCode::StoreCorrupt`].
    pub fn sweep(&self, now_ms: u64, dry_run: bool) -> Result<Swept> {
        if dry_run {
            let (expired, blobs) = sweep::preview(&self.0.db, now_ms)?;
            return Ok(expired.plus(self.0.quota.preview(&self.0.db, &blobs)?));
        }
        if let Some(_no_import) = self.0.importing.try_lock() {
            archive::adopt_leftovers(&self.0.db)?;
        }
        sweep::purge(&self.0.db)?;
        let expired = sweep::sweep(&self.0.db, None, now_ms)?;
        Ok(expired.plus(self.0.quota.enforce(&self.0.db)?))
    }

    /// True where there may be more audio than the quota, so that a sweep is due.
    #[doc(hidden)]
    pub fn may_exceed_quota(&self) -> bool {
        self.0.quota.may_be_exceeded()
    }

    /// Reads of one session from one snapshot.
    fn read<T>(&self, id: SessionId, work: impl Fn(&Snapshot) -> Result<T, Fault>) -> Result<T> {
        self.0.db.run(|open| {
            let snapshot = Snapshot::of(open)?;
            snapshot.unless_lost(id, work(&snapshot))
        })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Repairs at opening must not keep sound records from being read.
fn unless_corrupt<T: Default>(result: Result<T>) -> Result<T> {
    match result {
        Err(error) if matches!(error.code(), ErrorCode::StoreCorrupt | ErrorCode::RecordCorrupt) => {
            tracing::warn!(error = error.chain(), "a part of the store is damaged");
            Ok(T::default())
        }
        result => result,
    }
}

fn warn_of_leftovers(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(error = error.chain(), "deleted rows are still to be removed");
    }
}
