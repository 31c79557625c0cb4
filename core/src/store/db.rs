//! The open redb database: opening, closing, reopening after errors, and replacing it by a copy.
//!
//! After an IO error redb refuses every further write, and a damaged file can make it panic. Either fails the call in
//! which it happens; the next call drops the database and opens it again.
//!
//! After a failed sync an operating system may forget the pages that it could not write, while it still shows them to
//! readers. The ranges written since the last good sync are therefore rewritten before the database is opened again.

use crate::error::{Error, ErrorCode, Result};
use crate::store::fault::{Fault, not_a_store};
use crate::store::keys::{Sealing, StoreKey};
use crate::store::location::BackendFactory;
use crate::store::meta;
use crate::store::unsynced::{Storage, Unsynced};
use event_listener::Event;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use redb::{
    BackendError, Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction,
};
use std::io::ErrorKind;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Memory that redb may use for pages, in bytes; its own default is a gibibyte.
const CACHE_BYTES: usize = 16 << 20;

/// The invariant of [`Db::opened`].
pub(super) const OPENED: &str = "opening left a database in the slot";

pub(super) struct Db {
    pub(super) factory: Box<dyn BackendFactory>,
    pub(super) slot: RwLock<Option<Open>>,
    /// True while the database is closed on purpose.
    suspended: AtomicBool,
    /// True once it is closed for good.
    closed: AtomicBool,
    /// True where the database in the slot must not be used again. Set only under the slot's read lock.
    broken: AtomicBool,
    /// The unsynced ranges of the storage in the slot.
    pub(super) unsynced: Mutex<Arc<Unsynced>>,
    /// The host's key. After a swap that failed there are two: which storage is there shows at the next opening.
    pub(super) keys: Mutex<Vec<Option<StoreKey>>>,
    /// How many read one snapshot in several calls of `run`: the storage is not replaced meanwhile.
    pub(super) pins: AtomicUsize,
    /// How often it was closed on purpose: the end of every snapshot.
    pub(super) closings: AtomicU64,
    pub(super) unpinned: Event,
    /// Held by the one that makes a copy.
    pub(super) replacing: async_lock::Mutex<()>,
    /// The copy under way. Who closes the database takes it away.
    pub(super) fresh: Mutex<Option<Database>>,
}

/// The open database, and how its records are sealed.
pub(super) struct Open {
    pub(super) access: Access,
    pub(super) sealing: Arc<Sealing>,
    pub(super) unsynced: Arc<Unsynced>,
    /// How many writes began.
    pub(super) writes: Arc<AtomicU64>,
}

/// The database; a read-only one where the storage cannot be written.
pub(super) enum Access {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
}

impl Access {
    fn begin_read(&self) -> Result<ReadTransaction, Fault> {
        Ok(match self {
            Access::Writable(database) => database.begin_read()?,
            Access::ReadOnly(database) => database.begin_read()?,
        })
    }

    pub(super) fn writable(&self) -> Result<&Database, Fault> {
        match self {
            Access::Writable(database) => Ok(database),
            Access::ReadOnly(_) => Err(Error::new(ErrorCode::StoreReadOnly, "the store cannot be written").into()),
        }
    }
}

impl Open {
    pub(super) fn new(access: Access, sealing: Arc<Sealing>, unsynced: Arc<Unsynced>) -> Self {
        Self { access, sealing, unsynced, writes: Arc::default() }
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, Fault> {
        self.access.begin_read()
    }

    /// # Errors
    /// [`ErrorCode::StoreReadOnly`].
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, Fault> {
        let transaction = self.access.writable()?.begin_write()?;
        self.writes.fetch_add(1, Ordering::AcqRel);
        Ok(transaction)
    }

    /// Bytes of the storage.
    pub(super) fn storage_len(&self) -> u64 {
        self.unsynced.len()
    }

    pub(super) fn is_read_only(&self) -> bool {
        matches!(self.access, Access::ReadOnly(_))
    }
}

impl Db {
    /// Opens the store, or creates it as of `now_ms`.
    pub(super) fn open(factory: Box<dyn BackendFactory>, key: Option<StoreKey>, now_ms: u64) -> Result<Db> {
        let db = Db {
            factory,
            slot: RwLock::default(),
            suspended: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            unsynced: Mutex::default(),
            keys: Mutex::new(vec![key]),
            pins: AtomicUsize::new(0),
            closings: AtomicU64::new(0),
            unpinned: Event::new(),
            replacing: async_lock::Mutex::new(()),
            fresh: Mutex::new(None),
        };
        drop(db.opened(Some(now_ms))?);
        // A crash may have left an unfinished copy, with data that was deleted since.
        db.factory.discard();
        Ok(db)
    }

