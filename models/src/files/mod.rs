//! Model files: which there are, where they lie, and how they get there.
//!
//! A [`Manifest`] knows each model: its upstream files with sizes and hashes, where to get them, and how they become
//! one GGUF file. A [`ModelStore`] is a folder of such GGUF files. [`ModelStore::pull`] fetches and converts what is
//! missing, and [`ModelStore::plan`] says beforehand how much that is; afterwards nothing here touches the network.
//! [`ModelStore::list`] gives each model's licence and languages as data. [`ModelStore::install`] takes a file that the
//! host has fetched itself, [`ModelStore::remove`] removes one.
//!
//! Some models are published as packages of Python or npm only, the default voice among them, and most are converted.
//! A phone neither converts nor runs a package client: the app's developer pulls once, [`ModelStore::bundle`] copies what
//! is ready into a folder, and the app ships that folder as assets, or serves it from any web server, from where
//! [`ModelStore::pull_bundle`] fetches it.
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
mod install;
mod manifest;
mod plan;
mod record;
mod store;

pub use bundle::BUNDLE_FILE;
#[cfg(feature = "download")]
pub use download::{
    DefaultFetcher, Fetcher, HttpFetcher, HttpTimeouts, PackageFetcher, Part, Phase, Progress, PullOptions,
};
pub use folder::default_folder;
pub use manifest::{Conversion, Manifest, ModelEntry, Role, Source, UpstreamFile};
pub use plan::{PlannedFile, PullPlan};
pub use record::Record;
pub use store::{ModelInfo, ModelState, ModelStore};
