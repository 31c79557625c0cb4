//! The seam to redb: opening, dropping and reopening the database, and turning its errors and panics into ours.
//!
//! After an IO error redb refuses every further write, and a damaged file can make it panic. Both cost the call in
//! which they happen; the next call finds the database dropped and opened again.
//!
//! A failed sync needs more than that: an operating system may forget that the pages it could not write are still to
//! be written, while it goes on showing them to readers. What was written since the last good sync is therefore
//! written once more before the database is opened again.

use crate::error::{Error, ErrorCode, Result};
use crate::store::keys::Ring;
use crate::store::location::BackendFactory;
use crate::store::unsynced::{Storage, Unsynced};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::{
    BackendError, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction,
};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Memory that redb may use for pages, in bytes; its own default is a gibibyte.
const CACHE_BYTES: usize = 16 << 20;

pub(super) struct Db {
    factory: Box<dyn BackendFactory>,
    slot: RwLock<Option<Opened>>,
    /// Whether the database is closed on purpose.
    suspended: AtomicBool,
    /// Whether the database in the slot must not be used again. Set only under the slot's read lock, so that it
    /// speaks of that database.
    broken: AtomicBool,
    /// What the storage in the slot remembers.
    unsynced: Mutex<Arc<Unsynced>>,
    rings: RwLock<Rings>,
    /// Held by every transaction that writes records, so that the key that seals changes between two of them.
    sealing: RwLock<()>,
    /// Held by who reads one snapshot for long, in several goes: the storage is not replaced meanwhile.
    long_reads: RwLock<()>,
}

/// The database, or where its storage cannot be written, what can be read of it.
enum Opened {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
}

struct Rings {
    /// What seals, and opens everything that is there.
    current: Arc<Ring>,
    /// What opens besides what was there at any time since the store was opened: somebody may still be reading it.
    reading: Arc<Ring>,
}

/// The open database, and what its records are read and written with.
pub(super) struct Open<'d> {
    opened: &'d Opened,
    db: &'d Db,
}

