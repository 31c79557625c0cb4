//! Import of an archive. Its rows stay invisible until all of them are there: the session is marked in
//! [`IMPORTS`], and a mark that a crash left becomes a tombstone.

use super::read::{Archive, Contents, Recording};
use super::{ArchiveSource, audio_name};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{InterruptReason, SessionId};
use crate::job::JobControl;
use crate::store::db::Db;
use crate::store::fault::Fault;
use crate::store::payload::{SessionPayload, Stored};
use crate::store::record::{AudioKind, TurnRecord, TurnState};
use crate::store::retention::{audio_rule, expired, may_write};
use crate::store::schema::{CHUNK_BYTES, IMPORTS, SessionKey, blob_key, session_key};
use crate::store::sweep;
use crate::store::tables::{Tables, write};
use redb::ReadableTable;
use serde::Serialize;

/// The options and limits of an import. The limits guard against archives that were made to do harm; they count bytes
/// that are inflated, whatever the archive says.
///
/// ```
/// use tertulia::store::ImportOptions;
/// let options = ImportOptions { bytes_max: 100 << 20, ..ImportOptions::default() };
/// assert_eq!(options.new_id, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// The id that the session gets; `None` for the one it had.
    pub new_id: Option<SessionId>,
    /// Bytes that the archive may inflate to; 2 GiB by default, half a day of talk.
    pub bytes_max: u64,
    /// How many times its own length the archive may inflate to, from 64 MiB on; 200 by default.
    pub ratio_max: u64,
    /// Files that the archive may have; 20,000 by default.
    pub entries_max: usize,
    /// Bytes that one turn may take without its audio; 4 MiB by default.
    pub line_bytes_max: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { new_id: None, bytes_max: 2 << 30, ratio_max: 200, entries_max: 20_000, line_bytes_max: 4 << 20 }
    }
}

/// The records of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The session.
    pub session: SessionId,
    /// Its turns.
    pub turns: u64,
    /// Its recordings.
    pub audio: u64,
    /// Recordings left out by the session's retention.
    pub audio_forbidden: u64,
    /// Turns whose texts were left out by the session's retention.
    pub texts_forbidden: u64,
    /// Turns that were open at the export; they are interrupted, as by a crash.
    pub turns_closed: u64,
    /// Turns that were damaged at the export.
    pub turns_missing: u64,
    /// Recordings that were damaged at the export.
    pub audio_missing: u64,
}

/// About the bytes that one transaction writes.
const BATCH_BYTES: usize = 1 << 20;
/// About the cost of a row besides its bytes.
const ROW_BYTES: usize = 512;

/// Imports a session, all of it or nothing visible. One import runs at a time.
pub(crate) async fn import(
    db: &Db,
    source: &mut dyn ArchiveSource,
    options: &ImportOptions,
    now_ms: u64,
    control: &JobControl,
) -> Result<ImportReport> {
    let mut archive = Archive::open(source, options, control)?;
    let mut contents = archive.verify().await?;
    let id = options.new_id.unwrap_or(contents.session.id);
    let audio_found = contents.recordings.len();
    let (retention, ended) = (contents.session.config.retention, contents.session.ended_ms.is_some());
    contents
        .recordings
        .retain(|_, recording| !expired(audio_rule(&retention, recording.kind), recording.at_ms, ended, now_ms));
    let report = ImportReport {
        session: id,
        turns: contents.turns,
        audio: contents.recordings.len() as u64,
        audio_forbidden: (audio_found - contents.recordings.len()) as u64,
        texts_forbidden: 0,
        turns_closed: 0,
        turns_missing: contents.turns_missing,
        audio_missing: contents.audio_missing,
    };
    let (contents, text_from, batch, batch_bytes) = (&contents, u64::MAX, Vec::new(), 0);
    let import = Import { db, contents, id, now_ms, text_from, report, batch, batch_bytes };
    let mut unfinished = Unfinished(Some((db, id)));
    db.run(|open| write(open, |tables| tables.begin_import(id)))?;
    let report = import.run(&mut archive).await?;
    unfinished.0 = None;
    Ok(report)
}

/// An import that is given up where it is dropped.
struct Unfinished<'d>(Option<(&'d Db, SessionId)>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some((db, id)) = self.0
            && let Err(error) = give_up(db, id)
        {
            tracing::warn!(error = error.chain(), "rows of a failed import are still to be removed");
        }
    }
}

/// Turns the marks that imports left into tombstones. Not during an import.
pub(crate) fn adopt_leftovers(db: &Db) -> Result<()> {
    db.run(|open| {
        let imports = match open.begin_read()?.open_table(IMPORTS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            imports => imports?,
        };
        let ids = imports.iter()?.map(|row| Ok(*row?.0.value())).collect::<Result<Vec<_>, Fault>>()?;
        if ids.is_empty() {
            return Ok(());
        }
        write(open, |tables| ids.iter().try_for_each(|key| tables.abandon_import(key)))
    })
}

fn give_up(db: &Db, id: SessionId) -> Result<()> {
    db.run(|open| write(open, |tables| tables.abandon_import(&session_key(id))))?;
    sweep::purge(db)
}

