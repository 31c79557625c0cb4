//! The payloads of records: the data of [`record`](super::record) under short names.
//!
//! Fields may be added, with a default; a name never gets another meaning. A new value of an enum that older
//! versions cannot do without raises [`MIN_READER`](super::schema::MIN_READER).

use crate::config::SessionConfig;
use crate::error::{ErrorCode, Result};
use crate::event::{InterruptReason, Metrics, SessionId, Stage, Transcript, TurnId, TurnOrigin, Word};
use crate::language::LanguageTag;
use crate::store::record::{AudioInfo, SessionRecord, Summary, TurnRecord, TurnState};
use crate::store::schema::{Kind, unknown_form};
use serde::{Deserialize, Serialize};

/// The store itself.
#[derive(Serialize, Deserialize)]
pub(super) struct MetaPayload {
    #[serde(rename = "a")]
    pub(super) app: String,
    #[serde(rename = "s")]
    pub(super) schema: u32,
    #[serde(rename = "m")]
    pub(super) min_reader: u32,
    #[serde(rename = "c", default)]
    pub(super) created_ms: u64,
    #[serde(rename = "e", default)]
    pub(super) encrypted: bool,
}

/// A session.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SessionPayload {
    #[serde(rename = "c", default)]
    pub(super) created_ms: u64,
    #[serde(rename = "u", default)]
    pub(super) updated_ms: u64,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(super) ended_ms: Option<u64>,
    // Its own names: settings are few, and every field has a default already.
    #[serde(rename = "g")]
    pub(super) config: SessionConfig,
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub(super) title: String,
    #[serde(rename = "n", default)]
    pub(super) next_turn: u64,
    #[serde(rename = "k", default)]
    pub(super) turns: u64,
    /// Turns before this one hold no text.
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    pub(super) text_from: u64,
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<SummaryPayload>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SummaryPayload {
    #[serde(rename = "t", default)]
    pub(super) text: String,
    #[serde(rename = "f", default)]
    pub(super) from: u64,
    #[serde(rename = "h", default)]
    pub(super) through: u64,
}

impl From<&Summary> for SummaryPayload {
    fn from(summary: &Summary) -> Self {
        Self { text: summary.text.clone(), from: summary.from.0, through: summary.through.0 }
    }
}

impl From<SummaryPayload> for Summary {
    fn from(payload: SummaryPayload) -> Self {
        Self { text: payload.text, from: TurnId(payload.from), through: TurnId(payload.through) }
    }
}

impl From<&SessionRecord> for SessionPayload {
    fn from(record: &SessionRecord) -> Self {
        Self {
            created_ms: record.created_ms,
            updated_ms: record.updated_ms,
            ended_ms: record.ended_ms,
            config: record.config.clone(),
            title: record.title.clone(),
            next_turn: record.next_turn,
            turns: record.turns,
            text_from: 0,
            summary: record.summary.as_ref().map(SummaryPayload::from),
        }
    }
}

impl SessionPayload {
    pub(super) fn record(self, id: SessionId) -> SessionRecord {
        SessionRecord {
            id,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            ended_ms: self.ended_ms,
            config: self.config,
            title: self.title,
            next_turn: self.next_turn,
            turns: self.turns,
            summary: self.summary.map(Summary::from),
        }
    }
}

/// An audio's entry, from which sweeps and the quota work.
#[derive(Serialize, Deserialize)]
pub(super) struct BlobRefPayload {
    #[serde(rename = "r", default)]
    pub(super) rate: u32,
    #[serde(rename = "n", default)]
    pub(super) samples: u64,
    /// The start of its turn.
    #[serde(rename = "t", default)]
    pub(super) started_ms: u64,
}

