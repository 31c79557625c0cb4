//! From GGUF's blocks, row by row, to panels.
//!
//! Four quants are handled together, as the bytes of a 32-bit word; a word is a row's share of a unit.

use super::{PANEL, Packing, UNIT_LEN, UNITS};
use crate::gguf::GgmlType;

/// A group of one row: its quants four a word, and a nibble of further bits for each word and plane.
#[derive(Default)]
struct Words {
    low: [u32; UNITS],
    planes: [[u8; UNITS]; 2],
}

const NIBBLES: u32 = 0x0f0f_0f0f;

/// Packs rows of `row_bytes` into a panel; rows that are not there become zeros.
pub(super) fn panel<P: Packing>(rows: &[u8], row_bytes: usize, panel: &mut [u8]) {
    for (lane, row) in rows.chunks_exact(row_bytes).enumerate() {
        let blocks = row.chunks_exact(P::DTYPE.block_bytes());
        for (block, out) in blocks.zip(panel.chunks_exact_mut(P::BLOCK_BYTES)) {
            scales::<P>(block, lane, out);
            for group in 0..P::GROUPS {
                let words = words::<P>(block, group);
                place::<P>(&words, lane, &mut out[P::QUANTS_AT + group * P::GROUP_BYTES..][..P::GROUP_BYTES]);
            }
        }
    }
}

/// Puts a row's words among those of its panel.
#[inline]
fn place<P: Packing>(words: &Words, lane: usize, out: &mut [u8]) {
    let (low, planes) = out.split_at_mut(P::LOW_BYTES);
    for (unit, unit_low) in low.chunks_exact_mut(UNIT_LEN).enumerate() {
        let word = if P::BITS == 8 { words.low[unit] } else { words.low[unit * 2] | words.low[unit * 2 + 1] << 4 };
        unit_low[lane * 4..][..4].copy_from_slice(&word.to_le_bytes());
    }
    for (plane, nibbles) in planes.chunks_exact_mut(P::PLANE_BYTES).zip(&words.planes) {
        for (bytes, nibble) in plane.chunks_exact_mut(UNIT_LEN / 8).zip(nibbles) {
            bytes[lane / 2] |= nibble << (lane % 2 * 4);
        }
    }
}

/// Puts the scales and minima of a row's block among those of its panel.
#[inline]
fn scales<P: Packing>(block: &[u8], lane: usize, out: &mut [u8]) {
    let at = if P::DTYPE == GgmlType::Q6K { 208 } else { 0 };
    out[lane * 2..][..2].copy_from_slice(&block[at..at + 2]);
    if P::MINS {
        out[2 * PANEL + lane * 2..][..2].copy_from_slice(&block[2..4]);
        if !P::HAS_PARTS {
            // Those of Q4_1 are added, not subtracted.
            out[2 * PANEL + lane * 2 + 1] ^= 0x80;
        }
    }
    for group in 0..if P::HAS_PARTS { P::GROUPS } else { 0 } {
        if P::MINS {
            let (scale, min) = crate::gguf::scale_and_min_k4(&block[4..16], group);
            out[P::PARTS_AT + group * PANEL + lane] = scale;
            out[P::MIN_PARTS_AT + group * PANEL + lane] = min;
        } else {
            for part in group * P::PARTS..(group + 1) * P::PARTS {
                out[P::PARTS_AT + part * PANEL + lane] = block[192 + part];
            }
        }
    }
}

/// The quants of a group.
#[inline]
fn words<P: Packing>(block: &[u8], group: usize) -> Words {
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let mut words = Words::default();
    for unit in 0..UNITS {
        // Where halves of bytes hold the first and the last sixteen quants.
        let halves = |from: usize| word(from + unit % 4 * 4) >> (unit / 4 * 4) & NIBBLES;
        match P::DTYPE {
            GgmlType::Q4_0 => words.low[unit] = halves(2),
            GgmlType::Q4_1 => words.low[unit] = halves(4),
            GgmlType::Q5_0 => {
                words.low[unit] = halves(6);
                words.planes[0][unit] = (word(2) >> (unit * 4) & 15) as u8;
            }
            GgmlType::Q8_0 => words.low[unit] = word(2 + unit * 4) ^ 0x8080_8080,
            GgmlType::Q4K | GgmlType::Q5K => {
                let from = if P::DTYPE == GgmlType::Q4K { 16 } else { 48 };
                words.low[unit] = word(from + group / 2 * 32 + unit * 4) >> (group % 2 * 4) & NIBBLES;
                if P::DTYPE == GgmlType::Q5K {
                    words.planes[0][unit] = bits(word(16 + unit * 4) >> group);
                }
            }
            _ => {
                // Each half of 128 weights holds four groups of 32.
                let (half, quarter) = (group / 4, group % 4);
                words.low[unit] = word(half * 64 + quarter % 2 * 32 + unit * 4) >> (quarter / 2 * 4) & NIBBLES;
                let high = word(128 + half * 32 + unit * 4) >> (quarter * 2);
                words.planes = [0, 1].map(|plane| {
                    let mut nibbles = words.planes[plane];
                    nibbles[unit] = bits(high >> plane);
                    nibbles
                });
            }
        }
    }
    words
}

/// The lowest bit of each byte.
#[inline]
fn bits(word: u32) -> u8 {
    // Each factor brings one of them to its place among the upper four bits; nothing else gets there.
    ((word & 0x0101_0101).wrapping_mul(0x1020_4080) >> 28) as u8
}
