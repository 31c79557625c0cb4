//! [`Event`]: the events of a session, and the one JSON form that every language shares.
//!
//! An event is a JSON object. Its `type` is the kind's name in snake_case; `seq` counts the session's delivered
//! events from 1 without gaps; `session` is the session's id; `turn` is there where the event belongs to a turn;
//! `at_ms` is the time since the session was opened. All times are whole milliseconds; spans are byte offsets into
//! the UTF-8 text, the end excluded. PCM is not part of the JSON form: `samples` is its length. `docs/events.md` lists
//! every type and field.
//!
//! ```
//! use tertulia::event::{Event, EventKind};
//! let event = Event::new(EventKind::PlaybackFlush, 7, 120);
//! assert_eq!(event.to_json(), r#"{"type":"playback_flush","seq":7,"at_ms":120}"#);
//! assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
//! let newer = Event::from_json(r#"{"type":"of_a_newer_version","seq":8,"at_ms":130,"x":1}"#).unwrap();
//! assert_eq!(newer.kind, EventKind::Unknown);
//! ```
//!
//! A reader ignores what it does not know: a field is skipped, and an event of an unknown type, or with an unknown value of
//! an enum, is read as [`EventKind::Unknown`].

use crate::error::{Error, ErrorCode};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

mod id;
mod transcript;

pub use crate::language::LanguageTag;
pub use id::{SessionId, TurnId};
pub use transcript::{SpokenWord, Transcript, Word};

/// An event of a session or of the engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Event {
    /// The kind and its fields.
    #[serde(flatten)]
    pub kind: EventKind,
    /// The event's number in its session, from 1 at each opening, given at delivery.
    pub seq: u64,
    /// The session; `None` for events of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The turn that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// Milliseconds since the session (or the engine) was opened.
    pub at_ms: u64,
}

impl Event {
    /// An event of no session and no turn.
    pub fn new(kind: EventKind, seq: u64, at_ms: u64) -> Self {
        Self { kind, seq, session: None, turn: None, at_ms }
    }

    /// The canonical JSON form, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("events hold only strings, numbers and plain structs")
    }

    /// Reads an event from its JSON form.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where the text is not an event.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json)
            .map_err(|source| Error::new(ErrorCode::InvalidArgument, "not an event").with_source(source))
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            seq: u64,
            session: Option<SessionId>,
            turn: Option<TurnId>,
            at_ms: u64,
            #[serde(flatten)]
            kind: serde_json::Value,
        }
        let Envelope { seq, session, turn, at_ms, kind } = Envelope::deserialize(deserializer)?;
        if !kind["type"].is_string() {
            return Err(serde::de::Error::missing_field("type"));
        }
        let kind = serde_json::from_value(kind).unwrap_or(EventKind::Unknown);
        Ok(Self { kind, seq, session, turn, at_ms })
    }
}

/// The kinds of events. The type `reply_data` is reserved for structured output beside the speech of a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The session is open; the first event.
    SessionOpened {
        /// True if the session existed before.
        resumed: bool,
        /// Turns in the store.
        turns: u64,
    },
    /// A turn started.
    TurnStarted {
        /// Its start.
        origin: TurnOrigin,
        /// The turn that it retries.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_of: Option<TurnId>,
        /// The turn that it corrects; it supersedes that turn and all after it.
        #[serde(skip_serializing_if = "Option::is_none")]
        corrects: Option<TurnId>,
    },
    /// Speech onset by VAD, also after a pause within an utterance. The speech may yet prove to be noise.
    SpeechStarted {
        /// The onset, in ms of the audio.
        start_ms: u64,
    },
    /// The end of speech by VAD; the utterance may go on.
    SpeechStopped {
        /// The end, in ms of the audio.
        end_ms: u64,
    },
    /// No speech for [`Listening::idle_ms`](crate::Listening) while no turn is under way.
    Idle {
        /// The silence so far, in ms of the audio.
        silence_ms: u64,
    },
    /// End of turn: the utterance is complete.
    UtteranceEnded {
        /// The onset of its speech, in ms of the audio: of the recording, or of the microphone since the session was
        /// opened.
        start_ms: u64,
        /// The end of its speech, in ms of the audio.
        end_ms: u64,
        /// The position in the audio at which this was decided, in ms.
        decided_ms: u64,
        /// Why it is complete.
        reason: EndReason,
    },
    /// A partial transcript; a later one replaces it. During speech it belongs to no turn.
    TranscriptPartial {
        /// The whole text so far.
        text: String,
        /// Bytes of its stable prefix, which does not change before `transcript_done`.
        stable_len: usize,
    },
    /// The final transcript. It is durable unless `stored` is false.
    TranscriptDone {
        /// The transcript.
        #[serde(flatten)]
        transcript: Transcript,
        /// True if it was committed.
        stored: bool,
    },
    /// An increment of the reply's text.
    ReplyTextDelta {
        /// The increment.
        text: String,
    },
    /// The reply's text is complete.
    ReplyTextDone {
        /// The whole text.
        text: String,
    },
    /// A chunk of the reply's audio.
    ReplyAudioDelta {
        /// The chunk's number in the turn, from 0.
        chunk: u32,
        /// Samples per second.
        rate: u32,
        /// The number of its samples.
        samples: u64,
        /// Mono samples between -1 and 1; not part of the JSON form.
        #[serde(skip)]
        pcm: Arc<[f32]>,
        /// The bytes of the reply's text that it speaks.
        #[serde(with = "transcript::span")]
        #[cfg_attr(feature = "schema", schemars(with = "[usize; 2]"))]
        text_span: Range<usize>,
        /// Its words, with samples counted from the start of the reply; empty where the voice has no word times.
        words: Vec<SpokenWord>,
    },
    /// The reply's audio is complete.
    ReplyAudioDone {
        /// Samples of all chunks.
        samples_total: u64,
    },
    /// Pause the playback: a possible barge-in.
    PlaybackPause,
    /// Resume the playback: it was no barge-in.
    PlaybackResume,
    /// Stop the playback, discard the audio not yet played, then call `played` once more.
    PlaybackFlush,
    /// The turn ended normally; it is durable.
    TurnFinished {
        /// The whole reply.
        reply_text: String,
    },
    /// The turn was interrupted; it is durable.
    TurnInterrupted {
        /// Why.
        reason: InterruptReason,
        /// The heard text: the part of the reply that was played.
        heard_text: String,
        /// True if the heard text is an estimate, the voice having no word times.
        estimated: bool,
    },
    /// The turn failed. The session goes on.
    TurnFailed {
        /// Where.
        stage: Stage,
        /// Why.
        #[serde(flatten)]
        error: ErrorInfo,
    },
    /// Latencies and costs of the turn; directly before the event that ends it.
    Metrics(Metrics),
    /// The session was ended or closed; the last event.
    SessionClosed {
        /// False where the session can be opened again: it was only closed, or its end could not be stored.
        ended: bool,
    },
    /// A model is being loaded (an event of the engine).
    ModelLoading {
        /// Its name.
        model: String,
        /// 0 to 1; 1 when it is loaded.
        progress: f32,
    },
    /// An error that fails no turn; with `turn` where it is about one.
    Error(ErrorInfo),
    /// An event of a newer version, read from JSON; the engine emits none.
    #[cfg_attr(feature = "schema", schemars(skip))]
    Unknown,
}

