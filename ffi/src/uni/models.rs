//! Model files. Without the feature `models` each of these calls is Unsupported.

use super::job::EngineJob;
use super::{Result, call};
use crate::models::files;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The role of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum ModelRole {
    /// Speech to text.
    Recognizer,
    /// Replies.
    Chat,
    /// Text to speech.
    Synthesizer,
    /// Voice activity detection.
    Vad,
    /// End-of-turn detection.
    TurnDetector,
}

/// The state of a model's file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// It can be loaded.
    Ready,
    /// It is not there.
    Missing,
    /// It is not there, but a part of its files is.
    Partial,
    /// It is there, but made from other files or by other code; a pull makes it again.
    Outdated,
    /// Its file has not the size that it was made with.
    Damaged,
}

/// A model that the library knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: ModelRole,
    /// One line for a person.
    pub title: String,
    /// The weights' licence, as an SPDX expression.
    pub licence: String,
    /// Its languages; empty where it is not bound to any.
    pub languages: Vec<String>,
    /// True if it is the default of its role.
    pub is_default: bool,
    /// Bytes to fetch.
    pub download_bytes: u64,
    /// The path of its file.
    pub path: String,
    /// The state of its file.
    pub state: ModelState,
}

/// The files that a pull would fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct PullPlan {
    /// Bytes of all files together.
    pub bytes: u64,
    /// The files, model after model.
    pub files: Vec<PlannedFile>,
}

/// A file that a pull would fetch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct PlannedFile {
    /// The model that it is for.
    pub model: String,
    /// The model's licence, as an SPDX expression.
    pub licence: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The progress of a pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct PullProgress {
    /// The model's name.
    pub model: String,
    /// The file being worked on.
    pub file: String,
    /// The current phase.
    pub phase: PullPhase,
    /// Bytes done in this phase.
    pub done_bytes: u64,
    /// Bytes to do in this phase; 0 where unknown.
    pub total_bytes: u64,
}

/// One phase of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum PullPhase {
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

/// The folder of model files.
#[derive(uniffi::Object)]
pub struct ModelStore {
    folder: Option<String>,
}

fn read<T: for<'a> Deserialize<'a>>(json: &str) -> engine::Result<T> {
    serde_json::from_str(json).map_err(|source| {
        engine::Error::new(engine::ErrorCode::Internal, "the forms of Rust and of the bindings differ")
            .with_source(source)
    })
}

fn parts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[uniffi::export]
impl ModelStore {
    /// The model files in a folder; none for the platform's place for them.
    #[uniffi::constructor(default(folder = None))]
    pub fn new(folder: Option<String>) -> Arc<Self> {
        Arc::new(Self { folder })
    }

    /// The models that the library knows.
    pub fn list(&self) -> Result<Vec<ModelInfo>> {
        call(|| read(&files::list(self.folder.as_deref())?))
    }

    /// The files that a pull of these models (none for the default ones) would fetch.
    #[uniffi::method(default(names = []))]
    pub fn plan(&self, names: Vec<String>) -> Result<PullPlan> {
        call(|| read(&files::plan(self.folder.as_deref(), &parts(&names))?))
    }

    /// A job that fetches these models (none for the default ones); its items are the progress. A job that was cancelled
    /// goes on with the next pull.
    #[uniffi::method(default(names = []))]
    pub fn pull(&self, names: Vec<String>) -> Result<Arc<EngineJob>> {
        call(|| Ok(EngineJob::new(files::pull(self.folder.as_deref(), &parts(&names))?)))
    }

    /// Copies a GGUF file of the host's to its place as the model `name`, and checks it. Takes as long as reading it.
    pub fn install(&self, name: &str, path: &str) -> Result<()> {
        call(|| files::install(self.folder.as_deref(), name, path))
    }

    /// Removes a model's files.
    pub fn remove(&self, name: &str) -> Result<()> {
        call(|| files::remove(self.folder.as_deref(), name))
    }

    /// Reads a model's file, and compares its hash. Takes as long as reading it.
    pub fn verify(&self, name: &str) -> Result<()> {
        call(|| files::verify(self.folder.as_deref(), name))
    }
}
