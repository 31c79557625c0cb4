//! Copying what lives into a fresh storage, which then takes the old one's place: nothing that was deleted or replaced
//! is in it, and no room that is not used.

use crate::error::{ErrorCode, Result};
use crate::store::db::{Db, Fault};
use crate::store::keys::{Ring, StoreKey};
use crate::store::recover::{create, load_meta};
use crate::store::schema::{
    AUDIO, BLOB_REFS, BY_UPDATED, IMPORTS, META, META_COPY, OPEN_TURNS, SESSIONS, TOMBSTONES, TURNS,
};
use redb::{Database, Key, ReadTransaction, ReadableTable, TableDefinition, TableHandle, Value};

/// Bytes that one transaction copies.
const BYTES_MAX: usize = 16 << 20;

/// Copies everything that is there.
pub(super) fn copy(db: &Db) -> Result<()> {
    db.replace(|open, new| {
        let old = open.begin_read()?;
        let known = [
            copy_table(&old, new, META)?,
            copy_table(&old, new, META_COPY)?,
            copy_table(&old, new, SESSIONS)?,
            copy_table(&old, new, TURNS)?,
            copy_table(&old, new, AUDIO)?,
            copy_table(&old, new, BLOB_REFS)?,
            copy_table(&old, new, BY_UPDATED)?,
            copy_table(&old, new, OPEN_TURNS)?,
            copy_table(&old, new, TOMBSTONES)?,
            copy_table(&old, new, IMPORTS)?,
        ];
        // A table that only a newer version knows would be lost.
        match old.list_tables()?.find(|table| !known.iter().any(|known| known == table.name())) {
            Some(_) => Err(crate::Error::from(ErrorCode::StoreFromFuture).into()),
            None => Ok(()),
        }
    })
}

/// Starts anew, with nothing in it.
pub(super) fn start_anew(db: &Db, key: Option<&StoreKey>) -> Result<()> {
    let ring = if key.is_some() { Ring::encrypted()? } else { Ring::plain() };
    db.replace(|open, new| {
        let created_ms = load_meta(&open.begin_read()?)?.created_ms;
        create(new, &ring, key, created_ms)
    })?;
    db.open_with_ring(ring);
    Ok(())
}

fn copy_table<K: Key, V: Value>(
    old: &ReadTransaction,
    new: &Database,
    definition: TableDefinition<'_, K, V>,
) -> Result<String, Fault> {
    let name = definition.name().to_owned();
    let rows = match old.open_table(definition) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(name),
        Err(error) => return Err(error.into()),
    };
    let mut rows = rows.iter()?;
    loop {
        let transaction = new.begin_write()?;
        let mut bytes = 0;
        {
            let mut table = transaction.open_table(definition)?;
            while bytes < BYTES_MAX
                && let Some(row) = rows.next()
            {
                let (key, value) = row?;
                bytes += V::as_bytes(&value.value()).as_ref().len();
                table.insert(key.value(), value.value())?;
            }
        }
        transaction.commit()?;
        if bytes < BYTES_MAX {
            return Ok(name);
        }
    }
}
