//! The int8 ONNX export of Kokoro-82M v1.0 and its voices, rewritten as one GGUF file with the names of the original
//! PyTorch model (hexgrad/kokoro).
//!
//! The export stores the weights of matrix products and embeddings as int8 with a scale per column or tensor, those
//! of convolutions as uint8 with a zero point (weight norm folded in), and LSTMs with their gates in the order
//! i, o, f, c. They are written back as `(q - zero) * scale` in f16, whose rounding is an eighth of a per cent of
//! the quantisation's own step, and with gates in PyTorch's order i, f, g, o.

use super::{ARCHITECTURE, STYLE_ROWS, STYLE_WIDTH, english, voice_language};
use crate::gguf::{GgmlType, GgufWriter, Value, quant};
use crate::onnx::{Node, Onnx, OnnxTensor};
use crate::platform::FileBytes;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// Hidden units of every LSTM, per direction.
const LSTM_HIDDEN: usize = 256;
/// Where each of PyTorch's gates i, f, g, o lies among ONNX's i, o, f, c.
const GATES_FROM_ONNX: [usize; 4] = [0, 2, 3, 1];
/// Tensors with fewer elements are kept in f32: they are biases and norms, and weigh nothing.
const F16_ELEMENTS_MIN: usize = 2048;

/// Writes `out` from Kokoro's int8 ONNX file, its symbol table (`{"vocab": {symbol: id}}`) and voices, each given as
/// its name and a file of 510 x 256 little-endian f32. Voices whose name does not begin with a known language letter
/// are refused. `english` is the folder of the word lists of misaki 0.9.4 and of spaCy's tagger under the names that the
/// manifest gives them; without it the voices read English by rule.
///
/// # Errors
/// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`] for the inputs;
/// [`ErrorCode::UnknownVoice`] for a voice of no known language; those of
/// [`GgufWriter::write`](crate::gguf::GgufWriter::write).
pub fn convert_onnx<N: AsRef<str>, P: AsRef<Path>>(
    onnx: &Path,
    vocab_json: &Path,
    voices: &[(N, P)],
    english: Option<&Path>,
    out: &Path,
) -> Result<()> {
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", ARCHITECTURE);
    writer.set("general.name", "Kokoro-82M v1.0");
    writer.set("general.license", "apache-2.0");
    write_vocab(&FileBytes::open(vocab_json)?, &mut writer)?;
    for (name, weight) in weights(&Onnx::open(onnx)?)? {
        weight.write(&name, &mut writer)?;
    }
    let mut names = Vec::new();
    for (name, path) in voices {
        let name = name.as_ref();
        voice_language(name).ok_or_else(|| {
            Error::new(ErrorCode::UnknownVoice, format!("voice name has no known language letter: {name}"))
        })?;
        let style = read_voice(path.as_ref())?;
        writer.tensor(format!("voice.{name}"), &[STYLE_ROWS, STYLE_WIDTH], GgmlType::F16, quant::encode_f16(&style))?;
        names.push(Value::from(name));
    }
    writer.set("kokoro.voices", Value::Array(names));
    english.map_or(Ok(()), |folder| english::add(folder, &mut writer))?;
    writer.write(out)
}

/// A tensor under its new name.
struct Weight {
    dims: Vec<usize>,
    values: Vec<f32>,
}

impl Weight {
    fn write(&self, name: &str, writer: &mut GgufWriter) -> Result<()> {
        if self.dims.len() > 1 && self.values.len() >= F16_ELEMENTS_MIN {
            writer.tensor(name, &self.dims, GgmlType::F16, quant::encode_f16(&self.values))?;
        } else {
            writer.tensor(name, &self.dims, GgmlType::F32, quant::encode_f32(&self.values))?;
        }
        Ok(())
    }

    /// Rows become columns.
    fn transposed(&self) -> Self {
        let (rows, columns) = (self.dims[0], self.dims[1]);
        let values = (0..columns).flat_map(|c| (0..rows).map(move |r| self.values[r * columns + c])).collect();
        Self { dims: vec![columns, rows], values }
    }
}

