//! [`ModelStore`]: a folder of models.

use super::bundle::Bundle;
use super::{Manifest, ModelEntry, Record, Role, default_folder, disk};
use std::path::{Path, PathBuf};
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// A folder of models, and the manifest that says which there may be.
#[derive(Clone, Debug)]
pub struct ModelStore {
    folder: PathBuf,
    manifest: Manifest,
    bundle: Option<Bundle>,
}

/// One model of the manifest, and how it stands; its JSON form is for an app to show.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// One line for a person.
    pub title: String,
    /// The weights' licence, as an SPDX expression.
    pub licence: String,
    /// Its languages; empty where it is not bound to any.
    pub languages: Vec<LanguageTag>,
    /// True if it is the default of its role.
    pub is_default: bool,
    /// Bytes to fetch for it.
    pub download_bytes: u64,
    /// Where its GGUF file lies or would lie.
    pub path: PathBuf,
    /// How it stands; sizes are looked at, contents are not ([`ModelStore::verify`] does that).
    pub state: ModelState,
}

/// How a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelState {
    /// It can be loaded.
    Ready,
    /// It is not there.
    Missing,
    /// It is not there, but a part of its files is.
    Partial,
    /// It is there, but made from other files or by other code, or has no record; a pull makes it again.
    Outdated,
    /// Its file has not the size that it was made with.
    Damaged,
}

