//! The layer under Swift, Kotlin and Python, by uniffi: the engine's calls with typed settings, events and records.
//!
//! It stands beside the C ABI in the same library, behind the feature `uniffi`, and shares its objects. The hand-written
//! packages in bindings/ are the API of each language; this layer is made for them:
//!
//! - Audio crosses as bytes: mono samples of -1 to 1 as little-endian 32-bit floats, or little-endian 16-bit integers
//!   where a call says so.
//! - Spans are bytes of the UTF-8 text.
//! - Callbacks of the host's return at once: a backend begins its work and pushes the results into a sink, a waker notifies.
//! - An exception in a callback is the error `HostCallback` with its text; a panic here is `Internal`.

mod calls;
mod config;
mod error;
mod event;
mod event_from;
mod host;
mod job;
mod log;
mod models;
mod record;
mod session;
mod sink;
#[cfg(feature = "testing")]
mod testing;
#[cfg(test)]
mod tests;

pub use error::{ErrorCode, TertuliaError};

use engine::SessionId;
use engine::event::LanguageTag;
use std::borrow::Cow;

type Result<T> = std::result::Result<T, TertuliaError>;

/// Runs a call; a panic in it is an error.
fn call<T>(work: impl FnOnce() -> engine::Result<T>) -> Result<T> {
    Ok(crate::boundary::contained(work)?)
}

fn session_id(id: &str) -> engine::Result<SessionId> {
    id.parse().map_err(|_| crate::boundary::invalid("session: no session's id"))
}

fn languages(languages: &[String]) -> engine::Result<Vec<LanguageTag>> {
    languages.iter().map(|language| language.parse()).collect()
}

/// The samples in bytes, which need not be aligned.
fn samples<T: bytemuck::Pod>(bytes: &[u8]) -> engine::Result<Cow<'_, [T]>> {
    if !bytes.len().is_multiple_of(size_of::<T>()) {
        return Err(crate::boundary::invalid(format!("{} bytes are no whole number of samples", bytes.len())));
    }
    Ok(match bytemuck::try_cast_slice(bytes) {
        Ok(samples) => Cow::Borrowed(samples),
        Err(_) => Cow::Owned(bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()),
    })
}

/// The version of the library, such as "0.1.0".
#[uniffi::export]
fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
