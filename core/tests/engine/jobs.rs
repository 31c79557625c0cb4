//! Jobs: work without a session, in pieces, which can be cancelled and end with the engine. `cargo test -p tertulia --release
//! --test engine jobs -- --show-output` prints how long the pieces take.

#![allow(clippy::print_stdout, reason = "the figures are for the reader")]

use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tertulia::backend::{
    Backends, MaybeSend, Model, RecognitionRequest, RecognitionStep, Recognizer, StepSender, Steps, steps_channel,
};
use tertulia::event::TurnOrigin;
use tertulia::store::{AudioKind, ImportOptions, Store, StoreKey, StoreLocation, TurnRecord, TurnState, Write};
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{
    Engine, EngineBuilder, ErrorCode, Job, LanguageTag, Result, SessionConfig, SessionEngine, SessionId, TurnId,
};

const SOON: Duration = Duration::from_secs(10);
/// Turns of the long session, with half a minute of audio each that does not compress.
const TURNS: u64 = 20;

fn engine(path: &Path) -> Engine {
    let backends = Scripted::new().backends();
    EngineBuilder::new().backends(backends).store(StoreLocation::File(path.to_path_buf())).build().unwrap()
}

/// An engine on a file that holds one long session.
fn with_long_session() -> (tempfile::TempDir, PathBuf, Engine, SessionId) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let engine = engine(&path);
    let config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    let id = engine.create_session(config).unwrap().id();
    assert!(engine.shut_down(SOON).unwrap().is_empty());
    let store = Store::open(StoreLocation::File(path.clone()), 0).unwrap();
    for number in 1..=TURNS {
        let mut turn = TurnRecord::new(id, TurnId(number), TurnOrigin::Utterance, number * 1000);
        turn.user_text = format!("Turno {number}.");
        (turn.ended_ms, turn.state) = (Some(number * 1000 + 500), TurnState::Finished);
        let samples: Vec<i16> = noise_16k(30_000).iter().map(|sample| (sample * 30_000.0) as i16).collect();
        let audio = Write::PutAudio { session: id, turn: TurnId(number), kind: AudioKind::User, rate: 16_000, samples };
        store.apply(&[Write::PutTurn(turn), audio]).unwrap();
    }
    drop(store);
    let engine = self::engine(&path);
    (folder, path, engine, id)
}

/// Polls the job once.
fn piece<T>(job: &mut Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    job.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a job piece by piece, and does something after each; how long the pieces took.
fn pieces<'a, T: MaybeSend + 'a>(job: Job<'a, T>, mut between: impl FnMut(usize)) -> (Result<T>, Vec<Duration>) {
    let (control, mut last) = (job.control(), 0.0);
    let (mut job, mut durations) = (pin!(job.result()), Vec::new());
    loop {
        let begun = Instant::now();
        let polled = piece(&mut job);
        durations.push(begun.elapsed());
        let progress = control.progress();
        assert!(progress >= last && progress <= 1.0, "{last}, then {progress}");
        last = progress;
        if let Poll::Ready(result) = polled {
            return (result, durations);
        }
        between(durations.len());
    }
}

/// Checks that a job came to its end in that many pieces, and prints how long they took.
#[track_caller]
fn assert_pieces(name: &str, mut durations: Vec<Duration>, pieces_min: usize) {
    durations.sort();
    let [median, late] = [50, 99].map(|percent| durations[durations.len() * percent / 100]);
    println!("{name}: {} pieces: median {median:?}, p99 {late:?}, longest {:?}", durations.len(), durations.last());
    assert!(durations.len() >= pieces_min, "{name}: {} pieces", durations.len());
}

fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().expect("an error").code()
}

