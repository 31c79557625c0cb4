//! [`Capabilities`]: the languages, voices and models of an engine.

use crate::backend::{Backends, Model, VoiceInfo};
use crate::language::LanguageTag;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The abilities of an engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Capabilities {
    /// The languages, by primary subtag.
    pub languages: Vec<LanguageCapability>,
    /// The names of the levels.
    pub levels: Vec<String>,
    /// The names of the scenarios.
    pub scenarios: Vec<String>,
    /// The names of the models, by role; a missing one is absent in JSON.
    pub models: ModelNames,
    /// True if sessions outlive the process.
    pub persistent: bool,
}

/// The abilities of an engine in one language, whatever its region.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LanguageCapability {
    /// The language's primary subtag, such as `es`.
    pub language: String,
    /// The tags of it that the backends name, such as `es` and `es-MX`.
    pub tags: Vec<LanguageTag>,
    /// True if the recogniser knows it.
    pub recognise: bool,
    /// True if the synthesizer knows it.
    pub speak: bool,
    /// True if the chat model knows it.
    pub chat: bool,
    /// The names of its voices; the first is the default one.
    pub voices: Vec<String>,
}

/// The names of an engine's models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ModelNames {
    /// Voice activity detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad: Option<String>,
    /// End-of-turn detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_detector: Option<String>,
    /// Speech to text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recognizer: Option<String>,
    /// Replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// Text to speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthesizer: Option<String>,
}

impl ModelNames {
    pub(super) fn of(backends: &Backends) -> Self {
        fn name<M: Model + ?Sized>(model: &impl AsRef<M>) -> String {
            model.as_ref().name().to_owned()
        }
        Self {
            vad: backends.vad.as_ref().map(name),
            turn_detector: backends.turn_detector.as_ref().map(name),
            recognizer: backends.recognizer.as_ref().map(name),
            chat: backends.chat.as_ref().map(name),
            synthesizer: backends.synthesizer.as_ref().map(name),
        }
    }
}

impl LanguageCapability {
    /// One for each language that any of the backends knows.
    pub(super) fn all(backends: &Backends) -> Vec<Self> {
        let recognise = backends.recognizer.as_ref().map(|model| model.languages()).unwrap_or_default();
        let chat = backends.chat.as_ref().map(|model| model.languages()).unwrap_or_default();
        let speak = backends.synthesizer.as_ref().map(|model| model.languages()).unwrap_or_default();
        let voices: Vec<VoiceInfo> = backends.synthesizer.as_ref().map(|model| model.voices()).unwrap_or_default();
        let spoken = voices.iter().map(|voice| &voice.language);
        let mut tags: BTreeMap<&str, BTreeSet<&LanguageTag>> = BTreeMap::new();
        for tag in recognise.iter().chain(&chat).chain(&speak).chain(spoken) {
            tags.entry(tag.primary()).or_default().insert(tag);
        }
        let of = |language: &str, known: &[LanguageTag]| known.iter().any(|tag| tag.primary() == language);
        tags.into_iter()
            .map(|(language, tags)| Self {
                language: language.to_owned(),
                tags: tags.into_iter().cloned().collect(),
                recognise: of(language, &recognise),
                speak: of(language, &speak),
                chat: of(language, &chat),
                voices: voices.iter().filter(|v| v.language.primary() == language).map(|v| v.name.clone()).collect(),
            })
            .collect()
    }
}
