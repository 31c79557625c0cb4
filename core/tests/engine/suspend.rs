//! Suspend and resume of the host in the middle of turns, and memory warnings.

use crate::support::{Host, config};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tertulia::backend::{Backends, Model, RecognitionRequest, RecognitionStep, Recognizer, Steps, steps_from_fn};
use tertulia::event::{EventKind, TurnState};
use tertulia::store::{AudioKind, Store, StoreLocation, StoreOptions};
use tertulia::testing::scripted::noise_16k;
use tertulia::{EngineBuilder, ErrorCode, LanguageTag, Result, SessionEngine, TrimLevel};

/// Memory of this process in KiB, as far as it is in RAM.
#[cfg(target_os = "linux")]
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn suspend_and_resume_200_times_in_the_middle_of_turns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (mut session, mut reader) = host.session();
    let mut sessions = vec![session.clone()];
    #[cfg(target_os = "linux")]
    let mut resident_after_50 = 0;
    for round in 0..200u64 {
        if round % 50 == 49 {
            // Before the conversation outgrows the scripted model's context.
            (session, reader) = host.session();
            sessions.push(session.clone());
        }
        host.script_turn("Me llamo Ana.", "¡Hola, Ana! Encantado de conocerte.");
        session.push_audio(&noise_16k(300), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        // Away at another point of each turn.
        match round % 5 {
            0 => {}
            1 => drop(reader.until("turn_started")),
            2 => drop(reader.until("transcript_done")),
            3 => drop(reader.until("reply_text_delta")),
            _ => drop(reader.until("reply_audio_delta")),
        }
        assert!(host.engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
        // The file is unlocked and holds everything acknowledged.
        if round % 20 == 0 {
            let other = Store::open(StoreLocation::File(path.clone()), 0).unwrap();
            assert!(other.verify().wait().unwrap().is_sound());
            drop(other);
        }
        assert_eq!(host.engine.sessions(&Default::default(), None, 1).unwrap_err().code(), ErrorCode::Suspended);
        host.engine.trim(if round % 2 == 0 { TrimLevel::Models } else { TrimLevel::Caches });
        host.engine.resume().unwrap();
        reader.until_end_of(turn);
        #[cfg(target_os = "linux")]
        if round == 50 {
            resident_after_50 = resident_kib();
        }
    }
    let turns: Vec<_> = sessions.iter().flat_map(|session| session.turns().unwrap()).collect();
    assert_eq!(turns.len(), 200);
    for turn in &turns {
        assert!(
            turn.state == TurnState::Finished
                // A look at the open file by another closes what was under way.
                || matches!(turn.state, TurnState::Interrupted { .. }),
            "{turn:?}"
        );
        assert_eq!(turn.user_text, "Me llamo Ana.");
        let session = sessions.iter().find(|session| session.id() == turn.session).unwrap();
        session.audio(turn.turn, AudioKind::User).unwrap();
    }
    #[cfg(target_os = "linux")]
    assert!(resident_kib() < resident_after_50 + 32_768, "{resident_after_50} KiB, then {}", resident_kib());
}

#[test]
fn nothing_computes_while_suspended() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.chat.then(["Hola."]);
    let first = session.send_text("Hola").unwrap();
    reader.until_end_of(first);
    assert!(host.engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
    host.scripted.chat.then(["Adiós."]);
    let second = session.send_text("Adiós").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(host.scripted.chat.requests().len(), 1, "the question waits");
    host.engine.resume().unwrap();
    reader.until_end_of(second);
    assert_eq!(host.scripted.chat.requests().len(), 2);
    assert!(host.engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
    // Ending while suspended stores what there is all the same.
    session.close();
    assert!(host.engine.shut_down(Duration::from_secs(10)).unwrap().is_empty());
}

/// A recogniser that never comes to an end; it counts where each step begins and where it ends.
struct Endless(Arc<AtomicU32>);

impl Model for Endless {
    fn name(&self) -> &str {
        "endless"
    }
}

impl Recognizer for Endless {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "es"].map(|tag| tag.parse().unwrap()).to_vec()
    }
    fn recognize(&self, _request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let ends = self.0.clone();
        Ok(steps_from_fn(move || {
            ends.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(200));
            ends.fetch_add(1, Ordering::SeqCst);
            Ok(Some(RecognitionStep::Working))
        }))
    }
}

