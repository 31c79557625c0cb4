//! An utterance whose end the host tells: its audio after the front end, and the speech in it.
//!
//! The onset and the end of the speech follow the rules of endpointing, but silence never ends the utterance.

use super::Shared;
use super::front_end::FrontEnd;
use crate::audio::{self, Pcm};
use crate::backend::{CancelFlag, LISTEN_RATE_HZ};
use crate::config::SessionConfig;
use crate::error::{ErrorCode, Result};
use crate::event::{EndReason, SessionId, TurnId};
use crate::store::AudioKind;
use crate::turn::{EndpointSettings, EndpointWeights, Endpointer, SAMPLES_PER_MS};
use std::ops::Range;
use std::sync::Arc;

/// The silence that ends an utterance, in ms: more than there ever is.
const NO_SILENCE_MS: f32 = 1e12;

/// An utterance at [`LISTEN_RATE_HZ`], and the span of the speech in it.
#[derive(Clone, Debug)]
pub(crate) struct UtteranceAudio {
    pub(crate) audio: Arc<[f32]>,
    pub(crate) speech: Range<usize>,
}

/// Where the audio of an utterance is to be read from.
#[derive(Clone, Debug)]
pub(crate) enum UtteranceFile {
    /// A whole audio file.
    Encoded(Arc<[u8]>),
    /// The user audio of a stored turn.
    Stored(SessionId, TurnId),
}

/// Collects the frames of one utterance.
pub(crate) struct Collector {
    audio: Vec<f32>,
    endpointer: Endpointer,
    has_vad: bool,
}

impl Collector {
    pub(crate) fn new(shared: &Shared, config: &SessionConfig) -> Self {
        let weights = EndpointWeights { wait_ms_min: NO_SILENCE_MS, wait_ms_max: NO_SILENCE_MS, ..Default::default() };
        let endpointer = Endpointer::new(EndpointSettings {
            weights,
            patience: 0.5,
            speech_min: u64::from(config.listening.speech_ms_min) * SAMPLES_PER_MS,
            utterance_max: u64::MAX,
        });
        Self { audio: Vec::new(), endpointer, has_vad: shared.backends.vad.is_some() }
    }

    /// Takes sound at any rate through the front end.
    pub(crate) fn push(&mut self, front_end: &mut FrontEnd, samples: &[f32], rate: u32) -> Result<()> {
        if self.audio.is_empty() {
            front_end.begin_utterance();
        }
        front_end.push(samples, rate, |frame, probability| self.push_frame(frame, probability))
    }

    fn push_frame(&mut self, frame: &[f32], probability: f32) {
        self.audio.extend_from_slice(frame);
        // Silence never ends it, so that nothing follows from a frame.
        drop(self.endpointer.on_vad_frame(self.audio.len() as u64, probability));
    }

    /// The utterance, with what the front end still holds of it.
    ///
    /// # Errors
    /// [`ErrorCode::NoSpeech`]; the VAD's.
    pub(crate) fn finish(mut self, front_end: &mut FrontEnd) -> Result<UtteranceAudio> {
        front_end.finish_utterance(|frame, probability| self.push_frame(frame, probability))?;
        let speech = match self.endpointer.finish(EndReason::Host) {
            Some(found) => found.start as usize..found.end as usize,
            None if self.has_vad => return Err(ErrorCode::NoSpeech.into()),
            None => 0..self.audio.len(),
        };
        Ok(UtteranceAudio { audio: self.audio.into(), speech })
    }
}

/// Reads the audio and finds the speech in it.
///
/// # Errors
/// Those of decoding or of the store; the VAD's; [`ErrorCode::NoSpeech`].
pub(crate) async fn read(
    shared: &Shared,
    file: UtteranceFile,
    config: &SessionConfig,
    cancel: &CancelFlag,
) -> Result<UtteranceAudio> {
    let is_stored = matches!(file, UtteranceFile::Stored(..));
    let Pcm { samples, rate } = match file {
        UtteranceFile::Encoded(bytes) => audio::decode_limited(&bytes, shared.options.utterance_seconds_max)?,
        UtteranceFile::Stored(session, turn) => {
            let stored = shared.store.audio(session, turn, AudioKind::User)?;
            Pcm { samples: stored.to_f32(), rate: stored.rate }
        }
    };
    let mut front_end = FrontEnd::open(shared).await?;
    if is_stored {
        front_end.skip_dc_filter();
    }
    let mut collector = Collector::new(shared, config);
    for second in samples.chunks(rate as usize) {
        cancel.check()?;
        collector.push(&mut front_end, second, rate)?;
    }
    collector.finish(&mut front_end)
}

pub(crate) fn samples_to_ms(samples: usize) -> u64 {
    samples as u64 * 1000 / u64::from(LISTEN_RATE_HZ)
}
