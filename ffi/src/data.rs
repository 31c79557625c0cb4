//! Data that the library gives to C: a text in JSON, or samples.

use crate::boundary::{invalid, put, quietly};
use crate::error::{free, without_zeros};
use crate::handle;
use std::ffi::{CString, c_char};
use std::sync::Arc;

/// A text in JSON, samples, or both, that the library made. Free it with `tertulia_data_free()`.
pub struct tertulia_data(());

#[derive(Default)]
pub(crate) struct Data {
    pub(crate) json: Option<CString>,
    pub(crate) samples: Samples,
}

pub(crate) enum Samples {
    F32(Arc<[f32]>),
    I16(Vec<i16>),
}

impl Default for Samples {
    fn default() -> Self {
        Self::I16(Vec::new())
    }
}

impl Data {
    pub(crate) fn json(json: &str) -> Self {
        Self { json: Some(without_zeros(json)), ..Self::default() }
    }
}

/// The text in JSON: UTF-8, ended by a zero, valid until the data is freed; NULL where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_data_json(data: *const tertulia_data) -> *const c_char {
    quietly(std::ptr::null(), || {
        let data = handle::get::<Data>(data).ok();
        data.and_then(|data| data.json.as_ref().map(|json| json.as_ptr())).unwrap_or(std::ptr::null())
    })
}

/// The samples, -1 to 1, mono: their count is written to `out_count`; valid until the data is freed. NULL where there are
/// none.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_data_f32(data: *const tertulia_data, out_count: *mut usize) -> *const f32 {
    samples(data, out_count, |samples| match samples {
        Samples::F32(samples) => Some((samples.as_ptr(), samples.len())),
        Samples::I16(_) => None,
    })
}

/// The samples of stored audio, 16-bit, mono: their count is written to `out_count`; valid until the data is freed. NULL
/// where there are none.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_data_i16(data: *const tertulia_data, out_count: *mut usize) -> *const i16 {
    samples(data, out_count, |samples| match samples {
        Samples::I16(samples) => Some((samples.as_ptr(), samples.len())),
        Samples::F32(_) => None,
    })
}

fn samples<T>(
    data: *const tertulia_data,
    out_count: *mut usize,
    of: impl FnOnce(&Samples) -> Option<(*const T, usize)>,
) -> *const T {
    quietly(std::ptr::null(), || {
        put(out_count, 0);
        let found = handle::get::<Data>(data).and_then(|data| of(&data.samples).ok_or_else(|| invalid("no samples")));
        let Ok((samples, count)) = found else { return std::ptr::null() };
        put(out_count, count);
        if count == 0 { std::ptr::null() } else { samples }
    })
}

/// Frees data. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_data_free(data: *mut tertulia_data) -> i32 {
    free::<Data>(data)
}
