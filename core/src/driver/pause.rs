//! A gate for everything that computes or writes: closed, it holds who comes and waits for who is inside.

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
pub(crate) struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    paused: bool,
    inside: usize,
}

/// A pass through the gate; dropping it leaves.
pub(crate) struct Inside<'p>(&'p Pause);

impl Pause {
    /// Waits until the gate is open, and goes in.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let mut state = self.state.lock();
        while state.paused {
            self.changed.wait(&mut state);
        }
        state.inside += 1;
        Inside(self)
    }

    /// Closes the gate and waits until none is inside.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.paused = true;
        while state.inside > 0 {
            self.changed.wait(&mut state);
        }
    }

    pub(crate) fn open(&self) {
        self.state.lock().paused = false;
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().paused
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state.lock().inside -= 1;
        self.0.changed.notify_all();
    }
}
