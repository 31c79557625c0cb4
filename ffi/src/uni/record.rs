//! Records of sessions, turns, abilities and reports.

use super::ErrorCode;
use super::config::SessionConfig;
use super::event::{InterruptReason, Metrics, SpeechTranscript, TurnOrigin, TurnStage};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A session: its settings, and where it stands. All times are Unix times in ms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct SessionRecord {
    /// The session's id.
    pub id: String,
    /// When it was created.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
    /// When it was ended; none where it can be opened again.
    pub ended_ms: Option<u64>,
    /// Its settings.
    pub config: SessionConfig,
    /// The first words of the user, as far as the retention of text allows.
    pub title: String,
    /// The number that the next turn gets.
    pub next_turn: u64,
    /// How many turns it has.
    pub turns: u64,
    /// The chat model's summary of its first turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<ConversationSummary>,
}

/// The chat model's summary of a run of turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct ConversationSummary {
    /// The text.
    pub text: String,
    /// The first turn that it covers.
    #[serde(rename = "from")]
    pub first_turn: u64,
    /// The last turn that it covers.
    #[serde(rename = "through")]
    pub last_turn: u64,
}

/// A turn: what was said on both sides, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct TurnRecord {
    /// The session that it belongs to.
    pub session: String,
    /// Its number in the session.
    pub turn: u64,
    /// Its origin.
    pub origin: TurnOrigin,
    /// The turn that it retries, and supersedes.
    pub retry_of: Option<u64>,
    /// The turn whose words it corrects; it supersedes that turn and all after it.
    pub corrects: Option<u64>,
    /// When it began, as a Unix time in ms.
    pub started_ms: u64,
    /// When it ended, as a Unix time in ms.
    pub ended_ms: Option<u64>,
    /// The text that the user said, typed or corrected.
    pub user_text: String,
    /// The host's instructions for a reply.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// The recogniser's transcript.
    pub transcript: Option<SpeechTranscript>,
    /// The reply, as far as it was generated.
    pub reply_text: String,
    /// The heard text, where it is not all of the reply.
    pub heard_text: Option<String>,
    /// True where the heard text is an estimate.
    pub heard_estimated: bool,
    /// How it ended.
    #[serde(flatten)]
    pub state: TurnState,
    /// The user's audio in the store.
    pub user_audio: Option<AudioInfo>,
    /// The reply's audio in the store.
    pub reply_audio: Option<AudioInfo>,
    /// How long it took, and what it cost.
    pub metrics: Option<Metrics>,
    /// True where the retention of text forbids or has deleted the texts.
    pub text_gone: bool,
}

/// The state of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TurnState {
    /// It is under way.
    Open,
    /// It ended normally.
    Finished,
    /// It was interrupted.
    Interrupted {
        /// Why.
        reason: InterruptReason,
    },
    /// It failed.
    Failed {
        /// Where.
        stage: TurnStage,
        /// Why.
        code: ErrorCode,
    },
}

/// Audio of a turn in the store.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct AudioInfo {
    /// Samples per second.
    pub rate: u32,
    /// How many samples.
    pub samples: u64,
}

/// Audio from the store: mono.
#[derive(Clone, Debug, uniffi::Record)]
pub struct StoredAudio {
    /// Samples per second.
    pub rate: u32,
    /// The samples: little-endian 16-bit integers.
    pub pcm: Vec<u8>,
}

/// The side of a turn whose audio is meant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Enum)]
#[serde(rename_all = "snake_case")]
pub enum AudioKind {
    /// The user's.
    User,
    /// The reply's.
    Reply,
}

impl From<AudioKind> for engine::store::AudioKind {
    fn from(kind: AudioKind) -> Self {
        match kind {
            AudioKind::User => Self::User,
            AudioKind::Reply => Self::Reply,
        }
    }
}

/// The filters of a list of sessions: a session is listed where all of them match. Texts match by any part, without case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct SessionQuery {
    /// A part of the title.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A part of the title, or of what the user or the tutor said in one turn.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The name of the scenario.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Created at this Unix time in ms or later, ...
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from_ms: Option<u64>,
    /// ... and before this one.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_before_ms: Option<u64>,
    /// Changed last at this Unix time in ms or later, ...
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_from_ms: Option<u64>,
    /// ... and before this one.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_before_ms: Option<u64>,
    /// Names and values that the session's metadata hold, among others.
    #[uniffi(default)]
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub metadata: HashMap<String, String>,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct SessionSummary {
    /// The session's id.
    pub id: String,
    /// When it was created.
    pub created_ms: u64,
    /// When it last changed.
    pub updated_ms: u64,
    /// When it was ended.
    pub ended_ms: Option<u64>,
    /// The host's title, or else the first words of the user; empty where there is neither.
    pub title: String,
    /// The host's metadata.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub metadata: HashMap<String, String>,
    /// The name of its scenario.
    pub scenario: String,
    /// The name of its level.
    pub level: String,
    /// How many turns it has.
    pub turns: u64,
    /// The user's own language.
    pub native: String,
    /// The language practised.
    pub target: String,
}

