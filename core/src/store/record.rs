//! What the store holds, as plain data.

use crate::config::SessionConfig;
pub use crate::event::TurnState;
use crate::event::{Metrics, SessionId, Transcript, TurnId, TurnOrigin};
use serde::{Deserialize, Serialize};

/// A session: its settings, and where it stands. All times are Unix times in ms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// A few words for a list of sessions; empty where there are none, or the rule for text forbids them.
    pub title: String,
    /// The number that the next turn gets; the store raises it with every turn.
    pub next_turn: u64,
    /// How many turns the session has; counted by the store.
    pub turns: u64,
    /// What the chat model reads in place of the first turns, once all of them no longer fit its context. Ignored in
    /// [`Write::PutSession`](super::Write::PutSession); [`Write::PutSummary`](super::Write::PutSummary) writes it.
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

/// What the chat model wrote down of a run of turns; the turns themselves stay in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The words.
    pub text: String,
    /// The first turn that they are about.
    pub from: TurnId,
    /// The last turn that they cover; those after it are not part of them.
    pub through: TurnId,
}

impl Summary {
    /// Whether the turn is in the run that it covers.
    pub fn covers(&self, turn: TurnId) -> bool {
        (self.from..=self.through).contains(&turn)
    }
}

/// A turn: what was said on both sides, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// The session that it belongs to.
    pub session: SessionId,
    /// Its number in the session.
    pub turn: TurnId,
    /// Who or what began it.
    pub origin: TurnOrigin,
    /// The turn that it tries again. It takes that turn's place in the conversation; see [`Turns::current`].
    pub retry_of: Option<TurnId>,
    /// The turn whose words it corrects: `user_text` is what the learner says to have said, and the recogniser's
    /// transcript and the recording stay with the turn that is corrected. It takes the place of that turn and of all
    /// after it in the conversation; see [`Turns::current`].
    pub corrects: Option<TurnId>,
    /// When it began, as a Unix time in ms.
    pub started_ms: u64,
    /// When it ended, as a Unix time in ms.
    pub ended_ms: Option<u64>,
    /// What the learner said, typed or corrected, or what the host asked for; empty where there was nothing.
    pub user_text: String,
    /// What the recogniser made of the learner's speech.
    pub transcript: Option<Transcript>,
    /// The whole reply as far as it was written.
    pub reply_text: String,
    /// What of the reply was heard, where that is not all of it.
    pub heard_text: Option<String>,
    /// Whether `heard_text` is a guess, the voice not knowing its word times.
    pub heard_estimated: bool,
    /// How it ended.
    #[serde(flatten)]
    pub state: TurnState,
    /// The learner's audio in the store. Filled by the store; ignored in [`Write::PutTurn`](super::Write::PutTurn).
    pub user_audio: Option<AudioInfo>,
    /// The reply's audio in the store. Filled by the store; ignored in [`Write::PutTurn`](super::Write::PutTurn).
    pub reply_audio: Option<AudioInfo>,
    /// How long it took, and what it cost.
    pub metrics: Option<Metrics>,
    /// Whether the texts were left out or taken away by the rule for text. Filled by the store.
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
pub enum AudioKind {
    /// What the learner said.
    User,
    /// What the tutor said.
    Reply,
}

/// Audio in the store, without its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioInfo {
    /// Samples per second.
    pub rate: u32,
    /// How many samples.
    pub samples: u64,
}

impl AudioInfo {
    /// How long it sounds.
    pub fn duration_ms(self) -> u64 {
        self.samples.saturating_mul(1000) / u64::from(self.rate.max(1))
    }
}

/// Audio out of the store: mono, 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub struct SessionSummary {
    /// The session's id.
    pub id: SessionId,
    /// When it was created.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
    /// When it was ended.
    pub ended_ms: Option<u64>,
    /// A few words of it.
    pub title: String,
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
            title: record.title.clone(),
            turns: record.turns,
            native: record.config.native.clone(),
            target: record.config.target.clone(),
        }
    }
}

/// Where a page of sessions starts: after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCursor {
    /// [`SessionSummary::updated_ms`] of the last session of the page before.
    pub updated_ms: u64,
    /// Its id.
    pub id: SessionId,
}

/// Some sessions, the one that changed last first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
    /// Sessions on this page whose records are damaged.
    pub damaged: Vec<SessionId>,
    /// Where the next page starts; `None` where this is the last.
    pub next: Option<SessionCursor>,
}

/// Turns of a session, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turns {
    /// The turns.
    pub turns: Vec<TurnRecord>,
    /// How many more there should be, their records being damaged or lost.
    pub damaged: u64,
}

impl Turns {
    /// Whether no turn is damaged or lost.
    pub fn is_complete(&self) -> bool {
        self.damaged == 0
    }
}
