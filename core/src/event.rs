//! [`Event`]: what a session tells its host, and the one JSON form that every language shares.
//!
//! An event is a JSON object. Its `type` is the kind's name in snake_case; `seq` counts the session's delivered
//! events from 1 without gaps; `session` is the session's id; `turn` is there where the event belongs to a turn;
//! `at_ms` is the time since the session was opened. All times are whole milliseconds; spans are byte offsets into
//! the UTF-8 text, the end excluded. PCM is not part of the JSON form: `samples` is its length.
//!
//! ```
//! use tertulia::event::{Event, EventKind};
//! let event = Event { seq: 7, session: None, turn: None, at_ms: 120, kind: EventKind::PlaybackFlush };
//! assert_eq!(event.to_json(), r#"{"type":"playback_flush","seq":7,"at_ms":120}"#);
//! ```

use crate::error::{Error, ErrorCode};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

pub use crate::language::LanguageTag;

/// A session's id: a UUID version 7, so that ids sort by age.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// An id for a session that starts at `now_ms` (Unix time in ms).
    pub fn new(now_ms: u64) -> Self {
        let (seconds, nanos) = (now_ms / 1000, (now_ms % 1000) as u32 * 1_000_000);
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }
}

impl std::str::FromStr for SessionId {
    type Err = Error;

    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where the text is not a UUID.
    fn from_str(text: &str) -> Result<Self, Error> {
        let uuid = Uuid::try_parse(text)
            .map_err(|source| Error::new(ErrorCode::InvalidArgument, "not a session id").with_source(source))?;
        Ok(Self(uuid))
    }
}

/// A turn's number within its session, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnId(pub u64);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// What happened.
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
    /// The canonical JSON form, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("events hold only strings, numbers and plain structs")
    }
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The session is open; the first event.
    SessionOpened {
        /// Whether it existed before.
        resumed: bool,
        /// Turns in the store.
        turns: u64,
    },
    /// A turn began.
    TurnStarted {
        /// Who or what began it.
        origin: TurnOrigin,
        /// The turn that is tried again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_of: Option<TurnId>,
        /// The turn whose words it corrects; it takes the place of that turn and of all after it.
        #[serde(skip_serializing_if = "Option::is_none")]
        corrects: Option<TurnId>,
    },
    /// Someone began to speak, or went on (raw: it may turn out to be nothing).
    SpeechStarted {
        /// When, in ms of the audio.
        start_ms: u64,
    },
    /// Someone fell silent (raw).
    SpeechStopped {
        /// When, in ms of the audio.
        end_ms: u64,
    },
    /// Nobody has spoken for a while, and no turn is under way (see [`Listening::idle_ms`](crate::Listening)).
    Idle {
        /// For how long, in ms of the audio.
        silence_ms: u64,
    },
    /// The utterance is complete.
    UtteranceEnded {
        /// When the speech in it starts, in ms of the audio: of the recording, or of all that the microphone gave since
        /// the session was opened.
        start_ms: u64,
        /// When the speech in it ends.
        end_ms: u64,
        /// Up to where the audio was heard when this was decided.
        decided_ms: u64,
        /// Why it is complete.
        reason: EndReason,
    },
    /// What was said, so far. A later delta replaces an earlier one. While somebody is still speaking, it belongs to no
    /// turn.
    TranscriptPartial {
        /// All of it so far.
        text: String,
        /// How many bytes of it will not change any more, until the transcript is done.
        stable_len: usize,
    },
    /// What was said. It is in the store, unless `stored` is false.
    TranscriptDone {
        /// The transcript.
        #[serde(flatten)]
        transcript: Transcript,
        /// Whether it was committed.
        stored: bool,
    },
    /// More of the reply's text.
    ReplyTextDelta {
        /// The new piece.
        text: String,
    },
    /// The reply's text is complete.
    ReplyTextDone {
        /// All of it.
        text: String,
    },
    /// More of the reply's sound.
    ReplyAudioDelta {
        /// The chunk's number in the turn, from 0.
        chunk: u32,
        /// Samples per second.
        rate: u32,
        /// Mono samples between -1 and 1.
        #[serde(rename = "samples", serialize_with = "serialize_len")]
        pcm: Arc<[f32]>,
        /// The bytes of the reply's text that it speaks.
        #[serde(with = "span")]
        text_span: Range<usize>,
        /// Its words, with samples counted from the start of the reply; empty where the voice does not know them.
        words: Vec<SpokenWord>,
    },
    /// The reply's sound is complete.
    ReplyAudioDone {
        /// Samples of all chunks.
        samples_total: u64,
    },
    /// Hold the playback: somebody may be interrupting.
    PlaybackPause,
    /// Go on playing: nobody was.
    PlaybackResume,
    /// Stop playing and throw away what was not heard, then report `played` once more.
    PlaybackFlush,
    /// The turn ended as it should; it is in the store.
    TurnFinished {
        /// The whole reply.
        reply_text: String,
    },
    /// The turn was cut short; it is in the store.
    TurnInterrupted {
        /// Why.
        reason: InterruptReason,
        /// What of the reply was heard.
        heard_text: String,
        /// Whether that is a guess, the voice not knowing its word times.
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
    /// How long the turn took, and what it cost; just before the event that ends the turn.
    Metrics(Metrics),
    /// The session has ended or was closed; the last event.
    SessionClosed {
        /// False where it can be opened again: it was only closed, or its end could not be stored.
        ended: bool,
    },
    /// A model is being loaded (engine).
    ModelLoading {
        /// Its name.
        model: String,
        /// 0 to 1; 1 when it is loaded.
        progress: f32,
    },
    /// Something failed outside a turn.
    Error(ErrorInfo),
}

