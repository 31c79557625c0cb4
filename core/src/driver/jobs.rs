//! The work of a turn, as futures that a backend's worker polls step by step.

use super::context::Dialogue;
use super::exec::contained;
use super::idle::Foreground;
use super::summary::Writer;
use super::utterance::{self, UtteranceAudio, UtteranceFile, samples_to_ms};
use super::{Message, SessionShared, Shared};
use crate::backend::{
    Backends, CancelFlag, ChatRequest, ChatStep, Conversation, DetectionRequest, LISTEN_RATE_HZ, MaybeSend,
    Message as ChatMessage, Purpose, RecognitionRequest, RecognitionStep, RequestContext, SpeechChunk, Steps,
    SynthesisRequest,
};
use crate::config::SessionConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::event::{ErrorInfo, Stage, Transcript, TurnId};
use crate::turn::{Answer, Input, Inquiry, Report};
use std::sync::Arc;
use tracing::{Instrument, Span, info_span};

/// The context of one turn's work.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) session: Arc<SessionShared>,
    pub(crate) turn: TurnId,
    pub(crate) cancel: CancelFlag,
    /// The turn waits for it.
    pub(crate) _foreground: Foreground,
}

/// The session's conversation with the chat model, opened at its first reply.
pub(crate) type ConversationSlot = Arc<async_lock::Mutex<Option<Box<dyn Conversation>>>>;

/// Sound before and after the speech that goes to the recogniser too.
const SPEECH_MARGIN_SAMPLES: usize = LISTEN_RATE_HZ as usize * 3 / 10;

impl Job {
    pub(crate) fn report(&self, report: Report) {
        self.session.send(Input::Work { turn: self.turn, report });
    }

    pub(crate) fn context(&self, config: &SessionConfig, purpose: Purpose) -> RequestContext {
        self.session.context(config, purpose, Some(self.turn))
    }

    fn span(&self, stage: Stage) -> Span {
        info_span!("turn_work", session = %self.session.id, turn = self.turn.0, ?stage)
    }

    /// Reports how a piece of work ended, a panic included. A cancelled one has nothing to report.
    pub(crate) async fn conclude(self, stage: Stage, work: impl Future<Output = Result<()>> + MaybeSend) {
        let Err(error) = contained(work).instrument(self.span(stage)).await else { return };
        if error.code() == ErrorCode::Cancelled && self.cancel.is_cancelled() {
            return;
        }
        self.report(failed(self.turn, stage, &error));
    }
}

/// The report of a turn that failed, which is logged.
pub(crate) fn failed(turn: TurnId, stage: Stage, error: &Error) -> Report {
    tracing::warn!(turn = turn.0, ?stage, error = error.chain(), "a turn failed");
    Report::Failed { stage, error: ErrorInfo::from(error) }
}

/// Reads the audio of an utterance and finds the speech in it.
pub(crate) async fn read_utterance(job: Job, file: UtteranceFile, config: SessionConfig) {
    let found = contained(utterance::read(&job.session.engine, file, &config, &job.cancel))
        .instrument(job.span(Stage::Decode))
        .await;
    if !job.cancel.is_cancelled() {
        job.session.engine.send(Message::SpeechFound(job.session.key, job.turn, found));
    }
}

/// Reads the session's turns.
pub(crate) async fn read_turns(session: Arc<SessionShared>) {
    let read = contained(async { session.engine.store.turns(session.id) }).await;
    session.engine.send(Message::Turns(session.key, read));
}

