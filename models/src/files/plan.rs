//! [`ModelStore::plan`]: the files that a pull would fetch.

use super::{ModelState, ModelStore, Source};
use tertulia::Result;

/// The files that a pull would fetch, to be shown before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PullPlan {
    /// Bytes of all files together. Of a pull that was begun, a part is there already.
    pub bytes: u64,
    /// The files, model after model.
    pub files: Vec<PlannedFile>,
}

/// A file that a pull would fetch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PlannedFile {
    /// The model that it is for.
    pub model: String,
    /// The model's licence, as an SPDX expression.
    pub licence: String,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Where it is looked for, in this order.
    pub sources: Vec<Source>,
}

impl ModelStore {
    /// The files that a pull of the named models (none: the default ones) would fetch now; none of models that are
    /// ready. Looks at sizes on disk and at nothing else.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`](tertulia::ErrorCode::ModelUnknown),
    /// [`ErrorCode::ModelStoreFailed`](tertulia::ErrorCode::ModelStoreFailed).
    pub fn plan(&self, names: &[&str]) -> Result<PullPlan> {
        let default_names = self.manifest().default_names();
        let mut plan = PullPlan::default();
        for name in if names.is_empty() { &default_names } else { names } {
            let entry = self.manifest().model(name)?;
            if self.state(entry)? == ModelState::Ready || plan.files.iter().any(|file| file.model == entry.name) {
                continue;
            }
            plan.files.extend(entry.files.iter().map(|file| PlannedFile {
                model: entry.name.clone(),
                licence: entry.licence.clone(),
                name: file.name.clone(),
                bytes: file.bytes,
                sources: file.sources.clone(),
            }));
            plan.bytes += entry.download_bytes();
        }
        Ok(plan)
    }
}
