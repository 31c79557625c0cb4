//! Kernels for x86-64; what the processor has is found at run time.

#[cfg(feature = "smart-turn")]
pub(crate) mod bytes;
#[cfg(any(feature = "chat", feature = "whisper"))]
pub(crate) mod halves;
#[cfg(feature = "chat")]
pub(crate) mod packed;

/// Makes functions that run the portable code of the same name, compiled for AVX2 where the processor has it.
#[cfg(any(feature = "chat", feature = "whisper"))]
macro_rules! widest {
    ($(#[$doc:meta] $name:ident($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        $(
            #[$doc]
            pub(crate) fn $name($($arg: $kind),*) $(-> $out)? {
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has the features.
                    #[allow(unsafe_code, reason = "the features were looked for")]
                    return unsafe { avx2::$name($($arg),*) };
                }
                portable::$name($($arg),*)
            }
        )*
        mod avx2 {
            use super::*;
            $(
                #[target_feature(enable = "avx2,fma")]
                pub(super) fn $name($($arg: $kind),*) $(-> $out)? {
                    portable::$name($($arg),*)
                }
            )*
        }
    };
}
#[cfg(any(feature = "chat", feature = "whisper"))]
pub(crate) use widest;
