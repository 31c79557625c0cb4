//! Sweeping: deleting what has expired by the sessions' retention, and the rows of tombstones, in small transactions.

use crate::error::Result;
use crate::event::{SessionId, TurnId};
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::payload::SessionPayload;
use crate::store::record::{AudioKind, TurnRecord, TurnState};
use crate::store::retention::{audio_rule, expired, may_expire};
use crate::store::schema::{
    BlobKey, DELETES_MAX, Kind, blob_bytes, bounds, decode, kind_of_key, session_of_key, turn_key, turn_of_key,
};
use crate::store::tables::{Rows, Snapshot, Tables, Transaction, rows, unless_damaged, write};
use crate::store::write::Budget;
use redb::ReadableTable;
use std::collections::BTreeSet;

/// The records that a sweep deleted, or would delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
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

    pub(super) fn plus(self, other: Swept) -> Swept {
        Swept {
            user_audio: self.user_audio + other.user_audio,
            reply_audio: self.reply_audio + other.reply_audio,
            texts: self.texts + other.texts,
            audio_bytes: self.audio_bytes + other.audio_bytes,
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
        turn: TurnId,
        /// True where no turn before it holds text.
        leads: bool,
    },
}

/// Counts expired records, and lists the audio.
pub(super) fn preview(db: &Db, now_ms: u64) -> Result<(Swept, BTreeSet<BlobKey>)> {
    db.run(|open| {
        let (snapshot, mut swept, mut blobs) = (Snapshot::of(open)?, Swept::default(), BTreeSet::new());
        snapshot.for_each_session(None, |id, session| {
            for item in expired_items(&snapshot, id, session, now_ms, usize::MAX)? {
                swept.count(&item);
                if let Item::Audio { blob, .. } = item {
                    blobs.insert(blob);
                }
            }
            Ok(())
        })?;
        Ok((swept, blobs))
    })
}

/// Deletes expired records of every session or of one.
pub(super) fn sweep(db: &Db, only: Option<SessionId>, now_ms: u64) -> Result<Swept> {
    let sessions = db.run(|open| {
        let (snapshot, mut sessions) = (Snapshot::of(open)?, Vec::new());
        snapshot.for_each_session(only, |id, session| {
            if !expired_items(&snapshot, id, session, now_ms, 1)?.is_empty() {
                sessions.push(id);
            }
            Ok(())
        })?;
        Ok(sessions)
    })?;
    let (mut left, mut swept) = (&sessions[..], Swept::default());
    while !left.is_empty() {
        let (done, gone) =
            db.run(|open| write(open, |tables| tables.expire(left, now_ms, &mut Budget(DELETES_MAX))))?;
        left = &left[done..];
        swept = swept.plus(gone);
    }
    purge(db)?;
    Ok(swept)
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

impl Tables<'_> {
    /// Deletes expired records of these sessions within the budget: how many sessions are done, and what was deleted.
    pub(super) fn expire(
        &mut self,
        sessions: &[SessionId],
        now_ms: u64,
        budget: &mut Budget,
    ) -> Result<(usize, Swept), Fault> {
        let mut swept = Swept::default();
        for (done, &id) in sessions.iter().enumerate() {
            let Some(session) = unless_gone(self.load_session(id))? else { continue };
            self.expire_session(id, session, now_ms, budget, &mut swept)?;
            if budget.is_spent() {
                return Ok((done, swept));
            }
        }
        Ok((sessions.len(), swept))
    }

    fn expire_session(
        &mut self,
        id: SessionId,
        mut session: SessionPayload,
        now_ms: u64,
        budget: &mut Budget,
        swept: &mut Swept,
    ) -> Result<(), Fault> {
        for item in expired_items(self, id, &session, now_ms, budget.0)? {
            if budget.is_spent() {
                break;
            }
            match &item {
                Item::Audio { blob, .. } => self.drop_audio(blob, budget)?,
                Item::Text { turn, leads } => {
                    let Some(mut record) = self.sound_turn(id, *turn)? else { continue };
                    record.clear_text();
                    self.save_turn(&record)?;
                    session.title.clear();
                    session.summary.take_if(|summary| (summary.from..=summary.through).contains(turn));
                    if *leads {
                        session.text_from = turn.0.saturating_add(1);
                    }
                    self.save_session(id, Some(session.updated_ms), &session)?;
                    budget.spend(1);
                }
            }
            swept.count(&item);
        }
        Ok(())
    }
}

impl Snapshot {
    /// Iterates over every session or one, but for damaged ones, whose retention is unknown.
    fn for_each_session(
        &self,
        only: Option<SessionId>,
        mut each: impl FnMut(SessionId, &SessionPayload) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for row in rows(&self.sessions, bounds(only.as_ref().map_or(&[], |id| id.0.as_bytes())))? {
            let (key, value) = row?;
            let session = decode(&self.sealing, Kind::Session, key.value(), value.value()).map_err(Fault::from);
            if let Some(session) = unless_damaged(session)? {
                each(session_of_key(key.value()), &session)?;
            }
        }
        Ok(())
    }
}

/// At most `max` expired records of a session.
fn expired_items(
    records: &Rows<impl Transaction>,
    id: SessionId,
    session: &SessionPayload,
    now_ms: u64,
    max: usize,
) -> Result<Vec<Item>, Fault> {
    let (retention, ended) = (&session.config.retention, session.ended_ms.is_some());
    let mut items = Vec::new();
    if may_expire(retention.user_audio, ended) || may_expire(retention.reply_audio, ended) {
        for row in rows(&records.blob_refs, bounds(id.0.as_bytes()))? {
            if items.len() == max {
                return Ok(items);
            }
            let blob = *row?.0.value();
            if let Some(kind) = kind_of_key(&blob)
                && audio_expired(records, session, &blob, kind, now_ms)?
            {
                let bytes = records.sound_blob_ref(&blob)?.map_or(0, |known| blob_bytes(known.samples));
                items.push(Item::Audio { blob, kind, bytes });
            }
        }
    }
    if may_expire(retention.text, ended) {
        let mut leads = true;
        let (_, last) = bounds(id.0.as_bytes());
        for row in rows(&records.turns, (turn_key(id, TurnId(session.text_from)), last))? {
            if items.len() == max {
                return Ok(items);
            }
            let turn = turn_of_key(row?.0.value());
            match records.sound_turn(id, turn)? {
                Some(record) if record.text_gone => {}
                Some(record) if expired(retention.text, turn_age_from_ms(&record), ended, now_ms) => {
                    items.push(Item::Text { turn, leads });
                }
                _ => leads = false,
            }
        }
    }
    Ok(items)
}

fn audio_expired(
    records: &Rows<impl Transaction>,
    session: &SessionPayload,
    blob: &BlobKey,
    kind: AudioKind,
    now_ms: u64,
) -> Result<bool, Fault> {
    let at_ms = match records.sound_turn(session_of_key(blob), turn_of_key(blob))? {
        Some(turn) => turn_age_from_ms(&turn),
        // The turn is damaged, and its audio out of reach: its age counts from the turn's start.
        None => records.sound_blob_ref(blob)?.map_or(0, |known| known.started_ms),
    };
    let rule = audio_rule(&session.config.retention, kind);
    Ok(expired(rule, at_ms, session.ended_ms.is_some(), now_ms))
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