/// An error inside an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorInfo {
    /// The stable number.
    pub code: ErrorCode,
    /// The stable name.
    pub name: &'static str,
    /// The context and its causes, for logs; never words of the user.
    pub detail: String,
}

impl From<&Error> for ErrorInfo {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), name: error.code().name(), detail: error.detail_with_causes() }
    }
}

/// Who or what began a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnOrigin {
    /// The learner spoke.
    Utterance,
    /// The learner typed.
    Text,
    /// The host gave a text to speak.
    Say,
    /// The host asked the tutor to speak.
    Reply,
}

/// Why an utterance is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The host said so.
    Host,
    /// It came as one complete recording.
    Recording,
    /// The silence after it was long enough.
    Silence,
    /// It had become as long as an utterance may be.
    TooLong,
    /// The host said that the microphone was taken away.
    InputInterrupted,
    /// The microphone gave nothing for a second.
    InputStalled,
}

/// Why a turn was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptReason {
    /// The learner spoke or typed.
    BargeIn,
    /// The host asked for it.
    Cancel,
    /// The process ended; found at the next opening.
    Crash,
}

/// Where in a turn something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the audio, and looking for speech in it.
    Decode,
    /// Speech to text.
    Recognise,
    /// Writing the reply.
    Reply,
    /// Text to speech.
    Speak,
    /// Writing the store.
    Store,
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TurnState {
    /// It is under way.
    Open,
    /// It ended as it should.
    Finished,
    /// It was cut short.
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

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// The text, trimmed; empty where nobody spoke.
    pub text: String,
    /// The language that was set or chosen.
    pub language: Option<LanguageTag>,
    /// The probability of that language among those allowed, 0 to 1; 1 where it was set.
    #[serde(deserialize_with = "number")]
    pub language_probability: f32,
    /// The probability, 0 to 1, that there is no speech (the highest among the windows).
    #[serde(deserialize_with = "number")]
    pub no_speech_probability: f32,
    /// The mean natural logarithm of the tokens' probabilities.
    #[serde(deserialize_with = "number")]
    pub average_log_probability: f32,
    /// How likely nothing more is to come by what the recogniser hears and understands, 0 to 1; `None` where it cannot
    /// say. It is of use while somebody speaks, and is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_probability: Option<f32>,
    /// The words, in order; their texts joined by spaces need not equal `text`.
    pub words: Vec<Word>,
}

