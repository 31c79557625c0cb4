//! What a session is set to.

use crate::backend::{Lexicon, Sampling};
use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::SessionId;

impl SessionId {
    /// An id for a session that starts at `now_ms` (Unix time in ms).
    pub fn new(now_ms: u64) -> Self {
        let (seconds, nanos) = (now_ms / 1000, (now_ms % 1000) as u32 * 1_000_000);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }
}

impl std::str::FromStr for SessionId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let uuid = Uuid::try_parse(text)
            .map_err(|source| Error::new(ErrorCode::InvalidArgument, "not a session id").with_source(source))?;
        Ok(Self(uuid))
    }
}

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
    /// The learner's own language.
    pub native: LanguageTag,
    /// The language to practise.
    pub target: LanguageTag,
    /// The name of a level, by default those of the CEFR: `A1` to `C2`.
    #[serde(default = "defaults::level")]
    pub level: String,
    /// The name of a scenario, such as `cafe`.
    #[serde(default = "defaults::scenario")]
    pub scenario: String,
    /// The tutor's voice; `None` takes the first voice of the target language.
    #[serde(default)]
    pub voice: Option<String>,
    /// The pace of speech, 0.5 to 2; 1 is the voice's own.
    #[serde(default = "defaults::speed")]
    pub speed: f32,
    /// The tutor's name and character.
    #[serde(default)]
    pub persona: Persona,
    /// Pronunciations: they change the sound of a word, never the text.
    #[serde(default)]
    pub lexicon: Lexicon,
    /// Words that the recogniser should expect. They hide a learner's errors, so there are none by default.
    #[serde(default)]
    pub vocabulary: Vec<String>,
    /// What is kept, and for how long.
    #[serde(default)]
    pub retention: Retention,
    /// How the engine learns what was heard.
    #[serde(default)]
    pub playback: Playback,
    /// How long samples take from the host's report to the ear, in ms.
    #[serde(default)]
    pub output_latency_ms: u32,
    /// How willing the tutor is to wait for a hesitating learner: 0 not at all, 1 very.
    #[serde(default = "defaults::patience")]
    pub patience: f32,
    /// Whether speech or text of the learner stops the tutor.
    #[serde(default = "defaults::yes")]
    pub interruptible: bool,
    /// When the microphone is listened to, and how.
    #[serde(default)]
    pub listening: Listening,
    /// How the chat model chooses its words.
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

/// Who the tutor is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Persona {
    /// The tutor's name; empty for none.
    pub name: String,
    /// The tutor's character, in a sentence or two for the chat model; empty for the default one.
    pub character: String,
}

/// What is kept of a session, and for how long. By default text stays and no audio outlives the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// What the learner said, as sound.
    pub user_audio: Keep,
    /// What the tutor said, as sound.
    pub reply_audio: Keep,
    /// What both said, as text, and the summaries of it.
    pub text: Keep,
}

impl Default for Retention {
    fn default() -> Self {
        Self { user_audio: Keep::UntilSessionEnd, reply_audio: Keep::UntilSessionEnd, text: Keep::Forever }
    }
}

/// How long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// It is not written at all.
    Never,
    /// Until the session ends.
    UntilSessionEnd,
    /// For this many ms after its turn.
    ForMs(u64),
    /// Until the session is deleted.
    Forever,
}

