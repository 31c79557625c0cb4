//! The queue of events between a session, or the engine, and its one reader.

use super::callback;
use super::exec::caught;
use crate::backend::CancelFlag;
use crate::error::{ErrorCode, Result};
use crate::event::{Event, EventKind, SessionId, TurnId};
use crate::platform::WakeFn;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

/// Unread events from which on the backends pause. Control and final events are always taken.
const UNREAD_MAX: usize = 128;

#[derive(Default)]
pub(crate) struct EventQueue {
    inner: Mutex<Inner>,
    arrived: Condvar,
    /// Notified when there is room again.
    room: event_listener::Event,
}

#[derive(Default)]
struct Inner {
    unread: VecDeque<Event>,
    delivered: u64,
    closed: Option<ErrorCode>,
    taken: bool,
    wake: Option<WakeFn>,
    waker: Option<Waker>,
}

impl EventQueue {
    /// Adds an event; its number is given at delivery.
    pub(crate) fn push(&self, session: Option<SessionId>, turn: Option<TurnId>, at_ms: u64, kind: EventKind) {
        let event = Event { kind, seq: 0, session, turn, at_ms };
        self.change(|inner| {
            if inner.closed.is_some() {
                return;
            }
            // A model is loaded to one extent at a time, so that a host that never looks finds one event a model.
            if let EventKind::ModelLoading { model, .. } = &event.kind
                && let Some(earlier) = inner.unread.iter_mut().find(
                    |unread| matches!(&unread.kind, EventKind::ModelLoading { model: earlier, .. } if earlier == model),
                )
            {
                *earlier = event;
                return;
            }
            // A newer partial transcript stands for the one before.
            if let (EventKind::TranscriptPartial { .. }, Some(last)) = (&event.kind, inner.unread.back_mut())
                && matches!(last.kind, EventKind::TranscriptPartial { .. })
                && last.turn == event.turn
            {
                *last = event;
                return;
            }
            inner.unread.push_back(event);
        });
    }

    /// No event comes after those that are there; a reader then fails with `code`.
    pub(crate) fn close(&self, code: ErrorCode) {
        self.change(|inner| inner.closed = Some(code));
        self.nudge();
    }

    /// Takes the turn's unread audio back; gives its samples.
    pub(crate) fn purge_audio(&self, turn: TurnId) -> u64 {
        let mut samples = 0;
        self.inner.lock().unread.retain(|event| match &event.kind {
            EventKind::ReplyAudioDelta { pcm, .. } if event.turn == Some(turn) => {
                samples += pcm.len() as u64;
                false
            }
            _ => true,
        });
        self.nudge();
        samples
    }

    /// The number of unread events.
    pub(crate) fn unread(&self) -> usize {
        self.inner.lock().unread.len()
    }

    /// Makes the caller the one reader.
    pub(crate) fn take_reader(&self) -> Result<()> {
        match std::mem::replace(&mut self.inner.lock().taken, true) {
            true => Err(ErrorCode::EventsTaken.into()),
            false => Ok(()),
        }
    }

    pub(crate) fn return_reader(&self) {
        let mut inner = self.inner.lock();
        (inner.taken, inner.wake) = (false, None);
    }

    pub(crate) fn set_wake(&self, wake: WakeFn) {
        self.inner.lock().wake = Some(wake);
    }

    /// The next event; `None` where there is none yet.
    ///
    /// # Errors
    /// The code of [`close`](Self::close) once the last event was read.
    pub(crate) fn try_next(&self) -> Result<Option<Event>> {
        self.next_within(Duration::ZERO)
    }

    /// The same, waiting up to `timeout`. Only a wait needs a platform with threads and a clock.
    pub(crate) fn next_within(&self, timeout: Duration) -> Result<Option<Event>> {
        let mut inner = self.inner.lock();
        if !timeout.is_zero() {
            self.arrived.wait_while_for(&mut inner, |inner| inner.unread.is_empty() && inner.closed.is_none(), timeout);
        }
        self.next_of(&mut inner)
    }

    /// The same for an async reader: the waker is called when there is something to read.
    pub(crate) fn poll_next(&self, waker: &Waker) -> Result<Option<Event>> {
        let mut inner = self.inner.lock();
        let next = self.next_of(&mut inner)?;
        if next.is_none() {
            inner.waker = Some(waker.clone());
        }
        Ok(next)
    }

    /// Waits until the reader has caught up, or the work is cancelled.
    pub(crate) async fn wait_for_room(&self, cancel: &CancelFlag) {
        while !cancel.is_cancelled() && !self.has_room() {
            let listener = self.room.listen();
            // There may be room since.
            if cancel.is_cancelled() || self.has_room() {
                return;
            }
            listener.await;
        }
    }

    fn has_room(&self) -> bool {
        let inner = self.inner.lock();
        inner.unread.len() < UNREAD_MAX || inner.closed.is_some()
    }

    /// Lets those that wait for room look again: their work may have been cancelled.
    pub(crate) fn nudge(&self) {
        self.room.notify(usize::MAX);
    }

    fn next_of(&self, inner: &mut Inner) -> Result<Option<Event>> {
        match inner.unread.pop_front() {
            Some(mut event) => {
                inner.delivered += 1;
                event.seq = inner.delivered;
                if inner.unread.len() < UNREAD_MAX {
                    self.nudge();
                }
                Ok(Some(event))
            }
            None => inner.closed.map_or(Ok(None), |code| Err(code.into())),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner.lock();
        change(&mut inner);
        let (wake, waker) = (inner.wake.clone(), inner.waker.take());
        drop(inner);
        self.arrived.notify_all();
        let _inside = callback::enter();
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(wake) = wake
            && let Err(error) = caught("the host's waker", || wake())
        {
            tracing::warn!(error = error.chain(), "a waker failed");
        }
    }
}
