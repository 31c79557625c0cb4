//! Who has the floor: what is heard while listening becomes turns, and stops the tutor only where it is meant to.
//!
//! Speech over a turn under way holds the playback first. It takes the floor once it has lasted, or carries words that
//! are more than a nod; then the turn is interrupted. Else the playback goes on, and what was heard is forgotten.

use super::endpoint::{SAMPLES_PER_MS, Utterance};
use super::listener::{ListenSettings, Listener, Notice, spoken_languages};
use super::{Draft, Inquiry, ListeningSettings, Machine, Output, Queued, Report, Spoken, words};
use crate::event::{EndReason, ErrorInfo, EventKind, InterruptReason, Stage, Transcript, TurnId};

/// A microphone that gives nothing for so long while somebody speaks has stalled.
const STALLED_US: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Floor {
    listener: Listener,
    contested: Option<Contested>,
    /// The turn that begins with what is complete now.
    promised: Option<TurnId>,
    /// When audio came last.
    heard_at_us: u64,
    /// Since where nobody speaks and no turn is under way, and whether the host was told.
    idle_from: u64,
    idle_told: bool,
    /// The last question about a stop: when it was asked, and when answered.
    drafted: Option<(Inquiry, u64)>,
    answered_at_us: Option<u64>,
    /// Time that went into drafts nobody took.
    wasted_us: u64,
}

/// Speech over a turn, of which it is not clear yet whether it takes the floor.
#[derive(Debug)]
struct Contested {
    turn: TurnId,
    /// The host was told to hold the playback.
    paused: bool,
    /// It is complete, and its words are not known yet.
    spoken: Option<Spoken>,
}

impl Floor {
    pub(super) fn new(settings: ListenSettings) -> Self {
        Self {
            listener: Listener::new(settings),
            contested: None,
            promised: None,
            heard_at_us: 0,
            idle_from: 0,
            idle_told: false,
            drafted: None,
            answered_at_us: None,
            wasted_us: 0,
        }
    }

    /// When this question about a stop was asked.
    pub(super) fn asked_at_us(&self, inquiry: Inquiry) -> Option<u64> {
        self.drafted.filter(|(asked, _)| *asked == inquiry).map(|(_, at_us)| at_us)
    }

    /// When the last question about a stop was answered.
    pub(super) fn answered_at_us(&self) -> u64 {
        self.answered_at_us.unwrap_or_default()
    }

    pub(super) fn take_wasted_us(&mut self) -> u64 {
        std::mem::take(&mut self.wasted_us)
    }

    /// When the microphone will have stalled.
    pub(super) fn stalled_us(&self) -> Option<u64> {
        self.listener.is_open().then_some(self.heard_at_us + STALLED_US)
    }

    pub(super) fn needed_from(&self) -> u64 {
        let held = self.contested.as_ref().and_then(|contested| contested.spoken.as_ref());
        held.map_or(u64::MAX, |spoken| spoken.place.start).min(self.listener.needed_from())
    }
}

impl Machine {
    pub(super) fn set_floor(&mut self, settings: ListeningSettings) {
        self.floor.listener.set(settings.listen);
        if !settings.continuous {
            self.yield_floor();
        }
    }

    pub(super) fn hear(&mut self, end: u64, probability: f32, now_us: u64) {
        if self.closing.is_some() || !self.settings.listening.continuous {
            return;
        }
        self.floor.heard_at_us = now_us;
        self.floor.listener.hear(end, probability);
        self.follow(now_us);
        if self.floor.listener.speech_len() >= self.settings.listening.interrupt_after {
            self.take_floor(now_us);
        }
        self.watch_idle(end);
    }

    pub(super) fn hear_detector(&mut self, inquiry: Inquiry, probability: f32, now_us: u64) {
        self.floor.listener.hear_detector(inquiry, probability);
        self.follow(now_us);
    }

    pub(super) fn hear_first(&mut self, inquiry: Inquiry, transcript: Transcript, now_us: u64) {
        self.floor.listener.hear_first(inquiry, transcript);
        self.follow(now_us);
    }

