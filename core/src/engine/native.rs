//! Calls that block their thread, which a browser does not let them: native only.

use super::{Engine, EngineBuilder};
use crate::driver::threaded::Threads;
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::event::Event;
use crate::session::Events;
use std::sync::mpsc::channel;
use std::time::Duration;

impl EngineBuilder {
    /// An engine with threads of its own: one for the sessions, one for each heavy backend, one for commits,
    /// one that tidies up the store.
    ///
    /// # Errors
    /// Those of [`Store::open`](crate::store::Store::open); [`ErrorCode::OutOfMemory`] where the system gives no thread.
    pub fn build(self) -> Result<Engine> {
        let (commits, orders) = channel();
        let (shared, engine_loop) = self.assemble(Some(commits))?;
        let threads = Threads::start(&shared, engine_loop, orders).inspect_err(|_| shared.stop())?;
        Ok(Engine::new(shared, Some(Box::new(|| threads.join()))))
    }
}

impl Events {
    /// The next event, waiting for it up to `timeout`.
    ///
    /// # Errors
    /// As for [`try_next`](Events::try_next).
    pub fn next_timeout(&self, timeout: Duration) -> Result<Option<Event>> {
        self.queue.next_within(timeout)
    }
}
