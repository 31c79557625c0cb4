//! Sinks: the results of the host's backends, pushed from any thread.

use crate::boundary::{OK, call, invalid, optional_text, quietly, slice};
use crate::error::tertulia_error;
use crate::handle;
use engine::backend::{
    BoxFuture, CancelFlag, ChatStep, RecognitionStep, SpeechChunk, StepSender, StepStream, Steps, steps_channel,
};
use engine::{Error, ErrorCode, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::ffi::c_char;
use std::sync::Arc;
use std::thread::{ThreadId, current};

/// Takes the results of a backend of the host's, from any thread. Free it with `tertulia_sink_free()` once all are in.
pub struct tertulia_sink(());

/// An error of the host's, with a code of the table, or else HostCallback.
pub(crate) fn host_error(code: i32, detail: &str) -> Error {
    let code = u16::try_from(code).ok().map(ErrorCode::from_number);
    let code = code.filter(|code| !matches!(code, ErrorCode::Unknown(_))).unwrap_or(ErrorCode::HostCallback);
    Error::new(code, detail.to_owned())
}

/// The host's end of the results. Dropping it ends them.
pub(crate) struct SinkObject(Arc<Shared>);

/// Tells the host that the results are not wanted any more.
pub(crate) type OnCancel = Box<dyn FnOnce() + Send>;

struct Shared {
    state: Mutex<State>,
    /// A call of `on_cancel` has returned.
    told: Condvar,
    cancel: CancelFlag,
}

struct State {
    /// None once it is done or failed.
    sender: Option<Sender>,
    on_cancel: Option<OnCancel>,
    /// The thread that is in `on_cancel`.
    telling: Option<ThreadId>,
    /// The last result is in.
    is_answered: bool,
    /// The engine has dropped the results.
    is_dropped: bool,
}

/// A sink, and the results that it takes.
pub(crate) fn sink<T: Send + 'static>(
    sender: fn(StepSender<T>) -> Sender,
    cancel: CancelFlag,
) -> (SinkObject, Steps<'static, T>) {
    let (pushed, steps) = steps_channel();
    let sender = Some(sender(pushed));
    let state = State { sender, on_cancel: None, telling: None, is_answered: false, is_dropped: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), told: Condvar::new(), cancel });
    (SinkObject(shared.clone()), Box::new(Wanted { steps, shared }))
}

/// The engine's end of the results. The engine races each step with its cancellation and drops the steps on the thread
/// that works for the backend, which is where the host learns of it: no lock is held there.
struct Wanted<T> {
    steps: Steps<'static, T>,
    shared: Arc<Shared>,
}

impl<T: Send + 'static> StepStream for Wanted<T> {
    type Item = T;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
        self.steps.step()
    }
}

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_dropped = !state.is_answered;
        if state.is_dropped {
            return self.shared.tell(state);
        }
        let unused = state.on_cancel.take();
        drop(state);
        drop(unused);
    }
}

impl Shared {
    /// Lets go of `on_cancel`, which is called where the results have not ended.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        self.wait_for_others(&mut state);
        let Some(on_cancel) = state.on_cancel.take() else { return };
        if state.sender.is_none() {
            drop(state);
            return drop(on_cancel);
        }
        let outer = state.telling.replace(current().id());
        drop(state);
        quietly((), on_cancel);
        self.state.lock().telling = outer;
        self.told.notify_all();
    }

    fn wait_for_others(&self, state: &mut MutexGuard<'_, State>) {
        while state.telling.is_some_and(|thread| thread != current().id()) {
            self.told.wait(state);
        }
    }
}

impl SinkObject {
    fn with(&self, is_last: bool, push: impl FnOnce(&Sender) -> Result<()>) -> Result<()> {
        let mut state = self.0.state.lock();
        let sender = state.sender.as_ref().ok_or_else(|| invalid("the sink is done"))?;
        if state.is_dropped {
            return Err(ErrorCode::Cancelled.into());
        }
        push(sender)?;
        state.is_answered |= is_last;
        Ok(())
    }

    pub(crate) fn push_transcript(&self, step: RecognitionStep) -> Result<()> {
        let is_last = matches!(step, RecognitionStep::Final(_));
        self.with(is_last, |sender| if let Sender::Transcript(sender) = sender { sender.send(step) } else { wrong() })
    }

    pub(crate) fn push_text(&self, text: String) -> Result<()> {
        let step = ChatStep::Text(text);
        self.with(false, |sender| if let Sender::Reply(sender) = sender { sender.send(step) } else { wrong() })
    }

    pub(crate) fn push_speech(&self, chunk: SpeechChunk) -> Result<()> {
        self.with(false, |sender| if let Sender::Speech(sender) = sender { sender.send(chunk) } else { wrong() })
    }

