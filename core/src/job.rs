//! [`Job`]: work that belongs to no session, in bounded pieces on the thread that polls it.

use crate::backend::{CancelFlag, MaybeSend, Steps, steps_once};
use crate::error::{ErrorCode, Result};
use futures_lite::future::{or, yield_now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Work of an engine or a store that belongs to no session: a transcription, an export, a compaction. It gives one result,
/// or one item after the other.
///
/// It runs on the thread that polls it, in pieces of at most about 50 ms (one layer of a model may take longer), after
/// each of which it lets other tasks run. While the engine is suspended it stands still, or where it reads the store
/// ends with [`ErrorCode::Suspended`]; [`shut_down`](crate::SessionEngine::shut_down) ends it with
/// [`ErrorCode::EngineClosed`]. Dropping it stops it, as [`JobControl::cancel`] does; the store is then as if an import, a
/// compaction or a rotation had never begun.
///
/// ```
/// # use tertulia::{EngineBuilder, SessionEngine};
/// # fn main() -> tertulia::Result<()> {
/// # let engine = EngineBuilder::new().build()?;
/// let job = engine.verify_store();
/// let control = job.control(); // for a progress bar and a button, on any thread
/// let verified = job.wait()?; // or `job.result().await`
/// assert!(verified.is_sound() && control.progress() == 1.0);
/// # Ok(())
/// # }
/// ```
#[must_use = "a job does nothing unless it is polled"]
pub struct Job<'a, T> {
    steps: Steps<'a, T>,
    control: JobControl,
}

impl<'a, T: MaybeSend + 'a> Job<'a, T> {
    /// A job of these steps, which tell the control their progress.
    pub fn new(control: JobControl, steps: Steps<'a, T>) -> Self {
        Self { steps, control }
    }

    /// A job with one result, the future's, which calls [`JobControl::piece`] at least every 50 ms.
    pub fn once(control: JobControl, work: impl Future<Output = Result<T>> + MaybeSend + 'a) -> Self {
        Self::new(control, steps_once(work))
    }

    /// Its progress, and the means to cancel it.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// The next item; `None` once it is done.
    ///
    /// # Errors
    /// Those of the call that made it; [`ErrorCode::Cancelled`], [`ErrorCode::Suspended`],
    /// [`ErrorCode::EngineClosed`]. After one of them it is over.
    pub async fn next(&mut self) -> Result<Option<T>> {
        self.control.cancel.check()?;
        let cancelled = async {
            self.control.cancel.cancelled().await;
            Err(ErrorCode::Cancelled.into())
        };
        let item = or(self.steps.step(), cancelled).await?;
        if item.is_none() {
            self.control.set_progress(1.0);
        }
        Ok(item)
    }

    /// The result: its last item.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub async fn result(mut self) -> Result<T> {
        let mut last = None;
        while let Some(item) = self.next().await? {
            last = Some(item);
        }
        last.ok_or_else(|| ErrorCode::Internal.into())
    }

    /// Runs it to its end on this thread, and returns its result. Not in browsers, where no thread may wait.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub fn wait(self) -> Result<T> {
        crate::backend::block_on(self.result())
    }

    /// Runs it to its end on this thread, and hands each item over. Not in browsers.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), or `each`'s.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub fn run(mut self, mut each: impl FnMut(T) -> Result<()>) -> Result<()> {
        while let Some(item) = crate::backend::block_on(self.next())? {
            each(item)?;
        }
        Ok(())
    }

    /// The same job with other steps, made of its own.
    pub(crate) fn wrap(self, wrap: impl FnOnce(Steps<'a, T>) -> Steps<'a, T>) -> Self {
        Self { steps: wrap(self.steps), control: self.control }
    }
}

impl<T> std::fmt::Debug for Job<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("control", &self.control).finish_non_exhaustive()
    }
}

/// The progress of a job, and the means to cancel it, for any thread. Clones are of the same job.
#[derive(Clone, Debug, Default)]
pub struct JobControl {
    cancel: CancelFlag,
    /// The bits of a fraction.
    progress: Arc<AtomicU32>,
}

impl JobControl {
    /// A control whose flag is `cancel`, such as that of a request.
    pub fn new(cancel: CancelFlag) -> Self {
        Self { cancel, ..Self::default() }
    }

    pub(crate) fn cancel_flag(&self) -> &CancelFlag {
        &self.cancel
    }

    /// Stops the job after the piece under way.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// The share that is done, 0 to 1; 0 where it is not known.
    pub fn progress(&self) -> f32 {
        f32::from_bits(self.progress.load(Ordering::Relaxed))
    }

    /// Tells the share that is done, 0 to 1; it never goes back.
    pub fn set_progress(&self, done: f32) {
        // Of numbers that are not negative the bits are in order, too.
        self.progress.fetch_max(done.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
    }

    /// Ends a piece of work: tells the progress, and lets other tasks run.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`].
    pub async fn piece(&self, done: f32) -> Result<()> {
        self.set_progress(done);
        yield_now().await;
        self.cancel.check()
    }
}
