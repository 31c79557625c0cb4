//! [`Record`]: the sources and the hash of a GGUF file.

use super::{Conversion, ModelEntry};
use std::collections::BTreeMap;

/// Written beside a GGUF file when it is made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The GGUF file's size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The upstream files that it was made from, with their SHA-256.
    pub sources: BTreeMap<String, String>,
    /// How it was made.
    pub conversion: Conversion,
    /// The version of the code that made it.
    pub conversion_version: u32,
}

impl Record {
    pub(super) fn new(entry: &ModelEntry, bytes: u64, sha256: String) -> Self {
        Self {
            bytes,
            sha256,
            sources: entry.files.iter().map(|file| (file.name.clone(), file.sha256.clone())).collect(),
            conversion: entry.conversion,
            conversion_version: entry.conversion.version(),
        }
    }

    /// True if a pull of `entry` would make the same file.
    pub(super) fn is_of(&self, entry: &ModelEntry) -> bool {
        *self == Self::new(entry, self.bytes, self.sha256.clone())
    }
}
