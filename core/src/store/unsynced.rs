//! The storage that redb writes to, with a record of what was written since the last sync that succeeded.
//!
//! redb cannot know that an operating system forgets pages whose sync failed: after a failure they are written again.

use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The ranges written since the last good sync. It outlives the storage, so that the next one can rewrite them.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    state: Mutex<State>,
    /// The length of the storage in bytes.
    len: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    ranges: Vec<(u64, u64)>,
    /// True after a failed sync. Until the ranges are rewritten, a good sync proves nothing about them.
    suspect: bool,
}

/// How many ranges are kept before they are merged into one.
const RANGES_MAX: usize = 4096;

impl Unsynced {
    /// True where a sync failed and its ranges were not rewritten since.
    pub(super) fn is_suspect(&self) -> bool {
        self.state.lock().suspect
    }

    /// The length of the storage in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    fn add(&self, start: u64, end: u64) {
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

    fn mark_synced(&self, result: &io::Result<()>) {
        let mut state = self.state.lock();
        if result.is_err() {
            state.suspect = true;
        } else if !state.suspect {
            state.ranges.clear();
        }
    }
}

/// A storage backend by value, as redb takes it. The locks that wait are missing: only storage with several writers needs
/// them.
#[derive(Debug)]
pub(super) struct Storage {
    backend: Arc<dyn StorageBackend>,
    unsynced: Arc<Unsynced>,
}

impl Storage {
    pub(super) fn new(backend: Arc<dyn StorageBackend>, unsynced: Arc<Unsynced>) -> Self {
        Self { backend, unsynced }
    }

    /// Writes the unsynced ranges again, as they read, and syncs.
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
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)?;
        self.unsynced.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.backend.sync_data();
        self.unsynced.mark_synced(&result);
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Recorded first: a write that fails may have been done in part.
        self.unsynced.add(offset, offset.saturating_add(data.len() as u64));
        self.backend.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
