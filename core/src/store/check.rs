//! Usage (counts and bytes) and verification of everything in the store.

use crate::error::{ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use crate::job::JobControl;
use crate::store::db::{Db, Open};
use crate::store::fault::Fault;
use crate::store::payload::SessionPayload;
use crate::store::quota::bytes_of;
use crate::store::record::AudioKind;
use crate::store::schema::{Kind, TurnKey, decode, session_of_key, turn_of_key};
use crate::store::tables::Snapshot;
use redb::{ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

/// Unused bytes from which a compaction is worth its time. The storage grows by doubling: half of it may be new room.
const UNUSED_BYTES_MIN: u64 = 16 << 20;

/// Counts and bytes of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct StoreUsage {
    /// Bytes of its storage.
    pub storage_bytes: u64,
    /// Bytes of it that are unused: of deleted and replaced rows, and room to grow. [`Store::compact`](crate::store::Store::compact)
    /// frees most of them.
    pub unused_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Turns.
    pub turns: u64,
    /// Recordings of the user.
    pub user_audio: u64,
    /// Their bytes.
    pub user_audio_bytes: u64,
    /// Recordings of replies.
    pub reply_audio: u64,
    /// Their bytes.
    pub reply_audio_bytes: u64,
    /// The quota of audio, in bytes.
    pub audio_bytes_max: Option<u64>,
}

/// The result of [`Store::verify`](super::Store::verify).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verified {
    /// Sessions that are sound.
    pub sessions: u64,
    /// Turns that are sound.
    pub turns: u64,
    /// Recordings that are sound.
    pub recordings: u64,
    /// Turns that should be there and are not.
    pub lost_turns: u64,
    /// Damaged records.
    pub damaged: Vec<Damage>,
}

impl Verified {
    /// True where nothing is damaged or lost.
    pub fn is_sound(&self) -> bool {
        self.lost_turns == 0 && self.damaged.is_empty()
    }
}

/// A damaged or lost record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Damage {
    /// The session that it belongs to.
    pub session: SessionId,
    /// The turn; `None` for the session's own record.
    pub turn: Option<TurnId>,
    /// The recording; `None` for the turn's own record.
    pub audio: Option<AudioKind>,
    /// The error of reading it.
    pub code: ErrorCode,
}

/// About the bytes of a turn or a session, its text included.
const RECORD_BYTES: u64 = 4 << 10;

/// Bytes of the storage, and those in use. Reads every page, and blocks writes meanwhile.
fn room(open: &Open) -> Result<(u64, u64), Fault> {
    let storage_bytes = open.storage_len();
    if open.is_read_only() {
        // It cannot be compacted.
        return Ok((storage_bytes, storage_bytes));
    }
    let transaction = open.begin_write()?;
    let stats = transaction.stats()?;
    transaction.abort()?;
    let allocated_bytes = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
    Ok((storage_bytes, allocated_bytes.saturating_sub(stats.fragmented_bytes())))
}

/// More than two thirds of the storage are unused.
pub(super) fn wastes_room(db: &Db) -> Result<bool> {
    let is_waste = |(storage_bytes, used_bytes): (u64, u64)| {
        let unused_bytes = storage_bytes.saturating_sub(used_bytes);
        unused_bytes >= UNUSED_BYTES_MIN && unused_bytes > storage_bytes / 3 * 2
    };
    db.run(|open| {
        let storage_bytes = open.storage_len();
        if !is_waste((storage_bytes, 0)) {
            return Ok(false);
        }
        // First an estimate from the entries, which is cheap and does not block writes.
        let snapshot = Snapshot::of(open)?;
        let records_bytes = (snapshot.sessions.len()? + snapshot.turns.len()?).saturating_mul(RECORD_BYTES);
        let used_bytes = bytes_of(&snapshot.recordings()?).saturating_add(records_bytes);
        Ok(is_waste((storage_bytes, used_bytes)) && is_waste(room(open)?))
    })
}

