//! Browsers: one thread, and no clock but the host's.

use super::Clock;
use crate::error::{Error, ErrorCode, Result};
use async_task::{Runnable, Task};
use std::pin::Pin;
use std::sync::Arc;

/// `Send` on native platforms, nothing in a browser, where an engine lives on one thread.
pub trait MaybeSend {}
impl<T: ?Sized> MaybeSend for T {}

/// `Sync` on native platforms, nothing in a browser.
pub trait MaybeSync {}
impl<T: ?Sized> MaybeSync for T {}

/// A boxed future, `Send` on native platforms.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Wakes a host that waits for events; it must only notify.
pub(crate) type WakeFn = Arc<dyn Fn()>;

/// A function that is told progress, from 0 to 1; `Send` on native platforms.
pub type Progress<'a> = dyn FnMut(f32) + 'a;

pub(crate) fn spawn(
    work: BoxFuture<'static, ()>,
    schedule: impl Fn(Runnable) + Send + Sync + 'static,
) -> (Runnable, Task<()>) {
    async_task::spawn_local(work, schedule)
}

pub(crate) fn default_clock() -> Result<Arc<dyn Clock>> {
    Err(Error::new(ErrorCode::InvalidConfig, "no clock was given, and a browser build has none of its own"))
}
