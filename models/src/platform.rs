//! Differences between operating systems.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tertulia::{Error, ErrorCode, Result};

#[cfg(feature = "download")]
pub(crate) const PYTHON_COMMANDS: &[&str] = if cfg!(windows) { &["py", "python"] } else { &["python3", "python"] };
#[cfg(feature = "download")]
pub(crate) const NPM_COMMANDS: &[&str] = if cfg!(windows) { &["npm.cmd"] } else { &["npm"] };

/// The bytes of a file: mapped into memory, read where there are no memory maps, as in a browser, or the host's.
pub(crate) enum FileBytes {
    Mapped(memmap2::Mmap),
    Read(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl FileBytes {
    /// Opens a file, which must not be changed while it is open.
    ///
    /// # Errors
    /// [`ErrorCode::ModelMissing`]; [`ErrorCode::ModelLoadFailed`] where it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::map(path).map_err(|error| {
            let (code, what) = match error.kind() {
                ErrorKind::NotFound => (ErrorCode::ModelMissing, "model file is missing"),
                _ => (ErrorCode::ModelLoadFailed, "model file cannot be read"),
            };
            Error::new(code, format!("{what}: {}", path.display())).with_source(error)
        })
    }

    fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a file"));
        }
        // An empty file cannot be mapped.
        if metadata.len() == 0 || cfg!(not(any(unix, windows))) {
            return std::fs::read(path).map(Self::Read);
        }
        #[allow(unsafe_code, reason = "a memory map")]
        // SAFETY: the map is read only and lives as long as the bytes are borrowed. Model files are put in place
        // by an atomic rename and never written afterwards; the caller sees to it that
        // none is changed in use.
        unsafe { memmap2::Mmap::map(&file) }.map(Self::Mapped)
    }
}

#[cfg(feature = "chat")]
impl FileBytes {
    /// Lets the pages of a range leave memory; where they are needed after all, they are read from the file again.
    pub(crate) fn release(&self, range: std::ops::Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self {
            #[allow(unsafe_code, reason = "a memory map")]
            // SAFETY: the map is read only: its pages hold what the file holds, whenever they are read.
            let advised =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
            // Pages that stay in memory take room, and do no other harm.
            advised.unwrap_or_default();
        }
        #[cfg(not(unix))]
        drop(range);
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for FileBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// The user's cache folder, from the environment.
pub(crate) fn cache_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if cfg!(windows) {
        return variable("LOCALAPPDATA").map(PathBuf::from);
    }
    let folder = if cfg!(target_vendor = "apple") { "Library/Caches" } else { ".cache" };
    Some(Path::new(&variable("HOME")?).join(folder))
}

/// Makes the renaming of a file durable, where folders can be synced.
pub(crate) fn sync_folder(file: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
