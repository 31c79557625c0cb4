//! `is_model!`: the part of a stand-in for a model that is always loaded and needs no memory.

/// Implements `Model` for a type; the closure gives its name.
macro_rules! is_model {
    ($type:ty, $name:expr) => {
        impl ::tertulia::backend::Model for $type {
            fn name(&self) -> &str {
                let name: fn(&$type) -> &str = $name;
                name(self)
            }
            fn load(&self, _: &mut dyn FnMut(f32)) -> ::tertulia::Result<()> {
                Ok(())
            }
            fn unload(&self) {}
            fn is_loaded(&self) -> bool {
                true
            }
            fn memory_needed(&self) -> u64 {
                0
            }
        }
    };
}

pub(crate) use is_model;
