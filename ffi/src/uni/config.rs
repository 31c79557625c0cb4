//! Settings of sessions and engines as typed records. Where a setting is none it has the engine's default.

use super::call;
use crate::boundary::invalid;
use engine::store::StoreKey;
use engine::{Error, ErrorCode, ModelChoice, Result, StorePlace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The settings of a session. Everything but the two languages has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// The user's own language, as BCP 47 tag.
    pub native: String,
    /// The language to practise.
    pub target: String,
    /// The name of a level, by default those of the CEFR: `A1` to `C2`.
    #[uniffi(default = "A2")]
    pub level: String,
    /// The name of a scenario, such as `cafe`.
    #[uniffi(default = "free-talk")]
    pub scenario: String,
    /// The name of the voice; none takes the first voice of the target language.
    #[uniffi(default = None)]
    pub voice: Option<String>,
    /// The speed of speech, 0.5 to 2; 1 is the voice's own.
    #[uniffi(default = 1.0)]
    pub speed: f32,
    /// The tutor's persona.
    #[uniffi(default)]
    pub persona: Persona,
    /// Pronunciations: language, then word in lower case, then IPA.
    #[uniffi(default)]
    pub lexicon: HashMap<String, HashMap<String, String>>,
    /// Words that the recogniser should expect, up to 1,000 of up to 100 bytes.
    #[uniffi(default = [])]
    pub vocabulary: Vec<String>,
    /// How long audio and text are retained.
    #[uniffi(default)]
    pub retention: Retention,
    /// How the engine learns how much of a reply was played; none is `Reported`.
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
    /// The latency from a sample that the host reports as played to the user's ear, in ms, up to 5,000.
    #[uniffi(default = 0)]
    pub output_latency_ms: u32,
    /// How long endpointing waits in a pause of the user: from 0, shortest, to 1, longest.
    #[uniffi(default = 0.5)]
    pub patience: f32,
    /// True if speech or text of the user interrupts a reply (barge-in).
    #[uniffi(default = true)]
    pub interruptible: bool,
    /// Voice activity detection and endpointing.
    #[uniffi(default)]
    pub listening: Listening,
    /// Sampling of the chat model's tokens.
    #[uniffi(default)]
    pub sampling: Sampling,
    /// A string of the host's that each request to a backend carries, up to 1,000 bytes.
    #[uniffi(default = "")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_tag: String,
    /// The title in lists of sessions, 1 to 500 bytes; none for the first words of the user.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Names and values for the host's own use, up to 4,000 bytes together.
    #[uniffi(default)]
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub metadata: HashMap<String, String>,
}

/// The tutor's name and character.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Persona {
    /// The name, up to 200 bytes; empty for none.
    #[uniffi(default = "")]
    pub name: String,
    /// The character, in a sentence or two for the chat model, up to 4,000 bytes; empty for the default one.
    #[uniffi(default = "")]
    pub character: String,
}

/// Retention of a session's data. By default text is kept and no audio outlives the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Audio of the user; none is `UntilSessionEnd`.
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_audio: Option<Keep>,
    /// Audio of replies; none is `UntilSessionEnd`.
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_audio: Option<Keep>,
    /// Transcripts, replies and summaries; none is `Forever`.
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Keep>,
}

/// A retention rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Never stored.
    Never,
    /// Until the session ends.
    UntilSessionEnd,
    /// For this many ms after its turn.
    ForMs(u64),
    /// Until the session is deleted.
    Forever,
}

/// Voice activity detection and endpointing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// Push-to-talk, or an open microphone; none is `PushToTalk`.
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ListeningMode>,
    /// Audio before the speech onset that belongs to the utterance, in ms, up to 2,000.
    #[uniffi(default = 300)]
    pub preroll_ms: u32,
    /// The shortest sound that counts as speech, in ms, 30 to 1,000.
    #[uniffi(default = 90)]
    pub speech_ms_min: u32,
    /// Speech during a reply that lasts so long is a barge-in even before any word is recognised, in ms, 100 to 10,000.
    #[uniffi(default = 500)]
    pub interrupt_ms: u32,
    /// The interval of partial transcripts, in ms of speech, 100 to 10,000.
    #[uniffi(default = 500)]
    pub partial_ms: u32,
    /// Silence after which `Idle` is sent, in ms, from 100; none for never.
    #[uniffi(default = None)]
    pub idle_ms: Option<u32>,
}

/// The source of an utterance's start and end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum ListeningMode {
    /// The host: all audio up to `end_utterance` is one utterance.
    PushToTalk,
    /// The engine: the microphone stays open, and VAD and endpointing find the utterances.
    Continuous,
}

/// How the engine learns how much of a reply was played.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum Playback {
    /// The host calls `played`.
    Reported,
    /// Audio counts as played when it was emitted: for files, and hosts without a speaker.
    Assumed,
}

/// Sampling of the chat model's tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The temperature, 0 to 2; 0 is greedy decoding.
    #[uniffi(default = 0.7)]
    pub temperature: f32,
    /// Nucleus sampling: the likeliest tokens whose probabilities reach this sum, 0 to 1.
    #[uniffi(default = 0.9)]
    pub top_p: f32,
    /// Top-k sampling: this many of the likeliest tokens; 0 for all.
    #[uniffi(default = 40)]
    pub top_k: u32,
    /// Divides the logits of the last 64 tokens, 0.5 to 2; 1 for no penalty.
    #[uniffi(default = 1.1)]
    pub repetition_penalty: f32,
    /// The same seed gives the same reply; none draws one.
    #[uniffi(default = None)]
    pub seed: Option<u64>,
    /// Texts that end the reply, up to 16 of up to 100 bytes; they are not part of it.
    #[uniffi(default = [])]
    pub stop: Vec<String>,
    /// The most tokens of one reply, 1 to 8,192.
    #[uniffi(default = 256)]
    pub max_tokens: u32,
}

