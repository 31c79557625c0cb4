//! Model files: which there are, where they lie, and how they get there.
//!
//! A [`Manifest`] knows each model: its upstream files with sizes and hashes, where to get them, and how they become
//! one GGUF file. A [`ModelStore`] is a folder of such GGUF files. [`ModelStore::pull`] fetches and converts what is
//! missing; afterwards nothing here touches the network. [`ModelStore::bundle`] copies what is ready, for apps that
//! ship models as assets: a phone neither converts nor runs a package client.
//!
//! ```no_run
//! # fn main() -> tertulia::Result<()> {
//! use tertulia_models::files::{ModelStore, PullOptions};
//! let store = ModelStore::open_default()?;
//! let mut progress = |step: &tertulia_models::files::Progress| {
//!     tracing::info!("{} {}: {} of {} bytes", step.model, step.file, step.done_bytes, step.total_bytes);
//! };
//! store.pull(&["silero-vad-v6"], PullOptions::new().on_progress(&mut progress))?;
//! let file = store.path("silero-vad-v6")?;
//! # let _ = file;
//! # Ok(())
//! # }
//! ```
//!
//! Beside `NAME.gguf` lies `NAME.gguf.json`, the [`Record`] of what was made from what. A GGUF file comes to its
//! place by a rename, after its hash is on disk; downloads grow under `downloads/` in files that end in `.part`.

mod archive;
mod bundle;
mod convert;
mod disk;
mod fetch;
mod folder;
mod http;
mod manifest;
mod packages;
mod part;
mod progress;
mod pull;
mod record;
mod store;

pub use bundle::BUNDLE_FILE;
pub use fetch::{DefaultFetcher, Fetcher};
pub use folder::default_folder;
pub use http::{HttpFetcher, HttpTimeouts};
pub use manifest::{Conversion, Manifest, ModelEntry, Role, Source, UpstreamFile};
pub use packages::PackageFetcher;
pub use part::Part;
pub use progress::{Phase, Progress};
pub use pull::PullOptions;
pub use record::Record;
pub use store::{ModelState, ModelStatus, ModelStore};
