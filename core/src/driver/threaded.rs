//! Threads for the loop, for each worker and for commits.

use super::exec::{Worker, Workers};
use super::inbox::Inbox;
use super::{Commit, EngineLoop, Shared};
use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// The threads of one engine.
pub(crate) struct Threads {
    engine: JoinHandle<()>,
    commits: JoinHandle<()>,
    keeper: JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    queues: Workers,
    /// Takes `None` to stop the commits, after those that wait.
    stop_commits: Arc<Inbox<Option<Commit>>>,
}

impl Threads {
    /// # Errors
    /// [`ErrorCode::OutOfMemory`] where the system gives no thread.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        mut engine_loop: EngineLoop,
        queue: Arc<Inbox<Option<Commit>>>,
    ) -> Result<Threads> {
        let mut workers = Vec::new();
        for worker in Worker::ALL {
            let queues = shared.workers.clone();
            workers.push(spawn(worker.thread_name(), move || queues.run(worker))?);
        }
        let committer = shared.clone();
        let stop_commits = queue.clone();
        let commits = spawn("tertulia-store", move || run_commits(&committer, &queue))?;
        let house = shared.clone();
        let keeper = spawn("tertulia-keeper", move || house.keep_tidy())?;
        let engine = spawn("tertulia-engine", move || {
            while !engine_loop.is_done() {
                engine_loop.turn();
            }
        })?;
        Ok(Threads { engine, commits, keeper, workers, queues: shared.workers.clone(), stop_commits })
    }

    /// Waits until the loop has closed every session, then stops the rest.
    pub(crate) fn join(self) {
        let _ = self.engine.join();
        self.queues.close();
        for worker in self.workers {
            let _ = worker.join();
        }
        self.queues.close();
        self.stop_commits.push(None);
        let _ = self.commits.join();
        let _ = self.keeper.join();
    }
}

/// Commits what waits, all of it with one sync.
fn run_commits(shared: &Shared, commits: &Inbox<Option<Commit>>) {
    while let Some(Some(first)) = commits.pop() {
        let mut group = vec![first];
        let mut last = false;
        while let Some(next) = commits.try_pop() {
            match next {
                Some(commit) => group.push(commit),
                None => last = true,
            }
        }
        let inside = shared.commit_pause.enter();
        shared.commit_all(group);
        drop(inside);
        shared.look_at_quota();
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
