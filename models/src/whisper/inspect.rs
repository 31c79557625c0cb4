//! [`Inspector`]: intermediate results, to compare with other implementations.

use super::decoding::Rules;
use super::model_file::Loaded;
use super::network::values;
use super::shape::WINDOW_FRAMES;
use super::vocabulary::Vocabulary;
use crate::sampling::likeliest;
use std::sync::Arc;
use tertulia::{ErrorCode, LanguageTag, Result};

/// A loaded Whisper, laid open. It gives what the recogniser computes on its way, without steps or a cancel.
///
/// ```no_run
/// # fn main() -> tertulia::Result<()> {
/// let whisper = tertulia_models::whisper::Whisper::new("whisper-base.gguf", Default::default());
/// let mel = whisper.inspect()?.log_mel(&[0.0; 16_000]);
/// assert_eq!(mel.len(), 80 * 3000);
/// # Ok(())
/// # }
/// ```
pub struct Inspector {
    model: Arc<Loaded>,
}

impl Inspector {
    pub(super) fn new(model: Arc<Loaded>) -> Self {
        Self { model }
    }

    /// The log-mel spectrum of at most 30 s, `[bins, 3000]` row by row.
    pub fn log_mel(&self, samples: &[f32]) -> Vec<f32> {
        self.model.front_end.log_mel(samples, WINDOW_FRAMES)
    }

    /// The encoder's output for at most 30 s, `[1500, width]` row by row.
    ///
    /// # Errors
    /// [`ErrorCode::RecognizerFailed`](tertulia::ErrorCode::RecognizerFailed).
    pub fn encode(&self, samples: &[f32]) -> Result<Vec<f32>> {
        values(self.model.network.encode(self.log_mel(samples)))
    }

    /// For each of `tokens` the one that greedy decoding would have chosen after those before it, the language set
    /// and without timestamps; then the one after the last.
    ///
    /// # Errors
    /// [`ErrorCode::LanguageUnsupported`](tertulia::ErrorCode::LanguageUnsupported),
    /// [`ErrorCode::RecognizerFailed`](tertulia::ErrorCode::RecognizerFailed).
    pub fn greedy_after(&self, samples: &[f32], language: &LanguageTag, tokens: &[u32]) -> Result<Vec<u32>> {
        let network = &self.model.network;
        let vocabulary: &Vocabulary = &self.model.vocabulary;
        let language = vocabulary.language_token(language).ok_or(ErrorCode::LanguageUnsupported)?;
        let encoded = network.encode(self.log_mel(samples));
        let cross: Vec<_> = (0..network.cross_layers()).map(|i| network.cross_keys(i, &encoded)).collect();
        let mut all = vec![vocabulary.start_of_transcript, language, vocabulary.transcribe, vocabulary.no_timestamps];
        let prompt = all.len();
        all.extend(tokens);
        let rows = network.decode(&all, &cross, &mut network.kv_cache(), None)?;
        let rules = Rules {
            vocabulary,
            suppressed: &self.model.suppressed,
            suppressed_first: &self.model.suppressed_first,
            timestamps: false,
        };
        (0..=tokens.len())
            .map(|known| {
                let mut logits = network.logits(&rows, prompt + known - 1)?;
                rules.apply(&mut logits, &tokens[..known]);
                Ok(likeliest(&logits))
            })
            .collect()
    }
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").finish_non_exhaustive()
    }
}