/// The position in the list of sessions after which a page starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct SessionCursor {
    /// When the last session of the page before changed last.
    pub updated_ms: u64,
    /// Its id.
    pub id: String,
    /// The turn of this session at which a search goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
}

/// Some sessions, the one that changed last first. It may be short, or empty, and not the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
    /// Sessions on this page whose records are damaged.
    pub damaged: Vec<String>,
    /// The cursor of the next page; none where this is the last.
    pub next: Option<SessionCursor>,
}

/// Some turns of a session, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct TurnPage {
    /// The turns.
    pub turns: Vec<TurnRecord>,
    /// The numbers of the others on this page, whose records are damaged or lost.
    pub damaged: Vec<u64>,
    /// How many more of the session are lost whose numbers are not known; on its last page.
    pub lost: u64,
    /// The turn after which the next page starts; none where this is the last.
    pub next: Option<u64>,
}

/// The abilities of an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// The languages, by primary subtag.
    pub languages: Vec<LanguageCapability>,
    /// The names of the levels.
    pub levels: Vec<String>,
    /// The names of the scenarios.
    pub scenarios: Vec<String>,
    /// The names of the models, by role.
    pub models: ModelNames,
    /// True if sessions outlive the process.
    pub persistent: bool,
}

/// The abilities of an engine in one language, whatever its region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct LanguageCapability {
    /// The language's primary subtag, such as `es`.
    pub language: String,
    /// The tags of it that the backends name, such as `es` and `es-MX`.
    pub tags: Vec<String>,
    /// True if the recogniser knows it.
    pub recognise: bool,
    /// True if the synthesizer knows it.
    pub speak: bool,
    /// True if the chat model knows it.
    pub chat: bool,
    /// The names of its voices; the first is the default one.
    pub voices: Vec<String>,
}

/// The names of an engine's models; none where a role has no model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
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

/// The space that a store takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct StoreUsage {
    /// Bytes of its storage.
    pub storage_bytes: u64,
    /// Bytes of it that are unused.
    pub unused_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Turns.
    pub turns: u64,
    /// Recordings of the user.
    pub user_audio: u64,
    /// Their bytes.
    pub user_audio_bytes: u64,
    /// Recordings of replies.
    pub reply_audio: u64,
    /// Their bytes.
    pub reply_audio_bytes: u64,
    /// The quota of audio, in bytes.
    pub audio_bytes_max: Option<u64>,
}

/// The result of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct ExportReport {
    /// Turns in the archive.
    pub turns: u64,
    /// Recordings in the archive.
    pub audio: u64,
    /// Damaged turns, which are left out.
    pub turns_missing: u64,
    /// Damaged recordings, which are left out.
    pub audio_missing: u64,
    /// The archive's length.
    pub bytes: u64,
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct ImportReport {
    /// The session's id.
    pub session: String,
    /// Turns that were stored.
    pub turns: u64,
    /// Recordings that were stored.
    pub audio: u64,
    /// Turns that the archive lacks.
    pub turns_missing: u64,
    /// Recordings that the archive lacks.
    pub audio_missing: u64,
    /// Turns that were open and are interrupted now.
    pub turns_closed: u64,
    /// Recordings that the session's retention forbids.
    pub audio_forbidden: u64,
    /// Turns whose texts the session's retention forbids.
    pub texts_forbidden: u64,
}

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// Sessions that are sound.
    pub sessions: u64,
    /// Turns that are sound.
    pub turns: u64,
    /// Recordings that are sound.
    pub recordings: u64,
    /// Turns that should be there and are not.
    pub lost_turns: u64,
    /// Damaged records.
    pub damaged: Vec<Damage>,
}

/// A damaged or lost record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// The session that it belongs to.
    pub session: String,
    /// The turn; none for the session's own record.
    pub turn: Option<u64>,
    /// The recording; none for the turn's own record.
    pub audio: Option<AudioKind>,
    /// The error of reading it.
    pub code: ErrorCode,
}

super::event::mirror! {
    /// A part of an engine that works by itself.
    EngineWorker of engine::Worker {
        /// The microphone and its VAD.
        Microphone,
        /// The turn detector.
        TurnDetector,
        /// The recogniser, and decoding of recordings.
        Recognizer,
        /// The chat model.
        Chat,
        /// The synthesizer.
        Synthesizer,
        /// The sessions.
        Engine,
        /// Commits, and the store's housekeeping.
        Store,
        /// A job, on the thread that runs it.
        Job,
    }
}
