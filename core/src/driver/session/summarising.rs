//! The session's side of the rolling summary: when one is made, read by the chat model, stored, and renewed.

use super::SessionCore;
use crate::backend::{CancelFlag, ChatRequest, Message, Purpose};
use crate::driver::context::Exchange;
use crate::driver::jobs;
use crate::driver::summary::{self, News};
use crate::driver::worker::Worker;
use crate::error::Result;
use crate::store::{TurnRecord, Turns, Write};
use crate::turn::Ticket;

impl SessionCore {
    /// Adds a turn's exchange to the conversation; gives the write that goes with the turn's.
    pub(super) fn add_exchange(&mut self, exchange: Exchange) -> Option<Write> {
        if self.dialogue.push(exchange) { self.summary_write() } else { None }
    }

    /// Leaves out of the conversation the turns that this one supersedes.
    pub(super) fn supersede(&mut self, record: &TurnRecord) {
        let gone = self.lineage.add(record);
        let summary_through = self.dialogue.summary().map(|summary| summary.through);
        let is_summarised = record.corrects.is_some_and(|corrected| summary_through >= Some(corrected));
        if gone.is_empty() && !is_summarised {
            return;
        }
        self.stop_summarising();
        self.dialogue.leave_out(&gone);
        if is_summarised && self.superseding.is_empty() {
            // The summary contains what follows from the corrected words: the turns before them are read again.
            self.spawn(Worker::Chat, jobs::read_turns(self.session.clone()));
        }
        if is_summarised || !self.superseding.is_empty() {
            self.superseding.push(record.clone());
        }
    }

    /// Begins the conversation afresh with the turns of the store; what waited for them goes on.
    pub(crate) fn handle_turns(&mut self, read: Result<Turns>) {
        let superseding = std::mem::take(&mut self.superseding);
        match read {
            Ok(Turns { turns, .. }) => {
                self.lineage = turns.iter().chain(&superseding).collect();
                self.dialogue.renew(turns.iter().filter(|turn| self.lineage.is_current(turn.turn)));
            }
            // The conversation goes on with a summary that contains too much.
            Err(error) => tracing::warn!(error = error.chain(), "a summary could not be renewed"),
        }
        match self.turn.as_mut().and_then(|work| Some((work.id, work.held_reply.take()?))) {
            Some((turn, (origin, given))) => self.reply(turn, origin, given),
            None => self.summarise_ahead(),
        }
    }

    /// Lets the chat model summarise, while no session waits for it, what will soon not fit its context.
    pub(super) fn summarise_ahead(&mut self) {
        if self.summarising.is_some() || !self.superseding.is_empty() || self.session.engine.backends.chat.is_none() {
            return;
        }
        let cancel = self.summarising.insert(CancelFlag::new()).clone();
        let (dialogue, config) = (self.dialogue.clone(), self.session.config.lock().clone());
        self.spawn(Worker::Chat, summary::summarise_ahead(self.session.clone(), dialogue, config, cancel));
    }

    pub(crate) fn handle_summary(&mut self, news: News) {
        match news {
            News::Made(folded) => {
                if self.dialogue.fold(folded) {
                    self.has_new_summary = true;
                    let write = self.summary_write();
                    self.commit(Ticket::OF_NO_EVENT, write.into_iter().collect());
                }
            }
            News::Ended => {
                self.summarising = None;
                self.read_summary();
            }
        }
    }

    pub(super) fn stop_summarising(&mut self) {
        self.reading_ahead.cancel();
        if let Some(summarising) = &self.summarising {
            summarising.cancel();
        }
    }

    /// Prefills a new summary and what comes after it for the next reply.
    fn read_summary(&mut self) {
        if self.turn.is_some() || !self.superseding.is_empty() || !std::mem::take(&mut self.has_new_summary) {
            return;
        }
        self.reading_ahead = CancelFlag::new();
        self.read_ahead(None, self.reading_ahead.clone());
    }

    /// Prefills the conversation, with a last message that may come.
    pub(super) fn read_ahead(&self, last: Option<&Message>, cancel: CancelFlag) {
        let config = self.session.config.lock().clone();
        // An error here is reported when the reply is due.
        let Ok(messages) = self.dialogue.messages(last, (&config, &self.session.engine.catalog)) else { return };
        let pinned = messages.len() - usize::from(last.is_some());
        let context = self.session.context(&config, Purpose::Prefill, None);
        let request = ChatRequest { messages, pinned, sampling: config.sampling, context, cancel };
        self.spawn(Worker::Chat, jobs::prefill(self.session.clone(), self.conversation.clone(), request));
    }

    fn summary_write(&self) -> Option<Write> {
        let summary = self.dialogue.summary()?.clone();
        Some(Write::PutSummary { session: self.session.id, summary })
    }
}
