//! The quota of audio: where there is more, the oldest goes first.
//!
//! Audio of a turn under way is never touched, and what a failed turn needs to be tried again goes last.

use crate::error::Result;
use crate::event::{InterruptReason, TurnState};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::payload::BlobRefPayload;
use crate::store::record::AudioKind;
use crate::store::schema::{BlobKey, DELETES_MAX, Kind, blob_bytes, decode, kind_of_key, session_of_key, turn_of_key};
use crate::store::sweep::Swept;
use crate::store::tables::{Records, Snapshot, unless_damaged, write};
use crate::store::write::Budget;
use redb::ReadableTable;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of the quota, so much is made free at once, so that not every turn has to look for the oldest.
const SLACK: u64 = 16;

/// How much audio there may be, and about how much there is.
pub(super) struct Quota {
    max: Option<u64>,
    /// What was there when it was counted last, and what was written since.
    bytes_at_most: AtomicU64,
}

/// One recording, by its entry. Of a damaged entry nothing is known but that it is there.
pub(super) struct Recording {
    pub(super) blob: BlobKey,
    pub(super) kind: AudioKind,
    pub(super) bytes: u64,
    pub(super) started_ms: u64,
}

impl Quota {
    pub(super) fn new(max: Option<u64>) -> Self {
        // Nothing was counted yet.
        Self { max, bytes_at_most: AtomicU64::new(u64::MAX) }
    }

    pub(super) fn max(&self) -> Option<u64> {
        self.max
    }

    /// Notes that audio was written.
    pub(super) fn wrote(&self, bytes: u64) {
        let add = |known: u64| Some(known.saturating_add(bytes));
        // The update never fails: the closure always gives a value.
        let _ = self.bytes_at_most.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
    }

    /// Notes that nobody knows how much audio there is, until it is counted.
    pub(super) fn lose_count(&self) {
        self.bytes_at_most.store(u64::MAX, Ordering::Release);
    }

    /// Whether there may be too much.
    pub(super) fn may_be_exceeded(&self) -> bool {
        self.max.is_some_and(|max| self.bytes_at_most.load(Ordering::Acquire) > max)
    }

    /// Counts what would have to go once these are gone.
    pub(super) fn preview(&self, db: &Db, gone: &BTreeSet<BlobKey>) -> Result<Swept> {
        let mut swept = Swept::default();
        if let Some(max) = self.max {
            let (_, victims) = db.run(|open| Snapshot::of(open)?.recordings_to_evict(max, gone))?;
            victims.iter().for_each(|victim| swept.count_audio(victim.kind, victim.bytes));
        }
        Ok(swept)
    }

    /// Deletes the oldest audio until there is room again.
    pub(super) fn enforce(&self, db: &Db) -> Result<Swept> {
        let Some(max) = self.max.filter(|_| self.may_be_exceeded()) else { return Ok(Swept::default()) };
        // What is written from here on counts on top of what is counted now.
        let before = self.bytes_at_most.swap(0, Ordering::AcqRel);
        let found = db.run(|open| Snapshot::of(open)?.recordings_to_evict(max, &BTreeSet::new()));
        let (total, victims) = match found {
            Ok(found) => found,
            Err(error) => {
                self.wrote(before);
                return Err(error);
            }
        };
        self.wrote(total);
        let mut swept = Swept::default();
        let mut left = &victims[..];
        while !left.is_empty() {
            let done = db.run(|open| {
                write(open, |tables| {
                    let mut budget = Budget(DELETES_MAX);
                    let mut done = 0;
                    for victim in left {
                        if budget.is_spent() {
                            break;
                        }
                        tables.drop_audio(&victim.blob, &mut budget)?;
                        done += 1;
                    }
                    Ok(done)
                })
            })?;
            let (gone, rest) = left.split_at(done);
            left = rest;
            for victim in gone {
                swept.count_audio(victim.kind, victim.bytes);
                self.freed(victim.bytes);
            }
        }
        super::sweep::purge(db)?;
        Ok(swept)
    }

    fn freed(&self, bytes: u64) {
        let subtract = |known: u64| Some(known.saturating_sub(bytes));
        let _ = self.bytes_at_most.fetch_update(Ordering::AcqRel, Ordering::Acquire, subtract);
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

    /// How much audio there is, and which recordings have to go so that at most `max` bytes stay.
    fn recordings_to_evict(&self, max: u64, gone: &BTreeSet<BlobKey>) -> Result<(u64, Vec<Recording>), Fault> {
        let mut recordings = self.recordings()?;
        recordings.retain(|recording| !gone.contains(&recording.blob));
        let total = bytes_of(&recordings);
        if total <= max {
            return Ok((total, Vec::new()));
        }
        // A damaged entry has no time, and goes first.
        recordings.sort_by(|a, b| (a.started_ms, &a.blob).cmp(&(b.started_ms, &b.blob)));
        let aim = max - max / SLACK;
        let (mut left, mut victims, mut needed) = (total, Vec::new(), Vec::new());
        for recording in recordings {
            if left <= aim {
                break;
            }
            match self.need_of(&recording)? {
                Need::UnderWay => {}
                Need::Retry => needed.push(recording),
                Need::None => {
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

    fn need_of(&self, recording: &Recording) -> Result<Need, Fault> {
        let (session, turn) = (session_of_key(&recording.blob), turn_of_key(&recording.blob));
        let turn = self.sound_turn(session, turn)?;
        Ok(match (turn.map(|turn| turn.state), recording.kind) {
            (Some(TurnState::Open), _) => Need::UnderWay,
            (
                Some(TurnState::Failed { .. } | TurnState::Interrupted { reason: InterruptReason::Crash }),
                AudioKind::User,
            ) => Need::Retry,
            _ => Need::None,
        })
    }
}

/// Bytes of all these together.
pub(super) fn bytes_of(recordings: &[Recording]) -> u64 {
    recordings.iter().fold(0, |sum, recording| sum.saturating_add(recording.bytes))
}

/// What audio is needed for.
enum Need {
    /// Its turn is not over.
    UnderWay,
    /// Its turn can be tried again with it.
    Retry,
    None,
}
