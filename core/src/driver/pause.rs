//! A gate for everything that computes or writes: closed, it holds who comes, and knows who is inside.

use super::worker::Worker;
use event_listener::Event;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Default)]
pub(crate) struct Pause(Arc<Gate>);

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    opened: Event,
}

#[derive(Default)]
struct State {
    paused: bool,
    inside: Vec<Worker>,
}

/// A pass through the gate; dropping it leaves.
pub(crate) struct Inside(Pause, Worker);

impl Pause {
    /// Waits until the gate is open, and goes in.
    pub(crate) fn enter(&self, worker: Worker) -> Inside {
        let mut state = self.0.state.lock();
        while state.paused {
            self.0.changed.wait(&mut state);
        }
        state.inside.push(worker);
        Inside(self.clone(), worker)
    }

    /// The same without blocking the thread.
    pub(crate) async fn entered(self, worker: Worker) -> Inside {
        loop {
            let opened = self.0.opened.listen();
            if let Some(inside) = self.try_enter(worker) {
                return inside;
            }
            opened.await;
        }
    }

    fn try_enter(&self, worker: Worker) -> Option<Inside> {
        let mut state = self.0.state.lock();
        (!state.paused).then(|| {
            state.inside.push(worker);
            Inside(self.clone(), worker)
        })
    }

    /// Lets no more in.
    pub(crate) fn close(&self) {
        self.0.state.lock().paused = true;
    }

    /// Waits until none is inside; the workers that still are when the time is over. Only a wait needs a platform with
    /// threads and a clock.
    pub(crate) fn wait(&self, timeout: Duration) -> Vec<Worker> {
        let mut state = self.0.state.lock();
        if !timeout.is_zero() {
            self.0.changed.wait_while_for(&mut state, |state| !state.inside.is_empty(), timeout);
        }
        let mut inside = state.inside.clone();
        inside.sort_unstable();
        inside.dedup();
        inside
    }

    pub(crate) fn open(&self) {
        self.0.state.lock().paused = false;
        self.0.changed.notify_all();
        self.0.opened.notify(usize::MAX);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.state.lock().paused
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut state = self.0.0.state.lock();
        let at = state.inside.iter().position(|worker| *worker == self.1).expect("it went in");
        state.inside.swap_remove(at);
        drop(state);
        self.0.0.changed.notify_all();
    }
}
