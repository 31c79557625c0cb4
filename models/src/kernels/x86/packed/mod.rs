//! Products of panels with AVX-512 VNNI or AVX2.

mod avx2;
mod vnni;

use crate::kernels::activations::{Activations, GROUP};
use crate::kernels::packed::{PANEL, Packing, Product};
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// The ways that this processor can go, the fastest first.
pub(crate) fn products<P: Packing>() -> impl Iterator<Item = Product> {
    vnni::product::<P>().into_iter().chain(avx2::product::<P>())
}

/// Asks for the weights that come a few groups later: the processor itself looks no further than the end of a page.
fn prefetch<P: Packing>(quants: *const u8) {
    /// Bytes of a line of the cache.
    const LINE: usize = 64;
    const AHEAD: usize = 2048;
    for line in 0..P::GROUP_BYTES.div_ceil(LINE) {
        let ahead = quants.wrapping_add(AHEAD + line * LINE);
        // SAFETY: a prefetch reads nothing: any address will do.
        #[allow(unsafe_code, reason = "the intrinsic takes a pointer")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast())
        };
    }
}

fn check<P: Packing>(panel: &[u8], x: &Activations, out: &[[f32; PANEL]]) {
    let groups = x.cols / GROUP;
    assert_eq!(panel.len(), groups / P::GROUPS * P::BLOCK_BYTES, "as many weights as columns");
    assert_eq!(groups % P::GROUPS, 0, "whole blocks");
    assert_eq!(out.len(), x.rows, "products for each row");
    assert!(x.quants.len() == x.rows * x.cols && x.scales.len() == x.rows * groups, "whole rows");
    assert!(x.sums.len() == x.rows * groups && x.halves.len() == x.rows * groups, "whole rows");
}

/// Calls a function whose last parameter is the number of rows that it takes, with the most that fit, until all are done.
macro_rules! in_tiles {
    ($out:ident, |$at:ident, $rest:ident| $function:ident::<$packing:ident, [$($count:literal),*]>$arguments:tt) => {
        let mut $at = 0;
        while $at < $out.len() {
            let $rest = &mut $out[$at..];
            let most = [$($count),*].into_iter().rev().find(|count| *count <= $rest.len());
            // SAFETY: this is only reached where the features are; `check` has seen to the lengths.
            match most {
                $(Some($count) => unsafe { $function::<$packing, $count> $arguments },)*
                _ => unreachable!("one row is left at least"),
            }
            $at += most.unwrap_or(1);
        }
    };
}
use in_tiles;
