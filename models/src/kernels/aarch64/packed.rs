//! Products of panels with NEON: 64 products of bytes in four instructions where the processor has dot products.
#![allow(unsafe_code, reason = "SIMD intrinsics read through pointers")]

use crate::kernels::activations::{ActivationRows, GROUP};
use crate::kernels::packed::{PANEL, Packing, Product, UNIT_LEN, UNITS, check, in_tiles};
use std::arch::aarch64::*;
use std::arch::asm;

/// Rows of a vector of sums, and vectors of a panel.
const LANES: usize = 4;
const VECTORS: usize = PANEL / LANES;

/// The ways that this processor can go, the fastest first.
pub(crate) fn products<P: Packing>() -> impl Iterator<Item = Product> {
    let dot: Product = |panel, x, out| {
        check::<P>(panel, x, out);
        in_tiles!(out, [1, 2, 4], |at, rest, N| rows::<P, true, N>(panel, x, at, rest));
    };
    let plain: Product = |panel, x, out| {
        check::<P>(panel, x, out);
        in_tiles!(out, [1, 2, 4], |at, rest, N| rows::<P, false, N>(panel, x, at, rest));
    };
    std::arch::is_aarch64_feature_detected!("dotprod").then_some(dot).into_iter().chain([plain])
}

/// The products with `N` rows of activations from `first` on.
///
/// # Safety
/// The lengths are as `check` wants them, and `first + N` at most the rows; where `DOT`, the processor has dot products.
unsafe fn rows<P: Packing, const DOT: bool, const N: usize>(
    panel: &[u8],
    x: ActivationRows<'_>,
    first: usize,
    out: &mut [[f32; PANEL]],
) {
    let groups = x.cols / GROUP;
    let mut totals = [[zero_f32(); VECTORS]; N];
    for (block_at, block) in panel.chunks_exact(P::BLOCK_BYTES).enumerate() {
        let block = block.as_ptr();
        // SAFETY: all parts are within the block, as `Packing` lays it out; the activations have a group for each of the
        // panel's, and `first + n` is one of their rows.
        unsafe {
            let scale = halves(block);
            let min = if P::MINS { halves(block.add(2 * PANEL)) } else { scale };
            for group in 0..P::GROUPS {
                let x_at = |n: usize| (first + n) * groups + block_at * P::GROUPS + group;
                let quants = block.add(P::QUANTS_AT + group * P::GROUP_BYTES);
                for part in 0..P::PARTS {
                    let units = part * UNITS / P::PARTS..(part + 1) * UNITS / P::PARTS;
                    let sums = sums::<P, DOT, N>(quants, units, |n| x.quants.as_ptr().add(x_at(n) * GROUP));
                    let scale = if P::HAS_PARTS {
                        let parts = bytes::<P>(block.add(P::PARTS_AT + (group * P::PARTS + part) * PANEL));
                        std::array::from_fn(|at| vmulq_f32(scale[at], parts[at]))
                    } else {
                        scale
                    };
                    for (n, totals) in totals.iter_mut().enumerate() {
                        let halves = x.groups.get_unchecked(x_at(n)).halves;
                        let sum = if P::PARTS == 1 { halves[0] + halves[1] } else { halves[part] };
                        // Quants of eight bits were made signed.
                        let excess = if P::BITS == 8 { 0 } else { P::ZERO * i32::from(sum) };
                        let x_scale = x.groups.get_unchecked(x_at(n)).scale;
                        for at in 0..VECTORS {
                            let sum = vcvtq_f32_s32(vsubq_s32(sums[n][at], vdupq_n_s32(excess)));
                            totals[at] = vfmaq_f32(totals[at], sum, vmulq_n_f32(scale[at], x_scale));
                        }
                    }
                }
                if P::MINS {
                    let min = if P::HAS_PARTS {
                        let parts = bytes::<P>(block.add(P::MIN_PARTS_AT + group * PANEL));
                        std::array::from_fn(|at| vmulq_f32(min[at], parts[at]))
                    } else {
                        min
                    };
                    for (n, totals) in totals.iter_mut().enumerate() {
                        let sum = x.groups.get_unchecked(x_at(n)).sum;
                        for at in 0..VECTORS {
                            totals[at] = vfmsq_n_f32(totals[at], min[at], sum);
                        }
                    }
                }
            }
        }
    }
    for (out, totals) in out.iter_mut().zip(totals) {
        for (out, total) in out.chunks_exact_mut(LANES).zip(totals) {
            // SAFETY: four floats have room for four.
            unsafe { vst1q_f32(out.as_mut_ptr(), total) };
        }
    }
}

