//! Windows.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) use super::mapped::FileBytes;

#[cfg(feature = "download")]
pub(crate) const PYTHON_COMMANDS: &[&str] = &["py", "python"];
#[cfg(feature = "download")]
pub(crate) const NPM_COMMANDS: &[&str] = &["npm.cmd"];

/// The user's cache folder, from the environment.
pub(crate) fn cache_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    variable("LOCALAPPDATA").map(PathBuf::from)
}

/// Folders cannot be synced here.
pub(crate) fn sync_folder(_file: &Path) -> std::io::Result<()> {
    Ok(())
}
