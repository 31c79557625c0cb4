//! Native platforms: threads, a clock, futures that move between threads.

use super::Clock;
use crate::error::Result;
use async_task::{Runnable, Task};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// `Send` on native platforms, nothing in a browser, where an engine lives on one thread.
pub trait MaybeSend: Send {}
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Sync` on native platforms, nothing in a browser.
pub trait MaybeSync: Sync {}
impl<T: Sync + ?Sized> MaybeSync for T {}

/// A boxed future, `Send` on native platforms.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Wakes a host that waits for events; it is called on any thread and must only notify.
pub(crate) type WakeFn = Arc<dyn Fn() + Send + Sync>;

/// A function that is told progress, from 0 to 1; `Send` on native platforms.
pub type Progress<'a> = dyn FnMut(f32) + Send + 'a;

pub(crate) fn spawn(
    work: BoxFuture<'static, ()>,
    schedule: impl Fn(Runnable) + Send + Sync + 'static,
) -> (Runnable, Task<()>) {
    async_task::spawn(work, schedule)
}

/// The operating system's clock; native only.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn unix_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

pub(crate) fn default_clock() -> Result<Arc<dyn Clock>> {
    Ok(Arc::new(SystemClock::new()))
}
