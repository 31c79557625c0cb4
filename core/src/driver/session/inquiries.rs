//! The inquiries of a session: the machine's questions to the backends about its microphone, and the turns that follow.

use super::SessionCore;
use crate::backend::{CancelFlag, DetectionRequest, Purpose, RecognitionRequest};
use crate::driver::context::learners_message;
use crate::driver::history::CacheSlot;
use crate::driver::jobs;
use crate::driver::utterance::UtteranceAudio;
use crate::driver::worker::Worker;
use crate::error::{Error, ErrorCode};
use crate::event::{ErrorInfo, TurnId, TurnOrigin};
use crate::turn::{Answer, Input, Inquiry, SAMPLES_PER_MS, Spoken, Start, StartKind};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Sound from before a possible onset that is kept.
const LOOK_BACK: u64 = 2_500 * SAMPLES_PER_MS;

/// The questions under way, and the utterances that no turn has taken yet.
#[derive(Default)]
pub(super) struct Inquiries {
    /// The question about the last stop, and the one about the words so far.
    draft: Option<(Inquiry, CancelFlag)>,
    partial: Option<(Inquiry, CancelFlag)>,
    cache: CacheSlot,
    pub(super) spoken: HashMap<TurnId, (UtteranceAudio, CancelFlag)>,
}

impl SessionCore {
    pub(super) fn ask_detector(&mut self, inquiry: Inquiry, span: Range<u64>) {
        let (audio, cancel) = (self.audio(span), self.draft_flag(inquiry));
        let context = self.session.context(&self.session.config.lock(), Purpose::Partial, None);
        let request = DetectionRequest { context, cancel, ..DetectionRequest::new(audio) };
        self.spawn(Worker::TurnDetector, jobs::answer_detector(self.session.clone(), inquiry, request));
    }

    pub(super) fn ask_recognizer(&mut self, inquiry: Inquiry, span: Range<u64>, is_draft: bool) {
        let purpose = if is_draft { Purpose::Draft } else { Purpose::Partial };
        if self.session.engine.backends.recognizer.as_ref().is_some_and(|recognizer| !recognizer.accepts(purpose)) {
            let declined = ErrorInfo::from(&Error::new(ErrorCode::Unsupported, "the recogniser declines it"));
            return self.inputs.push_back(Input::Answered { inquiry, answer: Answer::Recognised(Err(declined)) });
        }
        let cancel = match is_draft {
            true => self.draft_flag(inquiry),
            false => self.inquiries.partial.insert((inquiry, CancelFlag::new())).1.clone(),
        };
        let config = self.session.config.lock().clone();
        let (context, languages) = (self.session.context(&config, purpose, None), config.languages());
        let request = RecognitionRequest {
            vocabulary: config.vocabulary,
            context,
            word_times: is_draft,
            cache: Some(self.inquiries.cache.since(span.start)),
            cancel,
            ..RecognitionRequest::new(self.audio(span), languages)
        };
        self.spawn(Worker::Recognizer, jobs::answer_words(self.session.clone(), inquiry, request));
    }

    pub(super) fn prefill(&mut self, inquiry: Inquiry, given: String) {
        if !self.superseding.is_empty() {
            return;
        }
        let cancel = self.draft_flag(inquiry);
        self.reading_ahead.cancel();
        self.read_ahead(Some(&learners_message(TurnOrigin::Utterance, given)), cancel);
    }

    pub(super) fn drop_inquiry(&mut self, inquiry: Inquiry) {
        for slot in [&mut self.inquiries.draft, &mut self.inquiries.partial] {
            if let Some((_, cancel)) = slot.take_if(|(asked, _)| *asked == inquiry) {
                cancel.cancel();
            }
        }
        self.session.events.nudge();
    }

    pub(super) fn start_spoken(&mut self, spoken: Box<Spoken>) {
        let turn = spoken.turn.unwrap_or_else(|| self.session.take_turn());
        let (place, sound) = (spoken.place, spoken.place.sound());
        let audio = self.audio(sound.clone());
        let before = audio.len() - (sound.end - sound.start) as usize;
        let speech = before..before + (place.end - place.start) as usize;
        let cancel = match self.inquiries.draft.take_if(|(asked, _)| *asked == spoken.inquiry) {
            Some((_, cancel)) => cancel,
            None => CancelFlag::new(),
        };
        self.inquiries.spoken.insert(turn, (UtteranceAudio { audio, speech }, cancel));
        let start = Start { turn, what: StartKind::Spoken(spoken), redoes: None };
        self.inputs.push_back(Input::Start(start));
    }

    /// Drops audio that no inquiry will need.
    pub(super) fn evict_history(&mut self) {
        let needed = self.machine.audio_needed_from();
        self.session.history.lock().evict_before(needed.saturating_sub(LOOK_BACK));
        self.inquiries.cache.evict_before(needed);
    }

    /// The flag of the question about a stop; the turn detector, the recogniser and the chat model share it.
    fn draft_flag(&mut self, inquiry: Inquiry) -> CancelFlag {
        let draft = &mut self.inquiries.draft;
        if draft.as_ref().is_none_or(|(asked, _)| *asked != inquiry) {
            *draft = Some((inquiry, CancelFlag::new()));
        }
        draft.as_ref().map(|(_, cancel)| cancel.clone()).unwrap_or_default()
    }

    /// A copy of the span, with what came just before it.
    fn audio(&self, span: Range<u64>) -> Arc<[f32]> {
        let preroll = u64::from(self.record.config.listening.preroll_ms) * SAMPLES_PER_MS;
        self.session.history.lock().copy(span.start.saturating_sub(preroll)..span.end)
    }
}
