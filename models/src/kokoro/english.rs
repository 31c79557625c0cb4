//! English word lists (misaki 0.9.4) and the tagger of spaCy's en_core_web_sm, rewritten as tensors of the voice's file.

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

    let tags = file(TAGS_FILE)?;
    let tags: Tags<'_> = serde_json::from_slice(&tags).map_err(|e| corrupt(TAGS_FILE).with_source(e))?;
    writer.set("english.tagger.tags", Value::Array(tags.labels.into_iter().map(Value::from).collect()));

    let norms: Lookups = rmp_serde::from_slice(&file(NORMS_FILE)?).map_err(|e| corrupt(NORMS_FILE).with_source(e))?;
    let pairs = norms.lexeme_norm.iter().flat_map(|(word, norm)| [*word, hash(norm.as_bytes())]);
    let bytes: Vec<u8> = pairs.flat_map(u64::to_le_bytes).collect();
    if bytes.is_empty() {
        return Err(corrupt(NORMS_FILE));
    }
    writer.tensor("english.tagger.norms", &[bytes.len()], GgmlType::I8, bytes)?;
    Ok(())
}

/// The settings of the tagger, as far as they are needed.
#[derive(serde::Deserialize)]
struct Tags<'a> {
    #[serde(borrow)]
    labels: Vec<&'a str>,
}

/// spaCy's tables: usual forms by the hashes of words.
#[derive(serde::Deserialize)]
struct Lookups {
    lexeme_norm: BTreeMap<u64, String>,
}

/// A model in Thinc's format: the arrays of its nodes, of which many have none.
#[derive(serde::Deserialize)]
struct Model<'a> {
    #[serde(borrow)]
    params: Vec<Option<Node<'a>>>,
}

/// The arrays of a node: a table, or weights and biases, or gains and biases.
#[derive(serde::Deserialize)]
struct Node<'a> {
    #[serde(borrow, rename = "E")]
    table: Option<Array<'a>>,
    #[serde(borrow, rename = "W")]
    weights: Option<Array<'a>>,
    #[serde(borrow, rename = "G")]
    gains: Option<Array<'a>>,
    #[serde(borrow, rename = "b")]
    biases: Option<Array<'a>>,
}

/// An array of 32-bit floats as the package msgpack-numpy writes it.
#[derive(serde::Deserialize)]
struct Array<'a> {
    shape: Vec<usize>,
    data: &'a [u8],
}

/// The arrays of a model in the order of its nodes.
fn write_arrays(bytes: &[u8], name: &str, names: &[String], writer: &mut GgufWriter) -> Result<()> {
    let model: Model<'_> = rmp_serde::from_slice(bytes).map_err(|e| corrupt(name).with_source(e))?;
    let nodes = model.params.into_iter().flatten();
    let arrays = nodes.flat_map(|node| [node.table, node.weights, node.gains, node.biases]).flatten();
    let mut names = names.iter();
    for Array { shape, data } in arrays {
        let target = names.next().ok_or_else(|| corrupt(name))?;
        let values: Vec<f32> = data.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let (dtype, data) = match shape.len() {
            1 => (GgmlType::F32, quant::encode_f32(&values)),
            _ => (GgmlType::F16, quant::encode_f16(&values)),
        };
        writer.tensor(format!("english.tagger.{target}"), &shape, dtype, data)?;
    }
    if names.next().is_some() { Err(corrupt(name)) } else { Ok(()) }
}

fn corrupt(name: &str) -> Error {
    Error::new(ErrorCode::ModelCorrupt, format!("{name} is not as its package has it"))
}
