//! Byte products with AVX-512 VNNI or AVX2.
#![allow(unsafe_code, reason = "SIMD intrinsics read and write through pointers")]

use crate::kernels::bytes::{ByteMatrix, GROUP, GROUP_BYTES, Kernel, PANEL, TILE};
use std::arch::x86_64::*;

/// Rows of activations that AVX2's sixteen registers have room for.
const AVX2_TILE: usize = 2;

/// The kernels that this processor can run, the fastest first.
pub(crate) fn kernels() -> impl Iterator<Item = Kernel> {
    vnni().into_iter().chain(avx2())
}

/// With AVX-512 VNNI, where the processor has it: 64 products at a time.
fn vnni() -> Option<Kernel> {
    let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    found.then_some(|matrix, x, step, out| {
        check(matrix, x, step, out);
        let width = matrix.width();
        // SAFETY: this is only handed out where the features are; `check` has seen to the lengths.
        unsafe {
            if out.len() == TILE * width {
                vnni_rows::<TILE>(matrix, x, step, out);
            } else {
                for (row, out) in out.chunks_exact_mut(width).enumerate() {
                    vnni_rows::<1>(matrix, &x[row * step..], step, out);
                }
            }
        }
    })
}

/// With AVX2, where the processor has it: 16 products at a time, of 16-bit integers, so that none overflows.
fn avx2() -> Option<Kernel> {
    is_x86_feature_detected!("avx2").then_some(|matrix, x, step, out| {
        check(matrix, x, step, out);
        let width = matrix.width();
        for (tile, out) in out.chunks_mut(AVX2_TILE * width).enumerate() {
            let x = &x[tile * AVX2_TILE * step..];
            // SAFETY: as above.
            unsafe {
                if out.len() == AVX2_TILE * width {
                    avx2_rows::<AVX2_TILE>(matrix, x, step, out);
                } else {
                    avx2_rows::<1>(matrix, x, step, out);
                }
            }
        }
    })
}

fn check(matrix: &ByteMatrix, x: &[u8], step: usize, out: &[i32]) {
    let width = matrix.width();
    let rows = out.len() / width;
    assert!(rows > 0 && out.len() == rows * width, "whole rows of products");
    assert!((rows - 1) * step + matrix.cols <= x.len(), "all rows lie within the activations");
    assert_eq!(matrix.packed.len(), width * matrix.cols, "whole panels");
}

/// # Safety
/// The processor has AVX-512 F and VNNI; `out` holds `N` whole rows, `x` the `N` rows of activations.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn vnni_rows<const N: usize>(matrix: &ByteMatrix, x: &[u8], step: usize, out: &mut [i32]) {
    let panel_bytes = PANEL * matrix.cols;
    let panels = matrix.packed.len() / panel_bytes;
    let mut panel = 0;
    while panel < panels {
        // An odd last panel is computed twice rather than alone.
        let second = if panel + 1 < panels { panel + 1 } else { panel };
        let mut totals = [[_mm512_setzero_si512(); 2]; N];
        // SAFETY: groups are within the panel, fours of activations within their row, panels within `out`.
        unsafe {
            let weights = [panel, second].map(|panel| matrix.packed.as_ptr().add(panel * panel_bytes));
            for group in 0..matrix.cols / GROUP {
                let weights = weights.map(|panel| _mm512_loadu_si512(panel.add(group * GROUP_BYTES).cast()));
                for (row, totals) in totals.iter_mut().enumerate() {
                    let four = x.as_ptr().add(row * step + group * GROUP).cast::<i32>().read_unaligned();
                    let four = _mm512_set1_epi32(four);
                    totals[0] = _mm512_dpbusd_epi32(totals[0], four, weights[0]);
                    totals[1] = _mm512_dpbusd_epi32(totals[1], four, weights[1]);
                }
            }
            for (row, totals) in totals.iter().enumerate() {
                let out = out.as_mut_ptr().add(row * panels * PANEL);
                _mm512_storeu_si512(out.add(panel * PANEL).cast(), totals[0]);
                _mm512_storeu_si512(out.add(second * PANEL).cast(), totals[usize::from(second != panel)]);
            }
        }
        panel += 2;
    }
}

/// # Safety
/// As for [`vnni_rows`], with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn avx2_rows<const N: usize>(matrix: &ByteMatrix, x: &[u8], step: usize, out: &mut [i32]) {
    /// Weight rows of one register: four columns of each as 16-bit integers.
    const ROWS: usize = 4;
    let panel_bytes = PANEL * matrix.cols;
    let panels = matrix.packed.len() / panel_bytes;
    for panel in 0..panels {
        let mut totals = [[_mm256_setzero_si256(); PANEL / ROWS]; N];
        // SAFETY: groups are within the panel, fours of activations within their row, panels within `out`.
        unsafe {
            let weights = matrix.packed.as_ptr().add(panel * panel_bytes);
            for group in 0..matrix.cols / GROUP {
                let mut fours = [_mm256_setzero_si256(); N];
                for (row, wide) in fours.iter_mut().enumerate() {
                    let four = x.as_ptr().add(row * step + group * GROUP).cast::<i32>().read_unaligned();
                    *wide = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
                }
                for quarter in 0..PANEL / ROWS {
                    let bytes = weights.add(group * GROUP_BYTES + quarter * ROWS * GROUP);
                    let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(bytes.cast()));
                    for (totals, four) in totals.iter_mut().zip(&fours) {
                        totals[quarter] = _mm256_add_epi32(totals[quarter], _mm256_madd_epi16(wide, *four));
                    }
                }
            }
            for (row, totals) in totals.iter().enumerate() {
                for (quarter, totals) in totals.iter().enumerate() {
                    // Two neighbouring lanes belong to one weight row.
                    let mut lanes = [0i32; 2 * ROWS];
                    _mm256_storeu_si256(lanes.as_mut_ptr().cast(), *totals);
                    let out = &mut out[(row * panels + panel) * PANEL + quarter * ROWS..][..ROWS];
                    for (out, pair) in out.iter_mut().zip(lanes.chunks_exact(2)) {
                        *out = pair[0] + pair[1];
                    }
                }
            }
        }
    }
}
