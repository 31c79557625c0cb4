//! The tables, their keys, and the bytes of a record.
//!
//! A record is `[format][schema][flags][checksum: 4][payload]`. The checksum (CRC-32) covers the three bytes before
//! it, the table, the key and the payload, so that a flipped bit, or a record under another key, is an error and never
//! data: redb returns flipped bits silently. In an encrypted store it is
//! `[format][schema][number of the data key][nonce: 24][sealed payload and tag]` (XChaCha20-Poly1305), where the same is
//! covered by the tag. The payload is MessagePack with named fields, so that older and newer readers meet: unknown fields
//! are skipped, missing ones have a default.
//!
//! Keys of rows are not encrypted: sessions, the times of their last change, and the number and length of their turns
//! can be seen without the key. docs/store-format.md has all of it byte by byte.

use crate::error::{Error, ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use crate::store::keys::{NONCE_LEN, Sealing, TAG_LEN};
use crate::store::record::AudioKind;
use redb::TableDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// The version of the layout that this build writes.
pub(super) const SCHEMA: u32 = 2;
/// The oldest version that can read a store of this build ...
pub(super) const MIN_READER: u32 = 1;
/// ... and an encrypted one.
pub(super) const MIN_READER_ENCRYPTED: u32 = 2;
/// The application id in the store's own record.
pub(super) const APP_ID: &str = "tertulia";
/// The key of [`MetaPayload`](super::payload::MetaPayload).
pub(super) const META_KEY: &[u8] = b"store";
/// The key of the data key of an encrypted store, wrapped.
pub(super) const KEYS_KEY: &[u8] = b"keys";

/// Bytes of audio in one row. With the overhead of redb and sealing, a row stays under 64 KiB, which fills its page best.
pub(super) const CHUNK_BYTES: usize = 65_536 - 192;
/// The rows that one transaction of a sweep or a deletion removes at most.
pub(super) const DELETES_MAX: usize = 200;

pub(super) type SessionKey = [u8; 16];
pub(super) type TurnKey = [u8; 24];
pub(super) type BlobKey = [u8; 25];
pub(super) type ChunkKey = [u8; 29];
pub(super) type UpdatedKey = [u8; 24];

pub(super) const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
/// A second copy of what an encrypted store cannot do without.
pub(super) const META_COPY: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta_copy");
pub(super) const SESSIONS: TableDefinition<'_, &SessionKey, &[u8]> = TableDefinition::new("sessions");
/// (session, turn) to the turn.
pub(super) const TURNS: TableDefinition<'_, &TurnKey, &[u8]> = TableDefinition::new("turns");
/// (session, turn, kind, chunk) to a run of little-endian samples.
pub(super) const AUDIO: TableDefinition<'_, &ChunkKey, &[u8]> = TableDefinition::new("audio");
/// (session, turn, kind) to the audio's entry.
pub(super) const BLOB_REFS: TableDefinition<'_, &BlobKey, &[u8]> = TableDefinition::new("blob_refs");
/// (last change, session): the order of the list of sessions.
pub(super) const BY_UPDATED: TableDefinition<'_, &UpdatedKey, ()> = TableDefinition::new("by_updated");
/// (session, turn) of open turns, so that those left by a crash are found without reading every turn.
pub(super) const OPEN_TURNS: TableDefinition<'_, &TurnKey, ()> = TableDefinition::new("open_turns");
/// Tombstones: prefixes of keys whose rows are invisible and still have to be removed.
pub(super) const TOMBSTONES: TableDefinition<'_, &[u8], ()> = TableDefinition::new("tombstones");
/// Sessions being imported, whose rows are not visible yet.
pub(super) const IMPORTS: TableDefinition<'_, &SessionKey, ()> = TableDefinition::new("imports");

/// The table of a record, as its checksum covers it. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Meta = 0,
    Session = 1,
    Turn = 2,
    Audio = 3,
    BlobRef = 4,
    Keys = 5,
}

impl Kind {
    fn name(self) -> &'static str {
        ["meta", "sessions", "turns", "audio", "blob_refs", "keys"][self as usize]
    }
}

pub(super) fn session_key(session: SessionId) -> SessionKey {
    *session.0.as_bytes()
}