/// One recognised word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word with its punctuation.
    pub text: String,
    /// When it starts, in ms from the utterance's start.
    pub start_ms: u64,
    /// When it ends.
    pub end_ms: u64,
    /// How sure the recogniser is, 0 to 1 (the mean of its tokens' probabilities).
    #[serde(deserialize_with = "number")]
    pub confidence: f32,
}

/// JSON has no word for what is not a finite number, and writes null.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

/// Where a word sounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokenWord {
    /// The bytes of the text that is spoken.
    #[serde(with = "span")]
    pub text_span: Range<usize>,
    /// The language it is pronounced in.
    pub language: LanguageTag,
    /// The first sample, counted from the start of the chunk (in events: of the reply).
    pub start_sample: u64,
    /// The sample after the last.
    pub end_sample: u64,
}

/// How long a turn took, and what it cost. Times count from the end of the utterance, or from the call that began
/// the turn; `None` where the turn did not come that far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metrics {
    /// To the decision that the utterance is complete.
    pub decided_ms: Option<u64>,
    /// To the final transcript.
    pub transcript_ms: Option<u64>,
    /// To the first text of the reply.
    pub first_text_ms: Option<u64>,
    /// To the first sound of the reply.
    pub first_audio_ms: Option<u64>,
    /// To the end of the turn's computing: the last sound made.
    pub computed_ms: Option<u64>,
    /// How long the recogniser took for the final transcript.
    pub recognize_ms: u64,
    /// How long the chat model took for the whole reply.
    pub reply_ms: u64,
    /// How long the synthesizer took for the whole reply.
    pub speak_ms: u64,
    /// How long before the decision the work on the turn had begun.
    pub ahead_ms: u64,
    /// How long the recogniser worked on drafts that were thrown away, since the turn before.
    pub wasted_ms: u64,
    /// Events that the host had not read when the turn ended.
    pub unread_events: u32,
    /// The learner's speech.
    pub speech_ms: u64,
    /// The reply's sound.
    pub reply_audio_ms: u64,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that had to be evaluated, the cache not holding them.
    pub evaluated_tokens: u32,
    /// Tokens of the reply.
    pub reply_tokens: u32,
    /// Messages that no longer fit the context.
    pub dropped_messages: u32,
}

impl Metrics {
    /// Seconds that the recogniser took for a second of speech.
    pub fn recognize_real_time_factor(&self) -> Option<f64> {
        ratio(self.recognize_ms, self.speech_ms)
    }

    /// Seconds that the synthesizer took for a second of speech.
    pub fn speak_real_time_factor(&self) -> Option<f64> {
        ratio(self.speak_ms, self.reply_audio_ms)
    }

    /// Tokens that the chat model wrote in a second, the prompt's evaluation included.
    pub fn reply_tokens_per_s(&self) -> Option<f64> {
        ratio(u64::from(self.reply_tokens) * 1000, self.reply_ms)
    }
}

fn ratio(a: u64, b: u64) -> Option<f64> {
    (b > 0).then(|| a as f64 / b as f64)
}

fn serialize_len<S: Serializer>(pcm: &Arc<[f32]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(pcm.len() as u64)
}

/// A span as `[start, end]`, the end excluded.
mod span {
    use super::{Deserialize, Range, Serialize, Serializer};
    use serde::Deserializer;

    pub(super) fn serialize<S: Serializer>(span: &Range<usize>, serializer: S) -> Result<S::Ok, S::Error> {
        [span.start, span.end].serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range<usize>, D::Error> {
        <[usize; 2]>::deserialize(deserializer).map(|[start, end]| start..end)
    }
}

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
