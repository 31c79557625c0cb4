//! The task of a session's microphone: from the queue through the front end to the machine, or into an utterance of
//! push-to-talk.

use super::exec::contained;
use super::front_end::FrontEnd;
use super::microphone::{Block, Mark, Piece, Source};
use super::utterance::Collector;
use super::{Message, SessionShared, Shared};
use crate::backend::CancelFlag;
use crate::error::{ErrorCode, Result};
use crate::event::{ErrorInfo, EventKind, Stage, TurnId};
use crate::turn::Input;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tracing::{Instrument, info_span};

/// Takes a session's microphone until it is closed.
pub(crate) async fn listen(session: Arc<SessionShared>) {
    let mut listening = Listening { session: session.clone(), front_end: None, utterance: None, failed: false };
    let (mut block, never) = (Block::default(), CancelFlag::new());
    if session.continuous.load(Ordering::Acquire) {
        listening.contain(|listening| listening.front_end().map(drop)).await;
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
                        listening.contain(|listening| listening.take(source, second, rate)).await;
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
    /// The open microphone has failed, and its error was told.
    failed: bool,
}

impl Listening {
    fn front_end(&mut self) -> Result<&mut FrontEnd> {
        opened(&mut self.front_end, &self.session.engine)
    }

    /// Does the work; an error or a panic of the VAD ends the utterance of push-to-talk, or the open microphone.
    async fn contain(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) {
        let Err(error) = contained(async { work(self) }).await else { return };
        self.front_end = None;
        if let Some(utterance) = &mut self.utterance {
            *utterance = Err(error);
        } else if !self.failed {
            self.failed = true;
            tracing::warn!(error = error.chain(), "listening failed");
            self.session.emit(None, EventKind::Error(ErrorInfo::from(&error)));
        }
    }

    fn take(&mut self, source: Source, samples: &[f32], rate: u32) -> Result<()> {
        match source {
            // Without a VAD nothing is cancelled; whoever speaks is told why.
            Source::Playback => self.front_end().map_or(Ok(()), |front_end| front_end.push_playback(samples, rate)),
            Source::OpenMicrophone if self.failed => Ok(()),
            Source::OpenMicrophone => {
                let session = self.session.clone();
                self.front_end()?.push(samples, rate, |frame, probability| {
                    let end = session.history.lock().push(frame);
                    session.send(Input::Speech { end, probability });
                })
            }
            Source::PushToTalk => {
                // Left in its place, so that even a panic of the VAD ends this utterance.
                let config = &self.session.config;
                let utterance =
                    self.utterance.get_or_insert_with(|| Ok(Collector::new(&self.session.engine, &config.lock())));
                match utterance {
                    Ok(collector) => collector.push(opened(&mut self.front_end, &self.session.engine)?, samples, rate),
                    Err(_failed) => Ok(()),
                }
            }
        }
    }

    /// Hands the utterance over to its turn; where it has none, drops it.
    async fn end_utterance(&mut self, turn: Option<TurnId>) {
        let utterance = self.utterance.take().unwrap_or_else(|| Err(ErrorCode::NoSpeech.into()));
        let span =
            info_span!("turn_work", session = %self.session.id, turn = turn.map(|turn| turn.0), stage = ?Stage::Decode);
        let found = contained(async { utterance?.finish(self.front_end()?) }).instrument(span).await;
        if found.as_ref().is_err_and(|error| error.code() != ErrorCode::NoSpeech) {
            self.front_end = None;
        }
        if let Some(turn) = turn {
            self.session.engine.send(Message::SpeechFound(self.session.key, turn, found));
        }
    }
}

fn opened<'a>(front_end: &'a mut Option<FrontEnd>, shared: &Shared) -> Result<&'a mut FrontEnd> {
    match front_end {
        Some(open) => Ok(open),
        none => Ok(none.insert(FrontEnd::open(shared)?)),
    }
}
