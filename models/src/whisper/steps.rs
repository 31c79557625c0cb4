//! A stream of steps written as one straight async function.
//!
//! The function calls [`Emitter::emit`] wherever a bounded piece of work is done; each call ends one step.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tertulia::backend::{BoxFuture, MaybeSend, StepStream, Steps};
use tertulia::{Error, ErrorCode, Result};

/// Hands items from the function to whoever polls the steps.
pub(super) struct Emitter<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for Emitter<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Emitter<T> {
    /// Ends the step with `item`; returns when the next one begins.
    pub(super) fn emit(&self, item: T) -> impl Future<Output = ()> + use<T> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(item);
        let mut given = false;
        std::future::poll_fn(move |_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending })
    }
}

/// The steps of `work`: what it emits, then what it returns.
pub(super) fn steps_from_async<T, F, W>(work: W) -> Steps<'static, T>
where
    T: MaybeSend + 'static,
    F: Future<Output = Result<T>> + MaybeSend + 'static,
    W: FnOnce(Emitter<T>) -> F,
    Emitting<T>: MaybeSend,
{
    let slot = Arc::new(Mutex::new(None));
    let work: BoxFuture<'static, Result<T>> = Box::pin(work(Emitter(Arc::clone(&slot))));
    Box::new(Emitting { work: Some(work), slot })
}

/// The stream that [`steps_from_async`] makes.
pub(super) struct Emitting<T: 'static> {
    work: Option<BoxFuture<'static, Result<T>>>,
    slot: Arc<Mutex<Option<T>>>,
}

impl<T: MaybeSend + 'static> StepStream for Emitting<T>
where
    Emitting<T>: MaybeSend,
{
    type Item = T;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
        let result = self.advance();
        Box::pin(std::future::ready(result))
    }
}

impl<T> Emitting<T> {
    fn advance(&mut self) -> Result<Option<T>> {
        let Some(work) = self.work.as_mut() else { return Ok(None) };
        match Pin::new(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => {
                self.work = None;
                result.map(Some)
            }
            Poll::Pending => {
                let item = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                item.map(Some).ok_or_else(|| Error::new(ErrorCode::Internal, "step waits for something else"))
            }
        }
    }
}
