//! [`Cursor`]: a reader of little-endian fields that never reads past the end.

use tertulia::{Error, ErrorCode, Result};

/// A place in a model file's bytes.
pub(crate) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Bytes of the whole file, of which `bytes` may be the first ones.
    pub(super) file_len: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, file_len: bytes.len() }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`ErrorCode::ModelTruncated`].
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..len).ok_or_else(|| {
            let what = format!("model file is truncated: {} bytes", self.bytes.len());
            Error::new(ErrorCode::ModelTruncated, what)
        })?;
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives as many bytes as it is asked for"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