/// The sums of products of some units, four for each of the panel's rows.
///
/// # Safety
/// `quants` points to a whole group, `x` gives pointers to groups of activations; where `DOT`, the processor has dot products.
#[inline]
unsafe fn sums<P: Packing, const DOT: bool, const N: usize>(
    quants: *const u8,
    units: std::ops::Range<usize>,
    x: impl Fn(usize) -> *const i8,
) -> [[int32x4_t; VECTORS]; N] {
    let mut sums = [[zero_s32(); VECTORS]; N];
    // Without dot products: the sums of pairs, of the first and of the last two rows of a vector.
    let mut pairs = [[[zero_s32(); 2]; VECTORS]; N];
    for unit in units {
        // SAFETY: the caller's promise.
        unsafe {
            for at in 0..VECTORS {
                let weights = weights::<P>(quants, unit, at);
                for n in 0..N {
                    let four = x(n).add(unit * 4).cast::<i32>().read_unaligned();
                    let four = vreinterpretq_s8_s32(vdupq_n_s32(four));
                    if DOT {
                        sums[n][at] = dot(sums[n][at], weights, four);
                    } else {
                        let low = vmull_s8(vget_low_s8(weights), vget_low_s8(four));
                        pairs[n][at][0] = vpadalq_s16(pairs[n][at][0], low);
                        pairs[n][at][1] = vpadalq_s16(pairs[n][at][1], vmull_high_s8(weights, four));
                    }
                }
            }
        }
    }
    if !DOT {
        for (sums, pairs) in sums.iter_mut().zip(pairs) {
            for (sum, [low, high]) in sums.iter_mut().zip(pairs) {
                // SAFETY: every 64-bit ARM processor has NEON.
                *sum = unsafe { vpaddq_s32(low, high) };
            }
        }
    }
    sums
}

/// Adds the sum of four products of bytes to each lane.
///
/// # Safety
/// The processor has dot products.
#[inline]
unsafe fn dot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller's promise; only registers are touched. The standard library's function is not stable yet.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// The quants of one unit in a vector's four rows, eight bits of them less 128.
///
/// # Safety
/// `quants` points to a whole group, and `unit` is one of its units.
#[inline]
unsafe fn weights<P: Packing>(quants: *const u8, unit: usize, at: usize) -> int8x16_t {
    const BYTES: usize = UNIT_LEN / VECTORS;
    // SAFETY: the caller's promise.
    unsafe {
        if P::BITS == 8 {
            let whole = vld1q_u8(quants.add(unit * UNIT_LEN + at * BYTES));
            return vreinterpretq_s8_u8(veorq_u8(whole, vdupq_n_u8(0x80)));
        }
        let both = vld1q_u8(quants.add(unit / 2 * UNIT_LEN + at * BYTES));
        let mut weights = if unit.is_multiple_of(2) { vandq_u8(both, vdupq_n_u8(15)) } else { vshrq_n_u8::<4>(both) };
        for plane in 0..P::PLANES {
            let bits = quants.add(P::LOW_BYTES + plane * P::PLANE_BYTES + unit * UNIT_LEN / 8 + at * BYTES / 8);
            // Each byte of the bits goes to eight lanes, each lane keeps its own bit.
            let spread = vcombine_u8(vdup_n_u8(*bits), vdup_n_u8(*bits.add(1)));
            let own = vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201));
            weights = vorrq_u8(weights, vandq_u8(vtstq_u8(spread, own), vdupq_n_u8(16 << plane)));
        }
        vreinterpretq_s8_u8(weights)
    }
}

fn zero_f32() -> float32x4_t {
    // SAFETY: every 64-bit ARM processor has NEON.
    unsafe { vdupq_n_f32(0.0) }
}

fn zero_s32() -> int32x4_t {
    // SAFETY: every 64-bit ARM processor has NEON.
    unsafe { vdupq_n_s32(0) }
}

/// Sixteen 16-bit floats.
///
/// # Safety
/// `at` points to 32 bytes.
#[inline]
unsafe fn halves(at: *const u8) -> [float32x4_t; VECTORS] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|vector| unsafe { vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at.add(vector * 2 * LANES)))) })
}

/// Sixteen parts of scales.
///
/// # Safety
/// `at` points to 16 bytes.
#[inline]
unsafe fn bytes<P: Packing>(at: *const u8) -> [float32x4_t; VECTORS] {
    // SAFETY: the caller's promise.
    let mut floats = [0.0f32; PANEL];
    for (lane, float) in floats.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let byte = unsafe { *at.add(lane) };
        *float = if P::SIGNED { f32::from(byte as i8) } else { f32::from(byte) };
    }
    // SAFETY: sixteen floats are four vectors.
    std::array::from_fn(|vector| unsafe { vld1q_f32(floats.as_ptr().add(vector * LANES)) })
}
