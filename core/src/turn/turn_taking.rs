//! Turn-taking: utterances of the microphone become turns, and a barge-in interrupts the turn under way.
//!
//! Speech onset over a turn is a possible barge-in: its playback pauses. It is confirmed once the speech has lasted, or
//! has words that are more than a backchannel, and interrupts the turn; else it was a false interruption: the playback
//! resumes and the utterance is dropped.
//!
//! A machine of its own: it is told of the turn under way, and its [`Action`]s are taken with
//! [`poll`](TurnTaking::poll) after each input.

use super::endpoint::{SAMPLES_PER_MS, Utterance};
use super::io::{Answer, ListeningSettings, Output};
use super::listener::{Draft, Inquiry, Listener, Notice, Spoken};
use super::words;
use crate::event::{EndReason, ErrorInfo, EventKind, Transcript, TurnId};
use std::collections::{BTreeMap, VecDeque};

/// A microphone that gives no audio for so long within an utterance has stalled.
const STALLED_US: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(crate) struct TurnTaking {
    listener: Listener,
    /// The turn under way, of which nothing changes within one input but by an [`Action`].
    active: Option<TurnUnderWay>,
    /// When the input came.
    now_us: u64,
    barge_in: Option<BargeIn>,
    /// The owner of each inquiry that the recogniser has not answered.
    owners: BTreeMap<Inquiry, Owner>,
    /// The number of the turn that begins with the utterance that the host just ended.
    reserved: Option<TurnId>,
    audio_at_us: u64,
    /// From where on there is neither speech nor a turn, and whether the host was told.
    idle_from: u64,
    idle_told: bool,
    /// The last draft: when it was asked for, and when answered.
    drafted: Option<(Inquiry, u64)>,
    answered_at_us: Option<u64>,
    /// Time of the recogniser spent on drafts that were dropped.
    wasted_us: u64,
    actions: VecDeque<Action>,
}

/// The turn under way as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnUnderWay {
    pub(super) turn: TurnId,
    pub(super) interruptible: bool,
    pub(super) has_audio: bool,
    pub(super) stopping: bool,
}

/// A possible barge-in over the turn under way.
#[derive(Debug)]
struct BargeIn {
    /// The host was told to pause the playback.
    paused: bool,
    /// The complete utterance, while its words are being recognised.
    spoken: Option<Spoken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The open utterance, at a stop.
    Draft,
    /// The open utterance, for a partial transcript.
    Partial,
    /// The possible barge-in, whose utterance is complete.
    BargeIn,
    /// The turn that began, or waits to begin, with the utterance.
    Turn(TurnId),
}

#[derive(Debug)]
pub(crate) enum Action {
    /// An output of the machine.
    Output(Output),
    /// Interrupt the turn under way.
    Interrupt,
    /// The recogniser's answer about the utterance of a turn.
    Recognised { turn: TurnId, answer: Result<Transcript, ErrorInfo> },
}

/// When the draft of an utterance was asked for and answered, and the time wasted on others since the last turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DraftTimes {
    pub(super) asked_at_us: Option<u64>,
    pub(super) answered_at_us: u64,
    pub(super) wasted_us: u64,
}

impl TurnTaking {
    pub(crate) fn new(settings: ListeningSettings) -> Self {
        Self { listener: Listener::new(settings), ..Self::default() }
    }

    /// Takes note of the time and of the turn under way, before each input.
    pub(super) fn begin_input(&mut self, active: Option<TurnUnderWay>, now_us: u64) {
        (self.active, self.now_us) = (active, now_us);
    }

