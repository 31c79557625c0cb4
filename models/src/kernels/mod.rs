//! Compute kernels: where stock burn operations are too slow, with a way into burn, and where none of it is used.
//!
//! | module | contents |
//! |---|---|
//! | [`weights`] | matrices from GGUF files, multiplied with rows of floats |
//! | [`packed`] | quantised matrices in panels of sixteen rows |
//! | [`activations`] | activations as 8-bit blocks |
//! | [`attention`] | attention over a cache of 16-bit floats |
//! | [`columns`] | a matrix in which tasks write side by side |
//! | [`dense`] | transformer layers in 32-bit floats |
//! | [`lanes`] | inner loops over 32-bit floats |
//! | [`maths`] | functions of each element or row, on all threads |
//! | [`view`] | rows of 32-bit floats and their products |
//! | [`bytes`] | 8-bit weights times 8-bit activations, exact |
//! | [`flex`] | tensors of the Flex device as slices |
//! | [`simd`] | the instruction sets of the processor |

#[cfg(feature = "chat")]
pub(crate) mod activations;
#[cfg(feature = "chat")]
pub(crate) mod attention;
#[cfg(feature = "smart-turn")]
pub(crate) mod bytes;
#[cfg(feature = "chat")]
mod columns;
#[cfg(feature = "whisper")]
pub(crate) mod dense;
#[cfg(feature = "burn")]
pub(crate) mod flex;
#[cfg(any(feature = "chat", feature = "whisper"))]
#[cfg_attr(not(all(feature = "chat", feature = "whisper")), allow(dead_code, reason = "some are of one model alone"))]
pub(crate) mod lanes;
#[cfg(any(feature = "chat", feature = "whisper"))]
#[cfg_attr(not(all(feature = "chat", feature = "whisper")), allow(dead_code, reason = "some are of one model alone"))]
pub(crate) mod maths;
#[cfg(feature = "chat")]
mod packed;
#[cfg_attr(not(all(feature = "chat", feature = "whisper")), allow(dead_code, reason = "some are of one model alone"))]
#[cfg_attr(target_arch = "x86_64", path = "x86/mod.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "portable.rs")]
mod simd;
#[cfg(any(feature = "chat", feature = "whisper"))]
pub(crate) mod view;
#[cfg(feature = "chat")]
pub(crate) mod weights;

/// Sums of products side by side, which the compiler turns into vector instructions, and the sum of those that are left.
#[cfg(any(feature = "silero", feature = "kokoro", feature = "chat", feature = "whisper"))]
#[inline(always)]
fn sums_in_lanes<const LANES: usize>(a: &[f32], b: &[f32]) -> ([f32; LANES], f32) {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    (sums, a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum())
}

/// The sum of products, in so many sums side by side.
#[cfg(any(feature = "silero", feature = "kokoro"))]
#[inline]
pub(crate) fn dot_in_lanes<const LANES: usize>(a: &[f32], b: &[f32]) -> f32 {
    let (sums, rest) = sums_in_lanes::<LANES>(a, b);
    sums.iter().sum::<f32>() + rest
}
