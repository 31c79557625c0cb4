//! Differences between operating systems, one file each.

#[cfg(any(unix, windows))]
mod mapped;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(unix, windows)), path = "other.rs")]
mod os;

pub(crate) use os::*;
