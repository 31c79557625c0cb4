//! [`ModelSource`]: where a model's file is read from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tertulia::backend::{MaybeSend, MaybeSync};
use tertulia::{Error, ErrorCode, Result};

/// Where a model's GGUF file is read from: a path, bytes in memory, or a reader of the host's, for platforms without a
/// file system. A path converts into a source, so that constructors take either.
///
/// ```no_run
/// # fn main() -> tertulia::Result<()> {
/// use tertulia_models::{ModelSource, whisper::Whisper};
/// let from_path = Whisper::new("whisper-base.gguf", Default::default());
/// let bytes = std::fs::read("whisper-base.gguf").unwrap();
/// let from_bytes = Whisper::new(ModelSource::bytes("whisper-base", bytes), Default::default());
/// # let _ = (from_path, from_bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum ModelSource {
    /// A file, which is mapped into memory where the platform can, and must not be changed while it is in use.
    Path(PathBuf),
    /// The whole file in memory. It is used where it lies, and stays in memory as long as the source or the model does.
    Bytes {
        /// The model's name, as in the manifest.
        name: String,
        /// The file.
        bytes: Arc<[u8]>,
    },
    /// A reader of the host's. Metadata is read in blocks as far as it goes, all of the file once the model is loaded.
    Reader {
        /// The model's name, as in the manifest.
        name: String,
        /// The reader.
        reader: Arc<dyn ModelReader>,
    },
}

/// A file of the host's that is read at offsets: a Blob, an asset of an app, a file in a browser's private file system.
pub trait ModelReader: MaybeSend + MaybeSync + 'static {
    /// The file's length in bytes.
    ///
    /// # Errors
    /// Any code, which loading hands on; [`ErrorCode::ModelMissing`] where there is no file.
    fn byte_len(&self) -> Result<u64>;

    /// Fills `buffer` with the bytes from `offset` on. `offset` plus the buffer's length is at most
    /// [`byte_len`](Self::byte_len), the buffer at most 1 MiB. Blocks.
    ///
    /// # Errors
    /// Any code, which loading hands on; [`ErrorCode::ModelLoadFailed`] where the bytes cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
}

impl ModelSource {
    /// The source of a file in memory. An `Arc` is taken as it is; a vector is copied into one.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes { name: name.into(), bytes: bytes.into() }
    }

    /// The source of a file that `reader` reads.
    pub fn reader(name: impl Into<String>, reader: impl ModelReader) -> Self {
        Self::Reader { name: name.into(), reader: Arc::new(reader) }
    }

    /// The model's name: the path's without its extension.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Bytes { name, .. } | Self::Reader { name, .. } => name.clone(),
        }
    }

    /// The name for messages.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Path(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Self::Bytes { name, .. } | Self::Reader { name, .. } => name.clone(),
        }
    }
}

/// The bytes of `reader` from 0 to `len`, read once, to the place where they stay.
pub(crate) fn read_up_to(reader: &dyn ModelReader, len: usize) -> Result<Vec<u8>> {
    const BLOCK_BYTES: usize = 1 << 20;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|error| Error::from(ErrorCode::OutOfMemory).with_source(error))?;
    bytes.resize(len, 0);
    let mut offset = 0;
    for block in bytes.chunks_mut(BLOCK_BYTES) {
        reader.read_at(offset, block)?;
        offset += block.len() as u64;
    }
    Ok(bytes)
}

impl From<PathBuf> for ModelSource {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for ModelSource {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<&PathBuf> for ModelSource {
    fn from(path: &PathBuf) -> Self {
        Self::Path(path.clone())
    }
}

impl From<&str> for ModelSource {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

impl From<String> for ModelSource {
    fn from(path: String) -> Self {
        Self::Path(path.into())
    }
}

impl std::fmt::Debug for ModelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Bytes { name, bytes } => write!(f, "{name}: {} bytes", bytes.len()),
            Self::Reader { name, .. } => write!(f, "{name}: reader"),
        }
    }
}
