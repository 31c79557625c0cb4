//! Words: recognised ones, and the spoken ones of a reply.

use crate::language::LanguageTag;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Range;

/// A transcript.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Transcript {
    /// The text, trimmed; empty without speech.
    pub text: String,
    /// The language that was set or detected; absent in JSON where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageTag>,
    /// The probability of that language among those allowed, 0 to 1; 1 where it was set.
    #[serde(deserialize_with = "number")]
    pub language_probability: f32,
    /// The probability, 0 to 1, of no speech (the highest among the recogniser's windows).
    #[serde(deserialize_with = "number")]
    pub no_speech_probability: f32,
    /// The mean natural logarithm of the tokens' probabilities.
    #[serde(deserialize_with = "number")]
    pub average_log_probability: f32,
    /// The recogniser's probability, 0 to 1, that the utterance is complete: a cue for endpointing. Not stored; `None`
    /// where the recogniser has no estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_probability: Option<f32>,
    /// The words, in order; their texts joined by spaces need not equal `text`.
    pub words: Vec<Word>,
}

impl From<String> for Transcript {
    /// A transcript of a recogniser that gives nothing but the text: certain, without word times.
    fn from(text: String) -> Self {
        Self { text: text.trim().to_owned(), language_probability: 1.0, ..Self::default() }
    }
}

/// One recognised word.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Word {
    /// The word with its punctuation.
    pub text: String,
    /// Its start, in ms from the utterance's start.
    pub start_ms: u64,
    /// Its end, in ms from the utterance's start.
    pub end_ms: u64,
    /// The mean probability of its tokens, 0 to 1.
    #[serde(deserialize_with = "number")]
    pub confidence: f32,
}

impl Word {
    /// A word of a transcript.
    pub fn new(text: impl Into<String>, ms: Range<u64>, confidence: f32) -> Self {
        Self { text: text.into(), start_ms: ms.start, end_ms: ms.end, confidence }
    }
}

/// Reads the null that JSON has for a number that is not finite.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

/// The position of a spoken word in text and audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SpokenWord {
    /// The bytes of the text that is spoken.
    #[serde(with = "span")]
    #[cfg_attr(feature = "schema", schemars(with = "[usize; 2]"))]
    pub text_span: Range<usize>,
    /// The language it is pronounced in.
    pub language: LanguageTag,
    /// The first sample, counted from the start of the chunk (in events: of the reply).
    pub start_sample: u64,
    /// The sample after the last.
    pub end_sample: u64,
}

impl SpokenWord {
    /// A word of a chunk of speech.
    pub fn new(text_span: Range<usize>, language: LanguageTag, samples: Range<u64>) -> Self {
        Self { text_span, language, start_sample: samples.start, end_sample: samples.end }
    }
}

/// A span as `[start, end]`, the end excluded.
pub(super) mod span {
    use super::{Deserialize, Deserializer, Range, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Range<usize>, serializer: S) -> Result<S::Ok, S::Error> {
        [span.start, span.end].serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Range<usize>, D::Error> {
        <[usize; 2]>::deserialize(deserializer).map(|[start, end]| start..end)
    }
}
