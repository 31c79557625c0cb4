//! Calls that block their thread, which a browser does not let them: native only.

use super::{Engine, EngineBuilder};
use crate::driver::threaded::Threads;
use crate::error::{ErrorCode, Result};
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
        let threads = Threads::start(&shared, engine_loop, orders)?;
        Ok(Engine::new(shared, Some(Box::new(|| threads.join()))))
    }
}

impl Engine {
    /// The same as [`SessionEngine::try_next_event`](crate::SessionEngine::try_next_event), waiting up to `timeout`.
    ///
    /// # Errors
    /// [`ErrorCode::EngineClosed`] once the engine was shut down and the last event read.
    pub fn next_event(&self, timeout: Duration) -> Result<Option<Event>> {
        self.shared.engine_events.next_within(timeout).map_err(|_closed| ErrorCode::EngineClosed.into())
    }
}

impl Events {
    /// The next event, waiting for it up to `timeout`.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`] once the last event, `session_closed`, was read.
    pub fn next_timeout(&self, timeout: Duration) -> Result<Option<Event>> {
        self.queue.next_within(timeout)
    }
}
