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
use crate::gguf::{Cursor, GgmlType, GgufWriter};
use crate::platform::FileBytes;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

const VERSION: u32 = 6;
const SPEC: &str = "WhisperSpec";
const RANK_MAX: usize = 4;
/// Variables of a file; large has under a thousand.
const COUNT_MAX: u32 = 16_384;

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
    let bytes = FileBytes::open(model_bin)?;
    let file = Ct2File::read(&bytes)?;
    let shape = file.shape()?;
    let tokens = tokens(&json(tokenizer_json)?, shape.tokens)?;
    let vocabulary = Vocabulary::new(&tokens)?;
    let config = json(config_json)?;
    let mut head = Head {
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
        slot.map(|slot| *slot = Some(text.to_owned())).ok_or_else(|| corrupt("token is beyond the embedding's rows"))
    };
    let vocabulary = tokenizer["model"]["vocab"].as_object().ok_or_else(|| corrupt("tokenizer lists no tokens"))?;
    for (text, id) in vocabulary {
        put(id.as_u64(), text)?;
    }
    for token in tokenizer["added_tokens"].as_array().into_iter().flatten() {
        put(token["id"].as_u64(), token["content"].as_str().unwrap_or_default())?;
    }
    let first_time = tokens.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let with_times = tokens.iter().rev().flatten().any(|token| token == "<|0.00|>");
    if with_times && first_time < count {
        return Err(corrupt("tokenizer lists only some timestamps"));
    }
    let time = |id: usize| format!("<|{:.2}|>", (id - first_time) as f64 * TIMESTAMP_STEP_S);
    tokens
        .into_iter()
        .enumerate()
        .map(|(id, token)| match token {
            None if id < first_time => Err(corrupt(format!("tokenizer has no token {id}"))),
            token => Ok(token.unwrap_or_else(|| time(id))),
        })
        .collect()
}

fn ids(config: &Value, key: &str) -> Result<Vec<u32>> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = config[key].as_array().and_then(|ids| ids.iter().map(id).collect());
    ids.ok_or_else(|| corrupt(format!("{key} of the configuration is no list of tokens")))
}

fn alignment_heads(config: &Value, shape: &Shape) -> Result<Vec<(usize, usize)>> {
    let Some(heads) = config["alignment_heads"].as_array() else { return Ok(Vec::new()) };
    let head = |pair: &Value| {
        let (layer, head) = (pair[0].as_u64()? as usize, pair[1].as_u64()? as usize);
        (layer < shape.decoder_layers && head < shape.decoder_heads).then_some((layer, head))
    };
    heads.iter().map(head).collect::<Option<_>>().ok_or_else(|| corrupt("alignment head is not one of the decoder's"))
}

fn json(path: &Path) -> Result<Value> {
    let text = FileBytes::open(path)?;
    serde_json::from_slice(&text).map_err(|e| corrupt(format!("malformed JSON: {}", path.display())).with_source(e))
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

    fn size(self) -> usize {
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

/// A variable where it lies in the file.
#[derive(Clone, Debug)]
struct Variable<'a> {
    dims: Vec<usize>,
    element: Element,
    bytes: &'a [u8],
}

/// A `model.bin`, its variables found and their sizes checked.
struct Ct2File<'a> {
    variables: BTreeMap<String, Variable<'a>>,
}

