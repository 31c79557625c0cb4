//! The log: a callback of the host's.

use crate::boundary::call;
use crate::error::{tertulia_error, without_zeros};
use engine::{Error, ErrorCode, Result};
use std::ffi::{c_char, c_void};
use std::fmt::Write;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Takes a line of the log: the level (1 error, 2 warning, 3 information, 4 and 5 details), its origin, and the line. The
/// texts are valid during the call. It is called on any thread, and must call nothing of this library.
pub type tertulia_log_fn =
    Option<extern "C" fn(user_data: *mut c_void, level: i32, target: *const c_char, line: *const c_char)>;

/// Takes each line up to a level: its level, its origin, and itself.
struct Callback<F> {
    log: F,
    level_max: i32,
}

fn number(level: &Level) -> i32 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

impl<S: Subscriber, F: Fn(i32, &str, &str) + Send + Sync + 'static> Layer<S> for Callback<F> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = number(event.metadata().level());
        if level > self.level_max {
            return;
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        (self.log)(level, event.metadata().target(), &line.0);
    }
}

/// The message, then the other fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        written.expect("a string takes everything");
    }
}

/// Has every line of the log up to a level handed to `log`, once in a process and for good. It holds no words of the user.
///
/// Fails with InvalidArgument where there is a log already.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_set_log(
    log: tertulia_log_fn,
    user_data: *mut c_void,
    level_max: i32,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let Some(log) = log else { return Err(Error::new(ErrorCode::InvalidArgument, "log is NULL")) };
        let user_data = user_data.expose_provenance();
        install(level_max, move |level, target, line| {
            let (target, line) = (without_zeros(target), without_zeros(line));
            log(std::ptr::with_exposed_provenance_mut(user_data), level, target.as_ptr(), line.as_ptr());
        })
    })
}

/// Has every line of the log up to a level handed over, for good.
pub(crate) fn install(level_max: i32, log: impl Fn(i32, &str, &str) + Send + Sync + 'static) -> Result<()> {
    tracing::subscriber::set_global_default(Registry::default().with(Callback { log, level_max }))
        .map_err(|source| Error::new(ErrorCode::InvalidArgument, "there is a log already").with_source(source))
}