/// An error inside an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ErrorInfo {
    /// The stable number.
    pub code: ErrorCode,
    /// The stable name.
    pub name: Cow<'static, str>,
    /// True if the same may succeed later without any other change.
    #[serde(default)]
    pub retryable: bool,
    /// The context and its causes, for logs; never words of the user.
    pub detail: String,
}

impl From<&Error> for ErrorInfo {
    fn from(error: &Error) -> Self {
        let (code, retryable) = (error.code(), error.is_retryable());
        Self { code, name: code.name().into(), retryable, detail: error.detail_with_causes() }
    }
}

/// The start of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnOrigin {
    /// The user spoke.
    Utterance,
    /// The user typed.
    Text,
    /// The host called `say`.
    Say,
    /// The host called `reply`.
    Reply,
}

/// Why an utterance is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The host called `end_utterance`.
    Host,
    /// The audio is one complete recording.
    Recording,
    /// Endpointing.
    Silence,
    /// The maximum length of an utterance.
    TooLong,
    /// The host called `input_interrupted`.
    InputInterrupted,
    /// No audio arrived for a second.
    InputStalled,
}

/// Why a turn was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InterruptReason {
    /// The user spoke or typed.
    BargeIn,
    /// The host called `interrupt`.
    Cancel,
    /// The process ended during the turn; found at the next opening. In stored turns alone: no event tells it.
    Crash,
}

/// The stage of a turn that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Decoding the audio and finding speech in it.
    Decode,
    /// Speech to text.
    Recognise,
    /// Generating the reply.
    Reply,
    /// Text to speech.
    Speak,
    /// Committing to the store.
    Store,
}

/// The state of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
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
        stage: Stage,
        /// Why.
        code: ErrorCode,
    },
}

/// Latencies and costs of a turn. Latencies count from the end of the utterance, or from the call that started the turn;
/// they are `None`, and absent in JSON, where the turn did not come that far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct Metrics {
    /// To the end-of-turn decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_ms: Option<u64>,
    /// To the final transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript_ms: Option<u64>,
    /// To the first text of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_text_ms: Option<u64>,
    /// To the first audio of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_audio_ms: Option<u64>,
    /// To the end of the turn's computing: the last audio of the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computed_ms: Option<u64>,
    /// Time of the recogniser for the final transcript.
    pub recognize_ms: u64,
    /// Time of the chat model for the whole reply.
    pub reply_ms: u64,
    /// Time of the synthesizer for the whole reply.
    pub speak_ms: u64,
    /// Time by which work on the turn began before the end-of-turn decision.
    pub ahead_ms: u64,
    /// Time of the recogniser for drafts that were discarded, since the turn before.
    pub wasted_ms: u64,
    /// Events that the host had not read when the turn ended.
    pub unread_events: u32,
    /// Duration of the user's speech.
    pub speech_ms: u64,
    /// Duration of the reply's audio.
    pub reply_audio_ms: u64,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were not in the KV cache.
    pub evaluated_tokens: u32,
    /// Tokens of the reply.
    pub reply_tokens: u32,
    /// Messages that did not fit the context and were dropped.
    pub dropped_messages: u32,
}
