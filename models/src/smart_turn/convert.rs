//! The int8 ONNX file of Smart Turn v3.2, rewritten as GGUF: bytes as bytes, each place where activations are rounded
//! with its scale and zero point.
//!
//! The exporter numbered most tensors instead of naming them; the numbers here are those of this one file.

use super::ARCHITECTURE;
use crate::gguf::{GgmlType, GgufWriter, quant};
use crate::onnx::{Onnx, OnnxType};
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// Of each layer: the numbers of the weights of query, key, value, out, up and down, and of the scaled queries.
const LAYERS: [[u32; 7]; 4] = [
    [17, 25, 32, 75, 79, 88, 64],
    [92, 100, 107, 148, 152, 161, 137],
    [165, 173, 180, 221, 225, 234, 210],
    [238, 246, 253, 294, 298, 307, 283],
];

/// Converts `smart-turn-v3.2-cpu.onnx` to the GGUF file that [`SmartTurn`](super::SmartTurn) reads.
///
/// # Errors
/// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`];
/// [`ErrorCode::ModelUnsupported`] where a tensor is of another kind than that file's;
/// [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`] where `output` cannot be written.
pub fn convert_onnx(onnx: &Path, output: &Path) -> Result<()> {
    let onnx = &Onnx::open(onnx)?;
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", ARCHITECTURE);
    writer.set("general.name", "Smart Turn v3.2");
    writer.set("general.license", "BSD-2-Clause");
    let mut to = Converter { onnx, writer };
    to.rounding("input", "input_features")?;
    to.plain("encoder.positions", "inner.encoder.embed_positions.weight")?;
    for (name, out, gelu) in [("encoder.conv1", "conv1d", Some("gelu")), ("encoder.conv2", "conv1d_1", None)] {
        to.convolution(name, &format!("inner.{name}.weight"), out)?;
        to.integers(&format!("{name}.bias"), &format!("inner.{name}.bias_quantized"))?;
        gelu.map_or(Ok(()), |gelu| to.rounding(&format!("{name}.gelu"), gelu))?;
    }
    for (layer, numbers) in LAYERS.into_iter().enumerate() {
        to.layer(layer, numbers)?;
    }
    to.norm("encoder.norm", "inner.encoder.layer_norm")?;
    to.rounding("encoder.norm", "layer_norm_8")?;
    to.columns("pool.0", "val_311", "val_312")?;
    to.plain("pool.0.bias", "inner.pool_attention.0.bias")?;
    to.rounding("pool.0.tanh", "tanh")?;
    to.columns("pool.2", "val_313", "val_314")?;
    to.rounding("pooled", "sum_1")?;
    for (number, out) in [(0, "linear_26"), (4, "linear_27"), (6, "linear_28")] {
        let name = format!("classifier.{number}");
        to.rows(&name, &format!("inner.{name}.weight"), out)?;
        to.integers(&format!("{name}.bias"), &format!("inner.{name}.bias_quantized"))?;
    }
    to.norm("classifier.1", "inner.classifier.1")?;
    to.rounding("classifier.1.gelu", "gelu_6")?;
    to.rounding("classifier.4.gelu", "gelu_7")?;
    to.writer.write(output)
}

struct Converter<'a> {
    onnx: &'a Onnx,
    writer: GgufWriter,
}

