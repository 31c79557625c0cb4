//! [`ByteMatrix`]: products of 8-bit weights with 8-bit activations, exact in 32-bit integers.

use super::simd;

/// Rows of activations that one pass over the weights serves.
pub(super) const TILE: usize = 8;
/// Weight rows that lie together, four columns of each at a time: what one vector instruction multiplies.
pub(super) const PANEL: usize = 16;
pub(super) const GROUP: usize = 4;
pub(super) const GROUP_BYTES: usize = PANEL * GROUP;

/// A weight matrix `[rows, cols]` of signed bytes; `cols` is a multiple of four.
pub(crate) struct ByteMatrix {
    rows: usize,
    pub(super) cols: usize,
    /// `[panels, cols / 4, 16, 4]`, zeros in the rows that fill up the last panel.
    pub(super) packed: Vec<i8>,
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
    pub(super) fn width(&self) -> usize {
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
pub(super) type Kernel = fn(&ByteMatrix, &[u8], usize, &mut [i32]);

/// The fastest way on this processor.
fn fastest() -> Kernel {
    simd::bytes::kernels().next().unwrap_or(portable)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kernels() -> Vec<Kernel> {
        simd::bytes::kernels().chain([portable as Kernel]).collect()
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
