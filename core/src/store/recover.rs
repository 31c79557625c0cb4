//! What happens at opening: creating, checking the version, and tidying up after a crash.

use crate::error::{Error, ErrorCode, Result};
use crate::event::{InterruptReason, SessionId};
use crate::store::db::{Db, Fault, not_a_store};
use crate::store::payload::MetaPayload;
use crate::store::record::TurnState;
use crate::store::schema::{
    APP_ID, BY_UPDATED, Kind, META, META_KEY, MIN_READER, SCHEMA, decode, encode, session_of_key, turn_of_key,
    updated_key,
};
use crate::store::tables::{Snapshot, Tables, find_turn, load_session, unless_damaged, write};
use redb::{Database, ReadableDatabase, ReadableTable, TableHandle};

/// Makes the tables where there are none; else sees to it that this build may read them.
pub(super) fn prepare(db: &Db, now_ms: u64) -> Result<()> {
    db.run(|database| if is_new(database)? { create(database, now_ms) } else { check(database) })
}

/// Closes the turns that a crash left open, in one transaction. They end when their session was last seen to
/// change.
pub(super) fn close_open_turns(db: &Db) -> Result<()> {
    db.run(|database| {
        if Snapshot::of(database)?.open_turns.first()?.is_none() {
            return Ok(());
        }
        write(database, |tables| {
            let mut open = Vec::new();
            for row in tables.open_turns.iter()? {
                open.push(*row?.0.value());
            }
            for key in open {
                tables.open_turns.remove(&key)?;
                let (session, turn) = (session_of_key(&key), turn_of_key(&key));
                let Some(mut record) = unless_damaged(find_turn(&tables.turns, session, turn))?.flatten() else {
                    continue;
                };
                if record.state != TurnState::Open {
                    continue;
                }
                let seen_ms = match load_session(&tables.sessions, session) {
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

/// Compares the list of sessions with the sessions, and lists again what is missing there.
pub(super) fn check_list(db: &Db) -> Result<()> {
    db.run(|database| match Snapshot::of(database)?.unlisted()?.as_slice() {
        [] => Ok(()),
        unlisted => write(database, |tables| relist(tables, unlisted)),
    })
}

fn relist(tables: &mut Tables<'_>, unlisted: &[SessionId]) -> Result<(), Fault> {
    for &id in unlisted {
        // A damaged record, or one that damage beside it hides from a search, has lost its place in the list.
        let updated_ms = match load_session(&tables.sessions, id) {
            Ok(session) => session.updated_ms,
            Err(Fault::Own(_)) => 0,
            Err(fault) => return Err(fault),
        };
        tables.by_updated.insert(&updated_key(updated_ms, id), ())?;
    }
    Ok(())
}

fn is_new(database: &Database) -> Result<bool, Fault> {
    let transaction = database.begin_read()?;
    let (mut any, mut ours) = (false, false);
    for table in transaction.list_tables()? {
        any = true;
        ours |= table.name() == META.name();
    }
    any |= transaction.list_multimap_tables()?.next().is_some();
    if any && !ours { Err(not_a_store().into()) } else { Ok(!any) }
}

fn create(database: &Database, now_ms: u64) -> Result<(), Fault> {
    let meta = MetaPayload { app: APP_ID.into(), schema: SCHEMA, min_reader: MIN_READER, created_ms: now_ms };
    let transaction = database.begin_write()?;
    drop(Tables::open(&transaction)?);
    transaction.open_table(META)?.insert(META_KEY, encode(Kind::Meta, META_KEY, &meta)?.as_slice())?;
    transaction.commit()?;
    Ok(())
}

fn check(database: &Database) -> Result<(), Fault> {
    let transaction = database.begin_read()?;
    let foreign = |fault: redb::TableError| match fault {
        redb::TableError::Storage(error) => Fault::from(error),
        _ => not_a_store().into(),
    };
    let meta = transaction.open_table(META).map_err(foreign)?;
    let Some(row) = meta.get(META_KEY)? else {
        // Ours has never been without; another program's table of this name would be.
        return Err(if transaction.open_table(BY_UPDATED).is_ok() { corrupt() } else { not_a_store() }.into());
    };
    let meta: MetaPayload = decode(Kind::Meta, META_KEY, row.value()).map_err(|error| match error.code() {
        ErrorCode::RecordCorrupt => corrupt().with_source(error),
        _ => error,
    })?;
    if meta.app != APP_ID {
        return Err(not_a_store().into());
    }
    if meta.min_reader > SCHEMA {
        let detail = format!("the store asks for version {} or newer, this is {SCHEMA}", meta.min_reader);
        return Err(Error::new(ErrorCode::StoreFromFuture, detail).into());
    }
    Ok(())
}

fn corrupt() -> Error {
    Error::new(ErrorCode::StoreCorrupt, "the store's own record is damaged or lost")
}
