//! Whether somebody waits for the backends: work that nobody waits for goes on only while it is quiet.

use event_listener::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the work that somebody waits for, in all sessions.
#[derive(Clone, Default)]
pub(crate) struct Quiet(Arc<Inner>);

#[derive(Default)]
struct Inner {
    urgent: AtomicUsize,
    is_quiet: Event,
}

/// Work that somebody waits for, until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Urgent {
    _shared: Arc<Counted>,
}

struct Counted(Quiet);

impl Quiet {
    /// Holds back what can wait, from now on.
    pub(crate) fn disturb(&self) -> Urgent {
        self.0.urgent.fetch_add(1, Ordering::AcqRel);
        Urgent { _shared: Arc::new(Counted(self.clone())) }
    }

    /// Waits until there is nothing urgent.
    pub(crate) async fn wait(&self) {
        loop {
            let listener = self.0.is_quiet.listen();
            if self.0.urgent.load(Ordering::Acquire) == 0 {
                return;
            }
            listener.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.0.urgent.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.is_quiet.notify(usize::MAX);
        }
    }
}