/// Every weight that the network reads, by its PyTorch name. Operators say which constant is whose: the path of a
/// node is the path of the module that it was exported from.
fn weights(onnx: &Onnx) -> Result<BTreeMap<String, Weight>> {
    let readers: HashMap<&str, &Node> =
        onnx.nodes().iter().flat_map(|node| node.inputs.iter().map(move |input| (input.as_str(), node))).collect();
    let mut found = BTreeMap::new();
    // ALBERT's twelve layers are one, exported twelve times over: the first node to use a constant names it.
    let mut used = HashSet::new();
    for node in onnx.nodes() {
        let module = module_path(&node.name);
        let weight = node.inputs.get(1).map(String::as_str).unwrap_or_default();
        match node.op_type.as_str() {
            "MatMulInteger" if onnx.contains(weight) && used.insert(weight) => {
                let matrix = dequantised(onnx, weight, node.inputs.get(3))?;
                if matrix.dims.len() != 2 {
                    return Err(corrupt(&node.name));
                }
                found.insert(format!("{module}.weight"), matrix.transposed());
            }
            "ConvInteger" if onnx.contains(weight) && used.insert(weight) => {
                found.insert(format!("{module}.weight"), dequantised(onnx, weight, node.inputs.get(3))?);
            }
            "Conv" | "ConvTranspose" if onnx.contains(weight) && !module.ends_with("istft.stft") => {
                found.insert(format!("{module}.weight"), plain(onnx, weight)?);
            }
            "MatMul" if module.ends_with("l_linear") && onnx.contains(weight) => {
                found.insert(format!("{module}.weight"), plain(onnx, weight)?.transposed());
            }
            "DynamicQuantizeLSTM" => lstm(onnx, node, &module, &mut found)?,
            "Gather" => {
                let table = node.inputs.first().map(String::as_str).unwrap_or_default();
                if let (Some(name), Some(reader)) =
                    (table.strip_suffix("_quantized"), node.outputs.first().and_then(|o| readers.get(o.as_str())))
                {
                    found.insert(module_name(name), dequantised(onnx, table, reader.inputs.get(2))?);
                }
            }
            _ => {}
        }
        // Biases, norms and Snake's alphas kept their PyTorch names; quantised tensors have others beside them.
        for input in node.inputs.iter().filter(|input| onnx.contains(input) && is_module_name(input)) {
            found.entry(module_name(input)).or_insert(plain(onnx, input)?);
        }
    }
    Ok(found)
}

/// True if a constant is a plain parameter with a PyTorch name.
fn is_module_name(name: &str) -> bool {
    let parameter = [".weight", ".bias", ".gamma", ".beta"].iter().any(|suffix| name.ends_with(suffix))
        || name.contains(".alpha1.")
        || name.contains(".alpha2.");
    parameter && (name.starts_with("encoder.") || name.starts_with("decoder."))
}

/// `encoder.predictor.x` is the export's name of `predictor.x`.
fn module_name(name: &str) -> String {
    name.split_once('.').map_or(name, |(_, rest)| rest).to_owned()
}

/// The PyTorch path of the module that a node came from: `/encoder/F0.1/conv1/Conv_quant` is `predictor.F0.1.conv1`,
/// and a member of a sequence repeats the sequence's name (`/cnn.0/cnn.0.0/`).
fn module_path(node: &str) -> String {
    let parts: Vec<&str> = node.trim_start_matches('/').split('/').collect();
    let mut path: Vec<&str> = Vec::new();
    for part in parts.get(1..parts.len() - 1).unwrap_or_default() {
        match path.last() {
            Some(last) if part.strip_prefix(last).is_some_and(|rest| rest.starts_with('.')) => {
                path.pop();
            }
            _ => {}
        }
        path.push(part);
    }
    let path = path.join(".");
    let of_predictor = ["F0", "N", "F0_proj", "N_proj", "shared"];
    if of_predictor.contains(&path.split('.').next().unwrap_or_default()) { format!("predictor.{path}") } else { path }
}

/// A quantised constant as numbers. `scale` has one entry for the tensor, or one for each column of a matrix.
fn dequantised(onnx: &Onnx, name: &str, zero_point: Option<&String>) -> Result<Weight> {
    let base = name.strip_suffix("_quantized").ok_or_else(|| corrupt(name))?;
    let tensor = onnx.tensor(name)?;
    let scale = onnx.tensor(&format!("{base}_scale"))?.to_f32();
    let zero = match zero_point.filter(|zero| !zero.is_empty()) {
        Some(zero) => onnx.tensor(zero)?.to_f32(),
        None => vec![0.0],
    };
    let columns = tensor.dims.last().copied().unwrap_or(1);
    let fits = |len: usize| len == 1 || (len == columns && tensor.dims.len() == 2);
    if !fits(scale.len()) || !fits(zero.len()) {
        return Err(corrupt(name));
    }
    let at = |values: &[f32], column: usize| if values.len() == 1 { values[0] } else { values[column] };
    let stored = tensor.to_f32().into_iter().enumerate();
    let values = stored.map(|(i, q)| (q - at(&zero, i % columns)) * at(&scale, i % columns)).collect();
    Ok(Weight { dims: tensor.dims, values })
}

