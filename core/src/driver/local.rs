//! The loop and the workers on the caller's thread: for browsers, and for tests that want no threads.

use super::pause::Inside;
use super::worker::Worker;
use super::{EngineLoop, Shared, callback};
use crate::job::Job;
use futures_lite::future::{block_on, or, poll_once};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Runs an engine that has no threads of its own; see [`EngineBuilder::build_local`](crate::EngineBuilder).
///
/// A page runs it as a task of its own, and lets its event loop run after every step:
///
/// ```
/// # use tertulia::{EngineBuilder, LocalDriver, SessionEngine};
/// # async fn yield_to_the_event_loop() {}
/// async fn run(mut driver: LocalDriver) {
///     while !driver.is_done() {
///         driver.next_step().await; // or the time that `due_in_us` says, whichever comes first
///         yield_to_the_event_loop().await;
///     }
/// }
/// # let (engine, driver) = tertulia::backend::block_on(EngineBuilder::new().build_local()).unwrap();
/// # engine.shut_down(std::time::Duration::ZERO).unwrap();
/// # tertulia::backend::block_on(run(driver));
/// ```
pub struct LocalDriver {
    shared: Arc<Shared>,
    engine_loop: EngineLoop,
    /// The worker whose turn it is.
    worker: usize,
    /// Housekeeping that has begun.
    tidying: Option<Job<'static, ()>>,
    /// Until there is nothing to do any more.
    running: Option<Inside>,
}

impl LocalDriver {
    pub(crate) fn new(shared: Arc<Shared>, engine_loop: EngineLoop) -> Self {
        let running = Some(shared.running.enter(Worker::Engine));
        Self { shared, engine_loop, worker: 0, tidying: None, running }
    }

    /// Does one piece of work: handles one message, one deadline, does one step of one backend, or the store's housekeeping,
    /// which takes longer where it compacts a large store; false where there is nothing to do now.
    pub fn step(&mut self) -> bool {
        if self.running.is_none() || self.shared.commit_pause.is_closed() {
            return false;
        }
        let _inside = callback::enter();
        let stepped = self.engine_loop.try_turn() || self.engine_loop.tick() || self.work() || self.tidy();
        if self.is_done() {
            self.stop();
        }
        stepped
    }

    /// Does one step as soon as there is one to do: after a call of the host, or when a backend can go on. Deadlines pass
    /// unnoticed here; see [`due_in_us`](LocalDriver::due_in_us).
    pub async fn next_step(&mut self) {
        loop {
            let called = self.shared.called.listen();
            if self.step() || self.is_done() {
                return;
            }
            let Some(executors) = self.shared.workers.executors() else { return };
            let mut work: Vec<_> = executors.iter().map(|executor| Box::pin(executor.tick())).collect();
            let worked = poll_fn(|context| {
                let _inside = callback::enter();
                let has_worked = work.iter_mut().any(|tick| tick.as_mut().poll(context).is_ready());
                if has_worked { Poll::Ready(true) } else { Poll::Pending }
            });
            let called = async {
                called.await;
                false
            };
            if or(called, worked).await {
                return;
            }
        }
    }

    /// Works until there is nothing to do.
    pub fn run_until_idle(&mut self) {
        while self.step() {}
    }

    /// In how many microseconds something is due although nothing happens, the store's housekeeping included; call
    /// [`step`](LocalDriver::step) then.
    pub fn due_in_us(&self) -> u64 {
        let now_us = self.shared.clock.monotonic_us();
        let deadline = self.engine_loop.next_deadline_us().map(|deadline| deadline.saturating_sub(now_us));
        self.shared.tidying_due_in_us().min(deadline.unwrap_or(u64::MAX))
    }

    /// True once the engine was shut down and every session is closed: there is nothing to do any more.
    pub fn is_done(&self) -> bool {
        self.engine_loop.is_done()
    }

    /// Does a piece of the store's housekeeping.
    fn tidy(&mut self) -> bool {
        self.tidying = self.tidying.take().or_else(|| self.shared.tidying_if_due());
        let Some(job) = &mut self.tidying else { return false };
        // It waits for nothing: what is not ready is only between two pieces.
        if let Some(_over) = block_on(poll_once(job.next())) {
            self.tidying = None;
        }
        true
    }

    fn stop(&mut self) {
        if let Some(_running) = self.running.take() {
            self.shared.stop();
        }
    }

    /// Does a step of the next worker that has one.
    fn work(&mut self) -> bool {
        let Some(executors) = self.shared.workers.executors() else { return false };
        (0..executors.len()).any(|_| {
            self.worker = (self.worker + 1) % executors.len();
            executors[self.worker].try_tick()
        })
    }
}

impl Drop for LocalDriver {
    fn drop(&mut self) {
        self.shared.workers.close();
        if self.shared.shut_down.is_cancelled() {
            self.stop();
        }
    }
}

impl std::fmt::Debug for LocalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalDriver").finish_non_exhaustive()
    }
}