    /// Runs the work on an open database; once more on a new one where another call has broken the database.
    pub(super) fn run<T>(&self, work: impl Fn(&Open) -> Result<T, Fault>) -> Result<T> {
        let result = self.run_open(work);
        self.close_if_asked();
        result
    }

    fn run_open<T>(&self, work: impl Fn(&Open) -> Result<T, Fault>) -> Result<T> {
        let mut retried = false;
        loop {
            let slot = self.opened(None)?;
            let open = slot.as_ref().expect(OPENED);
            let fault = match contain(|| work(open)) {
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

    /// The database in its slot, opened again where that is needed; a new store is created as of `new_ms`, if given.
    pub(super) fn opened(&self, new_ms: Option<u64>) -> Result<RwLockReadGuard<'_, Option<Open>>> {
        self.check_open()?;
        let slot = self.slot.read();
        if self.is_usable(&slot) {
            return Ok(slot);
        }
        drop(slot);
        Ok(RwLockWriteGuard::downgrade(self.opened_exclusively(new_ms)?))
    }

    pub(super) fn opened_exclusively(&self, new_ms: Option<u64>) -> Result<RwLockWriteGuard<'_, Option<Open>>> {
        let mut slot = self.slot.write();
        self.check_open()?;
        if !self.is_usable(&slot) {
            close(slot.take());
            self.rewrite_unsynced()?;
            let access = self.open_database()?;
            match contain(|| self.load_sealing(&access, new_ms)) {
                Ok(sealing) => *slot = Some(Open::new(access, Arc::new(sealing), self.unsynced())),
                Err(fault) => {
                    close(access);
                    return Err(fault.into_error());
                }
            }
            self.broken.store(false, Ordering::Release);
        }
        Ok(slot)
    }

    /// # Errors
    /// [`ErrorCode::EngineClosed`], [`ErrorCode::Suspended`] where it is closed on purpose.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(ErrorCode::EngineClosed.into());
        }
        if self.suspended.load(Ordering::Acquire) {
            return Err(Error::new(ErrorCode::Suspended, "the store is closed until the host resumes"));
        }
        Ok(())
    }

    fn is_usable(&self, slot: &Option<Open>) -> bool {
        slot.is_some() && !self.broken.load(Ordering::Acquire)
    }

