//! A faulty disk in memory: it gets full, fails, loses unsynced writes with its power, and flips bits.
//!
//! ```
//! use tertulia::store::Store;
//! use tertulia::testing::fault::FaultyDisk;
//! let disk = FaultyDisk::new();
//! let store = Store::open(disk.location(), 0).unwrap();
//! disk.fail_operation(0, std::io::ErrorKind::Other);
//! // ... the next write fails, and the one after it does not.
//! drop(store);
//! let after_power_loss = disk.crashed(7);
//! Store::open(after_power_loss.location(), 0).unwrap();
//! ```

mod backend;

use crate::error::{Error, ErrorCode, Result};
use crate::store::{BackendFactory, StoreLocation};
pub use backend::FaultyBackend;
use parking_lot::{Mutex, MutexGuard};
use redb::StorageBackend;
use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that are written atomically.
const SECTOR_BYTES: usize = 512;
/// Bytes of the blocks in which a file takes room.
const BLOCK_BYTES: usize = 4096;

/// The disk. Clones are the same disk; it outlives the stores that are opened on it.
#[derive(Clone)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Every file there ever was: the store's, and the copies.
    files: Vec<File>,
    /// The file under the store's name.
    named: usize,
    /// The file under it after a power loss.
    named_durably: usize,
    /// The copy that is to replace it.
    fresh: Option<usize>,
    capacity: Option<u64>,
    /// True where a file takes room only as it is written.
    sparse: bool,
    operations: u64,
    failing: Option<Failing>,
    syncs: u64,
    /// The sync that does nothing.
    left_out: Option<u64>,
    reads: u64,
    failing_read: Option<(u64, ErrorKind)>,
    /// The duration of each operation.
    pace: Duration,
    /// True where it can only be read.
    protected: bool,
}

#[derive(Clone, Default)]
struct File {
    /// The bytes that a reader gets.
    live: Vec<u8>,
    /// The bytes that survive a power loss for certain.
    durable: Vec<u8>,
    /// The changes since the last sync, which may survive or not.
    unsynced: Vec<Change>,
    /// Blocks that take room on the disk; the others are holes.
    has_room: Vec<bool>,
    locked: bool,
}

impl File {
    /// A file with these bytes, all of them written.
    fn of(bytes: Vec<u8>) -> File {
        let has_room = vec![true; bytes.len().div_ceil(BLOCK_BYTES)];
        File { live: bytes.clone(), durable: bytes, has_room, ..File::default() }
    }

    fn bytes_used(&self) -> u64 {
        self.has_room.iter().filter(|has_room| **has_room).count() as u64 * BLOCK_BYTES as u64
    }
}

#[derive(Clone)]
enum Change {
    SetLen(usize),
    Write(usize, Vec<u8>),
}

#[derive(Clone, Copy)]
struct Failing {
    at: u64,
    kind: ErrorKind,
    then: Then,
}

/// The operations after one that fails.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Work,
    Fail,
    /// They fail, and the failed one may be done in part: the power is off.
    Off,
}

impl FaultyDisk {
    /// An empty disk that works.
    pub fn new() -> FaultyDisk {
        FaultyDisk::default()
    }

    /// An empty disk on which a file takes room as it is written (APFS, ext4), not as it gets longer (NTFS).
    pub fn sparse() -> FaultyDisk {
        let disk = FaultyDisk::new();
        disk.0.lock().sparse = true;
        disk
    }

