//! Compaction: copying the live rows into a fresh storage, which then replaces the old one. The copy holds nothing that
//! was deleted or overwritten, and no unused pages. A key is rotated the same way: the copy is sealed with another key.
//!
//! A copy is made of a snapshot, in pieces, while other calls go on. If something was written meanwhile it is made again,
//! the last time while everything else waits.

use crate::error::{Error, ErrorCode, Result};
use crate::job::JobControl;
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::keys::{Sealing, StoreKey};
use crate::store::meta;
use crate::store::replace::Copying;
use crate::store::schema::{
    AUDIO, BLOB_REFS, BY_UPDATED, IMPORTS, Kind, META, META_COPY, OPEN_TURNS, SESSIONS, TOMBSTONES, TURNS, reseal,
};
use futures_lite::future::block_on;
use redb::{Database, Key, ReadableTableMetadata, TableDefinition, TableHandle, Value};
use std::sync::Arc;

/// Bytes that one transaction copies.
const BYTES_MAX: usize = 2 << 20;

/// The contents of the storage that replaces the other.
pub(super) enum Contents {
    /// Everything, as it is.
    All,
    /// Everything, sealed with a new data key, which this key wraps; without one, not sealed.
    Resealed(Option<StoreKey>),
    /// An empty store under the same key.
    Nothing,
}

/// Replaces the storage, whatever is written meanwhile.
pub(super) async fn replace(db: &Db, control: &JobControl, contents: Contents) -> Result<()> {
    let _one = db.replacing.lock().await;
    for _ in 0..2 {
        db.unpinned().await;
        if try_replace(db, control, &contents).await? {
            return Ok(());
        }
    }
    db.replace_exclusively(|copying| block_on(fill(copying, None, &contents))).await
}

/// Compacts the storage, unless it is used meanwhile; waits for nothing.
pub(super) async fn replace_if_idle(db: &Db, control: &JobControl) -> Result<()> {
    let Some(_one) = db.replacing.try_lock() else { return Ok(()) };
    try_replace(db, control, &Contents::All).await.map(drop)
}

/// True where it was replaced; false where something was written or pinned meanwhile.
async fn try_replace(db: &Db, control: &JobControl, contents: &Contents) -> Result<bool> {
    let copying = db.begin_copy()?;
    let (sealing, key) = fill(&copying, Some(control), contents).await.map_err(Fault::into_error)?;
    copying.swap_if_current(sealing, key)
}

/// Fills the fresh database; its sealing and key.
async fn fill(
    copying: &Copying<'_>,
    control: Option<&JobControl>,
    contents: &Contents,
) -> Result<(Arc<Sealing>, Option<StoreKey>), Fault> {
    let mut copy = Copy { copying, control, reseal: None, rows: 0, copied: 0, known: Vec::new() };
    match contents {
        Contents::All => {
            copy.table(META, None).await?;
            copy.table(META_COPY, None).await?;
            copy.rows().await?;
            Ok((copying.sealing.clone(), copying.key.clone()))
        }
        Contents::Resealed(key) => {
            let to = Arc::new(Sealing::new(key.as_ref())?);
            copying.piece(|new| {
                let transaction = new.begin_write()?;
                meta::put(&transaction, &to, key.as_ref(), meta::load(&copying.old)?.created_ms)?;
                Ok(transaction.commit()?)
            })?;
            copy.reseal = Some(&to);
            copy.known = vec![META.name().to_owned(), META_COPY.name().to_owned()];
            copy.rows().await?;
            Ok((to, key.clone()))
        }
        Contents::Nothing => copying.piece(|new| {
            let sealing = Sealing::new(copying.key.as_ref())?;
            meta::create(new, &sealing, copying.key.as_ref(), meta::load(&copying.old)?.created_ms)?;
            Ok((Arc::new(sealing), copying.key.clone()))
        }),
    }
}

