//! Reads of a snapshot. Damaged and lost records are reported, never returned as data.

use crate::error::{Error, ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use crate::store::fault::Fault;
use crate::store::payload::{SessionPayload, decode_turn};
use crate::store::record::{AudioInfo, AudioKind, StoredAudio, TurnPage, TurnRecord, Turns};
use crate::store::schema::{CHUNK_BYTES, Kind, blob_key, bounds, chunk_key, damaged, turn_key, turn_of_key, unseal};
use crate::store::tables::{Row, Snapshot, rows, turn_not_found, unless_damaged};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

impl Snapshot {
    /// The turns from `from` on, or the last `count` of them.
    pub(super) fn turns_of(&self, id: SessionId, from: TurnId, last_count: Option<usize>) -> Result<Turns, Fault> {
        let session = self.load_session(id)?;
        let (turns, mut damaged) = self.turns_there(id, from, last_count)?;
        if session.has_no_gap() {
            let first_read = turns.first().map_or(u64::MAX, |turn| turn.turn.0);
            let of_the_last = |count: usize| first_read.min(session.next_turn.saturating_sub(count as u64));
            damaged = missing(last_count.map_or(from.0, of_the_last)..=session.next_turn - 1, &turns);
        }
        let lost = if session.has_no_gap() { 0 } else { self.missing_turns(id, &session)? };
        Ok(Turns { turns, damaged, lost })
    }

    /// The turns from `from` on, or the last `count` of them, and the numbers of damaged ones; those that are lost are not
    /// looked for, so that no other turn is touched.
    pub(super) fn turns_there(
        &self,
        id: SessionId,
        from: TurnId,
        last_count: Option<usize>,
    ) -> Result<(Vec<TurnRecord>, Vec<TurnId>), Fault> {
        let (mut turns, mut damaged) = (Vec::new(), Vec::new());
        let (_, last) = bounds(id.0.as_bytes());
        let mut read =
            |row: Result<Row<'_, 24, &[u8]>, redb::StorageError>| self.read_turn(&row?, &mut turns, &mut damaged);
        let mut rows = rows(&self.turns, (turn_key(id, from), last))?;
        match last_count {
            None => rows.try_for_each(read)?,
            Some(count) => {
                rows.rev().take(count).try_for_each(&mut read)?;
                turns.reverse();
                damaged.reverse();
            }
        }
        Ok((turns, damaged))
    }

    fn read_turn(
        &self,
        (key, value): &Row<'_, 24, &'static [u8]>,
        turns: &mut Vec<TurnRecord>,
        damaged: &mut Vec<TurnId>,
    ) -> Result<(), Fault> {
        match unless_damaged(decode_turn(&self.sealing, key.value(), value.value()).map_err(Fault::from))? {
            Some(record) => turns.push(record),
            None => damaged.push(turn_of_key(key.value())),
        }
        Ok(())
    }

    pub(super) fn turns_page(&self, id: SessionId, after: Option<TurnId>, limit: usize) -> Result<TurnPage, Fault> {
        let session = self.load_session(id)?;
        let before = after.map_or(0, |turn| turn.0);
        let (mut page, (_, last)) = (TurnPage::default(), bounds(id.0.as_bytes()));
        for row in rows(&self.turns, (turn_key(id, TurnId(before.saturating_add(1))), last))? {
            if page.turns.len() >= limit.max(1) {
                // Only a sound record says where the page ends: a damaged key may have any number.
                page.next = page.turns.last().map(|record| record.turn);
                break;
            }
            self.read_turn(&row?, &mut page.turns, &mut page.damaged)?;
        }
        if session.has_no_gap() {
            let last = session.next_turn - 1;
            let end = page.next.map_or(last, |next| next.0.min(last));
            page.damaged = missing(before.saturating_add(1)..=end, &page.turns);
        } else if page.next.is_none() {
            page.lost = self.missing_turns(id, &session)?;
        }
        Ok(page)
    }

    pub(super) fn turn(&self, id: SessionId, turn: TurnId) -> Result<TurnRecord, Fault> {
        let session = self.load_session(id)?;
        if let Some(record) = self.find_turn(id, turn)? {
            return Ok(record);
        }
        // Not there, or lost? Only a session that has all its turns can tell, and this one must not be among them: a
        // damaged key beside it can hide it from a search.
        if turn.0 < session.next_turn {
            let turns = self.turns_of(id, TurnId(0), None)?;
            if !turns.is_complete() || turns.turns.iter().any(|record| record.turn == turn) {
                return Err(damaged(Kind::Turn).into());
            }
        }
        Err(turn_not_found(id, turn).into())
    }

    pub(super) fn audio_of(&self, id: SessionId, turn: TurnId, kind: AudioKind) -> Result<StoredAudio, Fault> {
        match self.turn(id, turn)?.audio(kind) {
            Some(info) => self.samples(id, turn, kind, info),
            None => Err(Error::new(ErrorCode::AudioGone, format!("turn {turn} has no such audio (any more)")).into()),
        }
    }

    fn samples(&self, id: SessionId, turn: TurnId, kind: AudioKind, info: AudioInfo) -> Result<StoredAudio, Fault> {
        let blob = blob_key(id, turn, kind);
        let mut samples = Vec::new();
        let mut chunk = 0;
        while (samples.len() as u64) < info.samples {
            let key = chunk_key(&blob, chunk);
            let row = self.audio.get(&key)?.ok_or_else(|| damaged(Kind::Audio))?;
            let bytes = unseal(&self.sealing, Kind::Audio, &key, row.value())?;
            let expected = (info.samples - samples.len() as u64).saturating_mul(2).min(CHUNK_BYTES as u64);
            // A chunk of a longer or shorter recording under this key is sound by itself, and still not this one's.
            if bytes.len() as u64 != expected {
                return Err(damaged(Kind::Audio).into());
            }
            samples.extend(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
            chunk += 1;
        }
        Ok(StoredAudio { rate: info.rate, samples })
    }

    /// How many turns the session should have and has not.
    pub(super) fn missing_turns(&self, id: SessionId, session: &SessionPayload) -> Result<u64, Fault> {
        Ok(session.turns.saturating_sub(self.turn_numbers(id)?.len() as u64))
    }

    /// The numbers of the session's turns, damaged ones too.
    pub(super) fn turn_numbers(&self, id: SessionId) -> Result<Vec<TurnId>, Fault> {
        rows(&self.turns, bounds(id.0.as_bytes()))?.map(|row| Ok(turn_of_key(row?.0.value()))).collect()
    }

    /// Reports a session that is listed but not there as damaged.
    pub(super) fn unless_lost<T>(&self, id: SessionId, result: Result<T, Fault>) -> Result<T, Fault> {
        match result {
            Err(Fault::Own(error)) if error.code() == ErrorCode::SessionNotFound && !self.listings(id)?.is_empty() => {
                Err(damaged(Kind::Session).into())
            }
            result => result,
        }
    }
}

impl SessionPayload {
    /// Turns were given numbers without a gap, so that lost ones show in their place, and no other turn need be looked at.
    fn has_no_gap(&self) -> bool {
        self.turns + 1 == self.next_turn
    }
}

/// The numbers without a turn.
fn missing(numbers: RangeInclusive<u64>, turns: &[TurnRecord]) -> Vec<TurnId> {
    let there: BTreeSet<TurnId> = turns.iter().map(|turn| turn.turn).collect();
    numbers.map(TurnId).filter(|turn| turn.0 > 0 && !there.contains(turn)).collect()
}
