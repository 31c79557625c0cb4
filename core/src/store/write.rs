//! The effect of each [`Write`] on the tables of a transaction.

use crate::error::{Error, ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use crate::store::fault::Fault;
use crate::store::payload::{BlobRefPayload, SessionPayload, Stored};
use crate::store::record::{AudioInfo, AudioKind, SessionRecord, Summary, TurnRecord, TurnState};
use crate::store::retention::{audio_rule, may_write, text_allowed};
use crate::store::schema::{
    BlobKey, CHUNK_BYTES, Kind, TurnKey, blob_key, bounds, chunk_key, encode, kind_of_key, seal, session_key,
    session_of_key, turn_key, turn_of_key, updated_key,
};
use crate::store::tables::{Tables, rows, session_not_found, turn_not_found, unless_damaged};
use redb::Table;
use std::borrow::Cow;

/// One change. The changes of one [`Store::apply`](super::Store::apply) are committed together, in their order.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Write {
    /// Creates the session, or replaces its settings and title. Of an existing session the counts, the end, the creation
    /// and the summary stay, and the last change never goes back.
    PutSession(SessionRecord),
    /// Replaces the session's summary. Ignored where the session's retention forbids texts, or has deleted the text of a
    /// turn that the summary covers.
    PutSummary { session: SessionId, summary: Summary },
    /// Creates or replaces a turn of an existing session. Its audio in the store stays, and its texts are left out where
    /// the session's retention forbids them.
    PutTurn(TurnRecord),
    /// Creates or replaces audio of an existing turn. Ignored where the session's retention forbids it.
    PutAudio { session: SessionId, turn: TurnId, kind: AudioKind, rate: u32, samples: Vec<i16> },
    /// Deletes audio of a turn, if there is any.
    DropAudio { session: SessionId, turn: TurnId, kind: AudioKind },
    /// Ends the session, and deletes what was kept until its end. An ended session stays as it is.
    EndSession { id: SessionId, now_ms: u64 },
}

/// The rows that a transaction may still delete.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }

    pub(super) fn spend(&mut self, rows: usize) {
        self.0 = self.0.saturating_sub(rows);
    }
}

