//! Files mapped into memory.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ops::Deref;
use std::path::Path;

/// The bytes of a whole file.
pub(crate) enum FileBytes {
    /// An empty file cannot be mapped.
    Empty,
    Mapped(memmap2::Mmap),
}

impl FileBytes {
    /// Maps a file, which must not be changed while it is open.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "not a file"));
        }
        if metadata.len() == 0 {
            return Ok(Self::Empty);
        }
        #[allow(unsafe_code, reason = "a memory map")]
        // SAFETY: the map is read only and lives as long as the bytes are borrowed. Model files are put in place
        // by an atomic rename and never written afterwards; the caller sees to it that
        // none is changed in use.
        unsafe { memmap2::Mmap::map(&file) }.map(Self::Mapped)
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Mapped(map) => map,
        }
    }
}
