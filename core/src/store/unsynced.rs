//! The storage under redb, with a memory of what was written since the last good sync, and a log that makes most syncs
//! cheap.

use crate::store::log::{Log, Writes};
use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Where something was written since the last good sync. It outlives the storage, so that the next one can write it
/// once more.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    state: Mutex<State>,
    /// How long the storage is.
    len: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    ranges: Vec<(u64, u64)>,
    /// Whether a sync failed. Until the ranges are written once more, a good sync proves nothing about them.
    suspect: bool,
}

/// How many ranges are remembered before they become one.
const RANGES_MAX: usize = 4096;

impl Unsynced {
    /// Whether a sync failed that has not been made good.
    pub(super) fn is_suspect(&self) -> bool {
        self.state.lock().suspect
    }

    /// How long the storage is.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    fn wrote(&self, start: u64, end: u64) {
        let ranges = &mut self.state.lock().ranges;
        match ranges.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => ranges.push((start, end)),
        }
        if ranges.len() > RANGES_MAX {
            let start = ranges.iter().map(|range| range.0).min().unwrap_or(0);
            let end = ranges.iter().map(|range| range.1).max().unwrap_or(0);
            *ranges = vec![(start, end)];
        }
    }

    fn synced(&self, result: &io::Result<()>) {
        let mut state = self.state.lock();
        if result.is_err() {
            state.suspect = true;
        } else if !state.suspect {
            state.ranges.clear();
        }
    }
}

/// Bytes at the start of the storage in which redb says what its newest state is.
pub(super) const HEADER_LEN: usize = 320;
/// Where the first page ends, in which there is nothing but the header.
const HEADER_END: u64 = 4096;

/// A backend of the host's, by value as redb takes it.
///
/// With a log, a header goes to the storage only once it is durable in the log, with all that it tells of: so the storage
/// never has one that the log does not know.
#[derive(Debug)]
pub(super) struct Storage {
    backend: Box<dyn StorageBackend>,
    unsynced: Arc<Unsynced>,
    logging: Option<Logging>,
}

#[derive(Debug)]
struct Logging {
    log: Arc<Log>,
    /// Whether the log is this storage's yet.
    is_on: Arc<AtomicBool>,
    pending: Mutex<Pending>,
}

/// What was written since the last sync.
#[derive(Debug, Default)]
struct Pending {
    writes: Writes,
    /// Whether `writes` is all of it, and what it builds upon is durable.
    can_log: bool,
    /// Headers that the storage was not given yet.
    headers: Vec<(u64, Vec<u8>)>,
    is_changed: bool,
    /// The storage's header, once the storage is known to be durable with it.
    durable_header: Option<Vec<u8>>,
}

impl Pending {
    fn push(&mut self, offset: u64, data: &[u8], len_max: u64) {
        self.is_changed = true;
        if self.can_log && !self.writes.push(offset, data, len_max) {
            self.can_log = false;
            self.writes.clear();
        }
    }

    fn is_synced(&mut self, log: &Log) {
        self.writes.clear();
        self.is_changed = false;
        self.can_log = self.durable_header.is_some() && !log.is_missing();
    }
}

impl Storage {
    pub(super) fn new(backend: Box<dyn StorageBackend>, unsynced: Arc<Unsynced>) -> Self {
        Self { backend, unsynced, logging: None }
    }

    /// The same with a log, from when `is_on` is set. What a crash left in the log must be in the storage by then.
    pub(super) fn with_log(
        backend: Box<dyn StorageBackend>,
        unsynced: Arc<Unsynced>,
        log: Arc<Log>,
        is_on: Arc<AtomicBool>,
    ) -> Self {
        Self { backend, unsynced, logging: Some(Logging { log, is_on, pending: Mutex::default() }) }
    }

    fn logging(&self) -> Option<&Logging> {
        self.logging.as_ref().filter(|logging| logging.is_on.load(Ordering::Acquire))
    }

    pub(super) fn backend(&self) -> &dyn StorageBackend {
        &*self.backend
    }

    fn sync_backend(&self) -> io::Result<()> {
        let result = self.backend.sync_data();
        self.unsynced.synced(&result);
        result
    }

