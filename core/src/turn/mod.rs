//! The turn machine: decides what happens next in a conversation.
//!
//! Pure: no IO, no clock, no threads. The driver hands it facts with [`Machine::handle`], then takes everything
//! that follows from them with [`Machine::poll`] until that gives `None`, and calls [`Machine::tick`] when the time
//! of [`Machine::poll_timeout`] has come. Time is in microseconds since the session opened. The same inputs give
//! the same outputs.
//!
//! It knows `event`, `error` and `text`, and nothing else of the engine.

mod endpoint;
mod floor;
mod listener;
mod playback;
mod words;

use crate::error::ErrorCode;
use crate::event::{
    EndReason, ErrorInfo, EventKind, InterruptReason, Metrics, SpokenWord, Stage, Transcript, TurnId, TurnOrigin,
    TurnState,
};
use crate::text::{ClauseSplitter, blank_markup};
use endpoint::Utterance;
use floor::Floor;
use playback::Timeline;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use endpoint::EndpointSettings;
pub use endpoint::EndpointWeights;
pub(crate) use endpoint::SAMPLES_PER_MS;
#[cfg(any(test, feature = "testing"))]
pub(crate) use endpoint::WEIGHTS_OF_TESTS;
pub(crate) use listener::{Draft, Inquiry, ListenSettings, Listener, Notice, Spoken};

/// How long a flushed turn waits for the host's last report of what was played.
pub(crate) const LAST_PLAYED_WAIT_US: u64 = 100_000;

/// Turns that may wait behind the one under way.
pub(crate) const WAITING_TURNS_MAX: usize = 16;

/// What the machine needs to know of the session's settings; it holds from the next turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) interruptible: bool,
    /// Audio counts as heard once it was given out.
    pub(crate) playback_assumed: bool,
    pub(crate) output_latency_ms: u32,
    /// Whether replies are spoken at all.
    pub(crate) speaks: bool,
    pub(crate) listening: ListeningSettings,
}

/// What the machine needs to know to listen all the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ListeningSettings {
    /// Whether it listens all the time; else the host says when an utterance is complete.
    pub(crate) continuous: bool,
    pub(crate) listen: ListenSettings,
    /// Samples of speech that interrupt the tutor without a word being understood.
    pub(crate) interrupt_after: u64,
    /// Samples without speech and without a turn after which the host is told.
    pub(crate) idle_after: Option<u64>,
}

/// A turn to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Start {
    pub(crate) turn: TurnId,
    pub(crate) what: StartKind,
    pub(crate) redoes: Option<Redo>,
}

/// What a turn takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redo {
    /// This turn is tried again.
    Retry(TurnId),
    /// The learner's words in this turn were others; the conversation goes on from there.
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

/// What begins a turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StartKind {
    /// Audio that the driver holds.
    Utterance(EndReason),
    /// What was heard while listening.
    Spoken(Box<Spoken>),
    Text(String),
    /// What the learner says to have said.
    Corrected(String),
    Say(String),
    /// The instruction, as the chat model gets it.
    Reply(String),
}

impl StartKind {
    fn origin(&self) -> TurnOrigin {
        match self {
            StartKind::Utterance(_) | StartKind::Spoken(_) | StartKind::Corrected(_) => TurnOrigin::Utterance,
            StartKind::Text(_) => TurnOrigin::Text,
            StartKind::Say(_) => TurnOrigin::Say,
            StartKind::Reply(_) => TurnOrigin::Reply,
        }
    }

    fn is_learners(&self) -> bool {
        !matches!(self, StartKind::Say(_) | StartKind::Reply(_))
    }

    /// The answer that the turn waits for, if it is about this question.
    fn pending_draft(&mut self, inquiry: Inquiry) -> Option<&mut Draft> {
        match self {
            StartKind::Spoken(spoken) if spoken.inquiry == inquiry && spoken.draft == Draft::Pending => {
                Some(&mut spoken.draft)
            }
            _ => None,
        }
    }
}

