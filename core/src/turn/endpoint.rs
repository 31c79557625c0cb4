//! Endpointing: speech onset, stop and end of an utterance.
//!
//! Onset and stop follow the voice activity detector with hysteresis. The end-of-turn decision at a stop weighs three
//! cues: the length of the silence, the turn detector's probability, and the completeness of the words. The more the
//! other two speak for an end, the shorter the silence that it takes. An absent cue weighs nothing; words that are still
//! to come speak against an end.
//!
//! Positions count samples at 16 kHz since the session's audio began.

use crate::event::{EndReason, EventKind};
use std::ops::Range;

pub(crate) const SAMPLES_PER_MS: u64 = 16;
/// From this probability on a frame begins speech.
const ONSET_PROBABILITY: f32 = 0.5;
/// Down to this one it continues speech.
const OFFSET_PROBABILITY: f32 = 0.35;
/// Silence inside an onset that does not undo it.
const ONSET_GAP: u64 = 64 * SAMPLES_PER_MS;
/// Silence after which speech has stopped, for now.
const STOP: u64 = 120 * SAMPLES_PER_MS;
/// Silence after which the turn detector is asked: its input must contain 100 to 200 ms of it.
const ASK: u64 = 200 * SAMPLES_PER_MS;

/// Audio after the last speech that belongs to the utterance.
const TAIL: u64 = 300 * SAMPLES_PER_MS;

/// The detector's probability is clamped to this, and to its complement.
const DETECTOR_PROBABILITY_MAX: f32 = 0.98;

/// Weights of the cues of an end of turn.
///
/// The log-odds of an end are `bias`, and what the cues add to it. The silence that makes an end falls with them, along a
/// logistic curve, from the longest to the shortest; the session's `patience` stretches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointWeights {
    /// The silence where every cue speaks for an end, in ms.
    pub wait_ms_min: f32,
    /// The silence where every cue speaks against an end, in ms.
    pub wait_ms_max: f32,
    /// The log-odds of an end before any cue.
    pub bias: f32,
    /// The factor of the log-odds of the turn detector's probability.
    pub detector: f32,
    /// The factor of the words' completeness, from -1 to 1.
    pub words: f32,
    /// The loss of log-odds while the words are still to come.
    pub words_pending: f32,
}

impl Default for EndpointWeights {
    /// By `cargo xtask endpoint`: the words tell most, and are worth waiting for; the detector, which takes more than half
    /// of all hesitations for an end, tells the rest.
    fn default() -> Self {
        Self { wait_ms_min: 400.0, wait_ms_max: 1_500.0, bias: 1.0, detector: 0.8, words: 6.0, words_pending: 1.5 }
    }
}

/// The settings of an endpointer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct EndpointSettings {
    pub(crate) weights: EndpointWeights,
    /// 0 waits half as long as 0.5, 1 twice as long.
    pub(crate) patience: f32,
    /// Samples below which sound is not speech.
    pub(crate) speech_min: u64,
    /// Samples at which an utterance is cut off.
    pub(crate) utterance_max: u64,
}

/// A change in the stream, or a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum EndpointEvent {
    /// Speech onset at `start`; `resumed` after a stop of the same utterance.
    Started { start: u64, resumed: bool },
    /// Speech stopped at `end`.
    Stopped { end: u64 },
    /// The silence is long enough for the turn detector.
    DetectorDue,
    /// The utterance is complete.
    Ended(Utterance),
}

/// An utterance's place in the audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Utterance {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The position at which its end was decided.
    pub(crate) decided: u64,
    pub(crate) reason: EndReason,
}

impl Utterance {
    /// The audio that belongs to it, without the pre-roll.
    pub(crate) fn sound(&self) -> Range<u64> {
        self.start..self.decided.min(self.end + TAIL)
    }

    /// The event of its end.
    pub(crate) fn ended(&self) -> EventKind {
        EventKind::UtteranceEnded {
            start_ms: self.start / SAMPLES_PER_MS,
            end_ms: self.end / SAMPLES_PER_MS,
            decided_ms: self.decided / SAMPLES_PER_MS,
            reason: self.reason,
        }
    }
}

/// The endpointer of one stream of audio.
#[derive(Debug, Default)]
pub(crate) struct Endpointer {
    settings: EndpointSettings,
    position: u64,
    onset: Onset,
    open: Option<Open>,
}

/// A possible speech onset.
#[derive(Debug, Default)]
struct Onset {
    start: u64,
    speech: u64,
    gap: u64,
}

/// The open utterance.
#[derive(Debug)]
struct Open {
    start: u64,
    /// The end of the last speech.
    end: u64,
    stop: Option<Stop>,
}

/// A stop, and the cues about it.
#[derive(Debug, Default)]
struct Stop {
    asked: bool,
    detector: Option<f32>,
    words: Option<f32>,
    /// The recogniser was asked.
    awaits_words: bool,
}

impl Endpointer {
    pub(crate) fn new(settings: EndpointSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    pub(crate) fn set(&mut self, settings: EndpointSettings) {
        self.settings = settings;
    }

    /// The end of the last VAD frame.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// An utterance is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The start of the open utterance.
    pub(crate) fn start(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.start)
    }