/// Recognises the speech of an utterance.
pub(crate) async fn recognise(job: Job, utterance: UtteranceAudio, config: SessionConfig) -> Result<()> {
    let start = utterance.speech.start.saturating_sub(SPEECH_MARGIN_SAMPLES);
    let end = (utterance.speech.end + SPEECH_MARGIN_SAMPLES).min(utterance.audio.len());
    let audio = match start..end {
        all if all == (0..utterance.audio.len()) => utterance.audio,
        part => utterance.audio[part].into(),
    };
    let (context, cancel) = (job.context(&config, Purpose::Final), job.cancel.clone());
    let languages = config.languages();
    let request = RecognitionRequest {
        vocabulary: config.vocabulary,
        context,
        cancel,
        ..RecognitionRequest::new(audio, languages)
    };
    let mut transcript = transcript_of(&job.session, request, |step| {
        if let RecognitionStep::Partial { text, stable_len } = step {
            job.report(Report::Partial { text, stable_len });
        }
    })
    .await?;
    for word in &mut transcript.words {
        word.start_ms += samples_to_ms(start);
        word.end_ms += samples_to_ms(start);
    }
    job.report(Report::Transcribed(transcript));
    Ok(())
}

/// Recognises what is being said, for the machine's question.
pub(crate) async fn answer_words(session: Arc<SessionShared>, inquiry: Inquiry, request: RecognitionRequest) {
    let _foreground = session.engine.idle.begin_foreground();
    let (cancel, samples) = (request.cancel.clone(), request.audio.len());
    let span = info_span!("partial_recognition", session = %session.id, samples);
    let first = |step| {
        if let RecognitionStep::FirstPass(transcript) = step {
            let answer = Answer::FirstPass(transcript);
            session.send(Input::Answered { inquiry, answer });
        }
    };
    let answer = contained(transcript_of(&session, request, first)).instrument(span).await;
    if !cancel.is_cancelled() {
        let answer = Answer::Recognised(answer.map_err(|error| ErrorInfo::from(&error)));
        session.send(Input::Answered { inquiry, answer });
    }
}

/// Asks the turn detector. Where it fails, the machine goes by what else it knows.
pub(crate) async fn answer_detector(session: Arc<SessionShared>, inquiry: Inquiry, request: DetectionRequest) {
    let span = info_span!("turn_detector", session = %session.id, samples = request.audio.len());
    let ask = async {
        let detector = session.engine.ready(&session.engine.backends.turn_detector, "turn detector").await?;
        detector.probability_finished(request).await
    };
    match contained(ask).instrument(span).await {
        Ok(probability) => {
            let answer = Answer::Detected(probability);
            session.send(Input::Answered { inquiry, answer });
        }
        Err(error) if error.code() == ErrorCode::Cancelled => {}
        Err(error) => tracing::warn!(error = error.chain(), "the turn detector failed"),
    }
}

/// Lets the chat model read ahead. Where that fails, the reply will tell.
pub(crate) async fn prefill(session: Arc<SessionShared>, conversation: ConversationSlot, request: ChatRequest) {
    let _foreground = session.engine.idle.begin_foreground();
    let read = async {
        let mut conversation = conversation.lock().await;
        request.cancel.check()?;
        let conversation = session.engine.open_conversation(&mut conversation).await?;
        let mut steps = conversation.prefill(request)?;
        while steps.step().await?.is_some() {
            futures_lite::future::yield_now().await;
        }
        Ok(())
    };
    let _ = contained(read).instrument(info_span!("prefill", session = %session.id)).await;
}

async fn transcript_of(
    session: &SessionShared,
    request: RecognitionRequest,
    mut each: impl FnMut(RecognitionStep) + MaybeSend,
) -> Result<Transcript> {
    let recognizer = session.engine.ready(&session.engine.backends.recognizer, "recogniser").await?;
    let cancel = request.cancel.clone();
    let mut transcript = None;
    drive(session, &cancel, recognizer.recognize(request)?, |step| {
        match step {
            RecognitionStep::Final(last) => transcript = Some(last),
            other => each(other),
        }
        Ok(())
    })
    .await?;
    transcript.ok_or_else(no_transcript)
}

pub(crate) fn no_transcript() -> Error {
    Error::new(ErrorCode::RecognizerFailed, "the recogniser ended without a transcript")
}