#[test]
fn jobs_of_the_store_come_in_short_pieces_between_which_other_calls_run() {
    let (folder, _, engine, id) = with_long_session();
    let other_calls = |_| assert!(!engine.sessions(&Default::default(), None, 9).unwrap().sessions.is_empty());
    let (verified, durations) = pieces(engine.verify_store(), other_calls);
    assert_eq!(verified.unwrap().recordings, TURNS);
    assert_pieces("verify", durations, 8);

    let mut archive = Vec::new();
    let (exported, durations) = pieces(engine.export_session_to(id, Box::new(&mut archive)), other_calls);
    assert_eq!(exported.unwrap().audio, TURNS);
    assert_pieces("export", durations, 20);

    let copy = SessionId(uuid::Uuid::from_u128(7));
    let options = ImportOptions { new_id: Some(copy), ..ImportOptions::default() };
    let source = std::io::Cursor::new(&archive);
    let (imported, durations) = pieces(engine.import_session(Box::new(source), options), other_calls);
    assert_eq!(imported.unwrap().turns, TURNS);
    assert_pieces("import", durations, 20);
    engine.delete_session(copy).unwrap();

    let (compacted, durations) = pieces(engine.compact_store(), |_| ());
    compacted.unwrap();
    assert_pieces("compaction", durations, 12);
    let (rotated, durations) = pieces(engine.rotate_store_key(Some(StoreKey::new([1; 32]))).unwrap(), |_| ());
    rotated.unwrap();
    assert_pieces("rotation", durations, 12);
    assert!(engine.verify_store().wait().unwrap().is_sound());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no copy is left");
}

#[test]
fn what_is_written_during_a_compaction_is_in_the_copy() {
    let (_folder, path, engine, id) = with_long_session();
    let config = || SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    let mut created = Vec::new();
    // One at every piece: at last everything else has to wait.
    let (compacted, _) =
        pieces(engine.compact_store(), |_| created.push(engine.create_session(config()).unwrap().id()));
    compacted.unwrap();
    assert!(!created.is_empty());
    for id in created {
        engine.session(id).unwrap();
    }
    assert_eq!(engine.turns(id, None, 100).unwrap().turns.len() as u64, TURNS);
    assert!(engine.shut_down(SOON).unwrap().is_empty());
    assert!(Store::open(StoreLocation::File(path), 0).unwrap().verify().wait().unwrap().is_sound());
}

#[test]
fn a_cancelled_job_leaves_the_store_as_it_was() {
    let (folder, _, engine, id) = with_long_session();
    let mut archive = Vec::new();
    engine.export_session_to(id, Box::new(&mut archive)).wait().unwrap();
    let options = ImportOptions { new_id: Some(SessionId(uuid::Uuid::from_u128(7))), ..ImportOptions::default() };
    let import = engine.import_session(Box::new(std::io::Cursor::new(archive)), options);
    let jobs: [Job<'_, ()>; 2] =
        [engine.compact_store(), engine.rotate_store_key(Some(StoreKey::new([1; 32]))).unwrap()];
    for job in jobs {
        let control = job.control();
        let (result, _) = pieces(job, |piece| {
            if piece == 5 {
                control.cancel()
            }
        });
        assert_eq!(code(result), ErrorCode::Cancelled);
    }
    let control = import.control();
    let (result, durations) = pieces(import, |_| {
        if control.progress() > 0.7 {
            control.cancel()
        }
    });
    assert_eq!(code(result), ErrorCode::Cancelled);
    assert!(durations.len() > 5);
    assert_eq!(engine.sessions(&Default::default(), None, 9).unwrap().sessions.len(), 1);
    let verified = engine.verify_store().wait().unwrap();
    assert!(verified.is_sound() && verified.recordings == TURNS, "{verified:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no copy is left");
}

#[test]
fn suspend_ends_jobs_of_the_store_and_unlocks_its_file() {
    let (folder, path, engine, id) = with_long_session();
    let mut archive = Vec::new();
    let mut export = pin!(engine.export_session_to(id, Box::new(&mut archive)).result());
    let mut verify = pin!(engine.verify_store().result());
    for _ in 0..3 {
        assert!(piece(&mut export).is_pending() && piece(&mut verify).is_pending());
    }
    assert!(engine.suspend(SOON).unwrap().is_empty());
    assert!(piece(&mut export).is_pending() && piece(&mut verify).is_pending(), "they stand still");
    assert!(Store::open(StoreLocation::File(path.clone()), 0).unwrap().verify().wait().unwrap().is_sound());
    engine.resume().unwrap();
    assert_eq!(code(tertulia::backend::block_on(export)), ErrorCode::Suspended);
    assert_eq!(code(tertulia::backend::block_on(verify)), ErrorCode::Suspended);

    let mut compact = pin!(engine.compact_store().result());
    for _ in 0..5 {
        assert!(piece(&mut compact).is_pending());
    }
    assert!(engine.suspend(SOON).unwrap().is_empty());
    assert!(Store::open(StoreLocation::File(path), 0).unwrap().verify().wait().unwrap().is_sound());
    engine.resume().unwrap();
    assert_eq!(code(tertulia::backend::block_on(compact)), ErrorCode::Suspended);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no copy is left");
    engine.compact_store().wait().unwrap();
}

#[test]
fn shut_down_ends_jobs_and_another_engine_opens_the_store() {
    let (_folder, path, engine, _) = with_long_session();
    let mut compact = pin!(engine.compact_store().result());
    let mut transcribe = pin!(engine.transcribe(noise_16k(1000), 16_000, Vec::new()).result());
    for _ in 0..5 {
        assert!(piece(&mut compact).is_pending());
    }
    assert!(piece(&mut transcribe).is_pending());
    assert!(engine.shut_down(SOON).unwrap().is_empty());
    let another = self::engine(&path);
    assert_eq!(code(tertulia::backend::block_on(transcribe)), ErrorCode::EngineClosed);
    assert_eq!(code(tertulia::backend::block_on(compact)), ErrorCode::EngineClosed);
    assert!(another.verify_store().wait().unwrap().is_sound());
}

#[test]
fn a_job_of_a_model_goes_on_after_a_suspension() {
    let scripted = Scripted::new();
    scripted.recognizer.then("Hola.");
    let engine = Arc::new(EngineBuilder::new().backends(scripted.backends()).build().unwrap());
    let job = engine.transcribe(noise_16k(1000), 16_000, Vec::new());
    assert!(engine.suspend(SOON).unwrap().is_empty());
    let transcribing = std::thread::spawn(move || job.wait());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!transcribing.is_finished(), "it stands still");
    engine.resume().unwrap();
    assert_eq!(transcribing.join().unwrap().unwrap().text, "Hola.");
}

