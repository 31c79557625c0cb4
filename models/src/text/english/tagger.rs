//! [`Tagger`]: parts of speech by spaCy's English tagger (Honnibal, en_core_web_sm 3.8), a small convolutional network.
//!
//! Six features of a token (its norm, first letter, last three letters, shape, the blank behind it, being a blank) are
//! hashed to four rows each of a table, whose sums stand side by side; a maxout layer and a layer norm follow. Four
//! residual layers see the tokens on both sides. The output is a row of weights for each Penn Treebank tag.

use super::symbols::symbol;
use crate::gguf::{GgmlType, Gguf};
use crate::kernels::dot_in_lanes;
use half::f16;
use tertulia::Result;

/// Width of every layer, and pieces of a maxout unit.
pub(crate) const WIDTH: usize = 96;
pub(crate) const PIECES: usize = 3;
/// The feature tables' names in the file, and their rows.
pub(crate) const TABLES: [(&str, usize); 6] =
    [("norm", 5000), ("prefix", 1000), ("suffix", 2500), ("shape", 2500), ("space", 50), ("blank", 50)];
/// The first table's hashes begin with this seed, the next one's with the next.
const SEED: u64 = 8;
/// Rows of zeros on each side of the tokens, which the residual layers work on like on tokens.
const PADDING: usize = 4;
/// Layers: the first maxout layer, and four residual ones.
pub(crate) const LAYERS: usize = 5;
const EPSILON: f32 = 1e-8;

/// A word or a mark, as the tagger sees it.
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Its usual form, where that is not the text in lower case.
    pub(super) norm: Option<&'static str>,
    /// A blank follows.
    pub(super) spaced: bool,
}

/// The network.
pub(super) struct Tagger {
    tables: Vec<Vec<f16>>,
    layers: Vec<Layer>,
    /// A row for each tag, then a number for each.
    output: (Vec<f32>, Vec<f32>),
    tags: Vec<String>,
    /// Usual forms by word, both hashed; sorted.
    norms: Vec<(u64, u64)>,
}

struct Layer {
    weight: Vec<f32>,
    bias: Vec<f32>,
    gain: Vec<f32>,
    shift: Vec<f32>,
}

