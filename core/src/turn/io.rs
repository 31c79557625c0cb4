//! Inputs and outputs of the turn machine.

use super::endpoint::EndpointSettings;
use super::listener::{Inquiry, Spoken};
use crate::event::{
    EndReason, ErrorInfo, EventKind, Metrics, SpokenWord, Stage, Transcript, TurnId, TurnOrigin, TurnState,
};
use std::ops::Range;
use std::sync::Arc;

/// The session's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) interruptible: bool,
    /// Audio counts as played once the host has taken it.
    pub(crate) playback_assumed: bool,
    pub(crate) output_latency_ms: u32,
    /// There is a synthesizer.
    pub(crate) speaks: bool,
    pub(crate) listening: ListeningSettings,
}

/// The settings of turn-taking and its listener, and the cues that they can ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ListeningSettings {
    /// Endpointing decides when an utterance is complete; else the host does.
    pub(crate) continuous: bool,
    pub(crate) endpoint: EndpointSettings,
    pub(crate) asks_detector: bool,
    pub(crate) asks_recognizer: bool,
    /// Samples of speech between two partial transcripts.
    pub(crate) partial_every: u64,
    /// Samples of speech over a reply that are a barge-in whatever their words are.
    pub(crate) interrupt_after: u64,
    /// Samples without speech and without a turn until the event `idle`.
    pub(crate) idle_after: Option<u64>,
}

/// A turn that is to begin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Start {
    pub(crate) turn: TurnId,
    pub(crate) what: StartKind,
    pub(crate) redoes: Option<Redo>,
}

/// The turn that a new one supersedes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redo {
    /// The same turn again.
    Retry(TurnId),
    /// The turn with other words of the user; the conversation goes on from there.
    Correction(TurnId),
}

impl Redo {
    pub(crate) fn retry_of(self) -> Option<TurnId> {
        match self {
            Redo::Retry(turn) => Some(turn),
            Redo::Correction(_) => None,
        }
    }

    pub(crate) fn corrects(self) -> Option<TurnId> {
        match self {
            Redo::Retry(_) => None,
            Redo::Correction(turn) => Some(turn),
        }
    }
}

/// The input of a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StartKind {
    /// Audio that the driver holds.
    Utterance(EndReason),
    /// An utterance from the microphone, endpointed.
    Spoken(Box<Spoken>),
    Text(String),
    /// The user's own version of a transcript.
    Corrected(String),
    Say(String),
    /// The instruction, as the chat model gets it.
    Reply(String),
}

impl StartKind {
    pub(super) fn origin(&self) -> TurnOrigin {
        match self {
            StartKind::Utterance(_) | StartKind::Spoken(_) | StartKind::Corrected(_) => TurnOrigin::Utterance,
            StartKind::Text(_) => TurnOrigin::Text,
            StartKind::Say(_) => TurnOrigin::Say,
            StartKind::Reply(_) => TurnOrigin::Reply,
        }
    }

    /// The text to be stored of it, and answered or followed.
    pub(super) fn given_text(&self) -> &str {
        match self {
            StartKind::Text(text) | StartKind::Corrected(text) | StartKind::Reply(text) => text,
            StartKind::Utterance(_) | StartKind::Spoken(_) | StartKind::Say(_) => "",
        }
    }

    pub(super) fn is_users(&self) -> bool {
        !matches!(self, StartKind::Say(_) | StartKind::Reply(_))
    }
}

/// An input of the machine.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Settings from here on; a turn keeps those that it began with.
    Settings(Settings),
    /// A turn begins, or waits behind those before it.
    Start(Start),
    /// The host cancels the turn under way.
    Interrupt,
    /// The host was suspended, and goes on.
    Resumed,
    /// The host cancels every turn before this number, those that have not arrived included.
    InterruptAll { before: TurnId },
    /// Drops the open utterance.
    DiscardUtterance,
    /// A VAD frame that ends at sample `end`, with its probability of speech.
    Speech { end: u64, probability: f32 },
    /// A backend's answer to an inquiry.
    Answered { inquiry: Inquiry, answer: Answer },
    /// Ends the open utterance. With a reserved turn number a turn begins in any case, even without an utterance.
    EndUtterance { reason: EndReason, turn: Option<TurnId> },
    /// The host's count of samples played, at the reply's rate.
    Played { turn: TurnId, samples_total: u64 },
    /// So many samples were taken back that the host had not read.
    Purged { turn: TurnId, samples: u64 },
    /// Closes the session; `ended` where it cannot be resumed.
    Close { ended: bool },
    /// A write was committed, or failed.
    Stored { ticket: Ticket, error: Option<ErrorInfo> },
    /// A backend's progress with a turn.
    Work { turn: TurnId, report: Report },
}

