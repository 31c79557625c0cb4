//! When somebody starts to speak, stops, and has finished.
//!
//! Starting and stopping follow the voice activity detector with hysteresis. Whether a stop is the end is weighed from
//! three witnesses: how long the silence is, what the turn detector hears in the voice, and whether the words so far
//! look complete. The more they speak for an end, the shorter the silence that is asked for. A witness that is not there
//! weighs nothing; words that are still to come speak against an end.
//!
//! Positions count samples at 16 kHz since listening began.

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
/// Silence after which the turn detector is asked: it must hear 100 to 200 ms of it.
const ASK: u64 = 200 * SAMPLES_PER_MS;

/// Sound after the last speech that belongs to the utterance.
const TAIL: u64 = 300 * SAMPLES_PER_MS;

/// The detector is not believed beyond this probability, or its opposite.
const DETECTOR_PROBABILITY_MAX: f32 = 0.98;

/// How three witnesses are weighed against a silence: how sure an end must be for how long a wait.
///
/// The log-odds of an end are `bias`, and what the witnesses add to it. The silence asked for falls with them, along a
/// logistic curve, from the longest to the shortest; the session's `patience` stretches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointWeights {
    /// The silence that is asked for where everything speaks for an end, in ms.
    pub wait_ms_min: f32,
    /// The silence that is asked for where everything speaks against it, in ms.
    pub wait_ms_max: f32,
    /// The log-odds of an end while no witness has answered.
    pub bias: f32,
    /// What the log-odds of the turn detector's probability are multiplied with.
    pub detector: f32,
    /// What the words' completeness, from -1 to 1, is multiplied with.
    pub words: f32,
    /// What the log-odds lose while the recogniser has yet to say the words.
    pub unheard: f32,
}

impl Default for EndpointWeights {
    /// By `cargo xtask endpoint`: the words tell most, and are worth waiting for; the detector, which takes more than half
    /// of all hesitations for an end, tells the rest.
    fn default() -> Self {
        Self { wait_ms_min: 400.0, wait_ms_max: 1_500.0, bias: 1.0, detector: 0.8, words: 6.0, unheard: 1.5 }
    }
}

/// Weights for tests that say when an end is decided, which do not follow what is found to be best for real speech.
#[cfg(any(test, feature = "testing"))]
pub(crate) const WEIGHTS_OF_TESTS: EndpointWeights =
    EndpointWeights { wait_ms_min: 460.0, wait_ms_max: 1_800.0, bias: 0.5, detector: 1.5, words: 2.0, unheard: 0.0 };

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct EndpointSettings {
    pub(crate) weights: EndpointWeights,
    /// 0 waits half as long as 0.5, 1 twice as long.
    pub(crate) patience: f32,
    /// Sound that is shorter is not speech.
    pub(crate) speech_min: u64,
    /// Speech is cut off when it lasts this long.
    pub(crate) utterance_max: u64,
}

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sign {
    /// Speech began at `start`; `resumed` where it goes on after a stop.
    Started { start: u64, resumed: bool },
    /// Speech stopped at `end`.
    Stopped { end: u64 },
    /// The silence is long enough for the turn detector.
    Ask,
    /// The utterance is complete.
    Ended(Utterance),
}

/// An utterance's place in the audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Utterance {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Up to where the audio was heard when its end was decided.
    pub(crate) decided: u64,
    pub(crate) reason: EndReason,
}

impl Utterance {
    /// The sound that belongs to it, what came before it left out.
    pub(crate) fn sound(&self) -> Range<u64> {
        self.start..self.decided.min(self.end + TAIL)
    }

    /// What a host is told of its end.
    pub(crate) fn ended(&self) -> EventKind {
        EventKind::UtteranceEnded {
            start_ms: self.start / SAMPLES_PER_MS,
            end_ms: self.end / SAMPLES_PER_MS,
            decided_ms: self.decided / SAMPLES_PER_MS,
            reason: self.reason,
        }
    }
}

/// Follows one stream of audio.
#[derive(Debug)]
pub(crate) struct Endpointer {
    settings: EndpointSettings,
    position: u64,
    onset: Onset,
    open: Option<Open>,
}

/// Speech that may be beginning.
#[derive(Debug, Default)]
struct Onset {
    start: u64,
    speech: u64,
    gap: u64,
}

/// An utterance under way.
#[derive(Debug)]
struct Open {
    start: u64,
    /// The end of the last speech.
    end: u64,
    stop: Option<Stop>,
}

