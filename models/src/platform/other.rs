//! Systems without memory maps, such as WebAssembly in a browser.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The bytes of a whole file, read into memory.
pub(crate) struct FileBytes(Vec<u8>);

impl FileBytes {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        std::fs::read(path).map(Self)
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// There is no cache folder.
pub(crate) fn cache_folder(_variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    None
}

/// Folders cannot be synced here.
pub(crate) fn sync_folder(_file: &Path) -> std::io::Result<()> {
    Ok(())
}