/// Takes the steps one by one, letting other work pass between them and waiting for a reader that lags behind.
async fn drive<T>(
    session: &SessionShared,
    cancel: &CancelFlag,
    mut steps: Steps<'_, T>,
    mut each: impl FnMut(T) -> Result<()> + MaybeSend,
) -> Result<()> {
    loop {
        session.events.wait_for_room(cancel).await;
        cancel.check()?;
        match steps.step().await? {
            Some(item) => each(item)?,
            None => return Ok(()),
        }
        futures_lite::future::yield_now().await;
    }
}

/// Has the chat model write the next message, after `last`. What does not fit its context is summarised first, instead
/// of `ahead`, which may have been about to.
pub(crate) async fn reply(
    job: Job,
    conversation: ConversationSlot,
    mut dialogue: Dialogue,
    last: ChatMessage,
    config: SessionConfig,
    ahead: Option<CancelFlag>,
) -> Result<()> {
    let chat = Backends::require(&job.session.engine.backends.chat, "chat model")?;
    let (session, cancel) = (job.session.clone(), job.cancel.clone());
    let writer = Writer { session, chat: chat.clone(), config, cancel, can_wait: false };
    // A cancelled reply before this one may still hold the conversation, for one step at most.
    let mut conversation = conversation.lock().await;
    job.cancel.check()?;
    let conversation = job.session.engine.open_conversation(&mut conversation).await?;
    let mut room = writer.room();
    let steps = loop {
        let messages = writer.make_room(&mut dialogue, &last, &room, ahead.as_ref()).await?;
        let tokens = room.tokens_of(&messages);
        let (pinned, sampling) = (messages.len() - 1, writer.config.sampling.clone());
        let (context, cancel) = (job.context(&writer.config, Purpose::Reply), job.cancel.clone());
        match conversation.reply(ChatRequest { messages, pinned, sampling, context, cancel }) {
            // The model counts more tokens than it said.
            Err(error) if error.code() == ErrorCode::ContextFull && dialogue.can_make_room(&last, &room)? => {
                room.tokens_max = tokens.min(room.tokens_max) * 3 / 4;
            }
            steps => break steps?,
        }
    };
    let mut usage = None;
    drive(&job.session, &job.cancel, steps, |step| {
        match step {
            ChatStep::Working => {}
            ChatStep::Text(text) => job.report(Report::ReplyText(text)),
            ChatStep::Done { usage: total, .. } => usage = Some(total),
        }
        Ok(())
    })
    .await?;
    let usage = usage.ok_or_else(|| Error::new(ErrorCode::ChatFailed, "it ended without saying so"))?;
    job.report(Report::ReplyDone {
        prompt_tokens: usage.prompt_tokens,
        evaluated_tokens: usage.evaluated_tokens,
        reply_tokens: usage.reply_tokens,
        dropped_messages: usage.dropped_messages,
    });
    Ok(())
}

/// Speaks one clause of a reply, whose earlier clauses may have set its rate.
pub(crate) async fn speak(job: Job, request: SynthesisRequest, reply_rate: Option<u32>) -> Result<()> {
    let engine = &job.session.engine;
    let steps = engine.ready(&engine.backends.synthesizer, "synthesizer").await?.synthesize(request)?;
    drive(&job.session, &job.cancel, steps, |chunk| {
        let SpeechChunk { samples, rate, text_span, words } = chunk;
        if let Some(before) = reply_rate.filter(|before| *before != rate) {
            let detail = format!("sample rate {rate}: the clauses before have {before} Hz");
            return Err(Error::new(ErrorCode::SynthesizerFailed, detail));
        }
        job.report(Report::Spoken { pcm: samples.into(), rate, text_span, words });
        Ok(())
    })
    .await?;
    job.report(Report::ClauseSpoken);
    Ok(())
}

impl Shared {
    async fn open_conversation<'a>(
        &self,
        slot: &'a mut Option<Box<dyn Conversation>>,
    ) -> Result<&'a mut Box<dyn Conversation>> {
        let chat = self.ready(&self.backends.chat, "chat model").await?;
        match slot {
            Some(open) => Ok(open),
            none => Ok(none.insert(chat.open_conversation()?)),
        }
    }
}
