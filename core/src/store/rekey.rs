//! Giving a store another key, or none, while it is used.
//!
//! First a new data key is made and the ring wrapped by the new key of the host, in one transaction: from then on the
//! old one opens nothing. Then the records are sealed anew, a few in each transaction, and at last the ring forgets what
//! sealed them before. A crash in between leaves a store that opens with the new key, and goes on at the next opening.

use crate::error::Result;
use crate::store::db::{Db, Fault, Open};
use crate::store::keys::{Ring, StoreKey};
use crate::store::recover::{load_meta, put_vital};
use crate::store::schema::{AUDIO, BLOB_REFS, Kind, SESSIONS, TURNS, bounds, seal, sealed_with, unseal};
use crate::store::tables::unless_damaged;
use redb::{ReadableTable, TableDefinition};

/// Rows that one transaction looks at, and bytes that it seals anew.
const ROWS_MAX: usize = 1000;
const BYTES_MAX: usize = 4 << 20;

/// Makes `key` the store's key; `before` is the one that it has.
pub(super) fn rotate(db: &Db, before: Option<&StoreKey>, key: Option<&StoreKey>) -> Result<()> {
    let ring = db.ring();
    let next = match key {
        Some(_) => ring.changing_to_new_key()?,
        None => ring.changing_to_plain(),
    };
    if !next.is_changing() {
        return Ok(());
    }
    // What reads knows the new key before anything is sealed with it.
    db.read_also(&next);
    save_ring(db, &next, key.or(before))?;
    finish(db, key.or(before))
}

/// Seals anew what is not yet sealed as it is to be.
pub(super) fn finish(db: &Db, key: Option<&StoreKey>) -> Result<()> {
    if !db.ring().is_changing() {
        return Ok(());
    }
    reseal(db, SESSIONS, Kind::Session)?;
    reseal(db, TURNS, Kind::Turn)?;
    reseal(db, BLOB_REFS, Kind::BlobRef)?;
    reseal(db, AUDIO, Kind::Audio)?;
    save_ring(db, &db.ring().changed(), key)
}

/// Stores a ring, and lets it seal from then on.
fn save_ring(db: &Db, ring: &Ring, key: Option<&StoreKey>) -> Result<()> {
    db.run(|open| {
        let _stopped = open.stop_writers();
        let created_ms = load_meta(&open.begin_read()?)?.created_ms;
        let transaction = open.begin_write()?;
        put_vital(&transaction, ring, key, created_ms)?;
        transaction.commit()?;
        db.set_ring(ring.clone());
        Ok(())
    })
}

fn reseal<const N: usize>(
    db: &Db,
    definition: TableDefinition<'static, &'static [u8; N], &'static [u8]>,
    kind: Kind,
) -> Result<()> {
    let mut from = [0; N];
    while let Some(next) = db.run(|open| reseal_some(open, definition, kind, &from))? {
        from = next;
    }
    Ok(())
}

/// Seals some rows anew; gives the first that it did not look at.
fn reseal_some<const N: usize>(
    open: &Open<'_>,
    definition: TableDefinition<'static, &'static [u8; N], &'static [u8]>,
    kind: Kind,
    from: &[u8; N],
) -> Result<Option<[u8; N]>, Fault> {
    let (_held, ring) = open.hold_ring();
    let transaction = open.begin_write()?;
    let mut next = None;
    let mut changed: Vec<([u8; N], Vec<u8>)> = Vec::new();
    {
        let mut table = transaction.open_table(definition)?;
        let mut bytes = 0;
        let (_, last) = bounds::<N>(&[]);
        for (at, row) in table.range::<&[u8; N]>(from..=&last)?.enumerate() {
            let (key, value) = row?;
            if at == ROWS_MAX || bytes > BYTES_MAX {
                next = Some(*key.value());
                break;
            }
            if ring.is_current(sealed_with(value.value())) {
                continue;
            }
            // What is damaged stays as it is: it can be read no more, and is told as such.
            let text = unless_damaged(unseal(&ring, kind, key.value(), value.value()).map_err(Fault::from))?;
            if let Some(text) = text {
                bytes += text.len();
                changed.push((*key.value(), seal(&ring, kind, key.value(), &text)?));
            }
        }
        for (key, record) in &changed {
            table.insert(key, record.as_slice())?;
        }
    }
    if changed.is_empty() {
        transaction.abort()?;
    } else {
        transaction.commit()?;
    }
    Ok(next)
}
