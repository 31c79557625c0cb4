//! Reader of an archive, which trusts nothing that the archive says of itself.

use super::directory::check_directory;
use super::{
    AUDIO_FOLDER, ArchiveSource, FORMAT, FORMAT_VERSION, FileEntry, Hasher, ImportOptions, LINES, Line, MANIFEST,
    Manifest, TurnLine, archive_io, audio_name,
};
use crate::error::{Error, ErrorCode, Result};
use crate::event::TurnId;
use crate::job::JobControl;
use crate::store::record::{AudioInfo, AudioKind, SessionRecord, TurnRecord, TurnState};
use crate::wav::{WAV_HEADER_LEN, wav_header};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

/// Bytes that are inflated in one piece.
const PIECE_BYTES: u64 = 1 << 20;
/// Bytes inflated at a time.
pub(super) const BLOCK_BYTES: usize = 1 << 16;
/// Inflated bytes up to which the compression ratio is not limited: silence compresses well.
const RATIO_FROM_BYTES: u64 = 64 << 20;
const MANIFEST_BYTES_PER_FILE: u64 = 512;
const NAME_BYTES_MAX: usize = 255;
/// The year 10000: later times would break sums.
const TIME_MS_MAX: u64 = 253_402_300_800_000;
/// The greatest turn number, with room for later turns.
const TURN_MAX: u64 = 1 << 48;

type ReadLine = Line<Box<SessionRecord>, Box<TurnRecord>>;

/// The contents of a verified archive.
pub(super) struct Contents {
    pub(super) session: SessionRecord,
    pub(super) turns: u64,
    /// By the names of their files.
    pub(super) recordings: BTreeMap<String, Recording>,
    pub(super) turns_missing: u64,
    pub(super) audio_missing: u64,
    lines: FileEntry,
    audio: Vec<FileEntry>,
}

/// A recording, as its turn describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recording {
    pub(super) turn: TurnId,
    pub(super) kind: AudioKind,
    pub(super) info: AudioInfo,
    /// The time from which its age counts.
    pub(super) at_ms: u64,
}

/// An open archive.
pub(super) struct Archive<'s> {
    zip: ZipArchive<BufReader<Watched<'s>>>,
    reader_failed: Arc<AtomicBool>,
    bytes: u64,
    /// The files, by name, and their places in the zip archive.
    files: BTreeMap<String, usize>,
    options: ImportOptions,
    control: &'s JobControl,
    /// Bytes that were inflated, and those of all files once.
    inflated: u64,
    total: u64,
}

impl<'s> Archive<'s> {
    /// Opens an archive, and checks the names in it.
    pub(super) fn open(
        source: &'s mut dyn ArchiveSource,
        options: &ImportOptions,
        control: &'s JobControl,
    ) -> Result<Self> {
        let bytes = source.seek(SeekFrom::End(0)).map_err(archive_io)?;
        check_directory(source, bytes, options)?;
        let reader_failed = Arc::<AtomicBool>::default();
        let watched = Watched { source, failed: reader_failed.clone() };
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = ZipArchive::with_config(config, BufReader::new(watched))
            .map_err(|error| failed(&reader_failed, "its directory cannot be read", error))?;
        let (files, options) = (BTreeMap::new(), options.clone());
        let mut archive = Archive { zip, reader_failed, bytes, files, options, control, inflated: 0, total: 0 };
        archive.check_names()?;
        Ok(archive)
    }

    fn check_names(&mut self) -> Result<()> {
        if self.zip.len() > self.options.entries_max {
            return Err(too_large("it has too many files"));
        }
        if self.zip.has_duplicate_names() {
            return Err(unsafe_path("two files have the same name"));
        }
        for index in 0..self.zip.len() {
            let entry = self
                .zip
                .by_index_data(index)
                .map_err(|error| damaged("its directory cannot be read").with_source(error))?;
            let name = checked_name(entry.name_raw())?;
            const TYPE: u32 = 0o170_000;
            const FILE: u32 = 0o100_000;
            const FOLDER: u32 = 0o040_000;
            if !matches!(entry.unix_mode().map_or(0, |mode| mode & TYPE), 0 | FILE | FOLDER) {
                return Err(unsafe_path("an entry is neither a file nor a folder"));
            }
            if !name.ends_with('/') {
                self.files.insert(name.to_owned(), index);
            } else if name != AUDIO_FOLDER {
                // Programs that pack a folder write it, too.
                return Err(damaged("there is a folder that does not belong there"));
            }
        }
        Ok(())
    }

