//! Events as typed records, with the JSON form of the engine's.

use super::ErrorCode;
use engine::event as core;
use serde::{Deserialize, Serialize};

/// A part of a text: from one byte of its UTF-8 form to another, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
#[serde(into = "[u64; 2]", from = "[u64; 2]")]
pub struct TextSpan {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

impl From<TextSpan> for [u64; 2] {
    fn from(span: TextSpan) -> Self {
        [span.start, span.end]
    }
}

impl From<[u64; 2]> for TextSpan {
    fn from([start, end]: [u64; 2]) -> Self {
        Self { start, end }
    }
}

impl From<std::ops::Range<usize>> for TextSpan {
    fn from(span: std::ops::Range<usize>) -> Self {
        Self { start: span.start as u64, end: span.end as u64 }
    }
}

impl From<TextSpan> for std::ops::Range<usize> {
    fn from(span: TextSpan) -> Self {
        let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
        place(span.start)..place(span.end)
    }
}

/// An event of a session or of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, uniffi::Record)]
pub struct TertuliaEvent {
    /// Its kind and the fields of that.
    #[serde(flatten)]
    pub kind: TertuliaEventKind,
    /// Its number, from 1 without gaps at each opening of the session.
    pub seq: u64,
    /// The session; none for events of the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The turn that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// Milliseconds since the session (or the engine) was opened.
    pub at_ms: u64,
}

/// The kinds of events; `Unknown` is one of a newer library.
#[derive(Clone, Debug, PartialEq, Serialize, uniffi::Enum)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TertuliaEventKind {
    /// The session is open; the first event.
    SessionOpened { resumed: bool, turns: u64 },
    /// A turn started; it may retry or correct another.
    TurnStarted {
        origin: TurnOrigin,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_of: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        corrects: Option<u64>,
    },
    /// Speech onset by VAD, at a position of the audio.
    SpeechStarted { start_ms: u64 },
    /// End of speech by VAD; the utterance may go on.
    SpeechStopped { end_ms: u64 },
    /// No speech for the time of `listening.idle_ms`.
    Idle { silence_ms: u64 },
    /// The utterance is complete.
    UtteranceEnded { start_ms: u64, end_ms: u64, decided_ms: u64, reason: EndReason },
    /// A partial transcript, which replaces the one before; the first `stable_len` bytes stay.
    TranscriptPartial { text: String, stable_len: u64 },
    /// The final transcript, durable where `stored`.
    TranscriptDone {
        #[serde(flatten)]
        transcript: SpeechTranscript,
        stored: bool,
    },
    /// An increment of the reply's text.
    ReplyTextDelta { text: String },
    /// The reply's whole text.
    ReplyTextDone { text: String },
    /// A chunk of the reply's audio, as 32-bit floats in `pcm`.
    ReplyAudioDelta {
        chunk: u32,
        rate: u32,
        samples: u64,
        #[serde(skip)]
        pcm: Vec<u8>,
        text_span: TextSpan,
        words: Vec<SpokenWord>,
    },
    /// The reply's audio is complete.
    ReplyAudioDone { samples_total: u64 },
    /// Pause the playback: a possible barge-in.
    PlaybackPause,
    /// Resume the playback: it was no barge-in.
    PlaybackResume,
    /// Stop the playback, discard the audio not yet played, then report what was played once more.
    PlaybackFlush,
    /// The turn ended normally; it is durable.
    TurnFinished { reply_text: String },
    /// The turn was interrupted; it is durable.
    TurnInterrupted { reason: InterruptReason, heard_text: String, estimated: bool },
    /// The turn failed. The session goes on.
    TurnFailed {
        stage: TurnStage,
        #[serde(flatten)]
        error: ErrorInfo,
    },
    /// Latencies and costs of the turn.
    Metrics {
        #[serde(flatten)]
        metrics: Metrics,
    },
    /// The session was ended or closed; the last event.
    SessionClosed { ended: bool },
    /// A model is being loaded (an event of the engine).
    ModelLoading { model: String, progress: f32 },
    /// An error that fails no turn.
    Error {
        #[serde(flatten)]
        error: ErrorInfo,
    },
    /// An event of a newer library.
    Unknown,
}

