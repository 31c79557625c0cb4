//! One dialogue, listened to in one way, and what came of each clip.

use super::dialogue::{Dialogue, MS};
use super::witnesses::{Detector, Listener, NoWords, Replay, SharedAnswers};
use crate::wer::Failure;
use std::sync::{Arc, PoisonError};
use tertulia::backend::{Backends, LISTEN_RATE_HZ, Recognizer, TurnDetector, VadModel, run_steps};
use tertulia::store::StoreLocation;
use tertulia::tuning::EndpointWeights;
use tertulia::{Engine, EngineBuilder, Event, EventKind, LanguageTag, ListenRequest, SessionEngine};

/// A decision may come so much before what the reference takes for the end, whose frames are 32 ms long.
const TOLERANCE_MS: u64 = 100;

/// Who is asked, and how the answers are weighed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) witnesses: Witnesses,
    pub(super) weights: EndpointWeights,
    pub(super) patience: f32,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witnesses {
    Silence,
    Detector,
    All,
}

/// A way that asks about every stop: longer than any pause, and shorter than what lies between two clips, is the silence
/// that it waits for.
pub(super) const ALL_STOPS: Way = Way {
    witnesses: Witnesses::All,
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

/// The models that the dialogues are heard with.
pub(super) struct Models {
    pub(super) vad: Arc<dyn VadModel>,
    pub(super) detector: Arc<dyn TurnDetector>,
    pub(super) recognizer: Arc<dyn Recognizer>,
    pub(super) answers: SharedAnswers,
}

impl Models {
    /// Whether the words so far are asked for, as in a conversation. Once every stop was asked about they change nothing.
    pub(super) fn hear_partials(&self, hears: bool) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).hears_partials = hears;
    }
}

/// A dialogue, ready to be listened to again and again.
pub(super) struct Stage {
    pub(super) dialogue: Dialogue,
    pub(super) language: LanguageTag,
    engines: [Engine; 3],
}

/// What came of a clip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Pauses put into it, and how many of them were taken for its end.
    pub(super) pauses: usize,
    pub(super) cut_off: usize,
    /// It was ended before its end, at a pause put into it or elsewhere.
    pub(super) early: bool,
    /// From its end to the decision, in ms; `None` where it was merged with the next, or missed.
    pub(super) delay_ms: Option<f64>,
}

impl Way {
    /// Silence alone, of a fixed length.
    pub(super) fn silence(wait_ms: f32) -> Self {
        let weights = EndpointWeights { wait_ms_min: wait_ms, wait_ms_max: wait_ms, ..Default::default() };
        Self { witnesses: Witnesses::Silence, weights, patience: 0.5 }
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
        Self { witnesses: Witnesses::Detector, weights, patience: 0.5 }
    }

    /// All three witnesses.
    pub(super) fn all(weights: EndpointWeights, patience: f32) -> Self {
        Self { witnesses: Witnesses::All, weights, patience }
    }
}

impl Stage {
    pub(super) fn new(dialogue: Dialogue, language: LanguageTag, models: &Models) -> Result<Self, Failure> {
        let vad: Arc<dyn VadModel> = Arc::new(Replay::new(Arc::clone(&models.vad)));
        let answers = &models.answers;
        let detector: Arc<dyn TurnDetector> =
            Arc::new(Detector { inner: Arc::clone(&models.detector), answers: Arc::clone(answers) });
        let words: Arc<dyn Recognizer> =
            Arc::new(Listener { inner: Arc::clone(&models.recognizer), answers: Arc::clone(answers) });
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
        // The first to listen hears all, for the others.
        stage.listen(&Way::silence(1_000.0), &stage.dialogue.samples)?;
        Ok(stage)
    }

    /// Listens; each event as it comes.
    pub(super) fn listen(&self, way: &Way, samples: &[f32]) -> Result<Vec<Event>, Failure> {
        let mut request = ListenRequest::new(samples.to_vec(), LISTEN_RATE_HZ, vec![self.language.clone()]);
        (request.weights, request.patience) = (way.weights, way.patience);
        request.partials = way.witnesses == Witnesses::All;
        let mut events = Vec::new();
        run_steps(self.engines[way.witnesses as usize].listen(request)?, |event| {
            events.push(event);
            Ok(())
        })?;
        Ok(events)
    }

    /// What comes of each clip.
    pub(super) fn outcomes(&self, way: &Way) -> Result<Vec<Outcome>, Failure> {
        let events = self.listen(way, &self.dialogue.samples)?;
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
