//! [`Part`]: the growing file that a fetcher fills.

use super::disk;
use super::progress::Phase;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tertulia::backend::CancelFlag;
use tertulia::{Error, ErrorCode, Result};

/// A file on its way: what arrived before is kept, what arrives now is written, hashed and counted.
pub struct Part<'a> {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    len: u64,
    bytes: u64,
    scratch: &'a Path,
    report: Report<'a>,
    cancel: &'a CancelFlag,
}

/// Told of a phase, the bytes done and the bytes to do.
pub(super) type Report<'a> = &'a mut (dyn FnMut(Phase, u64, u64) + 'a);

impl<'a> Part<'a> {
    /// Opens or makes the file. What is in it is hashed; where that is longer than `bytes`, it goes.
    pub(super) fn open(
        path: PathBuf,
        bytes: u64,
        scratch: &'a Path,
        report: Report<'a>,
        cancel: &'a CancelFlag,
    ) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(disk::failed(&path))?;
        let len = file.metadata().map_err(disk::failed(&path))?.len();
        let mut part = Self { path, file, hasher: Sha256::new(), len, bytes, scratch, report, cancel };
        if len > bytes {
            part.restart()?;
        } else if len > 0 {
            part.hash_what_is_there()?;
        }
        Ok(part)
    }

    /// Bytes that are there: where a resumed download goes on.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True if nothing is there.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the whole file.
    pub fn expected_len(&self) -> u64 {
        self.bytes
    }

    /// A folder for whatever a fetcher needs beside the file. It stays until the model is in its place, so that a
    /// later pull and the model's other files find what is in it.
    pub fn scratch_folder(&self) -> &Path {
        self.scratch
    }

    /// Throws away what is there, for a source that cannot go on in the middle.
    ///
    /// # Errors
    /// [`ErrorCode::ModelStoreFailed`].
    pub fn restart(&mut self) -> Result<()> {
        if self.len > 0 {
            self.file.set_len(0).map_err(disk::failed(&self.path))?;
            self.file.seek(SeekFrom::Start(0)).map_err(disk::failed(&self.path))?;
        }
        self.hasher = Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; [`ErrorCode::ModelCorrupt`] where the file becomes longer than it should be;
    /// [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`]. A fetcher hands each on as it is.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.cancel.check()?;
        if bytes.len() as u64 > self.bytes - self.len {
            return Err(Error::new(ErrorCode::ModelCorrupt, "source gives more bytes than the file has"));
        }
        self.file.write_all(bytes).map_err(disk::failed(&self.path))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Tells the host how far a phase is, and looks whether the pull was cancelled; to be called every 50 ms or so.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`].
    pub fn report(&mut self, phase: Phase, done_bytes: u64) -> Result<()> {
        self.cancel.check()?;
        (self.report)(phase, done_bytes, self.bytes);
        Ok(())
    }

    /// The hash of the whole file, which is on disk when this returns.
    pub(super) fn finish(self) -> Result<String> {
        self.file.sync_all().map_err(disk::failed(&self.path))?;
        Ok(disk::hex(self.hasher))
    }

    fn hash_what_is_there(&mut self) -> Result<()> {
        let mut done = 0;
        disk::read_blocks(&self.path, |block| {
            self.hasher.update(block);
            done += block.len() as u64;
            self.cancel.check()?;
            (self.report)(Phase::Verifying, done, self.bytes);
            Ok(())
        })?;
        self.len = done;
        self.file.seek(SeekFrom::Start(done)).map_err(disk::failed(&self.path))?;
        Ok(())
    }
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes of {}", self.len, self.bytes, self.path.display())
    }
}
