//! [`FaultyBackend`]: the faulty disk as redb's storage.

use super::{BLOCK_BYTES, Change, FaultyDisk, put};
use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};
use std::io::{self, ErrorKind};
use std::ops::Bound;

/// A [`FaultyDisk`] as redb sees it.
#[derive(Debug)]
pub struct FaultyBackend {
    pub(super) disk: FaultyDisk,
    pub(super) file: usize,
    /// True where this backend holds the disk's lock.
    pub(super) locks: Mutex<bool>,
}

impl StorageBackend for FaultyBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.file].live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let number = state.reads;
        state.reads += 1;
        match state.failing_read {
            Some((at, kind)) if at == number => return Err(kind.into()),
            _ => {}
        }
        let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(state.files[self.file].live.get(start..end).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.operate();
        state.operation()?;
        let len = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        if !state.sparse {
            state.give_room(self.file, 0..len)?;
        }
        let file = &mut state.files[self.file];
        file.live.resize(len, 0);
        file.has_room.resize(len.div_ceil(BLOCK_BYTES), false);
        file.unsynced.push(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.operate();
        let number = state.syncs;
        state.syncs += 1;
        let result = state.operation();
        if state.is_off() {
            return result;
        }
        if result.is_ok() && state.left_out == Some(number) {
            return Ok(());
        }
        let file = &mut state.files[self.file];
        let unsynced = std::mem::take(&mut file.unsynced);
        result?;
        for change in unsynced {
            match change {
                Change::SetLen(len) => file.durable.resize(len, 0),
                Change::Write(offset, data) => put(&mut file.durable, offset, &data),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.operate();
        let result = state.operation();
        let offset = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        if state.off_for() == Some(0) {
            // It may be done in part.
            state.files[self.file].unsynced.push(Change::Write(offset, data.to_vec()));
        }
        result?;
        state.give_room(self.file, offset..offset + data.len())?;
        let file = &mut state.files[self.file];
        put(&mut file.live, offset, data);
        file.unsynced.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.unlock();
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if !matches!((start, end), (Bound::Unbounded | Bound::Included(0), Bound::Unbounded)) {
            return Err(BackendError::Unsupported);
        }
        let mut state = self.disk.0.lock();
        let file = &mut state.files[self.file];
        if file.locked {
            return Ok(false);
        }
        file.locked = true;
        *self.locks.lock() = true;
        Ok(true)
    }

    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        self.unlock();
        Ok(())
    }
}

impl FaultyBackend {
    fn unlock(&self) {
        if std::mem::take(&mut *self.locks.lock()) {
            self.disk.0.lock().files[self.file].locked = false;
        }
    }
}

impl Drop for FaultyBackend {
    fn drop(&mut self) {
        self.unlock();
    }
}
