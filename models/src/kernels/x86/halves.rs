//! 16-bit floats with F16C.
#![allow(unsafe_code, reason = "SIMD intrinsics read and write through pointers")]

use half::f16;
use std::arch::x86_64::*;

const WIDTH: usize = 8;

fn is_here() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// `None` where the processor lacks the features or the rows are no multiple of 32.
pub(crate) fn dot(a: &[f32], b: &[f16]) -> Option<f32> {
    let fits = a.len() == b.len() && a.len().is_multiple_of(4 * WIDTH);
    // SAFETY: the features are there; both slices are as long as each other.
    (fits && is_here()).then(|| unsafe { dot_all(a, b) })
}

/// # Safety
/// The processor has AVX2, FMA and F16C; both slices have the same length, a multiple of 32.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_all(a: &[f32], b: &[f16]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 4];
    for first in (0..a.len()).step_by(4 * WIDTH) {
        for (at, sum) in sums.iter_mut().enumerate() {
            // SAFETY: four times eight values from `first` on are within both slices.
            unsafe {
                let place = first + at * WIDTH;
                let halves = _mm_loadu_si128(b.as_ptr().add(place).cast());
                *sum = _mm256_fmadd_ps(_mm256_loadu_ps(a.as_ptr().add(place)), _mm256_cvtph_ps(halves), *sum);
            }
        }
    }
    let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let mut lanes = [0.0f32; WIDTH];
    // SAFETY: eight floats have room for eight.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
    lanes.iter().sum()
}

/// False where the processor lacks the features or the length is no multiple of 8.
pub(crate) fn unpack(halves: &[f16], out: &mut [f32]) -> bool {
    let fits = halves.len() == out.len() && out.len().is_multiple_of(WIDTH) && is_here();
    if fits {
        // SAFETY: the features are there; both slices are as long as each other.
        unsafe { unpack_all(halves, out) };
    }
    fits
}

/// # Safety
/// The processor has AVX2 and F16C; both slices have the same length, a multiple of 8.
#[target_feature(enable = "avx2,f16c")]
unsafe fn unpack_all(halves: &[f16], out: &mut [f32]) {
    for at in (0..out.len()).step_by(WIDTH) {
        // SAFETY: eight values from `at` on are within both slices.
        unsafe {
            let halves = _mm_loadu_si128(halves.as_ptr().add(at).cast());
            _mm256_storeu_ps(out.as_mut_ptr().add(at), _mm256_cvtph_ps(halves));
        }
    }
}
