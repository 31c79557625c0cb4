//! Whisper, speech to text.
//!
//! ```no_run
//! use tertulia::backend::{RecognitionRequest, RecognitionStep, Recognizer, run_steps};
//! use tertulia_models::whisper::Whisper;
//! # fn main() -> tertulia::Result<()> {
//! let whisper = Whisper::new("whisper-base.gguf", Default::default());
//! let audio = vec![0.0; 16_000];
//! let request = RecognitionRequest::new(audio, vec!["en".parse()?, "es".parse()?]);
//! run_steps(whisper.recognize(request)?, |step| {
//!     if let RecognitionStep::Final(transcript) = step {
//!         assert_eq!(transcript.text, "");
//!     }
//!     Ok(())
//! })
//! # }
//! ```

#[cfg(feature = "download")]
pub mod ct2;
mod decoder;
mod decoding;
mod ending;
mod gate;
mod growing;
mod inspect;
mod layers;
mod model_file;
mod network;
mod recognition;
mod segments;
mod shape;
mod steps;
mod timing;
mod vocabulary;
mod voicing;

pub use inspect::Inspector;

use crate::gguf::Gguf;
use crate::{Device, ModelSource};
use model_file::{Head, Loaded};
use parking_lot::Mutex;
use recognition::Recognition;
use std::sync::{Arc, OnceLock};
use tertulia::backend::{BoxFuture, Model, Progress, RecognitionRequest, RecognitionStep, Recognizer, Steps};
use tertulia::{Error, ErrorCode, LanguageTag, Result};
use vocabulary::Vocabulary;

/// Bytes for the work on one window, beside the weights: activations, caches, and what the allocator keeps.
const WORKING_BYTES_PER_WIDTH: u64 = 200_000;

/// A Whisper of any size, from tiny to large, as [`ct2::convert_ct2`] writes it.
///
/// Always transcribes, never translates. The weights are f32 in memory, and are read at the first use.
pub struct Whisper {
    source: ModelSource,
    name: String,
    device: Device,
    timestamps: bool,
    loaded: Mutex<Option<Arc<Loaded>>>,
    facts: OnceLock<Facts>,
}

/// A model file's metadata.
struct Facts {
    languages: Vec<LanguageTag>,
    memory_bytes: u64,
}

impl Whisper {
    /// A recogniser that will read the GGUF file of `source`, such as a path; nothing is read yet.
    pub fn new(source: impl Into<ModelSource>, device: Device) -> Self {
        let source = source.into();
        Self {
            name: source.name(),
            source,
            device,
            timestamps: false,
            loaded: Mutex::new(None),
            facts: OnceLock::new(),
        }
    }

    /// Lets the model write times between its words, as it does when it subtitles; off by default, for text is better
    /// without.
    ///
    /// Words then lie within the times that the model gave their segment. Where a request asks for no word times, the
    /// transcript's `words` are whole segments with their times, which cost nothing. In long audio, a window begins
    /// where the last whole segment ended.
    ///
    /// ```no_run
    /// # use tertulia_models::whisper::Whisper;
    /// let whisper = Whisper::new("whisper-base.gguf", Default::default()).with_timestamps();
    /// ```
    #[must_use]
    pub fn with_timestamps(mut self) -> Self {
        self.timestamps = true;
        self
    }

    /// The model laid open, for checks and measurements; loads it.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    pub fn inspect(&self) -> Result<Inspector> {
        Ok(Inspector::new(self.loaded(&mut |_| {})?))
    }

    fn loaded(&self, progress: &mut dyn FnMut(f32)) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = &*loaded {
            return Ok(Arc::clone(loaded));
        }
        let fresh = Arc::new(model_file::load(&self.source, &self.device.of_tensors(), progress)?);
        *loaded = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    fn facts(&self) -> Result<&Facts> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let head = Head::read(&Gguf::open_head(&self.source)?)?;
        let languages = Vocabulary::new(&head.tokens)?.language_tags();
        let weights = head.shape.parameters() * size_of::<f32>() as u64;
        let memory_bytes = weights + head.shape.width as u64 * WORKING_BYTES_PER_WIDTH;
        Ok(self.facts.get_or_init(|| Facts { languages, memory_bytes }))
    }
}

impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Whisper").field("source", &self.source).field("loaded", &self.is_loaded()).finish()
    }
}

impl Model for Whisper {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> Result<()> {
        self.facts().map(drop)
    }

    fn load<'a>(&'a self, progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.loaded(progress).map(drop) })
    }

    fn unload(&self) {
        *self.loaded.lock() = None;
    }

    fn is_loaded(&self) -> bool {
        self.loaded.lock().is_some()
    }

    /// 0 where the file cannot be read.
    fn memory_needed(&self) -> u64 {
        self.facts().map_or(0, |facts| facts.memory_bytes)
    }
}

impl Recognizer for Whisper {
    fn languages(&self) -> Vec<LanguageTag> {
        self.facts().map(|facts| facts.languages.clone()).unwrap_or_default()
    }

    /// Starts to recognise. Audio of up to 30 s is one window; longer audio goes through in windows of up to 15 s, cut
    /// where it is quietest. The encoder's input is a window and 8 s of silence after it, not 30 s. Where words need
    /// times, this goes for windows of up to 12 s, and a second pass over 30 s follows where the first is in doubt.
    ///
    /// Of a [`RecognitionStep::Partial`], the text of finished windows is stable; that of the window at work may be
    /// taken back when it turns out to be a guess.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ErrorCode::AudioEmpty`], [`ErrorCode::AudioInvalidSample`],
    /// [`ErrorCode::LanguageUnsupported`].
    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        if request.audio.is_empty() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        if let Some(at) = request.audio.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::new(ErrorCode::AudioInvalidSample, format!("sample {at} is not a finite number")));
        }
        let loaded = self.loaded(&mut |_| {})?;
        let recognition = Recognition::new(loaded, request, self.timestamps)?;
        Ok(steps::steps_from_async(|steps| recognition.run(steps)))
    }
}