/// A constant that was not quantised.
fn plain(onnx: &Onnx, name: &str) -> Result<Weight> {
    let tensor: OnnxTensor<'_> = onnx.tensor(name)?;
    Ok(Weight { values: tensor.to_f32(), dims: tensor.dims })
}

/// One bidirectional LSTM: inputs are x, W, R, B, lengths, h, c, peepholes, W's scale and zero point, R's.
fn lstm(onnx: &Onnx, node: &Node, module: &str, found: &mut BTreeMap<String, Weight>) -> Result<()> {
    let input = |index: usize| node.inputs.get(index).map(String::as_str).unwrap_or_default();
    let bias = plain(onnx, input(3))?;
    if bias.dims != [2, 8 * LSTM_HIDDEN] {
        return Err(corrupt(module));
    }
    for (direction, suffix) in ["", "_reverse"].into_iter().enumerate() {
        for (kind, weight, scale, half) in [("ih", 1, 8, 0), ("hh", 2, 10, 1)] {
            let tensor = onnx.tensor(input(weight))?;
            let scale = onnx.tensor(input(scale))?.to_f32();
            let zero = onnx.tensor(input(weight * 2 + 7))?.to_f32();
            let [2, inputs, gates] = tensor.dims[..] else { return Err(corrupt(module)) };
            if gates != 4 * LSTM_HIDDEN || scale.len() != 2 || zero.len() != 2 {
                return Err(corrupt(module));
            }
            let values = tensor.to_f32();
            let values = &values[direction * inputs * gates..][..inputs * gates];
            let number = |q: f32| (q - zero[direction]) * scale[direction];
            let rows = GATES_FROM_ONNX.iter().flat_map(|gate| gate * LSTM_HIDDEN..(gate + 1) * LSTM_HIDDEN);
            let weight = rows.clone().flat_map(|g| (0..inputs).map(move |i| number(values[i * gates + g]))).collect();
            found.insert(
                format!("{module}.weight_{kind}_l0{suffix}"),
                Weight { dims: vec![gates, inputs], values: weight },
            );
            let offset = direction * 2 * gates + half * gates;
            let bias = rows.map(|g| bias.values[offset + g]).collect();
            found.insert(format!("{module}.bias_{kind}_l0{suffix}"), Weight { dims: vec![gates], values: bias });
        }
    }
    Ok(())
}

/// The symbol table, as two arrays of the same length.
fn write_vocab(json: &[u8], writer: &mut GgufWriter) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct File {
        vocab: BTreeMap<String, u32>,
    }
    let file: File = serde_json::from_slice(json)
        .map_err(|e| Error::new(ErrorCode::ModelCorrupt, "symbol table is malformed JSON").with_source(e))?;
    let (symbols, ids): (Vec<Value>, Vec<Value>) =
        file.vocab.into_iter().map(|(symbol, id)| (Value::from(symbol.as_str()), Value::from(id))).unzip();
    writer.set("kokoro.vocab.symbols", Value::Array(symbols));
    writer.set("kokoro.vocab.ids", Value::Array(ids));
    Ok(())
}

fn read_voice(path: &Path) -> Result<Vec<f32>> {
    let bytes = FileBytes::open(path)?;
    let expected = STYLE_ROWS * STYLE_WIDTH * 4;
    if bytes.len() != expected {
        let code = if bytes.len() < expected { ErrorCode::ModelTruncated } else { ErrorCode::ModelCorrupt };
        return Err(Error::new(
            code,
            format!("voice file has {} bytes: {expected} expected: {}", bytes.len(), path.display()),
        ));
    }
    Ok(bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
}

fn corrupt(name: &str) -> Error {
    Error::new(ErrorCode::ModelCorrupt, format!("{name} is not as Kokoro's export has it"))
}
