//! Compaction: copying the live rows into a fresh storage, which then replaces the old one. The copy holds nothing that
//! was deleted or overwritten, and no unused pages. A key is rotated the same way: the copy is sealed with another key.

use crate::error::{Error, ErrorCode, Result};
use crate::store::db::{Db, Open};
use crate::store::fault::Fault;
use crate::store::keys::{Sealing, StoreKey};
use crate::store::meta;
use crate::store::schema::{
    AUDIO, BLOB_REFS, BY_UPDATED, IMPORTS, Kind, META, META_COPY, OPEN_TURNS, SESSIONS, TOMBSTONES, TURNS, reseal,
};
use redb::{Database, Key, ReadTransaction, ReadableTable, TableDefinition, TableHandle, Value};
use std::sync::Arc;

/// Bytes that one transaction copies.
const BYTES_MAX: usize = 16 << 20;

/// Copies everything as it is.
pub(super) fn compact(db: &Db) -> Result<()> {
    db.replace(|open, new, key| {
        let copy = Copy { old: &open.begin_read()?, new, reseal: None };
        copy.table(META, None)?;
        copy.table(META_COPY, None)?;
        copy.rows()?;
        Ok((open.sealing.clone(), key.cloned()))
    })
}

/// Copies everything, sealed with a new data key, which `key` wraps; without one, not sealed.
pub(super) fn rotate_key(db: &Db, key: Option<StoreKey>) -> Result<()> {
    db.replace(|open, new, _| {
        let (from, to) = (open.sealing.clone(), Arc::new(Sealing::new(key.as_ref())?));
        let old = open.begin_read()?;
        let transaction = new.begin_write()?;
        meta::put(&transaction, &to, key.as_ref(), meta::load(&old)?.created_ms)?;
        transaction.commit()?;
        Copy { old: &old, new, reseal: Some((&from, &to)) }.rows()?;
        Ok((to, key))
    })
}

/// Starts over with an empty store under the same key.
pub(super) fn clear(db: &Db) -> Result<()> {
    db.replace(|open: &Open, new, key| {
        let sealing = Sealing::new(key)?;
        meta::create(new, &sealing, key, meta::load(&open.begin_read()?)?.created_ms)?;
        Ok((Arc::new(sealing), key.cloned()))
    })
}

/// A copy being made.
struct Copy<'c> {
    old: &'c ReadTransaction,
    new: &'c Database,
    /// The old and the new sealing, where they differ.
    reseal: Option<(&'c Sealing, &'c Sealing)>,
}

impl Copy<'_> {
    /// Copies every table but the store's own record.
    fn rows(&self) -> Result<(), Fault> {
        let known = [
            META.name().to_owned(),
            META_COPY.name().to_owned(),
            self.table(SESSIONS, Some(Kind::Session))?,
            self.table(TURNS, Some(Kind::Turn))?,
            self.table(AUDIO, Some(Kind::Audio))?,
            self.table(BLOB_REFS, Some(Kind::BlobRef))?,
            self.table(BY_UPDATED, None)?,
            self.table(OPEN_TURNS, None)?,
            self.table(TOMBSTONES, None)?,
            self.table(IMPORTS, None)?,
        ];
        // A table that only a newer version knows would be lost.
        match self.old.list_tables()?.find(|table| !known.iter().any(|known| known == table.name())) {
            Some(table) => {
                let detail = format!("the store has the unknown table {}", table.name());
                Err(Error::new(ErrorCode::StoreFromFuture, detail).into())
            }
            None => Ok(()),
        }
    }

    /// Copies a table, whose values are records of this kind, if any.
    fn table<K: Key, V: Value>(
        &self,
        definition: TableDefinition<'_, K, V>,
        kind: Option<Kind>,
    ) -> Result<String, Fault> {
        let name = definition.name().to_owned();
        let rows = match self.old.open_table(definition) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(name),
            Err(error) => return Err(error.into()),
        };
        let mut rows = rows.iter()?;
        loop {
            let transaction = self.new.begin_write()?;
            let mut bytes = 0;
            {
                let mut table = transaction.open_table(definition)?;
                while bytes < BYTES_MAX
                    && let Some(row) = rows.next()
                {
                    let (key, value) = row?;
                    let (key, value) = (key.value(), value.value());
                    let record = V::as_bytes(&value);
                    bytes += record.as_ref().len();
                    match (kind, self.reseal) {
                        (Some(kind), Some((from, to))) => {
                            let record = reseal(from, to, kind, K::as_bytes(&key).as_ref(), record.as_ref())?;
                            table.insert(&key, V::from_bytes(&record))?;
                        }
                        _ => drop(table.insert(&key, &value)?),
                    }
                }
            }
            transaction.commit()?;
            if bytes < BYTES_MAX {
                return Ok(name);
            }
        }
    }
}
