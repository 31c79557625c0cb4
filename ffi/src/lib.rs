//! Tertulia's C library: an engine for spoken conversation, behind include/tertulia.h.
//!
//! C holds handles: numbers that look like pointers, looked up at every call (`handle`). A handle that was freed,
//! or is of another type, is an error and never a crash. Every function returns a code, 0 for success, and contains
//! panics (`boundary`); pointers of C are dereferenced there alone. Functions may be called from any thread, several at a
//! time, unless they say otherwise.
#![allow(non_camel_case_types, reason = "the names are C's")]

mod boundary;
mod data;
mod engine_calls;
mod error;
mod event;
mod handle;
mod host;
mod job;
mod log;
mod models;
mod session;
mod sink;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "uniffi")]
mod uni;

use std::ffi::c_char;

#[cfg(feature = "uniffi")]
uniffi::setup_scaffolding!("tertulia");

/// The version of the ABI of this header; compare it with `tertulia_abi_version()`.
pub const TERTULIA_ABI_VERSION: u32 = 0;

/// The version of the loaded library's ABI. A program built with another one must not use it.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_abi_version() -> u32 {
    TERTULIA_ABI_VERSION
}

/// The library's version, such as "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
