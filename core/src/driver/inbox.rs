//! A queue that a thread can wait at. Once it has grown, it allocates nothing.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Duration;

pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), closed: false }), arrived: Condvar::new() }
    }
}

impl<T> Inbox<T> {
    /// Adds an item; drops it where the queue is closed.
    pub(crate) fn push(&self, item: T) {
        let mut state = self.state.lock();
        if state.closed {
            // Outside of the lock: what it drops may push.
            drop(state);
            return drop(item);
        }
        state.items.push_back(item);
        drop(state);
        self.arrived.notify_one();
    }

    pub(crate) fn try_pop(&self) -> Option<T> {
        self.state.lock().items.pop_front()
    }

    /// The next item, waiting for it up to `timeout`, or without a limit.
    #[cfg_attr(all(target_family = "wasm", target_os = "unknown"), expect(dead_code, reason = "a browser cannot wait"))]
    pub(crate) fn pop_within(&self, timeout: Option<Duration>) -> Option<T> {
        let mut state = self.state.lock();
        let is_idle = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        match timeout {
            Some(timeout) => _ = self.arrived.wait_while_for(&mut state, is_idle, timeout),
            None => self.arrived.wait_while(&mut state, is_idle),
        }
        state.items.pop_front()
    }

    /// Drops what is there and whatever comes.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let items = std::mem::take(&mut state.items);
        drop(state);
        drop(items);
        self.arrived.notify_all();
    }
}
