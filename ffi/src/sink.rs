//! Sinks: the results of the host's backends, pushed from any thread.

use crate::boundary::{call, invalid, optional_text, quietly, slice};
use crate::error::{free, tertulia_error};
use crate::handle;
use engine::backend::{CancelFlag, ChatStep, RecognitionStep, SpeechChunk, StepSender};
use engine::{Error, ErrorCode, Result};
use parking_lot::Mutex;
use std::ffi::c_char;

/// Takes the results of a backend of the host's, from any thread. Free it with `tertulia_sink_free()` once all are in.
pub struct tertulia_sink(());

/// An error of the host's, with a code of the table, or else HostCallback.
pub(crate) fn host_error(code: i32, detail: &str) -> Error {
    let code = u16::try_from(code).ok().map(ErrorCode::from_number);
    let code = code.filter(|code| !matches!(code, ErrorCode::Unknown(_))).unwrap_or(ErrorCode::HostCallback);
    Error::new(code, detail.to_owned())
}

pub(crate) struct SinkObject {
    /// None once it is done or failed.
    sender: Mutex<Option<Sender>>,
    cancel: CancelFlag,
}

impl SinkObject {
    pub(crate) fn new(sender: Sender, cancel: CancelFlag) -> Self {
        Self { sender: Mutex::new(Some(sender)), cancel }
    }

    fn with(&self, push: impl FnOnce(&Sender) -> Result<()>) -> Result<()> {
        push(self.sender.lock().as_ref().ok_or_else(|| invalid("the sink is done"))?)
    }

    pub(crate) fn push_transcript(&self, step: RecognitionStep) -> Result<()> {
        self.with(|sender| if let Sender::Transcript(sender) = sender { sender.send(step) } else { wrong() })
    }

    pub(crate) fn push_text(&self, text: String) -> Result<()> {
        self.with(|sender| if let Sender::Reply(sender) = sender { sender.send(ChatStep::Text(text)) } else { wrong() })
    }

    pub(crate) fn push_speech(&self, chunk: SpeechChunk) -> Result<()> {
        self.with(|sender| if let Sender::Speech(sender) = sender { sender.send(chunk) } else { wrong() })
    }

    pub(crate) fn done(&self) -> Result<()> {
        match self.sender.lock().take() {
            Some(Sender::Reply(sender)) => sender.send(ChatStep::done()),
            _ => Ok(()),
        }
    }

    pub(crate) fn fail(&self, error: Error) -> Result<()> {
        match self.sender.lock().take() {
            Some(Sender::Transcript(sender)) => sender.fail(error),
            Some(Sender::Reply(sender)) => sender.fail(error),
            Some(Sender::Speech(sender)) => sender.fail(error),
            None => return Err(invalid("the sink is done")),
        }
        Ok(())
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
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
    free::<SinkObject>(sink)
}
