//! The listener: endpointing of the microphone. It collects the cues of an end of turn at each stop, shows partial
//! transcripts, and tells when the utterance is complete.

use super::endpoint::{EndpointEvent, Endpointer, Utterance};
use super::io::ListeningSettings;
use super::words::{self, StablePrefix};
use crate::error::ErrorCode;
use crate::event::{EndReason, ErrorInfo, Transcript, TurnId};
use std::collections::VecDeque;
use std::ops::Range;

/// The number of a request to a backend, by which a late answer is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Inquiry(pub(crate) u64);

/// The recognition of the audio up to a stop, ahead of the decision that it is the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Draft {
    /// It was not asked for, or failed.
    #[default]
    None,
    /// The recogniser is at work.
    Pending,
    Done(Transcript),
}

/// A complete utterance.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spoken {
    pub(crate) place: Utterance,
    /// The inquiry that the draft answers.
    pub(crate) inquiry: Inquiry,
    pub(crate) draft: Draft,
    /// The reserved number of its turn.
    pub(crate) turn: Option<TurnId>,
}

/// An event or a request of the listener. Spans of audio begin where the utterance does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Notice {
    /// Speech onset; the utterance is open.
    Started { start: u64 },
    /// Speech stopped; the utterance may go on.
    Stopped { end: u64 },
    /// Ask the turn detector for the probability that the utterance is complete.
    AskDetector { inquiry: Inquiry, span: Range<u64> },
    /// Recognise the audio: as if it were complete, or for a partial transcript.
    AskRecognizer { inquiry: Inquiry, span: Range<u64>, is_draft: bool },
    /// The inquiry is of no use any more.
    Drop { inquiry: Inquiry },
    /// A partial transcript as it is shown, with its stable prefix; a draft is final up to a stop.
    Words { transcript: Transcript, shown: String, stable_len: usize, is_draft: bool },
    /// The utterance is complete.
    Ended(Spoken),
    /// The utterance turned out to hold no words, and is dropped.
    NoSpeech,
}

#[derive(Debug, Default)]
pub(super) struct Listener {
    settings: ListeningSettings,
    endpointer: Endpointer,
    notices: VecDeque<Notice>,
    next_inquiry: u64,
    /// The inquiry about the last stop.
    stop: Inquiry,
    draft: Draft,
    /// The inquiry for a partial transcript that is not answered.
    partial: Option<Inquiry>,
    /// The end of the audio that the last partial transcript was asked of.
    partial_at: u64,
    shown: StablePrefix,
}

impl Listener {
    pub(super) fn new(settings: ListeningSettings) -> Self {
        Self { settings, endpointer: Endpointer::new(settings.endpoint), ..Self::default() }
    }

    pub(super) fn set(&mut self, settings: ListeningSettings) {
        self.settings = settings;
        self.endpointer.set(settings.endpoint);
    }

    pub(super) fn settings(&self) -> &ListeningSettings {
        &self.settings
    }

