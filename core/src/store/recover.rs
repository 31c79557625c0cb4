//! What happens at opening: creating, checking the version, and tidying up after a crash.

use crate::error::{Error, ErrorCode, Result};
use crate::event::{InterruptReason, SessionId};
use crate::store::db::{Db, Fault, Open, not_a_store};
use crate::store::keys::{Ring, StoreKey};
use crate::store::payload::MetaPayload;
use crate::store::record::TurnState;
use crate::store::schema::{
    APP_ID, BY_UPDATED, Kind, META, META_COPY, META_KEY, MIN_READER, MIN_READER_ENCRYPTED, RING_KEY, SCHEMA, decode,
    encode, seal, session_of_key, turn_of_key, unseal, updated_key,
};
use crate::store::tables::{Snapshot, Tables, find_turn, load_session, unless_damaged, write};
use redb::{Database, ReadTransaction, ReadableTable, TableHandle, WriteTransaction};
use std::sync::Arc;

/// Makes the tables where there are none; else sees to it that this build may read them.
pub(super) fn prepare(db: &Db, key: Option<&StoreKey>, now_ms: u64) -> Result<()> {
    let ring = if db.run(is_new)? {
        let ring = if key.is_some() { Ring::encrypted()? } else { Ring::plain() };
        db.run(|open| create(open.writable()?, &ring, key, now_ms))?;
        ring
    } else {
        db.run(|open| check(open, key))?
    };
    db.open_with_ring(ring);
    Ok(())
}

/// Closes the turns that a crash left open, in one transaction. They end when their session was last seen to
/// change.
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
                let Some(mut record) = unless_damaged(find_turn(&tables.ring, &tables.turns, session, turn))?.flatten()
                else {
                    continue;
                };
                if record.state != TurnState::Open {
                    continue;
                }
                let seen_ms = match load_session(&tables.ring, &tables.sessions, session) {
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
    db.run(|open| match Snapshot::of(open)?.unlisted()?.as_slice() {
        [] => Ok(()),
        unlisted => write(open, |tables| relist(tables, unlisted)),
    })
}

fn relist(tables: &mut Tables<'_>, unlisted: &[SessionId]) -> Result<(), Fault> {
    for &id in unlisted {
        // A damaged record, or one that damage beside it hides from a search, has lost its place in the list.
        let updated_ms = match load_session(&tables.ring, &tables.sessions, id) {
            Ok(session) => session.updated_ms,
            Err(Fault::Own(_)) => 0,
            Err(fault) => return Err(fault),
        };
        tables.by_updated.insert(&updated_key(updated_ms, id), ())?;
    }
    Ok(())
}

fn is_new(open: &Open<'_>) -> Result<bool, Fault> {
    let transaction = open.begin_read()?;
    let (mut any, mut ours) = (false, false);
    for table in transaction.list_tables()? {
        any = true;
        ours |= table.name() == META.name();
    }
    any |= transaction.list_multimap_tables()?.next().is_some();
    if any && !ours { Err(not_a_store().into()) } else { Ok(!any) }
}

/// Makes the tables of a new store.
pub(super) fn create(database: &Database, ring: &Ring, key: Option<&StoreKey>, now_ms: u64) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    drop(Tables::open(&transaction, Arc::new(Ring::plain()))?);
    put_vital(&transaction, ring, key, now_ms)?;
    transaction.commit()?;
    Ok(())
}

/// Writes what the store cannot do without, twice: what it is, and the ring, wrapped by the key.
pub(super) fn put_vital(
    transaction: &WriteTransaction,
    ring: &Ring,
    key: Option<&StoreKey>,
    created_ms: u64,
) -> Result<(), Fault> {
    let wrapped = match key.filter(|_| ring.holds_keys()) {
        Some(key) => Some(ring.wrap(key, RING_KEY)?),
        None => None,
    };
    let min_reader = if wrapped.is_some() { MIN_READER_ENCRYPTED } else { MIN_READER };
    let app = APP_ID.into();
    let meta = MetaPayload { app, schema: SCHEMA, min_reader, created_ms, encrypted: wrapped.is_some() };
    let plain = Ring::plain();
    for table in [META, META_COPY] {
        let mut table = transaction.open_table(table)?;
        table.insert(META_KEY, encode(&plain, Kind::Meta, META_KEY, &meta)?.as_slice())?;
        match &wrapped {
            Some(wrapped) => table.insert(RING_KEY, seal(&plain, Kind::Ring, RING_KEY, wrapped)?.as_slice())?,
            None => table.remove(RING_KEY)?,
        };
    }
    Ok(())
}

/// What the store is.
pub(super) fn load_meta(transaction: &ReadTransaction) -> Result<MetaPayload, Fault> {
    let read = |row: &[u8]| decode(&Ring::plain(), Kind::Meta, META_KEY, row);
    match find_vital(transaction, META_KEY, read)? {
        Some(meta) => Ok(meta),
        // Ours has never been without; another program's table of this name would be.
        None => Err(if transaction.open_table(BY_UPDATED).is_ok() { corrupt() } else { not_a_store() }.into()),
    }
}

fn check(open: &Open<'_>, key: Option<&StoreKey>) -> Result<Ring, Fault> {
    let transaction = open.begin_read()?;
    let meta = load_meta(&transaction)?;
    if meta.app != APP_ID {
        return Err(not_a_store().into());
    }
    if meta.min_reader > SCHEMA {
        let detail = format!("the store asks for version {} or newer, this is {SCHEMA}", meta.min_reader);
        return Err(Error::new(ErrorCode::StoreFromFuture, detail).into());
    }
    let wrong_key = |detail: &str| Fault::from(Error::new(ErrorCode::StoreWrongKey, detail));
    match (meta.encrypted, key) {
        (false, None) => Ok(Ring::plain()),
        (false, Some(_)) => Err(wrong_key("the store is not encrypted")),
        (true, None) => Err(wrong_key("the store is encrypted")),
        (true, Some(key)) => {
            let read = |row: &[u8]| Ok(unseal(&Ring::plain(), Kind::Ring, RING_KEY, row)?.into_owned());
            let wrapped = find_vital(&transaction, RING_KEY, read)?.ok_or_else(corrupt)?;
            Ok(Ring::unwrap(key, RING_KEY, &wrapped)?)
        }
    }
}

/// A row of [`META`], or where it is damaged or lost, its copy.
fn find_vital<T>(
    transaction: &ReadTransaction,
    key: &[u8],
    read: impl Fn(&[u8]) -> Result<T>,
) -> Result<Option<T>, Fault> {
    let mut worst = None;
    for definition in [META, META_COPY] {
        let table = match transaction.open_table(definition) {
            Ok(table) => table,
            Err(redb::TableError::Storage(error)) => return Err(error.into()),
            // Before version 2 there was no copy.
            Err(redb::TableError::TableDoesNotExist(_)) if definition.name() == META_COPY.name() => continue,
            Err(_) => return Err(not_a_store().into()),
        };
        let Some(row) = table.get(key)? else { continue };
        match read(row.value()) {
            Ok(value) => return Ok(Some(value)),
            Err(error) if error.code() == ErrorCode::RecordCorrupt => worst = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match worst {
        Some(error) => Err(corrupt().with_source(error).into()),
        None => Ok(None),
    }
}

fn corrupt() -> Error {
    Error::new(ErrorCode::StoreCorrupt, "the store's own record is damaged or lost")
}
