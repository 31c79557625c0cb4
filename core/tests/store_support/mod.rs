//! Helpers of the store's tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use tertulia::event::{InterruptReason, Metrics, Stage, Transcript, TurnOrigin, Word};
use tertulia::store::{AudioKind, SessionRecord, Store, StoreLocation, TurnRecord, TurnState, Write};
use tertulia::{ErrorCode, Result, SessionConfig, SessionId, TurnId};

pub(crate) const NOW_MS: u64 = 1_790_000_000_000;
pub(crate) const MINUTE_MS: u64 = 60_000;

/// How often a random test is repeated; `TERTULIA_TEST_EFFORT=20 cargo test` repeats it 20 times as often.
pub(crate) fn rounds(usual: u64) -> u64 {
    usual * effort("TERTULIA_TEST_EFFORT", 1)
}

pub(crate) fn config() -> SessionConfig {
    let mut config = SessionConfig::new("en".parse().unwrap(), "es-MX".parse().unwrap());
    config.vocabulary = vec!["tertulia".into()];
    config.lexicon.entry("es".parse().unwrap()).or_default().insert("xola".into(), "ˈʃola".into());
    config.persona.name = "Inés".into();
    config
}

/// The `n`th session of a test, created `n` minutes after [`NOW_MS`].
pub(crate) fn session(n: u64) -> SessionRecord {
    let created_ms = NOW_MS + n * MINUTE_MS;
    let id = SessionId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(n)));
    let mut session = SessionRecord::new(id, config(), created_ms);
    session.title = format!("session {n}");
    session
}

/// A finished spoken turn with everything in it, made of its number.
pub(crate) fn turn(session: SessionId, n: u64) -> TurnRecord {
    let mut turn = TurnRecord::new(session, TurnId(n), TurnOrigin::Utterance, NOW_MS + n * 1000);
    turn.ended_ms = Some(turn.started_ms + 900);
    turn.user_text = format!("¿Qué tal, número {n}?");
    let mut transcript = Transcript::from(turn.user_text.clone());
    transcript.language = Some("es".parse().unwrap());
    transcript.language_probability = 0.9 + n as f32 / 1e6;
    transcript.no_speech_probability = 0.01;
    transcript.average_log_probability = -0.25;
    transcript.words = vec![Word::new("¿Qué", 10..200, 0.99), Word::new("tal,", 200..410 + n, 0.5)];
    turn.transcript = Some(transcript);
    turn.reply_text = format!("Muy bien, gracias. ¿Y tú? ({n})");
    turn.state = match n % 4 {
        0 => TurnState::Failed { stage: Stage::Speak, code: ErrorCode::SynthesizerFailed },
        1 => TurnState::Finished,
        2 => TurnState::Interrupted { reason: InterruptReason::BargeIn },
        _ => TurnState::Interrupted { reason: InterruptReason::Cancel },
    };
    if n % 4 >= 2 {
        turn.heard_text = Some("Muy bien,".into());
        turn.heard_estimated = n % 4 == 3;
    }
    let metrics = turn.metrics.insert(Metrics::default());
    (metrics.transcript_ms, metrics.prompt_tokens) = (Some(n), 120);
    turn
}

/// The same turn while it was under way.
pub(crate) fn open_turn(session: SessionId, n: u64) -> TurnRecord {
    let whole = turn(session, n);
    let mut open = TurnRecord::new(session, TurnId(n), TurnOrigin::Utterance, whole.started_ms);
    open.user_text = whole.user_text;
    open.transcript = whole.transcript;
    open
}

/// Does the work on as many threads as there are processors: `work(worker, workers)`.
pub(crate) fn on_all_processors<T: Send>(work: impl Fn(u64, u64) -> T + Sync) -> Vec<T> {
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn({
                    let work = &work;
                    move || work(worker, workers)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// A number from the environment, by which a test can be made to last longer.
pub(crate) fn effort(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |count| count.parse().expect("a whole number"))
}

/// SplitMix64: the same choices for a seed everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Noise, always the same for a seed.
pub(crate) fn samples(seed: u64, len: usize) -> Vec<i16> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as i16
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn user_audio(turn: &TurnRecord, samples: Vec<i16>) -> Write {
    let (session, turn) = (turn.session, turn.turn);
    Write::PutAudio { session, turn, kind: AudioKind::User, rate: 16_000, samples }
}

pub(crate) fn reply_audio(turn: &TurnRecord, samples: Vec<i16>) -> Write {
    let (session, turn) = (turn.session, turn.turn);
    Write::PutAudio { session, turn, kind: AudioKind::Reply, rate: 24_000, samples }
}

pub(crate) fn memory() -> Store {
    Store::open(StoreLocation::Memory, NOW_MS).unwrap()
}

/// The error's code; a call that should fail and does not is a failure of the test.
pub(crate) fn code<T>(result: Result<T>) -> ErrorCode {
    match result {
        Ok(_) => panic!("the call should have failed"),
        Err(error) => error.code(),
    }
}

/// The acknowledged content of a store.
#[derive(Clone, Default)]
pub(crate) struct Expected {
    pub(crate) turns: BTreeMap<(SessionId, TurnId), TurnRecord>,
    pub(crate) audio: BTreeMap<(SessionId, TurnId, AudioKind), (u32, Vec<i16>)>,
}

impl Expected {
    /// Takes note of acknowledged writes.
    pub(crate) fn acknowledge(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::PutTurn(turn) => {
                    self.turns.insert((turn.session, turn.turn), turn.clone());
                }
                Write::PutAudio { session, turn, kind, rate, samples } => {
                    self.audio.insert((*session, *turn, *kind), (*rate, samples.clone()));
                }
                _ => {}
            }
        }
    }

    /// Fails unless everything acknowledged is there, as it was. A turn may have gone on since.
    pub(crate) fn assert_in(&self, store: &Store, context: &str) {
        for ((session, turn), expected) in &self.turns {
            let found = store.turn(*session, *turn).unwrap_or_else(|error| panic!("{context}: turn {turn}: {error}"));
            assert_eq!(found.user_text, expected.user_text, "{context}: turn {turn}");
            assert_eq!(found.transcript, expected.transcript, "{context}: turn {turn}");
            if expected.state != TurnState::Open {
                assert_eq!(found.state, expected.state, "{context}: turn {turn}");
                assert_eq!(found.reply_text, expected.reply_text, "{context}: turn {turn}");
            }
        }
        for ((session, turn, kind), (rate, samples)) in &self.audio {
            let found = store.audio(*session, *turn, *kind);
            let found = found.unwrap_or_else(|error| panic!("{context}: audio of turn {turn}: {error}"));
            assert_eq!(found.rate, *rate, "{context}");
            assert!(found.samples == *samples, "{context}: audio of turn {turn} differs");
        }
    }
}
