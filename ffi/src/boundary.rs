//! The boundary to C: arguments are read and checked here, results written, panics contained. All unsafe code that
//! dereferences pointers of C stands here; C promises that they are null or valid as the header says.

use crate::error::{ErrorObject, tertulia_error};
use crate::handle::{self, Handled};
use engine::{Error, ErrorCode, Result};
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The most items of an array, a day of audio at 48 kHz: more is a number that went wrong.
const COUNT_MAX: usize = if usize::BITS == 64 { 1 << 32 } else { 1 << 28 };

/// The code of success.
pub(crate) const OK: i32 = 0;

pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidArgument, detail)
}

/// Runs a call; its code. The error goes to `out_error`, unless it is null.
pub(crate) fn call(out_error: *mut *mut tertulia_error, work: impl FnOnce() -> Result<()>) -> i32 {
    put(out_error, std::ptr::null_mut());
    let Err(error) = contained(work) else { return OK };
    let code = i32::from(error.code().number());
    if !out_error.is_null() {
        put(out_error, handle::insert(ErrorObject::new(&error)));
    }
    code
}

/// Runs a call; a panic in it is an error.
pub(crate) fn contained<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Error::new(ErrorCode::Internal, text.unwrap_or("a panic").to_owned()))
    })
}

/// Runs a call without a result; a panic in it is lost.
pub(crate) fn quietly<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// Writes a result, unless C does not want it.
pub(crate) fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: C promises that it is valid to write.
        unsafe { out.write(value) }
    }
}

/// Writes a new handle, which C must want.
pub(crate) fn give<T: Handled>(out: *mut *mut T::C, make: impl FnOnce() -> Result<T>) -> Result<()> {
    if out.is_null() {
        return Err(invalid(format!("the place for the {} is NULL", T::NAME)));
    }
    put(out, std::ptr::null_mut());
    let handle = handle::insert(make()?);
    if handle.is_null() {
        return Err(Error::new(ErrorCode::OutOfMemory, "there are too many handles"));
    }
    put(out, handle);
    Ok(())
}

/// A text, which must be there.
pub(crate) fn text<'a>(name: &str, text: *const c_char) -> Result<&'a str> {
    optional_text(name, text)?.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// A text, where it is not null.
pub(crate) fn optional_text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: C promises that it ends with a zero, and stays for the length of the call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| invalid(format!("{name} is not UTF-8")))
}

/// The parts of a list with commas, where it is not null.
pub(crate) fn list<'a>(name: &str, list: *const c_char) -> Result<Option<Vec<&'a str>>> {
    Ok(optional_text(name, list)?.map(|list| list.split(',').map(str::trim).collect()))
}

/// An array. It may be null where it is empty.
pub(crate) fn slice<'a, T>(name: &str, items: *const T, count: usize) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if items.is_null() {
        return Err(invalid(format!("{name} is NULL")));
    }
    if !items.is_aligned() || count > COUNT_MAX || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("{name} is not aligned, or too long")));
    }
    // SAFETY: C promises that it has so many items, and stays for the length of the call.
    Ok(unsafe { std::slice::from_raw_parts(items, count) })
}

/// A struct of C that begins with its own size. A caller that was built with an older header gives a shorter one; the rest
/// is zero then, which means "not given" in every struct here.
///
/// # Safety
/// All zeros must be a valid `T`.
pub(crate) unsafe fn versioned<T: Copy>(name: &str, value: *const T) -> Result<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    if !value.is_aligned() {
        return Err(invalid(format!("{name} is not aligned")));
    }
    // SAFETY: it begins with its size.
    let size = unsafe { value.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(invalid(format!("{name}.struct_size is {size}")));
    }
    let mut copy = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: C promises that it has `size` bytes; zeros are valid for the rest.
    unsafe {
        std::ptr::copy_nonoverlapping(value.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), size.min(size_of::<T>()));
        Ok(Some(copy.assume_init()))
    }
}
