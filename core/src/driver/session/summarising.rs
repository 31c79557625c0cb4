//! What a session does to remember a conversation that outgrows the chat model's context.

use super::SessionCore;
use crate::backend::{CancelFlag, ChatRequest, Sampling};
use crate::driver::context::Exchange;
use crate::driver::exec::Worker;
use crate::driver::jobs;
use crate::driver::summary::{self, News};
use crate::store::{Lineage, TurnRecord, Write};
use crate::turn::Ticket;

impl SessionCore {
    /// Adds what a turn said to the conversation; gives what is to be written besides the turn.
    pub(super) fn add_exchange(&mut self, exchange: Exchange) -> Option<Write> {
        if self.dialogue.push(exchange) { self.summary_write() } else { None }
    }

    /// Leaves out of the conversation what this turn takes the place of.
    pub(super) fn supersede(&mut self, record: &TurnRecord) {
        let gone = self.lineage.take_in(record);
        let summary_through = self.dialogue.summary().map(|summary| summary.through);
        let is_summarised = record.corrects.is_some_and(|corrected| summary_through >= Some(corrected));
        if gone.is_empty() && !is_summarised {
            return;
        }
        self.stop_summarising();
        if !is_summarised {
            self.dialogue.leave_out(&gone);
            return;
        }
        // The summary tells of what was said after the words that are corrected.
        match self.shared.store.turns(self.session.id) {
            Ok(turns) => {
                let mut lineage: Lineage = turns.turns.iter().collect();
                lineage.take_in(record);
                self.dialogue.renew(turns.turns.iter().filter(|turn| lineage.is_current(turn.turn)));
                self.lineage = lineage;
            }
            // What is remembered too much is told; what is forgotten would not be.
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the summary could not be made anew");
                self.dialogue.leave_out(&gone);
            }
        }
    }

    /// Lets the chat model summarise, while nobody waits for it, what will soon not fit its context.
    pub(super) fn summarise_ahead(&mut self) {
        if self.summarising.is_some() || self.shared.backends.chat.is_none() {
            return;
        }
        let cancel = self.summarising.insert(CancelFlag::new()).clone();
        let (dialogue, config) = (self.dialogue.clone(), self.session.config.lock().clone());
        let work = summary::summarise_ahead(self.shared.clone(), self.session.clone(), dialogue, config, cancel);
        self.shared.workers.spawn(Worker::Chat, Box::pin(work));
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

    /// Lets the chat model read a new summary and what comes after it, so that the next reply need not.
    fn read_summary(&mut self) {
        if self.turn.is_some() || !std::mem::take(&mut self.has_new_summary) {
            return;
        }
        let config = self.session.config.lock().clone();
        // What is wrong here will be told when the reply is due.
        let Ok(messages) = self.dialogue.messages(None, &config, &self.shared.catalog) else { return };
        self.reading_ahead = CancelFlag::new();
        let (pinned, sampling) = (messages.len(), Sampling { max_tokens: 0, ..config.sampling });
        let request = ChatRequest { messages, pinned, sampling, cancel: self.reading_ahead.clone() };
        let prefill = jobs::prefill(self.shared.clone(), self.session.clone(), self.conversation.clone(), request);
        self.shared.workers.spawn(Worker::Chat, Box::pin(prefill));
    }

    fn summary_write(&self) -> Option<Write> {
        let summary = self.dialogue.summary()?.clone();
        Some(Write::PutSummary { session: self.session.id, summary })
    }
}