#[test]
fn suspend_waits_for_the_step_under_way_and_lets_none_begin() {
    let ends: Arc<AtomicU32> = Arc::default();
    let backends = Backends { recognizer: Some(Arc::new(Endless(ends.clone()))), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let session = engine.create_session(config()).unwrap();
    session.push_audio(&noise_16k(300), 16_000).unwrap();
    session.end_utterance().unwrap();
    for round in 0..20 {
        let before = ends.load(Ordering::SeqCst);
        while ends.load(Ordering::SeqCst) < before + 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
        let suspended = ends.load(Ordering::SeqCst);
        assert_eq!(suspended % 2, 0, "a step is under way in round {round}");
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(ends.load(Ordering::SeqCst), suspended, "a step began in round {round}");
        engine.resume().unwrap();
    }
}

/// A recogniser with one step, which counts until it is told to end, and checks its flag.
struct OneLongStep {
    count: Arc<AtomicU32>,
    may_end: Arc<AtomicBool>,
}

impl Model for OneLongStep {
    fn name(&self) -> &str {
        "one long step"
    }
}

impl Recognizer for OneLongStep {
    fn languages(&self) -> Vec<LanguageTag> {
        vec!["en".parse().unwrap(), "es".parse().unwrap()]
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let (count, may_end) = (self.count.clone(), self.may_end.clone());
        Ok(steps_from_fn(move || {
            while !may_end.load(Ordering::SeqCst) {
                request.cancel.check()?;
                std::thread::sleep(Duration::from_micros(200));
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(Some(RecognitionStep::Final("Hola.".to_owned().into())))
        }))
    }
}

#[test]
fn suspend_holds_a_long_step_where_it_checks_its_flag() {
    let (count, may_end) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
    let recognizer = OneLongStep { count: count.clone(), may_end: may_end.clone() };
    let backends = Backends { recognizer: Some(Arc::new(recognizer)), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let goes_on = || {
        let before = count.load(Ordering::SeqCst);
        let until = Instant::now() + Duration::from_secs(10);
        while count.load(Ordering::SeqCst) < before + 2 {
            assert!(Instant::now() < until, "it does not go on");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let job = engine.transcribe(noise_16k(300), 16_000, Vec::new());
    let transcribing = std::thread::spawn(move || job.wait());
    for _ in 0..20 {
        goes_on();
        assert!(engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
        let suspended = count.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(count.load(Ordering::SeqCst), suspended, "it goes on while suspended");
        engine.resume().unwrap();
    }
    may_end.store(true, Ordering::SeqCst);
    assert_eq!(transcribing.join().unwrap().unwrap().text, "Hola.");

    // A session's turn is held as well, and ends with the engine.
    may_end.store(false, Ordering::SeqCst);
    let session = engine.create_session(config()).unwrap();
    session.push_audio(&noise_16k(300), 16_000).unwrap();
    session.end_utterance().unwrap();
    goes_on();
    assert!(engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
    assert!(engine.shut_down(Duration::from_secs(10)).unwrap().is_empty());
}

#[test]
fn resume_can_be_retried_after_store_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (session, mut reader) = host.session();
    assert!(host.engine.suspend(Duration::from_secs(10)).unwrap().is_empty());
    let other = Store::open_with(StoreLocation::File(path), StoreOptions::default(), 0).unwrap();
    assert_eq!(host.engine.resume().unwrap_err().code(), ErrorCode::StoreLocked);
    host.scripted.chat.then(["Hola."]);
    let turn = session.send_text("Hola").unwrap();
    drop(other);
    host.engine.resume().unwrap();
    let end = reader.until_end_of(turn);
    assert!(matches!(end.kind, EventKind::TurnFinished { .. }));
}

#[test]
fn suspend_against_shut_down_leaves_nothing_that_waits_for_a_resume() {
    for _ in 0..50 {
        let host = Host::new();
        let job = host.engine.verify_store();
        std::thread::scope(|scope| {
            scope.spawn(|| while host.engine.suspend(Duration::from_secs(10)).is_ok() {});
            host.engine.shut_down(Duration::from_secs(10)).unwrap();
        });
        assert_eq!(job.wait().unwrap_err().code(), ErrorCode::EngineClosed);
        assert_eq!(host.engine.resume().unwrap_err().code(), ErrorCode::EngineClosed);
    }
}
