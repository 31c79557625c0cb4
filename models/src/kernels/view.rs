//! [`View`]: rows of a matrix in 32-bit floats, and their products by the crate `gemm`.

use gemm::Parallelism;

/// Up to so many rows, reading the other factor is what takes time, and `gemm` gains nothing.
pub(crate) const FEW_ROWS: usize = 8;

/// Rows of a matrix that lie `step` apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_step: usize,
    col_step: usize,
}

impl<'a> View<'a> {
    /// A whole matrix with `cols` columns.
    pub(crate) fn new(values: &'a [f32], cols: usize) -> Self {
        Self::part(values, values.len() / cols, cols, cols)
    }

    /// The first `cols` of each run of `step` values.
    pub(crate) fn part(values: &'a [f32], rows: usize, cols: usize, step: usize) -> Self {
        assert!(rows == 0 || (rows - 1) * step + cols <= values.len(), "all rows lie within the values");
        Self { values, rows, cols, row_step: step, col_step: 1 }
    }

    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_step: self.col_step, col_step: self.row_step, ..self }
    }

    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.row_step..][..self.cols]
    }
}

/// `a` times `b` into the rows of `out`, which lie `step` apart; what is there is added to where `adds`.
#[allow(unsafe_code, reason = "the crate `gemm` takes pointers")]
pub(crate) fn multiply(a: View<'_>, b: View<'_>, out: &mut [f32], step: usize, adds: bool, parallelism: Parallelism) {
    assert_eq!(a.cols, b.rows, "as many columns as rows");
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(b.cols <= step && (a.rows - 1) * step + b.cols <= out.len(), "the product lies within what is written");
    // SAFETY: both factors lie within their slices, as `View` was made, and so does the product; no two of its elements
    // share a place.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            step as isize,
            adds,
            a.values.as_ptr(),
            a.col_step as isize,
            a.row_step as isize,
            b.values.as_ptr(),
            b.col_step as isize,
            b.row_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