/// A stop, and what the witnesses say about it.
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
        Self { settings, position: 0, onset: Onset::default(), open: None }
    }

    pub(crate) fn set(&mut self, settings: EndpointSettings) {
        self.settings = settings;
    }

    /// Up to where the audio was heard.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where the utterance under way started.
    pub(crate) fn start(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.start)
    }

    /// How long the utterance under way is, from its start to the last speech.
    pub(crate) fn speech_len(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.end - open.start)
    }

    /// Whether the last frame was speech.
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

    /// Takes in one frame that ends at `end`; `each` gets what follows from it.
    pub(crate) fn speech(&mut self, end: u64, probability: f32, mut each: impl FnMut(Sign)) {
        let start = std::mem::replace(&mut self.position, end).min(end);
        let begins = self.follow_onset(start..end, probability);
        let Some(open) = &mut self.open else {
            if begins {
                let start = self.onset.start;
                self.open = Some(Open { start, end, stop: None });
                self.onset = Onset::default();
                each(Sign::Started { start, resumed: false });
            }
            return;
        };
        match &mut open.stop {
            None if probability >= OFFSET_PROBABILITY => open.end = end,
            None if end - open.end >= STOP => {
                open.stop = Some(Stop::default());
                self.onset = Onset::default();
                each(Sign::Stopped { end: open.end });
            }
            None => {}
            Some(_) if begins => {
                open.end = end;
                open.stop = None;
                each(Sign::Started { start: self.onset.start, resumed: true });
                self.onset = Onset::default();
            }
            Some(stop) if end - open.end >= ASK && !stop.asked => {
                stop.asked = true;
                each(Sign::Ask);
            }
            Some(_) => {}
        }
        if end - open.start >= self.settings.utterance_max {
            self.finish(EndReason::TooLong).map(Sign::Ended).into_iter().for_each(each);
        } else {
            self.decide().map(Sign::Ended).into_iter().for_each(each);
        }
    }

    /// The turn detector's probability that the last stop is the end.
    pub(crate) fn hear_detector(&mut self, probability: f32) -> Option<Utterance> {
        self.stop_mut()?.detector = Some(probability);
        self.decide()
    }

    /// How complete the words up to the last stop look, from -1 to 1.
    pub(crate) fn hear_words(&mut self, completeness: f32) -> Option<Utterance> {
        let stop = self.stop_mut()?;
        stop.words = Some(completeness);
        stop.awaits_words = false;
        self.decide()
    }

    /// Whether words are to come about the last stop.
    pub(crate) fn await_words(&mut self, awaits: bool) {
        if let Some(stop) = self.stop_mut() {
            stop.awaits_words = awaits;
        }
    }

    /// Ends the utterance under way, if there is one.
    pub(crate) fn finish(&mut self, reason: EndReason) -> Option<Utterance> {
        self.onset = Onset::default();
        let Open { start, end, .. } = self.open.take()?;
        Some(Utterance { start, end, decided: self.position, reason })
    }

    fn stop_mut(&mut self) -> Option<&mut Stop> {
        self.open.as_mut()?.stop.as_mut()
    }

    /// Counts speech that may be a beginning; whether it is long enough to be one.
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
        // Speech that may be going on again is given the time to show it.
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
            None if stop.awaits_words => -weights.unheard,
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

    const FRAME: u64 = 512;

    fn endpointer() -> Endpointer {
        let settings = EndpointSettings {
            weights: WEIGHTS_OF_TESTS,
            patience: 0.5,
            speech_min: 100 * SAMPLES_PER_MS,
            utterance_max: 20_000 * SAMPLES_PER_MS,
        };
        Endpointer::new(settings)
    }

    /// Hears so many ms at one probability.
    fn hear(endpointer: &mut Endpointer, ms: u64, probability: f32) -> Vec<Sign> {
        let mut signs = Vec::new();
        for _ in 0..ms * SAMPLES_PER_MS / FRAME {
            endpointer.speech(endpointer.position() + FRAME, probability, |sign| signs.push(sign));
        }
        signs
    }

    /// How many ms of silence it takes until the utterance is over.
    fn delay_ms(endpointer: &mut Endpointer, detector: Option<f32>, words: Option<f32>) -> u64 {
        for _ in 0..1_000 {
            let mut answers = Vec::new();
            let mut ended = None;
            endpointer.speech(endpointer.position() + FRAME, 0.02, |sign| answers.push(sign));
            for sign in answers {
                match sign {
                    Sign::Ask => {
                        ended = detector.and_then(|p| endpointer.hear_detector(p));
                        ended = ended.or_else(|| words.and_then(|w| endpointer.hear_words(w)));
                    }
                    Sign::Ended(utterance) => ended = Some(utterance),
                    _ => {}
                }
            }
            if let Some(utterance) = ended {
                return (utterance.decided - utterance.end) / SAMPLES_PER_MS;
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn speech_starts_where_its_first_frame_did_and_stops_where_its_last_one_did() {
        let mut endpointer = endpointer();
        assert_eq!(hear(&mut endpointer, 960, 0.1), []);
        let signs = hear(&mut endpointer, 960, 0.9);
        assert_eq!(signs, [Sign::Started { start: 960 * SAMPLES_PER_MS, resumed: false }]);
        let signs = hear(&mut endpointer, 160, 0.1);
        assert_eq!(signs, [Sign::Stopped { end: 1_920 * SAMPLES_PER_MS }]);
    }

    #[test]
    fn a_click_is_no_speech_and_a_dip_is_no_stop() {
        let mut endpointer = endpointer();
        assert_eq!(hear(&mut endpointer, 64, 0.9), []);
        assert_eq!(hear(&mut endpointer, 320, 0.1), []);
        hear(&mut endpointer, 640, 0.9);
        // Between the two thresholds speech goes on, however long.
        assert_eq!(hear(&mut endpointer, 1_600, 0.4), []);
        assert_eq!(hear(&mut endpointer, 96, 0.1), []);
        assert_eq!(hear(&mut endpointer, 320, 0.9), []);
    }

    #[test]
    fn the_more_witnesses_speak_for_an_end_the_sooner_it_comes() {
        let after_speech = |detector, words| {
            let mut endpointer = endpointer();
            hear(&mut endpointer, 960, 0.9);
            delay_ms(&mut endpointer, detector, words)
        };
        let both = after_speech(Some(0.9), Some(1.0));
        let detector = after_speech(Some(0.9), None);
        let none = after_speech(None, None);
        let against = after_speech(Some(0.25), None);
        let both_against = after_speech(Some(0.25), Some(-1.0));
        assert!(both <= 500, "{both}");
        assert!(both < detector && detector < none && none < against && against < both_against);
        assert!(both_against >= 1_700, "{both_against}");
    }

    #[test]
    fn patience_makes_it_wait() {
        let with = |patience| {
            let mut endpointer = endpointer();
            endpointer.set(EndpointSettings { patience, ..endpointer.settings });
            hear(&mut endpointer, 960, 0.9);
            delay_ms(&mut endpointer, None, None)
        };
        let (none, some, much) = (with(0.0), with(0.5), with(1.0));
        assert!(none < some && some < much, "{none} {some} {much}");
        assert!((some * 2).abs_diff(much) <= 64, "{some} {much}");
    }

    #[test]
    fn a_resumed_hesitation_is_the_same_utterance() {
        let mut endpointer = endpointer();
        hear(&mut endpointer, 960, 0.9);
        let signs = hear(&mut endpointer, 480, 0.1);
        assert_eq!(signs[1..], [Sign::Ask]);
        assert_eq!(endpointer.hear_detector(0.1), None);
        let signs = hear(&mut endpointer, 960, 0.9);
        assert_eq!(signs, [Sign::Started { start: 1_440 * SAMPLES_PER_MS, resumed: true }]);
        // What was said of the earlier stop does not count for the next.
        let ended = hear(&mut endpointer, 3_000, 0.1).into_iter().find_map(|sign| match sign {
            Sign::Ended(utterance) => Some(utterance),
            _ => None,
        });
        let utterance = ended.expect("it ends");
        assert_eq!((utterance.start, utterance.end), (0, 2_400 * SAMPLES_PER_MS));
    }

    #[test]
    fn endless_speech_is_cut_off() {
        let mut endpointer = endpointer();
        let signs = hear(&mut endpointer, 20_992, 0.9);
        assert!(matches!(signs[1], Sign::Ended(Utterance { reason: EndReason::TooLong, .. })), "{signs:?}");
    }

    #[test]
    fn answers_without_a_stop_are_of_no_use() {
        let mut endpointer = endpointer();
        assert_eq!(endpointer.hear_detector(0.9), None);
        hear(&mut endpointer, 960, 0.9);
        assert_eq!(endpointer.hear_words(1.0), None);
        assert_eq!(endpointer.finish(EndReason::Host).map(|u| u.reason), Some(EndReason::Host));
        assert_eq!(endpointer.finish(EndReason::Host), None);
    }
}