pub(super) fn turn_key(session: SessionId, turn: TurnId) -> TurnKey {
    join(&[session.0.as_bytes(), &turn.0.to_be_bytes()])
}

pub(super) fn blob_key(session: SessionId, turn: TurnId, kind: AudioKind) -> BlobKey {
    join(&[session.0.as_bytes(), &turn.0.to_be_bytes(), &[kind as u8]])
}

pub(super) fn chunk_key(blob: &BlobKey, chunk: u32) -> ChunkKey {
    join(&[blob, &chunk.to_be_bytes()])
}

pub(super) fn updated_key(updated_ms: u64, session: SessionId) -> UpdatedKey {
    join(&[&updated_ms.to_be_bytes(), session.0.as_bytes()])
}

/// The least and the greatest key that start with `prefix`.
pub(super) fn bounds<const N: usize>(prefix: &[u8]) -> ([u8; N], [u8; N]) {
    let (mut first, mut last) = ([0; N], [0xFF; N]);
    first[..prefix.len()].copy_from_slice(prefix);
    last[..prefix.len()].copy_from_slice(prefix);
    (first, last)
}

pub(super) fn session_of_key(key: &[u8]) -> SessionId {
    SessionId(uuid::Uuid::from_bytes(part(key, 0)))
}

pub(super) fn turn_of_key(key: &[u8]) -> TurnId {
    TurnId(u64::from_be_bytes(part(key, 16)))
}

/// The audio kind in a key of [`BLOB_REFS`]; `None` for a kind of a newer version.
pub(super) fn kind_of_key(key: &BlobKey) -> Option<AudioKind> {
    [AudioKind::User, AudioKind::Reply].into_iter().find(|&kind| kind as u8 == key[24])
}

pub(super) fn split_updated_key(key: &UpdatedKey) -> (u64, SessionId) {
    (u64::from_be_bytes(part(key, 0)), SessionId(uuid::Uuid::from_bytes(part(key, 8))))
}

/// Bytes of so many samples.
pub(super) fn blob_bytes(samples: u64) -> u64 {
    samples.saturating_mul(2)
}

fn part<const N: usize>(key: &[u8], start: usize) -> [u8; N] {
    key[start..start + N].try_into().expect("the slice has the array's length")
}

fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    parts.concat().try_into().expect("a key has one length")
}

/// The version of the payloads that this build writes.
const SCHEMA_OF_RECORDS: u8 = 1;
const FORMAT_CRC32: u8 = 1;
const FORMAT_SEALED: u8 = 2;
const HEADER_LEN: usize = 7;
/// Format, schema, flags.
const LEAD_LEN: usize = 3;

/// The record of a payload.
pub(super) fn encode<T: Serialize>(sealing: &Sealing, kind: Kind, key: &[u8], payload: &T) -> Result<Vec<u8>> {
    let payload = rmp_serde::to_vec_named(payload)
        .map_err(|source| Error::new(ErrorCode::Internal, "a record could not be encoded").with_source(source))?;
    seal(sealing, kind, key, &payload)
}

/// The payload of a record.
pub(super) fn decode<T: DeserializeOwned>(sealing: &Sealing, kind: Kind, key: &[u8], record: &[u8]) -> Result<T> {
    let payload = unseal(sealing, kind, key, record)?;
    // The checksum holds, so an unknown form is a newer one, not damage.
    rmp_serde::from_slice(&payload).map_err(|source| unknown_form(kind).with_source(without_values(&source)))
}

/// The message of a serde error without the value that it quotes, which may be words of the user.
fn without_values(error: &rmp_serde::decode::Error) -> std::io::Error {
    let mut message = error.to_string();
    if let (Some(start), Some(end)) = (message.find('"'), message.rfind('"')) {
        message.replace_range(start..=end, "…");
    }
    std::io::Error::other(message)
}

/// A record around these bytes.
pub(super) fn seal(sealing: &Sealing, kind: Kind, key: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    seal_as(sealing, kind, SCHEMA_OF_RECORDS, key, payload)
}

