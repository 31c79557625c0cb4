//! The records of the store as plain data.

use crate::config::SessionConfig;
pub use crate::event::TurnState;
use crate::event::{Metrics, SessionId, Transcript, TurnId, TurnOrigin};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A session: its settings, and where it stands. All times are Unix times in ms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session's id.
    pub id: SessionId,
    /// When it was created.
    pub created_ms: u64,
    /// When it last changed; the store raises it with every turn.
    pub updated_ms: u64,
    /// When it was ended; `None` where it can be opened again.
    pub ended_ms: Option<u64>,
    /// Its settings.
    pub config: SessionConfig,
    /// The first words of the user, for a list of sessions; empty where there are none, or the rule for text forbids
    /// them. The host's own title is [`SessionConfig::title`].
    pub title: String,
    /// The number that the next turn gets; the store raises it with every turn.
    pub next_turn: u64,
    /// How many turns the session has; counted by the store.
    pub turns: u64,
    /// The summary that the chat model reads instead of the first turns, once all of them no longer fit its context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

impl SessionRecord {
    /// A new session without turns.
    pub fn new(id: SessionId, config: SessionConfig, now_ms: u64) -> Self {
        Self {
            id,
            created_ms: now_ms,
            updated_ms: now_ms,
            ended_ms: None,
            config,
            title: String::new(),
            next_turn: 1,
            turns: 0,
            summary: None,
        }
    }
}

/// The chat model's summary of a run of turns; the turns themselves stay in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Summary {
    /// The text.
    pub text: String,
    /// The first turn that it covers.
    pub from: TurnId,
    /// The last turn that it covers.
    pub through: TurnId,
}

impl Summary {
    /// A summary of the turns from the first to the last.
    pub fn new(text: impl Into<String>, from: TurnId, through: TurnId) -> Self {
        Self { text: text.into(), from, through }
    }

    /// True for a turn in the run that it covers.
    pub fn covers(&self, turn: TurnId) -> bool {
        (self.from..=self.through).contains(&turn)
    }
}

/// A turn: what was said on both sides, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TurnRecord {
    /// The session that it belongs to.
    pub session: SessionId,
    /// Its number in the session.
    pub turn: TurnId,
    /// Its origin.
    pub origin: TurnOrigin,
    /// The turn that it retries, and supersedes; see [`Turns::current`].
    pub retry_of: Option<TurnId>,
    /// The turn whose words it corrects: `user_text` is the corrected text, and the transcript and the recording stay with
    /// the corrected turn. It supersedes that turn and all after it; see [`Turns::current`].
    pub corrects: Option<TurnId>,
    /// When it began, as a Unix time in ms.
    pub started_ms: u64,
    /// When it ended, as a Unix time in ms.
    pub ended_ms: Option<u64>,
    /// The text that the user said, typed or corrected; empty where there was none.
    pub user_text: String,
    /// The host's instructions for a reply, as the chat model got them; empty in a turn of the user's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// The recogniser's transcript.
    pub transcript: Option<Transcript>,
    /// The reply, as far as it was generated.
    pub reply_text: String,
    /// The heard text, where it is not all of the reply.
    pub heard_text: Option<String>,
    /// True where `heard_text` is an estimate, because the voice has no word times; without `heard_text`, where the host
    /// did not report that all of the reply was played.
    pub heard_estimated: bool,
    /// How it ended.
    #[serde(flatten)]
    pub state: TurnState,
    /// The user's audio in the store. Set by the store.
    pub user_audio: Option<AudioInfo>,
    /// The reply's audio in the store. Set by the store.
    pub reply_audio: Option<AudioInfo>,
    /// How long it took, and what it cost.
    pub metrics: Option<Metrics>,
    /// True where the retention of text forbids or has deleted the texts. Set by the store.
    pub text_gone: bool,
}

impl TurnRecord {
    /// A turn that has just begun.
    pub fn new(session: SessionId, turn: TurnId, origin: TurnOrigin, now_ms: u64) -> Self {
        Self {
            session,
            turn,
            origin,
            retry_of: None,
            corrects: None,
            started_ms: now_ms,
            ended_ms: None,
            user_text: String::new(),
            instructions: String::new(),
            transcript: None,
            reply_text: String::new(),
            heard_text: None,
            heard_estimated: false,
            state: TurnState::Open,
            user_audio: None,
            reply_audio: None,
            metrics: None,
            text_gone: false,
        }
    }

