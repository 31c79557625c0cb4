//! Sweeping: deleting what has expired by the sessions' retention, and the rows of tombstones, in small transactions.

use crate::error::Result;
use crate::event::{SessionId, TurnId};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::payload::SessionPayload;
use crate::store::record::{AudioKind, TurnRecord, TurnState};
use crate::store::retention::{audio_rule, expired, may_expire};
use crate::store::schema::{
    BlobKey, DELETES_MAX, Kind, SessionKey, TurnKey, blob_bytes, bounds, decode, kind_of_key, session_of_key, turn_key,
    turn_of_key,
};
use crate::store::tables::{Records, Snapshot, Tables, unless_damaged, write};
use crate::store::write::Budget;
use redb::ReadableTable;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The records that a sweep deleted, or would delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Swept {
    /// Recordings of the user.
    pub user_audio: u64,
    /// Recordings of replies.
    pub reply_audio: u64,
    /// Turns whose texts were deleted.
    pub texts: u64,
    /// Bytes of sound.
    pub audio_bytes: u64,
}

impl Swept {
    /// True for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Swept::default()
    }

    fn count(&mut self, item: &Item) {
        match item {
            Item::Audio { kind, bytes, .. } => self.count_audio(*kind, *bytes),
            Item::Text { .. } => self.texts += 1,
        }
    }

    pub(super) fn count_audio(&mut self, kind: AudioKind, bytes: u64) {
        self.audio_bytes += bytes;
        match kind {
            AudioKind::User => self.user_audio += 1,
            AudioKind::Reply => self.reply_audio += 1,
        }
    }
}

/// A record that has expired.
enum Item {
    Audio {
        blob: BlobKey,
        kind: AudioKind,
        bytes: u64,
    },
    Text {
        session: SessionId,
        turn: TurnId,
        /// True where no turn before it holds text.
        leads: bool,
    },
}

/// Expired records collected from one snapshot.
const ITEMS_MAX: usize = 1000;

/// Counts expired records, and lists the audio.
pub(super) fn preview(db: &Db, now_ms: u64) -> Result<(Swept, BTreeSet<BlobKey>)> {
    db.run(|open| {
        let (mut swept, mut blobs) = (Swept::default(), BTreeSet::new());
        let _ = visit_all(&Snapshot::of(open)?, now_ms, &mut |item| {
            swept.count(&item);
            if let Item::Audio { blob, .. } = item {
                blobs.insert(blob);
            }
            ControlFlow::Continue(())
        })?;
        Ok((swept, blobs))
    })
}

