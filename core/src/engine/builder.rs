//! [`EngineBuilder`]: the parts and limits of an engine to be.

use super::{Engine, EngineOptions};
use crate::backend::{Backends, CancelFlag};
use crate::catalog::Catalog;
use crate::driver::exec::Workers;
use crate::driver::local::LocalDriver;
use crate::driver::{CommitOrder, EngineLoop, Options, Shared, seam};
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::platform::{Clock, default_clock};
use crate::store::{Store, StoreLocation, StoreOptions};
use crate::turn::EndpointWeights;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Builds an [`Engine`].
///
/// ```
/// use tertulia::{EngineBuilder, SessionEngine};
/// # fn main() -> tertulia::Result<()> {
/// // In memory and without models; see `backends` and `store`.
/// let engine = EngineBuilder::new().build()?;
/// assert!(engine.capabilities().languages.is_empty());
/// engine.shut_down(std::time::Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
pub struct EngineBuilder {
    backends: Backends,
    store: StoreLocation,
    store_options: StoreOptions,
    catalog: Catalog,
    clock: Option<Arc<dyn Clock>>,
    options: Options,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            backends: Backends::default(),
            store: StoreLocation::Memory,
            store_options: StoreOptions::default(),
            catalog: Catalog::builtin(),
            clock: None,
            options: Options {
                utterance_seconds_max: 120,
                endpoint_weights: EndpointWeights::default(),
                memory_bytes_max: None,
            },
        }
    }
}

impl EngineBuilder {
    /// An engine without models, with a store in memory and the built-in levels and scenarios.
    pub fn new() -> Self {
        Self::default()
    }

    /// The models.
    pub fn backends(mut self, backends: Backends) -> Self {
        self.backends = backends;
        self
    }

    /// The place of the store; memory by default.
    pub fn store(mut self, location: StoreLocation) -> Self {
        self.store = location;
        self
    }

    /// The store's encryption key and audio quota; neither by default.
    pub fn store_options(mut self, options: StoreOptions) -> Self {
        self.store_options = options;
        self
    }

    /// The levels and scenarios; the built-in ones by default.
    pub fn catalog(mut self, catalog: Catalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// The clock; by default the operating system's, which a browser build does not have.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The longest utterance, in seconds; 120 by default.
    pub fn utterance_seconds_max(mut self, seconds: u32) -> Self {
        self.options.utterance_seconds_max = seconds;
        self
    }

    /// The memory limit of all models together, in bytes; none by default. A model that would exceed it is not loaded:
    /// the call or turn that needs it fails with [`ErrorCode::OutOfMemory`], before the platform ends the app. See
    /// [`SessionEngine::memory_needed`](crate::SessionEngine::memory_needed).
    pub fn memory_bytes_max(mut self, bytes: u64) -> Self {
        self.options.memory_bytes_max = Some(bytes);
        self
    }

    /// The store, its key and quota, the memory limit and the longest utterance from options; they replace what was set
    /// before, and so does a catalogue. The models and threads are left to those who make the backends.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names the option that is outside its range, or the field of the catalogue that is
    /// wrong.
    pub fn options(mut self, options: &EngineOptions) -> Result<Self> {
        options.check_ranges()?;
        if let Some(own) = &options.catalog {
            self.catalog = Catalog::from_json(&own.to_string())?;
        }
        let EngineOptions { store, key, audio_bytes_max, memory_bytes_max, utterance_seconds_max, .. } =
            options.clone();
        self.store = store.into();
        self.store_options = StoreOptions { key, audio_bytes_max };
        self.options = Options { memory_bytes_max, utterance_seconds_max, ..self.options };
        Ok(self)
    }

    /// The weights of the end-of-turn cues in sessions.
    #[doc(hidden)]
    pub fn endpoint_weights(mut self, weights: EndpointWeights) -> Self {
        self.options.endpoint_weights = weights;
        self
    }

    /// An engine without threads: it works while the [`LocalDriver`] is run. The future waits for storage of the host's to
    /// be [prepared](crate::store::BackendFactory::prepare).
    ///
    /// # Errors
    /// Those of [`Store::open`] and of the preparation; [`ErrorCode::InvalidConfig`] without a clock where the platform
    /// has none.
    pub async fn build_local(self) -> Result<(Engine, LocalDriver)> {
        self.store.prepare().await?;
        let (shared, engine_loop) = self.assemble(None)?;
        let engine = Engine::new(shared.clone(), None);
        Ok((engine, LocalDriver::new(shared, engine_loop)))
    }

    pub(super) fn assemble(self, commits: Option<Sender<CommitOrder>>) -> Result<(Arc<Shared>, EngineLoop)> {
        let clock = match self.clock {
            Some(clock) => clock,
            None => default_clock()?,
        };
        let persistent = !matches!(self.store, StoreLocation::Memory);
        let store = Store::open_with(self.store, self.store_options, clock.unix_ms())?;
        let shared = Arc::new(Shared {
            backends: seam::checked(self.backends),
            store,
            catalog: self.catalog,
            opened_us: clock.monotonic_us(),
            clock,
            options: self.options,
            persistent,
            workers: Workers::new(),
            tidied_us: Default::default(),
            engine_events: Arc::default(),
            open: Default::default(),
            inbox: Default::default(),
            idle: Default::default(),
            commits,
            commit_pause: Default::default(),
            running: Default::default(),
            shut_down: CancelFlag::new(),
            called: event_listener::Event::new(),
        });
        let engine_loop = EngineLoop::new(shared.clone());
        Ok((shared, engine_loop))
    }
}
