//! Conversion of CTranslate2's `model.bin` of a Whisper to GGUF.
//!
//! Layout of `model.bin`, all little-endian: u32 version (6), spec name, u32 spec revision, u32 count; for each
//! variable its name (u16 length, bytes, the last a NUL), u8 rank, u32 dimensions, u8 type (0 f32, 1 i8, 2 i16, 3 i32,
//! 4 f16, 5 bf16), u32 byte count, data; then u32 count of aliases, each a pair of names. Weights are `[out, in]`;
//! self attention is one matrix of queries, keys and values, cross attention one of queries and one of keys and
//! values.

use super::model_file::Head;
use super::shape::Shape;
use super::vocabulary::{TIMESTAMP_STEP_S, Vocabulary};
use crate::gguf::{GgmlType, GgufWriter};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

const VERSION: u32 = 6;
const SPEC: &str = "WhisperSpec";
const RANK_MAX: usize = 4;
/// Variables of a file; large has under a thousand.
const COUNT_MAX: u32 = 16_384;

/// Bytes of the JSON files; those of large-v3 have 2.5 MB.
const JSON_BYTES_MAX: u64 = 64 << 20;

/// Writes a CTranslate2 Whisper (`model.bin`, `tokenizer.json`, `config.json`) as one GGUF file with f16 tensors.
///
/// The file appears whole or not at all. Its metadata are the sizes, the tokens, those that are never chosen, and the
/// attention heads that tell when a word was said, where `config.json` knows them.
///
/// # Errors
/// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`],
/// [`ErrorCode::ModelUnsupported`] for quantised weights, other versions and other models;
/// [`ErrorCode::ModelDiskFull`], [`ErrorCode::ModelStoreFailed`].
///
/// ```no_run
/// use std::path::Path;
/// use tertulia_models::whisper::ct2::convert_ct2;
/// # fn main() -> tertulia::Result<()> {
/// let file = |name| Path::new("faster-whisper-base").join(name);
/// convert_ct2(&file("model.bin"), &file("tokenizer.json"), &file("config.json"), Path::new("whisper-base.gguf"))?;
/// # Ok(())
/// # }
/// ```
pub fn convert_ct2(model_bin: &Path, tokenizer_json: &Path, config_json: &Path, out_gguf: &Path) -> Result<()> {
    let mut file = Ct2File::open(model_bin)?;
    let shape = file.shape()?;
    let tokens = tokens(&json(tokenizer_json)?, shape.tokens)?;
    let vocabulary = Vocabulary::new(&tokens)?;
    let config = json(config_json)?;
    let head = Head {
        tokens,
        suppressed: ids(&config, "suppress_ids")?,
        suppressed_first: ids(&config, "suppress_ids_begin")?,
        alignment_heads: alignment_heads(&config, &shape)?,
        shape,
    };
    let mut writer = GgufWriter::new();
    head.write(&mut writer, &vocabulary);
    for (name, dims) in head.shape.tensors() {
        let values = file.f16(&ct2_name(&name), &dims)?;
        writer.tensor(name, &dims, GgmlType::F16, values.into_iter().flat_map(half::f16::to_le_bytes).collect())?;
    }
    writer.write(out_gguf)
}

