//! A log beside the storage, so that a commit waits for one write in a row instead of a dozen scattered ones.
//!
//! A commit of redb writes its pages wherever there is room, and then syncs. On a disk each of these places costs about as
//! much as the whole commit in a row. So what was written since the last sync is written in a row, behind what is in the
//! log, and only the log is synced; the storage itself is written when the log is full, and when it is closed. A crash in
//! between leaves in the log what the storage lacks: opening writes it there before redb looks.
//!
//! A record is `[head][where each write goes][what was written, without the zeros at its end]`, padded to whole blocks, so
//! that writing one never touches another. The head names the pass through the log, and its place in it: what is left of an
//! earlier pass is none of this one's. The first record of a pass says which header the storage had: a log that was left
//! beside another storage is not its log, nor one that was left beside a storage that went on without it. Records follow one
//! another without a gap, and what is torn ends them: its sync had not returned.

use crate::error::Result;
use crate::store::db::Fault;
use crate::store::keys::fill_random;
use crate::store::location::BackendFactory;
use parking_lot::Mutex;
use redb::StorageBackend;
use std::borrow::Cow;
use std::io;
use std::sync::Arc;

/// What a record is a multiple of; no disk tears more than this in one place.
const BLOCK_BYTES: u64 = 4096;
/// By how much the log grows at a time. What is there already is overwritten faster than a file grows.
const GROWTH_BYTES: u64 = 1 << 20;
/// Bytes of a log that are looked at, be its limit less by now.
const LOG_BYTES_READ: u64 = 64 << 20;
const MAGIC: [u8; 8] = *b"tertlog1";
const HEAD_LEN: usize = 64;
const RANGE_LEN: usize = 16;

/// What was written since the last sync, in its order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writes<'w> {
    pub(super) ranges: &'w [Range],
    /// What, one after the other.
    pub(super) bytes: &'w [u8],
}

/// Where a write goes and how many bytes it is, of which the first so many are kept: the others are zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) kept: usize,
}

impl Writes<'_> {
    /// How long its record is, but for a header that it builds upon.
    pub(super) fn record_len(&self) -> u64 {
        self.len(0)
    }

    fn head_len(&self, before_len: usize) -> usize {
        HEAD_LEN + self.ranges.len() * RANGE_LEN + before_len
    }

    fn len(&self, before_len: usize) -> u64 {
        ((self.head_len(before_len) + self.bytes.len()) as u64).next_multiple_of(BLOCK_BYTES)
    }
}

/// The log of one store. It outlives its storage, which is opened again after an error.
pub(super) struct Log {
    factory: Arc<dyn BackendFactory>,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<Box<dyn StorageBackend>>,
    /// Whether there can be none.
    is_missing: bool,
    /// Names the pass through the log.
    pass: u64,
    /// Records of this pass.
    records: u32,
    /// Where the next one goes.
    end: u64,
    /// Whether the log may hold a record that must not be found any more once the storage goes on without it.
    is_used: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    pub(super) fn new(factory: Arc<dyn BackendFactory>) -> Self {
        Self { bytes_max: factory.log_bytes_max(), factory, state: Mutex::default() }
    }

    /// How long a record should be at most. One that is longer gains little: most of its time is that of its bytes, which
    /// are written twice.
    pub(super) fn record_bytes_max(&self) -> u64 {
        self.bytes_max / 4
    }

    /// Sees to it that the log's storage has room, as [`BackendFactory::reserve`] does.
    pub(super) fn reserve(&self, range: std::ops::Range<u64>) -> io::Result<bool> {
        self.factory.reserve(range)
    }

    /// Whether it turned out that there can be none.
    pub(super) fn is_missing(&self) -> bool {
        self.state.lock().is_missing
    }

    /// Whether a crash would have to look into it.
    pub(super) fn is_used(&self) -> bool {
        self.state.lock().is_used
    }

    /// Whether these writes find room behind the others of this pass; at its start everything does that is a record.
    pub(super) fn has_room(&self, writes: Writes<'_>) -> bool {
        let state = self.state.lock();
        state.records == 0 || state.end + writes.record_len() <= self.bytes_max
    }

    /// Begins the next pass. To be called when all of the log is durable in the storage, be it that it is found until the
    /// pass has a record: writing it once more does no harm.
    pub(super) fn start_anew(&self) {
        let mut state = self.state.lock();
        (state.records, state.end, state.is_used) = (0, 0, false);
    }