    fn write_headers(&self, pending: &mut Pending) -> io::Result<()> {
        for (offset, header) in &pending.headers {
            self.backend.write(*offset, header)?;
        }
        pending.headers.clear();
        Ok(())
    }

    /// Syncs by way of the log; false where that is not possible.
    fn sync_log(&self, log: &Log, pending: &mut Pending) -> io::Result<bool> {
        if !pending.can_log {
            return Ok(false);
        }
        if !log.has_room(&pending.writes) {
            self.sync_backend()?;
            pending.durable_header = Some(self.header()?);
            log.start_anew();
        }
        let before = pending.durable_header.as_deref().unwrap_or_default();
        if let Err(error) = log.append(&pending.writes, before, self.backend.len()?) {
            tracing::debug!(%error, "the log could not be written");
            return Ok(false);
        }
        self.write_headers(pending)?;
        Ok(true)
    }

    /// Syncs the storage itself. A header comes after all else where the log would be taken for its own.
    fn sync_storage(&self, log: &Log, pending: &mut Pending) -> io::Result<()> {
        if log.is_used() {
            self.sync_backend()?;
            log.clear()?;
        }
        self.write_headers(pending)?;
        self.sync_backend()?;
        pending.durable_header = Some(self.header()?);
        Ok(())
    }

    /// Makes the storage durable without its log. A header that was not synced is of a commit that failed, and is not
    /// written; where a sync failed, the log stays, since it knows what the storage may have lost.
    fn empty_log(&self, log: &Log) -> io::Result<()> {
        if self.unsynced.is_suspect() {
            return Ok(());
        }
        if log.is_used() {
            self.sync_backend()?;
        }
        log.remove()
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let mut header = vec![0; HEADER_LEN.min(self.backend.len()? as usize)];
        self.backend.read(0, &mut header)?;
        Ok(header)
    }

    /// Writes what is unsynced once more, as it reads, and syncs.
    pub(super) fn rewrite(&self) -> io::Result<()> {
        const BLOCK_BYTES: u64 = 1 << 20;
        let ranges = self.unsynced.state.lock().ranges.clone();
        let len = self.backend.len()?;
        self.backend.set_len(len)?;
        let mut block = Vec::new();
        for (start, end) in ranges {
            let (mut at, end) = (start, end.min(len));
            while at < end {
                let next = end.min(at + BLOCK_BYTES);
                block.resize((next - at) as usize, 0);
                self.backend.read(at, &mut block)?;
                self.backend.write(at, &block)?;
                at = next;
            }
        }
        self.backend.sync_data()?;
        *self.unsynced.state.lock() = State::default();
        Ok(())
    }
}

impl StorageBackend for Storage {
    fn len(&self) -> io::Result<u64> {
        let len = self.backend.len()?;
        self.unsynced.len.store(len, Ordering::Relaxed);
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let Some(logging) = self.logging().filter(|_| offset < HEADER_END) else {
            return self.backend.read(offset, out);
        };
        let pending = logging.pending.lock();
        self.backend.read(offset, out)?;
        for (start, header) in &pending.headers {
            let end = start + header.len() as u64;
            let (from, to) = (offset.max(*start), (offset + out.len() as u64).min(end));
            if from < to {
                let place = (from - offset) as usize..(to - offset) as usize;
                out[place].copy_from_slice(&header[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if let Some(logging) = self.logging() {
            logging.pending.lock().is_changed = true;
        }
        self.backend.set_len(len)?;
        self.unsynced.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let Some(Logging { log, pending, .. }) = self.logging() else { return self.sync_backend() };
        let pending = &mut *pending.lock();
        if pending.is_changed || pending.durable_header.is_none() {
            if !self.sync_log(log, pending)? {
                self.sync_storage(log, pending)?;
            }
            pending.is_synced(log);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Noted before it is done: a write that fails may have been done in part.
        self.unsynced.wrote(offset, offset.saturating_add(data.len() as u64));
        if let Some(logging) = self.logging() {
            let pending = &mut *logging.pending.lock();
            pending.push(offset, data, logging.log.bytes_max());
            if offset < HEADER_END {
                pending.headers.push((offset, data.to_vec()));
                return Ok(());
            }
        }
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        let emptied = self.logging().map_or(Ok(()), |logging| self.empty_log(&logging.log));
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
