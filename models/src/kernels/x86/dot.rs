//! Dot products with AVX2: 32 products of 8 bits at a time.
#![allow(unsafe_code, reason = "SIMD intrinsics read through pointers")]

use crate::gguf::GgmlType;
use crate::kernels::activations::{Activations, GROUP};
use crate::kernels::dot::Dot;
use std::arch::x86_64::*;

/// Rows of activations that share one reading of the weights.
const TILE: usize = 4;

/// The way for this type where the processor has what it takes.
pub(crate) fn dot(dtype: GgmlType) -> Option<Dot> {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")) {
        return None;
    }
    Some(match dtype {
        GgmlType::Q4_0 => boxed::<Q4_0>(),
        GgmlType::Q4_1 => boxed::<Q4_1>(),
        GgmlType::Q5_0 => boxed::<Q5_0>(),
        GgmlType::Q8_0 => boxed::<Q8_0>(),
        GgmlType::Q4K => boxed::<Q4K>(),
        GgmlType::Q5K => boxed::<Q5K>(),
        GgmlType::Q6K => boxed::<Q6K>(),
        GgmlType::F32 | GgmlType::F16 | GgmlType::I8 | GgmlType::I32 => return None,
    })
}

/// A quantised block, read 32 weights at a time.
///
/// A weight is `scale * multiplier * quant - min`.
trait Format {
    const DTYPE: GgmlType;
    /// True if quants are signed, from -128 to 127; else they are unsigned, from 0 to 127.
    const SIGNED: bool;
    /// True if there is a minimum.
    const MIN: bool;
    /// The values that all groups of a block share.
    type Head;

    /// # Safety
    /// The processor has AVX2, FMA and F16C; `block` points to a whole block.
    unsafe fn head(block: *const u8) -> Self::Head;

    /// # Safety
    /// As for [`head`](Self::head); `group` is below the number of groups in a block.
    unsafe fn group(block: *const u8, head: &Self::Head, group: usize) -> Group;
}

/// 32 weights.
struct Group {
    quants: __m256i,
    /// Sixteen multipliers, one for two neighbouring quants.
    multipliers: __m256i,
    scale: f32,
    min: f32,
}

fn boxed<F: Format + 'static>() -> Dot {
    Box::new(|row, activations, out| {
        let blocks = activations.cols / F::DTYPE.block_len();
        assert_eq!(row.len(), blocks * F::DTYPE.block_bytes(), "as many weights as columns");
        assert_eq!(out.len(), activations.rows, "one product for each row");
        // SAFETY: `dot` found the features; the row is as long as the activations' rows.
        unsafe { dot_row::<F>(row, activations, out) }
    })
}

/// # Safety
/// The processor has AVX2, FMA and F16C; `row` holds `activations.cols` weights, `out` `activations.rows` places.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_row<F: Format>(row: &[u8], activations: &Activations, out: &mut [f32]) {
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let first = tile * TILE;
        // SAFETY: the caller's promise; the tile's rows are within the activations.
        unsafe {
            match out.len() {
                1 => dot_tile::<F, 1>(row, activations, first, out),
                2 => dot_tile::<F, 2>(row, activations, first, out),
                3 => dot_tile::<F, 3>(row, activations, first, out),
                _ => dot_tile::<F, TILE>(row, activations, first, out),
            }
        }
    }
}

/// # Safety
/// As for [`dot_row`]; `first + N` is at most `activations.rows`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_tile<F: Format, const N: usize>(row: &[u8], activations: &Activations, first: usize, out: &mut [f32]) {
    let cols = activations.cols;
    let groups = F::DTYPE.block_len() / GROUP;
    let mut totals = [_mm256_setzero_ps(); N];
    let mut minima = [0.0f32; N];
    for (block_at, block) in row.chunks_exact(F::DTYPE.block_bytes()).enumerate() {
        // SAFETY: the chunk is a whole block; the caller promises the features.
        let head = unsafe { F::head(block.as_ptr()) };
        for group_at in 0..groups {
            // SAFETY: as above, and the group is one of the block's.
            let group = unsafe { F::group(block.as_ptr(), &head, group_at) };
            let at = block_at * groups + group_at;
            let unsigned = if F::SIGNED { _mm256_abs_epi8(group.quants) } else { group.quants };
            for n in 0..N {
                let x_at = (first + n) * (cols / GROUP) + at;
                // SAFETY: the row holds `cols` weights, so `at` is below `cols / GROUP`; the caller promises that
                // `first + n` is a row of the activations, which have `GROUP` quants for each scale and sum.
                let (x, x_scale, x_sum) = unsafe {
                    let x = _mm256_loadu_si256(activations.quants.as_ptr().add(x_at * GROUP).cast());
                    (x, *activations.scales.get_unchecked(x_at), *activations.sums.get_unchecked(x_at))
                };
                let signed = if F::SIGNED { _mm256_sign_epi8(x, group.quants) } else { x };
                // At most 128 * 127 * 2: neighbours' sums fit 16 bits.
                let pairs = _mm256_maddubs_epi16(unsigned, signed);
                let products = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, group.multipliers));
                totals[n] = _mm256_fmadd_ps(products, _mm256_set1_ps(group.scale * x_scale), totals[n]);
                if F::MIN {
                    minima[n] += group.min * x_sum;
                }
            }
        }
    }
    for n in 0..N {
        out[n] = sum(totals[n]) - minima[n];
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// # Safety
/// `at` points to two bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn half(at: *const u8) -> f32 {
    // SAFETY: the caller's promise.
    let bits = unsafe { at.cast::<u16>().read_unaligned() };
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits.into())))
}

