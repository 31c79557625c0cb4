//! Compute kernels that stock burn operations are too slow for, and their way into burn.
//!
//! | module | contents |
//! |---|---|
//! | [`blocks`] | matrices that stay in GGUF's quantised blocks, multiplied with activations |
//! | [`activations`] | activations as 8-bit blocks |
//! | [`dot`] | dot products of a quantised row |
//! | [`dense`] | transformer layers in 32-bit floats |
//! | [`attention`] | attention over a cache of 16-bit floats |
//! | [`bytes`] | 8-bit weights times 8-bit activations, exact |
//! | [`flex`] | tensors of the Flex device as slices |
//! | [`simd`] | the instruction sets of the processor |

#[cfg(feature = "chat")]
pub(crate) mod activations;
#[cfg(feature = "chat")]
pub(crate) mod attention;
#[cfg(feature = "chat")]
pub(crate) mod blocks;
#[cfg(feature = "smart-turn")]
pub(crate) mod bytes;
#[cfg(feature = "whisper")]
pub(crate) mod dense;
#[cfg(feature = "chat")]
mod dot;
#[cfg(feature = "burn")]
pub(crate) mod flex;
#[cfg_attr(target_arch = "x86_64", path = "x86/mod.rs")]
#[cfg_attr(not(target_arch = "x86_64"), path = "portable.rs")]
mod simd;
