//! Compute that stock burn operations do too slowly, and its way into burn.
//!
//! | file | what |
//! |---|---|
//! | [`blocks`] | matrices that stay in GGUF's quantised blocks, multiplied with activations |
//! | [`activations`] | activations as 8-bit blocks |
//! | [`dot`] | dot products of a quantised row, per instruction set |
//! | [`dense`] | transformer layers in 32-bit floats |
//! | [`attention`] | attention over a cache of 16-bit floats |
//! | [`bytes`] | 8-bit weights times 8-bit activations, exact, for a network that was made with them |
//! | [`ops`] | these as burn operations on the Flex device |

#[cfg(feature = "burn")]
pub(crate) mod activations;
#[cfg(feature = "burn")]
pub(crate) mod attention;
#[cfg(feature = "burn")]
pub(crate) mod blocks;
#[cfg(feature = "smart-turn")]
pub(crate) mod bytes;
#[cfg(feature = "burn")]
pub(crate) mod dense;
#[cfg(feature = "burn")]
mod dot;
#[cfg(feature = "burn")]
pub(crate) mod ops;
