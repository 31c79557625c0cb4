//! Model files. Without the feature `models` each of these calls is Unsupported.

use crate::boundary::{call, give, list, optional_text, text};
use crate::data::{Data, tertulia_data};
use crate::error::tertulia_error;
use crate::job::{JobObject, tertulia_job};
use std::ffi::c_char;

#[cfg(feature = "models")]
pub(crate) mod files {
    use engine::{Job, Result};
    use tertulia_models::files::{ModelStore, Progress};

    pub(crate) fn store(folder: Option<&str>) -> Result<ModelStore> {
        folder.map_or_else(ModelStore::open_default, ModelStore::open)
    }

    fn json(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).expect("strings and numbers")
    }

    pub(crate) fn list(folder: Option<&str>) -> Result<String> {
        Ok(json(&store(folder)?.list()?))
    }

    pub(crate) fn plan(folder: Option<&str>, names: &[&str]) -> Result<String> {
        Ok(json(&store(folder)?.plan(names)?))
    }

    pub(crate) fn pull(folder: Option<&str>, names: &[&str]) -> Result<Job<'static, Progress>> {
        let store = store(folder)?;
        let all = store.manifest().default_names();
        Ok(store.pull_job(if names.is_empty() { &all } else { names }))
    }

    pub(crate) fn install(folder: Option<&str>, name: &str, path: &str) -> Result<()> {
        store(folder)?.install(name, path.as_ref())
    }

    pub(crate) fn remove(folder: Option<&str>, name: &str) -> Result<()> {
        store(folder)?.remove(name)
    }

    pub(crate) fn verify(folder: Option<&str>, name: &str) -> Result<()> {
        store(folder)?.verify(name)
    }
}

#[cfg(not(feature = "models"))]
pub(crate) mod files {
    use engine::{Error, ErrorCode, Job, Result};

    fn none<T>() -> Result<T> {
        Err(Error::new(ErrorCode::Unsupported, "this library was built without models"))
    }

    pub(crate) fn list(_folder: Option<&str>) -> Result<String> {
        none()
    }

    pub(crate) fn plan(_folder: Option<&str>, _names: &[&str]) -> Result<String> {
        none()
    }

    pub(crate) fn pull(_folder: Option<&str>, _names: &[&str]) -> Result<Job<'static, ()>> {
        none()
    }

    pub(crate) fn install(_folder: Option<&str>, _name: &str, _path: &str) -> Result<()> {
        none()
    }

    pub(crate) fn remove(_folder: Option<&str>, _name: &str) -> Result<()> {
        none()
    }

    pub(crate) fn verify(_folder: Option<&str>, _name: &str) -> Result<()> {
        none()
    }
}

/// The models that the library knows, as a list in JSON: name, role, licence, languages, bytes, and whether the files are in
/// `folder` (NULL for the platform's place). `out_models` must be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_models_list(
    folder: *const c_char,
    out_models: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || give(out_models, || Ok(Data::json(&files::list(optional_text("folder", folder)?)?))))
}

/// The files that a pull of these models (names with commas; NULL for the default ones) would fetch, with their bytes and
/// licences, in JSON. `out_plan` must be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_models_plan(
    folder: *const c_char,
    names: *const c_char,
    out_plan: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let (folder, names) = (optional_text("folder", folder)?, list("names", names)?.unwrap_or_default());
        give(out_plan, || Ok(Data::json(&files::plan(folder, &names)?)))
    })
}

/// A job that fetches these models (names with commas; NULL for the default ones) on a thread of its own; its items are the
/// progress. A job that was cancelled goes on with the next pull.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_models_pull(
    folder: *const c_char,
    names: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let (folder, names) = (optional_text("folder", folder)?, list("names", names)?.unwrap_or_default());
        give(out_job, || Ok(JobObject::new(files::pull(folder, &names)?)))
    })
}

/// Copies a GGUF file of the host's to its place as the model `name`, and checks it. Takes as long as reading it.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_models_install(
    folder: *const c_char,
    name: *const c_char,
    path: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || files::install(optional_text("folder", folder)?, text("name", name)?, text("path", path)?))
}

/// Removes a model's files.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_models_remove(
    folder: *const c_char,
    name: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || files::remove(optional_text("folder", folder)?, text("name", name)?))
}

/// Reads a model's file, and compares its hash. Takes as long as reading it.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_models_verify(
    folder: *const c_char,
    name: *const c_char,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || files::verify(optional_text("folder", folder)?, text("name", name)?))
}
