//! [`Capabilities`]: the languages, voices and models of an engine.

use crate::backend::{Backends, Model, VoiceInfo};
use crate::language::LanguageTag;
use serde::Serialize;
use std::collections::BTreeSet;

/// The abilities of an engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capabilities {
    /// The languages, by tag.
    pub languages: Vec<LanguageCapability>,
    /// The names of the levels.
    pub levels: Vec<String>,
    /// The names of the scenarios.
    pub scenarios: Vec<String>,
    /// The names of the models, by role; a missing one is null.
    pub models: ModelNames,
    /// True if sessions outlive the process.
    pub persistent: bool,
}

/// The abilities of an engine in one language.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LanguageCapability {
    /// The language.
    pub tag: LanguageTag,
    /// True if the recogniser knows it.
    pub recognise: bool,
    /// True if the synthesizer knows it.
    pub speak: bool,
    /// True if the chat model knows it.
    pub chat: bool,
    /// The names of its voices.
    pub voices: Vec<String>,
}

/// The names of an engine's models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelNames {
    /// Voice activity detection.
    pub vad: Option<String>,
    /// End-of-turn detection.
    pub turn_detector: Option<String>,
    /// Speech to text.
    pub recognizer: Option<String>,
    /// Replies.
    pub chat: Option<String>,
    /// Text to speech.
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
        let tags: BTreeSet<&LanguageTag> = recognise.iter().chain(&chat).chain(&speak).collect();
        tags.into_iter()
            .map(|tag| Self {
                tag: tag.clone(),
                recognise: recognise.contains(tag),
                speak: speak.contains(tag),
                chat: chat.contains(tag),
                voices: voices.iter().filter(|v| v.language.same_language(tag)).map(|v| v.name.clone()).collect(),
            })
            .collect()
    }
}