/// A fact for the machine.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Settings(Settings),
    Start(Start),
    /// The host wants the turn under way to stop.
    Interrupt,
    /// The microphone was heard up to sample `end`; the probability is that of speech in the last frame.
    Speech {
        end: u64,
        probability: f32,
    },
    /// The turn detector's answer.
    Detected {
        inquiry: Inquiry,
        probability: f32,
    },
    /// What the recogniser understood at first, up to a stop; its answer follows.
    FirstPass {
        inquiry: Inquiry,
        transcript: Transcript,
    },
    /// The recogniser's answer about a stop, or about the words so far.
    Recognised {
        inquiry: Inquiry,
        answer: Result<Transcript, ErrorInfo>,
    },
    /// What is being said is complete, for this reason. A turn begins with it, where one was promised even though
    /// nothing is being said.
    EndUtterance {
        reason: EndReason,
        turn: Option<TurnId>,
    },
    /// The host's count of samples played, at the reply's rate.
    Played {
        turn: TurnId,
        samples_total: u64,
    },
    /// The driver took this many samples back that nobody had read.
    Purged {
        turn: TurnId,
        samples: u64,
    },
    /// End the session, or only close it.
    Close {
        ended: bool,
    },
    /// A write was committed, or was not.
    Stored {
        ticket: Ticket,
        error: Option<ErrorInfo>,
    },
    /// Work on a turn came further.
    Work {
        turn: TurnId,
        report: Report,
    },
}

/// What a backend's worker reports.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// The audio was decoded, and there is speech in it.
    SpeechFound {
        start_ms: u64,
        end_ms: u64,
        audio_ms: u64,
    },
    Partial {
        text: String,
        stable_len: usize,
    },
    Transcribed(Transcript),
    ReplyText(String),
    ReplyDone {
        prompt_tokens: u32,
        evaluated_tokens: u32,
        reply_tokens: u32,
        dropped_messages: u32,
    },
    /// A run of the clause's sound. Words count from the chunk's start, spans from the clause's.
    Spoken {
        pcm: Arc<[f32]>,
        rate: u32,
        text_span: Range<usize>,
        words: Vec<SpokenWord>,
    },
    ClauseSpoken,
    Failed {
        stage: Stage,
        error: ErrorInfo,
    },
}

/// A write that events wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// A write that no event waits for, such as one of the session's settings.
    pub(crate) const OF_NO_EVENT: Ticket = Ticket(0);
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Emit {
        turn: Option<TurnId>,
        kind: EventKind,
    },
    /// Read the turn's audio and find the speech in it.
    Listen {
        turn: TurnId,
        retry_of: Option<TurnId>,
    },
    /// Recognise what `Listen` found, or what the turn was begun with.
    Recognise {
        turn: TurnId,
    },
    /// Ask the turn detector about this span of the microphone's audio.
    AskDetector {
        inquiry: Inquiry,
        span: Range<u64>,
    },
    /// Recognise this span of the microphone's audio: all of it up to a stop, or what was said so far.
    AskRecognizer {
        inquiry: Inquiry,
        span: Range<u64>,
        is_draft: bool,
    },
    /// Let the chat model read ahead what it will probably have to answer.
    Prefill {
        inquiry: Inquiry,
        given: String,
    },
    /// Raise the question's cancel flag.
    DropInquiry {
        inquiry: Inquiry,
    },
    /// Start a turn with this utterance: [`Input::Start`] follows.
    StartSpoken(Box<Spoken>),
    /// Have the chat model answer what the learner said, or follow the instruction.
    Reply {
        turn: TurnId,
        origin: TurnOrigin,
        given: String,
    },
    /// Speak one clause; the next comes after it was spoken.
    Speak {
        turn: TurnId,
        text: String,
    },
    /// Keep this sound of the reply for the store.
    Keep {
        turn: TurnId,
        pcm: Arc<[f32]>,
        rate: u32,
    },
    /// Raise the turn's cancel flag, and forget its work.
    StopWork {
        turn: TurnId,
    },
    /// Take back the turn's audio that the host has not read; [`Input::Purged`] tells how much it was.
    Purge {
        turn: TurnId,
    },
    /// Commit the turn as it stands, and report with the ticket.
    Store {
        ticket: Ticket,
        record: Box<TurnFacts>,
        with_audio: bool,
    },
    /// Commit the end of the session, and report with the ticket.
    StoreEnd {
        ticket: Ticket,
    },
    /// Everything is done and told.
    Closed,
}

