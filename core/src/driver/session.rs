//! One open session inside the loop: its machine, and what the machine's decisions need.

mod inquiries;
mod storing;
mod summarising;

use super::context::{Dialogue, Exchange, learners_message};
use super::jobs::{self, ConversationSlot, Job};
use super::listening;
use super::recording::listening_settings;
use super::utterance::{UtteranceAudio, UtteranceFile, samples_to_ms};
use super::worker::Worker;
use super::{Commit, SessionKey, SessionShared, Shared};
use crate::audio::to_i16;
use crate::backend::{CancelFlag, LISTEN_RATE_HZ, MaybeSend, Purpose, SynthesisRequest};
use crate::config::{Keep, Playback, SessionConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{ErrorInfo, EventKind, Stage, TurnId, TurnOrigin, TurnState};
use crate::store::{AudioKind, Lineage, SessionRecord, TurnRecord, Write};
use crate::turn::{Input, Machine, Output, Redo, Report, Settings, Start, StartKind, Ticket, TurnFacts};
use inquiries::Inquiries;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many characters of the first words name a session in a list.
const TITLE_CHARS_MAX: usize = 60;

pub(crate) struct SessionCore {
    session: Arc<SessionShared>,
    machine: Machine,
    record: SessionRecord,
    resumed: bool,
    dialogue: Dialogue,
    lineage: Lineage,
    /// Turns that supersede some of the summary, while the turns of the store are read to renew it.
    superseding: Vec<TurnRecord>,
    conversation: ConversationSlot,
    /// Stops the work on a summary between two turns.
    summarising: Option<CancelFlag>,
    /// A summary was made that the chat model has not read.
    has_new_summary: bool,
    /// Stops the chat model's reading of a new summary.
    reading_ahead: CancelFlag,
    /// The utterances of turns that have not begun.
    utterances: HashMap<TurnId, Incoming>,
    turn: Option<TurnWork>,
    inquiries: Inquiries,
    /// Inputs that came of the machine's outputs; they are handled once it is drained.
    inputs: VecDeque<Input>,
    /// Writes of failed commits; they go with the next one.
    unsaved: Vec<Write>,
    /// Commits that were not answered, and the turns in them as they were written last.
    commits_open: usize,
    turns_written: HashMap<TurnId, TurnRecord>,
    /// Everything was told; only a last commit is waited for.
    closing: bool,
    closed: bool,
}

/// An utterance whose end the host told.
enum Incoming {
    /// The microphone's task has yet to hand it over.
    Awaited,
    File(UtteranceFile),
    Found(Result<UtteranceAudio>),
}

/// The driver's state of the turn under way.
struct TurnWork {
    id: TurnId,
    /// The settings as they were when it began.
    config: SessionConfig,
    cancel: CancelFlag,
    utterance: Option<UtteranceAudio>,
    /// The reply to ask for once the conversation is renewed.
    held_reply: Option<(TurnOrigin, String)>,
    reply_pcm: Vec<i16>,
    reply_rate: Option<u32>,
    user_audio_saved: bool,
}

/// A session that is dropped with its engine is closed, so that no reader waits for its events.
impl Drop for SessionCore {
    fn drop(&mut self) {
        if !self.closed {
            self.leave(ErrorCode::EngineClosed);
        }
    }
}

impl SessionCore {
    pub(crate) fn new(session: Arc<SessionShared>, record: SessionRecord, turns: &[TurnRecord], resumed: bool) -> Self {
        let machine = Machine::new(machine_settings(&record.config, &session.engine));
        let lineage: Lineage = turns.iter().collect();
        let current = turns.iter().filter(|turn| lineage.is_current(turn.turn));
        let dialogue = Dialogue::new(record.summary.clone(), current);
        Self {
            session,
            machine,
            record,
            resumed,
            dialogue,
            lineage,
            superseding: Vec::new(),
            conversation: ConversationSlot::default(),
            summarising: None,
            has_new_summary: false,
            reading_ahead: CancelFlag::new(),
            utterances: HashMap::new(),
            turn: None,
            inquiries: Inquiries::default(),
            inputs: VecDeque::new(),
            unsaved: Vec::new(),
            commits_open: 0,
            turns_written: HashMap::new(),
            closing: false,
            closed: false,
        }
    }

    pub(crate) fn key(&self) -> SessionKey {
        self.session.key
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// When the machine wants to look at the time, on the clock's monotonic scale.
    pub(crate) fn deadline_us(&self) -> Option<u64> {
        self.machine.poll_timeout().map(|timeout| timeout + self.session.opened_us)
    }

    pub(crate) fn open(&mut self) {
        let kind = EventKind::SessionOpened { resumed: self.resumed, turns: self.record.turns };
        self.emit(None, kind);
        self.spawn(Worker::Microphone, listening::listen(self.session.clone()));
    }

    pub(crate) fn handle(&mut self, input: Input) {
        let is_speech = matches!(input, Input::Speech { .. });
        self.machine.handle(input, self.session.now_us());
        self.obey();
        if is_speech {
            self.evict_history();
        }
    }

    /// Lets go of the chat model's memory of the conversation, unless it is being used.
    pub(crate) fn trim(&mut self) {
        if self.machine.turns_open() == 0
            && let Some(mut conversation) = self.conversation.try_lock()
        {
            *conversation = None;
        }
    }

    pub(crate) fn tick(&mut self) {
        self.machine.tick(self.session.now_us());
        self.obey();
    }

    pub(crate) fn handle_utterance(&mut self, start: Start, file: Option<UtteranceFile>) {
        if matches!(start.what, StartKind::Utterance(_)) {
            let incoming = match (file, start.redoes.and_then(Redo::retry_of)) {
                (Some(file), _) => Incoming::File(file),
                (None, Some(earlier)) => Incoming::File(UtteranceFile::Stored(self.session.id, earlier)),
                (None, None) => Incoming::Awaited,
            };
            self.utterances.insert(start.turn, incoming);
        }
        self.handle(Input::Start(start));
    }

    pub(crate) fn handle_speech_found(&mut self, turn: TurnId, found: Result<UtteranceAudio>) {
        if let Some(incoming) = self.utterances.get_mut(&turn) {
            *incoming = Incoming::Found(found);
        } else if self.turn.as_ref().is_some_and(|work| work.id == turn) {
            let report = self.take_utterance(turn, found);
            self.handle(Input::Work { turn, report });
        }
    }

    pub(crate) fn handle_update(&mut self) {
        let config = self.session.config.lock().clone();
        let settings = machine_settings(&config, &self.session.engine);
        self.record.config = config;
        let write = Write::PutSession(self.touched_record());
        self.commit(Ticket::OF_NO_EVENT, vec![write]);
        self.handle(Input::Settings(settings));
    }

    pub(crate) fn handle_committed(&mut self, Commit { ticket, writes, .. }: Commit, error: Option<Error>) {
        self.commits_open -= 1;
        self.keep_unsaved(writes);
        if self.commits_open == 0 {
            self.turns_written.clear();
        }
        if self.closing {
            if self.commits_open == 0 {
                self.finish_closing();
            }
            return;
        }
        let error = error.as_ref().map(ErrorInfo::from);
        self.handle(Input::Stored { ticket, error });
    }

    fn obey(&mut self) {
        loop {
            while let Some(output) = self.machine.poll() {
                self.obey_one(output);
            }
            let Some(input) = self.inputs.pop_front() else { break };
            self.machine.handle(input, self.session.now_us());
        }
        self.session.turns_open.store(self.machine.turns_open(), Ordering::Release);
    }

    fn obey_one(&mut self, output: Output) {
        match output {
            Output::Emit { turn, kind } => self.emit(turn, kind),
            Output::Listen { turn } => self.listen(turn),
            Output::Recognise { turn } => self.recognise(turn),
            Output::AskDetector { inquiry, span } => self.ask_detector(inquiry, span),
            Output::AskRecognizer { inquiry, span, is_draft } => self.ask_recognizer(inquiry, span, is_draft),
            Output::Prefill { inquiry, given } => self.prefill(inquiry, given),
            Output::DropInquiry { inquiry } => self.drop_inquiry(inquiry),
            Output::StartSpoken(spoken) => self.start_spoken(spoken),
            Output::Reply { turn, origin, given } => self.reply(turn, origin, given),
            Output::Speak { turn, text } => self.speak(turn, text),
            Output::Keep { turn, pcm, rate } => {
                let work = self.work(turn);
                work.reply_rate = Some(rate);
                if work.config.retention.reply_audio != Keep::Never {
                    work.reply_pcm.extend(to_i16(&pcm));
                }
            }
            Output::StopWork { turn } => {
                self.work(turn).cancel.cancel();
                self.session.events.nudge();
            }
            Output::Purge { turn } => {
                let samples = self.session.events.purge_audio(turn);
                self.inputs.push_back(Input::Purged { turn, samples });
            }
            Output::Store { ticket, record, with_audio } => self.store(ticket, *record, with_audio),
            Output::StoreEnd { ticket } => {
                let now_ms = self.session.engine.clock.unix_ms();
                self.commit(ticket, vec![Write::EndSession { id: self.session.id, now_ms }]);
            }
            Output::Closed => self.close(),
        }
    }

    /// Closes the session; what could not be stored is tried once more first.
    fn close(&mut self) {
        self.stop_summarising();
        self.closing = true;
        match self.unsaved.is_empty() {
            true => self.finish_closing(),
            false => self.commit(Ticket::OF_NO_EVENT, Vec::new()),
        }
    }

    /// Closes the session after a panic in the engine: its state can no longer be relied on. It can be opened again as it
    /// is stored.
    pub(crate) fn abandon(&mut self, error: &Error) {
        tracing::error!(session = %self.session.id, error = error.chain(), "a session was lost");
        self.stop_summarising();
        if let Some(work) = &self.turn {
            work.cancel.cancel();
        }
        let (engine, kind) = (&self.session.engine, EventKind::Error(ErrorInfo::from(error)));
        engine.engine_events.push(Some(self.session.id), None, engine.uptime_ms(), kind.clone());
        self.session.emit(None, kind);
        self.session.emit(None, EventKind::SessionClosed { ended: false });
        self.leave(ErrorCode::SessionClosed);
    }

    fn finish_closing(&mut self) {
        if !self.unsaved.is_empty() {
            tracing::warn!("a session was closed and not all of it stored");
        }
        self.leave(ErrorCode::SessionClosed);
    }

    /// Takes no more calls, ends the events, whose reader then fails with `code`, and frees the id.
    fn leave(&mut self, code: ErrorCode) {
        self.closed = true;
        self.session.closing.store(true, Ordering::Release);
        self.session.microphone.close();
        self.session.events.close(code);
        self.session.engine.open.release(self.session.id);
    }

    fn emit(&mut self, turn: Option<TurnId>, mut kind: EventKind) {
        if let EventKind::Metrics(metrics) = &mut kind {
            metrics.unread_events = self.session.events.unread() as u32;
        }
        self.session.emit(turn, kind);
    }

    /// Has the speech in the turn's utterance found, or takes it where it was.
    fn listen(&mut self, turn: TurnId) {
        match self.utterances.remove(&turn) {
            Some(Incoming::Awaited) => _ = self.work(turn),
            Some(Incoming::File(file)) => {
                let (job, config) = (self.job(turn), self.work(turn).config.clone());
                self.spawn(Worker::Recognizer, jobs::read_utterance(job, file, config));
            }
            Some(Incoming::Found(found)) => {
                let report = self.take_utterance(turn, found);
                self.inputs.push_back(Input::Work { turn, report });
            }
            None => unreachable!("an utterance comes with its turn"),
        }
    }

    fn take_utterance(&mut self, turn: TurnId, found: Result<UtteranceAudio>) -> Report {
        let utterance = match found {
            Ok(utterance) => self.work(turn).utterance.insert(utterance),
            Err(error) => return jobs::failed(turn, Stage::Decode, &error),
        };
        Report::SpeechFound {
            start_ms: samples_to_ms(utterance.speech.start),
            end_ms: samples_to_ms(utterance.speech.end),
            audio_ms: samples_to_ms(utterance.audio.len()),
        }
    }

    fn recognise(&mut self, turn: TurnId) {
        let work = self.work(turn);
        let utterance = work.utterance.clone().expect("its speech was found before");
        let config = work.config.clone();
        self.spawn_job(Worker::Recognizer, Stage::Recognise, turn, |job| jobs::recognise(job, utterance, config));
    }

    fn reply(&mut self, turn: TurnId, origin: TurnOrigin, given: String) {
        if !self.superseding.is_empty() {
            self.work(turn).held_reply = Some((origin, given));
            return;
        }
        let config = self.work(turn).config.clone();
        self.reading_ahead.cancel();
        self.has_new_summary = false;
        let (dialogue, last) = (self.dialogue.clone(), learners_message(origin, given));
        let (conversation, ahead) = (self.conversation.clone(), self.summarising.clone());
        self.spawn_job(Worker::Chat, Stage::Reply, turn, |job| {
            jobs::reply(job, conversation, dialogue, last, config, ahead)
        });
    }

    fn speak(&mut self, turn: TurnId, text: String) {
        let voices = self.session.engine.backends.synthesizer.as_ref().map(|s| s.voices()).unwrap_or_default();
        let (config, reply_rate) = (self.work(turn).config.clone(), self.work(turn).reply_rate);
        let voice = config.voice.clone().or_else(|| {
            voices.iter().find(|voice| voice.language.same_language(&config.target)).map(|voice| voice.name.clone())
        });
        self.spawn_job(Worker::Synthesizer, Stage::Speak, turn, move |job| {
            let (context, languages) = (job.context(&config, Purpose::Speech), config.languages());
            let request = SynthesisRequest {
                voice,
                speed: config.speed,
                lexicon: Arc::new(config.lexicon),
                context,
                cancel: job.cancel.clone(),
                ..SynthesisRequest::new(text, languages)
            };
            jobs::speak(job, request, reply_rate)
        });
    }

    fn store(&mut self, ticket: Ticket, facts: TurnFacts, with_audio: bool) {
        let turn = facts.turn;
        let ended = facts.state != TurnState::Open;
        let finished = facts.state == TurnState::Finished;
        let record = self.turn_record(facts);
        self.supersede(&record);
        // Words that were recognised wrongly must not name the session.
        let begins_anew = record.corrects.is_some() && !self.dialogue.has_learners_words();
        if self.record.title.is_empty() || begins_anew {
            self.record.title = title_of(&record);
        }
        self.record.next_turn = self.record.next_turn.max(turn.0 + 1);
        let session = self.session.id;
        let exchange = Exchange::of(&record).filter(|_| ended);
        let retried = record.retry_of.filter(|_| finished);
        let mut writes = vec![Write::PutSession(self.touched_record()), Write::PutTurn(record)];
        let work = self.work(turn);
        if with_audio {
            if let Some(utterance) = work.utterance.as_ref().filter(|_| !work.user_audio_saved) {
                work.user_audio_saved = true;
                let samples = to_i16(&utterance.audio);
                writes.push(Write::PutAudio { session, turn, kind: AudioKind::User, rate: LISTEN_RATE_HZ, samples });
            }
            if ended
                && !work.reply_pcm.is_empty()
                && let Some(rate) = work.reply_rate
            {
                let samples = std::mem::take(&mut work.reply_pcm);
                writes.push(Write::PutAudio { session, turn, kind: AudioKind::Reply, rate, samples });
            }
        }
        if let Some(earlier) = retried {
            // The same sound lies with this turn now.
            writes.push(Write::DropAudio { session, turn: earlier, kind: AudioKind::User });
        }
        if ended {
            self.turn = None;
            self.utterances.remove(&turn);
        }
        writes.extend(exchange.and_then(|exchange| self.add_exchange(exchange)));
        self.commit(ticket, writes);
        if ended {
            self.summarise_ahead();
        }
    }

    /// The turn's work, begun with the settings of this moment.
    fn work(&mut self, turn: TurnId) -> &mut TurnWork {
        if self.turn.as_ref().is_none_or(|work| work.id != turn) {
            self.turn = None;
        }
        let (config, spoken) = (&self.session.config, &mut self.inquiries.spoken);
        self.turn.get_or_insert_with(|| {
            let spoken = spoken.remove(&turn).map(|(utterance, cancel)| (Some(utterance), cancel));
            let (utterance, cancel) = spoken.unwrap_or_default();
            TurnWork {
                id: turn,
                config: config.lock().clone(),
                cancel,
                utterance,
                held_reply: None,
                reply_pcm: Vec::new(),
                reply_rate: None,
                user_audio_saved: false,
            }
        })
    }

    fn job(&mut self, turn: TurnId) -> Job {
        let cancel = self.work(turn).cancel.clone();
        let _foreground = self.session.engine.idle.begin_foreground();
        Job { session: self.session.clone(), turn, cancel, _foreground }
    }

    fn spawn_job<F>(&mut self, worker: Worker, stage: Stage, turn: TurnId, work: impl FnOnce(Job) -> F)
    where
        F: Future<Output = Result<()>> + MaybeSend + 'static,
    {
        let job = self.job(turn);
        self.spawn(worker, job.clone().conclude(stage, work(job)));
    }

    fn spawn(&self, worker: Worker, work: impl Future<Output = ()> + MaybeSend + 'static) {
        self.session.engine.workers.spawn(worker, Box::pin(work));
    }
}

fn machine_settings(config: &SessionConfig, shared: &Shared) -> Settings {
    Settings {
        interruptible: config.interruptible,
        playback_assumed: config.playback == Playback::Assumed,
        output_latency_ms: config.output_latency_ms,
        speaks: shared.backends.synthesizer.is_some(),
        listening: listening_settings(&config.listening, config.patience, shared),
    }
}

fn title_of(record: &TurnRecord) -> String {
    match record.origin {
        TurnOrigin::Utterance | TurnOrigin::Text => record.user_text.chars().take(TITLE_CHARS_MAX).collect(),
        TurnOrigin::Say | TurnOrigin::Reply => String::new(),
    }
}
