//! Where a store lives, and how its storage is opened.

use crate::error::Result;
use parking_lot::Mutex;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use std::ops::Range;
use std::sync::Arc;

/// After how many bytes a log starts anew, unless a factory says otherwise.
pub(crate) const LOG_BYTES_MAX: u64 = 4 << 20;

/// Where a store lives.
#[non_exhaustive]
pub enum StoreLocation {
    /// In memory, gone with the last clone of the [`Store`](super::Store).
    Memory,
    /// In this file, which is created where it is missing; its folder must be there. While the store is open there is a
    /// log beside it, the same name with `.log`, and after a crash what was written last may be in there alone: the two
    /// belong together until the store was opened and closed again.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    File(std::path::PathBuf),
    /// In what the factory opens; see [`StoreLocation::backend`].
    Backend(Box<dyn BackendFactory>),
}

impl StoreLocation {
    /// A store in a redb backend. `open` is called again after an IO error, once the backend before was dropped. Its
    /// storage cannot be replaced: see [`BackendFactory::fresh`].
    pub fn backend(open: impl Fn() -> Result<Box<dyn StorageBackend>> + Send + Sync + 'static) -> StoreLocation {
        StoreLocation::Backend(Box::new(open))
    }

    pub(super) fn into_factory(self) -> Box<dyn BackendFactory> {
        match self {
            StoreLocation::Memory => Box::new(Memory::default()),
            #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
            StoreLocation::File(path) => Box::new(file::Files::new(path)),
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

/// Opens the storage of a store; any closure that does is one. Like the storage itself it may be used from any thread, in
/// a browser too.
pub trait BackendFactory: Send + Sync {
    /// Opens the storage.
    ///
    /// # Errors
    /// Handed on to the caller of the store, such as [`StoreOpenFailed`](crate::ErrorCode::StoreOpenFailed).
    fn open(&self) -> Result<Box<dyn StorageBackend>>;

    /// Opens the storage to read only, where it cannot be written; `None` where that is not possible. Asked for when
    /// [`open`](BackendFactory::open) gave [`StoreReadOnly`](crate::ErrorCode::StoreReadOnly).
    ///
    /// # Errors
    /// As in [`open`](BackendFactory::open).
    fn open_read_only(&self) -> Result<Option<Box<dyn StorageBackend>>> {
        Ok(None)
    }

    /// Opens a second storage, which is empty and is to take the first one's place; `None` where there can be no second.
    /// What an earlier call left is removed.
    ///
    /// # Errors
    /// As in [`open`](BackendFactory::open).
    fn fresh(&self) -> Result<Option<Box<dyn StorageBackend>>> {
        Ok(None)
    }

    /// Lets the fresh storage take the first one's place, in one step and for good: after a crash one of the two is
    /// found, whole. Both are open meanwhile; the fresh one is what [`open`](BackendFactory::open) opens from then on.
    ///
    /// # Errors
    /// Those of the platform; which of the two is found then must not depend on luck alone: the next `open` and every
    /// later one give the same.
    fn swap(&self) -> Result<()> {
        Err(crate::ErrorCode::StoreCannotReplace.into())
    }

    /// Opens a third, small storage, in which commits are written down in a row: most then wait for a sync of this one
    /// alone, which is faster. Where there is none it is created if `create`; `None` where there is none then. It has to
    /// be found again after a crash, and needs no locks.
    ///
    /// # Errors
    /// As in [`open`](BackendFactory::open), where there may be one that a crash left; one that cannot be created the store
    /// goes on without.
    fn log(&self, _create: bool) -> Result<Option<Box<dyn StorageBackend>>> {
        Ok(None)
    }

    /// After how many bytes the log starts anew; a commit that writes more than a quarter of it goes the slower way. The
    /// storage is synced whenever it starts anew.
    fn log_bytes_max(&self) -> u64 {
        LOG_BYTES_MAX
    }

    /// Sees to it that the storage that is open has room for these of its bytes, so that writing there cannot fail for want
    /// of room from then on, whoever else fills the disk. `false` where the platform cannot promise that: what is written
    /// there then goes to the storage at once and not only to the log, which takes longer. All of the range is within the
    /// storage.
    ///
    /// # Errors
    /// [`StorageFull`](std::io::ErrorKind::StorageFull) where there is no room; others of the platform.
    fn reserve(&self, _range: Range<u64>) -> std::io::Result<bool> {
        Ok(false)
    }

    /// Removes the log, which is empty and closed.
    ///
    /// # Errors
    /// Those of the platform.
    fn remove_log(&self) -> Result<()> {
        Ok(())
    }
}

impl<F: Fn() -> Result<Box<dyn StorageBackend>> + Send + Sync> BackendFactory for F {
    fn open(&self) -> Result<Box<dyn StorageBackend>> {
        self()
    }
}

/// Memory that outlives a reopening.
#[derive(Default)]
struct Memory {
    current: Mutex<Arc<InMemoryBackend>>,
    fresh: Mutex<Option<Arc<InMemoryBackend>>>,
}

impl BackendFactory for Memory {
    fn open(&self) -> Result<Box<dyn StorageBackend>> {
        Ok(Box::new(SharedMemory(self.current.lock().clone())))
    }

    fn fresh(&self) -> Result<Option<Box<dyn StorageBackend>>> {
        let fresh = Arc::new(InMemoryBackend::new());
        *self.fresh.lock() = Some(fresh.clone());
        Ok(Some(Box::new(SharedMemory(fresh))))
    }

    fn swap(&self) -> Result<()> {
        if let Some(fresh) = self.fresh.lock().take() {
            *self.current.lock() = fresh;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SharedMemory(Arc<InMemoryBackend>);

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
    use super::BackendFactory;
    use crate::error::{Error, ErrorCode, Result};
    use parking_lot::Mutex;
    use redb::StorageBackend;
    use room::{allocating_handle, reserve};
    use std::ffi::OsString;
    use std::fs::{File, OpenOptions};
    use std::io::{self, ErrorKind};
    use std::ops::Range;
    use std::path::{Path, PathBuf};

    /// A store's file, and beside it, while the store is copied, the one that will take its place.
    pub(super) struct Files {
        path: PathBuf,
        fresh: PathBuf,
        log: PathBuf,
        /// Handles to have room allocated with: of the store's file, and of the fresh one.
        handles: Mutex<[Option<File>; 2]>,
    }

    impl Files {
        pub(super) fn new(path: PathBuf) -> Self {
            let beside = |ending| {
                let mut name = path.file_name().map(OsString::from).unwrap_or_default();
                name.push(ending);
                path.with_file_name(name)
            };
            Self { fresh: beside(".fresh"), log: beside(".log"), path, handles: Mutex::default() }
        }
    }

    impl BackendFactory for Files {
        fn open(&self) -> Result<Box<dyn StorageBackend>> {
            let file = open(&self.path)?;
            self.handles.lock()[0] = allocating_handle(&file);
            backend(&self.path, file)
        }

        fn open_read_only(&self) -> Result<Option<Box<dyn StorageBackend>>> {
            let file = File::open(&self.path).map_err(|error| open_failed(&self.path, error))?;
            Ok(Some(backend(&self.path, file)?))
        }

        fn fresh(&self) -> Result<Option<Box<dyn StorageBackend>>> {
            match std::fs::remove_file(&self.fresh) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(open_failed(&self.fresh, error)),
                _ => {}
            }
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.fresh);
            let file = file.map_err(|error| open_failed(&self.fresh, error))?;
            self.permit(&self.fresh, &file)?;
            self.handles.lock()[1] = allocating_handle(&file);
            Ok(Some(backend(&self.fresh, file)?))
        }

        fn swap(&self) -> Result<()> {
            let failed = |error| {
                let detail = format!("{} could not be replaced", self.path.display());
                Error::new(ErrorCode::StoreIo, detail).with_source(error)
            };
            std::fs::rename(&self.fresh, &self.path).map_err(failed)?;
            let [handle, fresh] = &mut *self.handles.lock();
            *handle = fresh.take();
            sync_folder(&self.path).map_err(failed)
        }

        fn log(&self, create: bool) -> Result<Option<Box<dyn StorageBackend>>> {
            let failed = |error| open_failed(&self.log, error);
            if std::fs::metadata(&self.log).is_ok_and(|metadata| !metadata.is_file()) {
                return Ok(None);
            }
            let file = match OpenOptions::new().read(true).write(true).open(&self.log) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound && !create => return Ok(None),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.log);
                    let file = file.map_err(failed)?;
                    self.permit(&self.log, &file)?;
                    sync_folder(&self.log).map_err(failed)?;
                    file
                }
                // To be looked at only.
                Err(error) => File::open(&self.log).map_err(|_| failed(error))?,
            };
            Ok(Some(backend(&self.log, file)?))
        }

        fn reserve(&self, range: Range<u64>) -> io::Result<bool> {
            reserve(self.handles.lock()[0].as_ref(), range)
        }

        fn remove_log(&self) -> Result<()> {
            match std::fs::remove_file(&self.log) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(open_failed(&self.log, error)),
                _ => Ok(()),
            }
        }
    }

    impl Files {
        /// Who may read the one may read the other.
        fn permit(&self, path: &Path, file: &File) -> Result<()> {
            match std::fs::metadata(&self.path) {
                Ok(metadata) => file.set_permissions(metadata.permissions()).map_err(|error| open_failed(path, error)),
                Err(_) => Ok(()),
            }
        }
    }

    fn backend(path: &Path, file: File) -> Result<Box<dyn StorageBackend>> {
        let backend = redb::backends::FileBackend::new(file);
        Ok(Box::new(backend.map_err(|error| {
            Error::new(ErrorCode::StoreOpenFailed, format!("{}", path.display())).with_source(error)
        })?))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    mod room {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        use std::fs::File;
        use std::io;
        use std::ops::Range;

        pub(super) fn allocating_handle(file: &File) -> Option<File> {
            file.try_clone().ok()
        }

        /// Has the bytes allocated: a file may have holes.
        pub(super) fn reserve(file: Option<&File>, range: Range<u64>) -> io::Result<bool> {
            let Some(file) = file else { return Ok(false) };
            match fallocate(file, FallocateFlags::KEEP_SIZE, range.start, range.end - range.start) {
                Ok(()) => Ok(true),
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    mod room {
        use std::fs::File;
        use std::io;
        use std::ops::Range;

        pub(super) fn allocating_handle(_file: &File) -> Option<File> {
            None
        }

        /// Windows allocates what a file is long; elsewhere that cannot be had.
        pub(super) fn reserve(_file: Option<&File>, _range: Range<u64>) -> io::Result<bool> {
            Ok(cfg!(windows))
        }
    }

    fn open(path: &Path) -> Result<File> {
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
        Ok(file)
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
