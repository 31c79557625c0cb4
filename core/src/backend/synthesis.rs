//! Speech out: the synthesizer, its voices and requests.

use super::{CancelFlag, Model, SpokenWord, Steps};
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::language::LanguageTag;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Text to speech.
pub trait Synthesizer: Model {
    /// The languages that it speaks.
    fn languages(&self) -> Vec<LanguageTag>;

    /// The voices.
    fn voices(&self) -> Vec<VoiceInfo>;

    /// Samples per second of its audio.
    fn sample_rate(&self) -> u32;

    /// Checks that the lexicon can be spoken.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidLexicon`] names the first entry that cannot be.
    fn check_lexicon(&self, lexicon: &Lexicon) -> Result<()>;

    /// Starts to synthesise a text of any length.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::UnknownVoice`], [`ErrorCode::LanguageUnsupported`],
    /// [`ErrorCode::InvalidArgument`] for a speed outside 0.5 to 2. Steps fail with
    /// [`ErrorCode::SynthesizerFailed`] or [`ErrorCode::Cancelled`].
    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>>;
}

/// A voice of a synthesizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceInfo {
    /// The name that settings use, such as `ef_dora`.
    pub name: String,
    /// The voice's own language.
    pub language: LanguageTag,
}

/// A request to synthesise a text.
#[derive(Clone, Debug)]
pub struct SynthesisRequest {
    /// The text as it is displayed.
    pub text: String,
    /// The languages that may occur in it; the first is the likeliest.
    pub languages: Vec<LanguageTag>,
    /// The voice's name.
    pub voice: String,
    /// The speed, 0.5 to 2; 1 is the voice's own.
    pub speed: f32,
    /// Pronunciations of the host, which change the sound, never the text.
    pub lexicon: Arc<Lexicon>,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl SynthesisRequest {
    /// A request at the voice's own speed, without lexicon.
    pub fn new(text: impl Into<String>, languages: Vec<LanguageTag>, voice: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            languages,
            voice: voice.into(),
            speed: 1.0,
            lexicon: Arc::default(),
            cancel: CancelFlag::new(),
        }
    }
}

/// Pronunciations: language, then word in lower case, then IPA.
pub type Lexicon = BTreeMap<LanguageTag, BTreeMap<String, String>>;

/// A chunk of synthesised speech.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpeechChunk {
    /// Mono samples between -1 and 1, at [`Synthesizer::sample_rate`].
    pub samples: Vec<f32>,
    /// The bytes of the request's text that this chunk speaks. The chunks cover the text without gap or overlap.
    pub text_span: Range<usize>,
    /// Its words, in order; empty where the voice has no word times.
    pub words: Vec<SpokenWord>,
}