    /// Reads all of it once, and checks it against the manifest.
    pub(super) async fn verify(&mut self) -> Result<Contents> {
        let mut meter = self.meter();
        let manifest = self.manifest(&mut meter).await?;
        let mut listed = BTreeMap::new();
        let mut total = 0u64;
        for file in manifest.files {
            total = total.saturating_add(file.bytes);
            if !self.files.contains_key(&file.name) {
                return Err(damaged("a file that the manifest lists is not there"));
            }
            if listed.insert(file.name.clone(), file).is_some() {
                return Err(damaged("the manifest lists a file twice"));
            }
        }
        if self.files.keys().any(|name| name != MANIFEST && !listed.contains_key(name)) {
            return Err(damaged("there is a file that the manifest does not list"));
        }
        if total > self.options.bytes_max {
            return Err(too_large("it holds too many bytes"));
        }
        self.total = total;
        let lines = listed.remove(LINES).ok_or_else(|| damaged("the session itself is missing"))?;

        let mut reader = LineChecks::default();
        self.for_each_line(&lines, &mut meter, |line| reader.add(line)).await?;
        let LineChecks { session, turns, recordings, .. } = reader;
        let session = session.ok_or_else(|| damaged("the session itself is missing"))?;
        if session.turns != turns {
            return Err(damaged("not as many turns as it says"));
        }
        let mut audio = Vec::with_capacity(recordings.len());
        for (name, recording) in &recordings {
            let file = listed.remove(name).ok_or_else(|| damaged("a recording is missing"))?;
            self.check_wav(&file, recording.info, &mut meter).await?;
            audio.push(file);
        }
        for file in listed.values() {
            if file.name.starts_with(AUDIO_FOLDER) {
                return Err(damaged("there is a recording of no turn"));
            }
            // A newer version may add files that this one does not need.
            self.read(file, &mut meter, |_| Ok(())).await?;
        }
        let (turns_missing, audio_missing) = (manifest.turns_missing, manifest.audio_missing);
        Ok(Contents { session, turns, recordings, turns_missing, audio_missing, lines, audio })
    }

    /// Iterates over the turns of a verified archive.
    pub(super) async fn turns(
        &mut self,
        contents: &Contents,
        mut each: impl FnMut(TurnRecord) -> Result<()>,
    ) -> Result<()> {
        let mut meter = self.meter();
        self.for_each_line(&contents.lines, &mut meter, |line| match line {
            Line::Session(_) => Ok(()),
            Line::Turn(line) => each(*line.turn),
        })
        .await
    }

