//! The task of a session's microphone: from the queue through the front end to the machine, or into an utterance of
//! push-to-talk.

use super::exec::contained;
use super::front_end::FrontEnd;
use super::microphone::{Block, Mark, Piece, Source};
use super::utterance::Collector;
use super::{Message, SessionShared};
use crate::backend::CancelFlag;
use crate::error::{Error, ErrorCode, Result};
use crate::event::{ErrorInfo, EventKind, Stage, TurnId};
use crate::turn::Input;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tracing::{Instrument, info_span};

/// Takes a session's microphone until it is closed.
pub(crate) async fn listen(session: Arc<SessionShared>) {
    let mut listening = Listening { session: session.clone(), front_end: None, utterance: None, failed: false };
    let (mut block, never) = (Block::default(), CancelFlag::new());
    if session.continuous.load(Ordering::Acquire)
        && let Err(error) = listening.open().await
    {
        listening.tell(&error);
    }
    while session.microphone.next(&mut block).await {
        if session.continuous.load(Ordering::Acquire) {
            // Nothing is taken from a host that reads no events: `push_audio` will tell it.
            session.events.wait_for_room(&never).await;
        }
        for (piece, samples) in block.pieces() {
            match piece {
                Piece::Sound { source, rate, .. } => {
                    for second in samples.chunks(rate as usize) {
                        listening.take(source, second, rate).await;
                        futures_lite::future::yield_now().await;
                    }
                }
                Piece::Mark(Mark::Resumed) => {
                    if let Some(front_end) = &mut listening.front_end {
                        front_end.restart();
                    }
                }
                Piece::Mark(Mark::End { reason, turn }) => {
                    session.send(Input::EndUtterance { reason, turn });
                }
                Piece::Mark(Mark::UtteranceEnd(turn)) => listening.end_utterance(turn).await,
                Piece::Mark(Mark::Discard) => {
                    listening.end_utterance(None).await;
                    session.send(Input::DiscardUtterance);
                }
            }
        }
        futures_lite::future::yield_now().await;
    }
}

struct Listening {
    session: Arc<SessionShared>,
    front_end: Option<FrontEnd>,
    /// The utterance of push-to-talk under way, or why there is none.
    utterance: Option<Result<Collector>>,
    /// The open microphone has failed, its error was told, and it has not worked since.
    failed: bool,
}

impl Listening {
    /// Takes a second of sound at most. An error or a panic of the VAD ends the utterance of push-to-talk; an open
    /// microphone goes on with a new VAD.
    async fn take(&mut self, source: Source, samples: &[f32], rate: u32) {
        if source == Source::PushToTalk && self.utterance.is_none() {
            // Begun before anything can fail, so that a failure ends it.
            self.utterance = Some(Ok(Collector::new(&self.session.engine, &self.session.config.lock())));
        }
        let opened = self.open().await;
        let taken = contained(async { opened.and_then(|()| self.process(source, samples, rate)) }).await;
        let Err(error) = taken else { return };
        self.front_end = None;
        match source {
            Source::PushToTalk => self.utterance = Some(Err(error)),
            // Without a VAD nothing is cancelled; whoever speaks is told why.
            Source::Playback => {}
            Source::OpenMicrophone => self.tell(&error),
        }
    }

    /// Opens the front end, unless it is open.
    async fn open(&mut self) -> Result<()> {
        if self.front_end.is_none() {
            self.front_end = Some(contained(FrontEnd::open(&self.session.engine)).await?);
        }
        Ok(())
    }

    fn process(&mut self, source: Source, samples: &[f32], rate: u32) -> Result<()> {
        let front_end = self.front_end.as_mut().expect("it was opened");
        match source {
            Source::Playback => front_end.push_playback(samples, rate),
            Source::OpenMicrophone => front_end.push(samples, rate, |frame, probability| {
                self.failed = false;
                let end = self.session.history.lock().push(frame);
                self.session.send(Input::Speech { end, probability });
            }),
            Source::PushToTalk => match &mut self.utterance {
                Some(Ok(collector)) => collector.push(front_end, samples, rate),
                _ => Ok(()),
            },
        }
    }

    /// Tells the host of an error of the open microphone, once until it works again.
    fn tell(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.failed, true) {
            tracing::warn!(error = error.chain(), "listening failed");
            self.session.emit(None, EventKind::Error(ErrorInfo::from(error)));
        }
    }

    /// Hands the utterance over to its turn; where it has none, drops it.
    async fn end_utterance(&mut self, turn: Option<TurnId>) {
        let utterance = match self.utterance.take() {
            Some(utterance) => utterance,
            None if turn.is_none() => return,
            None => Err(ErrorCode::NoSpeech.into()),
        };
        let span =
            info_span!("turn_work", session = %self.session.id, turn = turn.map(|turn| turn.0), stage = ?Stage::Decode);
        let finish = async {
            let collector = utterance?;
            self.open().await?;
            collector.finish(self.front_end.as_mut().expect("it was opened"))
        };
        let found = contained(finish).instrument(span).await;
        if found.as_ref().is_err_and(|error| error.code() != ErrorCode::NoSpeech) {
            self.front_end = None;
        }
        if let Some(turn) = turn {
            self.session.engine.send(Message::SpeechFound(self.session.key, turn, found));
        }
    }
}