pub(super) fn usage(db: &Db, audio_bytes_max: Option<u64>) -> Result<StoreUsage> {
    db.run(|open| {
        let (storage_bytes, used_bytes) = room(open)?;
        let snapshot = Snapshot::of(open)?;
        let mut usage = StoreUsage {
            storage_bytes,
            unused_bytes: storage_bytes.saturating_sub(used_bytes),
            sessions: snapshot.sessions.len()?,
            turns: snapshot.turns.len()?,
            audio_bytes_max,
            ..StoreUsage::default()
        };
        for recording in snapshot.recordings()? {
            let (count, sum) = match recording.kind {
                AudioKind::User => (&mut usage.user_audio, &mut usage.user_audio_bytes),
                AudioKind::Reply => (&mut usage.reply_audio, &mut usage.reply_audio_bytes),
            };
            *count += 1;
            *sum += recording.bytes;
        }
        Ok(usage)
    })
}

/// Bytes of audio, and turns, that are read in one piece.
const PIECE_BYTES: u64 = 1 << 20;
const PIECE_TURNS: usize = 200;

pub(super) async fn verify(db: &Db, control: &JobControl) -> Result<Verified> {
    let pin = db.pin();
    let (snapshot, mut verified, turns) = pin.run(|open| {
        let (snapshot, mut verified) = (Snapshot::of(open)?, Verified::default());
        for row in snapshot.sessions.iter()? {
            let (key, value) = row?;
            let id = session_of_key(key.value());
            match decode::<SessionPayload>(&snapshot.sealing, Kind::Session, key.value(), value.value()) {
                Ok(session) => {
                    verified.sessions += 1;
                    verified.lost_turns += snapshot.missing_turns(id, &session)?;
                }
                Err(error) => verified.damage(error.into(), id, None, None)?,
            }
        }
        let turns = snapshot.turns.iter()?.map(|row| Ok(*row?.0.value())).collect::<Result<Vec<TurnKey>, Fault>>()?;
        Ok((snapshot, verified, turns))
    })?;
    let (mut bytes, mut since) = (0, 0);
    for (read, key) in turns.iter().enumerate() {
        let (found, samples) = pin.run(|_| verify_turn(&snapshot, key))?;
        verified.add(found);
        (bytes, since) = (bytes + samples * 2, since + 1);
        if bytes > PIECE_BYTES || since == PIECE_TURNS {
            (bytes, since) = (0, 0);
            control.piece(read as f32 / turns.len() as f32).await?;
        }
    }
    Ok(verified)
}

/// Reads a turn and its audio; the samples that were read, too.
fn verify_turn(snapshot: &Snapshot, key: &TurnKey) -> Result<(Verified, u64), Fault> {
    let (session, turn) = (session_of_key(key), turn_of_key(key));
    let (mut verified, mut samples) = (Verified::default(), 0);
    let read = match snapshot.find_turn(session, turn) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok((verified, samples)),
        Err(fault) => {
            verified.damage(fault, session, Some(turn), None)?;
            return Ok((verified, samples));
        }
    };
    verified.turns += 1;
    for kind in [AudioKind::User, AudioKind::Reply] {
        match read.audio(kind).map(|_| snapshot.audio_of(session, turn, kind)) {
            Some(Ok(audio)) => {
                verified.recordings += 1;
                samples += audio.samples.len() as u64;
            }
            Some(Err(fault)) => verified.damage(fault, session, Some(turn), Some(kind))?,
            None => {}
        }
    }
    Ok((verified, samples))
}

impl Verified {
    fn add(&mut self, found: Verified) {
        self.turns += found.turns;
        self.recordings += found.recordings;
        self.damaged.extend(found.damaged);
    }

    /// Adds a record that cannot be read.
    fn damage(
        &mut self,
        fault: Fault,
        session: SessionId,
        turn: Option<TurnId>,
        audio: Option<AudioKind>,
    ) -> Result<(), Fault> {
        let Fault::Own(error) = fault else { return Err(fault) };
        self.damaged.push(Damage { session, turn, audio, code: error.code() });
        Ok(())
    }
}
