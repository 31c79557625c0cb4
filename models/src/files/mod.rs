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

mod bundle;
mod disk;
#[cfg(feature = "download")]
mod download;
mod folder;
mod manifest;
mod record;
mod store;

pub use bundle::BUNDLE_FILE;
#[cfg(feature = "download")]
pub use download::{
    DefaultFetcher, Fetcher, HttpFetcher, HttpTimeouts, PackageFetcher, Part, Phase, Progress, PullOptions,
};
pub use folder::default_folder;
pub use manifest::{Conversion, Manifest, ModelEntry, Role, Source, UpstreamFile};
pub use record::Record;
pub use store::{ModelState, ModelStatus, ModelStore};
