//! [`ModelStore::pull_bundle`]: models out of a bundle that is served over HTTP.

use super::{
    Conversion, HttpFetcher, Manifest, ModelEntry, ModelStore, PullOptions, Record, Source, UpstreamFile, disk,
};
use crate::files::BUNDLE_FILE;
use crate::files::bundle::Bundle;
use std::path::PathBuf;
use tertulia::{Error, ErrorCode, Result};

impl ModelStore {
    /// Fetches the named models (none: all) of a [bundle](Self::bundle) that lies at `base_url`, into `folder`, and
    /// opens the folder. The files are ready GGUF files: nothing is converted, and no package client is needed. Size
    /// and SHA-256 of each are compared with the bundle's manifest, so `base_url` should be an https address. Goes on
    /// where an earlier pull stopped. The manifest itself is always fetched over HTTP, the models by the fetcher of
    /// `options`. Blocks.
    ///
    /// ```no_run
    /// # fn main() -> tertulia::Result<()> {
    /// use tertulia_models::files::{ModelStore, PullOptions};
    /// let url = "https://models.example.com/tertulia";
    /// let store = ModelStore::pull_bundle("models", url, &["kokoro-82m"], PullOptions::new())?;
    /// let voice = store.path("kokoro-82m")?;
    /// # let _ = voice;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::DownloadFailed`] where there is no bundle; [`ErrorCode::InvalidConfig`] where its manifest is
    /// malformed; those of [`pull`](Self::pull).
    pub fn pull_bundle(
        folder: impl Into<PathBuf>,
        base_url: &str,
        names: &[&str],
        options: PullOptions<'_>,
    ) -> Result<Self> {
        let folder = folder.into();
        let base_url = base_url.trim_end_matches('/');
        let url = format!("{base_url}/{BUNDLE_FILE}");
        let json = HttpFetcher::default().small_file(&url, options.cancel_flag())?;
        let bundle = Bundle::parse(&json, &url)?;
        let all: Vec<&str> = bundle.manifest.models.iter().map(|model| model.name.as_str()).collect();
        let names = if names.is_empty() { &all } else { names };

        let models = bundle.manifest.models.iter().map(|entry| served(entry, &bundle, base_url));
        let served = Manifest { models: models.collect::<Result<_>>()?, ..Manifest::default() };
        served.check()?;
        let store = Self::without_bundle(folder.clone(), served);
        store.pull(names, options)?;
        for name in names {
            let entry = bundle.manifest.model(name)?;
            disk::write_json(&store.record_path(entry), record(&bundle, entry)?)?;
        }
        bundle.add_to(&folder)?;
        Self::open(folder)
    }
}

/// The entry whose one file is the ready GGUF file at the bundle's address.
fn served(entry: &ModelEntry, bundle: &Bundle, base_url: &str) -> Result<ModelEntry> {
    let Record { bytes, sha256, .. } = record(bundle, entry)?.clone();
    let sources = vec![Source::Https { https: format!("{base_url}/{}", entry.output) }];
    let files = vec![UpstreamFile { name: entry.output.clone(), bytes, sha256, sources }];
    Ok(ModelEntry { conversion: Conversion::None, files, ..entry.clone() })
}

fn record<'a>(bundle: &'a Bundle, entry: &ModelEntry) -> Result<&'a Record> {
    let what = || Error::new(ErrorCode::InvalidConfig, format!("bundle has no hash of {}", entry.name));
    bundle.records.get(&entry.name).ok_or_else(what)
}
