//! Listening to a recording as if it were a microphone, as fast as the machine allows.
//!
//! Time is the audio's. What a backend answers is held back until the moment at which it would have come, by a declared
//! latency, so that the decisions are the same on any machine: those of real time where backends are as fast as declared.
//! What comes later in the recording plays no part.

use super::Shared;
use super::front_end::FrontEnd;
use super::history::{CacheSlot, History};
use crate::audio;
use crate::backend::{
    Backends, BoxFuture, CancelFlag, LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, StepStream,
};
use crate::config::{Listening, check_patience};
use crate::error::{ErrorCode, Result};
use crate::event::{EndReason, ErrorInfo, Event, EventKind, Transcript, TurnId};
use crate::language::LanguageTag;
use crate::turn::{
    Draft, EndpointSettings, EndpointWeights, Inquiry, ListenSettings, Listener, Notice, SAMPLES_PER_MS, Spoken,
};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Samples that are taken from the recording at a time: a tenth of a second at the recording's rate.
const BLOCKS_PER_S: usize = 10;

/// What to listen to, and how.
#[derive(Clone, Debug)]
pub struct ListenRequest {
    /// Mono samples between -1 and 1.
    pub samples: Vec<f32>,
    /// Samples per second, 8,000 to 192,000.
    pub rate: u32,
    /// As in [`RecognitionRequest`].
    pub languages: Vec<LanguageTag>,
    /// How willing to wait for somebody who hesitates, as in [`SessionConfig`](crate::SessionConfig).
    pub patience: f32,
    /// How the cues of an end of turn are weighed.
    #[doc(hidden)]
    pub weights: EndpointWeights,
    /// How to listen; the mode plays no part.
    pub listening: Listening,
    /// When the backends' answers count.
    #[doc(hidden)]
    pub latency: CueLatency,
    /// Whether the words so far are shown while somebody speaks.
    pub partials: bool,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl ListenRequest {
    /// A request with default settings, without partial transcripts.
    pub fn new(samples: Vec<f32>, rate: u32, languages: Vec<LanguageTag>) -> Self {
        Self {
            samples,
            rate,
            languages,
            patience: 0.5,
            weights: EndpointWeights::default(),
            listening: Listening::default(),
            latency: CueLatency::default(),
            partials: false,
            cancel: CancelFlag::new(),
        }
    }
}

/// How long after it was asked a backend's answer counts, in ms of the audio.
///
/// The default is what Smart Turn and Whisper base took at the 95th percentile by `cargo xtask latency`, on a virtual
/// machine with two cores (AVX2) on which nothing else ran, the recogniser having heard the words so far twice a second.
/// The median is 0.14 to 0.25 s for 1 to 10 s of speech. A final transcript that is heard again comes 1 to 3 s later;
/// decisions do not wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CueLatency {
    /// Of the turn detector.
    pub turn_detector_ms: u32,
    /// Of the recogniser, whatever the length of the utterance.
    pub recognizer_ms: u32,
    /// Of the recogniser, for each second of the utterance.
    pub recognizer_ms_per_s: u32,
    /// Of the recogniser, from a [first hearing](RecognitionStep::FirstPass) to the final transcript.
    pub recognizer_final_ms: u32,
}

impl Default for CueLatency {
    fn default() -> Self {
        Self { turn_detector_ms: 120, recognizer_ms: 240, recognizer_ms_per_s: 15, recognizer_final_ms: 2_800 }
    }
}

/// The listening under way: each step gives the next event.
pub(crate) struct Recording {
    shared: Arc<Shared>,
    request: ListenRequest,
    front_end: FrontEnd,
    listener: Listener,
    history: History,
    /// How much of the recording was heard.
    at: usize,
    /// Frames that were not looked at yet: where each ends, and its probability of speech.
    frames: VecDeque<(u64, f32)>,
    /// Answers, and when they count.
    answers: Vec<(u64, Inquiry, Answer)>,
    /// Utterances whose words are still to come.
    untold: Vec<(Inquiry, TurnId)>,
    cache: CacheSlot,
    utterances: u64,
    events: VecDeque<Event>,
    told: u64,
}

enum Answer {
    Detected(f32),
    FirstPass(Transcript),
    Draft(Result<Transcript, ErrorInfo>),
    Partial(Result<Transcript, ErrorInfo>),
}

