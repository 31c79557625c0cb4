//! Errors: a code, its name, and the detail.

use crate::boundary::{call, quietly};
use crate::handle;
use engine::{Error, ErrorCode};
use std::ffi::{CString, c_char};

/// The error of a call. Free it with `tertulia_error_free()`.
pub struct tertulia_error(());

pub(crate) struct ErrorObject {
    code: ErrorCode,
    detail: CString,
}

impl ErrorObject {
    pub(crate) fn new(error: &Error) -> Self {
        Self { code: error.code(), detail: without_zeros(&error.to_string()) }
    }
}

/// A text for C, which a zero would end.
pub(crate) fn without_zeros(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).expect("zeros were replaced")
}

/// The code, one of `TERTULIA_ERROR_…`; `TERTULIA_OK` for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_error_code(error: *const tertulia_error) -> i32 {
    quietly(0, || handle::get::<ErrorObject>(error).map_or(0, |error| i32::from(error.code.number())))
}

/// The detail, in English, for a log: UTF-8, valid until the error is freed; "" for NULL. It holds no words of the user.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_error_detail(error: *const tertulia_error) -> *const c_char {
    quietly(c"".as_ptr(), || handle::get::<ErrorObject>(error).map_or(c"".as_ptr(), |error| error.detail.as_ptr()))
}

/// 1 where the same call can succeed later; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_error_is_retryable(error: *const tertulia_error) -> i32 {
    quietly(0, || handle::get::<ErrorObject>(error).map_or(0, |error| i32::from(error.code.is_retryable())))
}

/// Frees an error. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_error_free(error: *mut tertulia_error) -> i32 {
    free::<ErrorObject>(error)
}

/// Frees a handle; NULL is no error.
pub(crate) fn free<T: handle::Handled>(handle: *mut T::C) -> i32 {
    if handle.is_null() {
        crate::boundary::OK
    } else {
        call(std::ptr::null_mut(), || handle::remove::<T>(handle).map(drop))
    }
}

/// The name of a code, such as "ModelMissing"; "Unknown" for one of a newer library. Static.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_error_name(code: i32) -> *const c_char {
    macro_rules! names {
        ($(($number:literal, $name:ident, $retryable:literal, $doc:literal);)*) => {
            match code {
                0 => c"Ok".as_ptr(),
                $($number => concat!(stringify!($name), "\0").as_ptr().cast(),)*
                _ => c"Unknown".as_ptr(),
            }
        };
    }
    engine::for_each_error_code!(names)
}