    /// Samples of the open utterance, from its start to the last speech.
    pub(crate) fn speech_len(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.end - open.start)
    }

    /// The last frame was speech.
    pub(crate) fn is_speaking(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.stop.is_none() && open.end == self.position)
    }

    /// The first sample that is still of use.
    pub(crate) fn needed_from(&self) -> u64 {
        match (&self.open, self.onset.speech) {
            (Some(open), _) => open.start,
            (None, 0) => self.position,
            (None, _) => self.onset.start,
        }
    }

    /// Takes a VAD frame that ends at `end`; gives what follows from it.
    pub(crate) fn on_vad_frame(&mut self, end: u64, probability: f32) -> impl Iterator<Item = EndpointEvent> + use<> {
        let change = self.follow_speech(end, probability);
        let ended = match &self.open {
            Some(open) if end - open.start >= self.settings.utterance_max => self.finish(EndReason::TooLong),
            _ => self.decide(),
        };
        change.into_iter().chain(ended.map(EndpointEvent::Ended))
    }

    fn follow_speech(&mut self, end: u64, probability: f32) -> Option<EndpointEvent> {
        let start = std::mem::replace(&mut self.position, end).min(end);
        let begins = self.follow_onset(start..end, probability);
        let Some(open) = &mut self.open else {
            let onset = begins.then(|| std::mem::take(&mut self.onset))?;
            self.open = Some(Open { start: onset.start, end, stop: None });
            return Some(EndpointEvent::Started { start: onset.start, resumed: false });
        };
        match &mut open.stop {
            None if probability >= OFFSET_PROBABILITY => open.end = end,
            None if end - open.end >= STOP => {
                open.stop = Some(Stop::default());
                self.onset = Onset::default();
                return Some(EndpointEvent::Stopped { end: open.end });
            }
            None => {}
            Some(_) if begins => {
                open.end = end;
                open.stop = None;
                let start = std::mem::take(&mut self.onset).start;
                return Some(EndpointEvent::Started { start, resumed: true });
            }
            Some(stop) if end - open.end >= ASK && !stop.asked => {
                stop.asked = true;
                return Some(EndpointEvent::DetectorDue);
            }
            Some(_) => {}
        }
        None
    }

    /// Takes the turn detector's probability that the last stop is the end.
    pub(crate) fn on_turn_detector(&mut self, probability: f32) -> Option<Utterance> {
        self.stop_mut()?.detector = Some(probability);
        self.decide()
    }

    /// Takes the completeness of the words up to the last stop, from -1 to 1.
    pub(crate) fn on_words(&mut self, completeness: f32) -> Option<Utterance> {
        let stop = self.stop_mut()?;
        stop.words = Some(completeness);
        stop.awaits_words = false;
        self.decide()
    }

    /// Sets that words are to come about the last stop, or are not.
    pub(crate) fn await_words(&mut self, awaits: bool) {
        if let Some(stop) = self.stop_mut() {
            stop.awaits_words = awaits;
        }
    }

    /// Ends the open utterance, if there is one.
    pub(crate) fn finish(&mut self, reason: EndReason) -> Option<Utterance> {
        self.onset = Onset::default();
        let Open { start, end, .. } = self.open.take()?;
        Some(Utterance { start, end, decided: self.position, reason })
    }

    fn stop_mut(&mut self) -> Option<&mut Stop> {
        self.open.as_mut()?.stop.as_mut()
    }

    /// Counts speech of a possible onset; true once it is long enough for one.
    fn follow_onset(&mut self, frame: Range<u64>, probability: f32) -> bool {
        let onset = &mut self.onset;
        let len = frame.end - frame.start;
        if probability >= ONSET_PROBABILITY {
            if onset.speech == 0 {
                onset.start = frame.start;
            }
            onset.speech += len;
            onset.gap = 0;
        } else if onset.speech > 0 {
            onset.gap += len;
            if onset.gap > ONSET_GAP {
                *onset = Onset::default();
            }
        }
        onset.speech > 0 && onset.speech >= self.settings.speech_min
    }

    fn decide(&mut self) -> Option<Utterance> {
        let open = self.open.as_ref()?;
        let stop = open.stop.as_ref()?;
        let silence = self.position - open.end;
        // Speech that may be resuming is given the time to show it.
        let may_resume = self.onset.speech > 0 && self.onset.gap == 0;
        if may_resume || silence < self.wait(stop) {
            return None;
        }
        self.finish(EndReason::Silence)
    }

    /// The silence that makes the stop an end.
    fn wait(&self, stop: &Stop) -> u64 {
        let limit = DETECTOR_PROBABILITY_MAX;
        let detector = stop.detector.map_or(0.0, |p| logit(p.clamp(1.0 - limit, limit)));
        let weights = &self.settings.weights;
        let words = match stop.words {
            Some(completeness) => weights.words * completeness,
            None if stop.awaits_words => -weights.words_pending,
            None => 0.0,
        };
        let odds = weights.bias + weights.detector * detector + words;
        let wait_ms = weights.wait_ms_min + (weights.wait_ms_max - weights.wait_ms_min) / (1.0 + odds.exp());
        let patience = (2.0 * self.settings.patience - 1.0).exp2();
        (wait_ms * patience) as u64 * SAMPLES_PER_MS
    }
}

fn logit(probability: f32) -> f32 {
    (probability / (1.0 - probability)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vad_hysteresis_ignores_clicks_and_dips() {
        let (speech_min, utterance_max) = (100 * SAMPLES_PER_MS, 20_000 * SAMPLES_PER_MS);
        let mut endpointer = Endpointer::new(EndpointSettings { speech_min, utterance_max, ..Default::default() });
        let mut feed = |ms: u64, probability| {
            let mut events = Vec::new();
            for _ in 0..ms / 32 {
                events.extend(endpointer.on_vad_frame(endpointer.position() + 32 * SAMPLES_PER_MS, probability));
            }
            events
        };
        assert_eq!(feed(64, 0.9), []);
        assert_eq!(feed(320, 0.1), []);
        assert_eq!(feed(640, 0.9).len(), 1);
        // Between the two thresholds speech goes on, however long.
        assert_eq!(feed(1_600, 0.4), []);
        assert_eq!(feed(96, 0.1), []);
        assert_eq!(feed(320, 0.9), []);
    }
}
