//! Products of panels with AVX2: 32 products at a time, of bytes, whose sums of pairs fit 16 bits.
#![allow(unsafe_code, reason = "SIMD intrinsics read through pointers")]

use super::prefetch;
use crate::kernels::activations::{ActivationRows, GROUP};
use crate::kernels::packed::{PANEL, Packing, Product, UNIT, UNIT_LEN, UNITS, check, in_tiles};
use std::arch::x86_64::*;

/// `None` where the processor lacks the features.
pub(super) fn product<P: Packing>() -> Option<Product> {
    let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
    found.then_some(|panel, x, out| {
        check::<P>(panel, x, out);
        in_tiles!(out, [1, 2, 4], |at, rest, N| rows::<P, N>(panel, x, at, rest));
    })
}

/// Half a panel: its first or its last eight rows.
const HALF: usize = PANEL / 2;

/// Units whose sums of pairs of products, of activations of up to 127, fit 16 bits together. Quants of eight bits are taken
/// as two of four.
const fn units_at_once(bits: usize) -> usize {
    match bits {
        5 => 4,
        6 => 2,
        _ => 8,
    }
}

/// The products with `N` rows of activations from `first` on.
///
/// # Safety
/// The processor has AVX2, FMA and F16C; the lengths are as `check` wants them, and `first + N` at most the rows.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn rows<P: Packing, const N: usize>(
    panel: &[u8],
    x: ActivationRows<'_>,
    first: usize,
    out: &mut [[f32; PANEL]],
) {
    let groups = x.cols / GROUP;
    let mut totals = [[_mm256_setzero_ps(); 2]; N];
    for (block_at, block) in panel.chunks_exact(P::BLOCK_BYTES).enumerate() {
        let block = block.as_ptr();
        // SAFETY: all parts are within the block, as `Packing` lays it out; the activations have a group for each of the
        // panel's, and `first + n` is one of their rows.
        unsafe {
            let scale = [0, 1].map(|half| halves(block.add(half * PANEL)));
            let min =
                [0, 1].map(|half| if P::MINS { halves(block.add((2 + half) * PANEL)) } else { _mm256_setzero_ps() });
            for group in 0..P::GROUPS {
                let x_at = |n: usize| (first + n) * groups + block_at * P::GROUPS + group;
                let quants = block.add(P::QUANTS_AT + group * P::GROUP_BYTES);
                prefetch::<P>(quants);
                for part in 0..P::PARTS {
                    let units = part * UNITS / P::PARTS..(part + 1) * UNITS / P::PARTS;
                    let sums = sums::<P, N>(quants, units, |n| x.quants.as_ptr().add(x_at(n) * GROUP));
                    for half in 0..2 {
                        let scale = if P::HAS_PARTS {
                            let parts = block.add(P::PARTS_AT + (group * P::PARTS + part) * PANEL + half * HALF);
                            _mm256_mul_ps(scale[half], bytes::<P>(parts))
                        } else {
                            scale[half]
                        };
                        for (n, totals) in totals.iter_mut().enumerate() {
                            let halves = x.groups.get_unchecked(x_at(n)).halves;
                            let sum = if P::PARTS == 1 { halves[0] + halves[1] } else { halves[part] };
                            let excess = _mm256_set1_epi32(P::ZERO * i32::from(sum));
                            let sum = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[n][half], excess));
                            let scale = _mm256_mul_ps(scale, _mm256_set1_ps(x.groups.get_unchecked(x_at(n)).scale));
                            totals[half] = _mm256_fmadd_ps(sum, scale, totals[half]);
                        }
                    }
                }
                for half in 0..if P::MINS { 2 } else { 0 } {
                    let min = if P::HAS_PARTS {
                        let parts = block.add(P::MIN_PARTS_AT + group * PANEL + half * HALF);
                        _mm256_mul_ps(min[half], bytes::<P>(parts))
                    } else {
                        min[half]
                    };
                    for (n, totals) in totals.iter_mut().enumerate() {
                        let sum = _mm256_set1_ps(x.groups.get_unchecked(x_at(n)).sum);
                        totals[half] = _mm256_fnmadd_ps(min, sum, totals[half]);
                    }
                }
            }
        }
    }
    for (out, totals) in out.iter_mut().zip(totals) {
        for (out, totals) in out.chunks_exact_mut(HALF).zip(totals) {
            // SAFETY: eight floats have room for eight.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), totals) };
        }
    }
}