impl Converter<'_> {
    fn layer(&mut self, layer: usize, numbers: [u32; 7]) -> Result<()> {
        let [query, key, value, out, up, down, scaled] = numbers;
        // The exporter leaves out the number nought.
        let nth = |name: &str, number: usize| if number == 0 { name.into() } else { format!("{name}_{number}") };
        let name = |part: &str| format!("encoder.layers.{layer}.{part}");
        let inner = |part: &str| format!("inner.encoder.layers.{layer}.{part}");
        for (part, weight, theirs) in [
            ("query", query, Some("self_attn.q_proj")),
            ("key", key, None),
            ("value", value, Some("self_attn.v_proj")),
            ("out", out, Some("self_attn.out_proj")),
            ("up", up, Some("fc1")),
            ("down", down, Some("fc2")),
        ] {
            let product = if part == "key" { nth("linear", 6 * layer + 1) } else { format!("val_{}", weight + 1) };
            self.columns(&name(part), &format!("val_{weight}"), &product)?;
            if let Some(theirs) = theirs {
                self.plain(&name(&format!("{part}.bias")), &inner(&format!("{theirs}.bias")))?;
            }
        }
        for (part, theirs, place) in
            [("attn_norm", "self_attn_layer_norm", 2 * layer), ("mlp_norm", "final_layer_norm", 2 * layer + 1)]
        {
            self.norm(&name(part), &inner(theirs))?;
            self.rounding(&name(part), &nth("layer_norm", place))?;
        }
        self.rounding(&name("query.scaled"), &format!("val_{scaled}"))?;
        self.rounding(&name("key.scaled"), &format!("val_{}", scaled + 3))?;
        self.rounding(&name("value.biased"), &format!("transpose_{}", 4 * layer + 2))?;
        self.rounding(&name("scores"), &format!("val_{}", scaled + 4))?;
        self.rounding(&name("attention"), &format!("val_{}", scaled + 5))?;
        self.rounding(&name("mixed"), &nth("scaled_dot_product_attention", layer))?;
        self.rounding(&name("up.gelu"), &nth("gelu", layer + 2))
    }

    /// A matrix `[in, out]`, transposed, and the rounding of what it makes.
    fn columns(&mut self, name: &str, theirs: &str, out: &str) -> Result<()> {
        let (dims, bytes) = self.weight(theirs)?;
        let [rows, cols] = dims[..] else { return Err(unsupported(theirs)) };
        let turned = (0..cols).flat_map(|col| bytes.iter().skip(col).step_by(cols)).copied().collect();
        self.linear(name, theirs, out, [cols, rows], turned)
    }

    /// A matrix `[out, in]`.
    fn rows(&mut self, name: &str, theirs: &str, out: &str) -> Result<()> {
        let (dims, bytes) = self.weight(theirs)?;
        let [rows, cols] = dims[..] else { return Err(unsupported(theirs)) };
        self.linear(name, theirs, out, [rows, cols], bytes)
    }

    /// The weights `[out, in, taps]` of a convolution as the matrix `[out, taps * in]`.
    fn convolution(&mut self, name: &str, theirs: &str, out: &str) -> Result<()> {
        let (dims, bytes) = self.weight(theirs)?;
        let [rows, cols, taps] = dims[..] else { return Err(unsupported(theirs)) };
        let row =
            |row: &[u8]| (0..taps).flat_map(|tap| row.iter().skip(tap).step_by(taps).copied()).collect::<Vec<_>>();
        let turned = bytes.chunks_exact((cols * taps).max(1)).flat_map(row).collect();
        self.linear(name, theirs, out, [rows, taps * cols], turned)
    }

    fn linear(&mut self, name: &str, theirs: &str, out: &str, shape: [usize; 2], bytes: Vec<u8>) -> Result<()> {
        let scales = self.onnx.tensor(&format!("{theirs}_scale"))?.to_f32();
        let zeros = self.onnx.tensor(&format!("{theirs}_zero_point"))?.to_f32();
        if scales.len() != shape[0] || zeros.iter().any(|zero| *zero != 0.0) {
            return Err(unsupported(theirs));
        }
        self.writer.tensor(format!("{name}.weight"), &shape, GgmlType::I8, bytes)?;
        self.writer.tensor(format!("{name}.scale"), &shape[..1], GgmlType::F32, quant::encode_f32(&scales))?;
        self.rounding(name, out)
    }

    /// The signed bytes of a weight, and its shape.
    fn weight(&self, theirs: &str) -> Result<(Vec<usize>, Vec<u8>)> {
        let tensor = self.onnx.tensor(&format!("{theirs}_quantized"))?;
        if tensor.dtype != OnnxType::I8 {
            return Err(unsupported(theirs));
        }
        Ok((tensor.dims, tensor.bytes.into_owned()))
    }

    /// The scale and zero point of a place.
    fn rounding(&mut self, name: &str, place: &str) -> Result<()> {
        let scale = self.onnx.tensor(&format!("{place}_scale"))?.to_f32();
        let zero = self.onnx.tensor(&format!("{place}_zero_point"))?;
        let ([scale], OnnxType::U8, [zero]) = (&scale[..], zero.dtype, &zero.to_f32()[..]) else {
            return Err(unsupported(place));
        };
        let both = quant::encode_f32(&[*scale, *zero]);
        self.writer.tensor(format!("{name}.rounding"), &[2], GgmlType::F32, both)?;
        Ok(())
    }

    fn norm(&mut self, name: &str, theirs: &str) -> Result<()> {
        self.plain(&format!("{name}.weight"), &format!("{theirs}.weight"))?;
        self.plain(&format!("{name}.bias"), &format!("{theirs}.bias"))
    }

    /// Floats as they are.
    fn plain(&mut self, name: &str, theirs: &str) -> Result<()> {
        self.unchanged(name, theirs, OnnxType::F32, GgmlType::F32)
    }

    /// Integers as they are.
    fn integers(&mut self, name: &str, theirs: &str) -> Result<()> {
        self.unchanged(name, theirs, OnnxType::I32, GgmlType::I32)
    }

    fn unchanged(&mut self, name: &str, theirs: &str, from: OnnxType, to: GgmlType) -> Result<()> {
        let tensor = self.onnx.tensor(theirs)?;
        if tensor.dtype != from {
            return Err(unsupported(theirs));
        }
        self.writer.tensor(name, &tensor.dims, to, tensor.bytes.into_owned())?;
        Ok(())
    }
}

fn unsupported(tensor: &str) -> Error {
    Error::new(ErrorCode::ModelUnsupported, format!("tensor {tensor} is not as Smart Turn v3.2 has it"))
}
