//! Where the tests' real models lie.

use std::path::PathBuf;
use tertulia_models::files::ModelStore;

/// A pulled model's file, by its name in the manifest; fails the test where it is not there, and says how to get it.
pub(crate) fn model_path(name: &str) -> PathBuf {
    ModelStore::open_default().and_then(|store| store.path(name)).unwrap_or_else(|error| panic!("{error}"))
}
