//! Export of a session as an archive, written from front to back.

use super::{
    ArchiveOutput, FORMAT, FORMAT_VERSION, FileEntry, Hasher, LINES, Line, MANIFEST, Manifest, TurnLine, archive_io,
    audio_name,
};
use crate::error::{Error, ErrorCode, Result};
use crate::event::TurnId;
use crate::job::JobControl;
use crate::store::record::{AudioKind, SessionRecord, TurnRecord};
use crate::store::replace::Pin;
use crate::store::tables::{Snapshot, unless_damaged};
use crate::store::write::little_endian;
use crate::wav::wav_header;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

/// The records of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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

/// Turns whose text is written in one piece.
const LINES_OF_PIECE: usize = 50;

/// Samples that are written in one piece.
const PIECE_SAMPLES: usize = 1 << 20;

/// Writes the session of this snapshot. The database is not held while the host's writer takes its time.
pub(crate) async fn export(
    pin: &Pin<'_>,
    snapshot: &Snapshot,
    session: SessionRecord,
    out: &mut dyn ArchiveOutput,
    control: &JobControl,
) -> Result<ExportReport> {
    let numbers = pin.run(|_| snapshot.turn_numbers(session.id))?;
    let archive = Archive::new(out);
    let mut export = Export { pin, snapshot, session, archive, report: ExportReport::default() };
    let mut in_archive = BTreeSet::new();
    let recordings_share = 0.8 / numbers.len().max(1) as f32;
    for (done, &turn) in numbers.iter().enumerate() {
        control.piece(done as f32 * recordings_share).await?;
        export.recordings(turn, &mut in_archive, control).await?;
    }
    export.lines(&numbers, &in_archive, control).await?;
    export.finish()
}

/// An export being made.
struct Export<'a> {
    pin: &'a Pin<'a>,
    snapshot: &'a Snapshot,
    session: SessionRecord,
    archive: Archive<'a>,
    report: ExportReport,
}

impl Export<'_> {
    /// `None` for a damaged one.
    fn turn(&self, turn: TurnId) -> Result<Option<TurnRecord>> {
        self.pin.run(|_| self.snapshot.sound_turn(self.session.id, turn))
    }

    /// Writes the recordings of a turn.
    async fn recordings(
        &mut self,
        turn: TurnId,
        in_archive: &mut BTreeSet<(TurnId, AudioKind)>,
        control: &JobControl,
    ) -> Result<()> {
        let Some(record) = self.turn(turn)? else {
            self.report.turns_missing += 1;
            return Ok(());
        };
        self.report.turns += 1;
        for kind in [AudioKind::User, AudioKind::Reply].into_iter().filter(|&kind| record.audio(kind).is_some()) {
            let Some(audio) = self.pin.run(|_| unless_damaged(self.snapshot.audio_of(self.session.id, turn, kind)))?
            else {
                self.report.audio_missing += 1;
                continue;
            };
            self.archive.begin_file(AUDIO_LEVEL, &audio_name(turn, kind))?;
            self.archive.write(&wav_header(audio.rate, audio.samples.len() as u64))?;
            for samples in audio.samples.chunks(PIECE_SAMPLES) {
                self.archive.write(&little_endian(samples))?;
                control.piece(0.0).await?;
            }
            self.archive.end_file(&audio_name(turn, kind));
            in_archive.insert((turn, kind));
            self.report.audio += 1;
        }
        Ok(())
    }

    /// Writes the session and its turns.
    async fn lines(
        &mut self,
        numbers: &[TurnId],
        in_archive: &BTreeSet<(TurnId, AudioKind)>,
        control: &JobControl,
    ) -> Result<()> {
        // Turns whose rows are lost altogether.
        let found = self.report.turns + self.report.turns_missing;
        self.report.turns_missing += self.session.turns.saturating_sub(found);
        self.session.turns = self.report.turns;
        self.archive.begin_file(TEXT_LEVEL, LINES)?;
        write_line(&mut self.archive, &Line::<_, &TurnRecord>::Session(&self.session))?;
        for (done, &number) in numbers.iter().enumerate() {
            if done % LINES_OF_PIECE == 0 {
                control.piece(0.8 + 0.2 * done as f32 / numbers.len() as f32).await?;
            }
            let Some(mut turn) = self.turn(number)? else { continue };
            let file_of = |kind| in_archive.contains(&(number, kind)).then(|| audio_name(number, kind));
            let (user_audio_file, reply_audio_file) = (file_of(AudioKind::User), file_of(AudioKind::Reply));
            turn.user_audio = turn.user_audio.filter(|_| user_audio_file.is_some());
            turn.reply_audio = turn.reply_audio.filter(|_| reply_audio_file.is_some());
            let line = TurnLine { turn: &turn, user_audio_file, reply_audio_file };
            write_line(&mut self.archive, &Line::<&SessionRecord, _>::Turn(line))?;
        }
        self.archive.end_file(LINES);
        Ok(())
    }

    /// Writes the manifest and the end.
    fn finish(mut self) -> Result<ExportReport> {
        let manifest = Manifest {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            engine_version: env!("CARGO_PKG_VERSION").into(),
            files: std::mem::take(&mut self.archive.files),
            turns_missing: self.report.turns_missing,
            audio_missing: self.report.audio_missing,
        };
        self.archive.begin_file(TEXT_LEVEL, MANIFEST)?;
        write_line(&mut self.archive, &manifest)?;
        self.report.bytes = self.archive.finish()?;
        Ok(self.report)
    }
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
    fn new(out: &'o mut dyn ArchiveOutput) -> Self {
        let closed = Arc::<AtomicBool>::default();
        let zip = ZipWriter::new_stream(Sink { out, bytes: 0, closed: closed.clone() });
        Self { _closes: CloseOnDrop(closed), zip, files: Vec::new(), hasher: Hasher::default() }
    }

    fn begin_file(&mut self, level: i64, name: &str) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(level))
            .unix_permissions(0o644);
        self.zip.start_file(name, options).map_err(archive_io)
    }

    fn end_file(&mut self, name: &str) {
        self.files.push(std::mem::take(&mut self.hasher).finish(name));
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
struct CloseOnDrop(Arc<AtomicBool>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The host's writer, to which nothing more is written once it failed or the sink was closed.
struct Sink<'o> {
    out: &'o mut dyn ArchiveOutput,
    bytes: u64,
    closed: Arc<AtomicBool>,
}

impl Sink<'_> {
    fn unless_closed<T>(&mut self, closed: T, work: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(closed);
        }
        work(&mut self.out).inspect_err(|error| {
            self.closed.store(error.kind() != io::ErrorKind::Interrupted, Ordering::Relaxed);
        })
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
