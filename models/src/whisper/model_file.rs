//! The GGUF file of a Whisper: its metadata, and loading.

use super::ending;
use super::layers::Loader;
use super::network::Network;
use super::shape::Shape;
use super::vocabulary::Vocabulary;
use crate::ModelSource;
use crate::gguf::Gguf;
use crate::mel::MelFrontEnd;
use burn::tensor::Device;
use tertulia::{Error, ErrorCode, Result};

/// `general.architecture`.
const ARCHITECTURE: &str = "whisper";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SUPPRESSED: &str = "whisper.suppressed_tokens";
const SUPPRESSED_FIRST: &str = "whisper.suppressed_first_tokens";
const ALIGNMENT_HEADS: &str = "whisper.alignment_heads";

/// The metadata of a file.
pub(super) struct Head {
    pub(super) shape: Shape,
    /// In the byte-level spelling, special tokens among them; as many as the embedding has rows.
    pub(super) tokens: Vec<String>,
    pub(super) suppressed: Vec<u32>,
    pub(super) suppressed_first: Vec<u32>,
    /// `(decoder layer, head)`; empty where they are not known.
    pub(super) alignment_heads: Vec<(usize, usize)>,
}

/// One of a shape's sizes.
type Size = fn(&mut Shape) -> &mut usize;

/// The keys of the shape's sizes.
const SIZES: [(&str, Size); 9] = [
    ("whisper.mel_bins", |shape| &mut shape.mel_bins),
    ("whisper.audio_positions", |shape| &mut shape.audio_positions),
    ("whisper.text_positions", |shape| &mut shape.text_positions),
    ("whisper.width", |shape| &mut shape.width),
    ("whisper.encoder.heads", |shape| &mut shape.encoder_heads),
    ("whisper.decoder.heads", |shape| &mut shape.decoder_heads),
    ("whisper.encoder.layers", |shape| &mut shape.encoder_layers),
    ("whisper.decoder.layers", |shape| &mut shape.decoder_layers),
    ("whisper.tokens", |shape| &mut shape.tokens),
];

impl Head {
    /// Sets the metadata of a file.
    #[cfg(feature = "download")]
    pub(super) fn write(&mut self, writer: &mut crate::gguf::GgufWriter, vocabulary: &Vocabulary) {
        writer.set("general.architecture", ARCHITECTURE).set("general.name", "whisper").set("general.license", "MIT");
        for (key, size) in SIZES {
            writer.set(key, *size(&mut self.shape) as u32);
        }
        writer.set("tokenizer.ggml.model", "gpt2").set(TOKENS, self.tokens.clone());
        writer.set("tokenizer.ggml.eos_token_id", vocabulary.end_of_text);
        writer.set("tokenizer.ggml.bos_token_id", vocabulary.start_of_transcript);
        writer.set(SUPPRESSED, self.suppressed.clone()).set(SUPPRESSED_FIRST, self.suppressed_first.clone());
        let heads: Vec<u32> = self.alignment_heads.iter().flat_map(|(l, h)| [*l as u32, *h as u32]).collect();
        writer.set(ALIGNMENT_HEADS, heads);
    }

    /// Reads the metadata and checks that they agree.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnsupported`] for another architecture, [`ErrorCode::ModelCorrupt`].
    pub(super) fn read(file: &Gguf) -> Result<Self> {
        if file.str("general.architecture")? != ARCHITECTURE {
            return Err(file.unsupported("not a Whisper model"));
        }
        let mut shape = Shape::default();
        for (key, size) in SIZES {
            *size(&mut shape) = file.u32(key)? as usize;
        }
        shape.check()?;
        let ids = |key: &str| -> Result<Vec<u32>> {
            let id =
                |id: i64| u32::try_from(id).map_err(|_| corrupt(format!("metadata value {key} is out of range: {id}")));
            file.i64s(key)?.into_iter().map(id).collect()
        };
        let tokens: Vec<String> = file.strings(TOKENS)?.into_iter().map(str::to_owned).collect();
        if tokens.len() != shape.tokens {
            return Err(corrupt(format!("vocabulary has {} tokens: {} expected", tokens.len(), shape.tokens)));
        }
        let alignment_heads: Vec<(usize, usize)> =
            ids(ALIGNMENT_HEADS)?.chunks_exact(2).map(|pair| (pair[0] as usize, pair[1] as usize)).collect();
        if alignment_heads.iter().any(|(l, h)| *l >= shape.decoder_layers || *h >= shape.decoder_heads) {
            return Err(corrupt("alignment head is not one of the decoder's"));
        }
        Ok(Self {
            suppressed: ids(SUPPRESSED)?,
            suppressed_first: ids(SUPPRESSED_FIRST)?,
            tokens,
            alignment_heads,
            shape,
        })
    }
}

/// A model file in memory.
pub(super) struct Loaded {
    pub(super) network: Network,
    pub(super) vocabulary: Vocabulary,
    pub(super) front_end: MelFrontEnd,
    /// Tokens that are never chosen.
    pub(super) suppressed: Vec<u32>,
    /// Tokens that are never chosen first.
    pub(super) suppressed_first: Vec<u32>,
    /// Tokens that close a sentence.
    pub(super) closing: Vec<u32>,
    /// `(decoder layer, head)` of the heads whose cross attention follows the audio.
    pub(super) alignment_heads: Vec<(usize, usize)>,
}

/// Reads the whole model; `progress` is called with 0 to 1.
///
/// # Errors
/// Those of [`tertulia::backend::Model::load`].
pub(super) fn load(source: &ModelSource, device: &Device, progress: &mut dyn FnMut(f32)) -> Result<Loaded> {
    let file = Gguf::open_source(source)?;
    let head = Head::read(&file)?;
    let vocabulary = Vocabulary::new(&head.tokens)?;
    if vocabulary.timestamp_begin as usize >= head.shape.tokens {
        return Err(corrupt("vocabulary has no timestamps"));
    }
    let front_end = MelFrontEnd::new(head.shape.mel_bins);
    let shape = head.shape.clone();
    let loader = Loader { file: &file, device, done: 0, all: head.shape.tensors().len(), progress };
    let network = Network::load(head.shape, loader)?;
    let alignment_heads = if head.alignment_heads.is_empty() {
        // It is not known which heads follow the audio: those of the upper half do, on the whole.
        let layers = shape.decoder_layers / 2..shape.decoder_layers;
        layers.flat_map(|layer| (0..shape.decoder_heads).map(move |head| (layer, head))).collect()
    } else {
        head.alignment_heads
    };
    Ok(Loaded {
        network,
        closing: ending::closing_tokens(&vocabulary),
        vocabulary,
        front_end,
        suppressed: head.suppressed,
        suppressed_first: head.suppressed_first,
        alignment_heads,
    })
}

fn corrupt(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelCorrupt, detail)
}