    pub(super) fn hear_recognizer(&mut self, inquiry: Inquiry, answer: Result<Transcript, ErrorInfo>, now_us: u64) {
        if self.floor.asked_at_us(inquiry).is_some() {
            self.floor.answered_at_us = Some(now_us);
        }
        if !self.floor.listener.hear_draft(inquiry, &answer) && !self.settle(inquiry, &answer, now_us) {
            self.floor.listener.hear_partial(inquiry, answer);
        }
        self.follow(now_us);
    }

    pub(super) fn end_utterance(&mut self, reason: EndReason, turn: Option<TurnId>, now_us: u64) {
        if self.closing.is_some() {
            return;
        }
        self.floor.promised = turn;
        self.floor.listener.finish(reason);
        self.follow(now_us);
        if self.floor.promised.is_some() {
            // Nothing was being said, and the turn ends with saying so.
            let at = self.floor.listener.position();
            let place = Utterance { start: at, end: at, decided: at, reason };
            let draft = Draft::Done(Transcript::default());
            self.start_spoken(Spoken { place, inquiry: Inquiry(0), draft, turn: None });
        }
    }

    /// Ends what is being said where no audio comes any more.
    pub(super) fn watch_input(&mut self, now_us: u64) {
        if self.floor.stalled_us().is_some_and(|at_us| at_us <= now_us) {
            self.end_utterance(EndReason::InputStalled, None, now_us);
        }
    }

    /// The turn has ended: nobody speaks over it any more.
    pub(super) fn release_floor(&mut self, turn: TurnId) {
        if let Some(contested) = self.floor.contested.take_if(|contested| contested.turn == turn)
            && let Some(spoken) = contested.spoken
        {
            self.start_spoken(spoken);
        }
    }

    /// Forgets what is being said.
    pub(super) fn leave_floor(&mut self) {
        self.floor.contested = None;
        self.floor.listener.discard();
    }

    fn follow(&mut self, now_us: u64) {
        while let Some(notice) = self.floor.listener.poll() {
            match notice {
                Notice::Started { start } => {
                    self.emit_heard(EventKind::SpeechStarted { start_ms: start / SAMPLES_PER_MS });
                    self.contest_floor();
                }
                Notice::Stopped { end } => {
                    self.emit_heard(EventKind::SpeechStopped { end_ms: end / SAMPLES_PER_MS });
                }
                Notice::AskDetector { inquiry, start, end } => {
                    self.commands.push_back(Output::AskDetector { inquiry, span: start..end });
                }
                Notice::AskDraft { inquiry, start, end } => {
                    (self.floor.drafted, self.floor.answered_at_us) = (Some((inquiry, now_us)), None);
                    self.commands.push_back(Output::AskRecognizer { inquiry, span: start..end, is_draft: true });
                }
                Notice::AskPartial { inquiry, start, end } => {
                    self.commands.push_back(Output::AskRecognizer { inquiry, span: start..end, is_draft: false });
                }
                Notice::Drop { inquiry } => {
                    if let Some(asked_at_us) = self.floor.asked_at_us(inquiry) {
                        let until_us = self.floor.answered_at_us.unwrap_or(now_us);
                        self.floor.wasted_us += until_us.saturating_sub(asked_at_us);
                    }
                    self.commands.push_back(Output::DropInquiry { inquiry });
                }
                Notice::Words { transcript, shown, stable_len, is_draft } => {
                    self.emit_heard(EventKind::TranscriptPartial { text: shown, stable_len });
                    self.hear_words(&transcript, is_draft, now_us);
                }
                Notice::Ended(spoken) => self.hear_end(spoken, now_us),
                Notice::Void => self.yield_floor(),
            }
        }
    }

    fn contest_floor(&mut self) {
        let Some(active) = self.active.as_ref().filter(|active| active.stopping.is_none()) else { return };
        if self.floor.contested.is_some() {
            return;
        }
        let (turn, paused) = (active.facts.turn, active.settings.interruptible && active.timeline.samples_total() > 0);
        self.floor.contested = Some(Contested { turn, paused, spoken: None });
        if paused {
            self.emit(EventKind::PlaybackPause);
        }
    }

