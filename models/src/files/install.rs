//! [`ModelStore::install`] and [`ModelStore::remove`]: files that the host brings, and files that it needs no more.

use super::{ModelStore, Record, bundle, disk};
use crate::gguf::Gguf;
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

impl ModelStore {
    /// Copies the GGUF file at `path`, which the host has fetched by its own means, to its place as the model `name`.
    /// Its hash is compared with what the manifest or a [bundle](Self::bundle) in the folder says; where neither knows
    /// the hash of the GGUF file, as of a model that is converted, it must be a whole GGUF file. Blocks.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`]; [`ErrorCode::ModelMissing`] where there is no file at `path`;
    /// [`ErrorCode::ModelCorrupt`], [`ErrorCode::ModelTruncated`] where it is another or no GGUF file, and nothing is
    /// changed then; [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`].
    pub fn install(&self, name: &str, path: &Path) -> Result<()> {
        let entry = self.manifest().model(name)?;
        let missing = || Error::new(ErrorCode::ModelMissing, format!("model file is missing: {}", path.display()));
        let bytes = disk::file_bytes(path)?.ok_or_else(missing)?;
        let known = Self::record_of_upstream(entry).or_else(|| self.bundled_record(entry));
        let record = match known {
            Some(record) => record,
            None => {
                Gguf::open(path)?;
                Record::new(entry, bytes, disk::hash_file(path, |_| Ok(()))?)
            }
        };
        disk::create_folder(self.folder())?;
        let place = self.output_path(entry);
        let part = bundle::copy_checked(path, &place, &record)?;
        // The record first: a file without its record would be taken for one of another origin.
        disk::write_json(&self.record_path(entry), &record)?;
        disk::rename(&part, &place)
    }

    /// Removes a model's file, its record, and what was fetched for it. A model that is in use stays usable where the
    /// platform keeps open files; it is no error if nothing is there.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`], [`ErrorCode::ModelStoreFailed`].
    pub fn remove(&self, name: &str) -> Result<()> {
        let entry = self.manifest().model(name)?;
        disk::remove_file(&self.output_path(entry))?;
        disk::remove_file(&self.record_path(entry))?;
        disk::remove_folder(&self.downloads_folder(entry))
    }
}