/// When the microphone is listened to, and how.
///
/// ```
/// use tertulia::{Listening, ListeningMode};
/// let hands_free = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
/// assert_eq!(hands_free.preroll_ms, 300);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listening {
    /// Who says when an utterance starts and ends.
    pub mode: ListeningMode,
    /// Sound from before the first speech that belongs to the utterance, in ms, up to 2,000.
    pub preroll_ms: u32,
    /// Sound that is shorter is not taken for speech, in ms, 30 to 1,000.
    pub speech_ms_min: u32,
    /// Speech over the tutor that lasts so long interrupts, in ms, even before a word of it is understood; 100 to
    /// 10,000. What is shorter interrupts by its words; "mhm" or a cough does not.
    pub interrupt_ms: u32,
    /// The words so far are shown after so many ms of speech, again and again; 100 to 10,000.
    pub partial_ms: u32,
    /// The host is told when nobody has spoken for so many ms ([`EventKind::Idle`](crate::EventKind::Idle)); `None` for
    /// never.
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
        let ranges = [
            ("preroll_ms", self.preroll_ms, 0..=2_000),
            ("speech_ms_min", self.speech_ms_min, 30..=1_000),
            ("interrupt_ms", self.interrupt_ms, 100..=10_000),
            ("partial_ms", self.partial_ms, 100..=10_000),
        ];
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                return Err(Error::new(ErrorCode::InvalidConfig, format!("{name} is outside {least} to {most}")));
            }
        }
        Ok(())
    }
}

/// # Errors
/// [`ErrorCode::InvalidConfig`] where `patience` is outside 0 to 1.
pub(crate) fn check_patience(patience: f32) -> Result<()> {
    if (0.0..=1.0).contains(&patience) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidConfig, "patience is outside 0 to 1"))
}

/// Who says when an utterance starts and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListeningMode {
    /// The host: all audio up to [`end_utterance`](crate::Session::end_utterance) is one utterance.
    #[default]
    PushToTalk,
    /// The engine: the microphone stays open, and the engine hears when someone starts and has finished.
    Continuous,
}

/// How the engine learns what of a reply was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Playback {
    /// The host calls [`played`].
    #[default]
    Reported,
    /// Audio counts as heard when it was given out: for files, and hosts without a speaker.
    Assumed,
}

/// Changes to a running session; they hold from the next turn. `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionUpdate {
    /// See [`SessionConfig::native`].
    pub native: Option<LanguageTag>,
    /// See [`SessionConfig::target`].
    pub target: Option<LanguageTag>,
    /// See [`SessionConfig::level`].
    pub level: Option<String>,
    /// See [`SessionConfig::scenario`].
    pub scenario: Option<String>,
    /// See [`SessionConfig::voice`].
    pub voice: Option<String>,
    /// See [`SessionConfig::speed`].
    pub speed: Option<f32>,
    /// See [`SessionConfig::persona`].
    pub persona: Option<Persona>,
    /// See [`SessionConfig::lexicon`].
    pub lexicon: Option<Lexicon>,
    /// See [`SessionConfig::vocabulary`].
    pub vocabulary: Option<Vec<String>>,
    /// See [`SessionConfig::playback`].
    pub playback: Option<Playback>,
    /// See [`SessionConfig::patience`].
    pub patience: Option<f32>,
    /// See [`SessionConfig::interruptible`].
    pub interruptible: Option<bool>,
    /// See [`SessionConfig::listening`]; it holds at once.
    pub listening: Option<Listening>,
}

impl SessionUpdate {
    /// Puts the changes into `config`.
    pub(crate) fn apply(self, config: &mut SessionConfig) {
        fn set<T>(setting: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *setting = value;
            }
        }
        let language_changes = self.target.as_ref().is_some_and(|target| !target.same_language(&config.target));
        set(&mut config.native, self.native);
        set(&mut config.target, self.target);
        set(&mut config.level, self.level);
        set(&mut config.scenario, self.scenario);
        set(&mut config.speed, self.speed);
        set(&mut config.persona, self.persona);
        set(&mut config.lexicon, self.lexicon);
        set(&mut config.vocabulary, self.vocabulary);
        set(&mut config.playback, self.playback);
        set(&mut config.patience, self.patience);
        set(&mut config.interruptible, self.interruptible);
        set(&mut config.listening, self.listening);
        match self.voice {
            Some(voice) => config.voice = Some(voice),
            // Another language takes its own voice, unless one was asked for.
            None if language_changes => config.voice = None,
            None => {}
        }
    }
}
