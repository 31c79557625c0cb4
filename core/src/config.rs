//! The settings of a session.

use crate::backend::{Lexicon, Sampling};
use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
use crate::strict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The settings of a session. Everything but the two languages has a default.
///
/// ```
/// use tertulia::SessionConfig;
/// let mut config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
/// config.level = "A2".into();
/// config.speed = 0.8;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionConfig {
    /// The user's own language.
    pub native: LanguageTag,
    /// The language to practise.
    pub target: LanguageTag,
    /// The name of a level, by default those of the CEFR: `A1` to `C2`.
    #[serde(default = "defaults::level")]
    pub level: String,
    /// The name of a scenario, such as `cafe`.
    #[serde(default = "defaults::scenario")]
    pub scenario: String,
    /// The name of the voice; `None` takes the first voice of the target language.
    #[serde(default)]
    pub voice: Option<String>,
    /// The speed of speech, 0.5 to 2; 1 is the voice's own.
    #[serde(default = "defaults::speed")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.5, max = 2.0)))]
    pub speed: f32,
    /// The tutor's persona.
    #[serde(default)]
    pub persona: Persona,
    /// Pronunciations: they change the sound of a word, never the text.
    #[serde(default)]
    pub lexicon: Lexicon,
    /// Words that the recogniser should expect, up to 1,000 of up to 100 bytes. They hide a learner's errors; none by
    /// default.
    #[serde(default)]
    pub vocabulary: Vec<String>,
    /// How long audio and text are retained.
    #[serde(default)]
    pub retention: Retention,
    /// How the engine learns how much of a reply was played.
    #[serde(default)]
    pub playback: Playback,
    /// The latency from a sample that the host reports as played to the user's ear, in ms, up to 5,000.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 5_000)))]
    pub output_latency_ms: u32,
    /// How long endpointing waits in a pause of the user: from 0, shortest, to 1, longest.
    #[serde(default = "defaults::patience")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub patience: f32,
    /// True if speech or text of the user interrupts a reply (barge-in).
    #[serde(default = "defaults::yes")]
    pub interruptible: bool,
    /// Voice activity detection and endpointing.
    #[serde(default)]
    pub listening: Listening,
    /// Sampling of the chat model's tokens.
    #[serde(default)]
    pub sampling: Sampling,
    /// A string of the host's that each request to a backend carries, up to 1,000 bytes: an account, say, or a trace id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_tag: String,
    /// The title in lists of sessions, 1 to 500 bytes; `None` for the first words of the user, as far as the retention of
    /// text allows. A title that is set here is the host's, and stays until it is reset or the session is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Names and values for the host's own use, up to 4,000 bytes together. Like the title they are kept and exported with
    /// the session, whatever its retention, and a list of sessions can be filtered by them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

mod defaults {
    pub(super) fn level() -> String {
        "A2".into()
    }
    pub(super) fn scenario() -> String {
        "free-talk".into()
    }
    pub(super) fn speed() -> f32 {
        1.0
    }
    pub(super) fn patience() -> f32 {
        0.5
    }
    pub(super) fn yes() -> bool {
        true
    }
}

impl SessionConfig {
    /// The default settings for a learner of `target` whose own language is `native`.
    pub fn new(native: LanguageTag, target: LanguageTag) -> Self {
        Self {
            native,
            target,
            level: defaults::level(),
            scenario: defaults::scenario(),
            voice: None,
            speed: defaults::speed(),
            persona: Persona::default(),
            lexicon: Lexicon::new(),
            vocabulary: Vec::new(),
            retention: Retention::default(),
            playback: Playback::default(),
            output_latency_ms: 0,
            patience: defaults::patience(),
            interruptible: true,
            listening: Listening::default(),
            sampling: Sampling::default(),
            request_tag: String::new(),
            title: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Reads settings from JSON.
    ///
    /// ```
    /// use tertulia::SessionConfig;
    /// let config = SessionConfig::from_json(r#"{"native": "en", "target": "es", "level": "B1"}"#).unwrap();
    /// assert_eq!(SessionConfig::from_json(&config.to_json()).unwrap(), config);
    /// let error = SessionConfig::from_json(r#"{"native": "en", "target": "es", "listening": {"idel_ms": 1}}"#);
    /// assert_eq!(error.unwrap_err().detail(), "listening.idel_ms: unknown field");
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] with the path of a setting that is unknown, missing or of another type. Ranges are
    /// checked where the settings are used.
    pub fn from_json(json: &str) -> Result<Self> {
        strict::from_json(json)
    }

    /// The settings in JSON.
    pub fn to_json(&self) -> String {
        json_of(self)
    }

    /// Checks every number and every length.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names the setting that is out of its range.
    pub(crate) fn check_ranges(&self) -> Result<()> {
        check_range("speed", self.speed, 0.5..=2.0)?;
        check_range("patience", self.patience, 0.0..=1.0)?;
        check_range("output_latency_ms", self.output_latency_ms, 0..=5_000)?;
        check_range("persona.name: bytes", self.persona.name.len(), 0..=200)?;
        check_range("persona.character: bytes", self.persona.character.len(), 0..=4_000)?;
        check_range("vocabulary: words", self.vocabulary.len(), 0..=1_000)?;
        for word in &self.vocabulary {
            check_range("vocabulary: bytes of a word", word.len(), 1..=100)?;
        }
        check_range("request_tag: bytes", self.request_tag.len(), 0..=1_000)?;
        check_range("title: bytes", self.title.as_ref().map_or(1, String::len), 1..=500)?;
        let metadata_bytes = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        check_range("metadata: bytes", metadata_bytes, 0..=4_000)?;
        self.listening.check_ranges()?;
        self.sampling.check_ranges()
    }

    /// Target, then native; one entry where they are the same language.
    pub fn languages(&self) -> Vec<LanguageTag> {
        let mut languages = vec![self.target.clone()];
        if !self.target.same_language(&self.native) {
            languages.push(self.native.clone());
        }
        languages
    }
}

/// The tutor's name and character.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Persona {
    /// The name, up to 200 bytes; empty for none.
    pub name: String,
    /// The character, in a sentence or two for the chat model, up to 4,000 bytes; empty for the default one.
    pub character: String,
}

