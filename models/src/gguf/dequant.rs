//! Stored elements to floats, as ggml defines each type.

use super::GgmlType;
use half::f16;

/// Decodes stored elements into floats.
///
/// # Panics
/// Where `data` and `out` are not of the same number of whole blocks.
pub fn dequantize(dtype: GgmlType, data: &[u8], out: &mut [f32]) {
    assert!(out.len().is_multiple_of(dtype.block_len()), "whole blocks");
    assert_eq!(data.len(), out.len() / dtype.block_len() * dtype.block_bytes(), "as many blocks as wanted");
    let decode = match dtype {
        GgmlType::F32 => return numbers(data, out, f32::from_le_bytes),
        GgmlType::F16 => return numbers(data, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
        GgmlType::I8 => return numbers(data, out, |bytes| f32::from(i8::from_le_bytes(bytes))),
        GgmlType::I32 => return numbers(data, out, |bytes| i32::from_le_bytes(bytes) as f32),
        GgmlType::Q4_0 => q4_0,
        GgmlType::Q4_1 => q4_1,
        GgmlType::Q5_0 => q5_0,
        GgmlType::Q8_0 => q8_0,
        GgmlType::Q4K => q4_k,
        GgmlType::Q5K => q5_k,
        GgmlType::Q6K => q6_k,
    };
    for (block, out) in data.chunks_exact(dtype.block_bytes()).zip(out.chunks_exact_mut(dtype.block_len())) {
        decode(block, out);
    }
}

fn numbers<const N: usize>(data: &[u8], out: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (bytes, out) in data.as_chunks::<N>().0.iter().zip(out) {
        *out = number(*bytes);
    }
}

/// The scale and the minimum of group `group` (0 to 7) in the 12 packed bytes of Q4_K and Q5_K: 6 bits each, the
/// last four groups' upper two bits in the first eight bytes.
pub(crate) fn scale_and_min_k4(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let scale = (packed[group + 4] & 15) | (packed[group - 4] >> 6 << 4);
        let min = (packed[group + 4] >> 4) | (packed[group] >> 6 << 4);
        (scale, min)
    }
}

fn f16_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = f16_at(block, 0);
    for (at, &pair) in block[2..].iter().enumerate() {
        out[at] = (f32::from(pair & 15) - 8.0) * scale;
        out[at + 16] = (f32::from(pair >> 4) - 8.0) * scale;
    }
}

fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (f16_at(block, 0), f16_at(block, 2));
    for (at, &pair) in block[4..].iter().enumerate() {
        out[at] = f32::from(pair & 15) * scale + min;
        out[at + 16] = f32::from(pair >> 4) * scale + min;
    }
}

fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = f16_at(block, 0);
    let fifth_bits = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    for (at, &pair) in block[6..].iter().enumerate() {
        let low = (pair & 15) | ((fifth_bits >> at & 1) << 4) as u8;
        let high = (pair >> 4) | ((fifth_bits >> (at + 16) & 1) << 4) as u8;
        out[at] = (f32::from(low) - 16.0) * scale;
        out[at + 16] = (f32::from(high) - 16.0) * scale;
    }
}

fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = f16_at(block, 0);
    for (&byte, out) in block[2..].iter().zip(out) {
        *out = f32::from(byte as i8) * scale;
    }
}

fn q4_k(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (f16_at(block, 0), f16_at(block, 2));
    let (packed, quants) = (&block[4..16], &block[16..144]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (group_scale, group_min) = scale_and_min_k4(packed, group);
        let (scale, min) = (scale * f32::from(group_scale), min * f32::from(group_min));
        let shift = group % 2 * 4;
        for (&pair, out) in quants[group / 2 * 32..][..32].iter().zip(out) {
            *out = scale * f32::from(pair >> shift & 15) - min;
        }
    }
}

fn q5_k(block: &[u8], out: &mut [f32]) {
    let (scale, min) = (f16_at(block, 0), f16_at(block, 2));
    let (packed, fifth_bits, quants) = (&block[4..16], &block[16..48], &block[48..176]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (group_scale, group_min) = scale_and_min_k4(packed, group);
        let (scale, min) = (scale * f32::from(group_scale), min * f32::from(group_min));
        let shift = group % 2 * 4;
        for (at, out) in out.iter_mut().enumerate() {
            let quant = (quants[group / 2 * 32 + at] >> shift & 15) | ((fifth_bits[at] >> group & 1) << 4);
            *out = scale * f32::from(quant) - min;
        }
    }
}

fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low_bits, high_bits, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = f16_at(block, 208);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        // Each half of 128 elements holds four groups of 32.
        let (half, quarter) = (group / 4, group % 4);
        for (at, out) in out.iter_mut().enumerate() {
            let low = low_bits[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
            let high = high_bits[half * 32 + at] >> (quarter * 2) & 3;
            let group_scale = scales[group * 2 + at / 16] as i8;
            *out = scale * f32::from(group_scale) * (f32::from(low | high << 4) - 32.0);
        }
    }
}
