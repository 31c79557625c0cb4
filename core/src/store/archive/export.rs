//! Export of a session as an archive, written from front to back.

use super::{
    FORMAT, FORMAT_VERSION, FileEntry, Hasher, LINES, Line, MANIFEST, Manifest, TurnLine, archive_io, audio_name,
};
use crate::error::{Error, ErrorCode, Result};
use crate::event::SessionId;
use crate::store::db::Db;
use crate::store::record::{AudioKind, SessionRecord, StoredAudio, TurnRecord};
use crate::store::tables::{Snapshot, unless_damaged};
use crate::store::write::little_endian;
use crate::wav::wav_header;
use serde::Serialize;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::rc::Rc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

/// The records of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Turns in the archive.
    pub turns: u64,
    /// Recordings in the archive.
    pub audio: u64,
    /// Damaged turns, which are left out.
    pub turns_missing: u64,
    /// Damaged recordings, which are left out.
    pub audio_missing: u64,
    /// The archive's length.
    pub bytes: u64,
}

/// The fastest level; speech compresses little better at a slower one.
const AUDIO_LEVEL: i64 = 1;
const TEXT_LEVEL: i64 = 6;

/// Writes the session of this snapshot.
pub(crate) fn export(
    db: &Db,
    snapshot: &Snapshot,
    mut session: SessionRecord,
    out: &mut dyn Write,
) -> Result<ExportReport> {
    let id = session.id;
    let mut report = ExportReport::default();
    let mut archive = Archive::new(out);

    let mut in_archive = BTreeSet::new();
    let turns_counted = session.turns;
    for_each_turn(db, snapshot, id, |turn| {
        let Some(turn) = turn else {
            report.turns_missing += 1;
            return Ok(());
        };
        report.turns += 1;
        for kind in [AudioKind::User, AudioKind::Reply] {
            if turn.audio(kind).is_none() {
                continue;
            }
            match db.run(|_| unless_damaged(snapshot.audio_of(id, turn.turn, kind)))? {
                Some(audio) => {
                    archive.file(&audio_name(turn.turn, kind), AUDIO_LEVEL, |file| write_wav(file, &audio))?;
                    in_archive.insert((turn.turn, kind));
                    report.audio += 1;
                }
                None => report.audio_missing += 1,
            }
        }
        Ok(())
    })?;
    // Turns whose rows are lost altogether.
    report.turns_missing += turns_counted.saturating_sub(report.turns + report.turns_missing);

    session.turns = report.turns;
    archive.file(LINES, TEXT_LEVEL, |file| {
        write_line(file, &Line::<_, &TurnRecord>::Session(&session))?;
        for_each_turn(db, snapshot, id, |turn| {
            let Some(mut turn) = turn else { return Ok(()) };
            let file_of = |kind| in_archive.contains(&(turn.turn, kind)).then(|| audio_name(turn.turn, kind));
            let (user_audio_file, reply_audio_file) = (file_of(AudioKind::User), file_of(AudioKind::Reply));
            turn.user_audio = turn.user_audio.filter(|_| user_audio_file.is_some());
            turn.reply_audio = turn.reply_audio.filter(|_| reply_audio_file.is_some());
            write_line(
                file,
                &Line::<&SessionRecord, _>::Turn(TurnLine { turn: &turn, user_audio_file, reply_audio_file }),
            )
        })
    })?;

    let manifest = Manifest {
        format: FORMAT.into(),
        format_version: FORMAT_VERSION,
        engine_version: env!("CARGO_PKG_VERSION").into(),
        files: std::mem::take(&mut archive.files),
        turns_missing: report.turns_missing,
        audio_missing: report.audio_missing,
    };
    archive.file(MANIFEST, TEXT_LEVEL, |file| write_line(file, &manifest))?;
    report.bytes = archive.finish()?;
    Ok(report)
}

/// Iterates over the turns in order; `None` for a damaged one. The database is not held while the host's writer takes
/// its time.
fn for_each_turn(
    db: &Db,
    snapshot: &Snapshot,
    id: SessionId,
    mut each: impl FnMut(Option<TurnRecord>) -> Result<()>,
) -> Result<()> {
    let numbers = db.run(|_| snapshot.turn_numbers(id))?;
    numbers.into_iter().try_for_each(|turn| each(db.run(|_| snapshot.sound_turn(id, turn))?))
}

fn write_wav(file: &mut Archive<'_>, audio: &StoredAudio) -> Result<()> {
    file.write(&wav_header(audio.rate, audio.samples.len() as u64))?;
    file.write(&little_endian(&audio.samples))
}

fn write_line(file: &mut Archive<'_>, line: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(line)
        .map_err(|source| Error::new(ErrorCode::Internal, "a record has no JSON form").with_source(source))?;
    line.push(b'\n');
    file.write(&line)
}

/// The archive being written.
struct Archive<'o> {
    /// Dropped before the zip writer, which on drop writes the end of an archive: a failed one must have none.
    _closes: CloseOnDrop,
    zip: ZipWriter<StreamWriter<Sink<'o>>>,
    files: Vec<FileEntry>,
    /// Of the file being written.
    hasher: Hasher,
}

impl<'o> Archive<'o> {
    fn new(out: &'o mut dyn Write) -> Self {
        let closed = Rc::<Cell<bool>>::default();
        let zip = ZipWriter::new_stream(Sink { out, bytes: 0, closed: closed.clone() });
        Self { _closes: CloseOnDrop(closed), zip, files: Vec::new(), hasher: Hasher::default() }
    }

    fn file(&mut self, name: &str, level: i64, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(level))
            .unix_permissions(0o644);
        self.zip.start_file(name, options).map_err(archive_io)?;
        write(self)?;
        self.files.push(std::mem::take(&mut self.hasher).finish(name));
        Ok(())
    }

    /// Writes bytes of a file.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.zip.write_all(bytes).map_err(archive_io)
    }

    /// Writes the end of the archive; returns its length in bytes.
    fn finish(self) -> Result<u64> {
        let mut sink = self.zip.finish().map_err(archive_io)?.into_inner();
        sink.flush().map_err(archive_io)?;
        Ok(sink.bytes)
    }
}

/// Closes the sink of an archive.
struct CloseOnDrop(Rc<Cell<bool>>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// The host's writer, to which nothing more is written once it failed or the sink was closed.
struct Sink<'o> {
    out: &'o mut dyn Write,
    bytes: u64,
    closed: Rc<Cell<bool>>,
}

impl Sink<'_> {
    fn unless_closed<T>(&mut self, closed: T, work: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        if self.closed.get() {
            return Ok(closed);
        }
        work(self.out).inspect_err(|error| self.closed.set(error.kind() != io::ErrorKind::Interrupted))
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.unless_closed(bytes.len(), |out| out.write(bytes))?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), |out| out.flush())
    }
}