/// The same record under another sealing. A damaged one becomes empty: it stays damaged, and shows nothing.
pub(super) fn reseal(from: &Sealing, to: &Sealing, kind: Kind, key: &[u8], record: &[u8]) -> Result<Vec<u8>> {
    match unseal(from, kind, key, record) {
        Ok(payload) => seal_as(to, kind, record[1], key, &payload),
        Err(error) if error.code() == ErrorCode::RecordCorrupt => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn seal_as(sealing: &Sealing, kind: Kind, schema: u8, key: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    if let Some((number, sealed)) = sealing.seal(|number| aad(&[FORMAT_SEALED, schema, number], kind, key), payload)? {
        return Ok([&[FORMAT_SEALED, schema, number][..], &sealed].concat());
    }
    let mut record = Vec::with_capacity(HEADER_LEN + payload.len());
    record.extend_from_slice(&[FORMAT_CRC32, schema, 0]);
    let checksum = checksum(&record, kind, key, payload);
    record.extend_from_slice(&checksum);
    record.extend_from_slice(payload);
    Ok(record)
}

/// The bytes in a record.
pub(super) fn unseal<'r>(sealing: &Sealing, kind: Kind, key: &[u8], record: &'r [u8]) -> Result<Cow<'r, [u8]>> {
    if record.first() == Some(&FORMAT_SEALED) && record.len() >= LEAD_LEN + NONCE_LEN + TAG_LEN {
        let (lead, sealed) = record.split_at(LEAD_LEN);
        let text = sealing.unseal(lead[2], &aad(lead, kind, key), sealed);
        return text.map(Cow::Owned).ok_or_else(|| damaged(kind));
    }
    let (header, payload) = record.split_at_checked(HEADER_LEN).ok_or_else(|| damaged(kind))?;
    if sealing.is_encrypted() || header[LEAD_LEN..] != checksum(&header[..LEAD_LEN], kind, key, payload) {
        return Err(damaged(kind));
    }
    if header[0] != FORMAT_CRC32 || header[2] != 0 {
        return Err(unknown_form(kind));
    }
    Ok(Cow::Borrowed(payload))
}

/// The associated data, which the tag covers besides the payload.
fn aad(lead: &[u8], kind: Kind, key: &[u8]) -> Vec<u8> {
    [lead, &[kind as u8, key.len() as u8], key].concat()
}

fn checksum(header: &[u8], kind: Kind, key: &[u8], payload: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(&[kind as u8, key.len() as u8]);
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize().to_be_bytes()
}

pub(super) fn damaged(kind: Kind) -> Error {
    Error::new(ErrorCode::RecordCorrupt, format!("a record of the table {} is damaged or lost", kind.name()))
}

pub(super) fn unknown_form(kind: Kind) -> Error {
    Error::new(ErrorCode::StoreFromFuture, format!("a record of the table {} is of an unknown form", kind.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_sound_only_under_its_own_table_and_key() {
        let record = seal(&Sealing::plain(), Kind::Turn, b"key", b"payload").unwrap();
        assert_eq!(*unseal(&Sealing::plain(), Kind::Turn, b"key", &record).unwrap(), *b"payload");
        for (kind, key) in [(Kind::Turn, &b"kez"[..]), (Kind::Session, b"key"), (Kind::Turn, b"keyp")] {
            assert_eq!(unseal(&Sealing::plain(), kind, key, &record).unwrap_err().code(), ErrorCode::RecordCorrupt);
        }
    }

    #[test]
    fn a_record_of_another_format_or_form_is_from_the_future() {
        let mut header = vec![3, 1, 0];
        let sum = checksum(&header, Kind::Turn, b"key", b"x");
        header.extend_from_slice(&sum);
        header.push(b'x');
        assert_eq!(
            unseal(&Sealing::plain(), Kind::Turn, b"key", &header).unwrap_err().code(),
            ErrorCode::StoreFromFuture
        );
        let text = encode(&Sealing::plain(), Kind::Turn, b"key", &"not a map").unwrap();
        let result = decode::<std::collections::BTreeMap<String, u8>>(&Sealing::plain(), Kind::Turn, b"key", &text);
        assert_eq!(result.unwrap_err().code(), ErrorCode::StoreFromFuture);
    }
}
