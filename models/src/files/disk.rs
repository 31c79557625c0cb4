//! File operations of the model folder: atomic writes, typed errors.

use crate::platform;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tertulia::{Error, ErrorCode, Result};

const BLOCK_BYTES: usize = 1 << 18;

/// The error for a failed call on `path`.
pub(super) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    move |error| {
        let (code, what) = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (ErrorCode::ModelDiskFull, "disk is full"),
            _ => (ErrorCode::ModelStoreFailed, "file cannot be read or written"),
        };
        Error::new(code, format!("{what}: {}: {error}", path.display())).with_source(error)
    }
}

/// `path` with `suffix` behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(failed(path))
}

/// Removes a file that may be absent.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Removes a folder that may be absent.
pub(super) fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// The size of a file; `None` where there is none.
pub(super) fn file_bytes(path: &Path) -> Result<Option<u64>> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Err(Error::new(ErrorCode::ModelStoreFailed, format!("not a file: {}", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Puts a finished and synced file to its place, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(failed(to))?;
    platform::sync_folder(to).map_err(failed(to))
}

/// Writes a small file of JSON whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_vec_pretty(value).map_err(|error| Error::from(ErrorCode::Internal).with_source(error))?;
    let temporary = with_suffix(path, ".part");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(&json)?;
        file.sync_all()
    });
    written.map_err(failed(&temporary))?;
    rename(&temporary, path)
}

/// Hands a file's bytes, block by block, to `each`.
pub(super) fn read_blocks(path: &Path, each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    each_block(File::open(path).map_err(failed(path))?, failed(path), each)
}

/// Hands all that can be read, block by block, to `each`.
pub(super) fn each_block(
    mut source: impl Read,
    failed: impl FnOnce(std::io::Error) -> Error,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match source.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(len) => each(&block[..len])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// The SHA-256 of a file; `each` gets every block's length and may stop the work.
pub(super) fn hash_file(path: &Path, mut each: impl FnMut(usize) -> Result<()>) -> Result<String> {
    let mut hasher = Sha256::new();
    read_blocks(path, |block| {
        hasher.update(block);
        each(block.len())
    })?;
    Ok(hex(hasher))
}

/// The digest as 64 hexadecimal digits.
pub(super) fn hex(hasher: Sha256) -> String {
    use std::fmt::Write as _;
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
