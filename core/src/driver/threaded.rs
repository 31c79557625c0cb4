//! Threads for the loop, for each worker and for commits.

use super::exec::{Worker, Workers};
use super::inbox::Inbox;
use super::{CommitQueue, EngineLoop, Shared};
use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Messages to the thread that tidies up the store.
enum Knock {
    /// It may be due by now.
    Look,
    Leave,
}

/// The threads of one engine.
pub(crate) struct Threads {
    engine: JoinHandle<()>,
    commits: JoinHandle<()>,
    keeper: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    queues: Workers,
    commit_queue: Arc<CommitQueue>,
    door: Arc<Inbox<Knock>>,
}

impl Threads {
    /// # Errors
    /// [`ErrorCode::OutOfMemory`] where the system gives no thread.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        mut engine_loop: EngineLoop,
        commit_queue: Arc<CommitQueue>,
    ) -> Result<Threads> {
        let door: Arc<Inbox<Knock>> = Arc::default();
        let mut workers = Vec::new();
        for worker in Worker::ALL {
            let queues = shared.workers.clone();
            workers.push(spawn(thread_name(worker), move || while queues.tick(worker, None) {})?);
        }
        let (committer, queue, knocks) = (shared.clone(), commit_queue.clone(), door.clone());
        let commits = spawn("tertulia-store", move || run_commits(&committer, &queue, &knocks))?;
        let (house, knocks) = (shared.clone(), door.clone());
        let keeper = spawn("tertulia-keeper", move || keep_tidy(&house, &knocks))?;
        let engine = spawn("tertulia-engine", move || {
            while !engine_loop.is_done() {
                engine_loop.turn();
            }
        })?;
        Ok(Threads { engine, commits, keeper, workers, queues: shared.workers.clone(), commit_queue, door })
    }

    /// Waits until the loop has closed every session, then stops the rest.
    pub(crate) fn join(self) {
        self.door.push(Knock::Leave);
        let _ = self.engine.join();
        self.queues.close();
        for worker in self.workers {
            let _ = worker.join();
        }
        self.queues.close();
        self.commit_queue.push(None);
        let _ = self.commits.join();
        let _ = self.keeper.join();
    }
}

impl EngineLoop {
    /// True once the engine was shut down and every session is closed.
    fn is_done(&self) -> bool {
        self.shutting_down && self.sessions.is_empty()
    }

    /// Waits for a message, or until a machine's deadline, and handles it.
    fn turn(&mut self) {
        let now_us = self.shared.clock.monotonic_us();
        let wait_us = self.next_deadline_us().map(|deadline| deadline.saturating_sub(now_us));
        match self.shared.inbox.pop_within(wait_us) {
            Some(message) => self.handle(message),
            None => _ = self.tick(),
        }
    }
}

fn thread_name(worker: Worker) -> &'static str {
    match worker {
        Worker::Microphone => "tertulia-mic",
        Worker::TurnDetector => "tertulia-turn-detector",
        Worker::Recognizer => "tertulia-recognizer",
        Worker::Chat => "tertulia-chat",
        Worker::Synthesizer => "tertulia-synthesizer",
    }
}

/// Tidies up the store whenever it is due.
fn keep_tidy(shared: &Shared, door: &Inbox<Knock>) {
    loop {
        match door.pop_within(Some(shared.tidying_due_in_us())) {
            Some(Knock::Leave) => return,
            Some(Knock::Look) => {}
            None => {
                // Not while the host is suspended; but who suspends need not wait for the end of it.
                drop(shared.commit_pause.enter());
                shared.tidy_if_due();
            }
        }
    }
}

/// Commits what waits, all of it with one sync.
fn run_commits(shared: &Shared, commits: &CommitQueue, door: &Inbox<Knock>) {
    while let Some(Some(first)) = commits.pop_within(None) {
        let mut group = vec![first];
        let mut last = false;
        while let Some(next) = commits.try_pop() {
            match next {
                Some(commit) => group.push(commit),
                None => last = true,
            }
        }
        shared.commit_all(group);
        if shared.store.may_exceed_quota() {
            door.push(Knock::Look);
        }
        if last {
            return;
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::new(ErrorCode::OutOfMemory, "a thread could not be started").with_source(source))
}
