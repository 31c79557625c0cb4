//! What stands in for a model: it is always there and takes nothing.

/// Makes a model of a type, with the closure that gives its name.
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