/// A backend's answer to an inquiry.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The turn detector's probability of an end of turn.
    Detected(f32),
    /// The recogniser's first pass over a draft; its answer follows.
    FirstPass(Transcript),
    /// The recogniser's answer.
    Recognised(Result<Transcript, ErrorInfo>),
}

/// A backend worker's progress with a turn.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// The audio was decoded, and there is speech in it.
    SpeechFound { start_ms: u64, end_ms: u64, audio_ms: u64 },
    /// A partial transcript; its first `stable_len` bytes stay.
    Partial { text: String, stable_len: usize },
    /// The final transcript.
    Transcribed(Transcript),
    /// More text of the reply.
    ReplyText(String),
    /// The reply's text is complete.
    ReplyDone { prompt_tokens: u32, evaluated_tokens: u32, reply_tokens: u32, dropped_messages: u32 },
    /// A chunk of the clause's audio. Words count samples from the chunk's start, spans count bytes from the clause's.
    Spoken { pcm: Arc<[f32]>, rate: u32, text_span: Range<usize>, words: Vec<SpokenWord> },
    /// The clause's audio is complete.
    ClauseSpoken,
    /// The work failed, and the turn with it.
    Failed { stage: Stage, error: ErrorInfo },
}

/// Names a write that events wait for; tickets rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(super) u64);

impl Ticket {
    /// A write that no event waits for, such as one of the session's settings.
    pub(crate) const OF_NO_EVENT: Ticket = Ticket(0);
}

/// An action of the driver.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    /// Tell the host.
    Emit { turn: Option<TurnId>, kind: EventKind },
    /// Read the turn's audio and find the speech in it.
    Listen { turn: TurnId },
    /// Recognise the speech that `Listen` found, or the utterance that the turn began with.
    Recognise { turn: TurnId },
    /// Ask the turn detector about this span of the microphone's audio.
    AskDetector { inquiry: Inquiry, span: Range<u64> },
    /// Recognise this span of the microphone's audio: a draft up to a stop, or a partial transcript.
    AskRecognizer { inquiry: Inquiry, span: Range<u64>, is_draft: bool },
    /// Prefill the chat model's KV cache with a draft.
    Prefill { inquiry: Inquiry, given: String },
    /// Raise the inquiry's cancel flag.
    DropInquiry { inquiry: Inquiry },
    /// Start a turn with this utterance: [`Input::Start`] follows.
    StartSpoken(Box<Spoken>),
    /// Have the chat model answer the user, or follow the instruction.
    Reply { turn: TurnId, origin: TurnOrigin, given: String },
    /// Synthesise one clause; the next comes once it is done.
    Speak { turn: TurnId, text: String },
    /// Keep this audio of the reply for the store.
    Keep { turn: TurnId, pcm: Arc<[f32]>, rate: u32 },
    /// Raise the turn's cancel flag.
    StopWork { turn: TurnId },
    /// Take back the turn's audio that the host has not read; [`Input::Purged`] tells how much it was.
    Purge { turn: TurnId },
    /// Commit the turn as it stands, and report with the ticket.
    Store { ticket: Ticket, record: Box<TurnFacts>, with_audio: bool },
    /// Commit the end of the session, and report with the ticket.
    StoreEnd { ticket: Ticket },
    /// All events are out and all writes are answered; the last output.
    Closed,
}

/// A turn as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TurnFacts {
    pub(crate) turn: TurnId,
    pub(crate) origin: TurnOrigin,
    pub(crate) redoes: Option<Redo>,
    pub(crate) started_at_us: u64,
    pub(crate) ended_at_us: Option<u64>,
    /// The user's typed or corrected text, or the instruction for the tutor.
    pub(crate) given_text: String,
    pub(crate) transcript: Option<Transcript>,
    pub(crate) reply_text: String,
    /// The heard text, where it is not the whole reply.
    pub(crate) heard_text: Option<String>,
    pub(crate) heard_estimated: bool,
    pub(crate) state: TurnState,
    pub(crate) metrics: Metrics,
}