impl Tagger {
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`](tertulia::ErrorCode::ModelCorrupt) where a tensor is missing or has another shape.
    pub(super) fn read(file: &Gguf) -> Result<Self> {
        let values = |name: String, shape: &[usize]| file.tensor_of(&format!("english.tagger.{name}"), shape)?.to_f32();
        let tables = TABLES.iter().map(|(name, rows)| {
            let tensor = file.tensor_of(&format!("english.tagger.{name}.weight"), &[*rows, WIDTH])?;
            if tensor.dtype != GgmlType::F16 {
                return Err(file.corrupt("tables of the tagger are not of 16 bits"));
            }
            Ok(tensor.data.as_chunks::<2>().0.iter().map(|value| f16::from_le_bytes(*value)).collect())
        });
        let layers = (0..LAYERS).map(|index| {
            let inputs = if index == 0 { TABLES.len() * WIDTH } else { 3 * WIDTH };
            Ok(Layer {
                weight: values(format!("{index}.weight"), &[WIDTH, PIECES, inputs])?,
                bias: values(format!("{index}.bias"), &[WIDTH, PIECES])?,
                gain: values(format!("{index}.gain"), &[WIDTH])?,
                shift: values(format!("{index}.shift"), &[WIDTH])?,
            })
        });
        let tags: Vec<String> = file.strings("english.tagger.tags")?.into_iter().map(str::to_owned).collect();
        let output =
            (values("output.weight".into(), &[tags.len(), WIDTH])?, values("output.bias".into(), &[tags.len()])?);
        let (pairs, _) = file.tensor("english.tagger.norms")?.data.as_chunks::<16>();
        let half = |pair: &[u8; 16], at: usize| u64::from_le_bytes(std::array::from_fn(|index| pair[8 * at + index]));
        let norms = pairs.iter().map(|pair| (half(pair, 0), half(pair, 1))).collect();
        Ok(Self { tables: tables.collect::<Result<_>>()?, layers: layers.collect::<Result<_>>()?, output, tags, norms })
    }

    /// The Penn Treebank tag of each token of a sentence.
    pub(super) fn tags(&self, tokens: &[Token<'_>]) -> Vec<&str> {
        if tokens.is_empty() {
            return Vec::new();
        }
        let mut embedded = vec![0.0; tokens.len() * TABLES.len() * WIDTH];
        for (token, row) in tokens.iter().zip(embedded.chunks_exact_mut(TABLES.len() * WIDTH)) {
            self.embed(token, row);
        }
        let rows = tokens.len() + 2 * PADDING;
        let mut hidden = vec![0.0; rows * WIDTH];
        let inner = PADDING * WIDTH..(rows - PADDING) * WIDTH;
        self.layers[0].apply(&embedded, &mut hidden[inner.clone()]);
        // Each row beside the one before it and the one behind it, zeros beyond the ends.
        let mut windows = vec![0.0; rows * 3 * WIDTH];
        let mut added = vec![0.0; rows * WIDTH];
        for (margin, layer) in self.layers.iter().enumerate().skip(1) {
            for (index, row) in hidden.chunks_exact(WIDTH).enumerate() {
                for (place, target) in [(2, index.wrapping_sub(1)), (1, index), (0, index + 1)] {
                    if target < rows {
                        windows[(target * 3 + place) * WIDTH..][..WIDTH].copy_from_slice(row);
                    }
                }
            }
            // Rows of the padding that no token sees any more are left out.
            let needed = margin..rows - margin;
            let added = &mut added[..needed.len() * WIDTH];
            layer.apply(&windows[needed.start * 3 * WIDTH..needed.end * 3 * WIDTH], added);
            hidden[needed.start * WIDTH..].iter_mut().zip(added).for_each(|(value, more)| *value += *more);
        }
        hidden[inner].chunks_exact(WIDTH).map(|row| self.likeliest(row)).collect()
    }

    fn likeliest(&self, row: &[f32]) -> &str {
        let (weight, bias) = &self.output;
        let scores = weight.chunks_exact(WIDTH).zip(bias).map(|(weight, bias)| dot_in_lanes::<16>(row, weight) + bias);
        let best = scores
            .enumerate()
            .fold((0, f32::MIN), |best, (tag, score)| if score > best.1 { (tag, score) } else { best });
        &self.tags[best.0]
    }

    fn embed(&self, token: &Token<'_>, out: &mut [f32]) {
        for ((table, feature), (seed, out)) in
            self.tables.iter().zip(self.features(token)).zip((SEED..).zip(out.chunks_exact_mut(WIDTH)))
        {
            for key in keys(feature, seed) {
                let row = &table[key as usize % (table.len() / WIDTH) * WIDTH..][..WIDTH];
                out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.to_f32());
            }
        }
    }

    fn features(&self, token: &Token<'_>) -> [u64; TABLES.len()] {
        let text = token.text;
        let norm = match token.norm {
            Some(norm) => id(norm),
            None => {
                let word = hash(text.as_bytes());
                match self.norms.binary_search_by_key(&word, |(word, _)| *word) {
                    Ok(found) => self.norms[found].1,
                    Err(_) => id(&text.to_lowercase()),
                }
            }
        };
        let prefix = text.chars().next().map_or(0, char::len_utf8);
        let suffix = text.char_indices().rev().nth(2).map_or(0, |(at, _)| at);
        [norm, id(&text[..prefix]), id(&text[suffix..]), id(&shape(text)), u64::from(token.spaced), 0]
    }
}

impl Layer {
    /// Maxout, then the layer norm. A unit's weights are used for all rows while they are in the cache.
    fn apply(&self, input: &[f32], out: &mut [f32]) {
        let inputs = self.weight.len() / (WIDTH * PIECES);
        let units = self.weight.chunks_exact(PIECES * inputs).zip(self.bias.chunks_exact(PIECES));
        for (unit, (weight, bias)) in units.enumerate() {
            for (row, out) in input.chunks_exact(inputs).zip(out.chunks_exact_mut(WIDTH)) {
                let pieces = weight.chunks_exact(inputs).zip(bias);
                out[unit] =
                    pieces.map(|(weight, bias)| dot_in_lanes::<16>(row, weight) + bias).fold(f32::MIN, f32::max);
            }
        }
        for row in out.chunks_exact_mut(WIDTH) {
            let mean = row.iter().sum::<f32>() / WIDTH as f32;
            let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / WIDTH as f32;
            let scale = 1.0 / (variance + EPSILON).sqrt();
            for ((value, gain), shift) in row.iter_mut().zip(&self.gain).zip(&self.shift) {
                *value = (*value - mean) * scale * gain + shift;
            }
        }
    }
}

/// The number of a string: that of spaCy's own symbols, a hash for others.
fn id(text: &str) -> u64 {
    symbol(text).unwrap_or_else(|| hash(text.as_bytes()))
}

/// Letters by case and digits by a sign each, at most four of a kind in a row.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let (mut last, mut run) = (None, 0);
    for c in text.chars() {
        let sign = match c {
            c if c.is_alphabetic() && c.is_uppercase() => 'X',
            c if c.is_alphabetic() => 'x',
            c if c.is_numeric() => 'd',
            c => c,
        };
        run = if last == Some(sign) { run + 1 } else { 1 };
        last = Some(sign);
        if run <= 4 {
            shape.push(sign);
        }
    }
    shape
}

/// MurmurHash64A with seed 1 (Appleby), spaCy's hash of strings.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    let mixed = |value: u64| value ^ value >> 47;
    let mut hash = 1 ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        let block = mixed(u64::from_le_bytes(*block).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
        hash = (hash ^ block).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        hash = (hash ^ tail).wrapping_mul(FACTOR);
    }
    mixed(mixed(hash).wrapping_mul(FACTOR))
}

/// The four keys of a feature: MurmurHash3 for 128 bits as Thinc computes it for one number of 64 bits.
fn keys(value: u64, seed: u64) -> [u32; 4] {
    let finished = |value: u64| {
        let value = (value ^ value >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let value = (value ^ value >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        value ^ value >> 33
    };
    let block = value.wrapping_mul(0x87c3_7b91_1142_53d5).rotate_left(31).wrapping_mul(0x4cf5_ad43_2745_937f);
    let second = seed ^ 8;
    let first = (block ^ seed ^ 8).wrapping_add(second);
    let (first, second) = (finished(first), finished(second.wrapping_add(first)));
    let first = first.wrapping_add(second);
    let second = second.wrapping_add(first);
    [first as u32, (first >> 32) as u32, second as u32, (second >> 32) as u32]
}