    fn open_database(&self) -> Result<Access> {
        let create =
            || contain(|| Ok(Access::Writable(database(Storage::new(self.factory.open()?, self.unsynced()))?)));
        match create() {
            Err(Fault::Own(error)) if error.code() == ErrorCode::StoreReadOnly => self.open_read_only(error),
            Err(Fault::Redb(redb::Error::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                self.locked(clear_unfinished)?;
                create().map_err(Fault::into_open_error)
            }
            other => other.map_err(Fault::into_open_error),
        }
    }

    /// Opens a storage that cannot be written; `error` is what opening it to write gave.
    fn open_read_only(&self, error: Error) -> Result<Access> {
        let Some(storage) = self.factory.open_read_only()? else { return Err(error) };
        let opened = contain(|| {
            let storage = Storage::new(storage, self.unsynced());
            let mut builder = redb::Builder::new();
            Ok(Access::ReadOnly(builder.set_cache_size(CACHE_BYTES).open_read_only_with_backend(storage)?))
        });
        opened.map_err(|fault| match fault {
            Fault::Redb(source @ redb::Error::RepairAborted) => {
                let detail = "the store was not closed, and cannot be written to repair it";
                Error::new(ErrorCode::StoreNeedsRepair, detail).with_source(source)
            }
            fault => match fault.into_open_error() {
                other if matches!(other.code(), ErrorCode::StoreNotAStore | ErrorCode::StoreLocked) => other,
                // No store yet, or not enough of one.
                _ => error,
            },
        })
    }

    /// The sealing of the store that is there, or of a new one. Leaves the one key that it has.
    fn load_sealing(&self, access: &Access, new_ms: Option<u64>) -> Result<Sealing, Fault> {
        let mut keys = self.keys.lock();
        let transaction = access.begin_read()?;
        if let Some(now_ms) = new_ms
            && meta::is_new(&transaction)?
        {
            let sealing = Sealing::new(keys[0].as_ref())?;
            meta::create(access.writable()?, &sealing, keys[0].as_ref(), now_ms)?;
            return Ok(sealing);
        }
        let mut refused = None;
        for key in keys.clone() {
            match meta::load_sealing(&transaction, key.as_ref()) {
                Ok(sealing) => {
                    *keys = vec![key];
                    return Ok(sealing);
                }
                Err(Fault::Own(error)) if error.code() == ErrorCode::StoreWrongKey => refused = Some(error),
                Err(fault) => return Err(fault),
            }
        }
        Err(refused.expect("the list of keys is never empty").into())
    }

    /// True where records are encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.keys.lock().iter().any(Option::is_some)
    }

    /// Closes the database, and keeps it closed until it is resumed. Waits for running calls.
    pub(super) fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
        self.take_down(self.slot.write());
    }

    /// The same, waiting for so long; false where a call still runs, which closes the database when it ends.
    pub(super) fn suspend_within(&self, timeout: Duration) -> bool {
        self.suspended.store(true, Ordering::Release);
        let slot = if timeout.is_zero() { self.slot.try_write() } else { self.slot.try_write_for(timeout) };
        slot.map(|slot| self.take_down(slot)).is_some()
    }

    /// Opens it again.
    pub(super) fn resume(&self) -> Result<()> {
        self.suspended.store(false, Ordering::Release);
        self.opened(None).map(drop)
    }

    /// Closes the database for good. Waits for running calls.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.take_down(self.slot.write());
    }

    fn take_down(&self, mut slot: RwLockWriteGuard<'_, Option<Open>>) {
        self.closings.fetch_add(1, Ordering::AcqRel);
        close(self.fresh.lock().take());
        close(slot.take());
        self.rewrite_unsynced_or_warn();
    }

    /// Closes the database where that was asked for during a call, unless another call still runs.
    pub(super) fn close_if_asked(&self) {
        if self.check_open().is_err()
            && let Some(slot) = self.slot.try_write()
            && slot.is_some()
        {
            self.take_down(slot);
        }
    }

    fn unsynced(&self) -> Arc<Unsynced> {
        self.unsynced.lock().clone()
    }

    /// Makes durable what a failed sync may have lost.
    fn rewrite_unsynced(&self) -> Result<()> {
        if self.unsynced().is_suspect() { self.locked(|storage| Ok(storage.rewrite()?)) } else { Ok(()) }
    }

    fn rewrite_unsynced_or_warn(&self) {
        if let Err(error) = self.rewrite_unsynced() {
            tracing::warn!(error = error.chain(), "the last writes may not survive a power loss");
        }
    }

    /// Works on the storage itself, without redb, but under its lock.
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
        self.rewrite_unsynced_or_warn();
    }
}

/// Drops a database, whose last writes may fail or panic.
pub(super) fn close<T>(database: T) {
    let closed = contain(|| {
        drop(database);
        Ok(())
    });
    if let Err(fault) = closed {
        tracing::warn!(error = fault.into_error().chain(), "the store did not close cleanly");
    }
}

pub(super) fn contain<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Panic))
}

pub(super) fn database(storage: Storage) -> Result<Database, Fault> {
    Ok(redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(storage)?)
}

/// Empties a storage whose first opening was cut off before redb's magic number was written. Nothing in it can have
/// been acknowledged.
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