    /// Makes the writes durable, none of which has more than 4 GB, behind those before. `before` is the storage's header
    /// before the first record of a pass; `len` is how long the storage is.
    ///
    /// Where it fails the record may be found later or not; the storage is to be synced next.
    pub(super) fn append(&self, writes: Writes<'_>, before: &[u8], len: u64) -> io::Result<()> {
        let state = &mut *self.state.lock();
        if state.file.is_none() && !state.is_missing {
            state.file = self.open(true).unwrap_or_else(|error| {
                tracing::warn!(code = error.code().number(), "a store goes on without its log");
                None
            });
            state.is_missing = state.file.is_none();
        }
        let Some(file) = &state.file else { return Err(io::ErrorKind::Unsupported.into()) };
        let before = if state.records == 0 { before } else { &[] };
        if state.records == 0 {
            let mut pass = [0; 8];
            fill_random(&mut pass).map_err(io::Error::other)?;
            state.pass = u64::from_le_bytes(pass);
        }
        let mut head = Vec::with_capacity(writes.head_len(before.len()));
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&state.records.to_le_bytes());
        head.extend_from_slice(&state.pass.to_le_bytes());
        head.extend_from_slice(&len.to_le_bytes());
        head.extend_from_slice(&(writes.bytes.len() as u64).to_le_bytes());
        head.extend_from_slice(&(writes.ranges.len() as u32).to_le_bytes());
        head.extend_from_slice(&(before.len() as u32).to_le_bytes());
        head.resize(HEAD_LEN, 0);
        for Range { offset, len, kept } in writes.ranges {
            head.extend_from_slice(&offset.to_le_bytes());
            head.extend_from_slice(&(*len as u32).to_le_bytes());
            head.extend_from_slice(&(*kept as u32).to_le_bytes());
        }
        head.extend_from_slice(before);
        let checksum = checksum(&head, writes.bytes);
        head[8..12].copy_from_slice(&checksum.to_le_bytes());

