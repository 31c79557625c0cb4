//! A gate for everything that computes or writes: closed, it holds who comes, and knows who is inside.

use super::worker::Worker;
use crate::backend::{PassedGate, StepGate};
use event_listener::Event;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Clone, Default)]
pub(crate) struct Pause(Arc<Gate>);

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    opened: Event,
    /// The state's, to look at without its lock.
    paused: AtomicBool,
}

#[derive(Default)]
struct State {
    paused: bool,
    inside: Vec<Worker>,
}

/// A pass through the gate; dropping it leaves. While it lives, a step on this thread leaves and waits outside where it
/// checks its flag and the gate is closed.
pub(crate) struct Inside {
    pause: Pause,
    worker: Worker,
}

impl Pause {
    /// Waits until the gate is open, and goes in.
    pub(crate) fn enter(&self, worker: Worker) -> Inside {
        let mut state = self.0.state.lock();
        while state.paused {
            self.0.changed.wait(&mut state);
        }
        state.inside.push(worker);
        Inside { pause: self.clone(), worker }
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
            Inside { pause: self.clone(), worker }
        })
    }

    /// Lets no more in.
    pub(crate) fn close(&self) {
        self.set_paused(true);
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
        self.set_paused(false);
        self.0.changed.notify_all();
        self.0.opened.notify(usize::MAX);
    }

    fn set_paused(&self, paused: bool) {
        let mut state = self.0.state.lock();
        state.paused = paused;
        self.0.paused.store(paused, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.state.lock().paused
    }
}

impl Inside {
    /// Lets a step on this thread pass the gate again wherever it checks its flag, until the value is dropped.
    pub(crate) fn at_checks(&self) -> PassedGate {
        PassedGate::new(self.pause.0.clone(), self.worker as usize)
    }
}

impl State {
    fn leave(&mut self, worker: usize) -> Worker {
        let at = self.inside.iter().position(|inside| *inside as usize == worker).expect("it went in");
        self.inside.swap_remove(at)
    }
}

impl StepGate for Gate {
    fn pass_again(&self, worker: usize) {
        if !self.paused.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state.lock();
        if state.paused {
            let worker = state.leave(worker);
            self.changed.notify_all();
            self.changed.wait_while(&mut state, |state| state.paused);
            state.inside.push(worker);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.pause.0.state.lock().leave(self.worker as usize);
        self.pause.0.changed.notify_all();
    }
}
