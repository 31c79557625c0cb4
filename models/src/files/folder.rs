//! Where models lie unless the host says otherwise.

use crate::platform;
use std::ffi::OsString;
use std::path::PathBuf;
use tertulia::{Error, ErrorCode, Result};

/// The folder that the environment names: `TERTULIA_MODELS`, else `tertulia/models` in the user's cache folder
/// (`XDG_CACHE_HOME`; else `~/Library/Caches` on Apple's systems, `LOCALAPPDATA` on Windows, `~/.cache` elsewhere).
///
/// # Errors
/// [`ErrorCode::ModelStoreFailed`] where the environment names no folder.
pub fn default_folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    folder_from(variable)
        .ok_or_else(|| Error::new(ErrorCode::ModelStoreFailed, "no model folder: set TERTULIA_MODELS to one"))
}

fn folder_from(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(folder) = variable("TERTULIA_MODELS") {
        return Some(folder.into());
    }
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| platform::cache_folder(&variable))?;
    Some(cache.join("tertulia").join("models"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(variables: &[(&str, &str)]) -> Option<PathBuf> {
        folder_from(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_nearest_variable_wins() {
        assert_eq!(folder(&[]), None);
        assert_eq!(folder(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some("/c/tertulia/models".into()));
        assert_eq!(folder(&[("TERTULIA_MODELS", "/m"), ("XDG_CACHE_HOME", "/c")]), Some("/m".into()));
        if cfg!(all(unix, not(target_vendor = "apple"))) {
            assert_eq!(folder(&[("HOME", "/h")]), Some("/h/.cache/tertulia/models".into()));
        }
    }
}
