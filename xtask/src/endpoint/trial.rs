//! One dialogue under one strategy, and the outcome of each clip.

use super::cues::{CachedDetector, CachedRecognizer, NoWords, Replay, SharedAnswers};
use super::dialogue::{Dialogue, MS};
use crate::wer::Failure;
use std::sync::{Arc, PoisonError};
use tertulia::backend::{Backends, LISTEN_RATE_HZ, Recognizer, TurnDetector, VadModel};
use tertulia::store::StoreLocation;
use tertulia::tuning::EndpointWeights;
use tertulia::{Engine, EngineBuilder, Event, EventKind, LanguageTag, ListenRequest, SessionEngine};

/// A decision may precede the reference's end of speech by so much; the reference's frames are 32 ms long.
const TOLERANCE_MS: u64 = 100;

/// A way to decide: the cues that are used, and their weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strategy {
    pub(super) cues: Cues,
    pub(super) weights: EndpointWeights,
    pub(super) patience: f32,
}

/// The cues that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cues {
    Silence,
    Detector,
    All,
}

/// A strategy that asks about every stop: it waits for a silence longer than any pause and shorter than any gap between
/// two clips.
pub(super) const ALL_STOPS: Strategy = Strategy {
    cues: Cues::All,
    weights: EndpointWeights {
        wait_ms_min: 1_400.0,
        wait_ms_max: 1_400.0,
        bias: 0.0,
        detector: 0.0,
        words: 0.0,
        words_pending: 0.0,
    },
    patience: 0.5,
};

/// The models under test.
pub(super) struct Models {
    pub(super) vad: Arc<dyn VadModel>,
    pub(super) detector: Arc<dyn TurnDetector>,
    pub(super) recognizer: Arc<dyn Recognizer>,
    pub(super) answers: SharedAnswers,
}

impl Models {
    /// Turns partial transcripts on, as in a conversation, or off. Once the cache knows every stop they change nothing.
    pub(super) fn set_partials(&self, on: bool) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).recognises_partials = on;
    }
}

/// A dialogue with an engine for each set of cues.
pub(super) struct Stage {
    pub(super) dialogue: Dialogue,
    pub(super) language: LanguageTag,
    engines: [Engine; 3],
}

/// The outcome of a clip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Inserted pauses, and how many of them an end was decided in.
    pub(super) pauses: usize,
    pub(super) cut_off: usize,
    /// An end was decided before its end, at an inserted pause or elsewhere.
    pub(super) early: bool,
    /// From its end to the decision, in ms; `None` where it was merged with the next, or missed.
    pub(super) delay_ms: Option<f64>,
}

impl Strategy {
    /// Silence alone, of a fixed length.
    pub(super) fn silence(wait_ms: f32) -> Self {
        let weights = EndpointWeights { wait_ms_min: wait_ms, wait_ms_max: wait_ms, ..Default::default() };
        Self { cues: Cues::Silence, weights, patience: 0.5 }
    }

    /// The detector alone: an end where its probability is over the threshold, or else after so long a silence.
    pub(super) fn detector(threshold: f32, wait_ms: f32) -> Self {
        // So steep that there is nothing between yes and no, and no before it has answered.
        let steep = 1e4;
        let bias = -steep * (threshold / (1.0 - threshold)).ln() - 1.0;
        let weights = EndpointWeights {
            wait_ms_min: 0.0,
            wait_ms_max: wait_ms,
            bias,
            detector: steep,
            words: 0.0,
            words_pending: 0.0,
        };
        Self { cues: Cues::Detector, weights, patience: 0.5 }
    }

    /// All three cues.
    pub(super) fn all(weights: EndpointWeights, patience: f32) -> Self {
        Self { cues: Cues::All, weights, patience }
    }
}

impl Stage {
    pub(super) fn new(dialogue: Dialogue, language: LanguageTag, models: &Models) -> Result<Self, Failure> {
        let vad: Arc<dyn VadModel> = Arc::new(Replay::new(Arc::clone(&models.vad)));
        let answers = &models.answers;
        let detector: Arc<dyn TurnDetector> =
            Arc::new(CachedDetector { inner: Arc::clone(&models.detector), answers: Arc::clone(answers) });
        let words: Arc<dyn Recognizer> =
            Arc::new(CachedRecognizer { inner: Arc::clone(&models.recognizer), answers: Arc::clone(answers) });
        let engine = |detector: Option<&Arc<dyn TurnDetector>>, recognizer: Arc<dyn Recognizer>| {
            let backends = Backends {
                vad: Some(Arc::clone(&vad)),
                turn_detector: detector.cloned(),
                recognizer: Some(recognizer),
                ..Default::default()
            };
            EngineBuilder::new().backends(backends).store(StoreLocation::Memory).build()
        };
        let engines = [
            engine(None, Arc::new(NoWords))?,
            engine(Some(&detector), Arc::new(NoWords))?,
            engine(Some(&detector), words)?,
        ];
        let stage = Self { dialogue, language, engines };
        // Fills the VAD's cache.
        stage.listen(&Strategy::silence(1_000.0), &stage.dialogue.samples)?;
        Ok(stage)
    }

    /// The events of the dialogue's first `samples`.
    pub(super) fn listen(&self, strategy: &Strategy, samples: &[f32]) -> Result<Vec<Event>, Failure> {
        let mut request = ListenRequest::new(samples.to_vec(), LISTEN_RATE_HZ, vec![self.language.clone()]);
        (request.weights, request.patience) = (strategy.weights, strategy.patience);
        request.partials = strategy.cues == Cues::All;
        let mut events = Vec::new();
        self.engines[strategy.cues as usize].listen(request)?.run(|event| {
            events.push(event);
            Ok(())
        })?;
        Ok(events)
    }

    /// The outcome of each clip.
    pub(super) fn outcomes(&self, strategy: &Strategy) -> Result<Vec<Outcome>, Failure> {
        let events = self.listen(strategy, &self.dialogue.samples)?;
        let ended: Vec<(u64, u64)> = events
            .iter()
            .filter_map(|event| match event.kind {
                EventKind::UtteranceEnded { start_ms, decided_ms, .. } => Some((start_ms, decided_ms)),
                _ => None,
            })
            .collect();
        let ms = |at: usize| (at / MS) as u64;
        let said = &self.dialogue.said;
        let outcome = |index: usize| {
            let (start, end) = (ms(said[index].speech.start), ms(said[index].speech.end));
            let next = said.get(index + 1).map_or(u64::MAX, |next| ms(next.speech.start));
            let cut_off = said[index]
                .pauses
                .iter()
                .filter(|pause| ended.iter().any(|(_, decided)| (ms(pause.start)..ms(pause.end)).contains(decided)));
            let right =
                ended.iter().find(|(begun, decided)| *begun < end && (end - TOLERANCE_MS..next).contains(decided));
            Outcome {
                pauses: said[index].pauses.len(),
                cut_off: cut_off.count(),
                early: ended.iter().any(|(_, decided)| {
                    let rests = said[index].rests.iter().any(|rest| (ms(rest.start)..ms(rest.end)).contains(decided));
                    (start..end - TOLERANCE_MS).contains(decided) && !rests
                }),
                delay_ms: right.map(|(_, decided)| *decided as f64 - end as f64),
            }
        };
        Ok((0..said.len()).map(outcome).collect())
    }
}