/// Deletes expired records of every session or of one.
pub(super) fn sweep(db: &Db, only: Option<SessionId>, now_ms: u64) -> Result<Swept> {
    let mut swept = Swept::default();
    loop {
        let items = db.run(|open| {
            let mut items = Vec::new();
            let mut collect = |item| {
                items.push(item);
                if items.len() < ITEMS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let snapshot = Snapshot::of(open)?;
            let _ = match only {
                None => visit_all(&snapshot, now_ms, &mut collect)?,
                Some(id) => {
                    let session = snapshot.load_session(id)?;
                    visit(&snapshot, id, &session, now_ms, &mut collect)?
                }
            };
            Ok(items)
        })?;
        let mut left = &items[..];
        while !left.is_empty() {
            let (done, gone) = db.run(|open| write(open, |tables| tables.expire(left, now_ms)))?;
            left = &left[done..];
            swept = swept.plus(gone);
        }
        purge(db)?;
        if items.len() < ITEMS_MAX {
            return Ok(swept);
        }
    }
}

/// Removes the rows of all tombstones.
pub(super) fn purge(db: &Db) -> Result<()> {
    while db.run(|open| {
        if Snapshot::of(open)?.tombstones.first()?.is_none() {
            return Ok(false);
        }
        write(open, |tables| {
            let mut budget = Budget(DELETES_MAX);
            while !budget.is_spent() {
                let first = tables.tombstones.first()?.map(|row| row.0.value().to_vec());
                let Some(prefix) = first else { break };
                tables.purge(&prefix, &mut budget)?;
            }
            Ok(true)
        })
    })? {}
    Ok(())
}

impl Swept {
    pub(super) fn plus(self, other: Swept) -> Swept {
        Swept {
            user_audio: self.user_audio + other.user_audio,
            reply_audio: self.reply_audio + other.reply_audio,
            texts: self.texts + other.texts,
            audio_bytes: self.audio_bytes + other.audio_bytes,
        }
    }
}

impl Tables<'_> {
    /// Deletes the session's expired records, as far as one transaction may.
    pub(super) fn expire_session(&mut self, id: SessionId, now_ms: u64) -> Result<(), Fault> {
        let session = self.load_session(id)?;
        let mut items = Vec::new();
        let _ = visit(self, id, &session, now_ms, &mut |item| {
            items.push(item);
            if items.len() < DELETES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.expire(&items, now_ms).map(drop)
    }

    /// Deletes items as far as one transaction may: how many were looked at, and what was deleted. Records that were
    /// replaced since they were collected are checked again.
    fn expire(&mut self, items: &[Item], now_ms: u64) -> Result<(usize, Swept), Fault> {
        let mut budget = Budget(DELETES_MAX);
        let mut swept = Swept::default();
        let mut done = 0;
        for item in items {
            if budget.is_spent() {
                break;
            }
            done += 1;
            let id = match item {
                Item::Audio { blob, .. } => session_of_key(blob),
                Item::Text { session, .. } => *session,
            };
            let Some(mut session) = unless_gone(self.load_session(id))? else {
                continue;
            };
            match item {
                Item::Audio { blob, .. } => {
                    if !audio_expired(self, &session, blob, now_ms)? {
                        continue;
                    }
                    self.drop_audio(blob, &mut budget)?;
                }
                Item::Text { turn, leads, .. } => {
                    let Some(mut record) = self.sound_turn(id, *turn)? else {
                        continue;
                    };
                    if record.text_gone || !text_expired(&session, &record, now_ms) {
                        continue;
                    }
                    record.clear_text();
                    self.save_turn(&record)?;
                    session.title.clear();
                    session.summary.take_if(|summary| (summary.from..=summary.through).contains(&turn.0));
                    if *leads {
                        session.text_from = turn.0.saturating_add(1);
                    }
                    self.save_session(id, Some(session.updated_ms), &session)?;
                    budget.spend(1);
                }
            }
            swept.count(item);
        }
        Ok((done, swept))
    }
}

fn visit_all(
    snapshot: &Snapshot,
    now_ms: u64,
    each: &mut impl FnMut(Item) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Fault> {
    for row in snapshot.sessions.iter()? {
        let (key, value) = row?;
        let key: &SessionKey = key.value();
        // The retention of a damaged session is unknown.
        let Some(session) =
            unless_damaged(decode(&snapshot.sealing, Kind::Session, key, value.value()).map_err(Fault::from))?
        else {
            continue;
        };
        let id = session_of_key(key);
        if visit(snapshot, id, &session, now_ms, each)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Finds the expired records of one session.
fn visit(
    records: &impl Records,
    id: SessionId,
    session: &SessionPayload,
    now_ms: u64,
    each: &mut impl FnMut(Item) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Fault> {
    let retention = &session.config.retention;
    let ended = session.ended_ms.is_some();
    if may_expire(retention.user_audio, ended) || may_expire(retention.reply_audio, ended) {
        let (first, last) = bounds::<25>(id.0.as_bytes());
        for row in records.blob_refs().range::<&BlobKey>(&first..=&last)? {
            let blob = *row?.0.value();
            let Some(kind) = kind_of_key(&blob) else {
                continue;
            };
            if !audio_expired(records, session, &blob, now_ms)? {
                continue;
            }
            let known = records.sound_blob_ref(&blob)?;
            let bytes = known.map_or(0, |known| blob_bytes(known.samples));
            if each(Item::Audio { blob, kind, bytes }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    if may_expire(retention.text, ended) {
        let mut leads = true;
        let (_, last) = bounds::<24>(id.0.as_bytes());
        for row in records.turns().range::<&TurnKey>(&turn_key(id, TurnId(session.text_from))..=&last)? {
            let turn = turn_of_key(row?.0.value());
            let record = records.sound_turn(id, turn)?;
            let Some(record) = record else {
                leads = false;
                continue;
            };
            if record.text_gone {
                continue;
            }
            if !text_expired(session, &record, now_ms) {
                leads = false;
                continue;
            }
            if each(Item::Text { session: id, turn, leads }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn audio_expired(records: &impl Records, session: &SessionPayload, blob: &BlobKey, now_ms: u64) -> Result<bool, Fault> {
    let Some(kind) = kind_of_key(blob) else {
        return Ok(false);
    };
    let at_ms = match records.sound_turn(session_of_key(blob), turn_of_key(blob))? {
        Some(turn) => turn_age_from_ms(&turn),
        // The turn is damaged, and its audio out of reach: its age counts from the turn's start.
        None => records.sound_blob_ref(blob)?.map_or(0, |known| known.started_ms),
    };
    let rule = audio_rule(&session.config.retention, kind);
    Ok(expired(rule, at_ms, session.ended_ms.is_some(), now_ms))
}

fn text_expired(session: &SessionPayload, turn: &TurnRecord, now_ms: u64) -> bool {
    expired(session.config.retention.text, turn_age_from_ms(turn), session.ended_ms.is_some(), now_ms)
}

/// The time from which the age of a turn's records counts. An open turn has no age.
fn turn_age_from_ms(turn: &TurnRecord) -> u64 {
    match turn.state {
        TurnState::Open => u64::MAX,
        _ => turn.ended_ms.unwrap_or(turn.started_ms),
    }
}

/// The value, or `None` where its session was deleted or damaged.
fn unless_gone<T>(result: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match result {
        Err(Fault::Own(error)) if error.code() == crate::error::ErrorCode::SessionNotFound => Ok(None),
        result => unless_damaged(result),
    }
}