/// The sums of products of some units, for both halves of the panel.
///
/// # Safety
/// The processor has AVX2; `quants` points to a whole group, `x` gives pointers to groups of activations.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn sums<P: Packing, const N: usize>(
    quants: *const u8,
    units: std::ops::Range<usize>,
    x: impl Fn(usize) -> *const i8,
) -> [[__m256i; 2]; N] {
    let at_once = units_at_once(P::BITS);
    let mut sums = [[_mm256_setzero_si256(); 2]; N];
    for first in units.clone().step_by(at_once) {
        // Of the lower four bits, or all; and, where there are eight, of the upper four.
        let mut pairs = [[[_mm256_setzero_si256(); 2]; 2]; N];
        for unit in first..units.end.min(first + at_once) {
            for half in 0..2 {
                // SAFETY: the caller's promise.
                let [low, high] = unsafe { weights::<P>(quants, unit, half) };
                for (n, pairs) in pairs.iter_mut().enumerate() {
                    // SAFETY: the unit is one of the group's.
                    let four = unsafe { x(n).add(unit * UNIT).cast::<i32>().read_unaligned() };
                    let four = _mm256_set1_epi32(four);
                    pairs[half][0] = _mm256_add_epi16(pairs[half][0], _mm256_maddubs_epi16(low, four));
                    if P::BITS == 8 {
                        pairs[half][1] = _mm256_add_epi16(pairs[half][1], _mm256_maddubs_epi16(high, four));
                    }
                }
            }
        }
        for (sums, pairs) in sums.iter_mut().zip(pairs) {
            for (sum, [low, high]) in sums.iter_mut().zip(pairs) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(low, _mm256_set1_epi16(1)));
                if P::BITS == 8 {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(high, _mm256_set1_epi16(16)));
                }
            }
        }
    }
    sums
}

/// The quants of one unit in half a panel; their lower and their upper four bits where there are eight.
///
/// # Safety
/// The processor has AVX2; `quants` points to a whole group, and `unit` is one of its units.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn weights<P: Packing>(quants: *const u8, unit: usize, half: usize) -> [__m256i; 2] {
    const BYTES: usize = UNIT_LEN / 2;
    let nibbles = _mm256_set1_epi8(15);
    // SAFETY: the caller's promise.
    unsafe {
        if P::BITS == 8 {
            let whole = _mm256_loadu_si256(quants.add(unit * UNIT_LEN + half * BYTES).cast());
            return [_mm256_and_si256(whole, nibbles), _mm256_and_si256(_mm256_srli_epi16::<4>(whole), nibbles)];
        }
        let both = _mm256_loadu_si256(quants.add(unit / 2 * UNIT_LEN + half * BYTES).cast());
        let shifted = if unit.is_multiple_of(2) { both } else { _mm256_srli_epi16::<4>(both) };
        let mut weights = _mm256_and_si256(shifted, nibbles);
        for plane in 0..P::PLANES {
            let bits = quants.add(P::LOW_BYTES + plane * P::PLANE_BYTES + unit * UNIT_LEN / 8 + half * BYTES / 8);
            // Each byte of the bits goes to eight lanes, each lane keeps its own bit.
            let spread = _mm256_set_epi64x(
                0x0303_0303_0303_0303,
                0x0202_0202_0202_0202,
                0x0101_0101_0101_0101,
                0x0000_0000_0000_0000,
            );
            let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast::<i32>().read_unaligned()), spread);
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
            weights = _mm256_or_si256(weights, _mm256_and_si256(set, _mm256_set1_epi8(16 << plane)));
        }
        [weights, _mm256_setzero_si256()]
    }
}

/// Eight 16-bit floats.
///
/// # Safety
/// The processor has F16C; `at` points to 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn halves(at: *const u8) -> __m256 {
    // SAFETY: the caller's promise.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
}

/// Eight parts of scales.
///
/// # Safety
/// The processor has AVX2; `at` points to 8 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn bytes<P: Packing>(at: *const u8) -> __m256 {
    // SAFETY: the caller's promise.
    let eight = unsafe { _mm_loadl_epi64(at.cast()) };
    _mm256_cvtepi32_ps(if P::SIGNED { _mm256_cvtepi8_epi32(eight) } else { _mm256_cvtepu8_epi32(eight) })
}
