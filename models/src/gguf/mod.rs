//! GGUF: one mappable file with a model's metadata and tensors, the container of every model here.
//!
//! Reads versions 2 and 3, little endian, and writes version 3. The format is ggml's
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): a magic, the counts, key-value metadata, one
//! record per tensor, then the tensors' data, each at an aligned offset.
//!
//! ```
//! # fn main() -> tertulia::Result<()> {
//! use tertulia_models::gguf::{GgmlType, Gguf, GgufWriter, quant};
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("tiny.gguf");
//! let mut writer = GgufWriter::new();
//! writer.set("general.architecture", "tiny");
//! writer.tensor("weight", &[2, 2], GgmlType::F16, quant::encode_f16(&[1.0, 2.0, 3.0, 4.0]))?;
//! writer.write(&path)?;
//!
//! let file = Gguf::open(&path)?;
//! assert_eq!(file.str("general.architecture")?, "tiny");
//! assert_eq!(file.tensor("weight")?.to_f32()?, [1.0, 2.0, 3.0, 4.0]);
//! # Ok(())
//! # }
//! ```

mod cursor;
mod dequant;
mod dtype;
pub mod quant;
mod reader;
mod value;
mod writer;

#[cfg(feature = "download")]
pub(crate) use cursor::Cursor;
pub use dequant::dequantize;
pub(crate) use dequant::scale_and_min_k4;
pub use dtype::GgmlType;
pub use reader::{Gguf, SharedTensor, TensorView};
pub use value::Value;
pub use writer::GgufWriter;

/// The first four bytes of every file.
const MAGIC: [u8; 4] = *b"GGUF";
/// Where a file does not say otherwise, tensors start at multiples of this many bytes.
const DEFAULT_ALIGNMENT: usize = 32;
/// The metadata key that says otherwise.
const ALIGNMENT_KEY: &str = "general.alignment";
/// The most dimensions of one tensor.
const DIMENSIONS_MAX: usize = 4;