/// All tokens by id: those of the tokenizer, then the timestamps that it does not list.
fn tokens(tokenizer: &Value, count: usize) -> Result<Vec<String>> {
    let mut tokens = vec![None; count];
    let mut put = |id: Option<u64>, text: &str| {
        let slot = id.and_then(|id| tokens.get_mut(id as usize));
        slot.map(|slot| *slot = Some(text.to_owned())).ok_or_else(|| corrupt("a token beyond the embedding's rows"))
    };
    let vocabulary = tokenizer["model"]["vocab"].as_object().ok_or_else(|| corrupt("the tokenizer lists no tokens"))?;
    for (text, id) in vocabulary {
        put(id.as_u64(), text)?;
    }
    for token in tokenizer["added_tokens"].as_array().into_iter().flatten() {
        put(token["id"].as_u64(), token["content"].as_str().unwrap_or_default())?;
    }
    let first_time = tokens.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let with_times = tokens.iter().rev().flatten().any(|token| token == "<|0.00|>");
    if with_times && first_time < count {
        return Err(corrupt("the tokenizer lists some timestamps only"));
    }
    let time = |id: usize| format!("<|{:.2}|>", (id - first_time) as f64 * TIMESTAMP_STEP_S);
    tokens
        .into_iter()
        .enumerate()
        .map(|(id, token)| match token {
            None if id < first_time => Err(corrupt(format!("the tokenizer has no token {id}"))),
            token => Ok(token.unwrap_or_else(|| time(id))),
        })
        .collect()
}

fn ids(config: &Value, key: &str) -> Result<Vec<u32>> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = config[key].as_array().and_then(|ids| ids.iter().map(id).collect());
    ids.ok_or_else(|| corrupt(format!("the configuration's {key} is no list of tokens")))
}

fn alignment_heads(config: &Value, shape: &Shape) -> Result<Vec<(usize, usize)>> {
    let Some(heads) = config["alignment_heads"].as_array() else { return Ok(Vec::new()) };
    let head = |pair: &Value| {
        let (layer, head) = (pair[0].as_u64()? as usize, pair[1].as_u64()? as usize);
        (layer < shape.decoder_layers && head < shape.decoder_heads).then_some((layer, head))
    };
    heads.iter().map(head).collect::<Option<_>>().ok_or_else(|| corrupt("an alignment head that does not exist"))
}

fn json(path: &Path) -> Result<Value> {
    let mut text = Vec::new();
    open(path)?.take(JSON_BYTES_MAX).read_to_end(&mut text).map_err(|e| unreadable(path, e))?;
    serde_json::from_slice(&text).map_err(|e| corrupt(format!("{} is malformed JSON", path.display())).with_source(e))
}

/// Element types of CTranslate2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F32,
    I8,
    I16,
    I32,
    F16,
    Bf16,
}

impl Element {
    fn from_code(code: u8) -> Option<Self> {
        [Self::F32, Self::I8, Self::I16, Self::I32, Self::F16, Self::Bf16].get(usize::from(code)).copied()
    }

    fn size(self) -> u64 {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::F32 | Self::I32 => 4,
        }
    }
}

/// CTranslate2's name of one of our tensors.
fn ct2_name(name: &str) -> String {
    let (module, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    match name {
        "encoder.positional_embedding" => return "encoder/position_encodings/encodings".into(),
        "decoder.positional_embedding" => return "decoder/position_encodings/encodings".into(),
        "decoder.token_embedding.weight" => return "decoder/embeddings/weight".into(),
        _ => {}
    }
    let norm = if kind == "weight" { "gamma" } else { "beta" };
    let (side, rest) = module.split_once('.').unwrap_or((module, ""));
    let Some((layer, part)) = rest.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) else {
        return match rest {
            "ln_post" | "ln" => format!("{side}/layer_norm/{norm}"),
            other => format!("{side}/{other}/{kind}"),
        };
    };
    let part = match part {
        "attn_ln" => format!("self_attention/layer_norm/{norm}"),
        "attn.qkv" => format!("self_attention/linear_0/{kind}"),
        "attn.out" => format!("self_attention/linear_1/{kind}"),
        "cross_attn_ln" => format!("attention/layer_norm/{norm}"),
        "cross_attn.query" => format!("attention/linear_0/{kind}"),
        "cross_attn.key_value" => format!("attention/linear_1/{kind}"),
        "cross_attn.out" => format!("attention/linear_2/{kind}"),
        "mlp_ln" => format!("ffn/layer_norm/{norm}"),
        "mlp.0" => format!("ffn/linear_0/{kind}"),
        "mlp.2" => format!("ffn/linear_1/{kind}"),
        other => format!("{other}/{kind}"),
    };
    format!("{side}/layer_{layer}/{part}")
}