    /// A working disk with these bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> FaultyDisk {
        FaultyDisk(Arc::new(Mutex::new(State { files: vec![File::of(bytes)], ..State::default() })))
    }

    /// Where to open a store on this disk. A second one at the same time is refused as locked.
    pub fn location(&self) -> StoreLocation {
        StoreLocation::Backend(Box::new(self.clone()))
    }

    /// The disk as a backend of redb.
    pub fn backend(&self) -> FaultyBackend {
        self.backend_of(self.0.lock().named)
    }

    fn backend_of(&self, file: usize) -> FaultyBackend {
        FaultyBackend { disk: self.clone(), file, locks: Mutex::new(false) }
    }

    /// The bytes of the store's file.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().store().live.clone()
    }

    /// The length of the store's file.
    pub fn len(&self) -> u64 {
        self.0.lock().store().live.len() as u64
    }

    /// The room that all files take, in bytes.
    pub fn bytes_used(&self) -> u64 {
        self.0.lock().files.iter().map(File::bytes_used).sum()
    }

    /// True where it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets the disk hold this many [used](FaultyDisk::bytes_used) bytes at most; `None` frees it. What needs more fails
    /// with [`ErrorKind::StorageFull`].
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Lets the `nth` operation from now on fail, 0 being the next; those after it work again. Operations are
    /// writes, changes of the length, syncs, and the two steps in which another file replaces the store's. A failed
    /// sync forgets what it should have made durable, as an operating system does.
    pub fn fail_operation(&self, nth: u64, kind: ErrorKind) {
        self.fail(nth, kind, Then::Work);
    }

    /// Lets every operation from the `nth` on fail until [`FaultyDisk::recover`].
    pub fn fail_from_operation(&self, nth: u64, kind: ErrorKind) {
        self.fail(nth, kind, Then::Fail);
    }

    /// Makes the disk read-only.
    pub fn protect(&self) {
        self.0.lock().protected = true;
    }

    /// Loses power at the `nth` operation from now on: it and all after it fail. [`FaultyDisk::crashed`] decides which
    /// unsynced writes reached the disk.
    pub fn lose_power(&self, nth: u64) {
        self.fail(nth, ErrorKind::ConnectionAborted, Then::Off);
    }

    fn fail(&self, nth: u64, kind: ErrorKind, then: Then) {
        let mut state = self.0.lock();
        state.failing = Some(Failing { at: state.operations + nth, kind, then });
    }

    /// True after the power was lost.
    pub fn has_lost_power(&self) -> bool {
        self.0.lock().is_off()
    }

    /// Lets the `nth` read from now on fail, 0 being the next. Reads are no operations.
    pub fn fail_read(&self, nth: u64, kind: ErrorKind) {
        let mut state = self.0.lock();
        state.failing_read = Some((state.reads + nth, kind));
    }

    /// Lets the `nth` sync from now on, 0 being the next, do nothing and succeed, so that a test can prove that it would
    /// notice a missing sync.
    pub fn leave_out_sync(&self, nth: u64) {
        let mut state = self.0.lock();
        state.left_out = Some(state.syncs + nth);
    }

    /// Slows every operation down.
    pub fn slow_down(&self, per_operation: Duration) {
        self.0.lock().pace = per_operation;
    }

    /// Ends every fault but a loss of power.
    pub fn recover(&self) {
        let mut state = self.0.lock();
        state.failing.take_if(|failing| failing.then != Then::Off);
        (state.capacity, state.left_out, state.failing_read, state.pace) = (None, None, None, Duration::ZERO);
    }

    /// The number of operations so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// The number of reads so far.
    pub fn reads(&self) -> u64 {
        self.0.lock().reads
    }

    /// The disk, for an operation that begins now.
    fn operate(&self) -> MutexGuard<'_, State> {
        let pace = self.0.lock().pace;
        if !pace.is_zero() {
            std::thread::sleep(pace);
        }
        self.0.lock()
    }

    /// Flips one bit of the store's file.
    pub fn flip_bit(&self, byte: usize, bit: u8) {
        let mut state = self.0.lock();
        let named = state.named;
        let file = &mut state.files[named];
        file.live[byte] ^= 1 << (bit % 8);
        file.durable.clone_from(&file.live);
    }

    /// The disk after a kill of the process at this moment, with all that was written.
    pub fn killed(&self) -> FaultyDisk {
        FaultyDisk::from_bytes(self.bytes())
    }

    /// The disk after a power loss at this moment: of unsynced writes, any sector may have reached the disk or not. `seed`
    /// decides which; 0 loses all.
    pub fn crashed(&self, seed: u64) -> FaultyDisk {
        let state = self.0.lock();
        let mut random = Random(seed);
        // Until a swap was synced, the name may be of either file.
        let named = if seed != 0 && random.next().is_multiple_of(2) { state.named } else { state.named_durably };
        // Some crashes lose nearly everything, others nearly nothing.
        let keep_of_8 = if seed == 0 { 0 } else { random.next() % 9 };
        let file = &state.files[named];
        let mut bytes = file.durable.clone();
        for change in &file.unsynced {
            match change {
                Change::SetLen(len) if random.next() % 8 < keep_of_8 => bytes.resize(*len, 0),
                Change::SetLen(_) => {}
                Change::Write(offset, data) => {
                    for (start, sector) in sectors(*offset, data) {
                        if random.next() % 8 < keep_of_8 {
                            put(&mut bytes, start, sector);
                        }
                    }
                }
            }
        }
        FaultyDisk::from_bytes(bytes)
    }
}