    /// The next action that follows from the input.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.take_notices();
        self.actions.pop_front()
    }

    pub(super) fn set(&mut self, settings: ListeningSettings) {
        self.listener.set(settings);
        if !settings.continuous {
            self.reject_barge_in();
        }
    }

    /// When the microphone will have stalled.
    pub(crate) fn stalled_us(&self) -> Option<u64> {
        self.listener.endpointer().is_open().then_some(self.audio_at_us + STALLED_US)
    }

    /// The first sample that is still of use.
    pub(crate) fn needed_from(&self) -> u64 {
        let held = self.barge_in.as_ref().and_then(|barge_in| barge_in.spoken.as_ref());
        held.map_or(u64::MAX, |spoken| spoken.place.start).min(self.listener.endpointer().needed_from())
    }

    pub(crate) fn on_vad_frame(&mut self, end: u64, probability: f32) {
        if !self.listener.settings().continuous {
            return;
        }
        self.audio_at_us = self.now_us;
        self.listener.on_vad_frame(end, probability);
        self.take_notices();
        if self.listener.endpointer().speech_len() >= self.listener.settings().interrupt_after {
            self.confirm_barge_in();
        }
        self.watch_idle(end);
    }

    pub(crate) fn on_answer(&mut self, inquiry: Inquiry, answer: Answer) {
        match answer {
            Answer::Detected(probability) => self.listener.on_turn_detector(inquiry, probability),
            Answer::FirstPass(transcript) => self.listener.on_first_pass(inquiry, transcript),
            Answer::Recognised(answer) => self.on_recognition(inquiry, answer),
        }
    }

    /// Hands the recogniser's answer to the inquiry's owner. A late answer has none.
    fn on_recognition(&mut self, inquiry: Inquiry, answer: Result<Transcript, ErrorInfo>) {
        if self.asked_at_us(inquiry).is_some() {
            self.answered_at_us = Some(self.now_us);
        }
        match self.owners.remove(&inquiry) {
            Some(Owner::Draft) => self.listener.on_draft(answer),
            Some(Owner::Partial) => self.listener.on_partial(answer),
            Some(Owner::BargeIn) => match answer {
                Ok(transcript) if is_meant(&transcript) => {
                    let held = self.barge_in.as_mut().and_then(|barge_in| barge_in.spoken.as_mut());
                    held.expect("the utterance of the barge-in is complete").draft = Draft::Done(transcript);
                    self.confirm_barge_in();
                }
                _ => self.reject_barge_in(),
            },
            Some(Owner::Turn(turn)) => self.actions.push_back(Action::Recognised { turn, answer }),
            None => {}
        }
    }

    /// Ends the open utterance. A turn begins with the reserved number in any case.
    pub(crate) fn end_utterance(&mut self, reason: EndReason, reserved: Option<TurnId>) {
        self.reserved = reserved;
        self.listener.finish(reason);
        self.take_notices();
        if self.reserved.is_some() {
            let at = self.listener.endpointer().position();
            let place = Utterance { start: at, end: at, decided: at, reason };
            let draft = Draft::Done(Transcript::default());
            self.start(Spoken { place, inquiry: Inquiry(0), draft, turn: None });
        }
    }

    /// Drops the open utterance; over a reply it was no barge-in.
    pub(super) fn discard_utterance(&mut self) {
        self.reject_barge_in();
    }

    /// The playback is paused for a possible barge-in.
    pub(super) fn pauses_playback(&self) -> bool {
        self.barge_in.as_ref().is_some_and(|barge_in| barge_in.paused)
    }

    /// Ends an utterance whose microphone has stalled.
    pub(super) fn tick(&mut self) {
        if self.stalled_us().is_some_and(|at_us| at_us <= self.now_us) {
            self.end_utterance(EndReason::InputStalled, None);
        }
    }

    /// A turn is to begin with this utterance: its draft is the turn's.
    pub(crate) fn on_turn_accepted(&mut self, turn: TurnId, spoken: &Spoken) {
        if spoken.draft == Draft::Pending {
            self.owners.insert(spoken.inquiry, Owner::Turn(turn));
        }
    }

    /// A turn awaits its transcript.
    pub(super) fn owes_a_transcript(&self) -> bool {
        self.owners.values().any(|owner| matches!(owner, Owner::Turn(_)))
    }

    /// The turn has ended: speech over it is an utterance of its own.
    pub(super) fn on_turn_ended(&mut self, turn: TurnId) {
        self.active = None;
        self.owners.retain(|_, owner| *owner != Owner::Turn(turn));
        if let Some(spoken) = self.barge_in.take().and_then(|barge_in| barge_in.spoken) {
            self.start(spoken);
        }
    }

    /// Drops the open utterance, and every inquiry.
    pub(super) fn close(&mut self) {
        self.barge_in = None;
        self.listener.discard();
        self.owners.clear();
    }

    /// The times of this draft; the count of wasted time restarts.
    pub(super) fn take_draft_times(&mut self, inquiry: Inquiry) -> DraftTimes {
        DraftTimes {
            asked_at_us: self.asked_at_us(inquiry),
            answered_at_us: self.answered_at_us.unwrap_or_default(),
            wasted_us: std::mem::take(&mut self.wasted_us),
        }
    }

    fn asked_at_us(&self, inquiry: Inquiry) -> Option<u64> {
        self.drafted.filter(|(asked, _)| *asked == inquiry).map(|(_, at_us)| at_us)
    }

    fn take_notices(&mut self) {
        while let Some(notice) = self.listener.poll() {
            match notice {
                Notice::Started { start } => {
                    self.emit(None, EventKind::SpeechStarted { start_ms: start / SAMPLES_PER_MS });
                    self.on_speech_onset();
                }
                Notice::Stopped { end } => {
                    self.emit(None, EventKind::SpeechStopped { end_ms: end / SAMPLES_PER_MS });
                }
                Notice::AskDetector { inquiry, span } => self.output(Output::AskDetector { inquiry, span }),
                Notice::AskRecognizer { inquiry, span, is_draft } => {
                    if is_draft {
                        (self.drafted, self.answered_at_us) = (Some((inquiry, self.now_us)), None);
                    }
                    self.owners.insert(inquiry, if is_draft { Owner::Draft } else { Owner::Partial });
                    self.output(Output::AskRecognizer { inquiry, span, is_draft });
                }
                Notice::Drop { inquiry } => {
                    if let Some(asked_at_us) = self.asked_at_us(inquiry) {
                        let until_us = self.answered_at_us.unwrap_or(self.now_us);
                        self.wasted_us += until_us.saturating_sub(asked_at_us);
                    }
                    self.owners.remove(&inquiry);
                    self.output(Output::DropInquiry { inquiry });
                }
                Notice::Words { transcript, shown, stable_len, is_draft } => {
                    self.emit(None, EventKind::TranscriptPartial { text: shown, stable_len });
                    self.on_words(transcript, is_draft);
                }
                Notice::Ended(spoken) => self.on_utterance(spoken),
                Notice::NoSpeech => self.reject_barge_in(),
            }
        }
    }

    /// Speech onset over a turn is a possible barge-in.
    fn on_speech_onset(&mut self) {
        let Some(active) = self.active.filter(|active| !active.stopping) else { return };
        if self.barge_in.is_some() {
            return;
        }
        let paused = active.interruptible && active.has_audio;
        self.barge_in = Some(BargeIn { paused, spoken: None });
        if paused {
            self.emit(Some(active.turn), EventKind::PlaybackPause);
        }
    }

    fn on_words(&mut self, transcript: Transcript, is_draft: bool) {
        if is_meant(&transcript) {
            self.confirm_barge_in();
        } else if is_draft && self.barge_in.is_some() {
            self.reject_barge_in();
            return;
        }
        if let Some(inquiry) = self.listener.drafted().filter(|_| is_draft && self.active.is_none()) {
            self.output(Output::Prefill { inquiry, given: transcript.text });
        }
    }

    fn on_utterance(&mut self, spoken: Spoken) {
        if let Some(barge_in) = &mut self.barge_in {
            let ended_by_host = spoken.place.reason == EndReason::Host;
            if spoken.draft == Draft::Pending && !ended_by_host {
                self.owners.retain(|_, owner| *owner != Owner::BargeIn);
                self.owners.insert(spoken.inquiry, Owner::BargeIn);
                barge_in.spoken = Some(spoken);
                return;
            }
            // Long enough, over a turn that cannot be interrupted.
            let is_long = spoken.place.end - spoken.place.start >= self.listener.settings().interrupt_after;
            if !ended_by_host && !is_long {
                self.reject_barge_in();
                return;
            }
            self.confirm_barge_in();
        }
        self.start(spoken);
    }

    /// Interrupts the turn under way. One that cannot be interrupted goes on, and the utterance's turn waits for it.
    fn confirm_barge_in(&mut self) {
        let Some(barge_in) = self.barge_in.take() else { return };
        if let Some(active) = self.active.as_mut().filter(|active| active.interruptible) {
            active.stopping = true;
            self.actions.push_back(Action::Interrupt);
        }
        if let Some(spoken) = barge_in.spoken {
            self.start(spoken);
        }
    }

    /// A false interruption: the playback resumes, unless it was flushed meanwhile, and the utterance is dropped.
    fn reject_barge_in(&mut self) {
        if let Some(barge_in) = self.barge_in.take()
            && barge_in.paused
            && let Some(active) = self.active.filter(|active| !active.stopping)
        {
            self.emit(Some(active.turn), EventKind::PlaybackResume);
        }
        self.listener.discard();
        self.owners.retain(|_, owner| matches!(owner, Owner::Turn(_)));
    }

    fn start(&mut self, mut spoken: Spoken) {
        self.owners.remove(&spoken.inquiry);
        spoken.turn = self.reserved.take();
        self.output(Output::StartSpoken(Box::new(spoken)));
    }

    fn watch_idle(&mut self, end: u64) {
        if self.listener.endpointer().is_open() || self.active.is_some() {
            (self.idle_from, self.idle_told) = (end, false);
        }
        let idle = end - self.idle_from;
        if self.listener.settings().idle_after.is_some_and(|after| idle >= after) && !self.idle_told {
            self.idle_told = true;
            self.emit(None, EventKind::Idle { silence_ms: idle / SAMPLES_PER_MS });
        }
    }

    fn emit(&mut self, turn: Option<TurnId>, kind: EventKind) {
        self.output(Output::Emit { turn, kind });
    }

    fn output(&mut self, output: Output) {
        self.actions.push_back(Action::Output(output));
    }
}

/// Words over a reply are meant to interrupt it.
fn is_meant(transcript: &Transcript) -> bool {
    words::are_reliable(transcript) && !words::is_backchannel(transcript)
}
