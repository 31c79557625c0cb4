//! [`Events`]: the one reader of the events of a session or of the engine.

use crate::driver::queue::EventQueue;
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::event::Event;
use crate::platform::{MaybeSend, MaybeSync};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The one reader of the events of a session, or of the engine; after it is dropped another can be taken.
///
/// Polled with [`try_next`](Events::try_next), waited for with `next_timeout` (native only), or read as a
/// [`Stream`](futures_core::Stream).
///
/// Nothing that is computed is lost where the host stops reading; the session stops step by step instead. From 128 unread
/// events on its recogniser, chat model and synthesizer pause between two steps, and an open microphone is no longer
/// processed: [`push_audio`](crate::Session::push_audio) fails with [`ErrorCode::AudioOverrun`] once the longest utterance
/// waits. Calls are still carried out, and control and final events are added without limit. Other sessions go on. A reply
/// whose playback is therefore not [reported](crate::Session::played) ends as if it had been played. Unread partial
/// transcripts of an utterance, and `model_loading` of a model, are replaced by newer ones.
pub struct Events {
    pub(crate) queue: Arc<EventQueue>,
}

impl Events {
    /// # Errors
    /// [`ErrorCode::EventsTaken`] while there is another reader.
    pub(crate) fn take(queue: &Arc<EventQueue>) -> Result<Self> {
        queue.take_reader()?;
        Ok(Self { queue: queue.clone() })
    }

    /// The next event; `None` where there is none yet.
    ///
    /// # Errors
    /// Once the last event was read: [`ErrorCode::SessionClosed`] after `session_closed`, [`ErrorCode::EngineClosed`] for
    /// the engine's.
    pub fn try_next(&self) -> Result<Option<Event>> {
        self.queue.try_next()
    }

    /// Sets a function that is called, on any thread, whenever there may be an event. It must only notify: neither call
    /// the engine nor block.
    pub fn set_waker(&self, wake: impl Fn() + MaybeSend + MaybeSync + 'static) {
        self.queue.set_wake(Arc::new(wake));
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.queue.return_reader();
    }
}

impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.queue.poll_next(context.waker()) {
            Ok(Some(event)) => Poll::Ready(Some(event)),
            Ok(None) => Poll::Pending,
            Err(_closed) => Poll::Ready(None),
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