#[test]
fn sessions_are_reserved_until_the_job_is_dropped() {
    let (_folder, _, engine, id) = with_long_session();
    let open = || engine.open_session(id, &Default::default()).map(|session| session.close());
    let erasing = engine.erase_sessions(&[id]).unwrap();
    assert_eq!(code(open()), ErrorCode::SessionBusy);
    assert_eq!(code(engine.erase_everything()), ErrorCode::SessionBusy);
    drop(erasing);
    let rotating = engine.rotate_store_key(None).unwrap();
    assert_eq!(code(open()), ErrorCode::SessionBusy);
    let config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    assert_eq!(code(engine.create_session(config)), ErrorCode::SessionBusy);
    drop(rotating);
    open().unwrap();
}

/// A recogniser that never answers.
struct Silent(parking_lot::Mutex<Vec<StepSender<RecognitionStep>>>);

impl Model for Silent {
    fn name(&self) -> &str {
        "silent"
    }
}

impl Recognizer for Silent {
    fn languages(&self) -> Vec<LanguageTag> {
        vec!["es".parse().unwrap()]
    }

    fn recognize(&self, _request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let (sender, steps) = steps_channel();
        self.0.lock().push(sender);
        Ok(steps)
    }
}

#[test]
fn shut_down_ends_a_job_that_waits_for_a_backend() {
    let silent = Arc::new(Silent(Default::default()));
    let backends = Backends { recognizer: Some(silent.clone()), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let job = engine.transcribe(noise_16k(500), 16_000, Vec::new());
    let waiting = std::thread::spawn(move || job.wait());
    let begun = Instant::now();
    while silent.0.lock().is_empty() {
        assert!(begun.elapsed() < SOON, "the recogniser was not asked");
        std::thread::yield_now();
    }
    assert!(engine.shut_down(SOON).unwrap().is_empty());
    assert_eq!(waiting.join().unwrap().unwrap_err().code(), ErrorCode::EngineClosed);
    assert!(begun.elapsed() < SOON);
}