/// Where a variable stands in the file.
#[derive(Clone, Debug)]
struct Variable {
    dims: Vec<usize>,
    element: Element,
    offset: u64,
    bytes: u64,
}

/// A `model.bin`, its variables found and their sizes checked, their data still on disk.
struct Ct2File {
    file: BufReader<File>,
    variables: BTreeMap<String, Variable>,
}

impl Ct2File {
    fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let len = file.metadata().map_err(|e| unreadable(path, e))?.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut reader = Checked { file: &mut file, at: 0, len };
        let version = reader.u32()?;
        if version != VERSION {
            return Err(Error::new(
                ErrorCode::ModelUnsupported,
                format!("CTranslate2 file version {version}; version 6 expected"),
            ));
        }
        let spec = reader.name()?;
        if spec != SPEC {
            return Err(Error::new(
                ErrorCode::ModelUnsupported,
                "CTranslate2 file of another model; WhisperSpec expected",
            ));
        }
        let _revision = reader.u32()?;
        let count = reader.u32()?;
        if count > COUNT_MAX {
            return Err(corrupt(format!("{count} variables")));
        }
        let mut variables = BTreeMap::new();
        for _ in 0..count {
            let name = reader.name()?;
            let rank = usize::from(reader.u8()?);
            if rank > RANK_MAX {
                return Err(corrupt(format!("{name} has {rank} dimensions")));
            }
            let dims = (0..rank).map(|_| Ok(reader.u32()? as usize)).collect::<Result<Vec<_>>>()?;
            let code = reader.u8()?;
            let element = Element::from_code(code).ok_or_else(|| corrupt(format!("{name} is of type {code}")))?;
            let bytes = u64::from(reader.u32()?);
            let elements = dims.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim as u64));
            if elements.and_then(|n| n.checked_mul(element.size())) != Some(bytes) {
                return Err(corrupt(format!("{name}: {bytes} bytes do not hold {dims:?} values")));
            }
            let offset = reader.at;
            reader.skip(bytes)?;
            variables.insert(name, Variable { dims, element, offset, bytes });
        }
        let aliases = reader.u32()?;
        if aliases > COUNT_MAX {
            return Err(corrupt(format!("{aliases} aliases")));
        }
        for _ in 0..aliases {
            let (alias, name) = (reader.name()?, reader.name()?);
            let variable =
                variables.get(&name).cloned().ok_or_else(|| corrupt(format!("{alias} stands for nothing")))?;
            variables.insert(alias, variable);
        }
        Ok(Self { file, variables })
    }

    /// The model's sizes, as its tensors have them.
    fn shape(&mut self) -> Result<Shape> {
        let two = |dims: &[usize], name: &str| match dims {
            [a, b] => Ok((*a, *b)),
            _ => Err(corrupt(format!("{name} has the shape {dims:?}"))),
        };
        let (tokens, width) = two(self.dims("decoder/embeddings/weight")?, "the embedding")?;
        let (audio_positions, _) = two(self.dims("encoder/position_encodings/encodings")?, "the encoder's positions")?;
        let (text_positions, _) = two(self.dims("decoder/position_encodings/encodings")?, "the decoder's positions")?;
        let mel_bins = self.dims("encoder/conv1/weight")?.get(1).copied().unwrap_or(0);
        let shape = Shape {
            mel_bins,
            audio_positions,
            text_positions,
            width,
            encoder_heads: self.scalar("encoder/num_heads")?,
            decoder_heads: self.scalar("decoder/num_heads")?,
            encoder_layers: self.layers("encoder"),
            decoder_layers: self.layers("decoder"),
            tokens,
        };
        shape.check()?;
        Ok(shape)
    }

    fn variable(&self, name: &str) -> Result<&Variable> {
        self.variables.get(name).ok_or_else(|| corrupt(format!("there is no {name}")))
    }

    fn dims(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.variable(name)?.dims)
    }

    /// How many layers stand under `prefix`.
    fn layers(&self, prefix: &str) -> usize {
        (0..).take_while(|i| self.variables.contains_key(&format!("{prefix}/layer_{i}/ffn/linear_0/weight"))).count()
    }

    fn bytes(&mut self, variable: &Variable) -> Result<Vec<u8>> {
        let mut bytes = vec![0; variable.bytes as usize];
        let read = self.file.seek(SeekFrom::Start(variable.offset)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| Error::new(ErrorCode::ModelTruncated, "model file is truncated").with_source(e))?;
        Ok(bytes)
    }

    /// A whole number kept as a scalar variable.
    fn scalar(&mut self, name: &str) -> Result<usize> {
        let variable = self.variable(name)?.clone();
        let bytes = self.bytes(&variable)?;
        let value = match (variable.element, bytes.as_slice()) {
            (Element::I8, [b]) => i64::from(*b as i8),
            (Element::I16, [a, b]) => i64::from(i16::from_le_bytes([*a, *b])),
            (Element::I32, [a, b, c, d]) => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(corrupt(format!("{name} is no whole number"))),
        };
        usize::try_from(value).map_err(|_| corrupt(format!("{name} is {value}")))
    }

    /// A tensor's values as f16, after its shape was compared.
    fn f16(&mut self, name: &str, dims: &[usize]) -> Result<Vec<half::f16>> {
        let variable = self.variable(name)?.clone();
        if variable.dims != dims {
            return Err(corrupt(format!("{name} has the shape {:?}, not {dims:?}", variable.dims)));
        }
        let bytes = self.bytes(&variable)?;
        match variable.element {
            Element::F16 => Ok(pairs(&bytes).map(half::f16::from_le_bytes).collect()),
            Element::Bf16 => {
                Ok(pairs(&bytes).map(|b| half::f16::from_f32(half::bf16::from_le_bytes(b).to_f32())).collect())
            }
            Element::F32 => {
                let value = |b: &[u8]| half::f16::from_f32(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Ok(bytes.chunks_exact(4).map(value).collect())
            }
            other => {
                let detail = format!("{name} is quantised ({other:?}); convert a float model");
                Err(Error::new(ErrorCode::ModelUnsupported, detail))
            }
        }
    }
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> + '_ {
    bytes.chunks_exact(2).map(|b| [b[0], b[1]])
}