    /// Iterates over the audio of a verified archive, of the recordings that are left of its contents: each in runs of
    /// little-endian samples that are `run_bytes` long except for the last.
    pub(super) async fn audio(
        &mut self,
        contents: &Contents,
        run_bytes: usize,
        mut each: impl FnMut(&Recording, u32, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut meter = self.meter();
        for file in &contents.audio {
            let Some(recording) = contents.recordings.get(&file.name) else { continue };
            let (mut header_left, mut runs, mut run) = (WAV_HEADER_LEN, 0, Vec::with_capacity(run_bytes));
            self.read(file, &mut meter, |bytes| {
                let (header, mut bytes) = bytes.split_at(header_left.min(bytes.len()));
                header_left -= header.len();
                while !bytes.is_empty() {
                    let (taken, left) = bytes.split_at((run_bytes - run.len()).min(bytes.len()));
                    run.extend_from_slice(taken);
                    bytes = left;
                    if run.len() == run_bytes {
                        each(recording, runs, &run)?;
                        runs += 1;
                        run.clear();
                    }
                }
                Ok(())
            })
            .await?;
            if !run.is_empty() {
                each(recording, runs, &run)?;
            }
        }
        Ok(())
    }

    async fn manifest(&mut self, meter: &mut Meter) -> Result<Manifest> {
        /// The fields of every version's manifest; the others are skipped, whatever they have become.
        #[derive(Deserialize)]
        struct Head {
            format: Option<String>,
            format_version: Option<u64>,
        }
        if !self.files.contains_key(MANIFEST) {
            return Err(Error::new(ErrorCode::ImportNotAnArchive, "the archive has no manifest"));
        }
        let bytes_max = BLOCK_BYTES as u64 + self.options.entries_max as u64 * MANIFEST_BYTES_PER_FILE;
        let mut json = Vec::new();
        self.inflate(MANIFEST, meter, |bytes| {
            if (json.len() + bytes.len()) as u64 > bytes_max {
                return Err(too_large("its manifest is too long"));
            }
            json.extend_from_slice(bytes);
            Ok(())
        })
        .await?;
        let not_json = |error: serde_json::Error| damaged("its manifest cannot be read").with_source(error);
        let head: Head = serde_json::from_slice(&json).map_err(not_json)?;
        if head.format.as_deref() != Some(FORMAT) {
            return Err(Error::new(ErrorCode::ImportNotAnArchive, "the archive holds no session"));
        }
        match head.format_version {
            Some(version) if version > u64::from(FORMAT_VERSION) => {
                let detail = format!("the archive is of version {version}, this reads up to {FORMAT_VERSION}");
                Err(Error::new(ErrorCode::ImportFromFuture, detail))
            }
            Some(1..) => serde_json::from_slice(&json).map_err(not_json),
            _ => Err(damaged("its manifest has no version")),
        }
    }

    async fn for_each_line(
        &mut self,
        file: &FileEntry,
        meter: &mut Meter,
        mut each: impl FnMut(ReadLine) -> Result<()>,
    ) -> Result<()> {
        let line_bytes_max = self.options.line_bytes_max;
        let (mut line, mut number) = (Vec::new(), 0u64);
        let mut parse = |line: &[u8]| {
            number += 1;
            // Without serde's error, which may quote the user.
            each(serde_json::from_slice(line).map_err(|_| damaged(format!("line {number} cannot be read")))?)
        };
        self.read(file, meter, |bytes| {
            for part in bytes.split_inclusive(|&byte| byte == b'\n') {
                if line.len() + part.len() > line_bytes_max {
                    return Err(too_large("it has too long a line"));
                }
                line.extend_from_slice(part);
                if line.ends_with(b"\n") {
                    parse(&line)?;
                    line.clear();
                }
            }
            Ok(())
        })
        .await?;
        if line.is_empty() { Ok(()) } else { parse(&line) }
    }

    async fn check_wav(&mut self, file: &FileEntry, info: AudioInfo, meter: &mut Meter) -> Result<()> {
        let samples_bytes = info.samples.checked_mul(2).and_then(|bytes| bytes.checked_add(WAV_HEADER_LEN as u64));
        if info.rate == 0 || samples_bytes != Some(file.bytes) {
            return Err(damaged("a recording is not as long as its turn says"));
        }
        let mut header = Vec::with_capacity(WAV_HEADER_LEN);
        self.read(file, meter, |bytes| {
            header.extend_from_slice(&bytes[..bytes.len().min(WAV_HEADER_LEN - header.len())]);
            Ok(())
        })
        .await?;
        if header == wav_header(info.rate, info.samples) {
            Ok(())
        } else {
            Err(damaged("a recording is no WAV file of its turn"))
        }
    }

    /// Reads a file, and checks it against the manifest.
    async fn read(
        &mut self,
        file: &FileEntry,
        meter: &mut Meter,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut hasher = Hasher::default();
        self.inflate(&file.name, meter, |bytes| {
            hasher.update(bytes);
            if hasher.bytes > file.bytes {
                return Err(damaged("a file is longer than the manifest says"));
            }
            each(bytes)
        })
        .await?;
        match hasher.finish(&file.name) == *file {
            true => Ok(()),
            false => Err(damaged("a file is not what the manifest says")),
        }
    }

    async fn inflate(
        &mut self,
        name: &str,
        meter: &mut Meter,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let index = *self.files.get(name).ok_or_else(|| damaged("a file is missing"))?;
        let reader = &self.reader_failed;
        let mut file = self.zip.by_index(index).map_err(|error| failed(reader, "a file cannot be read", error))?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match file.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(len) => {
                    meter.count(len)?;
                    each(&block[..len])?;
                    let pieces = self.inflated / PIECE_BYTES;
                    self.inflated += len as u64;
                    if self.inflated / PIECE_BYTES > pieces {
                        // All of it is read twice.
                        self.control.piece(self.inflated as f32 / (2 * self.total.max(1)) as f32).await?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(reader, "a file cannot be inflated", error)),
            }
        }
    }

    fn meter(&self) -> Meter {
        let ratio_bytes_max = self.bytes.saturating_mul(self.options.ratio_max).max(RATIO_FROM_BYTES);
        Meter { left: self.options.bytes_max.min(ratio_bytes_max) }
    }
}

/// The bytes that may still be inflated, whatever the archive says of its sizes.
struct Meter {
    left: u64,
}

