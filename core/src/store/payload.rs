//! The payloads of records: the data of [`record`](super::record) under short names.
//!
//! Fields may be added, with a default; a name never gets another meaning. A new value of an enum that older
//! versions cannot do without raises [`MIN_READER`](super::schema::MIN_READER).

use crate::config::SessionConfig;
use crate::error::{ErrorCode, Result};
use crate::event::{InterruptReason, Metrics, SessionId, Stage, Transcript, TurnId, TurnOrigin, Word};
use crate::language::LanguageTag;
use crate::store::keys::Sealing;
use crate::store::record::{AudioInfo, SessionRecord, Summary, TurnRecord, TurnState};
use crate::store::schema::{Kind, TurnKey, decode, session_of_key, turn_of_key, unknown_form};
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
#[derive(Serialize, Deserialize)]
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
    #[serde(rename = "x", default, skip_serializing_if = "is_default")]
    pub(super) text_from: u64,
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<SummaryPayload>,
}

impl From<&SessionRecord> for SessionPayload {
    fn from(record: &SessionRecord) -> Self {
        let SessionRecord { id: _, created_ms, updated_ms, ended_ms, config, title, next_turn, turns, summary } =
            record.clone();
        let summary = summary.form();
        Self { created_ms, updated_ms, ended_ms, config, title, next_turn, turns, text_from: 0, summary }
    }
}

impl SessionPayload {
    pub(super) fn record(self, id: SessionId) -> Result<SessionRecord> {
        let Self { created_ms, updated_ms, ended_ms, config, title, next_turn, turns, text_from: _, summary } = self;
        let summary = Stored::of(summary)?;
        Ok(SessionRecord { id, created_ms, updated_ms, ended_ms, config, title, next_turn, turns, summary })
    }
}

/// The texts of a turn, without the rest of its record.
#[derive(Deserialize)]
pub(super) struct TextsPayload {
    #[serde(rename = "o", default)]
    pub(super) origin: u8,
    #[serde(rename = "u", default)]
    pub(super) user_text: String,
    #[serde(rename = "r", default)]
    pub(super) reply_text: String,
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

/// Data with a form of its own in the store.
pub(super) trait Stored: Sized {
    type Form;

    fn form(&self) -> Self::Form;