/// Reads small fields and refuses to read past the end.
struct Checked<'a> {
    file: &'a mut BufReader<File>,
    at: u64,
    len: u64,
}

impl Checked<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.claim(N as u64)?;
        self.file.read_exact(&mut bytes).map_err(|e| truncated().with_source(e))?;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn name(&mut self) -> Result<String> {
        let len = usize::from(u16::from_le_bytes(self.take()?));
        let mut bytes = vec![0; len];
        self.claim(len as u64)?;
        self.file.read_exact(&mut bytes).map_err(|e| truncated().with_source(e))?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|_| corrupt("a name is not UTF-8"))
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        self.claim(bytes)?;
        self.file.seek_relative(bytes as i64).map_err(|e| truncated().with_source(e))
    }

    /// Moves on, if the file is long enough.
    fn claim(&mut self, bytes: u64) -> Result<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.len).ok_or_else(truncated)?;
        Ok(())
    }
}

fn truncated() -> Error {
    Error::new(ErrorCode::ModelTruncated, "the CTranslate2 file ends before its variables do")
}

fn corrupt(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelCorrupt, detail)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorCode::ModelMissing, format!("{} is not there", path.display())).with_source(e)
        }
        _ => unreadable(path, e),
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorCode::ModelStoreFailed, format!("{} cannot be read", path.display())).with_source(error)
}
