//! `is_model!`: names a stand-in for a model; the defaults of `Model` say that it is loaded and needs no memory.

/// Implements `Model` for a type; the closure gives its name.
macro_rules! is_model {
    ($type:ty, $name:expr) => {
        impl ::tertulia::backend::Model for $type {
            fn name(&self) -> &str {
                let name: fn(&$type) -> &str = $name;
                name(self)
            }
        }
    };
}

pub(crate) use is_model;