/// A transcript. One of a recogniser that gives nothing but text is certain, without words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct SpeechTranscript {
    /// The text, trimmed; empty without speech.
    pub text: String,
    /// The language that was set or detected, as BCP 47 tag.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Probability of that language among those allowed.
    #[uniffi(default = 1.0)]
    pub language_probability: f32,
    /// Probability of no speech.
    #[uniffi(default = 0.0)]
    pub no_speech_probability: f32,
    /// Mean natural logarithm of the tokens' probabilities.
    #[uniffi(default = 0.0)]
    pub average_log_probability: f32,
    /// The recogniser's probability that the utterance is complete.
    #[uniffi(default = None)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_probability: Option<f32>,
    /// The words, in order.
    #[uniffi(default = [])]
    pub words: Vec<Word>,
}

/// One recognised word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct Word {
    /// The word with its punctuation.
    pub text: String,
    /// Its start, in ms of the utterance.
    pub start_ms: u64,
    /// Its end, in ms of the utterance.
    pub end_ms: u64,
    /// Mean probability of its tokens.
    #[uniffi(default = 1.0)]
    pub confidence: f32,
}

/// The position of a spoken word in text and audio.
#[derive(Clone, Debug, PartialEq, Serialize, uniffi::Record)]
pub struct SpokenWord {
    /// The part of the text that is spoken.
    pub text_span: TextSpan,
    /// The language in which it is pronounced.
    pub language: String,
    /// Its first sample: of the reply in events, of the chunk in results of a synthesizer.
    pub start_sample: u64,
    /// The sample after its last.
    pub end_sample: u64,
}

/// An error inside an event.
#[derive(Clone, Debug, PartialEq, Serialize, uniffi::Record)]
pub struct ErrorInfo {
    /// The reason.
    #[serde(skip)]
    pub code: ErrorCode,
    /// The code's number.
    #[serde(rename = "code")]
    pub number: u16,
    /// The code's name.
    pub name: String,
    /// True where the same can succeed later.
    pub retryable: bool,
    /// Context and causes, for logs; no words of the user.
    pub detail: String,
}

/// Declares an enum of the engine's again, in the form of uniffi, with the conversion.
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident of $core:path { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, uniffi::Enum)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// One of a newer library.
            Unknown,
        }

        impl From<$core> for $name {
            fn from(value: $core) -> Self {
                use $core as Core;
                match value {
                    $(Core::$variant => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}
pub(super) use mirror;

mirror! {
    /// The start of a turn.
    TurnOrigin of core::TurnOrigin {
        /// The user spoke.
        Utterance,
        /// The user typed.
        Text,
        /// The host called `say`.
        Say,
        /// The host called `reply`.
        Reply,
    }
}

mirror! {
    /// Why an utterance is complete.
    EndReason of core::EndReason {
        /// The host ended it.
        Host,
        /// The audio is one complete recording.
        Recording,
        /// Endpointing.
        Silence,
        /// The maximum length of an utterance.
        TooLong,
        /// The microphone was taken away.
        InputInterrupted,
        /// No audio arrived for a second.
        InputStalled,
    }
}

mirror! {
    /// Why a turn was interrupted.
    InterruptReason of core::InterruptReason {
        /// The user spoke or typed.
        BargeIn,
        /// The host interrupted it, or the session closes.
        Cancel,
        /// The process ended during the turn.
        Crash,
    }
}

mirror! {
    /// The stage of a turn that failed.
    TurnStage of core::Stage {
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
}

/// Latencies and costs of a turn; see docs/events.md.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, uniffi::Record)]
pub struct Metrics {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_text_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_audio_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed_ms: Option<u64>,
    pub recognize_ms: u64,
    pub reply_ms: u64,
    pub speak_ms: u64,
    pub ahead_ms: u64,
    pub wasted_ms: u64,
    pub unread_events: u32,
    pub speech_ms: u64,
    pub reply_audio_ms: u64,
    pub prompt_tokens: u32,
    pub evaluated_tokens: u32,
    pub reply_tokens: u32,
    pub dropped_messages: u32,
}

#[uniffi::export]
impl TertuliaEvent {
    /// The event in JSON, as docs/events.md has it.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("events hold only strings, numbers and plain structs")
    }
}
