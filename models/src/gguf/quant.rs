//! Floats to stored elements, for converters.

use half::f16;
use tertulia::{Error, ErrorCode, Result};

/// Floats as [`F32`](super::GgmlType::F32).
pub fn encode_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Floats as [`F16`](super::GgmlType::F16), rounded to the nearest.
pub fn encode_f16(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
}

/// Floats as [`Q8_0`](super::GgmlType::Q8_0): the largest magnitude of each 32 becomes 127.
///
/// # Errors
/// [`ErrorCode::InvalidArgument`] where the length is no multiple of 32.
pub fn encode_q8_0(values: &[f32]) -> Result<Vec<u8>> {
    let (blocks, rest) = values.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            "Q8_0 values are not in whole blocks: a multiple of 32 expected",
        ));
    }
    let mut bytes = Vec::with_capacity(blocks.len() * 34);
    for block in blocks {
        let magnitude = block.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let scale = magnitude / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        bytes.extend(f16::from_f32(scale).to_le_bytes());
        bytes.extend(block.iter().map(|value| (value * inverse).round() as i8 as u8));
    }
    Ok(bytes)
}
