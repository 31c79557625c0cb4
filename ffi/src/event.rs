//! Events.

use crate::boundary::{put, quietly};
use crate::error::{free, without_zeros};
use crate::handle;
use engine::{Event, EventKind};
use std::ffi::{CString, c_char};
use std::sync::OnceLock;

/// An event of a session or of the engine. Free it with `tertulia_event_free()`.
pub struct tertulia_event(());

pub(crate) struct EventObject {
    event: Event,
    /// Made when it is asked for.
    json: OnceLock<CString>,
}

impl EventObject {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, json: OnceLock::new() }
    }
}

/// The event in JSON, as docs/events.md has it: UTF-8, valid until the event is freed; NULL for a handle that is not live.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_event_json(event: *const tertulia_event) -> *const c_char {
    quietly(std::ptr::null(), || {
        let Ok(object) = handle::get::<EventObject>(event) else { return std::ptr::null() };
        object.json.get_or_init(|| without_zeros(&object.event.to_json())).as_ptr()
    })
}

/// The turn that it is of; 0 for none.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_event_turn(event: *const tertulia_event) -> u64 {
    quietly(0, || handle::get::<EventObject>(event).ok().and_then(|object| object.event.turn).map_or(0, |turn| turn.0))
}

/// The audio of a `reply_audio_delta`: mono samples, -1 to 1, valid until the event is freed; their count and their rate in
/// Hz are written to `out_count` and `out_rate`. NULL for other events.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_event_audio(
    event: *const tertulia_event,
    out_count: *mut usize,
    out_rate: *mut u32,
) -> *const f32 {
    quietly(std::ptr::null(), || {
        put(out_count, 0);
        put(out_rate, 0);
        let Ok(object) = handle::get::<EventObject>(event) else { return std::ptr::null() };
        let EventKind::ReplyAudioDelta { pcm, rate, .. } = &object.event.kind else { return std::ptr::null() };
        put(out_count, pcm.len());
        put(out_rate, *rate);
        pcm.as_ptr()
    })
}

/// Frees an event. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_event_free(event: *mut tertulia_event) -> i32 {
    free::<EventObject>(event)
}
