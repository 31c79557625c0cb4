//! Jobs of the host, on the host's own threads: while the engine is suspended they stand still, and they end with it.

use super::exec::caught;
use super::worker::Worker;
use super::{Shared, callback};
use crate::backend::{BoxFuture, MaybeSend, StepStream, Steps};
use crate::error::{ErrorCode, Result};
use crate::job::Job;
use futures_lite::future::or;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

impl Shared {
    pub(crate) fn gated<'a, T: MaybeSend + 'a>(self: &Arc<Self>, job: Job<'a, T>) -> Job<'a, T> {
        job.wrap(|steps| Box::new(Gated { steps, shared: self.clone() }))
    }
}

struct Gated<'a, T> {
    steps: Steps<'a, T>,
    shared: Arc<Shared>,
}

impl<T: MaybeSend> StepStream for Gated<'_, T> {
    type Item = T;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
        let shared = self.shared.clone();
        let end = shared.shut_down.clone();
        let mut step = self.steps.step();
        let mut entering = None;
        let gated = poll_fn(move |context| {
            let pause = &shared.workers.pause;
            let mut entry = entering.take().unwrap_or_else(|| Box::pin(pause.clone().entered(Worker::Job)));
            let Poll::Ready(inside) = entry.as_mut().poll(context) else {
                entering = Some(entry);
                return Poll::Pending;
            };
            let (_callback, _at_checks) = (callback::enter(), inside.at_checks());
            caught("a job", || step.as_mut().poll(context)).unwrap_or_else(|error| Poll::Ready(Err(error)))
        });
        // The end comes first: nothing is begun after it.
        let ended = async move {
            end.cancelled().await;
            Err(ErrorCode::EngineClosed.into())
        };
        Box::pin(or(ended, gated))
    }
}