impl Tables<'_> {
    pub(super) fn put_session(&mut self, record: &SessionRecord) -> Result<(), Fault> {
        let found = match self.load_session(record.id) {
            Ok(session) => Some(session),
            Err(Fault::Own(error)) if error.code() == ErrorCode::SessionNotFound => None,
            Err(fault) => return Err(fault),
        };
        if found.is_none() {
            self.forget_leftovers(record.id)?;
        }
        let listed_ms = found.as_ref().map(|session| session.updated_ms);
        let new = || SessionPayload { turns: 0, text_from: 0, summary: None, ..record.into() };
        let mut session = found.unwrap_or_else(new);
        session.updated_ms = session.updated_ms.max(record.updated_ms);
        session.next_turn = session.next_turn.max(record.next_turn);
        session.config = record.config.clone();
        session.title = if text_allowed(&session) { record.title.clone() } else { String::new() };
        session.summary = session.summary.take().filter(|_| text_allowed(&session));
        self.save_session(record.id, listed_ms, &session)
    }

    pub(super) fn put_summary(&mut self, id: SessionId, summary: &Summary) -> Result<(), Fault> {
        let mut session = self.load_session(id)?;
        // Swept text must not come back in a summary.
        if !text_allowed(&session) || session.text_from > summary.from.0 {
            return Ok(());
        }
        session.summary = Some(summary.form());
        self.save_session(id, Some(session.updated_ms), &session)
    }

    pub(super) fn put_turn(&mut self, record: &TurnRecord) -> Result<(), Fault> {
        let mut session = self.load_session(record.session)?;
        let listed_ms = session.updated_ms;
        let mut turn = record.clone();
        let found = unless_damaged(self.find_turn(turn.session, turn.turn))?;
        let is_new = matches!(found, Some(None));
        let stored = found.flatten();
        for kind in [AudioKind::User, AudioKind::Reply] {
            let info = match &stored {
                Some(stored) => stored.audio(kind),
                // Where the turn's own record is damaged, its audio's entries are not.
                None => {
                    let known = self.sound_blob_ref(&blob_key(turn.session, turn.turn, kind))?;
                    known.map(|known| AudioInfo { rate: known.rate, samples: known.samples })
                }
            };
            turn.set_audio(kind, info);
        }
        turn.text_gone = !text_allowed(&session);
        if turn.text_gone {
            turn.clear_text();
        } else {
            session.text_from = session.text_from.min(turn.turn.0);
        }
        if is_new && let Some(corrected) = turn.corrects {
            // A summary must not cover turns that the correction supersedes.
            session.summary.take_if(|summary| summary.through >= corrected);
        }
        session.turns += u64::from(is_new);
        session.next_turn = session.next_turn.max(turn.turn.0.saturating_add(1));
        session.updated_ms = session.updated_ms.max(turn.started_ms).max(turn.ended_ms.unwrap_or(0));
        self.save_turn(&turn)?;
        self.save_session(turn.session, Some(listed_ms), &session)
    }

    pub(super) fn put_audio(
        &mut self,
        session: SessionId,
        turn: TurnId,
        kind: AudioKind,
        rate: u32,
        samples: &[i16],
    ) -> Result<(), Fault> {
        if rate == 0 {
            return Err(Error::new(ErrorCode::AudioInvalidRate, "the audio has a rate of 0").into());
        }
        let settings = self.load_session(session)?;
        if !may_write(audio_rule(&settings.config.retention, kind), settings.ended_ms.is_some()) {
            return Ok(());
        }
        let mut record = self.find_turn(session, turn)?.ok_or_else(|| turn_not_found(session, turn))?;
        let blob = blob_key(session, turn, kind);
        let mut chunks = 0;
        for run in samples.chunks(CHUNK_BYTES / 2) {
            self.put_chunk(&blob, chunks, &little_endian(run))?;
            chunks += 1;
        }
        let (_, last) = bounds(&blob);
        remove_range(&mut self.audio, (chunk_key(&blob, chunks), last), &mut Budget(usize::MAX))?;
        let info = AudioInfo { rate, samples: samples.len() as u64 };
        self.put_blob_ref(&blob, info, record.started_ms)?;
        record.set_audio(kind, Some(info));
        self.save_turn(&record)
    }

    /// Writes a run of little-endian samples; each but an audio's last is [`CHUNK_BYTES`] long.
    pub(super) fn put_chunk(&mut self, blob: &BlobKey, chunk: u32, bytes: &[u8]) -> Result<(), Fault> {
        let key = chunk_key(blob, chunk);
        self.audio.insert(&key, seal(&self.sealing, Kind::Audio, &key, bytes)?.as_slice())?;
        Ok(())
    }

    pub(super) fn put_blob_ref(&mut self, blob: &BlobKey, info: AudioInfo, started_ms: u64) -> Result<(), Fault> {
        self.tombstones.remove(&blob[..])?;
        let known = BlobRefPayload { rate: info.rate, samples: info.samples, started_ms };
        self.blob_refs.insert(blob, encode(&self.sealing, Kind::BlobRef, blob, &known)?.as_slice())?;
        Ok(())
    }

    /// Removes the rows of a deleted session, or of a failed import, before a new session gets its id.
    pub(super) fn forget_leftovers(&mut self, id: SessionId) -> Result<(), Fault> {
        let key = session_key(id);
        let deleted = self.tombstones.remove(&key[..])?.is_some();
        let imported = self.imports()?.remove(&key)?.is_some();
        if deleted || imported {
            self.remove_prefix(&key, &mut Budget(usize::MAX))?;
        }
        Ok(())
    }

    /// Deletes audio, if there is any. Rows beyond the budget get a tombstone.
    pub(super) fn drop_audio(&mut self, blob: &BlobKey, budget: &mut Budget) -> Result<(), Fault> {
        budget.spend(usize::from(self.blob_refs.remove(blob)?.is_some()));
        if !remove_range(&mut self.audio, bounds(blob), budget)? {
            self.tombstones.insert(&blob[..], ())?;
        }
        let (session, turn) = (session_of_key(blob), turn_of_key(blob));
        let record = self.sound_turn(session, turn)?;
        if let (Some(mut record), Some(kind)) = (record, kind_of_key(blob))
            && record.audio(kind).is_some()
        {
            record.set_audio(kind, None);
            self.save_turn(&record)?;
        }
        Ok(())
    }

    pub(super) fn end_session(&mut self, id: SessionId, now_ms: u64) -> Result<(), Fault> {
        let mut session = self.load_session(id)?;
        if session.ended_ms.is_none() {
            let updated_before_ms = session.updated_ms;
            session.ended_ms = Some(now_ms);
            session.updated_ms = session.updated_ms.max(now_ms);
            self.save_session(id, Some(updated_before_ms), &session)?;
        }
        Ok(())
    }

    /// Makes the session invisible; its rows get a tombstone.
    pub(super) fn delete_session(&mut self, id: SessionId) -> Result<(), Fault> {
        let key = session_key(id);
        let was_there = self.sessions.remove(&key)?.is_some();
        let was_listed = self.unlist(id)?;
        if !was_there && !was_listed {
            return Err(session_not_found(id).into());
        }
        self.tombstones.insert(&key[..], ())?;
        Ok(())
    }

    pub(super) fn save_session(
        &mut self,
        id: SessionId,
        updated_before_ms: Option<u64>,
        session: &SessionPayload,
    ) -> Result<(), Fault> {
        let key = session_key(id);
        self.sessions.insert(&key, encode(&self.sealing, Kind::Session, &key, session)?.as_slice())?;
        if updated_before_ms == Some(session.updated_ms) {
            return Ok(());
        }
        if let Some(before_ms) = updated_before_ms
            && self.by_updated.remove(&updated_key(before_ms, id))?.is_none()
        {
            // The list lacks the row, so it may have one of this session in a wrong place.
            self.unlist(id)?;
        }
        self.by_updated.insert(&updated_key(session.updated_ms, id), ())?;
        Ok(())
    }

    pub(super) fn save_turn(&mut self, turn: &TurnRecord) -> Result<(), Fault> {
        let key = turn_key(turn.session, turn.turn);
        self.turns.insert(&key, encode(&self.sealing, Kind::Turn, &key, &turn.form())?.as_slice())?;
        if turn.state == TurnState::Open {
            self.open_turns.insert(&key, ())?;
        } else {
            self.open_turns.remove(&key)?;
        }
        Ok(())
    }

    /// Removes the rows of one tombstone within the budget, and the tombstone with the last of them.
    pub(super) fn purge(&mut self, prefix: &[u8], budget: &mut Budget) -> Result<(), Fault> {
        if self.remove_prefix(prefix, budget)? {
            self.tombstones.remove(prefix)?;
        }
        Ok(())
    }

    /// Removes every row of a session or an audio within the budget; true where none is left.
    fn remove_prefix(&mut self, prefix: &[u8], budget: &mut Budget) -> Result<bool, Fault> {
        let is_audio = prefix.len() > size_of::<TurnKey>();
        Ok(remove_range(&mut self.audio, bounds(prefix), budget)?
            && (is_audio
                || remove_range(&mut self.blob_refs, bounds(prefix), budget)?
                    && remove_range(&mut self.open_turns, bounds(prefix), budget)?
                    && remove_range(&mut self.turns, bounds(prefix), budget)?))
    }

    /// Removes every row that lists the session; false where there was none.
    fn unlist(&mut self, id: SessionId) -> Result<bool, Fault> {
        let rows = self.listings(id)?;
        for key in &rows {
            self.by_updated.remove(key)?;
        }
        Ok(!rows.is_empty())
    }
}