/// A turn as the store shall keep it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TurnFacts {
    pub(crate) turn: TurnId,
    pub(crate) origin: TurnOrigin,
    pub(crate) redoes: Option<Redo>,
    pub(crate) started_at_us: u64,
    pub(crate) ended_at_us: Option<u64>,
    /// What the learner typed or corrected, or the instruction for the tutor.
    pub(crate) given_text: String,
    pub(crate) transcript: Option<Transcript>,
    pub(crate) reply_text: String,
    /// What of the reply was heard, where that is not all of it.
    pub(crate) heard_text: Option<String>,
    pub(crate) heard_estimated: bool,
    pub(crate) state: TurnState,
    pub(crate) metrics: Metrics,
}

/// The machine of one session.
#[derive(Debug)]
pub(crate) struct Machine {
    settings: Settings,
    active: Option<Active>,
    waiting: VecDeque<Waiting>,
    /// Closing, and whether the session ends with it.
    closing: Option<bool>,
    /// Everything that the session's end waits for is on its way.
    took_leave: bool,
    closed: bool,
    floor: Floor,
    commands: VecDeque<Output>,
    events: VecDeque<Queued>,
    next_ticket: u64,
    /// The last [`poll`](Machine::poll) gave `None`.
    drained: bool,
}

#[derive(Debug)]
struct Waiting {
    start: Start,
    /// The learner spoke over it before it began.
    overtaken: bool,
}

/// An event, and the write that must be committed before it.
#[derive(Debug)]
struct Queued {
    after: Option<Ticket>,
    /// The first of the writes that it vouches for, where `after` is not the only one.
    since: Option<Ticket>,
    turn: Option<TurnId>,
    kind: EventKind,
}

/// The turn under way.
#[derive(Debug)]
struct Active {
    facts: TurnFacts,
    what: StartKind,
    settings: Settings,
    /// When the learner had finished, or the call came: metrics count from here.
    reference_at_us: u64,
    /// When each backend was last asked.
    recognize_at_us: u64,
    reply_at_us: u64,
    speak_at_us: u64,
    splitter: ClauseSplitter,
    reply_text_done: bool,
    /// The clause being spoken.
    speaking: Option<Range<usize>>,
    timeline: Timeline,
    rate: u32,
    chunks: u32,
    audio_done: bool,
    played: u64,
    stopping: Option<Stopping>,
    /// From this one on writes may be the turn's.
    first_ticket: Ticket,
}

#[derive(Clone, Copy, Debug)]
struct Stopping {
    reason: InterruptReason,
    deadline_us: u64,
}

