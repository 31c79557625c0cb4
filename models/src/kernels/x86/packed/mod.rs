//! Products of panels with AVX-512 VNNI or AVX2.

mod avx2;
mod vnni;

use crate::kernels::packed::{Packing, Product};
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
