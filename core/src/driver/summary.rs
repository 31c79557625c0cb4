//! The rolling summary: the chat model summarises exchanges that will not fit its context.
//!
//! It is made between turns, while no session waits for a backend, once three quarters of the context are used; else
//! before the reply that needs the room, which fails if it fails.

use super::context::{Dialogue, Folded, Room};
use super::exec::contained;
use super::{Message, SessionShared};
use crate::backend::{
    Backends, CancelFlag, ChatModel, ChatRequest, ChatStep, Message as ChatMessage, Purpose, Sampling, StopReason,
};
use crate::config::SessionConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::prompt;
use crate::text::whole_sentences;
use std::sync::Arc;
use tracing::{Instrument, info_span};

/// A summary in tokens is asked for in words; a word of the languages at hand takes no more than about so many.
const TOKENS_PER_WORD: usize = 2;
/// A summary that is longer is cut off, however the model counts its tokens.
const BYTES_PER_TOKEN_MAX: usize = 6;
/// With less room for what is to be summarised, nothing of use comes of it.
const PART_TOKENS_MIN: usize = 16;
/// Close to the likeliest words, for facts rather than wit.
const TEMPERATURE: f32 = 0.3;

/// Progress of a summary, for the loop.
pub(crate) enum News {
    /// One was made.
    Made(Folded),
    /// The work between two turns is over.
    Ended,
}

/// The writer of one session's summaries.
pub(crate) struct Writer {
    pub(crate) session: Arc<SessionShared>,
    pub(crate) chat: Arc<dyn ChatModel>,
    pub(crate) config: SessionConfig,
    pub(crate) cancel: CancelFlag,
    /// It runs only while no session waits for a backend.
    pub(crate) can_wait: bool,
}

/// Summarises exchanges that will soon not fit. Where that fails, the reply that needs the room tries again.
pub(crate) async fn summarise_ahead(
    session: Arc<SessionShared>,
    mut dialogue: Dialogue,
    config: SessionConfig,
    cancel: CancelFlag,
) {
    let span = info_span!("summary", session = %session.id);
    let work = async {
        session.engine.idle.wait().await;
        let chat = Backends::require(&session.engine.backends.chat, "chat model")?.clone();
        let writer = Writer { session: session.clone(), chat, config, cancel, can_wait: true };
        while let count @ 1.. = dialogue.excess_to_come(&writer.room())? {
            writer.fold(&mut dialogue, count).await?;
        }
        Ok(())
    };
    let result: Result<()> = contained(work).instrument(span).await;
    if let Err(error) = result
        && error.code() != ErrorCode::Cancelled
    {
        tracing::warn!(error = error.chain(), "a summary failed");
    }
    session.engine.send(Message::Summary(session.key, News::Ended));
}

impl Writer {
    pub(crate) fn room(&self) -> Room<'_> {
        Room::new(&*self.chat, (&self.config, &self.session.engine.catalog))
    }

    /// Summarises until the messages with `last` fit, if they can; gives them. Work `ahead` on the same is stopped.
    ///
    /// # Errors
    /// The chat model's; [`ErrorCode::Cancelled`].
    pub(crate) async fn make_room(
        &self,
        dialogue: &mut Dialogue,
        last: &ChatMessage,
        room: &Room<'_>,
        ahead: Option<&CancelFlag>,
    ) -> Result<Vec<ChatMessage>> {
        while dialogue.can_make_room(last, room)?
            && let excess @ 1.. = dialogue.excess(last, room)?
        {
            if let Some(ahead) = ahead {
                ahead.cancel();
            }
            self.fold(dialogue, excess).await?;
        }
        dialogue.messages(Some(last), (&self.config, &self.session.engine.catalog))
    }

    /// Summarises as many of the first `wanted` exchanges as one request can hold, at least one, and tells the loop.
    async fn fold(&self, dialogue: &mut Dialogue, wanted: usize) -> Result<()> {
        self.session.engine.ensure_loaded(&*self.chat).await?;
        let mut text = dialogue.summary().map(|summary| summary.text.clone()).unwrap_or_default();
        let mut part_max = self.part_max(&text);
        let count = loop {
            if part_max < PART_TOKENS_MIN {
                return Err(Error::new(ErrorCode::ContextFull, "no room for a summary"));
            }
            let (count, parts) = dialogue.part(wanted, part_max, &self.room());
            match self.summarise(&text, &parts).await {
                // The model counts more tokens than it said.
                Err(error) if error.code() == ErrorCode::ContextFull => part_max /= 2,
                summary => {
                    text = summary?;
                    break count;
                }
            }
        };
        self.cancel.check()?;
        if let Some(folded) = dialogue.folded(count, text) {
            self.session.engine.send(Message::Summary(self.session.key, News::Made(folded.clone())));
            dialogue.fold(folded);
        }
        Ok(())
    }

    /// Tokens that are free for what is to be added to this summary, or to one as long as they get.
    fn part_max(&self, summary: &str) -> usize {
        let room = self.room();
        let (asked, summary) = (room.tokens_of(&self.question("", "")), room.count(summary).max(room.summary_max));
        self.chat.context_len().saturating_sub(asked + summary + room.summary_max)
    }

    fn question(&self, summary: &str, part: &str) -> [ChatMessage; 2] {
        let words = (self.room().summary_max / TOKENS_PER_WORD).max(1);
        prompt::summary_messages(summary, part.trim_end(), words, &self.config, &self.session.engine.catalog)
    }

    /// The summary with the parts added, one after the other.
    async fn summarise(&self, summary: &str, parts: &[String]) -> Result<String> {
        let mut summary = summary.to_owned();
        for part in parts {
            summary = self.ask(self.question(&summary, part)).await?;
        }
        Ok(summary)
    }

    /// Has the chat model answer in a conversation of its own: the session's keeps its cache.
    async fn ask(&self, messages: [ChatMessage; 2]) -> Result<String> {
        let summary_max = self.room().summary_max;
        let sampling = Sampling {
            temperature: TEMPERATURE,
            seed: self.config.sampling.seed,
            max_tokens: summary_max as u32,
            ..Sampling::default()
        };
        let pinned = messages.len() - 1;
        let (messages, cancel) = (messages.into(), self.cancel.clone());
        let context = self.session.context(&self.config, Purpose::Summary, None);
        let request = ChatRequest { messages, pinned, sampling, context, cancel };
        let mut conversation = self.chat.open_conversation()?;
        let mut steps = conversation.reply(request)?;
        let mut text = String::new();
        let mut ended = None;
        while ended.is_none() {
            if self.can_wait {
                self.session.engine.idle.wait().await;
            }
            self.cancel.check()?;
            match steps.step().await? {
                Some(ChatStep::Working) => {}
                Some(ChatStep::Text(more)) => text += &more,
                Some(ChatStep::Done { reason, .. }) => ended = Some(reason),
                None => return Err(Error::new(ErrorCode::ChatFailed, "it ended without saying so")),
            }
            if text.len() > summary_max * BYTES_PER_TOKEN_MAX {
                text.truncate(text.floor_char_boundary(summary_max * BYTES_PER_TOKEN_MAX));
                ended = Some(StopReason::Length);
            }
            futures_lite::future::yield_now().await;
        }
        let text = match ended {
            Some(StopReason::Length) => whole_sentences(text.trim()),
            _ => text.trim(),
        };
        if text.is_empty() {
            return Err(ErrorCode::ReplyEmpty.into());
        }
        Ok(text.to_owned())
    }
}
