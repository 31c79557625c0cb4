//! [`EngineOptions`]: the settings of an engine as plain data.

use crate::config::check_range;
use crate::error::{Error, ErrorCode, Result};
use crate::store::{StoreKey, StoreLocation};
use crate::strict;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The settings of an engine. Everything has a default; [`EngineBuilder::options`](crate::EngineBuilder::options) applies
/// them. The models and threads are for the crate that makes the backends.
///
/// ```
/// use tertulia::{EngineBuilder, EngineOptions, ModelChoice};
/// # fn main() -> tertulia::Result<()> {
/// let options = EngineOptions::from_json(
///     r#"{"store": "memory", "audio_bytes_max": 500000000, "models": {"recognizer": "whisper-tiny", "vad": "none"}}"#,
/// )?;
/// assert_eq!(options.models.recognizer, ModelChoice::Named("whisper-tiny".into()));
/// assert_eq!((options.models.chat, options.utterance_seconds_max), (ModelChoice::Default, 120));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EngineOptions {
    /// The place of the store.
    pub store: StorePlace,
    /// The key of an encrypted store, in JSON 64 hexadecimal digits; `None` for one that is not encrypted. Its bytes are
    /// in the JSON form, and never in `Debug` output.
    #[serde(with = "key", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub key: Option<StoreKey>,
    /// The quota of audio in bytes; see [`StoreOptions::audio_bytes_max`](crate::store::StoreOptions::audio_bytes_max).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_bytes_max: Option<u64>,
    /// The memory limit of all models together, in bytes, from 1; `None` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub memory_bytes_max: Option<u64>,
    /// The longest utterance in seconds, 1 to 600.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600)))]
    pub utterance_seconds_max: u32,
    /// The folder of the model files; `None` for the platform's place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_folder: Option<PathBuf>,
    /// The threads that the models may use, 1 to 256; `None` for as many as there are processors. All engines of a process
    /// share them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 256)))]
    pub threads: Option<usize>,
    /// The model of each role.
    pub models: ModelChoices,
    /// Levels, scenarios and prompts that are added to the built-in ones: an object as
    /// [`Catalog::merge_json`](crate::catalog::Catalog::merge_json) reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<serde_json::Value>,
}

/// The place of an engine's store, as data; in JSON `"memory"` or `{"path": "…"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StorePlace {
    /// In memory; sessions are gone with the engine.
    #[default]
    Memory,
    /// In this file; see [`StoreLocation::File`].
    Path(PathBuf),
}

/// The model of each role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelChoices {
    /// Voice activity detection.
    pub vad: ModelChoice,
    /// End-of-turn detection.
    pub turn_detector: ModelChoice,
    /// Speech to text.
    pub recognizer: ModelChoice,
    /// Replies.
    pub chat: ModelChoice,
    /// Text to speech.
    pub synthesizer: ModelChoice,
}

/// The model of a role; in JSON `"default"`, `"none"` or its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schemars(extend("minLength" = 1, "maxLength" = 200)))]
pub enum ModelChoice {
    /// The one that suits the most devices.
    #[default]
    Default,
    /// None; the engine lacks the role, or the host brings its own backend.
    None,
    /// The one of this name, 1 to 200 bytes.
    Named(String),
}

impl TryFrom<String> for ModelChoice {
    type Error = &'static str;

    fn try_from(name: String) -> std::result::Result<Self, Self::Error> {
        match name.as_str() {
            "default" => Ok(Self::Default),
            "none" => Ok(Self::None),
            _ if (1..=200).contains(&name.len()) => Ok(Self::Named(name)),
            _ => Err("a name of 1 to 200 bytes was expected"),
        }
    }
}

impl From<ModelChoice> for String {
    fn from(choice: ModelChoice) -> Self {
        match choice {
            ModelChoice::Default => "default".into(),
            ModelChoice::None => "none".into(),
            ModelChoice::Named(name) => name,
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            store: StorePlace::Memory,
            key: None,
            audio_bytes_max: None,
            memory_bytes_max: None,
            utterance_seconds_max: 120,
            model_folder: None,
            threads: None,
            models: ModelChoices::default(),
            catalog: None,
        }
    }
}

impl EngineOptions {
    /// Reads options from JSON.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] with the path of an option that is unknown, of another type, or outside its range.
    pub fn from_json(json: &str) -> Result<Self> {
        let options: Self = strict::from_json(json)?;
        options.check_ranges()?;
        Ok(options)
    }

    /// The options in JSON, the key included.
    pub fn to_json(&self) -> Result<String> {
        let no_form = |source| Error::new(ErrorCode::InvalidConfig, "store.path: not Unicode").with_source(source);
        serde_json::to_string(self).map_err(no_form)
    }

    pub(super) fn check_ranges(&self) -> Result<()> {
        check_range("memory_bytes_max", self.memory_bytes_max.unwrap_or(u64::MAX), 1..=u64::MAX)?;
        check_range("utterance_seconds_max", self.utterance_seconds_max, 1..=600)?;
        check_range("threads", self.threads.unwrap_or(1), 1..=256)?;
        match &self.store {
            StorePlace::Path(path) if path.as_os_str().is_empty() => {
                Err(Error::new(ErrorCode::InvalidConfig, "store.path: empty"))
            }
            _ => Ok(()),
        }
    }
}

impl From<StorePlace> for StoreLocation {
    fn from(place: StorePlace) -> Self {
        match place {
            StorePlace::Memory => Self::Memory,
            StorePlace::Path(path) => Self::File(path),
        }
    }
}

/// A key as hexadecimal digits.
mod key {
    use super::{Deserialize, Deserializer, Serialize, Serializer, StoreKey, Zeroizing};

    pub(super) fn serialize<S: Serializer>(key: &Option<StoreKey>, serializer: S) -> Result<S::Ok, S::Error> {
        key.as_ref().map(StoreKey::to_hex).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StoreKey>, D::Error> {
        let digits = Option::<String>::deserialize(deserializer)?.map(Zeroizing::new);
        digits
            .map(|digits| StoreKey::from_hex(&digits).map_err(|error| serde::de::Error::custom(error.detail())))
            .transpose()
    }
}