        state.is_used = true;
        let end = state.end + writes.len(before.len());
        let allocated = file.len()?;
        let to_allocate = end.max(end.next_multiple_of(GROWTH_BYTES).min(self.bytes_max));
        if end > allocated {
            file.set_len(to_allocate)?;
        }
        file.write(state.end, &head)?;
        file.write(state.end + head.len() as u64, writes.bytes)?;
        if end > allocated {
            // Room that was never written is not there yet, as far as the next sync is concerned.
            file.write(end, &vec![0; (to_allocate - end) as usize])?;
        }
        file.sync_data()?;
        state.records += 1;
        state.end = end;
        Ok(())
    }

    /// The same, and nothing of it is found any more.
    pub(super) fn clear(&self) -> io::Result<()> {
        let state = &mut *self.state.lock();
        if let Some(file) = &state.file {
            file.set_len(0)?;
            file.sync_data()?;
        }
        (state.records, state.end, state.is_used) = (0, 0, false);
        Ok(())
    }

    /// Empties it and takes it away. To be called by the storage's owner.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.clear()?;
        let state = &mut *self.state.lock();
        if let Some(file) = state.file.take() {
            file.close()?;
            self.factory.remove_log().map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// The log's storage. What is in the way by its name and no log stays as it is, and there is none.
    fn open(&self, create: bool) -> Result<Option<Box<dyn StorageBackend>>> {
        let Some(file) = self.factory.log(create)? else { return Ok(None) };
        match is_log(&*file) {
            Ok(true) => Ok(Some(file)),
            Ok(false) => {
                tracing::warn!("a file that is no log is in the way of a store's log");
                Ok(None)
            }
            Err(error) => Err(Fault::from(error).into_error()),
        }
    }

    /// Writes to the storage what a crash left in the log, if it is the storage's, and empties it. To be called by the
    /// storage's owner, before anybody looks at it. What is cut off goes on the next time.
    pub(super) fn recover(&self, storage: &dyn StorageBackend) -> io::Result<()> {
        if self.is_left()? {
            let bytes = self.read()?;
            let records = Record::all(&bytes);
            if is_log_of(&records, storage)? {
                write_all(&records, storage)?;
            } else if !records.is_empty() {
                tracing::warn!("a log that belongs to another store was left beside this one, and is ignored");
            }
        }
        self.clear()
    }

    /// Whether a crash left something.
    pub(super) fn is_left(&self) -> io::Result<bool> {
        let state = &mut *self.state.lock();
        state.file = self.open(false).map_err(io::Error::other)?;
        let is_left = state.file.as_ref().map_or(Ok(0), |file| file.len())? > 0;
        (state.records, state.end, state.is_used) = (0, 0, is_left);
        Ok(is_left)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        let Some(file) = &state.file else { return Ok(Vec::new()) };
        let mut bytes = vec![0; file.len()?.min(self.bytes_max.max(LOG_BYTES_READ)) as usize];
        file.read(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// Whether it is empty, or begins as a log does. Room that was not written yet is zero.
fn is_log(file: &dyn StorageBackend) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    if file.len()? < start.len() as u64 {
        return Ok(file.len()? == 0);
    }
    file.read(0, &mut start)?;
    Ok(start == MAGIC || start == [0; MAGIC.len()])
}

/// Whether the storage is as it was at some time of this log.
fn is_log_of(records: &[Record<'_>], storage: &dyn StorageBackend) -> io::Result<bool> {
    let Some(first) = records.first() else { return Ok(false) };
    let headers = records.iter().flat_map(|record| &record.writes).filter(|write| write.offset == 0);
    let len = storage.len()?;
    for header in headers.map(Write::whole).chain([first.before.into()]) {
        let mut found = vec![0; header.len()];
        if (1..=len).contains(&(header.len() as u64)) {
            storage.read(0, &mut found)?;
            if found == *header {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn write_all(records: &[Record<'_>], storage: &dyn StorageBackend) -> io::Result<()> {
    let Some(last) = records.last() else { return Ok(()) };
    let writes = || records.iter().flat_map(|record| &record.writes);
    let end = writes().map(|write| write.offset + write.len as u64).max().unwrap_or(0);
    if storage.len()? < end.max(last.storage_len) {
        storage.set_len(end.max(last.storage_len))?;
    }
    for write in writes() {
        storage.write(write.offset, &write.whole())?;
    }
    if storage.len()? != last.storage_len {
        storage.set_len(last.storage_len)?;
    }
    storage.sync_data()
}

/// What goes where, with how many bytes: those that are not there are zero.
struct Write<'b> {
    offset: u64,
    data: &'b [u8],
    len: usize,
}

impl<'b> Write<'b> {
    fn whole(&self) -> Cow<'b, [u8]> {
        padded(self.data, self.len)
    }
}

/// The data with zeros behind, up to this length.
pub(super) fn padded(data: &[u8], len: usize) -> Cow<'_, [u8]> {
    let mut whole = Cow::Borrowed(data);
    if data.len() < len {
        whole.to_mut().resize(len, 0);
    }
    whole
}

/// A record that is whole.
struct Record<'b> {
    storage_len: u64,
    before: &'b [u8],
    writes: Vec<Write<'b>>,
}

impl<'b> Record<'b> {
    /// The records of the log's last pass.
    fn all(mut log: &'b [u8]) -> Vec<Record<'b>> {
        let mut records = Vec::new();
        let mut pass = None;
        while let Some((record, of_pass, len)) = Record::first(log, records.len() as u32)
            && pass.is_none_or(|pass| pass == of_pass)
        {
            pass = Some(of_pass);
            records.push(record);
            log = log.get(len..).unwrap_or_default();
        }
        records
    }

    /// The record at the start, its pass and its length.
    fn first(log: &'b [u8], number: u32) -> Option<(Record<'b>, u64, usize)> {
        let head = log.get(..HEAD_LEN)?;
        let u32_at = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        if head[..8] != MAGIC || u32_at(12) != number {
            return None;
        }
        let (pass, storage_len) = (u64_at(16), u64_at(24));
        let bytes_len = usize::try_from(u64_at(32)).ok()?;
        let (ranges, before_len) = (u32_at(40) as usize, u32_at(44) as usize);
        let ranges_end = HEAD_LEN.checked_add(ranges.checked_mul(RANGE_LEN)?)?;
        let head_end = ranges_end.checked_add(before_len)?;
        let end = head_end.checked_add(bytes_len)?;
        let (head, mut bytes) = (log.get(..head_end)?, log.get(head_end..end)?);
        let mut sealed = head.to_vec();
        sealed[8..12].fill(0);
        if checksum(&sealed, bytes) != u32_at(8) {
            return None;
        }
        let mut writes = Vec::with_capacity(ranges);
        for range in head[HEAD_LEN..ranges_end].chunks_exact(RANGE_LEN) {
            let offset = u64::from_le_bytes(range[..8].try_into().expect("eight bytes"));
            let [len, kept] = [8, 12].map(|at| u32::from_le_bytes(range[at..at + 4].try_into().expect("four bytes")));
            let data;
            (data, bytes) = bytes.split_at_checked(kept as usize)?;
            writes.push(Write { offset, data, len: len.max(kept) as usize });
        }
        let len = end.next_multiple_of(BLOCK_BYTES as usize);
        Some((Record { storage_len, before: &head[ranges_end..], writes }, pass, len))
    }
}

fn checksum(head: &[u8], bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(bytes);
    hasher.finalize()
}
