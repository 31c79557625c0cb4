//! [`PackedMatrix`]: a quantised weight matrix in the order in which vectors of 32-bit sums want it.
//!
//! A *panel* is 16 rows, each a lane of the sums. A *group* is 32 columns of a panel, eight *units* of four columns: one
//! instruction multiplies the 64 quants of a unit with four activations. So the sum over a group is a whole integer in each
//! row's lane when the group's scales come, and no sum is ever taken across lanes. One activation serves 16 rows, one
//! reading of the weights eight rows of activations.
//!
//! Quants are unsigned; a weight is `scale * part * (quant - ZERO) - min * min_part`, exactly that of GGUF's block. A matrix
//! takes as many bytes as in the file, but for 3 % more of `Q4_K` and `Q5_K`, whose 6-bit parts become bytes.
//!
//! | part of a panel's block | bytes |
//! |---|---|
//! | scales, 16-bit floats | 2 x 16 |
//! | minima, 16-bit floats, where the format has them | 2 x 16 |
//! | parts of the scale, where groups share one | 16 for each group, or half of one |
//! | parts of the minimum, likewise | 16 for each group |
//! | quants: for each group the lower four bits of units in pairs, or whole bytes; then a plane for each further bit | |

mod pack;
mod portable;
#[cfg(test)]
mod tests;

use super::activations::{ActivationRows, Activations};
use super::columns::Columns;
use super::simd;
use crate::gguf::{GgmlType, TensorView};
use rayon::prelude::*;

/// Rows of a panel.
pub(super) const PANEL: usize = 16;
/// Columns that one instruction takes.
pub(super) const UNIT: usize = 4;
/// Quants of a unit.
pub(super) const UNIT_LEN: usize = PANEL * UNIT;
/// Units of a group.
pub(super) const UNITS: usize = super::activations::GROUP / UNIT;

/// A GGUF type of quantised blocks as it lies in panels.
pub(crate) trait Packing {
    const DTYPE: GgmlType;
    /// Bits of a quant: 4, 5, 6 or 8.
    const BITS: usize;
    /// The quant that stands for zero.
    const ZERO: i32 = 0;
    /// True if there are minima.
    const MINS: bool = false;
    /// Parts of a group that have scales of their own.
    const PARTS: usize = 1;
    /// True if the parts of a scale are signed.
    const SIGNED: bool = false;

    /// Groups that share a scale; if more than one, each has its part of it.
    const GROUPS: usize = Self::DTYPE.block_len() / super::activations::GROUP;
    const HAS_PARTS: bool = Self::GROUPS > 1;
    /// Where the parts of the scales begin, and those of the minima, and the quants.
    const PARTS_AT: usize = if Self::MINS { 4 * PANEL } else { 2 * PANEL };
    const MIN_PARTS_AT: usize = Self::PARTS_AT + if Self::HAS_PARTS { Self::GROUPS * Self::PARTS * PANEL } else { 0 };
    const QUANTS_AT: usize = Self::MIN_PARTS_AT + if Self::HAS_PARTS && Self::MINS { Self::GROUPS * PANEL } else { 0 };
    /// Bytes of the lower four bits of a group, or of its whole quants.
    const LOW_BYTES: usize = UNITS * UNIT_LEN / if Self::BITS == 8 { 1 } else { 2 };
    const PLANE_BYTES: usize = UNITS * UNIT_LEN / 8;
    const PLANES: usize = if Self::BITS == 8 { 0 } else { Self::BITS - 4 };
    const GROUP_BYTES: usize = Self::LOW_BYTES + Self::PLANES * Self::PLANE_BYTES;
    const BLOCK_BYTES: usize = Self::QUANTS_AT + Self::GROUPS * Self::GROUP_BYTES;
}

macro_rules! packings {
    ($($name:ident, $dtype:ident, $bits:literal, { $($const:ident = $value:expr),* };)*) => {
        $(
            pub(super) struct $name;

            impl Packing for $name {
                const DTYPE: GgmlType = GgmlType::$dtype;
                const BITS: usize = $bits;
                $(const $const: packings!(@type $const) = $value;)*
            }
        )*

        /// The functions for a type of quantised blocks; `None` for other types.
        fn ways(dtype: GgmlType) -> Option<Ways> {
            match dtype {
                $(GgmlType::$dtype => Some(Ways {
                    block_bytes: $name::BLOCK_BYTES,
                    pack: pack::panel::<$name>,
                    product: simd::packed::products::<$name>().next().unwrap_or(portable::product::<$name>),
                    row: portable::row::<$name>,
                }),)*
                _ => None,
            }
        }
    };
    (@type ZERO) => { i32 };
    (@type PARTS) => { usize };
    (@type $flag:ident) => { bool };
}

packings! {
    Q4_0, Q4_0, 4, { ZERO = 8 };
    Q4_1, Q4_1, 4, { MINS = true };
    Q5_0, Q5_0, 5, { ZERO = 16 };
    Q8_0, Q8_0, 8, { ZERO = 128 };
    Q4K, Q4K, 4, { MINS = true };
    Q5K, Q5K, 5, { MINS = true };
    Q6K, Q6K, 6, { ZERO = 32, PARTS = 2, SIGNED = true };
}

