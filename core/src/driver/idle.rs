//! Lets work that can wait (summaries) run only while no session waits for a backend.

use event_listener::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the foreground work of all sessions.
#[derive(Clone, Default)]
pub(crate) struct IdleGate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    foreground: AtomicUsize,
    became_idle: Event,
}

/// Work that a session waits for, until it is dropped.
pub(crate) struct Foreground(IdleGate);

impl IdleGate {
    /// Holds background work back from now on.
    pub(crate) fn begin_foreground(&self) -> Foreground {
        self.0.foreground.fetch_add(1, Ordering::AcqRel);
        Foreground(self.clone())
    }

    /// Waits until there is no foreground work.
    pub(crate) async fn wait(&self) {
        loop {
            let listener = self.0.became_idle.listen();
            if self.0.foreground.load(Ordering::Acquire) == 0 {
                return;
            }
            listener.await;
        }
    }
}

impl Clone for Foreground {
    fn clone(&self) -> Self {
        self.0.begin_foreground()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if self.0.0.foreground.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.became_idle.notify(usize::MAX);
        }
    }
}
