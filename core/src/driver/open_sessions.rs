//! The registry of the sessions that are open, or reserved for a call.

use super::{SessionShared, Shared};
use crate::error::{ErrorCode, Result};
use crate::event::SessionId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// An id leaves when everything of its session is stored.
#[derive(Default)]
pub(crate) struct OpenSessions {
    registry: Mutex<Registry>,
    closed: Condvar,
}

#[derive(Default)]
struct Registry {
    sessions: HashMap<SessionId, Weak<SessionShared>>,
    /// True while none may be opened.
    all_reserved: bool,
}

impl OpenSessions {
    /// Reserves the session. One that is just being closed is waited for, up to `patience`.
    pub(crate) fn reserve(&self, id: SessionId, patience: Duration) -> Result<()> {
        let mut registry = self.lock_after(patience, |registry| registry.sessions.get(&id).is_some_and(is_closing));
        if registry.all_reserved || registry.sessions.contains_key(&id) {
            return Err(ErrorCode::SessionBusy.into());
        }
        registry.sessions.insert(id, Weak::new());
        Ok(())
    }

    /// Enters a session whose id was reserved.
    pub(crate) fn enter(&self, session: &Arc<SessionShared>) {
        self.registry.lock().sessions.insert(session.id, Arc::downgrade(session));
    }

    /// The session, where it is open.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<SessionShared>> {
        self.registry.lock().sessions.get(&id)?.upgrade()
    }

    /// True where no session is open or reserved.
    pub(crate) fn is_empty(&self) -> bool {
        self.registry.lock().sessions.is_empty()
    }

    /// The registry, once it is no longer so, or after `patience`.
    fn lock_after(&self, patience: Duration, is_so: impl Fn(&Registry) -> bool) -> MutexGuard<'_, Registry> {
        let mut registry = self.registry.lock();
        if !patience.is_zero() {
            self.closed.wait_while_for(&mut registry, |registry| is_so(registry), patience);
        }
        registry
    }

    pub(crate) fn release(&self, id: SessionId) {
        self.registry.lock().sessions.remove(&id);
        self.closed.notify_all();
    }
}

/// True where the session takes no more calls and will leave.
fn is_closing(session: &Weak<SessionShared>) -> bool {
    session.upgrade().is_some_and(|session| session.closing.load(Ordering::Acquire))
}

/// Sessions that are reserved for a job, until it is dropped.
pub(crate) struct Reserved {
    shared: Arc<Shared>,
    /// None for all.
    ids: Option<Vec<SessionId>>,
}

impl Reserved {
    /// Reserves these sessions. Those that are just being closed are waited for, up to `patience` each.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        ids: impl IntoIterator<Item = SessionId>,
        patience: Duration,
    ) -> Result<Reserved> {
        let mut reserved = Reserved { shared: shared.clone(), ids: Some(Vec::new()) };
        for id in ids {
            shared.open.reserve(id, patience)?;
            reserved.ids.as_mut().expect("some are reserved").push(id);
        }
        Ok(reserved)
    }

    /// Reserves every session, those to come included. Where all that are open are just being closed, they are waited
    /// for, up to `patience`.
    pub(crate) fn all(shared: &Arc<Shared>, patience: Duration) -> Result<Reserved> {
        let are_closing =
            |registry: &Registry| !registry.sessions.is_empty() && registry.sessions.values().all(is_closing);
        let mut registry = shared.open.lock_after(patience, are_closing);
        if registry.all_reserved || !registry.sessions.is_empty() {
            return Err(ErrorCode::SessionBusy.into());
        }
        registry.all_reserved = true;
        Ok(Reserved { shared: shared.clone(), ids: None })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        match self.ids.take() {
            Some(ids) => ids.into_iter().for_each(|id| self.shared.open.release(id)),
            None => self.shared.open.registry.lock().all_reserved = false,
        }
    }
}
