//! Strict reading of settings and commands in JSON: a name that is not known is an error, and every error names its path.

use crate::error::{Error, ErrorCode, Result};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

/// Reads a value from JSON.
///
/// # Errors
/// [`ErrorCode::InvalidConfig`] with the path of what is unknown, missing or of another type.
pub(crate) fn from_json<T: DeserializeOwned>(json: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = from_deserializer(&mut reader)?;
    reader.end().map_err(|error| invalid(&error.to_string()))?;
    Ok(value)
}

/// Reads a value from a [`serde_json::Value`] or any other [`Deserializer`]; errors as in [`from_json`].
pub(crate) fn from_deserializer<'de, T: DeserializeOwned, D: Deserializer<'de>>(reader: D) -> Result<T> {
    let (mut track, mut unknown) = (serde_path_to_error::Track::new(), None);
    let tracked = serde_path_to_error::Deserializer::new(reader, &mut track);
    let mut ignore = |path: serde_ignored::Path<'_>| _ = unknown.get_or_insert_with(|| path.to_string());
    let read = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut ignore));
    let value = read.map_err(|error| match track.path().to_string() {
        path if path == "." => invalid(&error.to_string()),
        path => invalid(&format!("{path}: {error}")),
    })?;
    match unknown {
        Some(path) => Err(invalid(&format!("{path}: unknown field"))),
        None => Ok(value),
    }
}

/// Reads a part of a tagged value, whose tag hides from the reader what is unknown in it.
pub(crate) fn nested<'de, T: DeserializeOwned, D: Deserializer<'de>>(reader: D) -> std::result::Result<T, D::Error> {
    let part = serde_json::Value::deserialize(reader)?;
    from_deserializer(part).map_err(|error| serde::de::Error::custom(error.detail()))
}

fn invalid(detail: &str) -> Error {
    Error::new(ErrorCode::InvalidConfig, detail)
}
