//! The turn machine: the state of one conversation, and what happens next in it.
//!
//! Pure: no IO, no clock, no threads; time is an argument, in microseconds since the session opened. The calling
//! contract is strict, and asserted:
//!
//! 1. [`Machine::handle`] takes one [`Input`], or [`Machine::tick`] the time;
//! 2. [`Machine::poll`] gives the [`Output`]s that follow from it, until it gives `None`; nothing is handled before;
//! 3. [`Machine::poll_timeout`] says when to call `tick`, unless an input comes first.
//!
//! The same inputs give the same outputs. `Input::Start` follows `Output::StartSpoken`, and `Input::Purged` follows
//! `Output::Purge`; both are handled after the drain that gave the output.
//!
//! It imports `event`, `error` and `text` of the crate, and nothing else.

mod active;
mod endpoint;
mod io;
mod listener;
mod outbox;
mod playback;
mod reply;
mod turn_taking;
mod words;

use crate::event::{ErrorInfo, EventKind, InterruptReason, Stage, Transcript, TurnId};
use active::{ActiveTurn, Waiting};
pub use endpoint::EndpointWeights;
pub(crate) use endpoint::{EndpointSettings, Endpointer, SAMPLES_PER_MS};
pub(crate) use io::{
    Answer, Input, ListeningSettings, Output, Redo, Report, Settings, Start, StartKind, Ticket, TurnFacts,
};
pub(crate) use listener::{Draft, Inquiry, Spoken};
use outbox::Outbox;
use std::collections::VecDeque;
use turn_taking::DraftTimes;
pub(crate) use turn_taking::{Action, TurnTaking};

/// Turns that may wait behind the one under way.
pub(crate) const WAITING_TURNS_MAX: usize = 16;

/// The machine of one session.
#[derive(Debug)]
pub(crate) struct Machine {
    settings: Settings,
    active: Option<ActiveTurn>,
    waiting: VecDeque<Waiting>,
    /// The host cancelled the turns before this one.
    cancelled_before: TurnId,
    turn_taking: TurnTaking,
    outbox: Outbox,
    phase: Phase,
    /// The last [`poll`](Machine::poll) gave `None`.
    drained: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Turns may begin.
    Open,
    /// The turns are still to end; `ended` where the session ends with them.
    Closing { ended: bool },
    /// The last event is in the outbox.
    Leaving,
    /// The machine has given its last output.
    Closed,
}