    fn hear_words(&mut self, transcript: &Transcript, is_draft: bool, now_us: u64) {
        if is_meant(transcript) {
            self.take_floor(now_us);
        } else if is_draft && self.floor.contested.is_some() {
            self.yield_floor();
            return;
        }
        if let Some(inquiry) = self.floor.listener.drafting().filter(|_| is_draft && self.active.is_none()) {
            self.commands.push_back(Output::Prefill { inquiry, given: transcript.text.clone() });
        }
    }

    fn hear_end(&mut self, spoken: Spoken, now_us: u64) {
        let Some(contested) = &mut self.floor.contested else {
            self.start_spoken(spoken);
            return;
        };
        if spoken.place.reason == EndReason::Host {
            self.take_floor(now_us);
            self.start_spoken(spoken);
        } else if spoken.draft == Draft::Pending {
            contested.spoken = Some(spoken);
        } else if spoken.place.end - spoken.place.start >= self.settings.listening.interrupt_after {
            // Long enough, over a turn that cannot be interrupted.
            self.take_floor(now_us);
            self.start_spoken(spoken);
        } else {
            self.yield_floor();
        }
    }

    /// Takes the answer for an utterance that is complete; false where none waits for it.
    fn settle(&mut self, inquiry: Inquiry, answer: &Result<Transcript, ErrorInfo>, now_us: u64) -> bool {
        let held = self.floor.contested.as_mut().and_then(|contested| contested.spoken.as_mut());
        if let Some(spoken) = held.filter(|spoken| spoken.inquiry == inquiry) {
            match answer {
                Ok(said) if is_meant(said) => {
                    spoken.draft = Draft::Done(said.clone());
                    self.take_floor(now_us);
                }
                _ => self.yield_floor(),
            }
            return true;
        }
        if let Some(active) = &mut self.active
            && let Some(draft) = active.what.pending_draft(inquiry)
        {
            *draft = Draft::None;
            if active.stopping.is_none() {
                let report = match answer {
                    Ok(transcript) => Report::Transcribed(transcript.clone()),
                    Err(error) => Report::Failed { stage: Stage::Recognise, error: error.clone() },
                };
                self.work(report, now_us);
            }
            return true;
        }
        for waiting in &mut self.waiting {
            if let Some(draft) = waiting.start.what.pending_draft(inquiry) {
                *draft = answer.as_ref().map_or(Draft::None, |transcript| Draft::Done(transcript.clone()));
                return true;
            }
        }
        false
    }

    /// The speech is meant: it stops the turn under way, or comes after it where that cannot be stopped.
    fn take_floor(&mut self, now_us: u64) {
        let Some(contested) = self.floor.contested.take() else { return };
        if self.active.as_ref().is_some_and(|active| active.settings.interruptible) {
            self.stop_active(InterruptReason::BargeIn, now_us);
        }
        if let Some(spoken) = contested.spoken {
            self.start_spoken(spoken);
        }
    }

    /// It was nothing: the playback goes on, unless it was flushed meanwhile.
    fn yield_floor(&mut self) {
        if let Some(contested) = self.floor.contested.take()
            && contested.paused
            && self.active.as_ref().is_some_and(|active| active.stopping.is_none())
        {
            self.emit(EventKind::PlaybackResume);
        }
        self.floor.listener.discard();
    }

    fn start_spoken(&mut self, mut spoken: Spoken) {
        spoken.turn = self.floor.promised.take();
        self.commands.push_back(Output::StartSpoken(Box::new(spoken)));
    }

    fn watch_idle(&mut self, end: u64) {
        if self.floor.listener.is_open() || self.turns_open() > 0 {
            (self.floor.idle_from, self.floor.idle_told) = (end, false);
        }
        let idle = end - self.floor.idle_from;
        if self.settings.listening.idle_after.is_some_and(|after| idle >= after) && !self.floor.idle_told {
            self.floor.idle_told = true;
            self.emit_heard(EventKind::Idle { silence_ms: idle / SAMPLES_PER_MS });
        }
    }

    /// An event of the microphone, which belongs to no turn yet.
    fn emit_heard(&mut self, kind: EventKind) {
        self.events.push_back(Queued { after: None, since: None, turn: None, kind });
    }
}

/// Whether words over the tutor are meant to stop it.
fn is_meant(said: &Transcript) -> bool {
    words::are_believed(said) && words::takes_the_floor(&said.text, &spoken_languages(said))
}
