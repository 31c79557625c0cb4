//! The commits of a session: the records of its turns, and writes that failed and go with the next commit.

use super::SessionCore;
use crate::driver::Commit;
use crate::event::TurnOrigin;
use crate::store::{SessionRecord, TurnRecord, Write};
use crate::turn::{Redo, Ticket, TurnFacts};

impl SessionCore {
    /// Keeps what a commit could not write for the next. Later ones may have been on their way, and succeed: what they
    /// wrote of a turn must not become again what it was before.
    pub(super) fn keep_unsaved(&mut self, mut writes: Vec<Write>) {
        writes.retain(|write| !matches!(write, Write::PutSummary { .. }) || self.dialogue.summary().is_some());
        for write in &mut writes {
            match write {
                Write::PutSession(record) => record.clone_from(&self.record),
                Write::PutSummary { summary, .. } => {
                    if let Some(newest) = self.dialogue.summary() {
                        summary.clone_from(newest);
                    }
                }
                Write::PutTurn(record) => {
                    if let Some(newest) = self.turns_written.get(&record.turn) {
                        record.clone_from(newest);
                    }
                }
                _ => {}
            }
        }
        self.unsaved.append(&mut writes);
    }

    pub(super) fn commit(&mut self, ticket: Ticket, writes: Vec<Write>) {
        for write in &writes {
            if let Write::PutTurn(record) = write {
                self.turns_written.insert(record.turn, record.clone());
            }
        }
        self.commits_open += 1;
        let mut all = std::mem::take(&mut self.unsaved);
        all.extend(writes);
        self.session.engine.commit(Commit { key: self.session.key, ticket, writes: all });
    }

    pub(super) fn turn_record(&self, facts: TurnFacts) -> TurnRecord {
        let now = (self.session.now_us(), self.session.engine.clock.unix_ms());
        let (user_text, instructions) = match &facts.transcript {
            Some(transcript) => (transcript.text.clone(), String::new()),
            None if facts.origin == TurnOrigin::Reply => (String::new(), facts.given_text),
            None => (facts.given_text, String::new()),
        };
        let unix_ms = |at_us: u64| now.1.saturating_sub(now.0.saturating_sub(at_us) / 1000);
        TurnRecord {
            started_ms: unix_ms(facts.started_at_us),
            ended_ms: facts.ended_at_us.map(unix_ms),
            retry_of: facts.redoes.and_then(Redo::retry_of),
            corrects: facts.redoes.and_then(Redo::corrects),
            user_text,
            instructions,
            transcript: facts.transcript,
            reply_text: facts.reply_text,
            heard_text: facts.heard_text,
            heard_estimated: facts.heard_estimated,
            state: facts.state,
            metrics: Some(facts.metrics),
            ..TurnRecord::new(self.session.id, facts.turn, facts.origin, now.1)
        }
    }

    pub(super) fn touched_record(&mut self) -> SessionRecord {
        self.record.updated_ms = self.session.engine.clock.unix_ms();
        self.record.clone()
    }
}
