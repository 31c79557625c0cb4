//! The outbox of a turn machine: its outputs in order, each event behind the commits that it vouches for.
//!
//! Commands leave at once. Events keep their order: one that waits for a commit holds back those behind it.

use super::io::{Output, Ticket, TurnFacts};
use crate::event::{ErrorInfo, EventKind, Stage, TurnId};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    commands: VecDeque<Output>,
    events: VecDeque<Queued>,
    last_ticket: u64,
}

#[derive(Debug)]
struct Queued {
    /// The writes that the event vouches for; it leaves once the last of them is answered.
    after: Option<RangeInclusive<Ticket>>,
    turn: Option<TurnId>,
    kind: EventKind,
}

impl Outbox {
    pub(super) fn push(&mut self, output: Output) {
        match output {
            Output::Emit { turn, kind } => self.emit(turn, kind),
            command => self.commands.push_back(command),
        }
    }

    pub(super) fn emit(&mut self, turn: Option<TurnId>, kind: EventKind) {
        self.events.push_back(Queued { after: None, turn, kind });
    }

    /// Emits an event that vouches for these writes.
    pub(super) fn emit_after(&mut self, after: RangeInclusive<Ticket>, turn: Option<TurnId>, kind: EventKind) {
        self.events.push_back(Queued { after: Some(after), turn, kind });
    }

    pub(super) fn store(&mut self, record: TurnFacts, with_audio: bool) -> Ticket {
        let ticket = self.take_ticket();
        self.commands.push_back(Output::Store { ticket, record: Box::new(record), with_audio });
        ticket
    }

    pub(super) fn store_end(&mut self) -> Ticket {
        let ticket = self.take_ticket();
        self.commands.push_back(Output::StoreEnd { ticket });
        ticket
    }

    /// The ticket of the next write.
    pub(super) fn next_ticket(&self) -> Ticket {
        Ticket(self.last_ticket + 1)
    }

    /// Takes the outcome of a write. Where it failed, the events that vouch for it say so.
    pub(super) fn on_stored(&mut self, ticket: Ticket, error: Option<ErrorInfo>) {
        if let (Ticket::OF_NO_EVENT, Some(error)) = (ticket, &error) {
            self.emit(None, EventKind::Error(error.clone()));
        }
        for queued in &mut self.events {
            // An earlier write of a turn may fail where its last one, being small, does not.
            if !queued.after.as_ref().is_some_and(|after| after.contains(&ticket)) {
                continue;
            }
            queued.after.take_if(|after| *after.end() == ticket);
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

    /// Takes back the reply audio that has not left; gives its samples.
    pub(super) fn withdraw_audio(&mut self) -> u64 {
        let mut withdrawn = 0;
        self.events.retain(|queued| match &queued.kind {
            EventKind::ReplyAudioDelta { pcm, .. } => {
                withdrawn += pcm.len() as u64;
                false
            }
            _ => true,
        });
        withdrawn
    }

    pub(super) fn poll(&mut self) -> Option<Output> {
        if let Some(command) = self.commands.pop_front() {
            return Some(command);
        }
        let Queued { turn, kind, .. } = self.events.pop_front_if(|queued| queued.after.is_none())?;
        Some(Output::Emit { turn, kind })
    }

    /// Nothing is left, not even an event that waits.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.events.is_empty()
    }

    fn take_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::event::Transcript;

    const TURN: Option<TurnId> = Some(TurnId(1));

    fn emitted(outbox: &mut Outbox) -> Vec<EventKind> {
        let outputs = std::iter::from_fn(|| outbox.poll());
        outputs.filter_map(|output| if let Output::Emit { kind, .. } = output { Some(kind) } else { None }).collect()
    }

    fn failure() -> Option<ErrorInfo> {
        Some(ErrorInfo::from(&ErrorCode::StoreFull.into()))
    }

    #[test]
    fn an_event_waits_for_its_commit_and_those_behind_it_wait_too() {
        let mut outbox = Outbox::default();
        let done = |stored| EventKind::TranscriptDone { transcript: Transcript::default(), stored };
        for error in [None, failure()] {
            let (ticket, stored) = (outbox.store_end(), error.is_none());
            outbox.emit_after(ticket..=ticket, TURN, done(true));
            outbox.emit(TURN, EventKind::PlaybackPause);
            assert_eq!(emitted(&mut outbox), [], "only the command leaves");
            assert!(!outbox.is_empty());
            outbox.on_stored(ticket, error);
            assert_eq!(emitted(&mut outbox), [done(stored), EventKind::PlaybackPause]);
            assert!(outbox.is_empty());
        }
    }

    #[test]
    fn a_turn_failed_where_any_of_its_commits_did() {
        let mut outbox = Outbox::default();
        let (first, last) = (outbox.store_end(), outbox.store_end());
        outbox.emit_after(first..=last, TURN, EventKind::TurnFinished { reply_text: String::new() });
        outbox.on_stored(first, failure());
        assert_eq!(emitted(&mut outbox), []);
        outbox.on_stored(last, None);
        assert!(matches!(&emitted(&mut outbox)[..], [EventKind::TurnFailed { stage: Stage::Store, .. }]));
    }

    #[test]
    fn audio_that_has_not_left_is_withdrawn() {
        let mut outbox = Outbox::default();
        let ticket = outbox.store_end();
        outbox.emit_after(ticket..=ticket, TURN, EventKind::PlaybackResume);
        for chunk in 0..2 {
            let (pcm, words) = (vec![0.0; 30].into(), Vec::new());
            outbox.emit(
                TURN,
                EventKind::ReplyAudioDelta { chunk, rate: 8_000, samples: 30, pcm, text_span: 0..1, words },
            );
        }
        assert_eq!(outbox.withdraw_audio(), 60);
        outbox.on_stored(ticket, None);
        assert_eq!(emitted(&mut outbox), [EventKind::PlaybackResume]);
    }
}
