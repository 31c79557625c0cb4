//! Threads for the loop, for each worker and for commits.

use super::callback;
use super::executor::Executor;
use super::worker::Worker;
use super::{CommitOrder, EngineLoop, Shared};
use crate::error::{Error, ErrorCode, Result};
use crate::job::Job;
use event_listener::EventListener;
use futures_lite::future::{block_on, or};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// The threads of one engine. Once it is shut down each ends by itself: the sessions' first, which stops the others.
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// # Errors
    /// [`ErrorCode::OutOfMemory`] where the system gives no thread.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        mut engine_loop: EngineLoop,
        orders: Receiver<CommitOrder>,
    ) -> Result<Threads> {
        let executors = shared.workers.executors().expect("the workers are open");
        let mut threads = Vec::new();
        for (worker, name) in Worker::ALL {
            // Before the thread begins, so that it cannot miss it.
            let (executors, closed) = (executors.clone(), shared.workers.closed.listen());
            threads.push(spawn(name, shared, worker, move |_| run_worker(&executors[worker as usize], closed))?);
        }
        let (over_quota, knocks) = channel();
        threads.push(spawn("tertulia-store", shared, Worker::Store, move |shared| {
            run_commits(shared, &orders, &over_quota);
            shared.store.close();
        })?);
        threads.push(spawn("tertulia-keeper", shared, Worker::Store, move |shared| keep_tidy(shared, &knocks))?);
        threads.push(spawn("tertulia-engine", shared, Worker::Engine, move |shared| {
            while !engine_loop.is_done() {
                engine_loop.turn();
            }
            shared.stop();
        })?);
        Ok(Threads(threads))
    }

    /// Waits for the threads to end.
    pub(crate) fn join(self) {
        self.0.into_iter().for_each(|thread| _ = thread.join());
    }
}

impl EngineLoop {
    /// Waits for a message, or until a machine's deadline, and handles it.
    fn turn(&mut self) {
        let now_us = self.shared.clock.monotonic_us();
        let wait = self.next_deadline_us().map(|deadline| Duration::from_micros(deadline.saturating_sub(now_us)));
        match self.shared.inbox.pop_within(wait) {
            Some(message) => self.handle(message),
            None => _ = self.tick(),
        }
    }
}

/// Does one step after the other, until the workers are closed.
fn run_worker(executor: &Executor, mut closed: EventListener) {
    let mut step = || {
        let is_closed = async {
            (&mut closed).await;
            false
        };
        let work = async {
            executor.tick().await;
            true
        };
        block_on(or(is_closed, work))
    };
    while step() {}
}

/// Tidies up the store whenever it is due, which it may be at a knock, until no commits follow.
fn keep_tidy(shared: &Arc<Shared>, knocks: &Receiver<()>) {
    loop {
        match knocks.recv_timeout(Duration::from_micros(shared.tidying_due_in_us())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => {
                // Not while the host is suspended; but who suspends need not wait for the end of it.
                drop(shared.commit_pause.enter(Worker::Store));
                if let Some(Err(error)) = shared.tidying_if_due().map(Job::wait) {
                    tracing::warn!(error = error.chain(), "the store could not be tidied up");
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Commits what waits, all of it with one sync.
fn run_commits(shared: &Shared, orders: &Receiver<CommitOrder>, over_quota: &Sender<()>) {
    let mut stops = false;
    while !stops && let Ok(first) = orders.recv() {
        let (mut group, mut flushed) = (Vec::new(), Vec::new());
        for order in std::iter::once(first).chain(orders.try_iter()) {
            match order {
                CommitOrder::Commit(commit) => group.push(commit),
                CommitOrder::Flush(done) => flushed.push(done),
                CommitOrder::Stop => stops = true,
            }
        }
        if !group.is_empty() {
            shared.commit_all(group);
        }
        // The caller may have given up waiting.
        flushed.into_iter().for_each(|done| _ = done.send(()));
        if shared.store.may_exceed_quota() {
            let _ = over_quota.send(());
        }
    }
}

/// Starts a thread, which runs until its work ends.
fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    worker: Worker,
    work: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let (shared, running) = (shared.clone(), shared.running.enter(worker));
    let run = move || {
        let _inside = callback::enter();
        work(&shared);
        drop(shared);
        drop(running);
    };
    Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| Error::new(ErrorCode::OutOfMemory, "a thread could not be started").with_source(source))
}
