//! Recovery at opening, after a crash: closing open turns, and repairing the list of sessions.

use crate::error::Result;
use crate::event::{InterruptReason, SessionId};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::record::TurnState;
use crate::store::schema::{session_of_key, turn_of_key, updated_key};
use crate::store::tables::{Records, Snapshot, Tables, write};
use redb::ReadableTable;

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
                let seen_ms = match tables.load_session(session) {
                    Ok(session) => session.updated_ms,
                    Err(Fault::Own(_)) => 0,
                    Err(fault) => return Err(fault),
                };
                record.state = TurnState::Interrupted { reason: InterruptReason::Crash };
                record.ended_ms = Some(record.started_ms.max(seen_ms));
                tables.save_turn(&record)?;
            }
            Ok(())
        })
    })
}

/// Adds sessions that the list of sessions lacks.
pub(super) fn check_list(db: &Db) -> Result<()> {
    db.run(|open| match Snapshot::of(open)?.unlisted()?.as_slice() {
        [] => Ok(()),
        unlisted => write(open, |tables| relist(tables, unlisted)),
    })
}

fn relist(tables: &mut Tables<'_>, unlisted: &[SessionId]) -> Result<(), Fault> {
    for &id in unlisted {
        // A damaged record has no time.
        let updated_ms = match tables.load_session(id) {
            Ok(session) => session.updated_ms,
            Err(Fault::Own(_)) => 0,
            Err(fault) => return Err(fault),
        };
        tables.by_updated.insert(&updated_key(updated_ms, id), ())?;
    }
    Ok(())
}