/// The samples' bytes, least significant first, which on most machines they are already.
pub(super) fn little_endian(samples: &[i16]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(samples))
    } else {
        Cow::Owned(samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())
    }
}

/// Removes rows within the budget; true where none is left.
fn remove_range<const N: usize, V: redb::Value + 'static>(
    table: &mut Table<'_, &'static [u8; N], V>,
    bounds: ([u8; N], [u8; N]),
    budget: &mut Budget,
) -> Result<bool, Fault> {
    let mut keys = Vec::new();
    let mut all = true;
    for row in rows(table, bounds)? {
        all = keys.len() < budget.0;
        if !all {
            break;
        }
        keys.push(*row?.0.value());
    }
    for key in &keys {
        table.remove(key)?;
    }
    budget.spend(keys.len());
    Ok(all)
}

impl TurnRecord {
    pub(super) fn set_audio(&mut self, kind: AudioKind, info: Option<AudioInfo>) {
        match kind {
            AudioKind::User => self.user_audio = info,
            AudioKind::Reply => self.reply_audio = info,
        }
    }

    pub(super) fn clear_text(&mut self) {
        self.user_text.clear();
        self.instructions.clear();
        self.reply_text.clear();
        (self.transcript, self.heard_text) = (None, None);
        self.text_gone = true;
    }
}