impl<'a> Ct2File<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Cursor::new(bytes);
        let version = reader.u32()?;
        if version != VERSION {
            return Err(unsupported(format!("CTranslate2 file version {version}: version {VERSION} expected")));
        }
        if name(&mut reader)? != SPEC {
            return Err(unsupported(format!("CTranslate2 file of another model: {SPEC} expected")));
        }
        let _revision = reader.u32()?;
        let count = reader.u32()?;
        if count > COUNT_MAX {
            return Err(corrupt(format!("{count} variables: {COUNT_MAX} at most expected")));
        }
        let mut variables = BTreeMap::new();
        for _ in 0..count {
            variables.insert(name(&mut reader)?, Variable::read(&mut reader)?);
        }
        let aliases = reader.u32()?;
        if aliases > COUNT_MAX {
            return Err(corrupt(format!("{aliases} aliases: {COUNT_MAX} at most expected")));
        }
        for _ in 0..aliases {
            let (alias, name) = (name(&mut reader)?, name(&mut reader)?);
            let variable = variables.get(&name).cloned();
            let variable = variable.ok_or_else(|| corrupt(format!("alias {alias} is of no variable: {name}")))?;
            variables.insert(alias, variable);
        }
        Ok(Self { variables })
    }

    /// The model's sizes, as its tensors have them.
    fn shape(&self) -> Result<Shape> {
        let two = |dims: &[usize], name: &str| match dims {
            [a, b] => Ok((*a, *b)),
            _ => Err(corrupt(format!("{name} has shape {dims:?}: two dimensions expected"))),
        };
        let (tokens, width) = two(self.dims("decoder/embeddings/weight")?, "embedding")?;
        let (audio_positions, _) = two(self.dims("encoder/position_encodings/encodings")?, "encoder positions")?;
        let (text_positions, _) = two(self.dims("decoder/position_encodings/encodings")?, "decoder positions")?;
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

    fn variable(&self, name: &str) -> Result<&Variable<'a>> {
        self.variables.get(name).ok_or_else(|| corrupt(format!("variable {name} is missing")))
    }

    fn dims(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.variable(name)?.dims)
    }

    /// How many layers stand under `prefix`.
    fn layers(&self, prefix: &str) -> usize {
        (0..).take_while(|i| self.variables.contains_key(&format!("{prefix}/layer_{i}/ffn/linear_0/weight"))).count()
    }

    /// A whole number kept as a scalar variable.
    fn scalar(&self, name: &str) -> Result<usize> {
        let Variable { element, bytes, .. } = *self.variable(name)?;
        let value = match (element, bytes) {
            (Element::I8, [b]) => i64::from(*b as i8),
            (Element::I16, [a, b]) => i64::from(i16::from_le_bytes([*a, *b])),
            (Element::I32, [a, b, c, d]) => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(corrupt(format!("variable {name} is no whole number"))),
        };
        usize::try_from(value).map_err(|_| corrupt(format!("variable {name} is negative: {value}")))
    }

    /// A tensor's values as f16, after its shape was compared.
    fn f16(&self, name: &str, dims: &[usize]) -> Result<Vec<half::f16>> {
        let variable = self.variable(name)?;
        if variable.dims != dims {
            return Err(corrupt(format!("variable {name} has shape {:?}: {dims:?} expected", variable.dims)));
        }
        let bytes = variable.bytes;
        Ok(match variable.element {
            Element::F16 => pairs(bytes).map(half::f16::from_le_bytes).collect(),
            Element::Bf16 => pairs(bytes).map(|b| half::f16::from_f32(half::bf16::from_le_bytes(b).to_f32())).collect(),
            Element::F32 => {
                let value = |b: &[u8; 4]| half::f16::from_f32(f32::from_le_bytes(*b));
                bytes.as_chunks().0.iter().map(value).collect()
            }
            other => return Err(unsupported(format!("variable {name} is quantised ({other:?}): floats expected"))),
        })
    }
}

impl<'a> Variable<'a> {
    fn read(reader: &mut Cursor<'a>) -> Result<Self> {
        let [rank] = reader.array()?;
        if usize::from(rank) > RANK_MAX {
            return Err(corrupt(format!("variable has {rank} dimensions: {RANK_MAX} at most expected")));
        }
        let dims = (0..rank).map(|_| Ok(reader.u32()? as usize)).collect::<Result<Vec<_>>>()?;
        let [code] = reader.array()?;
        let element = Element::from_code(code).ok_or_else(|| corrupt(format!("unknown element type: {code}")))?;
        let len = reader.u32()? as usize;
        if dims.iter().try_fold(element.size(), |product, dim| product.checked_mul(*dim)) != Some(len) {
            return Err(corrupt(format!("variable has {len} bytes: {dims:?} values expected")));
        }
        Ok(Self { dims, element, bytes: reader.take(len)? })
    }
}

/// A name: its length, its bytes, and mostly a NUL after them.
fn name(reader: &mut Cursor<'_>) -> Result<String> {
    let len = u16::from_le_bytes(reader.array()?);
    let bytes = reader.take(len.into())?;
    let text = std::str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes));
    text.map(str::to_owned).map_err(|_| corrupt("name is not UTF-8"))
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    bytes.as_chunks().0.iter().copied()
}

fn corrupt(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelCorrupt, detail)
}

fn unsupported(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelUnsupported, detail)
}