/// Retention of a session's data. By default text is kept and no audio outlives the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Retention {
    /// Audio of the user.
    pub user_audio: Keep,
    /// Audio of replies.
    pub reply_audio: Keep,
    /// Transcripts, replies and summaries.
    pub text: Keep,
}

impl Default for Retention {
    fn default() -> Self {
        Self { user_audio: Keep::UntilSessionEnd, reply_audio: Keep::UntilSessionEnd, text: Keep::Forever }
    }
}

/// A retention rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
///
/// ```
/// use tertulia::{Listening, ListeningMode};
/// let hands_free = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
/// assert_eq!(hands_free.preroll_ms, 300);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Listening {
    /// Push-to-talk, or an open microphone.
    pub mode: ListeningMode,
    /// Audio before the speech onset that belongs to the utterance, in ms, up to 2,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2_000)))]
    pub preroll_ms: u32,
    /// The shortest sound that counts as speech, in ms, 30 to 1,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 30, max = 1_000)))]
    pub speech_ms_min: u32,
    /// Speech during a reply that lasts so long is a barge-in even before any word is recognised, in ms, 100 to 10,000.
    /// Shorter speech is judged by its words; a backchannel ("mhm") or a cough is none.
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 10_000)))]
    pub interrupt_ms: u32,
    /// The interval of partial transcripts, in ms of speech, 100 to 10,000.
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 10_000)))]
    pub partial_ms: u32,
    /// Silence after which [`EventKind::Idle`](crate::EventKind::Idle) is emitted, in ms, from 100; `None` for never.
    #[cfg_attr(feature = "schema", schemars(range(min = 100)))]
    pub idle_ms: Option<u32>,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            mode: ListeningMode::PushToTalk,
            preroll_ms: 300,
            speech_ms_min: 90,
            interrupt_ms: 500,
            partial_ms: 500,
            idle_ms: None,
        }
    }
}

impl Listening {
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names the setting that is out of its range.
    pub(crate) fn check_ranges(&self) -> Result<()> {
        check_range("listening.preroll_ms", self.preroll_ms, 0..=2_000)?;
        check_range("listening.speech_ms_min", self.speech_ms_min, 30..=1_000)?;
        check_range("listening.interrupt_ms", self.interrupt_ms, 100..=10_000)?;
        check_range("listening.partial_ms", self.partial_ms, 100..=10_000)?;
        check_range("listening.idle_ms", self.idle_ms.unwrap_or(u32::MAX), 100..=u32::MAX)
    }
}

impl Sampling {
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names the parameter that is out of its range.
    pub(crate) fn check_ranges(&self) -> Result<()> {
        check_range("sampling.temperature", self.temperature, 0.0..=2.0)?;
        check_range("sampling.top_p", self.top_p, 0.0..=1.0)?;
        check_range("sampling.repetition_penalty", self.repetition_penalty, 0.5..=2.0)?;
        check_range("sampling.stop: texts", self.stop.len(), 0..=16)?;
        for stop in &self.stop {
            check_range("sampling.stop: bytes of a text", stop.len(), 1..=100)?;
        }
        check_range("sampling.max_tokens", self.max_tokens, 1..=8_192)
    }
}

