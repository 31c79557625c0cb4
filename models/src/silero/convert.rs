//! [`convert_onnx`]: Silero's ONNX file to GGUF.

use super::ARCHITECTURE;
use super::network::TENSORS;
use crate::gguf::{GgmlType, GgufWriter};
use crate::onnx::{Onnx, OnnxType};
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// Converts `silero_vad_16k_op15.onnx` of version 6.2 to the GGUF file that [`SileroVad`](super::SileroVad) reads,
/// the weights unchanged as 32-bit floats.
///
/// # Errors
/// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`];
/// [`ErrorCode::ModelUnsupported`] where a tensor is absent or has another shape;
/// [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`] where `output` cannot be written.
pub fn convert_onnx(onnx: &Path, output: &Path) -> Result<()> {
    let onnx = Onnx::open(onnx)?;
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", ARCHITECTURE);
    writer.set("general.name", "Silero VAD v6.2, 16 kHz");
    writer.set("general.license", "MIT");
    for (name, shape) in TENSORS {
        let unsupported = |what: &str| Error::new(ErrorCode::ModelUnsupported, format!("tensor {name} {what}"));
        let tensor = onnx.tensor(name)?;
        if tensor.dims != *shape {
            return Err(unsupported("has another shape than in version 6.2"));
        }
        if tensor.dtype != OnnxType::F32 {
            return Err(unsupported("is not stored as 32-bit floats"));
        }
        writer.tensor(*name, shape, GgmlType::F32, tensor.bytes.into_owned())?;
    }
    writer.write(output)
}
