//! A store in a file: opening it, and swapping in a copy. In a browser, which has no files, opening fails.

use crate::error::{Error, ErrorCode, Result};
use crate::store::location::BackendFactory;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first bytes of the write-ahead log that unreleased versions kept beside the file.
const LOG_MAGIC: [u8; 8] = *b"tertlog1";

/// The store's file, and beside it, while the store is copied, the copy.
pub(super) struct Files {
    path: PathBuf,
    fresh: PathBuf,
}

impl Files {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { fresh: beside(&path, ".fresh"), path }
    }

    /// Such a log holds acknowledged commits that the file may lack.
    fn refuse_log(&self) -> Result<()> {
        let mut start = [0; LOG_MAGIC.len()];
        let log = beside(&self.path, ".log");
        match File::open(&log).and_then(|mut log| log.read_exact(&mut start)) {
            Ok(()) if start == LOG_MAGIC => Err(Error::new(ErrorCode::StoreHasLog, log.display().to_string())),
            _ => Ok(()),
        }
    }
}

impl BackendFactory for Files {
    fn open(&self) -> Result<Arc<dyn StorageBackend>> {
        self.refuse_log()?;
        backend(&self.path, open(&self.path)?)
    }

    fn open_read_only(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        self.refuse_log()?;
        let file = File::open(&self.path).map_err(|error| open_failed(&self.path, error))?;
        Ok(Some(backend(&self.path, file)?))
    }

    fn fresh(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        let failed = |error| open_failed(&self.fresh, error);
        match std::fs::remove_file(&self.fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.fresh).map_err(failed)?;
        if let Ok(metadata) = std::fs::metadata(&self.path) {
            file.set_permissions(metadata.permissions()).map_err(failed)?;
        }
        Ok(Some(backend(&self.fresh, file)?))
    }

    fn swap(&self) -> Result<()> {
        std::fs::rename(&self.fresh, &self.path).and_then(|()| sync_folder(&self.path)).map_err(|error| {
            let detail = format!("{} could not be replaced by its copy", self.path.display());
            Error::new(ErrorCode::StoreIo, detail).with_source(error)
        })
    }

    fn discard(&self) {
        match std::fs::remove_file(&self.fresh) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                tracing::warn!(%error, "an unfinished copy of the store could not be removed");
            }
            _ => {}
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn backend(path: &Path, file: File) -> Result<Arc<dyn StorageBackend>> {
    let backend = FileBackend::new(file)
        .map_err(|error| Error::new(ErrorCode::StoreOpenFailed, path.display().to_string()).with_source(error))?;
    Ok(Arc::new(backend))
}

fn open(path: &Path) -> Result<File> {
    // Before opening: a named pipe would block, and a directory is an error of its own.
    let is_new = match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(Error::new(ErrorCode::StoreNotAStore, format!("{} is not a file", path.display())));
        }
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(open_failed(path, error)),
    };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if File::open(path).is_ok() => {
            Error::new(ErrorCode::StoreReadOnly, format!("{} cannot be written", path.display())).with_source(error)
        }
        _ => open_failed(path, error),
    })?;
    if is_new {
        sync_folder(path).map_err(|error| open_failed(path, error))?;
    }
    Ok(file)
}

/// Makes the file's name durable, which syncing the file does not do on every Unix.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder)?.sync_all() {
        // Some file systems cannot sync a folder, and need not.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

fn open_failed(path: &Path, error: io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::StoreFull,
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => ErrorCode::StoreNotAStore,
        _ => ErrorCode::StoreOpenFailed,
    };
    Error::new(code, format!("{} cannot be opened", path.display())).with_source(error)
}
