//! Speech out: the synthesizer, its voices and requests.

use super::{CancelFlag, Model, Purpose, RequestContext, SpokenWord, Steps};
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

    /// The voices; none by default, where only the platform decides which voice speaks a language. Read once, when the
    /// engine is built, and after loading.
    fn voices(&self) -> Vec<VoiceInfo> {
        Vec::new()
    }

    /// Checks that the lexicon can be spoken; by default every one can.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidLexicon`] names the first entry that cannot be.
    fn check_lexicon(&self, _lexicon: &Lexicon) -> Result<()> {
        Ok(())
    }

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
#[non_exhaustive]
pub struct VoiceInfo {
    /// The name that settings use, such as `ef_dora`.
    pub name: String,
    /// The voice's own language.
    pub language: LanguageTag,
}

impl VoiceInfo {
    /// A voice.
    pub fn new(name: impl Into<String>, language: LanguageTag) -> Self {
        Self { name: name.into(), language }
    }
}

/// A request to synthesise a text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SynthesisRequest {
    /// The text as it is displayed.
    pub text: String,
    /// The languages that may occur in it; the first is the likeliest.
    pub languages: Vec<LanguageTag>,
    /// The voice's name; `None` for the default voice of the first language.
    pub voice: Option<String>,
    /// The speed, 0.5 to 2; 1 is the voice's own.
    pub speed: f32,
    /// Pronunciations of the host, which change the sound, never the text.
    pub lexicon: Arc<Lexicon>,
    /// For what, and for whom, it is made.
    pub context: RequestContext,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl SynthesisRequest {
    /// A request for the default voice at its own speed, without lexicon and without a session.
    pub fn new(text: impl Into<String>, languages: Vec<LanguageTag>) -> Self {
        Self {
            text: text.into(),
            languages,
            voice: None,
            speed: 1.0,
            lexicon: Arc::default(),
            context: RequestContext { purpose: Purpose::Speech, ..RequestContext::default() },
            cancel: CancelFlag::new(),
        }
    }
}

/// Pronunciations: language, then word in lower case, then IPA.
pub type Lexicon = BTreeMap<LanguageTag, BTreeMap<String, String>>;

/// A chunk of synthesised speech.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpeechChunk {
    /// Mono samples between -1 and 1.
    pub samples: Vec<f32>,
    /// Samples per second, 8,000 to 192,000; the same for all chunks of a reply.
    pub rate: u32,
    /// The bytes of the request's text that this chunk speaks. The chunks cover the text without gap or overlap.
    pub text_span: Range<usize>,
    /// Its words, in order; empty where the voice has no word times.
    pub words: Vec<SpokenWord>,
}

impl SpeechChunk {
    /// A chunk without word times that speaks these bytes of the text.
    pub fn new(samples: Vec<f32>, rate: u32, text_span: Range<usize>) -> Self {
        Self { samples, rate, text_span, words: Vec::new() }
    }
}
