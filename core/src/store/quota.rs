//! The quota of audio: where there is more, the oldest is evicted.
//!
//! Audio of an open turn is never evicted, and audio with which a failed turn can be retried goes last.

use crate::error::Result;
use crate::event::{InterruptReason, TurnState};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::payload::BlobRefPayload;
use crate::store::record::AudioKind;
use crate::store::schema::{BlobKey, DELETES_MAX, Kind, blob_bytes, decode, kind_of_key, session_of_key, turn_of_key};
use crate::store::sweep::Swept;
use crate::store::tables::{Snapshot, unless_damaged, write};
use crate::store::write::Budget;
use redb::ReadableTable;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// The share of the quota that is freed at once, so that not every turn evicts.
const SLACK: u64 = 16;

/// The quota, and an upper bound of the audio that there is.
pub(super) struct Quota {
    pub(super) max: Option<u64>,
    /// The bytes counted last, and those written since; `u64::MAX` where nothing was counted yet.
    bytes_at_most: AtomicU64,
}

/// A recording, by its entry in [`BLOB_REFS`](super::schema::BLOB_REFS); zeros for a damaged entry.
pub(super) struct Recording {
    pub(super) blob: BlobKey,
    pub(super) kind: AudioKind,
    pub(super) bytes: u64,
    pub(super) started_ms: u64,
}

impl Quota {
    pub(super) fn new(max: Option<u64>) -> Self {
        Self { max, bytes_at_most: AtomicU64::new(u64::MAX) }
    }

    /// Counts audio that was written.
    pub(super) fn add(&self, bytes: u64) {
        self.update(|known| known.saturating_add(bytes));
    }

    fn update(&self, change: impl Fn(u64) -> u64) {
        // Never fails: the closure always gives a value.
        let _ = self.bytes_at_most.fetch_update(Ordering::AcqRel, Ordering::Acquire, |known| Some(change(known)));
    }

    /// Makes the next sweep count.
    pub(super) fn forget_count(&self) {
        self.bytes_at_most.store(u64::MAX, Ordering::Release);
    }

    pub(super) fn may_be_exceeded(&self) -> bool {
        self.max.is_some_and(|max| self.bytes_at_most.load(Ordering::Acquire) > max)
    }

    /// Counts what would be evicted after these were deleted.
    pub(super) fn preview(&self, db: &Db, gone: &BTreeSet<BlobKey>) -> Result<Swept> {
        let mut swept = Swept::default();
        if let Some(max) = self.max {
            let (_, victims) = db.run(|open| Snapshot::of(open)?.recordings_to_evict(max, gone))?;
            victims.iter().for_each(|victim| swept.count_audio(victim.kind, victim.bytes));
        }
        Ok(swept)
    }

    /// Evicts the oldest audio until the quota holds.
    pub(super) fn enforce(&self, db: &Db) -> Result<Swept> {
        let Some(max) = self.max.filter(|_| self.may_be_exceeded()) else { return Ok(Swept::default()) };
        // Audio written from here on is added to the count.
        let before = self.bytes_at_most.swap(0, Ordering::AcqRel);
        let found = db.run(|open| Snapshot::of(open)?.recordings_to_evict(max, &BTreeSet::new()));
        let (total, victims) = match found {
            Ok(found) => found,
            Err(error) => {
                self.add(before);
                return Err(error);
            }
        };
        self.add(total);
        let mut swept = Swept::default();
        let mut left = &victims[..];
        while !left.is_empty() {
            let done = db.run(|open| {
                write(open, |tables| {
                    let (mut budget, mut done) = (Budget(DELETES_MAX), 0);
                    while done < left.len() && !budget.is_spent() {
                        tables.drop_audio(&left[done].blob, &mut budget)?;
                        done += 1;
                    }
                    Ok(done)
                })
            })?;
            for victim in left.split_off(..done).expect("no more than there are") {
                swept.count_audio(victim.kind, victim.bytes);
                self.update(|known| known.saturating_sub(victim.bytes));
            }
        }
        super::sweep::purge(db)?;
        Ok(swept)
    }
}

impl Snapshot {
    /// Every recording of every session.
    pub(super) fn recordings(&self) -> Result<Vec<Recording>, Fault> {
        let mut recordings = Vec::new();
        for row in self.blob_refs.iter()? {
            let (key, value) = row?;
            let blob = *key.value();
            let Some(kind) = kind_of_key(&blob) else { continue };
            let known = decode::<BlobRefPayload>(&self.sealing, Kind::BlobRef, &blob, value.value());
            let known = unless_damaged(known.map_err(Fault::from))?;
            let (bytes, started_ms) = known.map_or((0, 0), |known| (blob_bytes(known.samples), known.started_ms));
            recordings.push(Recording { blob, kind, bytes, started_ms });
        }
        Ok(recordings)
    }

    /// The bytes of audio there are, and the recordings to evict so that at most `max` bytes stay.
    fn recordings_to_evict(&self, max: u64, gone: &BTreeSet<BlobKey>) -> Result<(u64, Vec<Recording>), Fault> {
        let mut recordings = self.recordings()?;
        recordings.retain(|recording| !gone.contains(&recording.blob));
        let total = bytes_of(&recordings);
        if total <= max {
            return Ok((total, Vec::new()));
        }
        // Damaged entries, whose time is 0, come first.
        recordings.sort_by(|a, b| (a.started_ms, &a.blob).cmp(&(b.started_ms, &b.blob)));
        let aim = max - max / SLACK;
        let (mut left, mut victims, mut needed) = (total, Vec::new(), Vec::new());
        for recording in recordings {
            if left <= aim {
                break;
            }
            let turn = self.sound_turn(session_of_key(&recording.blob), turn_of_key(&recording.blob))?;
            match turn.map(|turn| turn.state) {
                Some(TurnState::Open) => {}
                Some(TurnState::Failed { .. } | TurnState::Interrupted { reason: InterruptReason::Crash })
                    if recording.kind == AudioKind::User =>
                {
                    needed.push(recording);
                }
                _ => {
                    left -= recording.bytes;
                    victims.push(recording);
                }
            }
        }
        for recording in needed {
            if left <= max {
                break;
            }
            left -= recording.bytes;
            victims.push(recording);
        }
        Ok((total, victims))
    }
}

/// The sum of their bytes.
pub(super) fn bytes_of(recordings: &[Recording]) -> u64 {
    recordings.iter().fold(0, |sum, recording| sum.saturating_add(recording.bytes))
}