/// Packs up to 16 rows of GGUF's blocks, which lie one after another, into a panel.
type Pack = fn(&[u8], usize, &mut [u8]);
/// Writes the products of a panel with each row of the activations.
pub(crate) type Product = fn(&[u8], ActivationRows<'_>, &mut [[f32; PANEL]]);
/// Writes one row of a panel as floats.
type Row = fn(&[u8], usize, &mut [f32]);

#[derive(Clone, Copy)]
struct Ways {
    block_bytes: usize,
    pack: Pack,
    product: Product,
    row: Row,
}

/// A weight matrix `[rows, cols]` in panels.
pub(crate) struct PackedMatrix {
    dtype: GgmlType,
    rows: usize,
    cols: usize,
    panel_bytes: usize,
    panels: Vec<u8>,
    ways: Ways,
}

impl PackedMatrix {
    /// Packs a matrix; `None` where it is none of quantised blocks, or empty.
    pub(crate) fn new(tensor: &TensorView<'_>) -> Option<Self> {
        let (ways, &[rows, cols]) = (ways(tensor.dtype)?, tensor.shape) else { return None };
        if rows == 0 || cols == 0 {
            return None;
        }
        let row_bytes = tensor.data.len() / rows;
        let panel_bytes = cols / tensor.dtype.block_len() * ways.block_bytes;
        let mut panels = vec![0; rows.div_ceil(PANEL) * panel_bytes];
        panels
            .par_chunks_exact_mut(panel_bytes)
            .zip(tensor.data.par_chunks(PANEL * row_bytes))
            .for_each(|(panel, rows)| (ways.pack)(rows, row_bytes, panel));
        Some(Self { dtype: tensor.dtype, rows, cols, panel_bytes, panels, ways })
    }

    /// Elements of a block, which the activations share.
    pub(crate) fn block_len(&self) -> usize {
        self.dtype.block_len()
    }

    /// Writes row `row` as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.cols, "a row of the matrix");
        (self.ways.row)(&self.panels[row / PANEL * self.panel_bytes..][..self.panel_bytes], row % PANEL, out);
    }

    /// Panels that a task multiplies, so that handing it out costs little beside it.
    pub(super) fn task_panels(&self, x: &Activations) -> usize {
        TASK_BYTES_MIN.div_ceil(self.panel_bytes * x.all().rows).max(1)
    }

    /// The first rows of the tasks.
    pub(super) fn tasks(&self, x: &Activations) -> impl Iterator<Item = usize> + use<> {
        (0..self.rows).step_by(self.task_panels(x) * PANEL)
    }

    /// Adds the products of a task's panels to its columns of `out`, `[n, rows]`.
    ///
    /// # Safety
    /// Each task is given to one thread.
    #[allow(unsafe_code, reason = "tasks write to columns of their own")]
    pub(super) unsafe fn multiply_add(&self, task: usize, x: &Activations, out: Columns<'_>) {
        let panels = self.panels[task / PANEL * self.panel_bytes..].chunks_exact(self.panel_bytes);
        let panels = panels.take(self.task_panels(x)).zip((task..self.rows).step_by(PANEL));
        let mut products = [[0.0; PANEL]; TILE_ROWS];
        let count = x.all().rows;
        for first in (0..count).step_by(TILE_ROWS) {
            let products = &mut products[..TILE_ROWS.min(count - first)];
            for (panel, column) in panels.clone() {
                (self.ways.product)(panel, x.rows(first, products.len()), products);
                let width = PANEL.min(self.rows - column);
                for (row, products) in (first..).zip(&*products) {
                    // SAFETY: the columns are those of this task's panels, and the task is this thread's.
                    unsafe { out.add(row, column, &products[..width]) };
                }
            }
        }
    }
}

/// A task takes at least this many bytes of weights for each row of activations.
const TASK_BYTES_MIN: usize = 64 * 1024;
/// Rows of activations for which a task's panels are read again: they stay in the cache with it.
const TILE_ROWS: usize = 128;

/// Asserts what the ways for each processor rely on.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "plain Rust checks by itself")
)]
pub(super) fn check<P: Packing>(panel: &[u8], x: ActivationRows<'_>, out: &[[f32; PANEL]]) {
    let groups = x.cols / super::activations::GROUP;
    assert_eq!(panel.len(), groups / P::GROUPS * P::BLOCK_BYTES, "as many weights as columns");
    assert_eq!(groups % P::GROUPS, 0, "whole blocks");
    assert_eq!(out.len(), x.rows, "products for each row");
    assert!(x.quants.len() == x.rows * x.cols && x.groups.len() == x.rows * groups, "whole rows");
}

/// Evaluates `$body` with `$n` rows, the most of those listed that fit, until all are done: `$rest` are the rows of `$out`
/// from `$at` on.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(unused_macros, reason = "plain Rust has no tiles")
)]
macro_rules! in_tiles {
    ($out:ident, [$($count:literal),*], |$at:ident, $rest:ident, $n:ident| $body:expr) => {
        let mut $at = 0;
        while $at < $out.len() {
            let $rest = &mut $out[$at..];
            let most = [$($count),*].into_iter().rev().find(|count| *count <= $rest.len());
            match most {
                // SAFETY: this is only reached where the features are; `check` has seen to the lengths.
                $(Some($count) => unsafe { const $n: usize = $count; $body },)*
                _ => unreachable!("one row is left at least"),
            }
            $at += most.unwrap_or(1);
        }
    };
}
#[allow(unused_imports, reason = "plain Rust has no tiles")]
pub(super) use in_tiles;
