//! Recovery at opening, after a crash: closing open turns, and repairing the list of sessions.

use crate::error::Result;
use crate::event::{InterruptReason, SessionId};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::record::TurnState;
use crate::store::schema::{session_of_key, split_updated_key, turn_of_key, updated_key};
use crate::store::tables::{Snapshot, Tables, write};
use redb::ReadableTable;
use std::collections::HashSet;

/// Closes the turns that a crash left open, in one transaction. They end at the last change of their session.
pub(super) fn close_open_turns(db: &Db) -> Result<()> {
    db.run(|open| {
        if Snapshot::of(open)?.open_turns.first()?.is_none() {
            return Ok(());
        }
        write(open, |tables| {
            let mut open = Vec::new();
            for row in tables.open_turns.iter()? {
                open.push(*row?.0.value());
            }
            for key in open {
                tables.open_turns.remove(&key)?;
                let (session, turn) = (session_of_key(&key), turn_of_key(&key));
                let Some(mut record) = tables.sound_turn(session, turn)? else {
                    continue;
                };
                if record.state != TurnState::Open {
                    continue;
                }
                record.state = TurnState::Interrupted { reason: InterruptReason::Crash };
                record.ended_ms = Some(record.started_ms.max(tables.updated_ms(session)?));
                tables.save_turn(&record)?;
            }
            Ok(())
        })
    })
}

/// Adds sessions that the list of sessions lacks.
pub(super) fn check_list(db: &Db) -> Result<()> {
    db.run(|open| {
        let (snapshot, mut listed, mut unlisted) = (Snapshot::of(open)?, HashSet::new(), Vec::new());
        for row in snapshot.by_updated.iter()? {
            listed.insert(split_updated_key(row?.0.value()).1);
        }
        for row in snapshot.sessions.iter()? {
            let id = session_of_key(row?.0.value());
            if !listed.contains(&id) {
                unlisted.push(id);
            }
        }
        if unlisted.is_empty() {
            return Ok(());
        }
        write(open, |tables| {
            for &id in &unlisted {
                tables.by_updated.insert(&updated_key(tables.updated_ms(id)?, id), ())?;
            }
            Ok(())
        })
    })
}

impl Tables<'_> {
    /// The session's last change; 0 where its record is damaged or lost.
    fn updated_ms(&self, id: SessionId) -> Result<u64, Fault> {
        match self.load_session(id) {
            Ok(session) => Ok(session.updated_ms),
            Err(Fault::Own(_)) => Ok(0),
            Err(fault) => Err(fault),
        }
    }
}
