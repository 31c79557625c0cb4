//! English word lists (misaki 0.9.4) and the tagger of spaCy's en_core_web_sm, rewritten as tensors of the voice's file.

use super::messagepack::{Item, read};
use crate::gguf::{GgmlType, GgufWriter, Value, quant};
use crate::platform::FileBytes;
use crate::text::english::{
    DICTIONARY, compile,
    tagger::{LAYERS, TABLES, hash},
};
use std::collections::BTreeMap;
use std::path::Path;
use tertulia::{Error, ErrorCode, Result};

/// The word lists' names: American words that were checked by hand and others, British ones and others.
const LISTS: [&str; 4] = ["us_gold.json", "us_silver.json", "gb_gold.json", "gb_silver.json"];
/// The tagger's files: the layers, the output, its tags, and the usual forms of words.
const LAYERS_FILE: &str = "tagger_layers.msgpack";
const OUTPUT_FILE: &str = "tagger_output.msgpack";
const TAGS_FILE: &str = "tagger_tags.json";
const NORMS_FILE: &str = "tagger_norms.msgpack";

/// Adds what the files of `folder` hold.
///
/// # Errors
/// [`ErrorCode::ModelMissing`], [`ErrorCode::ModelCorrupt`] for the inputs.
pub(super) fn add(folder: &Path, writer: &mut GgufWriter) -> Result<()> {
    let file = |name: &str| FileBytes::open(&folder.join(name));
    let lists = [file(LISTS[0])?, file(LISTS[1])?, file(LISTS[2])?, file(LISTS[3])?];
    let bytes = compile::dictionary(lists.each_ref().map(|list| &**list))?;
    writer.tensor(DICTIONARY, &[bytes.len()], GgmlType::I8, bytes)?;

    let mut names: Vec<String> = TABLES.iter().map(|(name, _)| format!("{name}.weight")).collect();
    let parts = ["weight", "bias", "gain", "shift"];
    names.extend((0..LAYERS).flat_map(|layer| parts.map(|part| format!("{layer}.{part}"))));
    write_arrays(&file(LAYERS_FILE)?, LAYERS_FILE, &names, writer)?;
    write_arrays(&file(OUTPUT_FILE)?, OUTPUT_FILE, &["output.weight".into(), "output.bias".into()], writer)?;

    #[derive(serde::Deserialize)]
    struct Tags {
        labels: Vec<String>,
    }
    let tags: Tags = serde_json::from_slice(&file(TAGS_FILE)?).map_err(|e| corrupt(TAGS_FILE).with_source(e))?;
    let tags = tags.labels.iter().map(|tag| Value::from(tag.as_str())).collect();
    writer.set("english.tagger.tags", Value::Array(tags));

    let norms = read(&file(NORMS_FILE)?).ok_or_else(|| corrupt(NORMS_FILE))?;
    let Some(Item::Map(norms)) = norms.get("lexeme_norm") else { return Err(corrupt(NORMS_FILE)) };
    let pairs: Option<BTreeMap<u64, u64>> = norms
        .iter()
        .map(|(word, norm)| match (word, norm) {
            (Item::Number(word), Item::Text(norm)) => Some((*word, hash(norm.as_bytes()))),
            _ => None,
        })
        .collect();
    let pairs = pairs.filter(|pairs| !pairs.is_empty()).ok_or_else(|| corrupt(NORMS_FILE))?;
    let bytes: Vec<u8> = pairs.into_iter().flat_map(|(word, norm)| [word, norm]).flat_map(u64::to_le_bytes).collect();
    writer.tensor("english.tagger.norms", &[bytes.len()], GgmlType::I8, bytes)?;
    Ok(())
}

/// The arrays of a model in Thinc's format, in the order of its nodes: tables are E, layers W, b, then G, b.
fn write_arrays(bytes: &[u8], name: &str, names: &[String], writer: &mut GgufWriter) -> Result<()> {
    let model = read(bytes).ok_or_else(|| corrupt(name))?;
    let Some(Item::List(nodes)) = model.get("params") else { return Err(corrupt(name)) };
    let mut names = names.iter();
    for node in nodes.iter().filter(|node| matches!(node, Item::Map(_))) {
        for key in ["E", "W", "G", "b"] {
            let Some(array) = node.get(key) else { continue };
            let (shape, values) = floats(array).ok_or_else(|| corrupt(name))?;
            let target = names.next().ok_or_else(|| corrupt(name))?;
            let (dtype, data) = match shape.len() {
                1 => (GgmlType::F32, quant::encode_f32(&values)),
                _ => (GgmlType::F16, quant::encode_f16(&values)),
            };
            writer.tensor(format!("english.tagger.{target}"), &shape, dtype, data)?;
        }
    }
    if names.next().is_some() { Err(corrupt(name)) } else { Ok(()) }
}

fn floats(array: &Item) -> Option<(Vec<usize>, Vec<f32>)> {
    let (Item::List(shape), Item::Bytes(data)) = (array.get("shape")?, array.get("data")?) else { return None };
    let shape: Option<Vec<usize>> =
        shape.iter().map(|len| if let Item::Number(len) = len { usize::try_from(*len).ok() } else { None }).collect();
    let values = data.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    Some((shape?, values))
}

fn corrupt(name: &str) -> Error {
    Error::new(ErrorCode::ModelCorrupt, format!("{name} is not as its package has it"))
}
