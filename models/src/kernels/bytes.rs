//! [`ByteMatrix`]: products of 8-bit weights with 8-bit activations, exact in 32-bit integers.

/// Rows of activations that one pass over the weights serves.
const TILE: usize = 8;
/// Weight rows that lie together, four columns of each at a time: what one vector instruction multiplies.
const PANEL: usize = 16;
const GROUP: usize = 4;
const GROUP_BYTES: usize = PANEL * GROUP;

/// A weight matrix `[rows, cols]` of signed bytes; `cols` is a multiple of four.
pub(crate) struct ByteMatrix {
    rows: usize,
    cols: usize,
    /// `[panels, cols / 4, 16, 4]`, zeros in the rows that fill up the last panel.
    packed: Vec<i8>,
    sums: Vec<i32>,
}

impl ByteMatrix {
    /// The matrix whose element in `row` and `col` is `weight(row, col)`.
    pub(crate) fn new(rows: usize, cols: usize, weight: impl Fn(usize, usize) -> i8) -> Self {
        assert!(rows > 0 && cols > 0 && cols.is_multiple_of(GROUP), "columns come in fours");
        let mut packed = vec![0; rows.div_ceil(PANEL) * PANEL * cols];
        let mut sums = vec![0; rows];
        for (panel, packed) in packed.chunks_exact_mut(PANEL * cols).enumerate() {
            let first = panel * PANEL;
            for (group, packed) in packed.chunks_exact_mut(GROUP_BYTES).enumerate() {
                for (row, packed) in (first..rows).zip(packed.chunks_exact_mut(GROUP)) {
                    for (at, packed) in packed.iter_mut().enumerate() {
                        *packed = weight(row, group * GROUP + at);
                        sums[row] += i32::from(*packed);
                    }
                }
            }
        }
        Self { rows, cols, packed, sums }
    }

    /// The sum of each row.
    pub(crate) fn sums(&self) -> &[i32] {
        &self.sums
    }

    /// The rows, and those that fill up the last panel.
    fn width(&self) -> usize {
        self.rows.div_ceil(PANEL) * PANEL
    }

    /// Multiplies `count` rows of activations, each `cols` long and `step` after the one before, with the matrix
    /// transposed; `each` gets a row's number and its `rows` products.
    pub(crate) fn multiply(&self, x: &[u8], step: usize, count: usize, each: impl FnMut(usize, &[i32])) {
        self.multiply_with(fastest(), x, step, count, each);
    }

    fn multiply_with(&self, kernel: Kernel, x: &[u8], step: usize, count: usize, mut each: impl FnMut(usize, &[i32])) {
        let Some(last) = count.checked_sub(1) else { return };
        assert!(last * step + self.cols <= x.len(), "all rows lie within the activations");
        let width = self.width();
        let mut out = vec![0; TILE.min(count) * width];
        for first in (0..count).step_by(TILE) {
            let tile = TILE.min(count - first);
            kernel(self, &x[first * step..], step, &mut out[..tile * width]);
            for (at, out) in out[..tile * width].chunks_exact(width).enumerate() {
                each(first + at, &out[..self.rows]);
            }
        }
    }
}

/// Fills `out`, whole panels for each of at most [`TILE`] rows of activations that begin `step` apart.
type Kernel = fn(&ByteMatrix, &[u8], usize, &mut [i32]);

/// The fastest way on this processor.
fn fastest() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = x86::vnni().or_else(x86::avx2) {
        return kernel;
    }
    portable
}

fn portable(matrix: &ByteMatrix, x: &[u8], step: usize, out: &mut [i32]) {
    let cols = matrix.cols;
    let width = matrix.width();
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        let x = &x[row * step..][..cols];
        for (packed, out) in matrix.packed.chunks_exact(PANEL * cols).zip(out.chunks_exact_mut(PANEL)) {
            let mut totals = [0i32; PANEL];
            for (packed, x) in packed.chunks_exact(GROUP_BYTES).zip(x.chunks_exact(GROUP)) {
                for (total, packed) in totals.iter_mut().zip(packed.chunks_exact(GROUP)) {
                    *total += packed.iter().zip(x).map(|(w, x)| i32::from(*w) * i32::from(*x)).sum::<i32>();
                }
            }
            out.copy_from_slice(&totals);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The same with AVX-512 VNNI or AVX2.
    #![allow(unsafe_code, reason = "SIMD intrinsics read and write through pointers")]

    use super::{ByteMatrix, GROUP, GROUP_BYTES, Kernel, PANEL, TILE};
    use std::arch::x86_64::*;

    /// Rows of activations that AVX2's sixteen registers have room for.
    const AVX2_TILE: usize = 2;

    /// With AVX-512 VNNI, where the processor has it: 64 products at a time.
    pub(super) fn vnni() -> Option<Kernel> {
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
    pub(super) fn avx2() -> Option<Kernel> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernels() -> Vec<Kernel> {
        let mut kernels: Vec<Kernel> = vec![portable];
        #[cfg(target_arch = "x86_64")]
        kernels.extend(x86::vnni().into_iter().chain(x86::avx2()));
        kernels
    }

    #[test]
    fn every_kernel_gives_the_exact_products() {
        // Rows that overlap, as a convolution's do, and rows with something between them.
        for (rows, cols, step, count) in [(1, 4, 4, 1), (16, 64, 100, 8), (37, 240, 80, 19), (64, 400, 400, 17)] {
            let weight = |row: usize, col: usize| ((row * 89 + col * 57) % 256) as u8 as i8;
            let x: Vec<u8> = (0..(count - 1) * step + cols).map(|at| ((at * at + 31 * at) % 256) as u8).collect();
            let matrix = ByteMatrix::new(rows, cols, weight);
            for kernel in kernels() {
                let mut seen = 0;
                matrix.multiply_with(kernel, &x, step, count, |at, products| {
                    assert_eq!((at, products.len()), (seen, rows));
                    seen += 1;
                    for (row, product) in products.iter().enumerate() {
                        let of = |col: usize| i32::from(weight(row, col)) * i32::from(x[at * step + col]);
                        assert_eq!(*product, (0..cols).map(of).sum::<i32>(), "row {row} of {rows}, {cols} columns");
                    }
                });
                assert_eq!(seen, count);
            }
        }
    }

    #[test]
    fn extreme_bytes_do_not_overflow() {
        let cols = 1536;
        for weight in [-128i8, 127] {
            let matrix = ByteMatrix::new(3, cols, |_, _| weight);
            assert_eq!(matrix.sums(), [i32::from(weight) * cols as i32; 3]);
            for kernel in kernels() {
                matrix.multiply_with(kernel, &vec![255; cols], cols, 1, |_, products| {
                    assert_eq!(products, [i32::from(weight) * 255 * cols as i32; 3]);
                });
            }
        }
    }
}