impl Meter {
    fn count(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| too_large("it inflates to too many bytes"))?;
        Ok(())
    }
}

/// Checks of the lines, one by one.
#[derive(Default)]
struct LineChecks {
    session: Option<SessionRecord>,
    turns: u64,
    last: Option<TurnId>,
    recordings: BTreeMap<String, Recording>,
}

impl LineChecks {
    fn add(&mut self, line: ReadLine) -> Result<()> {
        match (line, self.session.take()) {
            (Line::Session(session), None) => {
                let times = [session.created_ms, session.updated_ms, session.ended_ms.unwrap_or(0)];
                if times.iter().any(|&at_ms| at_ms > TIME_MS_MAX) || session.next_turn > TURN_MAX {
                    return Err(damaged("a number of the session is out of range"));
                }
                let refused = |error| damaged("a setting of the session is out of range").with_source(error);
                session.config.check_ranges().map_err(refused)?;
                self.session = Some(*session);
                Ok(())
            }
            (Line::Turn(line), Some(session)) => {
                self.add_turn(&session, &line)?;
                self.session = Some(session);
                Ok(())
            }
            (Line::Session(_), Some(_)) => Err(damaged("there is a second session")),
            (Line::Turn(_), None) => Err(damaged("a turn comes before its session")),
        }
    }

    fn add_turn(&mut self, session: &SessionRecord, line: &TurnLine<Box<TurnRecord>>) -> Result<()> {
        let turn = &line.turn;
        let number = turn.turn;
        if turn.session != session.id || number.0 >= session.next_turn {
            return Err(damaged("a turn is not of this session"));
        }
        if self.last.is_some_and(|last| number <= last) {
            return Err(damaged("the turns are out of order"));
        }
        if [turn.retry_of, turn.corrects].into_iter().flatten().any(|earlier| earlier >= number) {
            return Err(damaged("a turn redoes a later one"));
        }
        if turn.started_ms > TIME_MS_MAX || turn.ended_ms.is_some_and(|at_ms| at_ms > TIME_MS_MAX) {
            return Err(damaged("a time of a turn is out of range"));
        }
        for kind in [AudioKind::User, AudioKind::Reply] {
            let name = audio_name(number, kind);
            match (turn.audio(kind), line.file(kind)) {
                (None, None) => {}
                (Some(info), Some(file)) if file == name => {
                    // A turn under way ends with the import, when its session was last seen to change.
                    let last_ms = if turn.state == TurnState::Open { session.updated_ms } else { 0 };
                    let at_ms = turn.ended_ms.unwrap_or(turn.started_ms).max(last_ms);
                    self.recordings.insert(name, Recording { turn: number, kind, info, at_ms });
                }
                _ => return Err(damaged("a turn and its recording do not agree")),
            }
        }
        self.last = Some(number);
        self.turns += 1;
        Ok(())
    }
}

/// Checks a name: a relative path that stays in its folder on every system.
fn checked_name(name: &[u8]) -> Result<&str> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Err(unsafe_path("a name is not UTF-8"));
    };
    if name.len() > NAME_BYTES_MAX || name.contains(|c: char| c.is_control() || matches!(c, '\\' | ':')) {
        return Err(unsafe_path("a name is too long, or has characters that mean something to a system"));
    }
    let path = name.strip_suffix('/').unwrap_or(name);
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(unsafe_path("a name leads out of the archive"));
    }
    Ok(name)
}

pub(super) fn damaged(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ImportDamaged, detail)
}

pub(super) fn too_large(detail: &str) -> Error {
    Error::new(ErrorCode::ImportTooLarge, detail)
}

fn unsafe_path(detail: &str) -> Error {
    Error::new(ErrorCode::ImportUnsafePath, detail)
}

/// The error of the host's reader, where it failed, else of the archive.
fn failed(reader: &AtomicBool, detail: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    if reader.load(Ordering::Relaxed) { archive_io(error) } else { damaged(detail).with_source(error) }
}

/// The host's reader, which notes that it failed.
struct Watched<'s> {
    source: &'s mut dyn ArchiveSource,
    failed: Arc<AtomicBool>,
}

impl Watched<'_> {
    fn note(&self, error: &io::Error) {
        // Kinds that an offset in a damaged archive causes.
        let of_archive = [ErrorKind::Interrupted, ErrorKind::InvalidInput, ErrorKind::UnexpectedEof];
        if !of_archive.contains(&error.kind()) {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.source.read(out).inspect_err(|error| self.note(error))
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to).inspect_err(|error| self.note(error))
    }
}
