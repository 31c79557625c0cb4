//! The settings of a session.

use crate::backend::{Lexicon, Sampling};
use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
use serde::{Deserialize, Serialize};
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
    pub speed: f32,
    /// The tutor's persona.
    #[serde(default)]
    pub persona: Persona,
    /// Pronunciations: they change the sound of a word, never the text.
    #[serde(default)]
    pub lexicon: Lexicon,
    /// Words that the recogniser should expect. They hide a learner's errors; none by default.
    #[serde(default)]
    pub vocabulary: Vec<String>,
    /// How long audio and text are retained.
    #[serde(default)]
    pub retention: Retention,
    /// How the engine learns how much of a reply was played.
    #[serde(default)]
    pub playback: Playback,
    /// The latency from a sample that the host reports as played to the user's ear, in ms.
    #[serde(default)]
    pub output_latency_ms: u32,
    /// How long endpointing waits in a pause of the user: from 0, shortest, to 1, longest.
    #[serde(default = "defaults::patience")]
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
        }
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
#[serde(default)]
pub struct Persona {
    /// The name; empty for none.
    pub name: String,
    /// The character, in a sentence or two for the chat model; empty for the default one.
    pub character: String,
}

/// Retention of a session's data. By default text is kept and no audio outlives the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
///
/// ```
/// use tertulia::{Listening, ListeningMode};
/// let hands_free = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
/// assert_eq!(hands_free.preroll_ms, 300);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listening {
    /// Push-to-talk, or an open microphone.
    pub mode: ListeningMode,
    /// Audio before the speech onset that belongs to the utterance, in ms, up to 2,000.
    pub preroll_ms: u32,
    /// The shortest sound that counts as speech, in ms, 30 to 1,000.
    pub speech_ms_min: u32,
    /// Speech during a reply that lasts so long is a barge-in even before any word is recognised, in ms, 100 to 10,000.
    /// Shorter speech is judged by its words; a backchannel ("mhm") or a cough is none.
    pub interrupt_ms: u32,
    /// The interval of partial transcripts, in ms of speech, 100 to 10,000.
    pub partial_ms: u32,
    /// Silence after which [`EventKind::Idle`](crate::EventKind::Idle) is emitted, in ms; `None` for never.
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
    pub(crate) fn check(&self) -> Result<()> {
        check_range("preroll_ms", self.preroll_ms, 0..=2_000)?;
        check_range("speech_ms_min", self.speech_ms_min, 30..=1_000)?;
        check_range("interrupt_ms", self.interrupt_ms, 100..=10_000)?;
        check_range("partial_ms", self.partial_ms, 100..=10_000)
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
#[serde(rename_all = "snake_case")]
pub enum ListeningMode {
    /// The host: all audio up to [`end_utterance`](crate::Session::end_utterance) is one utterance.
    #[default]
    PushToTalk,
    /// The engine: the microphone stays open, and VAD and endpointing find the utterances.
    Continuous,
}

/// How the engine learns how much of a reply was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Playback {
    /// The host calls [`Session::played`](crate::Session::played).
    #[default]
    Reported,
    /// Audio counts as played when it was emitted: for files, and hosts without a speaker.
    Assumed,
}

/// Declares [`SessionUpdate`] and how each change is applied.
macro_rules! session_update {
    ($($field:ident: $type:ty,)*) => {
        /// Changes to a running session, from the next turn on ([`listening`](Self::listening): at once). `None` leaves a
        /// setting as it is. In JSON it is a merge patch of [`SessionConfig`].
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct SessionUpdate {
            $(
                #[doc = concat!("See [`SessionConfig::", stringify!($field), "`].")]
                pub $field: Option<$type>,
            )*
        }

        impl SessionUpdate {
            /// Applies the changes to `config`. Another target language takes its own voice, unless one is set here.
            pub(crate) fn apply(self, config: &mut SessionConfig) {
                if self.target.as_ref().is_some_and(|target| !target.same_language(&config.target)) {
                    config.voice = None;
                }
                $(
                    if let Some(value) = self.$field {
                        config.$field = value.into();
                    }
                )*
            }
        }
    };
}

session_update! {
    native: LanguageTag,
    target: LanguageTag,
    level: String,
    scenario: String,
    voice: String,
    speed: f32,
    persona: Persona,
    lexicon: Lexicon,
    vocabulary: Vec<String>,
    playback: Playback,
    patience: f32,
    interruptible: bool,
    listening: Listening,
}
