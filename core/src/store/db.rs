//! The seam to redb: opening, dropping and reopening the database, and turning its errors and panics into ours.
//!
//! After an IO error redb refuses every further write, and a damaged file can make it panic. Both cost the call in
//! which they happen; the next call finds the database dropped and opened again.
//!
//! A failed sync needs more than that: an operating system may forget that the pages it could not write are still to
//! be written, while it goes on showing them to readers. What was written since the last good sync is therefore
//! written once more before the database is opened again.

use crate::error::{Error, ErrorCode, Result};
use crate::store::location::BackendFactory;
use crate::store::unsynced::{Storage, Unsynced};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::{BackendError, Database, StorageBackend};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Memory that redb may use for pages, in bytes; its own default is a gibibyte.
const CACHE_BYTES: usize = 16 << 20;

pub(super) struct Db {
    factory: Box<dyn BackendFactory>,
    slot: RwLock<Option<Database>>,
    /// Whether the database in the slot must not be used again. Set only under the slot's read lock, so that it
    /// speaks of that database.
    broken: AtomicBool,
    unsynced: Arc<Unsynced>,
}

/// Why work on the database failed.
pub(super) enum Fault {
    /// The work itself says no; the database is sound.
    Own(Error),
    /// redb says no.
    Redb(redb::Error),
    /// redb panicked, which only a damaged file brings about.
    Panic,
}

impl Db {
    pub(super) fn open(factory: Box<dyn BackendFactory>) -> Result<Db> {
        let unsynced = Arc::default();
        let db = Db { factory, slot: RwLock::new(None), broken: AtomicBool::new(false), unsynced };
        drop(db.opened()?);
        Ok(db)
    }

    /// Does the work on an open database. Where the database turns out to have been broken by another call, the work
    /// is done once more on a new one.
    pub(super) fn run<T>(&self, work: impl Fn(&Database) -> Result<T, Fault>) -> Result<T> {
        let mut retried = false;
        loop {
            let slot = self.opened()?;
            let database = slot.as_ref().expect("`opened` left a database in the slot");
            let fault = match contain(|| work(database)) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            if fault.breaks() {
                self.broken.store(true, Ordering::Release);
            }
            if !fault.is_stale() || retried {
                return Err(fault.into_error());
            }
            retried = true;
        }
    }

    fn opened(&self) -> Result<RwLockReadGuard<'_, Option<Database>>> {
        let usable = |slot: &Option<Database>| slot.is_some() && !self.broken.load(Ordering::Acquire);
        let slot = self.slot.read();
        if usable(&slot) {
            return Ok(slot);
        }
        drop(slot);
        let mut slot = self.slot.write();
        if !usable(&slot) {
            close(slot.take());
            self.rewrite_unsynced()?;
            *slot = Some(self.open_database()?);
            self.broken.store(false, Ordering::Release);
        }
        Ok(RwLockWriteGuard::downgrade(slot))
    }
}

impl Db {
    fn open_database(&self) -> Result<Database> {
        let create = || {
            contain(|| {
                let storage = Storage::new(self.factory.open()?, self.unsynced.clone());
                Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(storage)?)
            })
        };
        match create() {
            Err(Fault::Redb(redb::Error::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                self.locked(clear_unfinished)?;
                create().map_err(Fault::into_open_error)
            }
            other => other.map_err(Fault::into_open_error),
        }
    }

    /// Sees to it that what a failed sync left behind becomes durable.
    fn rewrite_unsynced(&self) -> Result<()> {
        if self.unsynced.is_suspect() { self.locked(|storage| Ok(storage.rewrite()?)) } else { Ok(()) }
    }

    /// Works on the storage itself, without redb, but as its one owner.
    fn locked(&self, work: impl FnOnce(&Storage) -> Result<(), Fault>) -> Result<()> {
        let storage = Storage::new(self.factory.open()?, self.unsynced.clone());
        let worked = contain(|| {
            match storage.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
                Ok(true) | Err(BackendError::Unsupported) => {}
                Ok(false) => return Err(Error::from(ErrorCode::StoreLocked).into()),
                Err(error) => return Err(Fault::Redb(error.into())),
            }
            work(&storage)
        });
        let closed = storage.close().map_err(|error| Fault::from(error).into_error());
        worked.map_err(Fault::into_error).and(closed)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        close(self.slot.get_mut().take());
        if let Err(error) = self.rewrite_unsynced() {
            tracing::warn!(%error, "what was written last may not outlive a power loss");
        }
    }
}

