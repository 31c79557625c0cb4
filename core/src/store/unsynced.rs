//! What a storage was given since the last sync that succeeded.

use parking_lot::Mutex;
use redb::StorageBackend;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

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

    pub(super) fn set_len(&self, len: u64) {
        self.len.store(len, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, start: u64, end: u64) {
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

    pub(super) fn synced(&self, result: &io::Result<()>) {
        let mut state = self.state.lock();
        if result.is_err() {
            state.suspect = true;
        } else if !state.suspect {
            state.ranges.clear();
        }
    }

    /// Writes what is unsynced once more, as it reads, and syncs.
    pub(super) fn rewrite(&self, backend: &dyn StorageBackend) -> io::Result<()> {
        const BLOCK_BYTES: u64 = 1 << 20;
        let ranges = self.state.lock().ranges.clone();
        let len = backend.len()?;
        backend.set_len(len)?;
        let mut block = Vec::new();
        for (start, end) in ranges {
            let (mut at, end) = (start, end.min(len));
            while at < end {
                let next = end.min(at + BLOCK_BYTES);
                block.resize((next - at) as usize, 0);
                backend.read(at, &mut block)?;
                backend.write(at, &block)?;
                at = next;
            }
        }
        backend.sync_data()?;
        *self.state.lock() = State::default();
        Ok(())
    }
}
