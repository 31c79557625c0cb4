//! An executor whose queue allocates nothing once it has grown: an audio thread wakes work of it.

use crate::platform::{self, BoxFuture};
use async_task::{Runnable, Task};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Runs futures step by step on the thread that ticks it; there is one such thread at a time.
#[derive(Default)]
pub(crate) struct Executor {
    queue: Arc<Mutex<Queue>>,
    /// All unfinished work.
    unfinished: Mutex<Vec<Task<()>>>,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Runnable>,
    /// Wakes the thread that waits for work.
    waiting: Option<Waker>,
}

impl Executor {
    pub(crate) fn spawn(&self, work: BoxFuture<'static, ()>) {
        let queue = self.queue.clone();
        let schedule = move |runnable| {
            let mut queue = queue.lock();
            queue.ready.push_back(runnable);
            let waiting = queue.waiting.take();
            drop(queue);
            if let Some(waker) = waiting {
                waker.wake();
            }
        };
        let (runnable, task) = platform::spawn(work, schedule);
        let mut unfinished = self.unfinished.lock();
        // Next when as many again have come: so seldom that it costs little, so often that few finished ones stay.
        if unfinished.len() == unfinished.capacity() {
            unfinished.extract_if(.., |task| task.is_finished()).for_each(Task::detach);
            let left = unfinished.len();
            unfinished.reserve(left + 16);
        }
        unfinished.push(task);
        drop(unfinished);
        runnable.schedule();
    }

    /// Does a step of the work that has been ready longest; false where there is none.
    pub(crate) fn try_tick(&self) -> bool {
        self.next(None).map(Runnable::run).is_some()
    }

    /// The same, waiting for work.
    pub(crate) async fn tick(&self) {
        poll_fn(|context| match self.next(Some(context.waker())) {
            Some(runnable) => {
                runnable.run();
                Poll::Ready(())
            }
            None => Poll::Pending,
        })
        .await;
    }

    fn next(&self, waiting: Option<&Waker>) -> Option<Runnable> {
        let mut queue = self.queue.lock();
        let next = queue.ready.pop_front();
        if next.is_none() {
            queue.waiting = waiting.cloned().or(queue.waiting.take());
        }
        next
    }
}

impl Drop for Executor {
    /// Drops all work, also what waits for something that never comes: cancelled work is scheduled once more, and dropping
    /// it may wake more.
    fn drop(&mut self) {
        self.unfinished.get_mut().clear();
        while let Some(runnable) = self.next(None) {
            drop(runnable);
        }
    }
}