impl Recording {
    pub(crate) fn new(shared: Arc<Shared>, request: ListenRequest) -> Result<Self> {
        request.listening.check()?;
        check_patience(request.patience)?;
        audio::check_samples(&request.samples, request.rate)?;
        if request.samples.is_empty() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        Backends::require(&shared.backends.vad, "voice activity detector")?;
        let front_end = FrontEnd::open(&shared)?;
        let mut settings = listen_settings(&request.listening, request.patience, request.partials, &shared);
        settings.endpoint.weights = request.weights;
        let listener = Listener::new(settings);
        Ok(Self {
            shared,
            request,
            front_end,
            listener,
            history: History::default(),
            at: 0,
            frames: VecDeque::new(),
            answers: Vec::new(),
            untold: Vec::new(),
            cache: CacheSlot::default(),
            utterances: 0,
            events: VecDeque::new(),
            told: 0,
        })
    }

    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.told += 1;
                return Ok(Some(Event { seq: self.told, ..event }));
            }
            self.request.cancel.check()?;
            if let Some((end, probability)) = self.frames.pop_front() {
                self.listener.on_vad_frame(end, probability);
                self.follow().await?;
                self.answer_until(end);
                self.follow().await?;
                let needed = self.listener.endpointer().needed_from();
                self.history.evict_before(needed.saturating_sub(self.preroll()));
                self.cache.evict_before(needed);
            } else if self.at < self.request.samples.len() {
                self.hear_block()?;
            } else if self.listener.endpointer().is_open() {
                self.listener.finish(EndReason::Recording);
                self.follow().await?;
            } else if !self.untold.is_empty() {
                self.answer_until(u64::MAX);
                self.follow().await?;
            } else {
                return Ok(None);
            }
        }
    }

    fn hear_block(&mut self) -> Result<()> {
        let len = (self.request.rate as usize / BLOCKS_PER_S).max(1);
        let block = self.at..(self.at + len).min(self.request.samples.len());
        self.at = block.end;
        let (history, frames) = (&mut self.history, &mut self.frames);
        self.front_end.push(&self.request.samples[block], self.request.rate, |frame, probability| {
            frames.push_back((history.push(frame), probability));
        })
    }

    /// Hands over what the backends would have answered by now.
    fn answer_until(&mut self, now: u64) {
        self.answers.sort_by_key(|(due, ..)| *due);
        while self.answers.first().is_some_and(|(due, ..)| *due <= now) {
            match self.answers.remove(0) {
                (_, inquiry, Answer::Detected(probability)) => self.listener.on_turn_detector(inquiry, probability),
                (_, inquiry, Answer::FirstPass(transcript)) => self.listener.on_first_pass(inquiry, transcript),
                (_, _, Answer::Partial(answer)) => self.listener.on_partial(answer),
                (due, inquiry, Answer::Draft(answer)) => {
                    if let Some(at) = self.untold.iter().position(|(waiting, _)| *waiting == inquiry) {
                        let (_, turn) = self.untold.remove(at);
                        self.tell_words(turn, answer, due);
                    } else {
                        self.listener.on_draft(answer);
                    }
                }
            }
        }
    }

    async fn follow(&mut self) -> Result<()> {
        while let Some(notice) = self.listener.poll() {
            let now = self.listener.endpointer().position();
            match notice {
                Notice::Started { start } => {
                    self.tell(None, now, EventKind::SpeechStarted { start_ms: start / SAMPLES_PER_MS });
                }
                Notice::Stopped { end } => {
                    self.tell(None, now, EventKind::SpeechStopped { end_ms: end / SAMPLES_PER_MS });
                }
                Notice::AskDetector { inquiry, span } => {
                    let detector = self.shared.ready(&self.shared.backends.turn_detector, "turn detector")?;
                    let due = span.end + u64::from(self.request.latency.turn_detector_ms) * SAMPLES_PER_MS;
                    let audio = self.heard(span);
                    let probability = detector.probability_finished(&audio, &self.request.cancel).await?;
                    self.answers.push((due, inquiry, Answer::Detected(probability)));
                }
                Notice::AskRecognizer { inquiry, span, is_draft } => self.recognise(inquiry, span, is_draft).await?,
                Notice::Drop { inquiry } => self.answers.retain(|(_, asked, _)| *asked != inquiry),
                Notice::Words { shown, stable_len, .. } => {
                    self.tell(None, now, EventKind::TranscriptPartial { text: shown, stable_len });
                }
                Notice::Ended(spoken) => self.end(spoken, now).await?,
                Notice::NoSpeech => {}
            }
        }
        Ok(())
    }

    async fn end(&mut self, spoken: Spoken, now: u64) -> Result<()> {
        self.utterances += 1;
        let turn = TurnId(self.utterances);
        self.tell(Some(turn), now, spoken.place.ended());
        match spoken.draft {
            Draft::Done(transcript) => self.tell_words(turn, Ok(transcript), now),
            Draft::Pending => self.untold.push((spoken.inquiry, turn)),
            Draft::None => {
                self.recognise(spoken.inquiry, spoken.place.sound(), true).await?;
                self.untold.push((spoken.inquiry, turn));
            }
        }
        Ok(())
    }

    async fn recognise(&mut self, inquiry: Inquiry, span: Range<u64>, is_draft: bool) -> Result<()> {
        let recognizer = self.shared.ready(&self.shared.backends.recognizer, "recogniser")?;
        let request = RecognitionRequest {
            word_times: is_draft,
            cache: Some(self.cache.since(span.start)),
            cancel: self.request.cancel.clone(),
            ..RecognitionRequest::new(self.heard(span.clone()), self.request.languages.clone())
        };
        let latency = self.request.latency;
        let spoken_s = (span.end - span.start) / u64::from(LISTEN_RATE_HZ);
        let latency_ms = u64::from(latency.recognizer_ms) + u64::from(latency.recognizer_ms_per_s) * spoken_s;
        let mut due = self.listener.endpointer().position() + latency_ms * SAMPLES_PER_MS;
        let mut steps = recognizer.recognize(request)?;
        let mut last = None;
        while let Some(step) = steps.step().await? {
            match step {
                RecognitionStep::FirstPass(transcript) => {
                    self.answers.push((due, inquiry, Answer::FirstPass(transcript)));
                    due += u64::from(latency.recognizer_final_ms) * SAMPLES_PER_MS;
                }
                RecognitionStep::Final(transcript) => last = Some(transcript),
                RecognitionStep::Working | RecognitionStep::Partial { .. } => {}
            }
        }
        let answer = last.ok_or_else(|| ErrorInfo::from(&ErrorCode::RecognizerFailed.into()));
        let answer = if is_draft { Answer::Draft(answer) } else { Answer::Partial(answer) };
        self.answers.push((due, inquiry, answer));
        Ok(())
    }

    fn tell_words(&mut self, turn: TurnId, answer: Result<Transcript, ErrorInfo>, now: u64) {
        let kind = match answer {
            Ok(transcript) => EventKind::TranscriptDone { transcript, stored: false },
            Err(error) => EventKind::Error(error),
        };
        self.tell(Some(turn), now, kind);
    }

    fn tell(&mut self, turn: Option<TurnId>, now: u64, kind: EventKind) {
        self.events.push_back(Event { kind, seq: 0, session: None, turn, at_ms: now / SAMPLES_PER_MS });
    }

    fn heard(&self, span: Range<u64>) -> Arc<[f32]> {
        self.history.copy(span.start.saturating_sub(self.preroll())..span.end)
    }

    fn preroll(&self) -> u64 {
        u64::from(self.request.listening.preroll_ms) * SAMPLES_PER_MS
    }
}

impl StepStream for Recording {
    type Item = Event;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<Event>>> {
        Box::pin(self.next())
    }
}

pub(super) fn listen_settings(listening: &Listening, patience: f32, partials: bool, shared: &Shared) -> ListenSettings {
    let samples = |ms: u32| u64::from(ms) * SAMPLES_PER_MS;
    ListenSettings {
        endpoint: EndpointSettings {
            weights: shared.options.endpoint_weights,
            patience,
            speech_min: samples(listening.speech_ms_min),
            utterance_max: u64::from(shared.options.utterance_seconds_max) * u64::from(LISTEN_RATE_HZ),
        },
        asks_detector: shared.backends.turn_detector.is_some(),
        asks_recognizer: shared.backends.recognizer.is_some(),
        partial_every: if partials { samples(listening.partial_ms) } else { u64::MAX },
    }
}