    /// # Errors
    /// [`ErrorCode::StoreFromFuture`] for a value of a newer version.
    fn of(form: Self::Form) -> Result<Self>;
}

/// Data that is stored as it is.
macro_rules! as_it_is {
    ($($type:ty),*) => { $(
        impl Stored for $type {
            type Form = Self;
            fn form(&self) -> Self {
                self.clone()
            }
            fn of(form: Self) -> Result<Self> {
                Ok(form)
            }
        }
    )* };
}

as_it_is!(bool, u32, u64, f32, String, TurnId, LanguageTag, Metrics);

impl<T: Stored> Stored for Option<T> {
    type Form = Option<T::Form>;
    fn form(&self) -> Self::Form {
        self.as_ref().map(T::form)
    }
    fn of(form: Self::Form) -> Result<Self> {
        form.map(T::of).transpose()
    }
}

impl<T: Stored> Stored for Vec<T> {
    type Form = Vec<T::Form>;
    fn form(&self) -> Self::Form {
        self.iter().map(T::form).collect()
    }
    fn of(form: Self::Form) -> Result<Self> {
        form.into_iter().map(T::of).collect()
    }
}

/// Enums that are stored as numbers: the positions of their values here, which never change.
macro_rules! as_numbers {
    ($($type:ident { $($value:ident),* })*) => { $(
        impl Stored for $type {
            type Form = u8;
            fn form(&self) -> u8 {
                [$($type::$value),*].iter().position(|value| value == self).expect("every value is listed") as u8
            }
            fn of(number: u8) -> Result<Self> {
                [$($type::$value),*].get(usize::from(number)).copied().ok_or_else(|| unknown_form(Kind::Turn))
            }
        }
    )* };
}

as_numbers! {
    TurnOrigin { Utterance, Text, Say, Reply }
    InterruptReason { BargeIn, Cancel, Crash }
    Stage { Decode, Recognise, Reply, Speak, Store }
}

/// Records that are stored as maps of these fields; those in brackets are not stored.
macro_rules! as_maps {
    ($(
        $form:ident of $record:ident $([$($rest:tt)*])? { $($(#[$attribute:meta])* $field:ident: $type:ty),* }
    )*) => { $(
        #[derive(Serialize, Deserialize)]
        pub(super) struct $form { $($(#[$attribute])* pub(super) $field: <$type as Stored>::Form),* }
        impl Stored for $record {
            type Form = $form;
            fn form(&self) -> $form {
                $form { $($field: self.$field.form()),* }
            }
            fn of(form: $form) -> Result<Self> {
                Ok(Self { $($field: Stored::of(form.$field)?,)* $($($rest)*)? })
            }
        }
    )* };
}

as_maps! {
    SummaryPayload of Summary {
        #[serde(rename = "t", default)] text: String,
        #[serde(rename = "f", default = "no_turn")] from: TurnId,
        #[serde(rename = "h", default = "no_turn")] through: TurnId
    }
    AudioInfoPayload of AudioInfo {
        #[serde(rename = "r", default)] rate: u32,
        #[serde(rename = "n", default)] samples: u64
    }
    WordPayload of Word {
        #[serde(rename = "t", default)] text: String,
        #[serde(rename = "s", default)] start_ms: u64,
        #[serde(rename = "e", default)] end_ms: u64,
        #[serde(rename = "c", default)] confidence: f32
    }
    TranscriptPayload of Transcript [finished_probability: None] {
        #[serde(rename = "t", default)] text: String,
        #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")] language: Option<LanguageTag>,
        #[serde(rename = "p", default)] language_probability: f32,
        #[serde(rename = "n", default)] no_speech_probability: f32,
        #[serde(rename = "a", default)] average_log_probability: f32,
        #[serde(rename = "w", default, skip_serializing_if = "Vec::is_empty")] words: Vec<Word>
    }
    TurnPayload of TurnRecord [session: SessionId(uuid::Uuid::nil()), turn: no_turn()] {
        #[serde(rename = "o")] origin: TurnOrigin,
        #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")] retry_of: Option<TurnId>,
        #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")] corrects: Option<TurnId>,
        #[serde(rename = "s", default)] started_ms: u64,
        #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")] ended_ms: Option<u64>,
        #[serde(rename = "u", default, skip_serializing_if = "String::is_empty")] user_text: String,
        #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")] instructions: String,
        #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")] transcript: Option<Transcript>,
        #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")] reply_text: String,
        #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")] heard_text: Option<String>,
        #[serde(rename = "i", default, skip_serializing_if = "is_default")] heard_estimated: bool,
        #[serde(rename = "z")] state: TurnState,
        #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")] user_audio: Option<AudioInfo>,
        #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")] reply_audio: Option<AudioInfo>,
        // Its own names: one small map a turn, and every field has a default already.
        #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")] metrics: Option<Metrics>,
        #[serde(rename = "x", default, skip_serializing_if = "is_default")] text_gone: bool
    }
}

/// The turn of a row.
pub(super) fn decode_turn(sealing: &Sealing, key: &TurnKey, record: &[u8]) -> Result<TurnRecord> {
    let turn = TurnRecord::of(decode(sealing, Kind::Turn, key, record)?)?;
    Ok(TurnRecord { session: session_of_key(key), turn: turn_of_key(key), ..turn.with_instructions_apart() })
}

#[derive(Serialize, Deserialize)]
pub(super) struct StatePayload {
    #[serde(rename = "k")]
    kind: u8,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    reason: Option<u8>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    stage: Option<u8>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Stored for TurnState {
    type Form = StatePayload;

    fn form(&self) -> StatePayload {
        let plain = |kind| StatePayload { kind, reason: None, stage: None, code: None };
        match self {
            TurnState::Open => plain(0),
            TurnState::Finished => plain(1),
            TurnState::Interrupted { reason } => StatePayload { reason: Some(reason.form()), ..plain(2) },
            TurnState::Failed { stage, code } => {
                StatePayload { stage: Some(stage.form()), code: Some(code.number()), ..plain(3) }
            }
        }
    }

    fn of(form: StatePayload) -> Result<Self> {
        match (form.kind, form.reason, form.stage, form.code) {
            (0, ..) => Ok(TurnState::Open),
            (1, ..) => Ok(TurnState::Finished),
            (2, Some(reason), ..) => Ok(TurnState::Interrupted { reason: InterruptReason::of(reason)? }),
            (3, _, Some(stage), Some(code)) => {
                Ok(TurnState::Failed { stage: Stage::of(stage)?, code: ErrorCode::from_number(code) })
            }
            _ => Err(unknown_form(Kind::Turn)),
        }
    }
}

fn no_turn() -> TurnId {
    TurnId(0)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::{encode, turn_key};
    use serde_json::json;

    fn ids() -> (SessionId, TurnId) {
        (SessionId(uuid::Uuid::from_u128(7)), TurnId(3))
    }

    fn read(payload: &serde_json::Value) -> Result<TurnRecord> {
        let (session, turn) = ids();
        let (sealing, key) = (Sealing::plain(), turn_key(session, turn));
        let record = encode(&sealing, Kind::Turn, &key, payload)?;
        decode_turn(&sealing, &key, &record)
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
    fn instructions_that_an_older_version_stored_as_the_users_text_are_read_apart() {
        let read = read(&json!({"o": 3, "u": "Más despacio.", "r": "Ho-la.", "z": {"k": 1}})).unwrap();
        assert_eq!((read.user_text.as_str(), read.instructions.as_str()), ("", "Más despacio."));
    }

    #[test]
    fn an_unknown_enum_value_is_from_the_future() {
        for payload in [json!({"o": 200, "z": {"k": 1}}), json!({"o": 0, "z": {"k": 9}}), json!({"o": 0})] {
            assert_eq!(read(&payload).unwrap_err().code(), ErrorCode::StoreFromFuture, "{payload}");
        }
    }

    #[test]
    fn the_numbers_of_enum_values_never_change() {
        let origins = [TurnOrigin::Utterance, TurnOrigin::Text, TurnOrigin::Say, TurnOrigin::Reply];
        assert_eq!(origins.map(|origin| origin.form()), [0, 1, 2, 3]);
        let reasons = [InterruptReason::BargeIn, InterruptReason::Cancel, InterruptReason::Crash];
        assert_eq!(reasons.map(|reason| reason.form()), [0, 1, 2]);
        let stages = [Stage::Decode, Stage::Recognise, Stage::Reply, Stage::Speak, Stage::Store];
        assert_eq!(stages.map(|stage| stage.form()), [0, 1, 2, 3, 4]);
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
