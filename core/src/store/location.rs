//! The location of a store, and the factory that opens its storage.

use crate::error::Result;
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};
use crate::store::file::Files;
use parking_lot::Mutex;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a store lives.
#[non_exhaustive]
pub enum StoreLocation {
    /// In memory, gone with the last clone of the [`Store`](super::Store).
    Memory,
    /// In this file, which is created where it is missing; its folder must be there. Not in a browser, where opening is
    /// [`StoreOpenFailed`](crate::ErrorCode::StoreOpenFailed).
    File(PathBuf),
    /// In what the factory opens; see [`StoreLocation::backend`].
    Backend(Box<dyn BackendFactory>),
}

impl StoreLocation {
    /// A store in a redb backend. `open` is called again after an IO error, once the backend before was dropped. Its
    /// storage cannot be replaced: see [`BackendFactory::fresh`].
    pub fn backend(
        open: impl Fn() -> Result<Arc<dyn StorageBackend>> + MaybeSend + MaybeSync + 'static,
    ) -> StoreLocation {
        StoreLocation::Backend(Box::new(open))
    }

    /// Waits until the storage can be opened.
    pub(crate) async fn prepare(&self) -> Result<()> {
        match self {
            StoreLocation::Backend(factory) => factory.prepare().await,
            _ => Ok(()),
        }
    }

    pub(super) fn into_factory(self) -> Box<dyn BackendFactory> {
        match self {
            StoreLocation::Memory => Box::new(Memory::default()),
            StoreLocation::File(path) => Box::new(Files::new(path)),
            StoreLocation::Backend(factory) => factory,
        }
    }
}

impl std::fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreLocation::Memory => f.write_str("Memory"),
            StoreLocation::File(path) => f.debug_tuple("File").field(path).finish(),
            StoreLocation::Backend(_) => f.write_str("Backend"),
        }
    }
}

/// Opens the storage of a store; any closure that does is one. It may be used from any thread.
pub trait BackendFactory: MaybeSend + MaybeSync {
    /// Waits for what the other calls need and cannot wait for, as a browser gives the handles of its files.
    /// [`build_local`](crate::EngineBuilder::build_local) waits for it once.
    ///
    /// # Errors
    /// As in [`open`](BackendFactory::open).
    fn prepare(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Opens the storage.
    ///
    /// # Errors
    /// Returned by the store as they are, such as [`StoreOpenFailed`](crate::ErrorCode::StoreOpenFailed).
    fn open(&self) -> Result<Arc<dyn StorageBackend>>;

    /// Opens the storage to read only, where it cannot be written; `None` where that is not possible. Called when
    /// [`open`](BackendFactory::open) gave [`StoreReadOnly`](crate::ErrorCode::StoreReadOnly).
    ///
    /// # Errors
    /// As in [`open`](BackendFactory::open).
    fn open_read_only(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        Ok(None)
    }

    /// Opens a second storage, empty, for a copy of the first; `None` where there can be no second. It removes what an
    /// earlier call left.
    ///
    /// # Errors
    /// As in [`open`](BackendFactory::open).
    fn fresh(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        Ok(None)
    }

    /// Replaces the first storage by the fresh one, atomically and durably: after a crash one of the two is
    /// found, whole. Both are open meanwhile; the fresh one is what [`open`](BackendFactory::open) opens from then on.
    ///
    /// # Errors
    /// Those of the platform; the next `open` and every later one must then open the same one of the two.
    fn swap(&self) -> Result<()> {
        Err(crate::ErrorCode::StoreCannotReplace.into())
    }

    /// Removes the fresh storage, unless [`open`](BackendFactory::open) opens it by now: it will not replace the other.
    /// Called for a copy that was given up before its [`swap`](BackendFactory::swap), and when a store is opened.
    fn discard(&self) {}
}

impl<F: Fn() -> Result<Arc<dyn StorageBackend>> + MaybeSend + MaybeSync> BackendFactory for F {
    fn open(&self) -> Result<Arc<dyn StorageBackend>> {
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
    fn open(&self) -> Result<Arc<dyn StorageBackend>> {
        Ok(self.current.lock().clone())
    }

    fn fresh(&self) -> Result<Option<Arc<dyn StorageBackend>>> {
        let fresh = Arc::new(InMemoryBackend::new());
        *self.fresh.lock() = Some(fresh.clone());
        Ok(Some(fresh))
    }

    fn swap(&self) -> Result<()> {
        if let Some(fresh) = self.fresh.lock().take() {
            *self.current.lock() = fresh;
        }
        Ok(())
    }

    fn discard(&self) {
        *self.fresh.lock() = None;
    }
}
