//! The storage under redb, with a memory of what was written since the last good sync, and a log that makes most syncs
//! cheap.

use crate::store::log::Log;
use crate::store::unsynced::Unsynced;
use crate::store::waiting::{Waiting, is_whole};
use parking_lot::{RwLock, RwLockUpgradableReadGuard};
use redb::{BackendError, StorageBackend};
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::ops::{Bound, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes at the start of the storage in which redb says what its newest state is.
pub(super) const HEADER_LEN: usize = 320;
/// Where the first page ends, in which there is nothing but the header.
const HEADER_END: u64 = 4096;
/// How much room is reserved at a time, in bytes.
const RESERVED_BYTES: u64 = 1 << 20;

/// A backend of the host's, by value as redb takes it.
///
/// With a log, what is written waits in memory until the log is full: a commit is durable in the log, and the storage gets
/// all of them at once, each place once. So the storage never has a header that the log does not know. Only what the
/// storage has room for waits: where it [cannot be had for certain](Log::reserve), the storage is given at once
/// what is not a header.
#[derive(Debug)]
pub(super) struct Storage {
    backend: Box<dyn StorageBackend>,
    unsynced: Arc<Unsynced>,
    logging: Option<Logging>,
}

#[derive(Debug)]
struct Logging {
    log: Arc<Log>,
    /// Whether the log is this storage's yet, and all that a crash left in it is in the storage.
    is_on: Arc<AtomicBool>,
    /// Whether the first who looks at the storage is to see to that.
    recovers: bool,
    pending: RwLock<Pending>,
}

#[derive(Debug)]
struct Pending {
    waiting: Waiting,
    /// Whether what was written since the last sync waits, all of it; otherwise only headers do.
    can_log: bool,
    is_changed: bool,
    /// The storage's header, once the storage is known to be durable with it.
    durable_header: Option<Vec<u8>>,
    /// Which runs of [`RESERVED_BYTES`] have room in the storage for certain; `None` where that cannot be had.
    reserved: Option<HashSet<u64>>,
}

impl Default for Pending {
    fn default() -> Self {
        let waiting = Waiting::default();
        Self { waiting, can_log: false, is_changed: false, durable_header: None, reserved: Some(HashSet::new()) }
    }
}

impl Pending {
    /// All of it is in the storage.
    fn is_synced(&mut self, header: Option<Vec<u8>>, log: &Log) {
        self.waiting.clear();
        self.is_changed = false;
        self.can_log = header.is_some() && !log.is_missing();
        self.durable_header = header;
    }
}

impl Storage {
    pub(super) fn new(backend: Box<dyn StorageBackend>, unsynced: Arc<Unsynced>) -> Self {
        Self { backend, unsynced, logging: None }
    }

    /// The same with a log. What a crash left in it is written to the storage before anybody looks at the storage, which
    /// its owner alone does.
    pub(super) fn with_log(backend: Box<dyn StorageBackend>, unsynced: Arc<Unsynced>, log: Arc<Log>) -> Self {
        let logging = Logging { log, is_on: Arc::default(), recovers: true, pending: RwLock::default() };
        Self { backend, unsynced, logging: Some(logging) }
    }

    /// The same for an empty storage, which has the log from when `is_on` is set; until then the log is another's.
    pub(super) fn with_log_later(
        backend: Box<dyn StorageBackend>,
        unsynced: Arc<Unsynced>,
        log: Arc<Log>,
        is_on: Arc<AtomicBool>,
    ) -> Self {
        let logging = Logging { log, is_on, recovers: false, pending: RwLock::default() };
        Self { backend, unsynced, logging: Some(logging) }
    }

    fn logging(&self) -> io::Result<Option<&Logging>> {
        let Some(logging) = &self.logging else { return Ok(None) };
        let Logging { log, is_on, recovers, pending, .. } = logging;
        if !is_on.load(Ordering::Acquire) {
            if !recovers {
                return Ok(None);
            }
            let _one_at_a_time = pending.write();
            if !is_on.load(Ordering::Acquire) {
                log.recover(&*self.backend)?;
                is_on.store(true, Ordering::Release);
            }
        }
        Ok(Some(logging))
    }

    fn write_backend(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Noted before it is done: a write that fails may have been done in part.
        self.unsynced.wrote(offset, offset.saturating_add(data.len() as u64));
        self.backend.write(offset, data)
    }

    fn write_all<'d>(&self, mut pieces: impl Iterator<Item = (u64, Cow<'d, [u8]>)>) -> io::Result<()> {
        pieces.try_for_each(|(offset, data)| self.write_backend(offset, &data))
    }

    fn sync_backend(&self) -> io::Result<()> {
        let result = self.backend.sync_data();
        self.unsynced.synced(&result);
        result
    }

    /// Makes what the log has durable in the storage, too.
    fn write_back(&self, waiting: &Waiting) -> io::Result<()> {
        self.write_all(waiting.durable())?;
        self.sync_backend()
    }

    /// Syncs by way of the log; false where that is not possible.
    fn sync_log(&self, log: &Log, pending: &mut RwLockUpgradableReadGuard<'_, Pending>) -> io::Result<bool> {
        if !pending.can_log {
            return Ok(false);
        }
        if !log.has_room(pending.waiting.recent()) {
            self.write_back(&pending.waiting)?;
            let header = self.header()?;
            pending.with_upgraded(|pending| {
                pending.durable_header = Some(header);
                pending.waiting.is_written_back();
            });
            log.start_anew();
        }
        let before = pending.durable_header.as_deref().unwrap_or_default();
        if let Err(error) = log.append(pending.waiting.recent(), before, self.backend.len()?) {
            tracing::debug!(%error, "the log could not be written");
            return Ok(false);
        }
        pending.with_upgraded(|pending| {
            pending.waiting.is_logged();
            pending.is_changed = false;
        });
        Ok(true)
    }

    /// Gives up on the log for what is written up to the next sync: the storage gets it at once, but for its header.
    fn spill(&self, pending: &mut Pending) -> io::Result<()> {
        pending.can_log = false;
        self.write_all(pending.waiting.durable().chain(pending.waiting.recent_blocks()))?;
        pending.waiting.is_spilt();
        Ok(())
    }

    /// Syncs the storage itself. Where the log has records a header comes after all else: once it is there, the log is
    /// nobody's any more.
    fn sync_storage(&self, log: &Log, pending: &mut RwLockUpgradableReadGuard<'_, Pending>) -> io::Result<()> {
        let waiting = &pending.waiting;
        self.write_all(waiting.durable().chain(waiting.recent_blocks()))?;
        if log.is_used() {
            self.sync_backend()?;
        }
        self.write_all(waiting.recent_header())?;
        self.sync_backend()?;
        // From here on nothing of what the log has may be written any more, whatever fails.
        log.start_anew();
        let log_failed = pending.can_log;
        let header = self.header().ok();
        pending.with_upgraded(|pending| pending.is_synced(header, log));
        // What it takes may be what others lack. That it is found does no harm: it is nobody's.
        if log_failed && let Err(error) = log.clear() {
            tracing::debug!(%error, "the log could not be emptied");
        }
        Ok(())
    }

    /// Makes the storage durable without its log. What was not synced is of a commit that failed, and is not written;
    /// where a sync failed, the log stays, since it knows what the storage may have lost.
    fn empty_log(&self, Logging { log, pending, .. }: &Logging) -> io::Result<()> {
        if self.unsynced.is_suspect() {
            return Ok(());
        }
        if log.is_used() {
            self.write_back(&pending.read().waiting)?;
        }
        log.remove()
    }

    /// Whether the storage has room there for certain.
    fn reserve(&self, log: &Log, reserved: &mut Option<HashSet<u64>>, range: Range<u64>) -> io::Result<bool> {
        let Some(runs) = reserved else { return Ok(false) };
        for run in range.start / RESERVED_BYTES..range.end.div_ceil(RESERVED_BYTES) {
            if runs.contains(&run) {
                continue;
            }
            let (start, end) = (run * RESERVED_BYTES, (run + 1) * RESERVED_BYTES);
            let (first, last) = (range.start.max(start), range.end.min(end));
            let is_there = match log.reserve(start..end.min(self.backend.len()?).max(last)) {
                Ok(is_there) => {
                    runs.insert(run);
                    is_there
                }
                // There may be room for less.
                Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                    log.reserve(first..last)?
                }
                Err(error) => return Err(error),
            };
            if !is_there {
                *reserved = None;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let mut header = vec![0; HEADER_LEN.min(self.backend.len()? as usize)];
        self.backend.read(0, &mut header)?;
        Ok(header)
    }

    /// Writes what is unsynced once more, and syncs.
    pub(super) fn rewrite(&self) -> io::Result<()> {
        self.unsynced.rewrite(&*self.backend)
    }
}

