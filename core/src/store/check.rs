//! How much there is, and whether all of it is sound.

use crate::error::{ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::payload::SessionPayload;
use crate::store::quota::bytes_of;
use crate::store::record::AudioKind;
use crate::store::schema::{Kind, decode, session_of_key, turn_of_key};
use crate::store::tables::{Records, Snapshot};
use redb::{ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

/// From so many unused bytes on they are worth a copy. The storage grows by doubling: half of it may be new room.
const UNUSED_BYTES_MIN: u64 = 16 << 20;

/// What a store takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// Bytes of its storage.
    pub storage_bytes: u64,
    /// Bytes of it that nothing uses: what was deleted and replaced, and room to grow. [`Store::compact`](super::Store::compact)
    /// gives back most of it.
    pub unused_bytes: u64,
    /// Sessions.
    pub sessions: u64,
    /// Turns.
    pub turns: u64,
    /// Recordings of learners.
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

/// What [`Store::verify`](super::Store::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Sessions that are sound.
    pub sessions: u64,
    /// Turns that are sound.
    pub turns: u64,
    /// Recordings that are sound.
    pub recordings: u64,
    /// Turns that should be there and are not.
    pub lost_turns: u64,
    /// What is damaged.
    pub damaged: Vec<Damage>,
}

impl Verified {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.lost_turns == 0 && self.damaged.is_empty()
    }
}

/// Something that is damaged or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The session that it belongs to.
    pub session: SessionId,
    /// The turn; `None` for the session's own record.
    pub turn: Option<TurnId>,
    /// The recording; `None` for the turn's own record.
    pub audio: Option<AudioKind>,
    /// What reading it gives.
    pub code: ErrorCode,
}

/// About what a turn or a session takes, its words included.
const RECORD_BYTES: u64 = 4 << 10;

/// Bytes of the storage, and of those that are used. Looks at every page of the storage, and lets nobody write meanwhile.
fn room(db: &Db) -> Result<(u64, u64)> {
    let storage_bytes = db.storage_len();
    let used_bytes = db.run(|open| {
        let transaction = open.begin_write()?;
        let stats = transaction.stats()?;
        transaction.abort()?;
        Ok(stats.allocated_pages().saturating_mul(stats.page_size() as u64).saturating_sub(stats.fragmented_bytes()))
    });
    match used_bytes {
        Ok(used_bytes) => Ok((storage_bytes, used_bytes)),
        // What can only be read takes what it takes.
        Err(error) if error.code() == ErrorCode::StoreReadOnly => Ok((storage_bytes, storage_bytes)),
        Err(error) => Err(error),
    }
}

/// Whether most of the storage is of no use to anybody.
pub(super) fn wastes_room(db: &Db) -> Result<bool> {
    let is_waste = |(storage_bytes, used_bytes): (u64, u64)| {
        let unused_bytes = storage_bytes.saturating_sub(used_bytes);
        unused_bytes >= UNUSED_BYTES_MIN && unused_bytes > storage_bytes / 3 * 2
    };
    let storage_bytes = db.storage_len();
    if !is_waste((storage_bytes, 0)) {
        return Ok(false);
    }
    // First by what the entries say, which costs little and keeps nobody waiting.
    let used_bytes = db.run(|open| {
        let snapshot = Snapshot::of(open)?;
        let records = snapshot.sessions.len()? + snapshot.turns.len()?;
        Ok(bytes_of(&snapshot.recordings()?).saturating_add(records.saturating_mul(RECORD_BYTES)))
    })?;
    Ok(is_waste((storage_bytes, used_bytes)) && is_waste(room(db)?))
}

pub(super) fn usage(db: &Db, audio_bytes_max: Option<u64>) -> Result<StoreUsage> {
    let (storage_bytes, used_bytes) = room(db)?;
    db.run(|open| {
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

pub(super) fn verify(db: &Db) -> Result<Verified> {
    db.run(|open| {
        let snapshot = Snapshot::of(open)?;
        let mut verified = Verified::default();
        for row in snapshot.sessions.iter()? {
            let (key, value) = row?;
            let session = session_of_key(key.value());
            let read = decode::<SessionPayload>(&snapshot.sealing, Kind::Session, key.value(), value.value());
            if let Ok(read) = &read {
                verified.lost_turns += snapshot.missing_turns(session, read)?;
            }
            verified.count(read.map_err(Fault::from), session, None, None)?;
        }
        for row in snapshot.turns.iter()? {
            let key = *row?.0.value();
            let (session, turn) = (session_of_key(&key), turn_of_key(&key));
            let read = match snapshot.find_turn(session, turn) {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                Err(fault) => {
                    verified.count::<()>(Err(fault), session, Some(turn), None)?;
                    continue;
                }
            };
            verified.turns += 1;
            for kind in [AudioKind::User, AudioKind::Reply] {
                if read.audio(kind).is_some() {
                    let audio = snapshot.audio_of(session, turn, kind);
                    verified.count(audio, session, Some(turn), Some(kind))?;
                }
            }
        }
        Ok(verified)
    })
}

impl Verified {
    /// Counts something that was read, or not.
    fn count<T>(
        &mut self,
        read: Result<T, Fault>,
        session: SessionId,
        turn: Option<TurnId>,
        audio: Option<AudioKind>,
    ) -> Result<(), Fault> {
        let code = match read {
            Ok(_) => {
                match turn {
                    Some(_) => self.recordings += 1,
                    None => self.sessions += 1,
                }
                return Ok(());
            }
            Err(Fault::Own(error)) => error.code(),
            Err(fault) => return Err(fault),
        };
        self.damaged.push(Damage { session, turn, audio, code });
        Ok(())
    }
}
