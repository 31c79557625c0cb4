//! Sessions: audio in, events out. Every other call on a session is a command of `tertulia_engine_apply()`.

use crate::boundary::{call, give, invalid, put, slice};
use crate::engine_calls::{EngineObject, tertulia_engine};
use crate::error::{free, tertulia_error};
use crate::event::{EventObject, tertulia_event};
use crate::handle;
use engine::{ErrorCode, Event, Events, Result, Session, SessionEngine, TurnId};
use parking_lot::Mutex;
use std::ffi::{c_char, c_void};
use std::time::Duration;

/// A handle of an open session, which does not keep it open. Free it with `tertulia_session_free()`.
pub struct tertulia_session(());

/// Tells that there may be an event to read. It is called on any thread of the engine, must only notify (set a flag, post a
/// message), and must call nothing of this library.
pub type tertulia_wakeup_fn = Option<extern "C" fn(user_data: *mut c_void)>;

pub(crate) struct SessionObject {
    session: Session,
    reader: Reader,
}

/// The reader of events, which is taken when the first is asked for.
#[derive(Default)]
pub(crate) struct Reader(Mutex<Option<Events>>);

impl Reader {
    fn with<T>(&self, take: impl FnOnce() -> Result<Events>, work: impl FnOnce(&Events) -> Result<T>) -> Result<T> {
        let Some(mut events) = self.0.try_lock() else { return Err(ErrorCode::EventsTaken.into()) };
        if events.is_none() {
            *events = Some(take()?);
        }
        work(events.as_ref().expect("it was just taken"))
    }

    pub(crate) fn next(&self, take: impl FnOnce() -> Result<Events>, timeout_ms: u64) -> Result<Option<Event>> {
        self.with(take, |events| events.next_timeout(Duration::from_millis(timeout_ms)))
    }

    pub(crate) fn set_waker(
        &self,
        take: impl FnOnce() -> Result<Events>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<()> {
        self.with(take, |events| {
            events.set_waker(wake);
            Ok(())
        })
    }
}

/// Writes the next event of a reader.
pub(crate) fn put_next(
    reader: &Reader,
    take: impl FnOnce() -> Result<Events>,
    timeout_ms: u64,
    out_event: *mut *mut tertulia_event,
) -> Result<()> {
    if out_event.is_null() {
        return Err(invalid("the place for the event is NULL"));
    }
    put(out_event, std::ptr::null_mut());
    match reader.next(take, timeout_ms)? {
        Some(event) => give(out_event, || Ok(EventObject::new(event))),
        None => Ok(()),
    }
}

/// Has a function of C called by a reader.
pub(crate) fn set_wakeup(
    reader: &Reader,
    take: impl FnOnce() -> Result<Events>,
    wakeup: tertulia_wakeup_fn,
    user_data: *mut c_void,
) -> Result<()> {
    let user_data = user_data.expose_provenance();
    reader.set_waker(take, move || {
        if let Some(wakeup) = wakeup {
            wakeup(std::ptr::with_exposed_provenance_mut(user_data));
        }
    })
}

/// A handle of the open session with this id. `out_session` must be freed.
///
/// Fails with SessionClosed where it is not open.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_session(
    engine: *const tertulia_engine,
    session_id: *const c_char,
    out_session: *mut *mut tertulia_session,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let object = handle::get::<EngineObject>(engine)?;
        let id = crate::engine_calls::session_id(session_id)?;
        give(out_session, || Ok(SessionObject { session: object.engine()?.handle(id)?, reader: Reader::default() }))
    })
}

/// Frees a handle, and lets another read the session's events. The session stays open. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_free(session: *mut tertulia_session) -> i32 {
    free::<SessionObject>(session)
}

fn on(
    session: *const tertulia_session,
    out_error: *mut *mut tertulia_error,
    work: impl FnOnce(&Session) -> Result<()>,
) -> i32 {
    call(out_error, || work(&handle::get::<SessionObject>(session)?.session))
}

/// Copies microphone audio: `count` mono samples of -1 to 1 at `rate` Hz (8,000 to 192,000). Blocks of any length; never
/// waits, so that audio threads may call it.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_push_audio(
    session: *const tertulia_session,
    samples: *const f32,
    count: usize,
    rate: u32,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| session.push_audio(slice("samples", samples, count)?, rate))
}

/// The same with 16-bit samples.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_push_audio_i16(
    session: *const tertulia_session,
    samples: *const i16,
    count: usize,
    rate: u32,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| session.push_audio_i16(slice("samples", samples, count)?, rate))
}

/// The same with `count` interleaved samples of several channels, which are averaged.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_push_interleaved(
    session: *const tertulia_session,
    samples: *const f32,
    count: usize,
    channels: usize,
    rate: u32,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| session.push_interleaved(slice("samples", samples, count)?, channels, rate))
}

/// Copies what the loudspeaker plays, for the engine's echo canceller; as `tertulia_session_push_audio()`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_push_playback(
    session: *const tertulia_session,
    samples: *const f32,
    count: usize,
    rate: u32,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| session.push_playback(slice("samples", samples, count)?, rate))
}

/// Takes one whole file (webm, mp4, ogg, wav, mp3 or flac) as an utterance, and starts a turn, whose number is written to
/// `out_turn`. The bytes are copied; they are decoded later.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_push_encoded(
    session: *const tertulia_session,
    bytes: *const u8,
    count: usize,
    out_turn: *mut u64,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| {
        put(out_turn, session.push_encoded(slice("bytes", bytes, count)?)?.0);
        Ok(())
    })
}

/// Ends the utterance whose audio was pushed, and starts a turn, whose number is written to `out_turn`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_end_utterance(
    session: *const tertulia_session,
    out_turn: *mut u64,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| {
        put(out_turn, session.end_utterance()?.0);
        Ok(())
    })
}

/// Interrupts the turn under way.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_interrupt(
    session: *const tertulia_session,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, Session::interrupt)
}

/// Reports that `samples_total` samples of a turn's reply were played so far.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_played(
    session: *const tertulia_session,
    turn: u64,
    samples_total: u64,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    on(session, out_error, |session| session.played(TurnId(turn), samples_total))
}

/// Waits up to `timeout_ms` for the next event, which is written to `out_event` and must be freed; NULL where none came.
///
/// One thread reads: EventsTaken while another does. Fails with SessionClosed after `session_closed` was read.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_next_event(
    session: *const tertulia_session,
    timeout_ms: u64,
    out_event: *mut *mut tertulia_event,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let object = handle::get::<SessionObject>(session)?;
        put_next(&object.reader, || object.session.events(), timeout_ms, out_event)
    })
}

/// Has `wakeup` called whenever there may be a new event; NULL for no more calls. `user_data` must stay valid until the
/// session's handle is freed and the session closed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_session_set_wakeup(
    session: *const tertulia_session,
    wakeup: tertulia_wakeup_fn,
    user_data: *mut c_void,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let object = handle::get::<SessionObject>(session)?;
        set_wakeup(&object.reader, || object.session.events(), wakeup, user_data)
    })
}
