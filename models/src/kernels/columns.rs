//! [`Columns`]: a matrix in which tasks write side by side, each its own columns.
#![allow(unsafe_code, reason = "tasks write to disjoint parts of the same rows")]

use super::lanes;
use std::marker::PhantomData;

/// A matrix `[rows, cols]` that tasks add to.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    values: *mut f32,
    rows: usize,
    cols: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]`, whose elements may be written by any thread; that no two write the same is what
// the callers of `add` promise.
unsafe impl Send for Columns<'_> {}
// SAFETY: as above.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// # Panics
    /// Where `values` is not whole rows.
    pub(super) fn new(values: &'a mut [f32], cols: usize) -> Self {
        assert!(cols > 0 && values.len().is_multiple_of(cols), "whole rows");
        Self { rows: values.len() / cols, cols, values: values.as_mut_ptr(), lifetime: PhantomData }
    }

    /// Adds `values` to those of `row` from column `first` on.
    ///
    /// # Safety
    /// No other thread adds to these columns at the same time.
    ///
    /// # Panics
    /// Where the row or the columns are not there.
    pub(super) unsafe fn add(&self, row: usize, first: usize, values: &[f32]) {
        assert!(row < self.rows && first <= self.cols && values.len() <= self.cols - first, "within the matrix");
        // SAFETY: the values lie within the matrix, which is borrowed for as long as this lives; the caller promises that
        // no other thread uses them now.
        let sums = unsafe { std::slice::from_raw_parts_mut(self.values.add(row * self.cols + first), values.len()) };
        lanes::add(sums, values);
    }
}