    /// Has the host told once where the results are not wanted any more; at once where that is so already.
    pub(crate) fn set_on_cancel(&self, on_cancel: Option<OnCancel>) {
        let mut state = self.0.state.lock();
        if state.sender.is_some() && !state.is_answered {
            let before = std::mem::replace(&mut state.on_cancel, on_cancel);
            if state.is_dropped {
                self.0.tell(state);
            } else {
                drop(state);
            }
            drop(before);
        }
    }

    /// Ends the results. After it `on_cancel` is not called, nor under way, but where this is a call from within it.
    /// The engine's thread lets go of it: for the bindings that is a call of the host's, which would run within this one.
    pub(crate) fn end(&self) -> Option<Sender> {
        let mut state = self.0.state.lock();
        let sender = state.sender.take();
        self.0.wait_for_others(&mut state);
        sender
    }

    pub(crate) fn done(&self) -> Result<()> {
        match self.end() {
            Some(Sender::Reply(sender)) => sender.send(ChatStep::done()),
            _ => Ok(()),
        }
    }

    pub(crate) fn fail(&self, error: Error) -> Result<()> {
        match self.end() {
            Some(Sender::Transcript(sender)) => sender.fail(error),
            Some(Sender::Reply(sender)) => sender.fail(error),
            Some(Sender::Speech(sender)) => sender.fail(error),
            None => return Err(invalid("the sink is done")),
        }
        Ok(())
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled() || self.0.state.lock().is_dropped
    }
}

impl Drop for SinkObject {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) enum Sender {
    Transcript(StepSender<RecognitionStep>),
    Reply(StepSender<ChatStep>),
    Speech(StepSender<SpeechChunk>),
}

fn push(
    sink: *const tertulia_sink,
    out_error: *mut *mut tertulia_error,
    push: impl FnOnce(&SinkObject) -> Result<()>,
) -> i32 {
    call(out_error, || push(&*handle::get::<SinkObject>(sink)?))
}

fn wrong() -> Result<()> {
    Err(invalid("the sink takes no such result"))
}

/// Pushes a partial transcript, which replaces the one before. Fails with Cancelled where no more is wanted.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_partial(
    sink: *const tertulia_sink,
    text: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    push(sink, out_error, |sink| {
        let text = crate::boundary::text("text", text)?.to_owned();
        sink.push_transcript(RecognitionStep::Partial { text, stable_len: 0 })
    })
}

/// Pushes the transcript of an utterance. Fails with Cancelled where no more is wanted.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_transcript(
    sink: *const tertulia_sink,
    text: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    push(sink, out_error, |sink| {
        sink.push_transcript(RecognitionStep::Final(crate::boundary::text("text", text)?.to_owned().into()))
    })
}

/// Pushes the next part of a reply's text. Fails with Cancelled where no more is wanted.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_text(
    sink: *const tertulia_sink,
    text: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    push(sink, out_error, |sink| sink.push_text(crate::boundary::text("text", text)?.to_owned()))
}

/// Pushes the next chunk of speech: `count` mono samples at `rate` Hz, which speak the bytes `span_start` to `span_end` of
/// the request's text. The chunks cover the text without gap. Fails with Cancelled where no more is wanted.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_audio(
    sink: *const tertulia_sink,
    samples: *const f32,
    count: usize,
    rate: u32,
    span_start: usize,
    span_end: usize,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    push(sink, out_error, |sink| {
        sink.push_speech(SpeechChunk::new(slice("samples", samples, count)?.to_vec(), rate, span_start..span_end))
    })
}

/// Ends the results.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_done(sink: *const tertulia_sink, out_error: *mut *mut tertulia_error) -> i32 {
    push(sink, out_error, SinkObject::done)
}

/// Ends the results with an error: a code of `TERTULIA_ERROR_…`, or any other for HostCallback; `detail` may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_fail(
    sink: *const tertulia_sink,
    code: i32,
    detail: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let object = handle::get::<SinkObject>(sink)?;
        object.fail(host_error(code, optional_text("detail", detail)?.unwrap_or("the host's backend failed")))
    })
}

/// 1 where the results are not wanted any more, and for a sink that is not live; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_is_cancelled(sink: *const tertulia_sink) -> i32 {
    quietly(1, || handle::get::<SinkObject>(sink).map_or(1, |object| i32::from(object.is_cancelled())))
}

/// Frees a sink, which ends the results. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_sink_free(sink: *mut tertulia_sink) -> i32 {
    if sink.is_null() {
        return OK;
    }
    call(std::ptr::null_mut(), || {
        handle::remove::<SinkObject>(sink)?.end();
        Ok(())
    })
}

#[cfg(test)]
mod tests;