    pub(super) fn poll(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    pub(super) fn endpointer(&self) -> &Endpointer {
        &self.endpointer
    }

    /// The inquiry about the last stop, once it is answered.
    pub(super) fn drafted(&self) -> Option<Inquiry> {
        matches!(self.draft, Draft::Done(_)).then_some(self.stop)
    }

    /// Takes a VAD frame that ends at sample `end`.
    pub(super) fn on_vad_frame(&mut self, end: u64, probability: f32) {
        for event in self.endpointer.on_vad_frame(end, probability) {
            self.follow(event);
        }
        self.ask_partial();
    }

    /// Takes the turn detector's probability that the utterance is complete.
    pub(super) fn on_turn_detector(&mut self, inquiry: Inquiry, probability: f32) {
        if inquiry == self.stop
            && let Some(utterance) = self.endpointer.on_turn_detector(probability)
        {
            self.end(utterance);
        }
    }

    /// Takes the recogniser's first pass over the draft. Its words weigh as much as those of the answer.
    pub(super) fn on_first_pass(&mut self, inquiry: Inquiry, transcript: Transcript) {
        if inquiry == self.stop && self.draft == Draft::Pending && !transcript.text.is_empty() {
            self.on_words(transcript, false);
        }
    }

    /// Takes the recogniser's answer to the draft.
    pub(super) fn on_draft(&mut self, answer: Result<Transcript, ErrorInfo>) {
        debug_assert_eq!(self.draft, Draft::Pending, "an answer comes once, and only while the draft is wanted");
        let transcript = match answer {
            Ok(transcript) => transcript,
            Err(error) if error.code == ErrorCode::NoSpeech => Transcript::default(),
            Err(_) => {
                self.draft = Draft::None;
                self.endpointer.await_words(false);
                return;
            }
        };
        if transcript.text.is_empty() {
            self.discard();
            self.notices.push_back(Notice::NoSpeech);
        } else {
            self.draft = Draft::Done(transcript.clone());
            self.on_words(transcript, true);
        }
    }

    /// Takes the words up to a stop, a cue of the end.
    fn on_words(&mut self, transcript: Transcript, is_draft: bool) {
        let completeness = words::completeness(&transcript);
        self.show(transcript, is_draft);
        if let Some(utterance) = self.endpointer.on_words(completeness) {
            self.end(utterance);
        }
    }

    /// Takes the recogniser's answer for a partial transcript.
    pub(super) fn on_partial(&mut self, answer: Result<Transcript, ErrorInfo>) {
        let asked = self.partial.take();
        debug_assert!(asked.is_some(), "an answer comes once, and only while the partial is wanted");
        if let Ok(transcript) = answer
            && !transcript.text.is_empty()
        {
            self.show(transcript, false);
        }
    }

    /// Ends the open utterance, if there is one.
    pub(super) fn finish(&mut self, reason: EndReason) {
        if let Some(utterance) = self.endpointer.finish(reason) {
            self.end(utterance);
        }
    }

    /// Drops the open utterance.
    pub(super) fn discard(&mut self) {
        self.endpointer.finish(EndReason::Silence);
        self.notices.retain(|notice| !matches!(notice, Notice::Words { .. } | Notice::Ended(_)));
        self.drop_draft();
        self.drop_partial();
    }

    fn follow(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::Started { start, resumed } => {
                if resumed {
                    self.drop_draft();
                } else {
                    self.partial_at = start;
                    self.shown = StablePrefix::default();
                }
                self.notices.push_back(Notice::Started { start });
            }
            EndpointEvent::Stopped { end } => {
                self.notices.push_back(Notice::Stopped { end });
                self.ask_draft();
            }
            EndpointEvent::DetectorDue => {
                if let Some(span) = self.span().filter(|_| self.settings.asks_detector) {
                    self.notices.push_back(Notice::AskDetector { inquiry: self.stop, span });
                }
            }
            EndpointEvent::Ended(utterance) => self.end(utterance),
        }
    }

    /// Recognition takes long, so it begins at once, though speech may well resume before it is done.
    fn ask_draft(&mut self) {
        // The draft will tell all that a partial transcript could.
        self.drop_partial();
        self.stop = self.inquire();
        if let Some(span) = self.span().filter(|_| self.settings.asks_recognizer) {
            self.draft = Draft::Pending;
            self.endpointer.await_words(true);
            self.notices.push_back(Notice::AskRecognizer { inquiry: self.stop, span, is_draft: true });
        }
    }

    fn ask_partial(&mut self) {
        let end = self.endpointer.position();
        let is_due = self.settings.asks_recognizer
            && self.partial.is_none()
            && self.endpointer.is_speaking()
            && end - self.partial_at >= self.settings.partial_every;
        if let Some(span) = self.span().filter(|_| is_due) {
            let inquiry = self.inquire();
            (self.partial, self.partial_at) = (Some(inquiry), end);
            self.notices.push_back(Notice::AskRecognizer { inquiry, span, is_draft: false });
        }
    }

    /// The audio of the open utterance. The frame at which speech stops may also end it.
    fn span(&self) -> Option<Range<u64>> {
        self.endpointer.start().map(|start| start..self.endpointer.position())
    }

    fn show(&mut self, transcript: Transcript, is_draft: bool) {
        let (shown, stable_len) = self.shown.update(&transcript.text);
        self.notices.push_back(Notice::Words { transcript, shown, stable_len, is_draft });
    }

    fn end(&mut self, place: Utterance) {
        self.drop_partial();
        let draft = std::mem::take(&mut self.draft);
        let inquiry = self.stop;
        // An answer that is still to come belongs to the utterance's turn.
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
