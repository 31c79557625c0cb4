//! Export and import of a session as a zip archive: the session and its turns as JSON lines, a WAV file for each
//! recording, and a manifest, which comes last because the archive is written in one pass.

mod directory;
mod export;
mod import;
mod read;

pub use export::ExportReport;
pub use import::{ImportOptions, ImportReport};

pub(super) use export::export;
pub(super) use import::{adopt_leftovers, import};

use crate::error::{Error, ErrorCode};
use crate::event::TurnId;
use crate::platform::MaybeSend;
use crate::store::record::AudioKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{Read, Seek, Write};

/// The format name in the manifest.
const FORMAT: &str = "tertulia-session";
/// Raised with every change that older readers cannot read, such as a new value of an enum.
const FORMAT_VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
const LINES: &str = "session.jsonl";
const AUDIO_FOLDER: &str = "audio/";

/// An archive to import: read in any order, more than once.
pub trait ArchiveSource: Read + Seek + MaybeSend {}

impl<T: Read + Seek + MaybeSend + ?Sized> ArchiveSource for T {}

/// The place that an archive is written to, from front to back.
pub trait ArchiveOutput: Write + MaybeSend {}

impl<T: Write + MaybeSend + ?Sized> ArchiveOutput for T {}

/// The manifest.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    format_version: u32,
    engine_version: String,
    /// Every other file.
    files: Vec<FileEntry>,
    /// Turns and recordings that were damaged in the store.
    turns_missing: u64,
    audio_missing: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileEntry {
    name: String,
    bytes: u64,
    /// In hexadecimal digits.
    sha256: String,
}

/// A line of [`LINES`]; fields of a newer version are skipped.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<S, T> {
    Session(S),
    Turn(TurnLine<T>),
}

#[derive(Serialize, Deserialize)]
struct TurnLine<T> {
    #[serde(flatten)]
    turn: T,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_audio_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_audio_file: Option<String>,
}

impl<T> TurnLine<T> {
    fn file(&self, kind: AudioKind) -> Option<&str> {
        match kind {
            AudioKind::User => self.user_audio_file.as_deref(),
            AudioKind::Reply => self.reply_audio_file.as_deref(),
        }
    }
}

/// The name of a recording in the archive, such as `audio/turn-7-user.wav`.
fn audio_name(turn: TurnId, kind: AudioKind) -> String {
    let whose = match kind {
        AudioKind::User => "user",
        AudioKind::Reply => "reply",
    };
    format!("{AUDIO_FOLDER}turn-{turn}-{whose}.wav")
}

/// Counts and hashes the bytes of a file.
#[derive(Default)]
struct Hasher {
    bytes: u64,
    sha256: Sha256,
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
    }

    fn finish(self, name: &str) -> FileEntry {
        let sha256 = self.sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        FileEntry { name: name.to_owned(), bytes: self.bytes, sha256 }
    }
}

fn archive_io(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::ArchiveIo, "the archive cannot be read or written").with_source(error)
}
