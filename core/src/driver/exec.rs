//! The queues of work that is ready: one for each heavy backend.

use super::inbox::Inbox;
use super::pause::Pause;
use crate::error::{Error, ErrorCode, Result};
use crate::platform::{self, BoxFuture};
use async_task::{Runnable, Task};
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Which worker does a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    /// The microphone and its VAD: short steps only, so that no session's audio waits.
    Microphone,
    /// The turn detector.
    TurnDetector,
    /// Decoding, the recogniser.
    Recognizer,
    /// The chat model.
    Chat,
    /// The synthesizer.
    Synthesizer,
}

impl Worker {
    pub(crate) const ALL: [Worker; 5] =
        [Worker::Microphone, Worker::TurnDetector, Worker::Recognizer, Worker::Chat, Worker::Synthesizer];
}

/// The workers' queues. Whoever runs them decides on which thread; a piece of work that is not finished goes to the
/// end of its queue when it can go on.
#[derive(Clone, Default)]
pub(crate) struct Workers {
    queues: Arc<Queues>,
}

#[derive(Default)]
struct Queues {
    ready: [Inbox<Runnable>; Worker::ALL.len()],
    /// Work that could go on only after its queue was closed. Who wakes it may hold the lock of what it waits for, and
    /// dropping it takes that lock too, so it is dropped by [`Workers::close`] alone.
    late: Mutex<Vec<Runnable>>,
    /// All unfinished work; nothing else holds work that waits for something that never comes.
    unfinished: Mutex<Unfinished>,
    /// Closed while the host is suspended.
    pause: Pause,
}

#[derive(Default)]
struct Unfinished {
    tasks: Vec<Task<()>>,
    /// With so many of them it is time to look which are done.
    sweep_at: usize,
}

impl Unfinished {
    fn add(&mut self, task: Task<()>) {
        if self.tasks.len() >= self.sweep_at {
            for done in self.tasks.extract_if(.., |task| task.is_finished()) {
                done.detach();
            }
            self.sweep_at = 2 * self.tasks.len() + 16;
        }
        self.tasks.push(task);
    }
}

impl Workers {
    pub(crate) fn spawn(&self, worker: Worker, work: BoxFuture<'static, ()>) {
        let queues = self.queues.clone();
        let schedule = move |runnable| {
            if let Err(late) = queues.ready[worker as usize].offer(runnable) {
                queues.late.lock().push(late);
            }
        };
        let (runnable, task) = platform::spawn(work, schedule);
        self.queues.unfinished.lock().add(task);
        runnable.schedule();
    }

    /// Does one piece of work that is ready of each worker; false where there was none.
    pub(crate) fn try_tick(&self) -> bool {
        !self.queues.pause.is_closed()
            && Worker::ALL.iter().fold(false, |worked, &worker| self.tick(worker, Some(0)) | worked)
    }

    /// Does one piece of work of this worker, waiting for it as in [`Inbox::pop_within`]; false where there was none.
    pub(crate) fn tick(&self, worker: Worker, wait_us: Option<u64>) -> bool {
        let Some(runnable) = self.queues.ready[worker as usize].pop_within(wait_us) else { return false };
        let _inside = self.queues.pause.enter();
        runnable.run();
        true
    }

    /// Lets no step begin, and waits until those that have begun are over.
    pub(crate) fn pause(&self) {
        self.queues.pause.close();
    }

    /// Lets work go on.
    pub(crate) fn go_on(&self) {
        self.queues.pause.open();
    }

    /// Stops the workers after the step they are in, and drops all work that is left, also what still waits. To be called
    /// again once they have stopped: the step they were in may have begun or woken other work.
    pub(crate) fn close(&self) {
        for ready in &self.queues.ready {
            ready.close();
        }
        let unfinished = std::mem::take(&mut self.queues.unfinished.lock().tasks);
        drop(unfinished);
        // Dropping work may wake more.
        while let Some(late) = self.take_late() {
            drop(late);
        }
    }

    fn take_late(&self) -> Option<Runnable> {
        self.queues.late.lock().pop()
    }
}

/// The result of a backend's work; a panic becomes an error.
pub(super) async fn contained<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    futures_lite::FutureExt::catch_unwind(AssertUnwindSafe(work))
        .await
        .unwrap_or_else(|_panic| Err(Error::new(ErrorCode::Internal, "a backend panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn work_that_is_dropped_may_wake_work_that_waits_for_it() {
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let workers = Workers::default();
            let lock: Arc<async_lock::Mutex<()>> = Arc::default();
            let held = lock.clone();
            workers.spawn(
                Worker::Chat,
                Box::pin(async move {
                    let _guard = held.lock().await;
                    loop {
                        futures_lite::future::yield_now().await;
                    }
                }),
            );
            let weak = Arc::downgrade(&lock);
            for _ in 0..3 {
                let lock = lock.clone();
                workers.spawn(Worker::Recognizer, Box::pin(async move { drop(lock.lock().await) }));
            }
            drop(lock);
            (0..6).for_each(|_| _ = workers.try_tick());
            workers.close();
            done.send(weak.upgrade().is_none()).unwrap();
        });
        assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(true), "all work is dropped, none waits for ever");
    }
}