impl Machine {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            active: None,
            waiting: VecDeque::new(),
            cancelled_before: TurnId(0),
            turn_taking: TurnTaking::new(settings.listening),
            outbox: Outbox::default(),
            phase: Phase::Open,
            drained: true,
        }
    }

    /// Takes an input at the time `now_us`.
    pub(crate) fn handle(&mut self, input: Input, now_us: u64) {
        self.begin_input(now_us);
        let is_open = self.phase == Phase::Open;
        match input {
            Input::Settings(settings) => {
                self.settings = settings;
                self.turn_taking.set(settings.listening);
            }
            Input::Start(start) if is_open => self.accept(start, now_us),
            Input::Interrupt => self.interrupt(InterruptReason::Cancel, now_us),
            Input::Resumed => {
                if let Some(active) = &mut self.active {
                    active.restart_playback(now_us);
                }
            }
            Input::InterruptAll { before } => {
                self.cancelled_before = before;
                self.interrupt_waiting(InterruptReason::Cancel, |_| true);
                self.interrupt(InterruptReason::Cancel, now_us);
            }
            Input::DiscardUtterance => self.turn_taking.discard_utterance(),
            Input::Speech { end, probability } if is_open => self.turn_taking.on_vad_frame(end, probability),
            Input::Answered { inquiry, answer } => self.turn_taking.on_answer(inquiry, answer),
            Input::EndUtterance { reason, turn } if is_open => self.turn_taking.end_utterance(reason, turn),
            Input::Played { turn, samples_total } => {
                if let Some(active) = self.active_mut(turn) {
                    active.on_played(samples_total, now_us);
                }
            }
            Input::Purged { turn, samples } => {
                if let Some(active) = self.active_mut(turn) {
                    active.on_purged(samples, now_us);
                }
            }
            Input::Close { ended } if is_open => self.close(ended, now_us),
            Input::Stored { ticket, error } => self.outbox.on_stored(ticket, error),
            Input::Work { turn, report } => self.on_report(turn, report, now_us),
            // A session that closes takes nothing new.
            Input::Start(_) | Input::Speech { .. } | Input::EndUtterance { .. } | Input::Close { .. } => {}
        }
        self.proceed(now_us);
    }

    /// Takes the time `now_us`, once [`poll_timeout`](Machine::poll_timeout) has come.
    pub(crate) fn tick(&mut self, now_us: u64) {
        self.begin_input(now_us);
        self.turn_taking.tick();
        self.proceed(now_us);
    }

    /// The next output; `None` until the next input.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        let output = self.outbox.poll().or_else(|| {
            let is_closed = self.phase == Phase::Leaving && self.outbox.is_empty();
            is_closed.then(|| {
                self.phase = Phase::Closed;
                Output::Closed
            })
        });
        self.drained = output.is_none();
        output
    }

    /// When [`tick`](Machine::tick) is due, in microseconds.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        let stopped_us = self.active.as_ref().and_then(ActiveTurn::deadline_us);
        [stopped_us, self.turn_taking.stalled_us()].into_iter().flatten().min()
    }

    /// The first sample of the microphone's audio that is still of use.
    pub(crate) fn audio_needed_from(&self) -> u64 {
        self.turn_taking.needed_from()
    }

    /// Turns that have not ended.
    pub(crate) fn turns_open(&self) -> usize {
        self.waiting.len() + usize::from(self.active.is_some())
    }

    fn begin_input(&mut self, now_us: u64) {
        debug_assert!(self.drained, "an input is handled before poll gave None for the one before");
        self.drained = false;
        self.turn_taking.begin_input(self.active.as_ref().map(ActiveTurn::under_way), now_us);
    }

    fn active_mut(&mut self, turn: TurnId) -> Option<&mut ActiveTurn> {
        self.active.as_mut().filter(|active| active.turn() == turn)
    }

    fn accept(&mut self, start: Start, now_us: u64) {
        let interruptible = self.active.as_ref().is_none_or(|active| active.under_way().interruptible);
        if start.what.is_users() && interruptible {
            // The user's turn comes before those that the host asked for, and interrupts the one under way.
            self.interrupt_waiting(InterruptReason::BargeIn, |what| !what.is_users());
            self.interrupt(InterruptReason::BargeIn, now_us);
        }
        if let StartKind::Spoken(spoken) = &start.what {
            self.turn_taking.on_turn_accepted(start.turn, spoken);
        }
        let interrupted = (start.turn < self.cancelled_before).then_some(InterruptReason::Cancel);
        self.waiting.push_back(Waiting { start, interrupted });
    }

    /// Applies the actions of turn-taking, ends the turn under way if it is time, and begins the next.
    fn proceed(&mut self, now_us: u64) {
        loop {
            if let Some(action) = self.turn_taking.poll() {
                match action {
                    Action::Output(output) => self.outbox.push(output),
                    Action::Interrupt => self.interrupt(InterruptReason::BargeIn, now_us),
                    Action::Recognised { turn, answer } => self.on_recognition(turn, answer, now_us),
                }
            } else if let Some(active) = &mut self.active {
                active.set_paused(self.turn_taking.pauses_playback(), now_us);
                let Some(ending) = active.take_ending(now_us) else { return };
                let active = self.active.take().expect("it is under way");
                self.turn_taking.on_turn_ended(active.turn());
                active.end(ending, &mut self.outbox, now_us);
            } else if let Some(waiting) = self.waiting.pop_front() {
                let draft = match &waiting.start.what {
                    StartKind::Spoken(spoken) => self.turn_taking.take_draft_times(spoken.inquiry),
                    _ => DraftTimes::default(),
                };
                self.active = Some(ActiveTurn::begin(waiting, self.settings, draft, &mut self.outbox, now_us));
            } else {
                debug_assert!(!self.turn_taking.owes_a_transcript(), "no turn is open");
                return self.leave();
            }
        }
    }

    fn on_report(&mut self, turn: TurnId, report: Report, now_us: u64) {
        // The one place where late results are dropped.
        let active = self.active.as_mut().filter(|active| active.turn() == turn && !active.under_way().stopping);
        if let Some(active) = active {
            active.on_report(report, &mut self.outbox, now_us);
        }
    }

    /// Takes the recogniser's answer about an utterance for its turn, which may not have begun.
    fn on_recognition(&mut self, turn: TurnId, answer: Result<Transcript, ErrorInfo>, now_us: u64) {
        let waiting = self.waiting.iter_mut().find_map(|waiting| match &mut waiting.start.what {
            StartKind::Spoken(spoken) if waiting.start.turn == turn => Some(spoken),
            _ => None,
        });
        if let Some(spoken) = waiting {
            spoken.draft = answer.map_or(Draft::None, Draft::Done);
            return;
        }
        let report = match answer {
            Ok(transcript) => Report::Transcribed(transcript),
            Err(error) => Report::Failed { stage: Stage::Recognise, error },
        };
        self.on_report(turn, report, now_us);
    }

    /// Interrupts the turn under way; it ends once it is known how much of it was heard.
    fn interrupt(&mut self, reason: InterruptReason, now_us: u64) {
        if let Some(active) = &mut self.active {
            active.stop(reason, &mut self.outbox, now_us);
        }
    }

    fn close(&mut self, ended: bool, now_us: u64) {
        self.phase = Phase::Closing { ended };
        self.turn_taking.close();
        if let Some(active) = &mut self.active {
            active.close(&mut self.outbox, now_us);
        }
        self.interrupt_waiting(InterruptReason::Cancel, |_| true);
    }

    /// Interrupts turns that wait, unless they are; each ends once it is its time to begin.
    fn interrupt_waiting(&mut self, reason: InterruptReason, which: impl Fn(&StartKind) -> bool) {
        for waiting in self.waiting.iter_mut().filter(|waiting| which(&waiting.start.what)) {
            waiting.interrupted.get_or_insert(reason);
        }
    }

    /// All turns have ended: if the session closes, it may end too.
    fn leave(&mut self) {
        let Phase::Closing { ended } = self.phase else { return };
        self.phase = Phase::Leaving;
        let kind = EventKind::SessionClosed { ended };
        if ended {
            let ticket = self.outbox.store_end();
            self.outbox.emit_after(ticket..=ticket, None, kind);
        } else {
            self.outbox.emit(None, kind);
        }
    }
}