/// A payload with the fields of a record, under short names.
macro_rules! mirror {
    ($payload:ident of $record:ident { $($name:literal $field:ident: $type:ty),* }) => {
        #[derive(Serialize, Deserialize)]
        struct $payload {
            $(#[serde(rename = $name, default)] $field: $type,)*
        }
        impl From<&$record> for $payload {
            fn from(record: &$record) -> Self {
                Self { $($field: record.$field.clone()),* }
            }
        }
        impl From<$payload> for $record {
            fn from(payload: $payload) -> Self {
                Self { $($field: payload.$field),* }
            }
        }
    };
}
mirror!(AudioInfoPayload of AudioInfo { "r" rate: u32, "n" samples: u64 });
mirror!(WordPayload of Word { "t" text: String, "s" start_ms: u64, "e" end_ms: u64, "c" confidence: f32 });

#[derive(Serialize, Deserialize)]
pub(super) struct TurnPayload {
    #[serde(rename = "o")]
    origin: u8,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    retry_of: Option<u64>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    corrects: Option<u64>,
    #[serde(rename = "s", default)]
    started_ms: u64,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    ended_ms: Option<u64>,
    #[serde(rename = "u", default, skip_serializing_if = "String::is_empty")]
    user_text: String,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    transcript: Option<TranscriptPayload>,
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    reply_text: String,
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    heard_text: Option<String>,
    #[serde(rename = "i", default, skip_serializing_if = "is_false")]
    heard_estimated: bool,
    #[serde(rename = "z")]
    state: StatePayload,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    user_audio: Option<AudioInfoPayload>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    reply_audio: Option<AudioInfoPayload>,
    // Its own names: one small map a turn, and every field has a default already.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    metrics: Option<Metrics>,
    #[serde(rename = "x", default, skip_serializing_if = "is_false")]
    text_gone: bool,
}

#[derive(Serialize, Deserialize)]
struct StatePayload {
    #[serde(rename = "k")]
    kind: u8,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    reason: Option<u8>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    stage: Option<u8>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

#[derive(Serialize, Deserialize)]
struct TranscriptPayload {
    #[serde(rename = "t", default)]
    text: String,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    language: Option<LanguageTag>,
    #[serde(rename = "p", default)]
    language_probability: f32,
    #[serde(rename = "n", default)]
    no_speech_probability: f32,
    #[serde(rename = "a", default)]
    average_log_probability: f32,
    #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<WordPayload>,
}

impl From<&TurnRecord> for TurnPayload {
    fn from(turn: &TurnRecord) -> Self {
        Self {
            origin: ORIGINS.number(turn.origin),
            retry_of: turn.retry_of.map(|of| of.0),
            corrects: turn.corrects.map(|of| of.0),
            started_ms: turn.started_ms,
            ended_ms: turn.ended_ms,
            user_text: turn.user_text.clone(),
            transcript: turn.transcript.as_ref().map(TranscriptPayload::from),
            reply_text: turn.reply_text.clone(),
            heard_text: turn.heard_text.clone(),
            heard_estimated: turn.heard_estimated,
            state: turn.state.into(),
            user_audio: turn.user_audio.as_ref().map(AudioInfoPayload::from),
            reply_audio: turn.reply_audio.as_ref().map(AudioInfoPayload::from),
            metrics: turn.metrics,
            text_gone: turn.text_gone,
        }
    }
}

impl TurnPayload {
    pub(super) fn record(self, session: SessionId, turn: TurnId) -> Result<TurnRecord> {
        Ok(TurnRecord {
            session,
            turn,
            origin: ORIGINS.value(self.origin)?,
            retry_of: self.retry_of.map(TurnId),
            corrects: self.corrects.map(TurnId),
            started_ms: self.started_ms,
            ended_ms: self.ended_ms,
            user_text: self.user_text,
            transcript: self.transcript.map(Transcript::from),
            reply_text: self.reply_text,
            heard_text: self.heard_text,
            heard_estimated: self.heard_estimated,
            state: self.state.state()?,
            user_audio: self.user_audio.map(AudioInfo::from),
            reply_audio: self.reply_audio.map(AudioInfo::from),
            metrics: self.metrics,
            text_gone: self.text_gone,
        })
    }
}

impl From<TurnState> for StatePayload {
    fn from(state: TurnState) -> Self {
        let plain = |kind| Self { kind, reason: None, stage: None, code: None };
        match state {
            TurnState::Open => plain(0),
            TurnState::Finished => plain(1),
            TurnState::Interrupted { reason } => Self { reason: Some(REASONS.number(reason)), ..plain(2) },
            TurnState::Failed { stage, code } => {
                Self { stage: Some(STAGES.number(stage)), code: Some(code.number()), ..plain(3) }
            }
        }
    }
}

impl StatePayload {
    fn state(self) -> Result<TurnState> {
        match (self.kind, self.reason, self.stage, self.code) {
            (0, ..) => Ok(TurnState::Open),
            (1, ..) => Ok(TurnState::Finished),
            (2, Some(reason), ..) => Ok(TurnState::Interrupted { reason: REASONS.value(reason)? }),
            (3, _, Some(stage), Some(code)) => {
                Ok(TurnState::Failed { stage: STAGES.value(stage)?, code: ErrorCode::from_number(code) })
            }
            _ => Err(unknown_form(Kind::Turn)),
        }
    }
}

impl From<&Transcript> for TranscriptPayload {
    fn from(transcript: &Transcript) -> Self {
        Self {
            text: transcript.text.clone(),
            language: transcript.language.clone(),
            language_probability: transcript.language_probability,
            no_speech_probability: transcript.no_speech_probability,
            average_log_probability: transcript.average_log_probability,
            words: transcript.words.iter().map(WordPayload::from).collect(),
        }
    }
}

impl From<TranscriptPayload> for Transcript {
    fn from(payload: TranscriptPayload) -> Self {
        Self {
            text: payload.text,
            language: payload.language,
            language_probability: payload.language_probability,
            no_speech_probability: payload.no_speech_probability,
            average_log_probability: payload.average_log_probability,
            finished_probability: None,
            words: payload.words.into_iter().map(Word::from).collect(),
        }
    }
}

/// The numbers of an enum's values in the file: their positions, which never change.
struct Numbers<T: 'static>(&'static [T]);

const ORIGINS: Numbers<TurnOrigin> =
    Numbers(&[TurnOrigin::Utterance, TurnOrigin::Text, TurnOrigin::Say, TurnOrigin::Reply]);
const REASONS: Numbers<InterruptReason> =
    Numbers(&[InterruptReason::BargeIn, InterruptReason::Cancel, InterruptReason::Crash]);
const STAGES: Numbers<Stage> = Numbers(&[Stage::Decode, Stage::Recognise, Stage::Reply, Stage::Speak, Stage::Store]);

impl<T: Copy + PartialEq> Numbers<T> {
    fn number(&self, value: T) -> u8 {
        self.0.iter().position(|&known| known == value).expect("the table lists every value") as u8
    }

    fn value(&self, number: u8) -> Result<T> {
        self.0.get(usize::from(number)).copied().ok_or_else(|| unknown_form(Kind::Turn))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keys::Sealing;
    use crate::store::schema::{decode, encode, turn_key};
    use serde_json::json;

    fn ids() -> (SessionId, TurnId) {
        (SessionId(uuid::Uuid::from_u128(7)), TurnId(3))
    }

    fn read(payload: &serde_json::Value) -> Result<TurnRecord> {
        let (session, turn) = ids();
        let key = turn_key(session, turn);
        decode::<TurnPayload>(
            &Sealing::plain(),
            Kind::Turn,
            &key,
            &encode(&Sealing::plain(), Kind::Turn, &key, payload)?,
        )?
        .record(session, turn)
    }

    #[test]
    fn a_turn_of_an_older_version_reads_with_defaults() {
        let (session, turn) = ids();
        let read = read(&json!({"o": 1, "z": {"k": 1}})).unwrap();
        let expected = TurnRecord { state: TurnState::Finished, ..TurnRecord::new(session, turn, TurnOrigin::Text, 0) };
        assert_eq!(read, expected);
    }

    #[test]
    fn a_turn_of_a_newer_version_reads_without_what_is_new() {
        let read = read(&json!({
            "o": 0, "s": 5, "future": {"deep": [1, 2]}, "u": "hola",
            "t": {"t": "hola", "q": 1, "w": [{"t": "hola", "s": 1, "e": 2, "c": 0.5, "ipa": "ˈola"}]},
            "z": {"k": 3, "g": 1, "c": 4711, "w": "why"},
            "m": {"transcript_ms": 9, "joules": 3},
        }))
        .unwrap();
        assert_eq!((read.user_text.as_str(), read.started_ms), ("hola", 5));
        assert_eq!(read.transcript.unwrap().words[0].end_ms, 2);
        assert_eq!(read.state, TurnState::Failed { stage: Stage::Recognise, code: ErrorCode::Unknown(4711) });
        assert_eq!(read.metrics.unwrap().transcript_ms, Some(9));
    }

    #[test]
    fn an_unknown_enum_value_is_from_the_future() {
        for payload in [json!({"o": 200, "z": {"k": 1}}), json!({"o": 0, "z": {"k": 9}}), json!({"o": 0})] {
            assert_eq!(read(&payload).unwrap_err().code(), ErrorCode::StoreFromFuture, "{payload}");
        }
    }

    #[test]
    fn the_numbers_of_enum_values_never_change() {
        let numbers: Vec<u8> = [TurnOrigin::Utterance, TurnOrigin::Text, TurnOrigin::Say, TurnOrigin::Reply]
            .map(|origin| ORIGINS.number(origin))
            .into();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let reasons = [InterruptReason::BargeIn, InterruptReason::Cancel, InterruptReason::Crash];
        assert_eq!(reasons.map(|reason| REASONS.number(reason)), [0, 1, 2]);
        let stages = [Stage::Decode, Stage::Recognise, Stage::Reply, Stage::Speak, Stage::Store];
        assert_eq!(stages.map(|stage| STAGES.number(stage)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_session_reads_without_settings_that_came_later() {
        let config = json!({"native": "en", "target": "es", "retention": {"text": "never"}, "mood": "new"});
        let payload = rmp_serde::to_vec_named(&json!({"u": 9, "g": config})).unwrap();
        let session: SessionPayload = rmp_serde::from_slice(&payload).unwrap();
        assert_eq!((session.updated_ms, session.turns), (9, 0));
        assert_eq!(session.config.level, "A2");
        assert_eq!(session.config.retention.text, crate::Keep::Never);
        assert_eq!(session.config.retention.user_audio, crate::Keep::UntilSessionEnd);
    }
}
