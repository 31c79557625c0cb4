//! Processors without kernels of their own: the portable code runs.

#[cfg(feature = "smart-turn")]
pub(crate) mod bytes {
    use crate::kernels::bytes::Kernel;

    pub(crate) fn kernels() -> impl Iterator<Item = Kernel> {
        std::iter::empty()
    }
}

#[cfg(feature = "chat")]
pub(crate) mod dot {
    use crate::gguf::GgmlType;
    use crate::kernels::dot::Dot;

    pub(crate) fn dot(_: GgmlType) -> Option<Dot> {
        None
    }
}

#[cfg(feature = "whisper")]
pub(crate) mod halves {
    use half::f16;

    pub(crate) fn dot(_: &[f32], _: &[f16]) -> Option<f32> {
        None
    }

    pub(crate) fn unpack(_: &[f16], _: &mut [f32]) -> bool {
        false
    }
}

#[cfg(feature = "whisper")]
macro_rules! widest {
    ($(#[$doc:meta] $name:ident($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        $(
            #[$doc]
            pub(super) fn $name($($arg: $kind),*) $(-> $out)? {
                portable::$name($($arg),*)
            }
        )*
    };
}
#[cfg(feature = "whisper")]
pub(crate) use widest;