    /// Earlier versions stored the instructions as the user's text.
    pub(super) fn with_instructions_apart(mut self) -> Self {
        if self.origin == TurnOrigin::Reply && self.instructions.is_empty() {
            self.instructions = std::mem::take(&mut self.user_text);
        }
        self
    }

    /// The audio of this kind in the store.
    pub fn audio(&self, kind: AudioKind) -> Option<AudioInfo> {
        match kind {
            AudioKind::User => self.user_audio,
            AudioKind::Reply => self.reply_audio,
        }
    }
}

/// Whose audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AudioKind {
    /// The user's.
    User = 0,
    /// The tutor's.
    Reply = 1,
}

/// Audio in the store, without its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AudioInfo {
    /// Samples per second.
    pub rate: u32,
    /// How many samples.
    pub samples: u64,
}

impl AudioInfo {
    /// Its duration.
    pub fn duration_ms(self) -> u64 {
        self.samples.saturating_mul(1000) / u64::from(self.rate.max(1))
    }
}

/// Audio from the store: mono, 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredAudio {
    /// Samples per second.
    pub rate: u32,
    /// The samples.
    pub samples: Vec<i16>,
}

impl StoredAudio {
    /// The samples between -1 and 1.
    pub fn to_f32(&self) -> Vec<f32> {
        self.samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
    }
}

/// One line of a list of sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SessionSummary {
    /// The session's id.
    pub id: SessionId,
    /// When it was created.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
    /// When it was ended.
    pub ended_ms: Option<u64>,
    /// The host's title, or else the first words of the user; empty where there is neither.
    pub title: String,
    /// The host's metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The name of its scenario.
    pub scenario: String,
    /// The name of its level.
    pub level: String,
    /// How many turns it has.
    pub turns: u64,
    /// The learner's own language.
    pub native: crate::LanguageTag,
    /// The language practised.
    pub target: crate::LanguageTag,
}

impl From<&SessionRecord> for SessionSummary {
    fn from(record: &SessionRecord) -> Self {
        Self {
            id: record.id,
            created_ms: record.created_ms,
            updated_ms: record.updated_ms,
            ended_ms: record.ended_ms,
            title: record.config.title.as_ref().unwrap_or(&record.title).clone(),
            metadata: record.config.metadata.clone(),
            scenario: record.config.scenario.clone(),
            level: record.config.level.clone(),
            turns: record.turns,
            native: record.config.native.clone(),
            target: record.config.target.clone(),
        }
    }
}

/// The position in the list of sessions after which a page starts. A host takes it from one page and gives it for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SessionCursor {
    /// [`SessionSummary::updated_ms`] of the last session of the page before.
    pub updated_ms: u64,
    /// Its id.
    pub id: SessionId,
    /// The turn of this session at which a search goes on; `None` where the session was looked at altogether.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
}

/// Some sessions, the one that changed last first. It may be short, or empty, and not the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
    /// Sessions on this page whose records are damaged.
    pub damaged: Vec<SessionId>,
    /// The cursor of the next page; `None` where this is the last.
    pub next: Option<SessionCursor>,
}

/// Turns of a session, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Turns {
    /// The turns.
    pub turns: Vec<TurnRecord>,
    /// The numbers of the others, whose records are damaged or lost.
    pub damaged: Vec<TurnId>,
    /// How many more are lost whose numbers are not known.
    pub lost: u64,
}

/// Some turns of a session, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TurnPage {
    /// The turns.
    pub turns: Vec<TurnRecord>,
    /// The numbers of the others on this page, whose records are damaged or lost.
    pub damaged: Vec<TurnId>,
    /// How many more of the session are lost whose numbers are not known; on its last page.
    pub lost: u64,
    /// The turn after which the next page starts; `None` where this is the last.
    pub next: Option<TurnId>,
}

impl Turns {
    /// True where no turn is damaged or lost.
    pub fn is_complete(&self) -> bool {
        self.damaged.is_empty() && self.lost == 0
    }
}
