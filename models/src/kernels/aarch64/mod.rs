//! Kernels for 64-bit ARM; whether the processor has dot products of bytes is found at run time.

#[cfg(feature = "chat")]
pub(crate) mod packed;