impl ModelStore {
    /// The models in `folder`, which need not exist, with the built-in manifest. Where a
    /// [bundle](ModelStore::bundle) lies there, its models are known too, and its defaults hold.
    ///
    /// # Errors
    /// [`ErrorCode::ModelStoreFailed`], [`ErrorCode::InvalidConfig`] where the bundle's manifest cannot be read.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::with_manifest(folder, Manifest::built_in())
    }

    /// The models in the [`default_folder`].
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and [`default_folder`].
    pub fn open_default() -> Result<Self> {
        Self::open(default_folder()?)
    }

    /// The models in `folder`, with a manifest of the host's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn with_manifest(folder: impl Into<PathBuf>, mut manifest: Manifest) -> Result<Self> {
        let folder = folder.into();
        let bundle = Bundle::read(&folder)?;
        if let Some(bundle) = &bundle {
            manifest.merge(bundle.manifest.clone())?;
        }
        Ok(Self { folder, manifest, bundle })
    }

    /// The models in `folder` that `manifest` names, whatever a bundle there says.
    #[cfg(feature = "download")]
    pub(super) fn without_bundle(folder: PathBuf, manifest: Manifest) -> Self {
        Self { folder, manifest, bundle: None }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every model of the manifest, and how it stands.
    ///
    /// # Errors
    /// [`ErrorCode::ModelStoreFailed`].
    pub fn list(&self) -> Result<Vec<ModelInfo>> {
        self.manifest.models.iter().map(|entry| self.info(entry)).collect()
    }

    /// Where the GGUF file of a model lies. Its size is checked, its content is not.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`]; [`ErrorCode::ModelMissing`] where it is not there;
    /// [`ErrorCode::ModelTruncated`] or [`ErrorCode::ModelCorrupt`] where it has not the size that it was made
    /// with; [`ErrorCode::ModelStoreFailed`].
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let entry = self.manifest.model(name)?;
        let path = self.output_path(entry);
        let bytes = disk::file_bytes(&path)?.ok_or_else(|| missing(entry, &path))?;
        if let Some(record) = self.record(entry)? {
            check_size(entry, &path, bytes, record.bytes)?;
        }
        Ok(path)
    }

    /// Reads all of a model's GGUF file and compares it with what was made.
    ///
    /// # Errors
    /// Those of [`path`](Self::path); [`ErrorCode::ModelCorrupt`] where a byte has changed, or there is no
    /// record of the bytes.
    pub fn verify(&self, name: &str) -> Result<()> {
        let entry = self.manifest.model(name)?;
        let path = self.path(name)?;
        let record = self.expected_record(entry, &path)?;
        check_size(entry, &path, disk::file_bytes(&path)?.unwrap_or(0), record.bytes)?;
        if disk::hash_file(&path, |_| Ok(()))? == record.sha256 {
            Ok(())
        } else {
            Err(corrupt(entry, &path, "has changed since it was made"))
        }
    }

    /// Verifies every model whose file is there, and says of each what [`verify`](Self::verify) found.
    ///
    /// # Errors
    /// [`ErrorCode::ModelStoreFailed`] where the folder cannot be read.
    pub fn verify_all(&self) -> Result<Vec<(String, Result<()>)>> {
        let models = self.list()?.into_iter();
        let there = models.filter(|model| !matches!(model.state, ModelState::Missing | ModelState::Partial));
        Ok(there.map(|model| (model.name.clone(), self.verify(&model.name))).collect())
    }

    /// Where the GGUF file of a model lies or will lie.
    pub(super) fn output_path(&self, entry: &ModelEntry) -> PathBuf {
        self.folder.join(&entry.output)
    }

    /// Where the record beside it lies.
    pub(super) fn record_path(&self, entry: &ModelEntry) -> PathBuf {
        disk::with_suffix(&self.output_path(entry), ".json")
    }

    /// Where its upstream files grow.
    pub(super) fn downloads_folder(&self, entry: &ModelEntry) -> PathBuf {
        self.folder.join("downloads").join(&entry.name)
    }

    /// The record written when the model was made; `None` where it cannot be read.
    pub(super) fn record(&self, entry: &ModelEntry) -> Result<Option<Record>> {
        let path = self.record_path(entry);
        match std::fs::read(&path) {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(self.bundled_record(entry)),
            Err(error) => Err(disk::failed(&path)(error)),
        }
    }

    /// The model's record in a bundle that lies in the folder.
    pub(super) fn bundled_record(&self, entry: &ModelEntry) -> Option<Record> {
        self.bundle.as_ref().and_then(|bundle| bundle.records.get(&entry.name).cloned())
    }

    /// The record to compare a model's file at `path` with.
    pub(super) fn expected_record(&self, entry: &ModelEntry, path: &Path) -> Result<Record> {
        let record = self.record(entry)?.or_else(|| Self::record_of_upstream(entry));
        record.ok_or_else(|| corrupt(entry, path, "has no record"))
    }

    /// The record of a model that is taken as upstream made it.
    pub(super) fn record_of_upstream(entry: &ModelEntry) -> Option<Record> {
        match (entry.conversion, entry.files.as_slice()) {
            (super::Conversion::None, [file]) => Some(Record::new(entry, file.bytes, file.sha256.clone())),
            _ => None,
        }
    }

    pub(super) fn state(&self, entry: &ModelEntry) -> Result<ModelState> {
        let Some(bytes) = disk::file_bytes(&self.output_path(entry))? else {
            let has_parts = self.downloads_folder(entry).is_dir();
            return Ok(if has_parts { ModelState::Partial } else { ModelState::Missing });
        };
        Ok(match self.record(entry)? {
            Some(record) if record.bytes != bytes => ModelState::Damaged,
            Some(record) if record.is_of(entry) => ModelState::Ready,
            _ => ModelState::Outdated,
        })
    }

    fn info(&self, entry: &ModelEntry) -> Result<ModelInfo> {
        Ok(ModelInfo {
            name: entry.name.clone(),
            role: entry.role,
            title: entry.title.clone(),
            licence: entry.licence.clone(),
            languages: entry.languages.clone(),
            is_default: self.manifest.defaults.get(&entry.role) == Some(&entry.name),
            download_bytes: entry.download_bytes(),
            path: self.output_path(entry),
            state: self.state(entry)?,
        })
    }
}

fn check_size(entry: &ModelEntry, path: &Path, bytes: u64, expected: u64) -> Result<()> {
    match bytes.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(Error::new(
            ErrorCode::ModelTruncated,
            format!("{} has {bytes} of {expected} bytes; {}", path.display(), remedy(entry)),
        )),
        std::cmp::Ordering::Greater => Err(corrupt(entry, path, "is longer than it was made")),
    }
}

fn missing(entry: &ModelEntry, path: &Path) -> Error {
    Error::new(ErrorCode::ModelMissing, format!("{} is not at {}; {}", entry.name, path.display(), remedy(entry)))
}

fn corrupt(entry: &ModelEntry, path: &Path, what: &str) -> Error {
    Error::new(ErrorCode::ModelCorrupt, format!("{} {what}; {}", path.display(), remedy(entry)))
}

fn remedy(entry: &ModelEntry) -> String {
    format!("`tertulia models pull {}` puts it there", entry.name)
}