impl Machine {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            active: None,
            waiting: VecDeque::new(),
            closing: None,
            took_leave: false,
            closed: false,
            floor: Floor::new(settings.listening.listen),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            next_ticket: 0,
            drained: true,
        }
    }

    /// Takes in a fact at the time `now_us`.
    pub(crate) fn handle(&mut self, input: Input, now_us: u64) {
        self.open_drain();
        match input {
            Input::Settings(settings) => {
                self.settings = settings;
                self.set_floor(settings.listening);
            }
            Input::Start(start) => self.accept(start, now_us),
            Input::Interrupt => self.stop_active(InterruptReason::Cancel, now_us),
            Input::Speech { end, probability } => self.hear(end, probability, now_us),
            Input::Detected { inquiry, probability } => self.hear_detector(inquiry, probability, now_us),
            Input::FirstPass { inquiry, transcript } => self.hear_first(inquiry, transcript, now_us),
            Input::Recognised { inquiry, answer } => self.hear_recognizer(inquiry, answer, now_us),
            Input::EndUtterance { reason, turn } => self.end_utterance(reason, turn, now_us),
            Input::Played { turn, samples_total } => self.played(turn, samples_total, now_us),
            Input::Purged { turn, samples } => self.purged(turn, samples, now_us),
            Input::Close { ended } => self.close(ended, now_us),
            Input::Stored { ticket, error } => self.stored(ticket, error),
            Input::Work { turn, report } => {
                // The one place where late results are dropped.
                if self.active.as_ref().is_some_and(|a| a.facts.turn == turn && a.stopping.is_none()) {
                    self.work(report, now_us);
                }
            }
        }
        self.proceed(now_us);
    }

    /// Tells that the time has come to `now_us`.
    pub(crate) fn tick(&mut self, now_us: u64) {
        self.open_drain();
        self.watch_input(now_us);
        self.proceed(now_us);
    }

    fn open_drain(&mut self) {
        debug_assert!(self.drained, "an input is handled before poll gave None for the one before");
        self.drained = false;
    }

    /// The next output; `None` until the next input.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        let output = self.next_output();
        self.drained = output.is_none();
        output
    }

    fn next_output(&mut self) -> Option<Output> {
        if let Some(command) = self.commands.pop_front() {
            return Some(command);
        }
        if self.events.front().is_some_and(|queued| queued.after.is_none()) {
            return self.events.pop_front().map(|queued| Output::Emit { turn: queued.turn, kind: queued.kind });
        }
        if self.closing.is_some() && !self.closed && self.active.is_none() && self.events.is_empty() {
            self.closed = true;
            return Some(Output::Closed);
        }
        None
    }

    /// When [`tick`](Machine::tick) is due, in microseconds.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        let stopping = self.active.as_ref().and_then(|active| active.stopping);
        let stopped_us = stopping.map(|stopping| stopping.deadline_us);
        [stopped_us, self.floor.stalled_us()].into_iter().flatten().min()
    }

    /// The first sample of the microphone's audio that is still of use.
    pub(crate) fn audio_needed_from(&self) -> u64 {
        self.floor.needed_from()
    }

    /// Turns that have not ended.
    pub(crate) fn turns_open(&self) -> usize {
        self.waiting.len() + usize::from(self.active.is_some())
    }

    fn accept(&mut self, start: Start, now_us: u64) {
        if self.closing.is_some() {
            return;
        }
        let learners = start.what.is_learners();
        let interruptible = self.active.as_ref().is_none_or(|active| active.settings.interruptible);
        if learners && interruptible {
            // The learner overtakes whatever the host had in mind, and stops the tutor.
            for waiting in &mut self.waiting {
                waiting.overtaken |= !waiting.start.what.is_learners();
            }
            self.stop_active(InterruptReason::BargeIn, now_us);
        }
        self.waiting.push_back(Waiting { start, overtaken: false });
    }

    /// Ends the turn under way if it is time, and begins the next.
    fn proceed(&mut self, now_us: u64) {
        loop {
            match &self.active {
                Some(active) => {
                    if let Some(stopping) = active.stopping {
                        if now_us < stopping.deadline_us {
                            return;
                        }
                        self.end(TurnState::Interrupted { reason: stopping.reason }, None, now_us);
                    } else if active.is_finished() {
                        self.end(TurnState::Finished, None, now_us);
                    } else {
                        return;
                    }
                }
                None => match self.waiting.pop_front() {
                    Some(waiting) => self.begin(waiting, now_us),
                    None => {
                        self.take_leave();
                        return;
                    }
                },
            }
        }
    }

    fn begin(&mut self, waiting: Waiting, now_us: u64) {
        let Start { turn, what, redoes } = waiting.start;
        let retry_of = redoes.and_then(Redo::retry_of);
        let given_text = match &what {
            StartKind::Utterance(_) | StartKind::Spoken(_) => String::new(),
            StartKind::Text(text) | StartKind::Corrected(text) | StartKind::Reply(text) => text.clone(),
            StartKind::Say(_) => String::new(),
        };
        self.active = Some(Active {
            facts: TurnFacts {
                turn,
                origin: what.origin(),
                redoes,
                started_at_us: now_us,
                ended_at_us: None,
                given_text,
                transcript: None,
                reply_text: String::new(),
                heard_text: None,
                heard_estimated: false,
                state: TurnState::Open,
                metrics: Metrics::default(),
            },
            what: what.clone(),
            settings: self.settings,
            reference_at_us: now_us,
            recognize_at_us: now_us,
            reply_at_us: now_us,
            speak_at_us: now_us,
            splitter: ClauseSplitter::default(),
            reply_text_done: false,
            speaking: None,
            timeline: Timeline::default(),
            rate: 0,
            chunks: 0,
            audio_done: false,
            played: 0,
            stopping: None,
            first_ticket: Ticket(self.next_ticket + 1),
        });
        let corrects = redoes.and_then(Redo::corrects);
        self.emit(EventKind::TurnStarted { origin: what.origin(), retry_of, corrects });
        if waiting.overtaken {
            self.end(TurnState::Interrupted { reason: InterruptReason::BargeIn }, None, now_us);
            return;
        }
        match what {
            StartKind::Utterance(_) => self.commands.push_back(Output::Listen { turn, retry_of }),
            StartKind::Spoken(spoken) => self.begin_spoken(*spoken, now_us),
            StartKind::Text(_) | StartKind::Corrected(_) | StartKind::Reply(_) => {
                self.store(false);
                self.reply(now_us);
            }
            StartKind::Say(text) => {
                self.store(false);
                self.reply_text(text, now_us);
                self.reply_text_done(now_us);
            }
        }
    }

    /// Begins a turn with an utterance whose place is known, and perhaps its words.
    fn begin_spoken(&mut self, spoken: Spoken, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        let turn = active.facts.turn;
        let Utterance { start, end, decided, .. } = spoken.place;
        active.reference_at_us = now_us.saturating_sub((decided - end) * 1000 / SAMPLES_PER_MS);
        let metrics = &mut active.facts.metrics;
        metrics.speech_ms = (end - start) / SAMPLES_PER_MS;
        metrics.decided_ms = Some((decided - end) / SAMPLES_PER_MS);
        metrics.wasted_ms = self.floor.take_wasted_us() / 1000;
        if let Some(asked_at_us) = self.floor.asked_at_us(spoken.inquiry) {
            active.recognize_at_us = asked_at_us;
            metrics.ahead_ms = now_us.saturating_sub(asked_at_us) / 1000;
        }
        self.emit(spoken.place.ended());
        self.store(true);
        match spoken.draft {
            Draft::Done(transcript) => self.transcribed(transcript, self.floor.answered_at_us(), now_us),
            Draft::Pending => {}
            Draft::None => self.commands.push_back(Output::Recognise { turn }),
        }
    }

    fn work(&mut self, report: Report, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        let turn = active.facts.turn;
        match report {
            Report::SpeechFound { start_ms, end_ms, audio_ms } => {
                let StartKind::Utterance(reason) = active.what else { return };
                active.facts.metrics.speech_ms = end_ms.saturating_sub(start_ms);
                active.recognize_at_us = now_us;
                self.emit(EventKind::UtteranceEnded { start_ms, end_ms, decided_ms: audio_ms, reason });
                // The audio is committed now, so that a turn that fails or is killed can be tried again.
                self.store(true);
                self.commands.push_back(Output::Recognise { turn });
            }
            Report::Partial { text, stable_len } => self.emit(EventKind::TranscriptPartial { text, stable_len }),
            Report::Transcribed(transcript) => self.transcribed(transcript, now_us, now_us),
            Report::ReplyText(text) => self.reply_text(text, now_us),
            Report::ReplyDone { prompt_tokens, evaluated_tokens, reply_tokens, dropped_messages } => {
                let metrics = &mut active.facts.metrics;
                metrics.reply_ms = now_us.saturating_sub(active.reply_at_us) / 1000;
                metrics.prompt_tokens = prompt_tokens;
                metrics.evaluated_tokens = evaluated_tokens;
                metrics.reply_tokens = reply_tokens;
                metrics.dropped_messages = dropped_messages;
                if active.splitter.text().trim().is_empty() {
                    let error = ErrorInfo::from(&ErrorCode::ReplyEmpty.into());
                    self.end(TurnState::Failed { stage: Stage::Reply, code: error.code }, Some(error), now_us);
                    return;
                }
                self.reply_text_done(now_us);
            }
            Report::Spoken { pcm, rate, text_span, words } => self.spoken(pcm, rate, text_span, words, now_us),
            Report::ClauseSpoken => {
                active.facts.metrics.speak_ms += now_us.saturating_sub(active.speak_at_us) / 1000;
                active.speaking = None;
                self.speak_next(now_us);
            }
            Report::Failed { stage, error } => {
                self.end(TurnState::Failed { stage, code: error.code }, Some(error), now_us);
            }
        }
    }

    /// `answered_at_us` is when the recogniser was done, which may be before the turn began.
    fn transcribed(&mut self, transcript: Transcript, answered_at_us: u64, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        active.facts.metrics.transcript_ms = Some(active.since_reference_ms(now_us));
        active.facts.metrics.recognize_ms = answered_at_us.saturating_sub(active.recognize_at_us) / 1000;
        if transcript.text.is_empty() {
            let error = ErrorInfo::from(&ErrorCode::NoSpeech.into());
            self.end(TurnState::Failed { stage: Stage::Recognise, code: error.code }, Some(error), now_us);
            return;
        }
        active.facts.transcript = Some(transcript.clone());
        let ticket = self.store(false);
        self.emit_after(Some(ticket), EventKind::TranscriptDone { transcript, stored: true });
        self.reply(now_us);
    }

    fn reply(&mut self, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        active.reply_at_us = now_us;
        let facts = &active.facts;
        let given = facts.transcript.as_ref().map_or(&facts.given_text, |transcript| &transcript.text).clone();
        self.commands.push_back(Output::Reply { turn: facts.turn, origin: facts.origin, given });
    }

    fn reply_text(&mut self, text: String, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        active.splitter.push(&text);
        let since = active.since_reference_ms(now_us);
        active.facts.metrics.first_text_ms.get_or_insert(since);
        self.emit(EventKind::ReplyTextDelta { text });
        self.speak_next(now_us);
    }

    fn reply_text_done(&mut self, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        active.splitter.finish();
        active.reply_text_done = true;
        let text = active.splitter.text().to_owned();
        self.emit(EventKind::ReplyTextDone { text });
        self.speak_next(now_us);
    }

    /// Has the next clause spoken, if none is being spoken and one is complete.
    fn speak_next(&mut self, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        if active.speaking.is_some() || active.audio_done {
            return;
        }
        while active.settings.speaks
            && let Some(clause) = active.splitter.next_clause()
        {
            let text = blank_markup(&active.splitter.text()[clause.clone()]);
            // A lone emoji is shown, not spoken.
            if text.contains(char::is_alphanumeric) {
                active.speaking = Some(clause);
                active.speak_at_us = now_us;
                let turn = active.facts.turn;
                self.commands.push_back(Output::Speak { turn, text });
                return;
            }
        }
        if active.reply_text_done {
            active.audio_done = true;
            active.facts.metrics.computed_ms = Some(active.since_reference_ms(now_us));
            if active.settings.speaks {
                let samples_total = active.timeline.samples_total();
                self.emit(EventKind::ReplyAudioDone { samples_total });
            }
        }
    }

    fn spoken(&mut self, pcm: Arc<[f32]>, rate: u32, span: Range<usize>, mut words: Vec<SpokenWord>, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        let Some(clause) = active.speaking.clone() else { return };
        let first_sample = active.timeline.samples_total();
        for word in &mut words {
            word.text_span = word.text_span.start + clause.start..word.text_span.end + clause.start;
            word.start_sample += first_sample;
            word.end_sample += first_sample;
        }
        let text_span = span.start + clause.start..span.end + clause.start;
        active.timeline.push(pcm.len() as u64, text_span.clone(), &words);
        active.rate = rate;
        if pcm.is_empty() {
            return;
        }
        let since = active.since_reference_ms(now_us);
        active.facts.metrics.first_audio_ms.get_or_insert(since);
        active.facts.metrics.reply_audio_ms = active.timeline.samples_total() * 1000 / u64::from(rate.max(1));
        let chunk = active.chunks;
        active.chunks += 1;
        self.commands.push_back(Output::Keep { turn: active.facts.turn, pcm: pcm.clone(), rate });
        self.emit(EventKind::ReplyAudioDelta { chunk, rate, pcm, text_span, words });
    }

    fn played(&mut self, turn: TurnId, samples_total: u64, now_us: u64) {
        let Some(active) = self.active.as_mut().filter(|active| active.facts.turn == turn) else { return };
        // Reports are cumulative: an older one that comes late takes nothing back.
        active.played = active.played.max(samples_total.min(active.timeline.samples_total()));
        if let Some(stopping) = &mut active.stopping {
            stopping.deadline_us = now_us;
        }
    }

    fn purged(&mut self, turn: TurnId, samples: u64, now_us: u64) {
        let Some(active) = self.active.as_mut().filter(|active| active.facts.turn == turn) else { return };
        let given_out = active.timeline.samples_total().saturating_sub(samples);
        if active.settings.playback_assumed {
            active.played = given_out;
        }
        if let Some(stopping) = &mut active.stopping {
            // Nothing that was given out is still unheard: no report of the host is missing.
            if active.settings.playback_assumed || active.played >= given_out {
                stopping.deadline_us = now_us;
            }
        }
    }

    /// Stops the turn under way; it ends once it is known what was heard.
    fn stop_active(&mut self, reason: InterruptReason, now_us: u64) {
        let Some(active) = &mut self.active else { return };
        if active.stopping.is_some() {
            return;
        }
        let turn = active.facts.turn;
        let has_audio = active.timeline.samples_total() > 0;
        let deadline_us = if has_audio { now_us + LAST_PLAYED_WAIT_US } else { now_us };
        active.stopping = Some(Stopping { reason, deadline_us });
        self.commands.push_back(Output::StopWork { turn });
        if has_audio {
            self.commands.push_back(Output::Purge { turn });
            // Audio events that are not even in the host's queue are taken back here.
            let mut withdrawn = 0;
            self.events.retain(|queued| match &queued.kind {
                EventKind::ReplyAudioDelta { pcm, .. } => {
                    withdrawn += pcm.len() as u64;
                    false
                }
                _ => true,
            });
            self.emit(EventKind::PlaybackFlush);
            if withdrawn > 0 {
                self.purged_early(withdrawn);
            }
        }
    }

    /// Counts audio that never left the machine as not given out.
    fn purged_early(&mut self, samples: u64) {
        let Some(active) = &mut self.active else { return };
        active.timeline.withdraw(samples);
        active.played = active.played.min(active.timeline.samples_total());
    }

    fn close(&mut self, ended: bool, now_us: u64) {
        if self.closing.is_some() {
            return;
        }
        self.closing = Some(ended);
        self.leave_floor();
        self.stop_active(InterruptReason::Cancel, now_us);
        if let Some(active) = self.active.as_mut().filter(|active| !active.settings.playback_assumed)
            && let Some(stopping) = &mut active.stopping
        {
            // Nobody waits for a last report of a host that is going away.
            stopping.deadline_us = now_us;
        }
        for waiting in &mut self.waiting {
            waiting.overtaken = true;
        }
    }

    /// All turns have ended: the session may end too.
    fn take_leave(&mut self) {
        let Some(ended) = self.closing.filter(|_| !self.took_leave) else { return };
        self.took_leave = true;
        let ticket = ended.then(|| self.ticket());
        if let Some(ticket) = ticket {
            self.commands.push_back(Output::StoreEnd { ticket });
        }
        let kind = EventKind::SessionClosed { ended };
        self.events.push_back(Queued { after: ticket, since: None, turn: None, kind });
    }

    fn stored(&mut self, ticket: Ticket, error: Option<ErrorInfo>) {
        if let (Ticket::OF_NO_EVENT, Some(error)) = (ticket, &error) {
            // No turn tells of it.
            self.events.push_back(Queued {
                after: None,
                since: None,
                turn: None,
                kind: EventKind::Error(error.clone()),
            });
        }
        for queued in &mut self.events {
            let Some(last) = queued.after else { continue };
            // An earlier write of the turn may fail where the last one, being small, does not.
            if !(queued.since.unwrap_or(last)..=last).contains(&ticket) {
                continue;
            }
            if ticket == last {
                queued.after = None;
            }
            let Some(error) = &error else { continue };
            match &mut queued.kind {
                EventKind::TranscriptDone { stored, .. } => *stored = false,
                EventKind::SessionClosed { ended } => *ended = false,
                kind @ (EventKind::TurnFinished { .. } | EventKind::TurnInterrupted { .. }) => {
                    *kind = EventKind::TurnFailed { stage: Stage::Store, error: error.clone() };
                }
                _ => {}
            }
        }
    }

    /// Ends the turn under way. The last event waits for the commit.
    fn end(&mut self, state: TurnState, error: Option<ErrorInfo>, now_us: u64) {
        let Some(mut active) = self.active.take() else { return };
        let turn = active.facts.turn;
        if matches!(state, TurnState::Failed { .. }) {
            self.commands.push_back(Output::StopWork { turn });
        }
        let text = active.splitter.text().to_owned();
        if !matches!(state, TurnState::Finished) {
            let heard = active.timeline.heard(&text, active.heard_samples());
            // Without a voice the text is read, not heard.
            let heard_len = if active.settings.speaks { heard.text_len } else { text.len() };
            active.facts.heard_text = Some(text[..heard_len].to_owned());
            active.facts.heard_estimated = heard.estimated;
        }
        active.facts.reply_text = text;
        active.facts.state = state;
        active.facts.ended_at_us = Some(now_us);
        let metrics = active.facts.metrics;
        let kind = match (state, error) {
            (TurnState::Failed { stage, .. }, Some(error)) => EventKind::TurnFailed { stage, error },
            (TurnState::Interrupted { reason }, _) => EventKind::TurnInterrupted {
                reason,
                heard_text: active.facts.heard_text.clone().unwrap_or_default(),
                estimated: active.facts.heard_estimated,
            },
            _ => EventKind::TurnFinished { reply_text: active.facts.reply_text.clone() },
        };
        let ticket = self.ticket();
        self.commands.push_back(Output::Store { ticket, record: Box::new(active.facts), with_audio: true });
        let of = Some(turn);
        self.events.push_back(Queued { after: None, since: None, turn: of, kind: EventKind::Metrics(metrics) });
        self.events.push_back(Queued { after: Some(ticket), since: Some(active.first_ticket), turn: of, kind });
        self.release_floor(turn);
    }

    fn store(&mut self, with_audio: bool) -> Ticket {
        let ticket = self.ticket();
        if let Some(active) = &self.active {
            let mut record = Box::new(active.facts.clone());
            record.reply_text = active.splitter.text().to_owned();
            self.commands.push_back(Output::Store { ticket, record, with_audio });
        }
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn emit(&mut self, kind: EventKind) {
        self.emit_after(None, kind);
    }

    fn emit_after(&mut self, after: Option<Ticket>, kind: EventKind) {
        let turn = self.active.as_ref().map(|active| active.facts.turn);
        self.events.push_back(Queued { after, since: None, turn, kind });
    }
}

impl Active {
    fn is_finished(&self) -> bool {
        self.audio_done && (self.settings.playback_assumed || self.heard_samples() >= self.timeline.samples_total())
    }

    /// Samples that had reached the ear.
    fn heard_samples(&self) -> u64 {
        if self.settings.playback_assumed && self.stopping.is_none() {
            // Nothing that was made is taken back.
            return self.timeline.samples_total();
        }
        let all_played = self.audio_done && self.played >= self.timeline.samples_total();
        if all_played {
            return self.played;
        }
        let on_the_way = u64::from(self.settings.output_latency_ms) * u64::from(self.rate) / 1000;
        self.played.saturating_sub(on_the_way)
    }

    fn since_reference_ms(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.reference_at_us) / 1000
    }
}

#[cfg(test)]
mod tests;
