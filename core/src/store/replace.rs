//! Replacing the database by a copy of it, made in pieces of a snapshot while other calls go on.

use crate::error::{Error, ErrorCode, Result};
use crate::store::db::{Access, Db, OPENED, Open, close, contain, database};
use crate::store::fault::Fault;
use crate::store::keys::{Sealing, StoreKey};
use crate::store::unsynced::{Storage, Unsynced};
use redb::{Database, ReadTransaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

impl Db {
    /// Keeps the storage from being replaced until it is dropped.
    pub(super) fn pin(&self) -> Pin<'_> {
        self.pins.fetch_add(1, Ordering::AcqRel);
        Pin { db: self, closings: self.closings.load(Ordering::Acquire) }
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }

    /// Waits until there is no pin.
    pub(super) async fn unpinned(&self) {
        loop {
            let unpinned = self.unpinned.listen();
            if !self.is_pinned() {
                return;
            }
            unpinned.await;
        }
    }

    /// Begins a copy of the database in its slot into the fresh storage; dropping it gives it up.
    pub(super) fn begin_copy(&self) -> Result<Copying<'_>> {
        let slot = self.opened(None)?;
        self.begin_copy_of(slot.as_ref().expect(OPENED))
    }

    fn begin_copy_of(&self, open: &Open) -> Result<Copying<'_>> {
        let (seen, old) = contain(|| {
            // While no write is under way: those that were counted are in the snapshot, the others are not.
            let no_write = open.access.writable()?.begin_write()?;
            let snapshot = (open.writes.load(Ordering::Acquire), open.begin_read()?);
            no_write.abort()?;
            Ok(snapshot)
        })
        .map_err(Fault::into_error)?;
        let fresh = self.factory.fresh()?.ok_or(ErrorCode::StoreCannotReplace)?;
        let unsynced: Arc<Unsynced> = Arc::default();
        let copying = Copying {
            db: self,
            old,
            sealing: open.sealing.clone(),
            key: self.keys.lock()[0].clone(),
            unsynced: unsynced.clone(),
            writes: open.writes.clone(),
            seen,
            given_up: true,
        };
        let new = contain(|| database(Storage::new(fresh, unsynced))).map_err(Fault::into_error)?;
        *self.fresh.lock() = Some(new);
        Ok(copying)
    }

    /// Makes a copy while nothing else runs, and replaces the database by it.
    pub(super) async fn replace_exclusively(
        &self,
        fill: impl FnOnce(&Copying<'_>) -> Result<(Arc<Sealing>, Option<StoreKey>), Fault>,
    ) -> Result<()> {
        let mut slot = loop {
            self.unpinned().await;
            let slot = self.opened_exclusively(None)?;
            if !self.is_pinned() {
                break slot;
            }
        };
        let copying = self.begin_copy_of(slot.as_ref().expect(OPENED))?;
        let (sealing, key) = fill(&copying).map_err(Fault::into_error)?;
        copying.swap(&mut slot, sealing, key)
    }
}

/// Keeps the storage from being replaced, for reads of one snapshot.
pub(super) struct Pin<'d> {
    db: &'d Db,
    closings: u64,
}

impl Pin<'_> {
    /// As [`Db::run`].
    ///
    /// # Errors
    /// [`ErrorCode::Suspended`] where the store was closed since.
    pub(super) fn run<T>(&self, work: impl Fn(&Open) -> Result<T, Fault>) -> Result<T> {
        if self.db.closings.load(Ordering::Acquire) == self.closings {
            self.db.run(work)
        } else {
            self.db.check_open().and_then(|()| Err(closed_meanwhile()))
        }
    }
}

fn closed_meanwhile() -> Error {
    Error::new(ErrorCode::Suspended, "the store was closed meanwhile")
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        if self.db.pins.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.db.unpinned.notify(usize::MAX);
        }
    }
}

/// A copy under way, of a snapshot of the database.
pub(super) struct Copying<'d> {
    db: &'d Db,
    pub(super) old: ReadTransaction,
    pub(super) sealing: Arc<Sealing>,
    pub(super) key: Option<StoreKey>,
    unsynced: Arc<Unsynced>,
    writes: Arc<AtomicU64>,
    /// The writes that are in the snapshot.
    seen: u64,
    /// True until it is swapped in.
    given_up: bool,
}

impl Copying<'_> {
    /// Does a piece of it: reads the snapshot and writes the fresh database.
    ///
    /// # Errors
    /// [`ErrorCode::Suspended`], [`ErrorCode::EngineClosed`] where the store was closed meanwhile.
    pub(super) fn piece<T>(&self, work: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        let fresh = self.db.fresh.lock();
        self.db.check_open()?;
        let new = fresh.as_ref().ok_or_else(closed_meanwhile)?;
        contain(|| work(new))
    }

    /// Replaces the database by the copy, unless something was written or pinned since; true where it did.
    pub(super) fn swap_if_current(self, sealing: Arc<Sealing>, key: Option<StoreKey>) -> Result<bool> {
        let db = self.db;
        let mut slot = db.opened_exclusively(None)?;
        let open = slot.as_ref().expect(OPENED);
        let is_current = Arc::ptr_eq(&open.writes, &self.writes) && open.writes.load(Ordering::Acquire) == self.seen;
        if !is_current || db.is_pinned() {
            return Ok(false);
        }
        self.swap(&mut slot, sealing, key)?;
        drop(slot);
        db.close_if_asked();
        Ok(true)
    }

    fn swap(mut self, slot: &mut Option<Open>, sealing: Arc<Sealing>, key: Option<StoreKey>) -> Result<()> {
        let db = self.db;
        let Some(new) = db.fresh.lock().take() else {
            return Err(closed_meanwhile());
        };
        // From here on the fresh storage may be the store, whatever the swap returns.
        self.given_up = false;
        if let Err(error) = db.factory.swap() {
            close(new);
            close(slot.take());
            *db.unsynced.lock() = Arc::default();
            db.keys.lock().push(key);
            return Err(error);
        }
        *db.unsynced.lock() = self.unsynced.clone();
        *db.keys.lock() = vec![key];
        let old = slot.replace(Open::new(Access::Writable(new), sealing, self.unsynced.clone()));
        close(old);
        Ok(())
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        if self.given_up {
            close(self.db.fresh.lock().take());
            self.db.factory.discard();
        }
    }
}
