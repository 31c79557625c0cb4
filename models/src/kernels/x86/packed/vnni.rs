//! Products of panels with AVX-512 VNNI: 64 products at a time.
#![allow(unsafe_code, reason = "SIMD intrinsics read through pointers")]

use super::prefetch;
use crate::kernels::activations::{ActivationRows, GROUP};
use crate::kernels::packed::{PANEL, Packing, Product, UNIT, UNIT_LEN, UNITS, check, in_tiles};
use std::arch::x86_64::*;

/// `None` where the processor lacks the features.
pub(super) fn product<P: Packing>() -> Option<Product> {
    let found = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni");
    found.then_some(|panel, x, out| {
        check::<P>(panel, x, out);
        in_tiles!(out, [1, 2, 3, 4, 6, 8], |at, rest, N| rows::<P, N>(panel, x, at, rest));
    })
}

/// The products with `N` rows of activations from `first` on; gives `N`.
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI; the lengths are as `check` wants them, and `first + N` at most the rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn rows<P: Packing, const N: usize>(
    panel: &[u8],
    x: ActivationRows<'_>,
    first: usize,
    out: &mut [[f32; PANEL]],
) {
    let groups = x.cols / GROUP;
    let mut totals = [_mm512_setzero_ps(); N];
    for (block_at, block) in panel.chunks_exact(P::BLOCK_BYTES).enumerate() {
        let block = block.as_ptr();
        // SAFETY: all parts are within the block, as `Packing` lays it out; the activations have a group for each of the
        // panel's, and `first + n` is one of their rows.
        unsafe {
            let scale = halves(block);
            let min = if P::MINS { halves(block.add(2 * PANEL)) } else { _mm512_setzero_ps() };
            for group in 0..P::GROUPS {
                let x_at = |n: usize| (first + n) * groups + block_at * P::GROUPS + group;
                let quants = block.add(P::QUANTS_AT + group * P::GROUP_BYTES);
                prefetch::<P>(quants);
                for part in 0..P::PARTS {
                    let mut sums: [__m512i; N] = std::array::from_fn(|n| {
                        let halves = x.groups.get_unchecked(x_at(n)).halves;
                        let sum = if P::PARTS == 1 { halves[0] + halves[1] } else { halves[part] };
                        _mm512_set1_epi32(-P::ZERO * i32::from(sum))
                    });
                    for pair in part * UNITS / 2 / P::PARTS..(part + 1) * UNITS / 2 / P::PARTS {
                        for (at, weights) in units::<P>(quants, pair).into_iter().enumerate() {
                            for (n, sum) in sums.iter_mut().enumerate() {
                                let four = x.quants.as_ptr().add(x_at(n) * GROUP + (pair * 2 + at) * UNIT);
                                let four = _mm512_set1_epi32(four.cast::<i32>().read_unaligned());
                                *sum = _mm512_dpbusd_epi32(*sum, weights, four);
                            }
                        }
                    }
                    let scale = if P::HAS_PARTS {
                        let parts = block.add(P::PARTS_AT + (group * P::PARTS + part) * PANEL);
                        _mm512_mul_ps(scale, if P::SIGNED { signed(parts) } else { unsigned(parts) })
                    } else {
                        scale
                    };
                    for (n, (total, sum)) in totals.iter_mut().zip(sums).enumerate() {
                        let scale = _mm512_mul_ps(scale, _mm512_set1_ps(x.groups.get_unchecked(x_at(n)).scale));
                        *total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, *total);
                    }
                }
                if P::MINS {
                    let min = if P::HAS_PARTS {
                        _mm512_mul_ps(min, unsigned(block.add(P::MIN_PARTS_AT + group * PANEL)))
                    } else {
                        min
                    };
                    for (n, total) in totals.iter_mut().enumerate() {
                        *total = _mm512_fnmadd_ps(min, _mm512_set1_ps(x.groups.get_unchecked(x_at(n)).sum), *total);
                    }
                }
            }
        }
    }
    for (out, total) in out.iter_mut().zip(totals) {
        // SAFETY: sixteen floats have room for sixteen.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), total) };
    }
}

/// The quants of units `2 * pair` and `2 * pair + 1`.
///
/// # Safety
/// The processor has AVX-512 F and BW; `quants` points to a whole group, and there are so many units in it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn units<P: Packing>(quants: *const u8, pair: usize) -> [__m512i; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        if P::BITS == 8 {
            return [0, 1].map(|at| _mm512_loadu_si512(quants.add((pair * 2 + at) * UNIT_LEN).cast()));
        }
        let both = _mm512_loadu_si512(quants.add(pair * UNIT_LEN).cast());
        let nibbles = _mm512_set1_epi8(15);
        let mut units = [_mm512_and_si512(both, nibbles), _mm512_and_si512(_mm512_srli_epi16::<4>(both), nibbles)];
        for plane in 0..P::PLANES {
            for (at, unit) in units.iter_mut().enumerate() {
                let bits = quants.add(P::LOW_BYTES + plane * P::PLANE_BYTES + (pair * 2 + at) * UNIT_LEN / 8);
                let bits = bits.cast::<u64>().read_unaligned();
                *unit = _mm512_mask_add_epi8(*unit, bits, *unit, _mm512_set1_epi8(16 << plane));
            }
        }
        units
    }
}

/// Sixteen 16-bit floats.
///
/// # Safety
/// The processor has AVX-512 F; `at` points to 32 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn halves(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
}

/// Sixteen unsigned bytes.
///
/// # Safety
/// The processor has AVX-512 F; `at` points to 16 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn unsigned(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(at.cast()) }))
}

/// Sixteen signed bytes.
///
/// # Safety
/// As for [`unsigned`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn signed(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(at.cast()) }))
}
