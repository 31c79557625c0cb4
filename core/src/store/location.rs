//! Where a store lives, and how its storage is opened.

use crate::backend::{MaybeSend, MaybeSync};
use crate::error::Result;
use redb::StorageBackend;

/// Where a store lives.
#[non_exhaustive]
pub enum StoreLocation {
    /// In memory, gone with the last clone of the [`Store`](super::Store).
    Memory,
    /// In this file, which is created where it is missing; its folder must be there.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    File(std::path::PathBuf),
    /// In what the factory opens; see [`StoreLocation::backend`].
    Backend(Box<dyn BackendFactory>),
}

impl StoreLocation {
    /// A store in a redb backend. `open` is called again after an IO error, once the backend before was dropped.
    pub fn backend(
        open: impl Fn() -> Result<Box<dyn StorageBackend>> + MaybeSend + MaybeSync + 'static,
    ) -> StoreLocation {
        StoreLocation::Backend(Box::new(open))
    }

    pub(super) fn into_factory(self) -> Box<dyn BackendFactory> {
        match self {
            StoreLocation::Memory => memory(),
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            StoreLocation::File(path) => Box::new(move || file::open(&path)),
            StoreLocation::Backend(factory) => factory,
        }
    }
}

impl std::fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreLocation::Memory => f.write_str("Memory"),
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            StoreLocation::File(path) => f.debug_tuple("File").field(path).finish(),
            StoreLocation::Backend(_) => f.write_str("Backend"),
        }
    }
}

/// Opens the storage of a store; any closure that does is one.
pub trait BackendFactory: MaybeSend + MaybeSync {
    /// Opens the storage.
    ///
    /// # Errors
    /// Handed on to the caller of the store, such as [`StoreOpenFailed`](crate::ErrorCode::StoreOpenFailed).
    fn open(&self) -> Result<Box<dyn StorageBackend>>;
}

impl<F: Fn() -> Result<Box<dyn StorageBackend>> + MaybeSend + MaybeSync> BackendFactory for F {
    fn open(&self) -> Result<Box<dyn StorageBackend>> {
        self()
    }
}

/// Memory that outlives a reopening.
fn memory() -> Box<dyn BackendFactory> {
    let memory = std::sync::Arc::new(redb::backends::InMemoryBackend::new());
    Box::new(move || -> Result<Box<dyn StorageBackend>> { Ok(Box::new(SharedMemory(memory.clone()))) })
}

#[derive(Debug)]
struct SharedMemory(std::sync::Arc<redb::backends::InMemoryBackend>);

impl StorageBackend for SharedMemory {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod file {
    use crate::error::{Error, ErrorCode, Result};
    use redb::StorageBackend;
    use std::fs::{File, OpenOptions};
    use std::io::{self, ErrorKind};
    use std::path::Path;

    pub(super) fn open(path: &Path) -> Result<Box<dyn StorageBackend>> {
        let at = || format!("{}", path.display());
        // Looked at before opening: a named pipe would block, a directory is an error of its own.
        let is_new = match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Error::new(ErrorCode::StoreNotAStore, format!("{} is not a file", at())));
            }
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(open_failed(path, error)),
        };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if File::open(path).is_ok() => {
                Error::new(ErrorCode::StoreReadOnly, format!("{} cannot be written", at())).with_source(error)
            }
            _ => open_failed(path, error),
        })?;
        if is_new {
            sync_folder(path).map_err(|error| open_failed(path, error))?;
        }
        let backend = redb::backends::FileBackend::new(file)
            .map_err(|error| Error::new(ErrorCode::StoreOpenFailed, at()).with_source(error))?;
        Ok(Box::new(backend))
    }

    /// Makes the file's name durable: syncing a new file does not see to that everywhere.
    #[cfg(unix)]
    fn sync_folder(path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match File::open(folder)?.sync_all() {
            // Some file systems cannot sync a folder, and need not.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            result => result,
        }
    }

    #[cfg(not(unix))]
    fn sync_folder(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open_failed(path: &Path, error: io::Error) -> Error {
        let code = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::StoreFull,
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => ErrorCode::StoreNotAStore,
            _ => ErrorCode::StoreOpenFailed,
        };
        Error::new(code, format!("{} cannot be opened", path.display())).with_source(error)
    }
}
