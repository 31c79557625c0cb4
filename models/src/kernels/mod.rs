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

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod dense;
mod dot;
pub(crate) mod ops;
