//! Kernels for 64-bit ARM; whether the processor has dot products of bytes is found at run time. The portable code of the
//! others becomes NEON by itself, which every such processor has.

#[cfg(feature = "chat")]
pub(crate) mod packed;
#[path = "../portable.rs"]
mod portable;

#[cfg(feature = "smart-turn")]
pub(crate) use portable::bytes;
#[cfg(any(feature = "chat", feature = "whisper"))]
pub(crate) use portable::{halves, widest};