impl Open<'_> {
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, Fault> {
        Ok(match self.opened {
            Opened::Writable(database) => database.begin_read()?,
            Opened::ReadOnly(database) => database.begin_read()?,
        })
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, Fault> {
        Ok(self.writable()?.begin_write()?)
    }

    /// # Errors
    /// [`ErrorCode::StoreReadOnly`].
    pub(super) fn writable(&self) -> Result<&Database, Fault> {
        match self.opened {
            Opened::Writable(database) => Ok(database),
            Opened::ReadOnly(_) => Err(Error::new(ErrorCode::StoreReadOnly, "the store cannot be written").into()),
        }
    }

    pub(super) fn storage_len(&self) -> u64 {
        self.db.storage_len()
    }

    pub(super) fn is_read_only(&self) -> bool {
        matches!(self.opened, Opened::ReadOnly(_))
    }

    /// What reads. To be asked after a snapshot was taken: the ring has every key that a record before may need.
    pub(super) fn reading_ring(&self) -> Arc<Ring> {
        self.db.rings.read().reading.clone()
    }

    /// Keeps what seals as it is while a transaction writes.
    pub(super) fn hold_ring(&self) -> (RwLockReadGuard<'_, ()>, Arc<Ring>) {
        let held = self.db.sealing.read();
        (held, self.db.ring())
    }

    /// Waits until nobody writes, and keeps it so.
    pub(super) fn stop_writers(&self) -> RwLockWriteGuard<'_, ()> {
        self.db.sealing.write()
    }
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
        let unsynced = Mutex::default();
        let plain = Arc::new(Ring::plain());
        let rings = RwLock::new(Rings { current: plain.clone(), reading: plain });
        let broken = AtomicBool::new(false);
        let db = Db {
            factory,
            slot: RwLock::new(None),
            suspended: AtomicBool::new(false),
            broken,
            unsynced,
            rings,
            sealing: RwLock::new(()),
            long_reads: RwLock::new(()),
        };
        drop(db.opened()?);
        Ok(db)
    }

    pub(super) fn ring(&self) -> Arc<Ring> {
        self.rings.read().current.clone()
    }

    /// What records are sealed and opened with from the first opening on.
    pub(super) fn open_with_ring(&self, ring: Ring) {
        let ring = Arc::new(ring);
        *self.rings.write() = Rings { current: ring.clone(), reading: ring };
    }

    /// What records are sealed with from now on.
    pub(super) fn set_ring(&self, ring: Ring) {
        self.read_also(&ring);
        self.rings.write().current = Arc::new(ring);
    }

    /// What can be read from now on, too.
    pub(super) fn read_also(&self, ring: &Ring) {
        let rings = &mut *self.rings.write();
        rings.reading = Arc::new(ring.with_keys_of(&rings.reading));
    }

    /// Does the work on an open database. Where the database turns out to have been broken by another call, the work
    /// is done once more on a new one.
    pub(super) fn run<T>(&self, work: impl Fn(&Open<'_>) -> Result<T, Fault>) -> Result<T> {
        let mut retried = false;
        loop {
            let slot = self.opened()?;
            let opened = slot.as_ref().expect("`opened` left a database in the slot");
            let open = Open { opened, db: self };
            let fault = match contain(|| work(&open)) {
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

    fn opened(&self) -> Result<RwLockReadGuard<'_, Option<Opened>>> {
        let usable = |slot: &Option<Opened>| slot.is_some() && !self.broken.load(Ordering::Acquire);
        let slot = self.slot.read();
        if usable(&slot) {
            return Ok(slot);
        }
        drop(slot);
        let mut slot = self.slot.write();
        if self.suspended.load(Ordering::Acquire) {
            return Err(suspended());
        }
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
    fn open_database(&self) -> Result<Opened> {
        let create = || {
            contain(|| {
                let storage = Storage::new(self.factory.open()?, self.unsynced());
                Ok(Opened::Writable(database(storage)?))
            })
        };
        match create() {
            Err(Fault::Own(error)) if error.code() == ErrorCode::StoreReadOnly => self.open_read_only(error),
            Err(Fault::Redb(redb::Error::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                self.locked(clear_unfinished)?;
                create().map_err(Fault::into_open_error)
            }
            other => other.map_err(Fault::into_open_error),
        }
    }

    /// What can be read where nothing can be written; the error is what writing gives.
    fn open_read_only(&self, error: Error) -> Result<Opened> {
        let Some(storage) = self.factory.open_read_only()? else { return Err(error) };
        let opened = contain(|| {
            let storage = Storage::new(storage, self.unsynced());
            let mut builder = redb::Builder::new();
            Ok(Opened::ReadOnly(builder.set_cache_size(CACHE_BYTES).open_read_only_with_backend(storage)?))
        });
        opened.map_err(|fault| match fault {
            Fault::Redb(redb::Error::RepairAborted) => {
                Error::new(ErrorCode::StoreNeedsRepair, "the store was not closed, and cannot be written to repair it")
            }
            fault => match fault.into_open_error() {
                other if matches!(other.code(), ErrorCode::StoreNotAStore | ErrorCode::StoreLocked) => other,
                // No store yet, or not enough of one.
                _ => error,
            },
        })
    }

    /// Bytes of the storage.
    pub(super) fn storage_len(&self) -> u64 {
        self.unsynced().len()
    }

    /// Closes the database, and keeps it closed until it is resumed. Waits for what is under way.
    pub(super) fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
        let mut slot = self.slot.write();
        close(slot.take());
        if let Err(error) = self.rewrite_unsynced() {
            tracing::warn!(%error, "what was written last may not outlive a power loss");
        }
    }

    /// Opens it again.
    pub(super) fn resume(&self) -> Result<()> {
        self.suspended.store(false, Ordering::Release);
        self.opened().map(drop)
    }

    fn unsynced(&self) -> Arc<Unsynced> {
        self.unsynced.lock().clone()
    }

    /// Keeps the storage from being replaced.
    pub(super) fn read_for_long(&self) -> RwLockReadGuard<'_, ()> {
        self.long_reads.read_recursive()
    }

    /// Whether somebody keeps it from being replaced.
    pub(super) fn is_read_for_long(&self) -> bool {
        self.long_reads.try_write().is_none()
    }

    /// Lets a new database, which `fill` fills from the one that is there, take its place. Nobody reads or writes
    /// meanwhile; who reads for long is waited for. Where it fails, everything stays as it was.
    pub(super) fn replace(&self, fill: impl FnOnce(&Open<'_>, &Database) -> Result<(), Fault>) -> Result<()> {
        let _nobody_reads = self.long_reads.write();
        drop(self.opened()?);
        let mut slot = self.slot.write();
        let Some(opened) = slot.as_ref().filter(|_| !self.broken.load(Ordering::Acquire)) else {
            return Err(match self.suspended.load(Ordering::Acquire) {
                true => suspended(),
                false => Error::new(ErrorCode::StoreIo, "the store broke just before"),
            });
        };
        let old = Open { opened, db: self };
        old.writable().map_err(Fault::into_error)?;
        let fresh = self.factory.fresh()?.ok_or(ErrorCode::StoreCannotReplace)?;
        let unsynced: Arc<Unsynced> = Arc::default();
        let new = contain(|| {
            let new = database(Storage::new(fresh, unsynced.clone()))?;
            fill(&old, &new)?;
            Ok(new)
        });
        let new = new.map_err(Fault::into_error)?;
        if let Err(error) = self.factory.swap() {
            // Which of the two is there is found out by opening it.
            close(Some(Opened::Writable(new)));
            close(slot.take());
            *self.unsynced.lock() = Arc::default();
            return Err(error);
        }
        *self.unsynced.lock() = unsynced;
        close(slot.replace(Opened::Writable(new)));
        Ok(())
    }

    /// Sees to it that what a failed sync left behind becomes durable.
    fn rewrite_unsynced(&self) -> Result<()> {
        if self.unsynced().is_suspect() { self.locked(|storage| Ok(storage.rewrite()?)) } else { Ok(()) }
    }

    /// Works on the storage itself, without redb, but as its one owner.
    fn locked(&self, work: impl FnOnce(&Storage) -> Result<(), Fault>) -> Result<()> {
        let storage = Storage::new(self.factory.open()?, self.unsynced());
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

fn close(database: Option<Opened>) {
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

fn database(storage: Storage) -> Result<Database, Fault> {
    Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(storage)?)
}

/// Empties a storage whose very first opening was cut off before redb's magic number was written. Nothing can have
/// been acknowledged in it.
fn clear_unfinished(storage: &Storage) -> Result<(), Fault> {
    const HEADER_LEN: usize = 320;
    const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
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

fn suspended() -> Error {
    Error::new(ErrorCode::Suspended, "the store is closed until the host resumes")
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
            Fault::Redb(E::Io(error)) => return io_error(error),
            Fault::Redb(error) => error,
        };
        let (code, detail) = match &error {
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

/// An error of the storage; what we handed through redb comes back as it was.
fn io_error(error: io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => error,
    };
    let code = io_code(error.kind());
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
