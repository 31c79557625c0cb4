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

/// Work that a session waits for, until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Foreground {
    _shared: Arc<Counted>,
}

struct Counted(IdleGate);

impl IdleGate {
    /// Holds background work back from now on.
    pub(crate) fn begin_foreground(&self) -> Foreground {
        self.0.foreground.fetch_add(1, Ordering::AcqRel);
        Foreground { _shared: Arc::new(Counted(self.clone())) }
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

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.0.foreground.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.became_idle.notify(usize::MAX);
        }
    }
}
