//! What is being said now: asks the witnesses about each stop, shows the words so far, and tells when it is complete.

use super::endpoint::{EndpointSettings, Endpointer, Sign, Utterance};
use super::words::{self, Shown};
use crate::error::ErrorCode;
use crate::event::{EndReason, ErrorInfo, Transcript, TurnId};
use std::collections::VecDeque;

/// What can be set, and who is there to be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ListenSettings {
    pub(crate) endpoint: EndpointSettings,
    pub(crate) asks_detector: bool,
    pub(crate) asks_recognizer: bool,
    /// Samples of speech between two questions what was said so far.
    pub(crate) partial_every: u64,
}

/// A question to a backend; a late answer to an earlier one finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Inquiry(pub(crate) u64);

/// What the recogniser made of the audio up to the stop.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Draft {
    /// It was not asked, or could not say.
    #[default]
    None,
    /// It is at work.
    Pending,
    Done(Transcript),
}

/// Something said, complete.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spoken {
    pub(crate) place: Utterance,
    /// The question whose answer the draft is.
    pub(crate) inquiry: Inquiry,
    pub(crate) draft: Draft,
    /// The turn that was promised to begin with it.
    pub(crate) turn: Option<TurnId>,
}

/// What a listener has to tell or to ask. Spans of audio are from the start of the utterance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    Started {
        start: u64,
    },
    Stopped {
        end: u64,
    },
    /// Ask the turn detector whether the audio sounds finished.
    AskDetector {
        inquiry: Inquiry,
        start: u64,
        end: u64,
    },
    /// Recognise the audio as if it were complete.
    AskDraft {
        inquiry: Inquiry,
        start: u64,
        end: u64,
    },
    /// Recognise what was said so far.
    AskPartial {
        inquiry: Inquiry,
        start: u64,
        end: u64,
    },
    /// Nobody waits for the answer any more.
    Drop {
        inquiry: Inquiry,
    },
    /// What was said so far, and how much of it stands.
    Words {
        transcript: Transcript,
        shown: String,
        stable_len: usize,
        /// Whether it is all up to a stop.
        is_draft: bool,
    },
    Ended(Spoken),
    /// What sounded like speech held no words.
    Void,
}

#[derive(Debug)]
pub(crate) struct Listener {
    settings: ListenSettings,
    endpointer: Endpointer,
    signs: Vec<Sign>,
    notices: VecDeque<Notice>,
    next_inquiry: u64,
    /// The question about the last stop.
    stop: Inquiry,
    draft: Draft,
    /// The question about the words so far that is not answered yet.
    partial: Option<Inquiry>,
    /// Up to where the words so far were asked for.
    partial_at: u64,
    shown: Shown,
}

impl Listener {
    pub(crate) fn new(settings: ListenSettings) -> Self {
        Self {
            settings,
            endpointer: Endpointer::new(settings.endpoint),
            signs: Vec::new(),
            notices: VecDeque::new(),
            next_inquiry: 0,
            stop: Inquiry(0),
            draft: Draft::None,
            partial: None,
            partial_at: 0,
            shown: Shown::default(),
        }
    }

    pub(crate) fn set(&mut self, settings: ListenSettings) {
        self.settings = settings;
        self.endpointer.set(settings.endpoint);
    }

