//! Bounded, cancellable work: [`Steps`] from closures, futures and channels, [`CancelFlag`], and both driven on the
//! caller's thread.

use super::{BoxFuture, MaybeSend};
use crate::error::{Error, ErrorCode, Result};
use std::cell::RefCell;
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
        self.raise();
    }

    /// Raises the flag; true if it was not raised before.
    pub(crate) fn raise(&self) -> bool {
        let is_first = !self.0.is_raised.swap(true, Ordering::AcqRel);
        self.0.raised.notify(usize::MAX);
        is_first
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

    /// Where the engine is being suspended, holds a step that checks its flag until the engine is resumed, so that a long
    /// step need not end first.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`] where the flag is raised.
    pub fn check(&self) -> Result<()> {
        PassedGate::pass();
        if self.is_cancelled() { Err(ErrorCode::Cancelled.into()) } else { Ok(()) }
    }
}

/// A gate that a step passes wherever it checks its flag; it may hold the step.
pub(crate) trait StepGate: Send + Sync {
    /// Passes the gate; `pass` is what the step came in with.
    fn pass_again(&self, pass: usize);
}

thread_local! {
    static GATE: RefCell<Option<(Arc<dyn StepGate>, usize)>> = const { RefCell::new(None) };
}

/// The gate of the steps on this thread, until it is dropped.
pub(crate) struct PassedGate(Option<(Arc<dyn StepGate>, usize)>);

impl PassedGate {
    pub(crate) fn new(gate: Arc<dyn StepGate>, pass: usize) -> Self {
        Self(GATE.replace(Some((gate, pass))))
    }

    fn pass() {
        if let Some((gate, pass)) = GATE.with_borrow(Clone::clone) {
            gate.pass_again(pass);
        }
    }
}

impl Drop for PassedGate {
    fn drop(&mut self) {
        GATE.set(self.0.take());
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

/// Steps of one item: the future's.
pub fn steps_once<'a, T: MaybeSend + 'a>(work: impl Future<Output = Result<T>> + MaybeSend + 'a) -> Steps<'a, T> {
    struct Once<'a, T>(Option<BoxFuture<'a, Result<T>>>);
    impl<T: MaybeSend> StepStream for Once<'_, T> {
        type Item = T;
        fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
            Box::pin(async {
                let Some(work) = &mut self.0 else { return Ok(None) };
                let item = work.await;
                self.0 = None;
                item.map(Some)
            })
        }
    }
    Box::new(Once(Some(Box::pin(work))))
}

/// Steps whose first one opens them.
pub(crate) fn steps_opened_by<T: MaybeSend + 'static>(
    open: impl Future<Output = Result<Steps<'static, T>>> + MaybeSend + 'static,
) -> Steps<'static, T> {
    struct Opened<T: 'static>(std::result::Result<Steps<'static, T>, BoxFuture<'static, Result<Steps<'static, T>>>>);
    impl<T: MaybeSend + 'static> StepStream for Opened<T> {
        type Item = T;
        fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
            Box::pin(async {
                if let Err(open) = &mut self.0 {
                    self.0 = Ok(open.await?);
                }
                match &mut self.0 {
                    Ok(steps) => steps.step().await,
                    Err(_open) => Ok(None),
                }
            })
        }
    }
    Box::new(Opened(Err(Box::pin(open))))
}

/// Steps that are pushed from elsewhere, such as a network callback on another thread.
///
/// ```
/// use tertulia::backend::{run_steps, steps_channel};
/// let (sender, steps) = steps_channel();
/// std::thread::spawn(move || (1..=3).try_for_each(|n| sender.send(n)));
/// let mut sum = 0;
/// run_steps(steps, |n| Ok(sum += n)).unwrap();
/// assert_eq!(sum, 6);
/// ```
pub fn steps_channel<T: MaybeSend + 'static>() -> (StepSender<T>, Steps<'static, T>) {
    struct Pushed<T>(async_channel::Receiver<Result<T>>);
    impl<T: MaybeSend> StepStream for Pushed<T> {
        type Item = T;
        fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
            Box::pin(async { self.0.recv().await.ok().transpose() })
        }
    }
    let (sender, receiver) = async_channel::unbounded();
    (StepSender(sender), Box::new(Pushed(receiver)))
}

/// The sending end of [`steps_channel`]. Clones send to the same steps, which end when the last one is dropped.
#[derive(Clone, Debug)]
pub struct StepSender<T>(async_channel::Sender<Result<T>>);

impl<T> StepSender<T> {
    /// Sends the next item.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`] where the steps were dropped: no more is wanted.
    pub fn send(&self, item: T) -> Result<()> {
        self.0.try_send(Ok(item)).map_err(|_dropped| ErrorCode::Cancelled.into())
    }

    /// Ends the steps with an error.
    pub fn fail(self, error: Error) {
        // Where the steps were dropped the error is of no use.
        let _ = self.0.try_send(Err(error));
        self.0.close();
    }
}

/// Drives `steps` to the end on this thread, handing each item to `each`; for tests, tools and synchronous hosts, not in
/// browsers, where no thread may wait.
///
/// # Errors
/// The step's, or `each`'s.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub fn run_steps<T>(mut steps: Steps<'_, T>, mut each: impl FnMut(T) -> Result<()>) -> Result<()> {
    while let Some(item) = block_on(steps.step())? {
        each(item)?;
    }
    Ok(())
}

/// Polls a future on this thread until it is ready, sleeping while it waits. Not in browsers.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub fn block_on<F: Future>(future: F) -> F::Output {
    futures_lite::future::block_on(future)
}
