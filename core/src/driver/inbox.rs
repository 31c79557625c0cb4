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
        // Outside of the lock: what it drops may push.
        drop(self.offer(item));
    }

    /// Adds an item; gives it back where the queue is closed.
    pub(crate) fn offer(&self, item: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().items.is_empty()
    }

    pub(crate) fn try_pop(&self) -> Option<T> {
        self.pop_within(Some(0))
    }

    /// The next item, waiting for it up to `wait_us`, or without a limit; `None` once the queue is closed. Only a wait
    /// needs a platform with threads and a clock.
    pub(crate) fn pop_within(&self, wait_us: Option<u64>) -> Option<T> {
        let mut state = self.state.lock();
        let is_idle = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        match wait_us {
            Some(0) => {}
            Some(wait_us) => {
                self.arrived.wait_while_for(&mut state, is_idle, Duration::from_micros(wait_us));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn items_come_out_in_order_on_another_thread() {
        let inbox = Arc::new(Inbox::default());
        let other = inbox.clone();
        let reader =
            std::thread::spawn(move || (0..1_000).map(|_| other.pop_within(None).unwrap()).collect::<Vec<i32>>());
        (0..1_000).for_each(|item| inbox.push(item));
        assert_eq!(reader.join().unwrap(), (0..1_000).collect::<Vec<_>>());
        assert_eq!(inbox.pop_within(Some(1_000)), None);
    }

    #[test]
    fn a_closed_queue_wakes_who_waits_and_keeps_nothing() {
        let inbox: Arc<Inbox<Arc<()>>> = Arc::default();
        let other = inbox.clone();
        let reader = std::thread::spawn(move || other.pop_within(None));
        inbox.close();
        assert!(reader.join().unwrap().is_none());
        let item = Arc::new(());
        inbox.push(item.clone());
        assert_eq!(Arc::strong_count(&item), 1);
    }
}
