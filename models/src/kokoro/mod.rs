//! Kokoro-82M, text to speech: StyleTTS 2 (Li et al. 2023) with an iSTFTNet decoder, from hexgrad/kokoro.
//!
//! [`Kokoro`] is the engine's [`Synthesizer`](tertulia::backend::Synthesizer); [`convert_onnx`] makes its file.
//!
//! ```no_run
//! # fn main() -> tertulia::Result<()> {
//! use tertulia::backend::{SynthesisRequest, Synthesizer, run_steps};
//! use tertulia_models::kokoro::Kokoro;
//!
//! let kokoro = Kokoro::new("kokoro-82m.gguf", Default::default());
//! let request = SynthesisRequest::new("Buenos días, ¿qué tal?", vec!["es".parse()?]);
//! run_steps(kokoro.synthesize(request)?, |chunk| {
//!     let seconds = chunk.samples.len() as f64 / f64::from(chunk.rate);
//!     assert!(seconds < 60.0);
//!     Ok(())
//! })
//! # }
//! ```

mod albert;
mod chunks;
#[cfg(feature = "download")]
mod convert;
mod decoder;
#[cfg(feature = "download")]
mod english;
mod fused;
mod layers;
mod network;
mod predictor;
mod source;
mod spectrum;
mod synthesizer;
mod vocab;
mod weights;

#[cfg(feature = "download")]
pub use convert::convert_onnx;
pub use synthesizer::{Kokoro, Utterance};

use tertulia::LanguageTag;

/// `general.architecture` of the file.
const ARCHITECTURE: &str = "kokoro";
/// The rate of what the network makes.
const SAMPLE_RATE_HZ: u32 = 24_000;
/// Samples of one frame, the unit of durations.
const FRAME_SAMPLES: usize = 600;
/// Samples for each value of the pitch.
const PITCH_HOP_SAMPLES: usize = 300;
/// The most symbols of one utterance; as many as a voice has styles.
const SYMBOLS_MAX: usize = STYLE_ROWS;
/// A voice has one style for each number of symbols.
const STYLE_ROWS: usize = 510;
/// A style's first half is the timbre, for the decoder, its second the prosody, for the predictor.
const STYLE_WIDTH: usize = TIMBRE_WIDTH + PROSODY_WIDTH;
const TIMBRE_WIDTH: usize = 128;
const PROSODY_WIDTH: usize = 128;

/// The language of a voice, which its name's first letter tells; the second is f or m.
fn voice_language(voice: &str) -> Option<LanguageTag> {
    let tag = match voice.as_bytes() {
        [b'a', b'f' | b'm', b'_', ..] => "en-US",
        [b'b', b'f' | b'm', b'_', ..] => "en-GB",
        [b'e', b'f' | b'm', b'_', ..] => "es",
        [b'f', b'f' | b'm', b'_', ..] => "fr",
        [b'h', b'f' | b'm', b'_', ..] => "hi",
        [b'i', b'f' | b'm', b'_', ..] => "it",
        [b'j', b'f' | b'm', b'_', ..] => "ja",
        [b'p', b'f' | b'm', b'_', ..] => "pt-BR",
        [b'z', b'f' | b'm', b'_', ..] => "zh",
        _ => return None,
    };
    tag.parse().ok()
}