impl StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        self.logging()?;
        let len = self.backend.len()?;
        self.unsynced.set_len(len);
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let Some(logging) = self.logging()? else { return self.backend.read(offset, out) };
        let waiting = &logging.pending.read().waiting;
        if !waiting.covers(offset, out.len()) {
            self.backend.read(offset, out)?;
        }
        waiting.patch(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if let Some(logging) = self.logging()? {
            let pending = &mut *logging.pending.write();
            pending.is_changed = true;
            pending.waiting.cut_off(len);
            let kept = self.backend.len()?.min(len);
            if let Some(runs) = &mut pending.reserved {
                runs.retain(|run| (run + 1) * RESERVED_BYTES <= kept);
            }
        }
        self.backend.set_len(len)?;
        self.unsynced.set_len(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let Some(Logging { log, pending, .. }) = self.logging()? else { return self.sync_backend() };
        // Who reads goes on meanwhile.
        let pending = &mut pending.upgradable_read();
        if (pending.is_changed || pending.durable_header.is_none()) && !self.sync_log(log, pending)? {
            self.sync_storage(log, pending)?;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(Logging { log, pending, .. }) = self.logging()? else { return self.write_backend(offset, data) };
        let pending = &mut *pending.write();
        pending.is_changed = true;
        if offset < HEADER_END {
            pending.waiting.push_header(offset, data);
        } else {
            if pending.can_log && !is_whole(offset, data) {
                self.spill(pending)?;
            }
            let range = offset..offset.saturating_add(data.len() as u64);
            if pending.can_log && self.reserve(log, &mut pending.reserved, range)? {
                pending.waiting.push_blocks(offset, data);
            } else {
                self.write_backend(offset, data)?;
                if pending.can_log {
                    pending.waiting.push_written(offset, data);
                }
            }
        }
        if pending.can_log && pending.waiting.recent().record_len() > log.record_bytes_max() {
            self.spill(pending)?;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        let logging = self.logging.as_ref().filter(|logging| logging.is_on.load(Ordering::Acquire));
        let emptied = logging.map_or(Ok(()), |logging| self.empty_log(logging));
        self.backend.close().and(emptied)
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