/// Changes to the settings of a session: those that are given; nested ones as a whole. Changes of single nested settings are
/// a command in JSON (`apply`: `update`).
#[derive(Clone, Debug, PartialEq, Serialize, uniffi::Record)]
pub struct SessionUpdate {
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persona: Option<Persona>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lexicon: Option<HashMap<String, HashMap<String, String>>>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vec<String>>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_latency_ms: Option<u32>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<f32>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruptible: Option<bool>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listening: Option<Listening>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_tag: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[uniffi(default = None)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HashMap<String, String>>,
    /// Names of settings that get their default again, such as `voice`, before the changes above.
    #[uniffi(default = [])]
    #[serde(skip)]
    pub reset: Vec<String>,
}

/// The settings of an engine.
#[derive(Clone, uniffi::Record)]
pub struct EngineOptions {
    /// The path of the store's file; none for memory, where sessions are gone with the engine.
    #[uniffi(default = None)]
    pub store: Option<String>,
    /// The key of an encrypted store, 32 bytes.
    #[uniffi(default = None)]
    pub key: Option<Vec<u8>>,
    /// The quota of audio in the store, in bytes.
    #[uniffi(default = None)]
    pub audio_bytes_max: Option<u64>,
    /// The memory limit of all models together, in bytes.
    #[uniffi(default = None)]
    pub memory_bytes_max: Option<u64>,
    /// The longest utterance in seconds, 1 to 600.
    #[uniffi(default = 120)]
    pub utterance_seconds_max: u32,
    /// The folder of the model files; none for the platform's place for it.
    #[uniffi(default = None)]
    pub model_folder: Option<String>,
    /// The threads that the models may use, 1 to 256; none for as many as there are processors.
    #[uniffi(default = None)]
    pub threads: Option<u32>,
    /// The model of each role that has no backend of the host's.
    #[uniffi(default)]
    pub models: ModelChoices,
    /// Levels, scenarios and prompts that are added to the built-in ones, in JSON.
    #[uniffi(default = None)]
    pub catalog_json: Option<String>,
}

/// The model of each role: `default`, `none`, or a model's name.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ModelChoices {
    /// Voice activity detection.
    #[uniffi(default = "default")]
    pub vad: String,
    /// End-of-turn detection.
    #[uniffi(default = "default")]
    pub turn_detector: String,
    /// Speech to text.
    #[uniffi(default = "default")]
    pub recognizer: String,
    /// Replies.
    #[uniffi(default = "default")]
    pub chat: String,
    /// Text to speech.
    #[uniffi(default = "default")]
    pub synthesizer: String,
}

/// The same data in another type, by way of their common JSON form.
pub(super) fn mirrored<T: DeserializeOwned>(value: &impl Serialize) -> Result<T> {
    serde_json::to_value(value).and_then(serde_json::from_value).map_err(|source| {
        Error::new(ErrorCode::Internal, "the forms of Rust and of the bindings differ").with_source(source)
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and plain structs")
}

impl SessionConfig {
    pub(super) fn read(&self) -> Result<engine::SessionConfig> {
        engine::SessionConfig::from_json(&json(self))
    }
}

#[uniffi::export]
impl SessionConfig {
    /// The settings in JSON, as docs/schema/commands.json describes them.
    pub fn json(&self) -> String {
        json(self)
    }
}

/// Settings from JSON. Fails with InvalidConfig.
#[uniffi::export]
fn session_config(json: &str) -> super::Result<SessionConfig> {
    call(|| mirrored(&engine::SessionConfig::from_json(json)?))
}

impl SessionUpdate {
    pub(super) fn read(&self) -> Result<engine::SessionUpdate> {
        let mut changes = serde_json::Map::new();
        changes.extend(self.reset.iter().map(|name| (name.clone(), serde_json::Value::Null)));
        let given = serde_json::to_value(self).expect("strings, numbers and plain structs");
        changes.extend(given.as_object().expect("it is a struct").clone());
        engine::SessionUpdate::from_json(&json(&changes))
    }
}

impl EngineOptions {
    pub(super) fn read(self) -> Result<engine::EngineOptions> {
        let bad =
            |name: &str, why: &dyn std::fmt::Display| Error::new(ErrorCode::InvalidConfig, format!("{name}: {why}"));
        let key = self.key.map(|key| key.try_into().map_err(|_| invalid("key: 32 bytes were expected")));
        let catalog = self.catalog_json.map(|json| serde_json::from_str(&json));
        let choice = |name: String| ModelChoice::try_from(name).map_err(|why| bad("models", &why));
        Ok(engine::EngineOptions {
            store: self.store.map_or(StorePlace::Memory, |path| StorePlace::Path(path.into())),
            key: key.transpose()?.map(StoreKey::new),
            audio_bytes_max: self.audio_bytes_max,
            memory_bytes_max: self.memory_bytes_max,
            utterance_seconds_max: self.utterance_seconds_max,
            model_folder: self.model_folder.map(Into::into),
            threads: self.threads.map(|threads| threads as usize),
            models: engine::ModelChoices {
                vad: choice(self.models.vad)?,
                turn_detector: choice(self.models.turn_detector)?,
                recognizer: choice(self.models.recognizer)?,
                chat: choice(self.models.chat)?,
                synthesizer: choice(self.models.synthesizer)?,
            },
            catalog: catalog.transpose().map_err(|error| bad("catalog", &error))?,
        })
    }
}