impl Default for FaultyDisk {
    fn default() -> FaultyDisk {
        FaultyDisk::from_bytes(Vec::new())
    }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

impl BackendFactory for FaultyDisk {
    fn open(&self) -> Result<Arc<dyn StorageBackend>> {
        if self.0.lock().protected {
            return Err(ErrorCode::StoreReadOnly.into());
        }
        Ok(Arc::new(self.backend()))
    }

    fn open_read_only(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        Ok(Some(Arc::new(self.backend())))
    }

    fn fresh(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        let mut state = self.0.lock();
        state.files.push(File::default());
        let file = state.files.len() - 1;
        state.fresh = Some(file);
        Ok(Some(Arc::new(self.backend_of(file))))
    }

    fn swap(&self) -> Result<()> {
        let mut state = self.0.lock();
        let failed = |error: io::Error| Error::new(ErrorCode::StoreIo, "the file was not replaced").with_source(error);
        state.operation().map_err(failed)?;
        if let Some(fresh) = state.fresh.take() {
            let old = std::mem::replace(&mut state.named, fresh);
            // Gone, unless power is lost before the name is synced.
            (state.files[old].live, state.files[old].has_room) = (Vec::new(), Vec::new());
        }
        state.operation().map_err(failed)?;
        state.named_durably = state.named;
        Ok(())
    }
}

impl State {
    fn store(&self) -> &File {
        &self.files[self.named]
    }

    fn operation(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if self.protected {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        match self.failing {
            Some(failing) if number == failing.at || (failing.then != Then::Work && number > failing.at) => {
                Err(failing.kind.into())
            }
            _ => Ok(()),
        }
    }

    /// How many operations ago the power was lost.
    fn off_for(&self) -> Option<u64> {
        self.operations.checked_sub(self.failing.filter(|failing| failing.then == Then::Off)?.at + 1)
    }

    fn is_off(&self) -> bool {
        self.off_for().is_some()
    }

    /// Gives these bytes of a file room, if there is any left.
    fn give_room(&mut self, file: usize, range: Range<usize>) -> io::Result<()> {
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        let used: u64 = self.files.iter().map(File::bytes_used).sum();
        let has_room = &mut self.files[file].has_room;
        if has_room.len() < blocks.end {
            has_room.resize(blocks.end, false);
        }
        let wanted = has_room[blocks.clone()].iter().filter(|has_room| !**has_room).count() * BLOCK_BYTES;
        if wanted > 0 && self.capacity.is_some_and(|capacity| used + wanted as u64 > capacity) {
            return Err(ErrorKind::StorageFull.into());
        }
        has_room[blocks].fill(true);
        Ok(())
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

/// The pieces of a write that fall into one sector each.
fn sectors(offset: usize, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = offset + at;
        let len = (SECTOR_BYTES - start % SECTOR_BYTES).min(data.len() - at);
        let sector = &data[at..at + len];
        at += len;
        (len > 0).then_some((start, sector))
    })
}

/// SplitMix64: what a seed decides is the same on every platform.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