/// 16 bytes to 32 quants of 4 bits: the low halves, then the high halves.
///
/// # Safety
/// `at` points to 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn nibbles(at: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    let pairs = unsafe { _mm_loadu_si128(at.cast()) };
    let both = _mm256_set_m128i(_mm_srli_epi16::<4>(pairs), pairs);
    _mm256_and_si256(both, _mm256_set1_epi8(15))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn ones() -> __m256i {
    _mm256_set1_epi16(1)
}

struct Q4_0;

impl Format for Q4_0 {
    const DTYPE: GgmlType = GgmlType::Q4_0;
    const SIGNED: bool = true;
    const MIN: bool = false;
    type Head = ();

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(_: *const u8) {}

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, (): &(), _: usize) -> Group {
        // SAFETY: a block has 18 bytes.
        let (scale, quants) = unsafe { (half(block), nibbles(block.add(2))) };
        Group { quants: _mm256_sub_epi8(quants, _mm256_set1_epi8(8)), multipliers: ones(), scale, min: 0.0 }
    }
}

struct Q4_1;

impl Format for Q4_1 {
    const DTYPE: GgmlType = GgmlType::Q4_1;
    const SIGNED: bool = false;
    const MIN: bool = true;
    type Head = ();

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(_: *const u8) {}

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, (): &(), _: usize) -> Group {
        // SAFETY: a block has 20 bytes.
        let (scale, min, quants) = unsafe { (half(block), half(block.add(2)), nibbles(block.add(4))) };
        Group { quants, multipliers: ones(), scale, min: -min }
    }
}

struct Q5_0;

impl Format for Q5_0 {
    const DTYPE: GgmlType = GgmlType::Q5_0;
    const SIGNED: bool = true;
    const MIN: bool = false;
    type Head = ();

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(_: *const u8) {}

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, (): &(), _: usize) -> Group {
        // SAFETY: a block has 22 bytes.
        let (scale, fifth_bits, quants) =
            unsafe { (half(block), block.add(2).cast::<i32>().read_unaligned(), nibbles(block.add(6))) };
        // Each byte of the bits goes to eight lanes, each lane keeps its own bit.
        let spread = _mm256_set_epi64x(
            0x0303_0303_0303_0303,
            0x0202_0202_0202_0202,
            0x0101_0101_0101_0101,
            0x0000_0000_0000_0000,
        );
        let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(fifth_bits), spread);
        let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
        // A quant without its fifth bit is the nibble less 16: all upper bits set.
        let upper = _mm256_andnot_si256(set, _mm256_set1_epi8(0xf0_u8 as i8));
        Group { quants: _mm256_or_si256(quants, upper), multipliers: ones(), scale, min: 0.0 }
    }
}

struct Q8_0;

impl Format for Q8_0 {
    const DTYPE: GgmlType = GgmlType::Q8_0;
    const SIGNED: bool = true;
    const MIN: bool = false;
    type Head = ();

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(_: *const u8) {}

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, (): &(), _: usize) -> Group {
        // SAFETY: a block has 34 bytes.
        let (scale, quants) = unsafe { (half(block), _mm256_loadu_si256(block.add(2).cast())) };
        Group { quants, multipliers: ones(), scale, min: 0.0 }
    }
}

/// The scales and minima of the eight groups of Q4_K and Q5_K.
struct HeadK {
    scales: [f32; 8],
    mins: [f32; 8],
}