fn close(database: Option<Database>) {
    let closed = contain(|| {
        drop(database);
        Ok(())
    });
    if let Err(fault) = closed {
        tracing::warn!(error = %fault.into_error(), "the store did not close cleanly");
    }
}

fn contain<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Panic))
}

/// Empties a storage whose very first opening was cut off before redb's magic number was written. Nothing can have
/// been acknowledged in it.
fn clear_unfinished(storage: &Storage) -> Result<(), Fault> {
    const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
    const HEADER_LEN: usize = 320;
    const UNFINISHED_LEN_MAX: u64 = 16 << 20;
    let len = storage.len()?;
    let mut bytes = vec![0; len.min(UNFINISHED_LEN_MAX) as usize];
    storage.read(0, &mut bytes)?;
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start.len() < MAGIC.len() && !start.is_empty() && MAGIC.starts_with(start) {
        return Err(Error::new(ErrorCode::StoreCorrupt, "the store is cut off after a few bytes").into());
    }
    let zeros = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    if len > UNFINISHED_LEN_MAX || !zeros(start) || !zeros(&bytes[bytes.len().min(HEADER_LEN)..]) {
        return Err(not_a_store().into());
    }
    storage.set_len(0)?;
    storage.sync_data()?;
    Ok(())
}

pub(super) fn not_a_store() -> Error {
    Error::new(ErrorCode::StoreNotAStore, "the file is not a store of this program")
}

impl Fault {
    /// Whether it tells only of a fault that another call met before.
    fn is_stale(&self) -> bool {
        use redb::Error as E;
        matches!(self, Fault::Redb(E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_)))
    }

    /// Whether the database must be opened again.
    fn breaks(&self) -> bool {
        match self {
            Fault::Own(_) => false,
            Fault::Panic => true,
            Fault::Redb(error) => self.is_stale() || matches!(error, redb::Error::Io(_) | redb::Error::Backend(_)),
        }
    }

    pub(super) fn into_error(self) -> Error {
        use redb::Error as E;
        let error = match self {
            Fault::Own(error) => return error,
            Fault::Panic => return Error::new(ErrorCode::StoreCorrupt, "the database gave up on the file"),
            Fault::Redb(error) => error,
        };
        let (code, detail) = match &error {
            E::Io(io) => return io_error(io_code(io.kind()), error),
            E::Corrupted(_) | E::RepairAborted => (ErrorCode::StoreCorrupt, "the store is damaged"),
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => (ErrorCode::StoreLocked, "the store is open elsewhere"),
            E::UpgradeRequired(_) => (ErrorCode::StoreNotAStore, "the file is of an old database format"),
            E::TableTypeMismatch { .. }
            | E::TableIsMultimap(_)
            | E::TableIsNotMultimap(_)
            | E::TypeDefinitionChanged { .. }
            | E::TableDoesNotExist(_) => (ErrorCode::StoreCorrupt, "a table of the store is damaged or lost"),
            E::Backend(_) | E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_) | E::Unsupported => {
                (ErrorCode::StoreIo, "the storage failed")
            }
            _ => (ErrorCode::Internal, "the database was used in a way it does not allow"),
        };
        Error::new(code, detail).with_source(error)
    }

    /// The same at opening, where redb tells a foreign file by `InvalidData`.
    fn into_open_error(self) -> Error {
        match self {
            Fault::Redb(redb::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => not_a_store(),
            fault => fault.into_error(),
        }
    }
}

fn io_code(kind: ErrorKind) -> ErrorCode {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => ErrorCode::StoreFull,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => ErrorCode::StoreReadOnly,
        // The database reads only what its own pages point to: outside the file, they or the file are damaged.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => ErrorCode::StoreCorrupt,
        ErrorKind::OutOfMemory => ErrorCode::OutOfMemory,
        _ => ErrorCode::StoreIo,
    }
}

fn io_error(code: ErrorCode, error: redb::Error) -> Error {
    let detail = match code {
        ErrorCode::StoreFull => "there is no room for the store to grow",
        ErrorCode::StoreReadOnly => "the store cannot be written",
        ErrorCode::StoreCorrupt => "the store is shorter than it says",
        _ => "reading or writing the store failed",
    };
    Error::new(code, detail).with_source(error)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Own(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Redb(redb::Error::Io(error))
    }
}

macro_rules! fault_from {
    ($($error:ty),*) => { $(
        impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Fault::Redb(error.into())
            }
        }
    )* };
}
fault_from!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);
