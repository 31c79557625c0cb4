//! Knows whether a thread is inside of the engine, where the code of a host is a backend or a waker: a call that waits for
//! the engine would wait for itself there.

use crate::error::{ErrorCode, Result};
use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Dropping it leaves the engine.
pub(crate) struct Inside;

/// Marks this thread as being inside of the engine.
pub(crate) fn enter() -> Inside {
    DEPTH.set(DEPTH.get() + 1);
    Inside
}

pub(crate) fn is_inside() -> bool {
    DEPTH.get() > 0
}

/// # Errors
/// [`ErrorCode::CalledFromCallback`] where this thread is inside of the engine.
pub(crate) fn refuse() -> Result<()> {
    if is_inside() { Err(ErrorCode::CalledFromCallback.into()) } else { Ok(()) }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
