//! The log: a callback of the host's.

use super::{Result, call};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;

/// The level of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    Error,
    Warning,
    Information,
    Debug,
    Trace,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Error, Self::Warning, Self::Information, Self::Debug, Self::Trace];
}

/// Takes lines of the log. It is called on any thread, and must call nothing of this library.
#[uniffi::export(foreign)]
pub trait LogSink: Send + Sync {
    /// A line, with its level and its origin. It holds no words of the user.
    fn log(&self, level: LogLevel, target: String, line: String) -> Result<()>;
}

static SINK: RwLock<Option<Arc<dyn LogSink>>> = RwLock::new(None);
static IS_INSTALLED: Mutex<bool> = Mutex::new(false);

/// Has every line of the log handed to `sink`, in the place of the one before; none for no more lines. The highest level is
/// that of the first call in a process.
///
/// Fails with InvalidArgument where the log was set through the library's C functions.
#[uniffi::export]
fn set_log(sink: Option<Arc<dyn LogSink>>, level_max: LogLevel) -> Result<()> {
    call(|| {
        let mut is_installed = IS_INSTALLED.lock();
        if sink.is_some() && !*is_installed {
            crate::log::install(level_max as i32 + 1, hand_over)?;
            *is_installed = true;
        }
        // The one before is dropped without the lock: it is code of the host's.
        let before = std::mem::replace(&mut *SINK.write(), sink);
        drop(before);
        Ok(())
    })
}

fn hand_over(level: i32, target: &str, line: &str) {
    let sink = SINK.read().clone();
    let level = usize::try_from(level - 1).ok().and_then(|place| LogLevel::ALL.get(place));
    if let (Some(sink), Some(level)) = (sink, level) {
        // An exception of the log's has nowhere to go.
        let _ = sink.log(*level, target.to_owned(), line.to_owned());
    }
}
