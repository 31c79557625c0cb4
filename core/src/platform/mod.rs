//! Everything that differs between native platforms and browsers (`wasm32-unknown-unknown`), behind the same names.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod browser;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use browser::*;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use native::*;

/// The engine's only source of time.
pub trait Clock: MaybeSend + MaybeSync + 'static {
    /// Microseconds since any fixed moment; never goes back.
    fn monotonic_us(&self) -> u64;

    /// Unix time in ms; may jump.
    fn unix_ms(&self) -> u64;
}
