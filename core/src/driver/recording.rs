//! Endpointing and recognition of a recording, with the front end and the turn-taking of a session, faster than real time.
//!
//! Time is the audio's. A backend's answer counts a declared latency after it was asked for, so that the decisions are the
//! same on any machine: those of real time with backends that fast. Later audio has no influence on them.
//!
//! It drives [`TurnTaking`] itself, without a session: there the next utterance would interrupt the turn of the one
//! before, whose final transcript may come seconds later, or be dropped as a backchannel over it.

use super::Shared;
use super::front_end::FrontEnd;
use super::history::{CacheSlot, History};
use crate::audio;
use crate::backend::{
    Backends, BoxFuture, CancelFlag, DetectionRequest, LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, StepStream,
};
use crate::config::{Listening, ListeningMode, check_range};
use crate::error::{ErrorCode, Result};
use crate::event::{EndReason, ErrorInfo, Event, EventKind, Transcript, TurnId};
use crate::job::{Job, JobControl};
use crate::language::LanguageTag;
use crate::turn::{
    Action, Answer, Draft, EndpointSettings, EndpointWeights, Inquiry, ListeningSettings, Output, SAMPLES_PER_MS,
    Spoken, TurnTaking,
};
use futures_lite::future::yield_now;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Blocks in which the front end takes a second.
const BLOCKS_PER_S: usize = 10;

/// A recording, and the settings for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenRequest {
    /// Mono samples between -1 and 1.
    pub samples: Vec<f32>,
    /// Samples per second, 8,000 to 192,000.
    pub rate: u32,
    /// As in [`RecognitionRequest`].
    pub languages: Vec<LanguageTag>,
    /// How long hesitations are waited for, as in [`SessionConfig`](crate::SessionConfig).
    pub patience: f32,
    /// The weights of the cues of an end of turn.
    #[doc(hidden)]
    pub weights: EndpointWeights,
    /// Settings of the microphone; the mode has no influence.
    pub listening: Listening,
    /// The latency after which the backends' answers count.
    #[doc(hidden)]
    pub latency: CueLatency,
    /// Emits partial transcripts.
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

/// The latency of each cue, in ms of the audio.
///
/// The default is the 95th percentile of Smart Turn and Whisper base by `cargo xtask latency`, on an idle virtual machine
/// with two cores (AVX2), with partial transcripts twice a second. The median is 0.14 to 0.25 s for 1 to 10 s of speech. A
/// final transcript after a first pass comes 1 to 3 s later; decisions do not wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CueLatency {
    /// Of the turn detector.
    pub turn_detector_ms: u32,
    /// Of the recogniser, whatever the length of the utterance.
    pub recognizer_ms: u32,
    /// Of the recogniser, for each second of the utterance.
    pub recognizer_ms_per_s: u32,
    /// Of the recogniser, from the [first pass](RecognitionStep::FirstPass) to the final transcript.
    pub recognizer_final_ms: u32,
}

impl Default for CueLatency {
    fn default() -> Self {
        Self { turn_detector_ms: 120, recognizer_ms: 240, recognizer_ms_per_s: 15, recognizer_final_ms: 2_800 }
    }
}

/// A recording under way; each step gives the next event.
pub(crate) struct Recording {
    shared: Arc<Shared>,
    request: ListenRequest,
    control: JobControl,
    front_end: Option<FrontEnd>,
    turn_taking: TurnTaking,
    history: History,
    cache: CacheSlot,
    /// Samples of the recording that the front end took.
    taken: usize,
    /// Frames that turn-taking did not get yet: the end of each, and its probability of speech.
    frames: VecDeque<(u64, f32)>,
    /// The end of the last frame that it got.
    position: u64,
    /// Answers, and when they count.
    answers: Vec<(u64, Inquiry, Answer)>,
    turns: u64,
    events: VecDeque<Event>,
    emitted: u64,
}

