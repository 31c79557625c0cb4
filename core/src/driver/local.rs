//! The loop and the workers on the caller's thread: for browsers, and for tests that want no threads.

use super::{EngineLoop, Shared};
use std::sync::Arc;

/// Runs an engine that has no threads of its own; see [`EngineBuilder::build_local`](crate::EngineBuilder).
pub struct LocalDriver {
    shared: Arc<Shared>,
    engine_loop: EngineLoop,
}

impl LocalDriver {
    pub(crate) fn new(shared: Arc<Shared>, engine_loop: EngineLoop) -> Self {
        Self { shared, engine_loop }
    }

    /// Does one bounded piece of work; false where there is nothing to do now. A browser yields to its event loop
    /// between two calls.
    pub fn step(&mut self) -> bool {
        if self.shared.commit_pause.is_closed() {
            return false;
        }
        self.engine_loop.try_turn()
            || self.engine_loop.tick()
            || self.shared.workers.try_tick()
            || self.shared.tidy_if_due()
    }

    /// Works until there is nothing to do.
    pub fn run_until_idle(&mut self) {
        while self.step() {}
    }

    /// In how many microseconds something is due although nothing happens; call [`step`](LocalDriver::step) then.
    pub fn due_in_us(&self) -> Option<u64> {
        let now_us = self.shared.clock.monotonic_us();
        self.engine_loop.next_deadline_us().map(|deadline| deadline.saturating_sub(now_us))
    }
}

impl Drop for LocalDriver {
    fn drop(&mut self) {
        self.shared.workers.close();
    }
}

impl std::fmt::Debug for LocalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalDriver").finish_non_exhaustive()
    }
}