/// An import being made.
struct Import<'a> {
    db: &'a Db,
    contents: &'a Contents,
    id: SessionId,
    now_ms: u64,
    text_from: u64,
    report: ImportReport,
    batch: Vec<Row>,
    batch_bytes: usize,
}

/// A row written before the session is visible.
enum Row {
    Turn(Box<TurnRecord>),
    Chunk { recording: Recording, chunk: u32, bytes: Vec<u8> },
}

impl Import<'_> {
    async fn run(mut self, archive: &mut Archive<'_>) -> Result<ImportReport> {
        archive.turns(self.contents, |turn| self.turn(turn)).await?;
        archive
            .audio(self.contents, CHUNK_BYTES, |recording, chunk, bytes| {
                self.push(Row::Chunk { recording: *recording, chunk, bytes: bytes.to_vec() }, bytes.len())
            })
            .await?;
        self.flush()?;
        self.finish()?;
        Ok(self.report)
    }

    fn turn(&mut self, turn: TurnRecord) -> Result<()> {
        let mut turn = turn.with_instructions_apart();
        let session = &self.contents.session;
        turn.session = self.id;
        if turn.state == TurnState::Open {
            turn.state = TurnState::Interrupted { reason: InterruptReason::Crash };
            turn.ended_ms = Some(turn.started_ms.max(session.updated_ms));
            self.report.turns_closed += 1;
        }
        let rule = session.config.retention.text;
        if expired(rule, turn.ended_ms.unwrap_or(turn.started_ms), session.ended_ms.is_some(), self.now_ms) {
            self.report.texts_forbidden += u64::from(!turn.text_gone);
            turn.text_gone = true;
        }
        if turn.text_gone {
            turn.clear_text();
        } else {
            self.text_from = self.text_from.min(turn.turn.0);
        }
        for kind in [AudioKind::User, AudioKind::Reply] {
            let recording = self.contents.recordings.get(&audio_name(turn.turn, kind));
            turn.set_audio(kind, recording.map(|recording| recording.info));
        }
        let transcript = turn.transcript.as_ref().map_or(0, |transcript| transcript.words.len() * 64);
        let bytes = turn.user_text.len() + turn.instructions.len() + turn.reply_text.len() + transcript;
        self.push(Row::Turn(Box::new(turn)), bytes)
    }

    fn push(&mut self, row: Row, bytes: usize) -> Result<()> {
        self.batch.push(row);
        self.batch_bytes += bytes + ROW_BYTES;
        if self.batch_bytes < BATCH_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let (id, rows) = (self.id, std::mem::take(&mut self.batch));
        self.batch_bytes = 0;
        self.db.run(|open| {
            write(open, |tables| {
                tables.check_import(id)?;
                for row in &rows {
                    match row {
                        Row::Turn(turn) => {
                            tables.save_turn(turn)?;
                            for kind in [AudioKind::User, AudioKind::Reply] {
                                if let Some(info) = turn.audio(kind) {
                                    tables.put_blob_ref(&blob_key(id, turn.turn, kind), info, turn.started_ms)?;
                                }
                            }
                        }
                        Row::Chunk { recording, chunk, bytes } => {
                            tables.put_chunk(&blob_key(id, recording.turn, recording.kind), *chunk, bytes)?;
                        }
                    }
                }
                Ok(())
            })
        })
    }

    /// Makes the session visible.
    fn finish(&self) -> Result<()> {
        let (id, session) = (self.id, &self.contents.session);
        let text_allowed = may_write(session.config.retention.text, session.ended_ms.is_some());
        let title_stays = text_allowed && self.report.texts_forbidden == 0;
        let title = if title_stays { session.title.clone() } else { String::new() };
        let payload = SessionPayload {
            title,
            summary: session.summary.as_ref().filter(|_| title_stays).map(Stored::form),
            turns: self.contents.turns,
            text_from: self.text_from.min(session.next_turn),
            ..SessionPayload::from(session)
        };
        self.db.run(|open| {
            write(open, |tables| {
                tables.check_import(id)?;
                tables.imports()?.remove(&session_key(id))?;
                tables.save_session(id, None, &payload)
            })
        })
    }
}

impl Tables<'_> {
    fn begin_import(&mut self, id: SessionId) -> Result<(), Fault> {
        let key = session_key(id);
        // A session that is listed without a record is damaged.
        if self.sessions.get(&key)?.is_some() || !self.listings(id)?.is_empty() {
            return Err(exists(id).into());
        }
        self.forget_leftovers(id)?;
        self.imports()?.insert(&key, ())?;
        Ok(())
    }

    /// Turns the mark of an import into a tombstone. Without a mark the rows are of another session.
    fn abandon_import(&mut self, key: &SessionKey) -> Result<(), Fault> {
        if self.imports()?.remove(key)?.is_some() {
            self.tombstones.insert(&key[..], ())?;
        }
        Ok(())
    }

    /// Checks that no session was created with its id meanwhile, which removed its rows.
    fn check_import(&self, id: SessionId) -> Result<(), Fault> {
        if self.imports()?.get(&session_key(id))?.is_some() { Ok(()) } else { Err(exists(id).into()) }
    }
}

fn exists(id: SessionId) -> Error {
    Error::new(ErrorCode::SessionExists, format!("session {id} exists already"))
}
