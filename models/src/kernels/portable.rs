//! Processors without kernels of their own: the portable code runs.

#[cfg(feature = "smart-turn")]
pub(crate) mod bytes {
    use crate::kernels::bytes::Kernel;

    pub(crate) fn kernels() -> impl Iterator<Item = Kernel> {
        std::iter::empty()
    }
}

#[cfg(all(feature = "chat", not(target_arch = "aarch64")))]
pub(crate) mod packed {
    use crate::kernels::packed::{Packing, Product};

    pub(crate) fn products<P: Packing>() -> impl Iterator<Item = Product> {
        std::iter::empty()
    }
}

#[cfg(any(feature = "chat", feature = "whisper"))]
pub(crate) mod halves {
    use half::f16;

    pub(crate) fn dot(_: &[f32], _: &[f16]) -> Option<f32> {
        None
    }

    pub(crate) fn unpack(_: &[f16], _: &mut [f32]) -> bool {
        false
    }
}

#[cfg(any(feature = "chat", feature = "whisper"))]
macro_rules! widest {
    ($(#[$doc:meta] $name:ident($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        $(
            #[$doc]
            pub(crate) fn $name($($arg: $kind),*) $(-> $out)? {
                portable::$name($($arg),*)
            }
        )*
    };
}
#[cfg(any(feature = "chat", feature = "whisper"))]
pub(crate) use widest;