/// # Safety
/// The processor has AVX2, FMA and F16C; `block` points to 16 bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn head_k(block: *const u8) -> HeadK {
    // SAFETY: the caller's promise.
    let (scale, min, [a, b, c]) =
        unsafe { (half(block), half(block.add(2)), block.add(4).cast::<[u32; 3]>().read_unaligned()) };
    // Twelve bytes hold eight 6-bit scales and eight 6-bit minima; four are unpacked at a time, one per byte.
    let scales = [a & 0x3f3f_3f3f, (c & 0x0f0f_0f0f) | (a >> 6 & 0x0303_0303) << 4];
    let mins = [b & 0x3f3f_3f3f, (c >> 4 & 0x0f0f_0f0f) | (b >> 6 & 0x0303_0303) << 4];
    let floats = |[low, high]: [u32; 2], factor| {
        let bytes = _mm_set_epi64x(0, (u64::from(low) | u64::from(high) << 32) as i64);
        let mut out = [0.0; 8];
        let products = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), _mm256_set1_ps(factor));
        // SAFETY: `out` has room for eight floats.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), products) };
        out
    };
    HeadK { scales: floats(scales, scale), mins: floats(mins, min) }
}

/// # Safety
/// The processor has AVX2, FMA and F16C; `quants` points to the 128 bytes of a block's lower bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn nibbles_k(quants: *const u8, group: usize) -> __m256i {
    // SAFETY: the caller's promise; two groups share 32 bytes.
    let pairs = unsafe { _mm256_loadu_si256(quants.add(group / 2 * 32).cast()) };
    let shifted = if group.is_multiple_of(2) { pairs } else { _mm256_srli_epi16::<4>(pairs) };
    _mm256_and_si256(shifted, _mm256_set1_epi8(15))
}

struct Q4K;

impl Format for Q4K {
    const DTYPE: GgmlType = GgmlType::Q4K;
    const SIGNED: bool = false;
    const MIN: bool = true;
    type Head = HeadK;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(block: *const u8) -> HeadK {
        // SAFETY: a block has 144 bytes.
        unsafe { head_k(block) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, head: &HeadK, group: usize) -> Group {
        // SAFETY: the block's lower bits start at byte 16.
        let quants = unsafe { nibbles_k(block.add(16), group) };
        Group { quants, multipliers: ones(), scale: head.scales[group], min: head.mins[group] }
    }
}

struct Q5K;

impl Format for Q5K {
    const DTYPE: GgmlType = GgmlType::Q5K;
    const SIGNED: bool = false;
    const MIN: bool = true;
    type Head = HeadK;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(block: *const u8) -> HeadK {
        // SAFETY: a block has 176 bytes.
        unsafe { head_k(block) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, head: &HeadK, group: usize) -> Group {
        // SAFETY: the fifth bits are bytes 16 to 47, the lower bits follow.
        let (fifth_bits, quants) =
            unsafe { (_mm256_loadu_si256(block.add(16).cast()), nibbles_k(block.add(48), group)) };
        let bit = _mm256_set1_epi8((1u8 << group) as i8);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(fifth_bits, bit), bit);
        let upper = _mm256_and_si256(set, _mm256_set1_epi8(16));
        let quants = _mm256_or_si256(quants, upper);
        Group { quants, multipliers: ones(), scale: head.scales[group], min: head.mins[group] }
    }
}

struct Q6K;

impl Format for Q6K {
    const DTYPE: GgmlType = GgmlType::Q6K;
    const SIGNED: bool = true;
    const MIN: bool = false;
    type Head = f32;

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn head(block: *const u8) -> f32 {
        // SAFETY: a block has 210 bytes.
        unsafe { half(block.add(208)) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn group(block: *const u8, head: &f32, group: usize) -> Group {
        // Each half of 128 weights holds four groups of 32.
        let (half, quarter) = (group / 4, group % 4);
        // SAFETY: 128 bytes of lower bits, 64 of upper bits, 16 scales.
        let (low, high, scales) = unsafe {
            (
                _mm256_loadu_si256(block.add(half * 64 + quarter % 2 * 32).cast()),
                _mm256_loadu_si256(block.add(128 + half * 32).cast()),
                block.add(192 + group * 2).cast::<[i8; 2]>().read_unaligned(),
            )
        };
        let low = if quarter < 2 { low } else { _mm256_srli_epi16::<4>(low) };
        let low = _mm256_and_si256(low, _mm256_set1_epi8(15));
        let high = match quarter {
            0 => _mm256_slli_epi16::<4>(high),
            1 => _mm256_slli_epi16::<2>(high),
            2 => high,
            _ => _mm256_srli_epi16::<2>(high),
        };
        let high = _mm256_and_si256(high, _mm256_set1_epi8(0x30));
        let quants = _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
        let scales = scales.map(|scale| _mm_set1_epi16(scale.into()));
        Group { quants, multipliers: _mm256_set_m128i(scales[1], scales[0]), scale: *head, min: 0.0 }
    }
}