    pub(crate) fn poll(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Whether an utterance is under way.
    pub(crate) fn is_open(&self) -> bool {
        self.endpointer.start().is_some()
    }

    /// The question about the last stop, once it is answered.
    pub(crate) fn drafting(&self) -> Option<Inquiry> {
        matches!(self.draft, Draft::Done(_)).then_some(self.stop)
    }

    /// How long the utterance under way is, from its start to the last speech.
    pub(crate) fn speech_len(&self) -> u64 {
        self.endpointer.speech_len()
    }

    /// Up to where the audio was heard.
    pub(crate) fn position(&self) -> u64 {
        self.endpointer.position()
    }

    /// The first sample that is still of use.
    pub(crate) fn needed_from(&self) -> u64 {
        self.endpointer.needed_from()
    }

    /// Takes in one frame of audio that ends at `end`.
    pub(crate) fn hear(&mut self, end: u64, probability: f32) {
        let mut signs = std::mem::take(&mut self.signs);
        self.endpointer.speech(end, probability, |sign| signs.push(sign));
        for sign in signs.drain(..) {
            self.follow(sign);
        }
        self.signs = signs;
        self.ask_partial();
    }

    /// The detector's answer: the probability that the utterance is finished.
    pub(crate) fn hear_detector(&mut self, inquiry: Inquiry, probability: f32) {
        if inquiry == self.stop
            && let Some(utterance) = self.endpointer.hear_detector(probability)
        {
            self.end(utterance);
        }
    }

    /// What the recogniser understood at first of the audio up to a stop. It weighs as much as the answer that follows.
    pub(crate) fn hear_first(&mut self, inquiry: Inquiry, transcript: Transcript) {
        if inquiry != self.stop || self.draft != Draft::Pending || transcript.text.is_empty() {
            return;
        }
        self.weigh_words(transcript, false);
    }

    /// The recogniser's answer about a stop; false where this stop is not the last one, or not the listener's any
    /// more.
    pub(crate) fn hear_draft(&mut self, inquiry: Inquiry, answer: &Result<Transcript, ErrorInfo>) -> bool {
        if inquiry != self.stop || self.draft != Draft::Pending {
            return false;
        }
        let transcript = match answer {
            Ok(transcript) => transcript.clone(),
            Err(error) if error.code == ErrorCode::NoSpeech => Transcript::default(),
            Err(_) => {
                self.draft = Draft::None;
                self.endpointer.await_words(false);
                return true;
            }
        };
        if transcript.text.is_empty() {
            self.discard();
            self.notices.push_back(Notice::Void);
            return true;
        }
        self.draft = Draft::Done(transcript.clone());
        self.weigh_words(transcript, true);
        true
    }

    /// Tells the words up to a stop, and lets them count.
    fn weigh_words(&mut self, transcript: Transcript, is_draft: bool) {
        let completeness = words::completeness(&transcript, &spoken_languages(&transcript));
        self.tell_words(transcript, is_draft);
        if let Some(utterance) = self.endpointer.hear_words(completeness) {
            self.end(utterance);
        }
    }

    /// The recogniser's answer about the words so far.
    pub(crate) fn hear_partial(&mut self, inquiry: Inquiry, answer: Result<Transcript, ErrorInfo>) {
        if self.partial != Some(inquiry) {
            return;
        }
        self.partial = None;
        if let Ok(transcript) = answer
            && !transcript.text.is_empty()
        {
            self.tell_words(transcript, false);
        }
    }

    /// Ends the utterance under way, if there is one.
    pub(crate) fn finish(&mut self, reason: EndReason) {
        if let Some(utterance) = self.endpointer.finish(reason) {
            self.end(utterance);
        }
    }

    /// Forgets the utterance under way.
    pub(crate) fn discard(&mut self) {
        self.endpointer.finish(EndReason::Silence);
        self.notices.retain(|notice| !matches!(notice, Notice::Words { .. } | Notice::Ended(_)));
        self.drop_draft();
        self.drop_partial();
    }

    fn follow(&mut self, sign: Sign) {
        match sign {
            Sign::Started { start, resumed } => {
                if resumed {
                    self.drop_draft();
                } else {
                    self.partial_at = start;
                    self.shown = Shown::default();
                }
                self.notices.push_back(Notice::Started { start });
            }
            Sign::Stopped { end } => {
                self.notices.push_back(Notice::Stopped { end });
                self.ask_for_words();
            }
            Sign::Ask => self.ask_detector(),
            Sign::Ended(utterance) => self.end(utterance),
        }
    }

    /// Words take long, so they are asked for at once, though speech may well go on before they are there.
    fn ask_for_words(&mut self) {
        // What is asked now will tell all that a partial could.
        self.drop_partial();
        self.stop = self.inquire();
        if self.settings.asks_recognizer
            && let Some(start) = self.endpointer.start()
        {
            self.draft = Draft::Pending;
            self.endpointer.await_words(true);
            let (inquiry, end) = (self.stop, self.endpointer.position());
            self.notices.push_back(Notice::AskDraft { inquiry, start, end });
        }
    }

    fn ask_detector(&mut self) {
        if self.settings.asks_detector
            && let Some(start) = self.endpointer.start()
        {
            let (inquiry, end) = (self.stop, self.endpointer.position());
            self.notices.push_back(Notice::AskDetector { inquiry, start, end });
        }
    }

    fn ask_partial(&mut self) {
        let end = self.endpointer.position();
        let due = self.settings.asks_recognizer
            && self.partial.is_none()
            && self.endpointer.is_speaking()
            && end - self.partial_at >= self.settings.partial_every;
        if let Some(start) = self.endpointer.start().filter(|_| due) {
            let inquiry = self.inquire();
            self.partial = Some(inquiry);
            self.partial_at = end;
            self.notices.push_back(Notice::AskPartial { inquiry, start, end });
        }
    }

    fn tell_words(&mut self, transcript: Transcript, is_draft: bool) {
        let (shown, stable_len) = self.shown.update(&transcript.text);
        self.notices.push_back(Notice::Words { transcript, shown, stable_len, is_draft });
    }

    fn end(&mut self, place: Utterance) {
        self.drop_partial();
        let draft = std::mem::take(&mut self.draft);
        let inquiry = self.stop;
        // The answer, if it is still to come, is not the listener's any more.
        self.stop = self.inquire();
        self.notices.push_back(Notice::Ended(Spoken { place, inquiry, draft, turn: None }));
    }

    fn drop_draft(&mut self) {
        if std::mem::take(&mut self.draft) != Draft::None {
            self.notices.push_back(Notice::Drop { inquiry: self.stop });
        }
        self.stop = self.inquire();
    }

    fn drop_partial(&mut self) {
        if let Some(inquiry) = self.partial.take() {
            self.notices.push_back(Notice::Drop { inquiry });
        }
    }

    fn inquire(&mut self) -> Inquiry {
        self.next_inquiry += 1;
        Inquiry(self.next_inquiry)
    }
}

/// The language that a transcript is in, for the rules about words.
pub(crate) fn spoken_languages(transcript: &Transcript) -> Vec<&str> {
    transcript.language.iter().map(|language| language.primary()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::WEIGHTS_OF_TESTS;
    use super::*;

    const FRAME: u64 = 512;

    fn listener() -> Listener {
        let weights = WEIGHTS_OF_TESTS;
        let endpoint = EndpointSettings { weights, patience: 0.5, speech_min: 1_600, utterance_max: 16_000 * 60 };
        Listener::new(ListenSettings { endpoint, asks_detector: true, asks_recognizer: true, partial_every: 8_000 })
    }

    fn hear(listener: &mut Listener, ms: u64, probability: f32) -> Vec<Notice> {
        for _ in 0..ms * 16 / FRAME {
            listener.hear(listener.endpointer.position() + FRAME, probability);
        }
        notices(listener)
    }

    fn notices(listener: &mut Listener) -> Vec<Notice> {
        std::iter::from_fn(|| listener.poll()).collect()
    }

    fn asked_draft(told: &[Notice]) -> Inquiry {
        let asked = told.iter().find_map(|notice| match notice {
            Notice::AskDraft { inquiry, .. } => Some(*inquiry),
            _ => None,
        });
        asked.unwrap_or_else(|| panic!("{told:?}"))
    }

    fn said(text: &str) -> Transcript {
        Transcript { text: text.into(), language: "es".parse().ok(), ..Default::default() }
    }

    #[test]
    fn words_are_asked_for_while_somebody_speaks_and_never_queue() {
        let mut listener = listener();
        let asked = |notices: Vec<Notice>| -> Vec<Inquiry> {
            notices
                .iter()
                .filter_map(|notice| match notice {
                    Notice::AskPartial { inquiry, .. } => Some(*inquiry),
                    _ => None,
                })
                .collect()
        };
        let first = asked(hear(&mut listener, 3_200, 0.9));
        assert_eq!(first.len(), 1, "the second is not asked before the first is answered");
        listener.hear_partial(first[0], Ok(said("Hola, quiero")));
        assert!(matches!(&notices(&mut listener)[..], [Notice::Words { stable_len: 0, is_draft: false, .. }]));
        let second = asked(hear(&mut listener, 640, 0.9));
        assert_eq!(second.len(), 1);
        listener.hear_partial(first[0], Ok(said("Tarde")));
        assert_eq!(notices(&mut listener), [], "an answer is taken once");
        listener.hear_partial(second[0], Ok(said("Hola, quiero un")));
        assert!(matches!(&notices(&mut listener)[..], [Notice::Words { stable_len: 12, .. }]));
    }

    #[test]
    fn a_stop_is_drafted_and_the_draft_goes_with_the_utterance() {
        let mut listener = listener();
        hear(&mut listener, 400, 0.9);
        let told = hear(&mut listener, 260, 0.1);
        let inquiry = asked_draft(&told);
        assert!(listener.hear_draft(inquiry, &Ok(said("Sí."))));
        listener.hear_detector(inquiry, 0.99);
        let told = hear(&mut listener, 320, 0.1);
        let Some(Notice::Ended(spoken)) = told.last() else { panic!("{told:?}") };
        assert_eq!(spoken.draft, Draft::Done(said("Sí.")));
        assert!(!listener.hear_draft(inquiry, &Ok(said("Sí."))), "it is not the listener's any more");
    }

    #[test]
    fn words_count_from_the_first_hearing_on() {
        let mut listener = listener();
        hear(&mut listener, 400, 0.9);
        let told = hear(&mut listener, 260, 0.1);
        let inquiry = asked_draft(&told);
        listener.hear_detector(inquiry, 0.99);
        listener.hear_first(inquiry, said("Quiero un café."));
        let told = hear(&mut listener, 320, 0.1);
        let Some(Notice::Ended(spoken)) = told.last() else { panic!("{told:?}") };
        assert_eq!(spoken.draft, Draft::Pending, "what counts is still to come");
        assert!(told.iter().any(|notice| matches!(notice, Notice::Words { is_draft: false, .. })), "{told:?}");
        listener.hear_first(inquiry, said("Quiero un"));
        assert_eq!(notices(&mut listener), [], "it is not the listener's any more");
    }

    #[test]
    fn the_draft_of_a_hesitation_is_dropped() {
        let mut listener = listener();
        hear(&mut listener, 960, 0.9);
        let told = hear(&mut listener, 260, 0.1);
        let inquiry = asked_draft(&told);
        let told = hear(&mut listener, 320, 0.9);
        assert!(told.contains(&Notice::Drop { inquiry }), "{told:?}");
        assert!(!listener.hear_draft(inquiry, &Ok(said("Quiero"))));
    }

    #[test]
    fn a_noise_without_words_leaves_nothing() {
        let mut listener = listener();
        hear(&mut listener, 300, 0.9);
        let told = hear(&mut listener, 260, 0.1);
        let inquiry = asked_draft(&told);
        listener.hear_draft(inquiry, &Ok(said("")));
        assert!(notices(&mut listener).contains(&Notice::Void));
        assert!(!listener.is_open());
        assert_eq!(hear(&mut listener, 5_000, 0.1), []);
    }

    #[test]
    fn an_utterance_can_be_ended_from_outside() {
        let mut listener = listener();
        listener.finish(EndReason::Host);
        assert_eq!(notices(&mut listener), []);
        hear(&mut listener, 640, 0.9);
        listener.finish(EndReason::InputInterrupted);
        let told = notices(&mut listener);
        let Some(Notice::Ended(spoken)) = told.last() else { panic!("{told:?}") };
        assert_eq!((spoken.place.reason, &spoken.draft), (EndReason::InputInterrupted, &Draft::None));
    }
}
