//! A session as data to take along.

use crate::event::TurnId;
use crate::store::record::{AudioKind, SessionRecord, StoredAudio, TurnRecord, Turns};
use serde::Serialize;

/// A session as data to take along: JSON lines, and a WAV file for each recording.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionExport {
    /// The session.
    pub session: SessionRecord,
    /// Its turns.
    pub turns: Turns,
    /// Their audio.
    pub audio: Vec<ExportedAudio>,
    /// How many recordings there should be besides, being damaged.
    pub audio_damaged: u64,
}

/// One recording as a WAV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedAudio {
    /// The turn.
    pub turn: TurnId,
    /// Whose audio.
    pub kind: AudioKind,
    /// A file name, unique in the session, such as `turn-7-user.wav`.
    pub file_name: String,
    /// The bytes of the file: mono, 16 bits.
    pub wav: Vec<u8>,
}

impl SessionExport {
    /// One JSON object a line: the session (`"type":"session"`), then its turns (`"type":"turn"`, where
    /// `user_audio_file` and `reply_audio_file` name the files of [`SessionExport::audio`]).
    pub fn json_lines(&self) -> String {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        enum Line<'a> {
            Session(&'a SessionRecord),
            Turn {
                #[serde(flatten)]
                turn: &'a TurnRecord,
                #[serde(skip_serializing_if = "Option::is_none")]
                user_audio_file: Option<&'a str>,
                #[serde(skip_serializing_if = "Option::is_none")]
                reply_audio_file: Option<&'a str>,
            },
        }
        let file = |turn: TurnId, kind: AudioKind| {
            let audio = self.audio.iter().find(|audio| audio.turn == turn && audio.kind == kind);
            audio.map(|audio| audio.file_name.as_str())
        };
        let turns = self.turns.turns.iter().map(|turn| Line::Turn {
            turn,
            user_audio_file: file(turn.turn, AudioKind::User),
            reply_audio_file: file(turn.turn, AudioKind::Reply),
        });
        let mut lines = String::new();
        for line in std::iter::once(Line::Session(&self.session)).chain(turns) {
            lines += &serde_json::to_string(&line).expect("records hold only strings, numbers and plain structs");
            lines.push('\n');
        }
        lines
    }
}

impl ExportedAudio {
    pub(super) fn new(turn: TurnId, kind: AudioKind, audio: &StoredAudio) -> Self {
        let whose = match kind {
            AudioKind::User => "user",
            AudioKind::Reply => "reply",
        };
        Self { turn, kind, file_name: format!("turn-{turn}-{whose}.wav"), wav: wav(audio) }
    }
}

/// A WAV file (RIFF, PCM, mono, 16 bits).
fn wav(audio: &StoredAudio) -> Vec<u8> {
    // The sizes in a WAV file have 32 bits; a recording is far from that, and a longer one would be cut in its header.
    let data_len = u32::try_from(audio.samples.len() * 2).unwrap_or(u32::MAX - 36);
    let mut wav = Vec::with_capacity(44 + audio.samples.len() * 2);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + data_len).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16u32.to_le_bytes());
    let (pcm, channels, block_len, bits) = (1u16, 1u16, 2u16, 16u16);
    wav.extend_from_slice(&pcm.to_le_bytes());
    wav.extend_from_slice(&channels.to_le_bytes());
    wav.extend_from_slice(&audio.rate.to_le_bytes());
    wav.extend_from_slice(&audio.rate.saturating_mul(2).to_le_bytes());
    wav.extend_from_slice(&block_len.to_le_bytes());
    wav.extend_from_slice(&bits.to_le_bytes());
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&data_len.to_le_bytes());
    wav.extend(audio.samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wav
}