impl Recording {
    pub(crate) fn job(shared: &Arc<Shared>, request: ListenRequest) -> Result<Job<'static, Event>> {
        let control = JobControl::new(request.cancel.clone());
        Ok(Job::new(control.clone(), Box::new(Self::new(shared.clone(), request, control)?)))
    }

    fn new(shared: Arc<Shared>, request: ListenRequest, control: JobControl) -> Result<Self> {
        request.listening.check_ranges()?;
        check_range("patience", request.patience, 0.0..=1.0)?;
        audio::check_samples(&request.samples, request.rate)?;
        if request.samples.is_empty() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        Backends::require(&shared.backends.vad, "voice activity detector")?;
        let listening = Listening { mode: ListeningMode::Continuous, idle_ms: None, ..request.listening };
        let mut settings = listening_settings(&listening, request.patience, &shared);
        settings.endpoint.weights = request.weights;
        if !request.partials {
            settings.partial_every = u64::MAX;
        }
        Ok(Self {
            shared,
            request,
            control,
            front_end: None,
            turn_taking: TurnTaking::new(settings),
            history: History::default(),
            cache: CacheSlot::default(),
            taken: 0,
            frames: VecDeque::new(),
            position: 0,
            answers: Vec::new(),
            turns: 0,
            events: VecDeque::new(),
            emitted: 0,
        })
    }

    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            self.request.cancel.check()?;
            if let Some((end, probability)) = self.frames.pop_front() {
                self.position = end;
                self.turn_taking.on_vad_frame(end, probability);
                self.obey(end).await?;
                self.answer_until(end).await?;
                let needed = self.turn_taking.needed_from();
                self.history.evict_before(needed.saturating_sub(self.preroll()));
                self.cache.evict_before(needed);
            } else if self.taken < self.request.samples.len() {
                self.control.piece(self.taken as f32 / self.request.samples.len() as f32).await?;
                self.take_block().await?;
            } else if self.turn_taking.stalled_us().is_some() {
                self.turn_taking.end_utterance(EndReason::Recording, None);
                self.obey(self.position).await?;
            } else if !self.answers.is_empty() {
                self.answer_until(u64::MAX).await?;
            } else {
                return Ok(None);
            }
        }
    }

    async fn take_block(&mut self) -> Result<()> {
        let len = (self.request.rate as usize / BLOCKS_PER_S).max(1);
        let block = self.taken..(self.taken + len).min(self.request.samples.len());
        self.taken = block.end;
        let front_end = match &mut self.front_end {
            Some(open) => open,
            none => none.insert(FrontEnd::open(&self.shared).await?),
        };
        let (history, frames) = (&mut self.history, &mut self.frames);
        front_end.push(&self.request.samples[block], self.request.rate, |frame, probability| {
            frames.push_back((history.push(frame), probability));
        })
    }

    /// Hands over the answers that count by now.
    async fn answer_until(&mut self, now: u64) -> Result<()> {
        self.answers.sort_by_key(|(due, ..)| *due);
        while self.answers.first().is_some_and(|(due, ..)| *due <= now) {
            let (due, inquiry, answer) = self.answers.remove(0);
            self.turn_taking.on_answer(inquiry, answer);
            self.obey(due).await?;
        }
        Ok(())
    }

    /// Does what follows from an input. A final transcript came at `due`.
    async fn obey(&mut self, due: u64) -> Result<()> {
        while let Some(action) = self.turn_taking.poll() {
            match action {
                Action::Output(Output::Emit { kind, .. }) => self.emit(None, self.position, kind),
                Action::Output(Output::AskDetector { inquiry, span }) => {
                    let detector = self.shared.ready(&self.shared.backends.turn_detector, "turn detector").await?;
                    let counts = span.end + u64::from(self.request.latency.turn_detector_ms) * SAMPLES_PER_MS;
                    let cancel = self.request.cancel.clone();
                    let request = DetectionRequest { cancel, ..DetectionRequest::new(self.audio(span)) };
                    let probability = detector.probability_finished(request).await?;
                    self.answers.push((counts, inquiry, Answer::Detected(probability)));
                }
                Action::Output(Output::AskRecognizer { inquiry, span, is_draft }) => {
                    self.recognise(inquiry, span, is_draft).await?;
                }
                Action::Output(Output::DropInquiry { inquiry }) => {
                    self.answers.retain(|(_, asked, _)| *asked != inquiry);
                }
                Action::Output(Output::StartSpoken(spoken)) => self.start(*spoken).await?,
                Action::Recognised { turn, answer } => self.emit_transcript(turn, answer, due),
                // No reply follows, so that nothing is prefilled or interrupted.
                Action::Output(_) | Action::Interrupt => {}
            }
        }
        Ok(())
    }

    async fn start(&mut self, mut spoken: Spoken) -> Result<()> {
        self.turns += 1;
        let turn = TurnId(self.turns);
        self.emit(Some(turn), self.position, spoken.place.ended());
        match std::mem::replace(&mut spoken.draft, Draft::Pending) {
            Draft::Done(transcript) => {
                self.emit_transcript(turn, Ok(transcript), self.position);
                return Ok(());
            }
            Draft::Pending => {}
            Draft::None => self.recognise(spoken.inquiry, spoken.place.sound(), true).await?,
        }
        self.turn_taking.on_turn_accepted(turn, &spoken);
        Ok(())
    }

    async fn recognise(&mut self, inquiry: Inquiry, span: Range<u64>, word_times: bool) -> Result<()> {
        let recognizer = self.shared.ready(&self.shared.backends.recognizer, "recogniser").await?;
        let request = RecognitionRequest {
            word_times,
            cache: Some(self.cache.since(span.start)),
            cancel: self.request.cancel.clone(),
            ..RecognitionRequest::new(self.audio(span.clone()), self.request.languages.clone())
        };
        let latency = self.request.latency;
        let spoken_s = (span.end - span.start) / u64::from(LISTEN_RATE_HZ);
        let latency_ms = u64::from(latency.recognizer_ms) + u64::from(latency.recognizer_ms_per_s) * spoken_s;
        let mut due = self.position + latency_ms * SAMPLES_PER_MS;
        let mut steps = recognizer.recognize(request)?;
        let mut last = None;
        while let Some(step) = steps.step().await? {
            yield_now().await;
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
        self.answers.push((due, inquiry, Answer::Recognised(answer)));
        Ok(())
    }

    fn emit_transcript(&mut self, turn: TurnId, answer: Result<Transcript, ErrorInfo>, at: u64) {
        let kind = match answer {
            Ok(transcript) => EventKind::TranscriptDone { transcript, stored: false },
            Err(error) => EventKind::Error(error),
        };
        self.emit(Some(turn), at, kind);
    }

    fn emit(&mut self, turn: Option<TurnId>, at: u64, kind: EventKind) {
        self.emitted += 1;
        self.events.push_back(Event { kind, seq: self.emitted, session: None, turn, at_ms: at / SAMPLES_PER_MS });
    }

    /// A copy of the span, with what came just before it.
    fn audio(&self, span: Range<u64>) -> Arc<[f32]> {
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

/// The settings of turn-taking that follow from a session's, or a request's.
pub(super) fn listening_settings(listening: &Listening, patience: f32, shared: &Shared) -> ListeningSettings {
    let samples = |ms: u32| u64::from(ms) * SAMPLES_PER_MS;
    let endpoint = EndpointSettings {
        weights: shared.options.endpoint_weights,
        patience,
        speech_min: samples(listening.speech_ms_min),
        utterance_max: u64::from(shared.options.utterance_seconds_max) * u64::from(LISTEN_RATE_HZ),
    };
    ListeningSettings {
        continuous: listening.mode == ListeningMode::Continuous,
        endpoint,
        asks_detector: shared.backends.turn_detector.is_some(),
        asks_recognizer: shared.backends.recognizer.is_some(),
        partial_every: samples(listening.partial_ms),
        interrupt_after: samples(listening.interrupt_ms),
        idle_after: listening.idle_ms.map(samples),
    }
}