/// # Errors
/// [`ErrorCode::InvalidConfig`] where the value is outside the range.
pub(crate) fn check_range<T: PartialOrd + Display>(name: &str, value: T, range: RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (min, max) = range.into_inner();
    Err(Error::new(ErrorCode::InvalidConfig, format!("{name} is {value}: outside {min} to {max}")))
}

/// The source of an utterance's start and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ListeningMode {
    /// The host: all audio up to [`end_utterance`](crate::Session::end_utterance) is one utterance.
    #[default]
    PushToTalk,
    /// The engine: the microphone stays open, and VAD and endpointing find the utterances.
    Continuous,
}

/// How the engine learns how much of a reply was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Playback {
    /// The host calls [`Session::played`](crate::Session::played).
    #[default]
    Reported,
    /// Audio counts as played when it was emitted: for files, and hosts without a speaker.
    Assumed,
}

/// Declares [`SessionUpdate`] with a setter for each setting.
macro_rules! session_update {
    ($($field:ident: $type:ty,)*) => {
        /// Changes to the settings of a session: a merge patch (RFC 7396) of the JSON form of [`SessionConfig`]. An absent
        /// setting stays as it is, null resets it to its default, and objects are merged member by member.
        ///
        /// ```
        /// use tertulia::{SessionConfig, SessionUpdate};
        /// # fn main() -> tertulia::Result<()> {
        /// let config = SessionConfig::new("en".parse()?, "es".parse()?);
        /// let update = SessionUpdate::from_json(r#"{"speed": 0.8, "listening": {"idle_ms": 8000}}"#)?;
        /// let changed = update.applied_to(&config)?;
        /// assert_eq!((changed.speed, changed.listening.idle_ms), (0.8, Some(8000)));
        /// assert_eq!(changed.listening.partial_ms, config.listening.partial_ms);
        /// # Ok(())
        /// # }
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "serde_json::Map<String, Value>", into = "serde_json::Map<String, Value>")]
        pub struct SessionUpdate(serde_json::Map<String, Value>);

        impl SessionUpdate {
            $(
                #[doc = concat!("Sets [`SessionConfig::", stringify!($field), "`].")]
                pub fn $field(self, value: impl Into<$type>) -> Self {
                    self.set(stringify!($field), value.into())
                }
            )*
        }
    };
}

session_update! {
    native: LanguageTag,
    target: LanguageTag,
    level: String,
    scenario: String,
    voice: Option<String>,
    speed: f32,
    persona: Persona,
    lexicon: Lexicon,
    vocabulary: Vec<String>,
    retention: Retention,
    playback: Playback,
    output_latency_ms: u32,
    patience: f32,
    interruptible: bool,
    listening: Listening,
    sampling: Sampling,
    request_tag: String,
    title: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl SessionUpdate {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads changes from JSON.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] with the path of a setting that is unknown, of another type, or cannot be reset.
    pub fn from_json(json: &str) -> Result<Self> {
        strict::from_json(json)
    }

    /// The changes in JSON.
    pub fn to_json(&self) -> String {
        json_of(self)
    }

    /// The settings with these changes. Another target language takes its own voice, unless one is set here.
    ///
    /// # Errors
    /// As for [`from_json`](Self::from_json).
    pub fn applied_to(&self, config: &SessionConfig) -> Result<SessionConfig> {
        let mut json = serde_json::to_value(config).expect("settings hold only strings, numbers and plain structs");
        merge(&mut json, &Value::Object(self.0.clone()));
        let mut changed: SessionConfig = strict::from_deserializer(json)?;
        if !changed.target.same_language(&config.target) && !self.0.contains_key("voice") {
            changed.voice = None;
        }
        Ok(changed)
    }

    fn set(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).expect("settings hold only strings, numbers and plain structs");
        self.0.insert(name.to_owned(), value);
        self
    }
}

/// Reads changes, whose names and types must be those of settings.
impl TryFrom<serde_json::Map<String, Value>> for SessionUpdate {
    type Error = String;

    fn try_from(changes: serde_json::Map<String, Value>) -> Result<Self, String> {
        let update = Self(changes);
        let checked =
            "en".parse::<LanguageTag>().and_then(|tag| update.applied_to(&SessionConfig::new(tag.clone(), tag)));
        checked.map_err(|error| error.detail().to_owned())?;
        Ok(update)
    }
}

impl From<SessionUpdate> for serde_json::Map<String, Value> {
    fn from(update: SessionUpdate) -> Self {
        update.0
    }
}

/// Merges a patch as RFC 7396 says.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let target = target.as_object_mut().expect("it is an object now");
    for (name, value) in patch {
        match value {
            Value::Null => _ = target.remove(name),
            value => merge(target.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

fn json_of(settings: &impl Serialize) -> String {
    serde_json::to_string(settings).expect("settings hold only strings, numbers and plain structs")
}
