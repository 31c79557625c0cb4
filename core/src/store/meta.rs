//! The store's own record: the version of the layout, and the data key, wrapped. It is kept twice.

use crate::error::{Error, ErrorCode, Result};
use crate::store::fault::{Fault, not_a_store};
use crate::store::keys::{Sealing, StoreKey};
use crate::store::payload::MetaPayload;
use crate::store::schema::{
    APP_ID, BY_UPDATED, KEYS_KEY, Kind, META, META_COPY, META_KEY, MIN_READER, MIN_READER_ENCRYPTED, SCHEMA, decode,
    encode, seal, unseal,
};
use crate::store::tables::Rows;
use redb::{Database, ReadTransaction, TableHandle, WriteTransaction};
use std::sync::Arc;

/// True for an empty database; [`ErrorCode::StoreNotAStore`] for another program's.
pub(super) fn is_new(transaction: &ReadTransaction) -> Result<bool, Fault> {
    let (mut any, mut ours) = (false, false);
    for table in transaction.list_tables()? {
        any = true;
        ours |= table.name() == META.name();
    }
    any |= transaction.list_multimap_tables()?.next().is_some();
    if any && !ours { Err(not_a_store().into()) } else { Ok(!any) }
}

/// Makes the tables of a new store.
pub(super) fn create(database: &Database, sealing: &Sealing, key: Option<&StoreKey>, now_ms: u64) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    Rows::open(&transaction, Arc::new(sealing.clone()))?.imports()?;
    put(&transaction, sealing, key, now_ms)?;
    transaction.commit()?;
    Ok(())
}

/// Writes the store's own record and the wrapped data key, with their copies.
pub(super) fn put(
    transaction: &WriteTransaction,
    sealing: &Sealing,
    key: Option<&StoreKey>,
    created_ms: u64,
) -> Result<(), Fault> {
    let wrapped = key.map(|key| sealing.wrap(key, KEYS_KEY)).transpose()?.flatten();
    let min_reader = if wrapped.is_some() { MIN_READER_ENCRYPTED } else { MIN_READER };
    let app = APP_ID.into();
    let meta = MetaPayload { app, schema: SCHEMA, min_reader, created_ms, encrypted: wrapped.is_some() };
    let plain = Sealing::plain();
    for table in [META, META_COPY] {
        let mut table = transaction.open_table(table)?;
        table.insert(META_KEY, encode(&plain, Kind::Meta, META_KEY, &meta)?.as_slice())?;
        if let Some(wrapped) = &wrapped {
            table.insert(KEYS_KEY, seal(&plain, Kind::Keys, KEYS_KEY, wrapped)?.as_slice())?;
        }
    }
    Ok(())
}

/// The store's own record.
pub(super) fn load(transaction: &ReadTransaction) -> Result<MetaPayload, Fault> {
    match find(transaction, META_KEY, |row| decode(&Sealing::plain(), Kind::Meta, META_KEY, row))? {
        Some(meta) => Ok(meta),
        // Ours never lacks it; another program's table of this name would.
        None => Err(if transaction.open_table(BY_UPDATED).is_ok() { corrupt() } else { not_a_store() }.into()),
    }
}

/// Checks that this build can read the store with this key: how its records are sealed.
pub(super) fn load_sealing(transaction: &ReadTransaction, key: Option<&StoreKey>) -> Result<Sealing, Fault> {
    let meta = load(transaction)?;
    if meta.app != APP_ID {
        return Err(not_a_store().into());
    }
    if meta.min_reader > SCHEMA {
        let detail = format!("the store needs version {} or newer, this is {SCHEMA}", meta.min_reader);
        return Err(Error::new(ErrorCode::StoreFromFuture, detail).into());
    }
    let wrong_key = |detail: &str| Fault::from(Error::new(ErrorCode::StoreWrongKey, detail));
    match (meta.encrypted, key) {
        (false, None) => Ok(Sealing::plain()),
        (false, Some(_)) => Err(wrong_key("the store is not encrypted")),
        (true, None) => Err(wrong_key("the store is encrypted")),
        (true, Some(key)) => {
            let read = |row: &[u8]| Ok(unseal(&Sealing::plain(), Kind::Keys, KEYS_KEY, row)?.into_owned());
            let wrapped = find(transaction, KEYS_KEY, read)?.ok_or_else(corrupt)?;
            Ok(Sealing::unwrap(key, KEYS_KEY, &wrapped)?)
        }
    }
}

/// A row of [`META`], or where it is damaged or lost, its copy.
fn find<T>(transaction: &ReadTransaction, key: &[u8], read: impl Fn(&[u8]) -> Result<T>) -> Result<Option<T>, Fault> {
    let mut worst = None;
    for definition in [META, META_COPY] {
        let table = match transaction.open_table(definition) {
            Ok(table) => table,
            Err(redb::TableError::Storage(error)) => return Err(error.into()),
            // Version 1 had no copy.
            Err(redb::TableError::TableDoesNotExist(_)) if definition.name() == META_COPY.name() => continue,
            Err(error) => return Err(not_a_store().with_source(error).into()),
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
