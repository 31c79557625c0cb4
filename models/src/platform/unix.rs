//! Unix: Linux, Android and Apple's systems.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) use super::mapped::FileBytes;

#[cfg(feature = "download")]
pub(crate) const PYTHON_COMMANDS: &[&str] = &["python3", "python"];
#[cfg(feature = "download")]
pub(crate) const NPM_COMMANDS: &[&str] = &["npm"];

/// The user's cache folder, from the environment.
pub(crate) fn cache_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let home = PathBuf::from(variable("HOME")?);
    Some(home.join(if cfg!(target_vendor = "apple") { "Library/Caches" } else { ".cache" }))
}

/// Makes the renaming of a file durable.
pub(crate) fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
