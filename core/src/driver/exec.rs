//! The workers: an executor for each heavy backend, which does its work step by step.

use super::executor::Executor;
use super::pause::Pause;
use super::worker::Worker;
use crate::error::{Error, ErrorCode, Result};
use crate::platform::BoxFuture;
use event_listener::Event;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

/// The executors of the workers. Whoever runs them decides on which thread; a piece of work that is not finished goes to
/// the end of its queue when it can go on.
pub(crate) struct Workers {
    /// None once they are closed.
    executors: Mutex<Option<Arc<Executors>>>,
    /// Tells the threads that they are.
    pub(crate) closed: Event,
    /// Closed while the host is suspended: no step begins.
    pub(crate) pause: Pause,
}

pub(crate) type Executors = [Executor; Worker::ALL.len()];

impl Workers {
    pub(crate) fn new() -> Self {
        Self { executors: Mutex::new(Some(Arc::default())), closed: Event::new(), pause: Pause::default() }
    }

    /// Hands work over; drops it where the workers are closed.
    pub(crate) fn spawn(&self, worker: Worker, mut work: BoxFuture<'static, ()>) {
        let Some(executors) = self.executors() else { return };
        let pause = self.pause.clone();
        let steps = poll_fn(move |context| {
            let inside = pause.enter(worker);
            let _at_checks = inside.at_checks();
            caught("a piece of work", || work.as_mut().poll(context)).unwrap_or_else(|error| {
                tracing::error!(error = error.chain(), "work was lost");
                Poll::Ready(())
            })
        });
        executors[worker as usize].spawn(Box::pin(steps));
    }

    pub(crate) fn executors(&self) -> Option<Arc<Executors>> {
        self.executors.lock().clone()
    }

    /// Stops the workers after the step they are in, and drops all work that is left once they have.
    pub(crate) fn close(&self) {
        // Outside of the lock: what is dropped may spawn.
        let executors = self.executors.lock().take();
        self.closed.notify(usize::MAX);
        drop(executors);
    }
}

/// The result of `work`; a panic in it becomes an error that names it.
pub(super) fn caught<T>(name: &str, work: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .map_err(|_panic| Error::new(ErrorCode::Internal, format!("{name} panicked")))
}

/// The result of a backend's work; a panic becomes an error.
pub(super) async fn contained<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    futures_lite::FutureExt::catch_unwind(AssertUnwindSafe(work))
        .await
        .unwrap_or_else(|_panic| Err(Error::new(ErrorCode::Internal, "a backend panicked")))
}
