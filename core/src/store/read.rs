//! Reads of a snapshot. Damaged and lost records are reported, never returned as data.

use crate::error::{Error, ErrorCode, Result};
use crate::event::{SessionId, TurnId};
use crate::store::fault::Fault;
use crate::store::payload::{SessionPayload, decode_turn};
use crate::store::record::{AudioInfo, AudioKind, StoredAudio, TurnPage, TurnRecord, Turns};
use crate::store::schema::{
    CHUNK_BYTES, Kind, TurnKey, blob_key, bounds, chunk_key, damaged, turn_key, turn_of_key, unseal,
};
use crate::store::tables::{Snapshot, turn_not_found, unless_damaged};
use redb::AccessGuard;

impl Snapshot {
    /// The turns from `from` on, or the last `count` of them.
    pub(super) fn turns_of(&self, id: SessionId, from: TurnId, last_count: Option<usize>) -> Result<Turns, Fault> {
        let session = self.load_session(id)?;
        let mut turns = self.turns_there(id, from, last_count)?;
        turns.damaged += if session.turns + 1 == session.next_turn {
            // Numbers were given out without a gap, so that no other turn need be looked at.
            let read = turns.turns.len() as u64 + turns.damaged;
            let first = match &turns.turns[..] {
                [first, ..] if last_count.is_some_and(|count| count as u64 <= read) => first.turn,
                _ => from,
            };
            (session.next_turn - first.0.clamp(1, session.next_turn)).saturating_sub(read)
        } else {
            self.missing_turns(id, &session)?
        };
        Ok(turns)
    }

    /// The turns from `from` on, or the last `count` of them; those that are lost are not looked for, so that no other
    /// turn is touched.
    pub(super) fn turns_there(&self, id: SessionId, from: TurnId, last_count: Option<usize>) -> Result<Turns, Fault> {
        let mut turns = Turns::default();
        let (_, last) = bounds::<24>(id.0.as_bytes());
        let mut read = |row: Result<Row<'_>, redb::StorageError>| -> Result<(), Fault> {
            let (key, value) = row?;
            match unless_damaged(decode_turn(&self.sealing, key.value(), value.value()).map_err(Fault::from))? {
                Some(record) => turns.turns.push(record),
                None => turns.damaged += 1,
            }
            Ok(())
        };
        let rows = self.turns.range::<&TurnKey>(&turn_key(id, from)..=&last)?;
        match last_count {
            None => rows.into_iter().try_for_each(&mut read)?,
            Some(count) => {
                rows.rev().take(count).try_for_each(&mut read)?;
                turns.turns.reverse();
            }
        }
        Ok(turns)
    }

    pub(super) fn turns_page(&self, id: SessionId, after: Option<TurnId>, limit: usize) -> Result<TurnPage, Fault> {
        let session = self.load_session(id)?;
        let before = after.map_or(0, |turn| turn.0);
        let (mut page, mut through, mut left) = (TurnPage::default(), before, limit.max(1));
        let (_, last) = bounds::<24>(id.0.as_bytes());
        for row in self.turns.range::<&TurnKey>(&turn_key(id, TurnId(before.saturating_add(1)))..=&last)? {
            if left == 0 {
                page.next = Some(TurnId(through));
                break;
            }
            let (key, value) = row?;
            (through, left) = (through.max(turn_of_key(key.value()).0), left - 1);
            match unless_damaged(decode_turn(&self.sealing, key.value(), value.value()).map_err(Fault::from))? {
                Some(record) => page.turns.push(record),
                None => page.damaged += 1,
            }
        }
        if session.turns + 1 == session.next_turn {
            // Numbers were given out without a gap, so that lost ones show in their place.
            let end = page.next.map_or(session.next_turn - 1, |next| next.0);
            page.damaged = page.damaged.max(end.saturating_sub(before).saturating_sub(page.turns.len() as u64));
        } else if page.next.is_none() {
            page.damaged += self.missing_turns(id, &session)?;
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
        let (first, last) = bounds::<24>(id.0.as_bytes());
        self.turns.range::<&TurnKey>(&first..=&last)?.map(|row| Ok(turn_of_key(row?.0.value()))).collect()
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

type Row<'a> = (AccessGuard<'a, &'static TurnKey>, AccessGuard<'a, &'static [u8]>);
