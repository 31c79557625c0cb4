//! The work that the store's benches have in common, and who does it: the store, a bare file, and SQLite.

#![allow(dead_code, reason = "each bench uses its own part")]

use rusqlite::{Connection, params};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tertulia::event::{Metrics, Transcript, TurnOrigin, Word};
use tertulia::store::{AudioKind, SessionRecord, Store, StoreLocation, TurnRecord, TurnState, Write};
use tertulia::{Keep, SessionConfig, SessionId, TurnId};

pub(crate) const NOW_MS: u64 = 1_790_000_000_000;
/// 200 KB of sound: 6.25 s at 16 kHz.
pub(crate) const SAMPLES: usize = 100_000;

pub(crate) fn config() -> SessionConfig {
    let mut config = SessionConfig::new("en".parse().expect("a tag"), "es".parse().expect("a tag"));
    (config.retention.user_audio, config.retention.reply_audio) = (Keep::Forever, Keep::Forever);
    config
}

/// The `n`th session.
pub(crate) fn session(n: u64) -> SessionRecord {
    let id = SessionId::new(NOW_MS + n);
    let mut session = SessionRecord::new(id, config(), NOW_MS + n);
    session.title = format!("Conversación {n}");
    session
}

/// A finished spoken turn of ordinary length.
pub(crate) fn turn(session: SessionId, n: u64) -> TurnRecord {
    let mut turn = TurnRecord::new(session, TurnId(n), TurnOrigin::Utterance, NOW_MS + n * 10_000);
    turn.ended_ms = Some(turn.started_ms + 8_000);
    turn.user_text = format!("Ayer fui al mercado con mi hermana y compramos {n} manzanas.");
    let words = turn.user_text.split(' ').enumerate();
    let mut transcript = Transcript::from(turn.user_text.clone());
    transcript.language = Some("es".parse().expect("a tag"));
    transcript.language_probability = 0.98;
    transcript.no_speech_probability = 0.01;
    transcript.average_log_probability = -0.2;
    transcript.words = words.map(|(at, word)| Word::new(word, at as u64 * 400..at as u64 * 400 + 350, 0.9)).collect();
    turn.transcript = Some(transcript);
    turn.reply_text = format!("¡Qué bien! ¿Y qué hicieron con las {n} manzanas? ¿Una tarta, quizás?");
    turn.state = TurnState::Finished;
    let metrics = turn.metrics.insert(Metrics::default());
    (metrics.transcript_ms, metrics.prompt_tokens) = (Some(310), 420);
    turn
}

/// Noise, which no storage can make smaller.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<i16> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as i16
    };
    (0..len).map(|_| next()).collect()
}

/// The changes of one turn with its audio.
pub(crate) fn spoken(turn: &TurnRecord, samples: Vec<i16>) -> [Write; 2] {
    let audio =
        Write::PutAudio { session: turn.session, turn: turn.turn, kind: AudioKind::User, rate: 16_000, samples };
    [Write::PutTurn(turn.clone()), audio]
}

pub(crate) fn open(path: &Path) -> Store {
    Store::open(StoreLocation::File(path.into()), NOW_MS).expect("a store")
}

/// The least that durable can cost: the same bytes at the end of a file, and one sync.
pub(crate) struct Bare(File);

impl Bare {
    pub(crate) fn create(path: &Path) -> Bare {
        Bare(File::create(path).expect("a file"))
    }

    pub(crate) fn put(&mut self, turn: &TurnRecord, samples: &[i16]) {
        let mut bytes = encoded(turn);
        bytes.extend_from_slice(&to_bytes(samples));
        self.0.write_all(&bytes).expect("room");
        self.0.sync_data().expect("a disk");
    }
}

/// SQLite with the same data in the same tables, an audio being one row.
pub(crate) struct Sqlite {
    connection: Connection,
    path: PathBuf,
}

impl Sqlite {
    pub(crate) fn create(path: &Path) -> Sqlite {
        let connection = Connection::open(path).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 CREATE TABLE sessions (id BLOB PRIMARY KEY, updated_ms INTEGER, record BLOB) WITHOUT ROWID;
                 CREATE INDEX by_updated ON sessions (updated_ms);
                 CREATE TABLE turns (session BLOB, turn INTEGER, record BLOB, PRIMARY KEY (session, turn)) WITHOUT ROWID;
                 CREATE TABLE open_turns (session BLOB, turn INTEGER, PRIMARY KEY (session, turn)) WITHOUT ROWID;
                 CREATE TABLE audio (session BLOB, turn INTEGER, kind INTEGER, rate INTEGER, samples BLOB,
                     PRIMARY KEY (session, turn, kind));",
            )
            .expect("tables");
        Sqlite { connection, path: path.into() }
    }

    pub(crate) fn put_session(&mut self, session: &SessionRecord) {
        let record = rmp_serde::to_vec_named(session).expect("a record");
        let sql = "INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3)";
        let mut statement = self.connection.prepare_cached(sql).expect("SQL");
        let id = session.id.0.as_bytes().as_slice();
        statement.execute(params![id, session.updated_ms as i64, record]).expect("room");
    }

    pub(crate) fn put(&mut self, turn: &TurnRecord, samples: &[i16]) {
        let (id, number) = (turn.session.0.as_bytes().as_slice(), turn.turn.0 as i64);
        let transaction = self.connection.transaction().expect("a transaction");
        let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            transaction.prepare_cached(sql).expect("SQL").execute(values).expect("room");
        };
        run("UPDATE sessions SET updated_ms = ?2 WHERE id = ?1", params![id, turn.ended_ms.map(|ms| ms as i64)]);
        run("INSERT OR REPLACE INTO turns VALUES (?1, ?2, ?3)", params![id, number, encoded(turn)]);
        run("DELETE FROM open_turns WHERE session = ?1 AND turn = ?2", params![id, number]);
        let samples = to_bytes(samples);
        run("INSERT OR REPLACE INTO audio VALUES (?1, ?2, 0, 16000, ?3)", params![id, number, samples]);
        transaction.commit().expect("a disk");
    }

    /// Closes it, which empties the log into the file, and gives the paths that are left.
    pub(crate) fn close(self) -> Vec<PathBuf> {
        let paths = self.paths();
        self.connection.close().map_err(|(_, error)| error).expect("a disk");
        paths
    }

    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let with = |ending: &str| PathBuf::from(format!("{}{ending}", self.path.display()));
        vec![self.path.clone(), with("-wal")]
    }
}

fn encoded(turn: &TurnRecord) -> Vec<u8> {
    rmp_serde::to_vec_named(turn).expect("a record")
}

fn to_bytes(samples: &[i16]) -> Vec<u8> {
    let mut bytes = vec![0; samples.len() * 2];
    for (pair, sample) in bytes.chunks_exact_mut(2).zip(samples) {
        pair.copy_from_slice(&sample.to_le_bytes());
    }
    bytes
}