/// A copy being made.
struct Copy<'c> {
    copying: &'c Copying<'c>,
    /// None where nothing else may run meanwhile.
    control: Option<&'c JobControl>,
    /// The new sealing, where it is another.
    reseal: Option<&'c Sealing>,
    rows: u64,
    copied: u64,
    /// The tables that were copied.
    known: Vec<String>,
}

impl Copy<'_> {
    /// Copies every table but the store's own record.
    async fn rows(&mut self) -> Result<(), Fault> {
        self.rows = self.copying.piece(|_| {
            let old = &self.copying.old;
            Ok([count(old, SESSIONS)?, count(old, TURNS)?, count(old, AUDIO)?, count(old, BLOB_REFS)?].iter().sum())
        })?;
        self.table(SESSIONS, Some(Kind::Session)).await?;
        self.table(TURNS, Some(Kind::Turn)).await?;
        self.table(AUDIO, Some(Kind::Audio)).await?;
        self.table(BLOB_REFS, Some(Kind::BlobRef)).await?;
        self.table(BY_UPDATED, None).await?;
        self.table(OPEN_TURNS, None).await?;
        self.table(TOMBSTONES, None).await?;
        self.table(IMPORTS, None).await?;
        // A table that only a newer version knows would be lost.
        let tables = self.copying.piece(|_| Ok(self.copying.old.list_tables()?.collect::<Vec<_>>()))?;
        match tables.iter().find(|table| !self.known.iter().any(|known| known == table.name())) {
            Some(table) => {
                let detail = format!("the store has the unknown table {}", table.name());
                Err(Error::new(ErrorCode::StoreFromFuture, detail).into())
            }
            None => Ok(()),
        }
    }

    /// Copies a table, whose values are records of this kind, if any.
    async fn table<K: Key, V: Value>(
        &mut self,
        definition: TableDefinition<'_, K, V>,
        kind: Option<Kind>,
    ) -> Result<(), Fault> {
        self.known.push(definition.name().to_owned());
        let rows = self.copying.piece(|_| match self.copying.old.open_table(definition) {
            Ok(table) => Ok(Some(table.range::<K::SelfType<'_>>(..)?)),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        });
        let Some(mut rows) = rows? else { return Ok(()) };
        let seals = kind.zip(self.reseal);
        while let Some(copied) = self.copying.piece(|new| self.copy_some(new, definition, &mut rows, seals))? {
            self.copied += copied;
            if let Some(control) = self.control {
                control.piece(self.copied as f32 / self.rows.max(1) as f32).await?;
            }
        }
        Ok(())
    }

    /// Copies some rows: how many; `None` where none was left.
    fn copy_some<K: Key, V: Value>(
        &self,
        new: &Database,
        definition: TableDefinition<'_, K, V>,
        rows: &mut redb::Range<'static, K, V>,
        seals: Option<(Kind, &Sealing)>,
    ) -> Result<Option<u64>, Fault> {
        let transaction = new.begin_write()?;
        let (mut bytes, mut copied) = (0, 0);
        {
            let mut table = transaction.open_table(definition)?;
            while bytes < BYTES_MAX
                && let Some(row) = rows.next()
            {
                let (key, value) = row?;
                let (key, value) = (key.value(), value.value());
                let record = V::as_bytes(&value);
                bytes += record.as_ref().len();
                copied += 1;
                match seals {
                    Some((kind, to)) => {
                        let from = &self.copying.sealing;
                        let record = reseal(from, to, kind, K::as_bytes(&key).as_ref(), record.as_ref())?;
                        table.insert(&key, V::from_bytes(&record))?;
                    }
                    None => drop(table.insert(&key, &value)?),
                }
            }
        }
        transaction.commit()?;
        Ok((copied > 0).then_some(copied))
    }
}

/// The rows of a table.
fn count<K: Key, V: Value>(
    transaction: &redb::ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<u64, Fault> {
    match transaction.open_table(definition) {
        Ok(table) => Ok(table.len()?),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
