//! Fetching model files and converting them to GGUF (feature `download`).

mod archive;
mod convert;
mod fetch;
mod http;
mod packages;
mod part;
mod progress;
mod pull;
mod served;

pub use fetch::{DefaultFetcher, Fetcher};
pub use http::{HttpFetcher, HttpTimeouts};
pub use packages::PackageFetcher;
pub use part::Part;
pub use progress::{Phase, Progress};
pub use pull::PullOptions;

use super::disk::remove_folder;
use super::store::{ModelState, ModelStore};
use super::{Conversion, Manifest, ModelEntry, Record, Source, UpstreamFile, disk};
