//! Bounded, cancellable work: [`Steps`], [`CancelFlag`], and both driven on the caller's thread.

use super::{BoxFuture, MaybeSend};
use crate::error::{ErrorCode, Result};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag shared by the caller who cancels and the step that checks it, or waits for it.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    is_raised: AtomicBool,
    raised: event_listener::Event,
}

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag for good.
    pub fn cancel(&self) {
        self.0.is_raised.store(true, Ordering::Release);
        self.0.raised.notify(usize::MAX);
    }

    /// True if the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_raised.load(Ordering::Acquire)
    }

    /// Waits until the flag is raised.
    pub async fn cancelled(&self) {
        loop {
            let raised = self.0.raised.listen();
            if self.is_cancelled() {
                return;
            }
            raised.await;
        }
    }

    /// # Errors
    /// [`ErrorCode::Cancelled`] where the flag is raised.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(ErrorCode::Cancelled.into()) } else { Ok(()) }
    }
}

/// A stream of bounded steps, each yielding one item; `None` or an error ends it.
pub trait StepStream: MaybeSend {
    /// The result of one step.
    type Item;

    /// Does one bounded piece of work. After `None` or an error it is not called again.
    fn step(&mut self) -> BoxFuture<'_, Result<Option<Self::Item>>>;
}

/// A boxed [`StepStream`].
pub type Steps<'a, T> = Box<dyn StepStream<Item = T> + 'a>;

/// Steps from blocking code: each call of the closure does one bounded piece of work; `None` ends the stream.
pub fn steps_from_fn<'a, T, F>(work: F) -> Steps<'a, T>
where
    T: MaybeSend + 'a,
    F: FnMut() -> Result<Option<T>> + MaybeSend + 'a,
{
    struct FromFn<F, T>(F, PhantomData<fn() -> T>);
    impl<T: MaybeSend, F: FnMut() -> Result<Option<T>> + MaybeSend> StepStream for FromFn<F, T> {
        type Item = T;
        fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
            let result = (self.0)();
            Box::pin(std::future::ready(result))
        }
    }
    Box::new(FromFn(work, PhantomData))
}

/// Drives `steps` to the end on this thread, handing each item to `each`; for tests, tools and synchronous hosts.
///
/// # Errors
/// The step's, or `each`'s.
pub fn run_steps<T>(mut steps: Steps<'_, T>, mut each: impl FnMut(T) -> Result<()>) -> Result<()> {
    while let Some(item) = block_on(steps.step())? {
        each(item)?;
    }
    Ok(())
}

/// Polls a future on this thread until it is ready, sleeping while it waits.
pub fn block_on<F: Future>(future: F) -> F::Output {
    futures_lite::future::block_on(future)
}
