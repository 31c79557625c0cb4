//! [`ModelStore::bundle`]: ready models for an app to ship.

use super::{Manifest, ModelStore, Record, disk};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// The name of a bundle's manifest.
pub const BUNDLE_FILE: &str = "bundle.json";

/// The bundle's own format; larger numbers are not known here.
const FORMAT: u32 = 1;

/// The manifest of a bundle.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Bundle {
    format: u32,
    /// The languages that it is for.
    languages: Vec<LanguageTag>,
    /// The models in it, as the manifest has them.
    pub(super) manifest: Manifest,
    /// Size and hash of each model's file.
    pub(super) records: BTreeMap<String, Record>,
}

impl ModelStore {
    /// Copies the GGUF files of the named models (none: the default ones) to `out`, with a manifest that holds their
    /// hashes, [`BUNDLE_FILE`]. A store opened on `out` needs neither conversion nor network. The copies are
    /// compared with what was made.
    ///
    /// # Errors
    /// [`ErrorCode::LanguageUnsupported`] where a model does not know one of `languages`; those of
    /// [`verify`](Self::verify); [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`].
    pub fn bundle(&self, names: &[&str], languages: &[LanguageTag], out: &Path) -> Result<()> {
        let default_names = self.manifest().default_names();
        let names = if names.is_empty() { &default_names } else { names };
        let mut manifest = Manifest::default();
        let mut records = BTreeMap::new();
        disk::create_folder(out)?;
        for name in names {
            let entry = self.manifest().model(name)?;
            for language in languages {
                let is_known = |known: &LanguageTag| known.same_language(language);
                if !entry.languages.is_empty() && !entry.languages.iter().any(is_known) {
                    let what = format!("{name} does not know {}", language.as_str());
                    return Err(Error::new(ErrorCode::LanguageUnsupported, what));
                }
            }
            let path = self.path(name)?;
            let record = self.expected_record(entry, &path)?;
            let place = out.join(&entry.output);
            disk::rename(&copy_checked(&path, &place, &record)?, &place)?;
            manifest.defaults.insert(entry.role, entry.name.clone());
            manifest.models.push(entry.clone());
            records.insert(entry.name.clone(), record);
        }
        let bundle = Bundle { format: FORMAT, languages: languages.to_vec(), manifest, records };
        disk::write_json(&out.join(BUNDLE_FILE), &bundle)
    }
}

impl Bundle {
    /// The bundle in `folder`, where there is one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(BUNDLE_FILE);
        let json = match std::fs::read(&path) {
            Ok(json) => json,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(disk::failed(&path)(error)),
        };
        Self::parse(&json, &path.display().to_string()).map(Some)
    }

    /// A bundle's manifest; `origin` is for messages.
    pub(super) fn parse(json: &[u8], origin: &str) -> Result<Self> {
        let invalid = |what: &str| Error::new(ErrorCode::InvalidConfig, format!("{origin}: {what}"));
        let bundle: Self = serde_json::from_slice(json).map_err(|error| invalid("malformed").with_source(error))?;
        if bundle.format != FORMAT {
            return Err(invalid("made by a newer version"));
        }
        bundle.manifest.check()?;
        Ok(bundle)
    }

    /// Writes the manifest into `folder`; models of a bundle that lies there stay known.
    #[cfg(feature = "download")]
    pub(super) fn add_to(mut self, folder: &Path) -> Result<()> {
        if let Some(mut there) = Self::read(folder)? {
            there.manifest.merge(self.manifest)?;
            there.records.extend(self.records);
            let new = self.languages.into_iter().filter(|language| !there.languages.contains(language));
            let new: Vec<_> = new.collect();
            there.languages.extend(new);
            self = there;
        }
        disk::write_json(&folder.join(BUNDLE_FILE), &self)
    }
}

/// Copies a model beside the place `to`, comparing it with its record on the way; a rename completes it.
pub(super) fn copy_checked(from: &Path, to: &Path, record: &Record) -> Result<PathBuf> {
    let part = disk::with_suffix(to, ".part");
    let mut file = File::create(&part).map_err(disk::failed(&part))?;
    let mut hasher = Sha256::new();
    disk::read_blocks(from, |block| {
        hasher.update(block);
        file.write_all(block).map_err(disk::failed(&part))
    })?;
    file.sync_all().map_err(disk::failed(&part))?;
    if disk::hex(hasher) != record.sha256 {
        disk::remove_file(&part)?;
        return Err(Error::new(ErrorCode::ModelCorrupt, format!("SHA-256 mismatch: {}", from.display())));
    }
    Ok(part)
}
