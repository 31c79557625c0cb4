//! Shutting down and suspending are bounded, say what still runs, and never wait for their own caller.

use crate::support::{Host, Reader, config};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tertulia::backend::{
    Backends, ChatModel, ChatRequest, ChatStep, Conversation, Model, Steps, block_on, steps_from_fn,
};
use tertulia::event::TurnState;
use tertulia::store::{Store, StoreLocation};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{
    Engine, EngineBuilder, ErrorCode, LanguageTag, Playback, Result, Session, SessionConfig, SessionEngine, Worker,
};

/// Longer than anything here takes that does not wait for a backend.
const SOON: Duration = Duration::from_secs(10);

/// A chat model that acts in its first step, and then replies.
#[derive(Clone)]
struct Acting(Arc<dyn Fn() + Send + Sync>);

impl Model for Acting {
    fn name(&self) -> &str {
        "acting"
    }
}

impl ChatModel for Acting {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "es"].map(|tag| tag.parse().unwrap()).to_vec()
    }
    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(self.clone()))
    }
}

impl Conversation for Acting {
    fn reply(&mut self, _request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let mut steps = vec![ChatStep::done(), ChatStep::Text("Hola.".to_owned())];
        Ok(steps_from_fn(move || {
            if steps.len() == 2 {
                (self.0)();
            }
            Ok(steps.pop())
        }))
    }
}

/// A chat model whose step lasts until it is let go, whatever is cancelled.
#[derive(Clone, Default)]
struct Stuck {
    entered: Arc<AtomicBool>,
    let_go: Arc<AtomicBool>,
}

impl Stuck {
    fn backends(&self) -> Backends {
        let stuck = self.clone();
        acting(move || {
            stuck.entered.store(true, Ordering::SeqCst);
            wait_until("it is let go", || stuck.let_go.load(Ordering::SeqCst));
        })
    }
}

fn acting(act: impl Fn() + Send + Sync + 'static) -> Backends {
    Backends { chat: Some(Arc::new(Acting(Arc::new(act)))), ..Backends::default() }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A file for a store.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    (folder, path)
}

fn engine(backends: Backends, path: &Path) -> Engine {
    EngineBuilder::new().backends(backends).store(StoreLocation::File(path.to_path_buf())).build().unwrap()
}

/// A session with a turn that the chat model is at work on.
fn talk(engine: &Engine) -> (Session, Reader) {
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
    let reader = Reader::of(&session);
    session.send_text("Hola").unwrap();
    (session, reader)
}

fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().expect("an error").code()
}

#[test]
fn shut_down_closes_the_store_whoever_holds_a_handle() {
    let (_folder, path) = file();
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (session, mut reader) = host.session();
    let turn = session.say("Hola.").unwrap();
    reader.until_end_of(turn);
    assert!(host.engine.shut_down(SOON).unwrap().is_empty());
    reader.read_to_the_end();
    // The engine, the session and the reader of its events are all still here.
    let again = engine(Backends::default(), &path);
    assert_eq!(again.turns(session.id(), None, 10).unwrap().turns.len(), 1);
    assert_eq!(code(session.turns()), ErrorCode::EngineClosed);
    assert_eq!(code(host.engine.sessions(&Default::default(), None, 1)), ErrorCode::EngineClosed);
    assert_eq!(code(host.engine.resume()), ErrorCode::EngineClosed);
    assert!(host.engine.shut_down(SOON).unwrap().is_empty(), "a second time");
    session.close();
}

#[test]
fn shut_down_names_the_backend_that_still_runs_and_closes_the_store() {
    let ((_folder, path), stuck) = (file(), Stuck::default());
    let first = engine(stuck.backends(), &path);
    let (session, mut reader) = talk(&first);
    wait_until("a step", || stuck.entered.load(Ordering::SeqCst));
    let began = Instant::now();
    assert_eq!(first.shut_down(Duration::from_millis(300)).unwrap().workers, [Worker::Chat]);
    assert!((300..2_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    reader.read_to_the_end();
    let second = engine(Backends::default(), &path);
    let turns = second.turns(session.id(), None, 10).unwrap().turns;
    assert!(matches!(turns[0].state, TurnState::Interrupted { .. }), "{:?}", turns[0].state);
    stuck.let_go.store(true, Ordering::SeqCst);
    assert!(first.shut_down(SOON).unwrap().is_empty(), "calling it again waits again");
}

#[test]
fn suspend_names_the_backend_that_still_runs_and_closes_the_store() {
    let ((_folder, path), stuck) = (file(), Stuck::default());
    let engine = engine(stuck.backends(), &path);
    let (session, mut reader) = talk(&engine);
    wait_until("a step", || stuck.entered.load(Ordering::SeqCst));
    let began = Instant::now();
    assert_eq!(engine.suspend(Duration::from_millis(300)).unwrap().workers, [Worker::Chat]);
    assert!((300..2_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(code(engine.session(session.id())), ErrorCode::Suspended);
    drop(Store::open(StoreLocation::File(path), 0).unwrap());
    stuck.let_go.store(true, Ordering::SeqCst);
    assert!(engine.suspend(SOON).unwrap().is_empty(), "calling it again waits again");
    engine.resume().unwrap();
    let end = reader.until_end_of(tertulia::TurnId(1));
    assert_eq!(crate::support::type_of(&end), "turn_finished");
}

#[test]
fn a_slow_disk_delays_shut_down_no_longer_than_its_timeout() {
    let disk = FaultyDisk::new();
    let host = Host::with_store(disk.location());
    let (session, mut reader) = host.session();
    let turn = session.say("Hola.").unwrap();
    reader.until_end_of(turn);
    disk.slow_down(Duration::from_millis(400));
    session.say("Adiós.").unwrap();
    let began = Instant::now();
    let running = host.engine.shut_down(Duration::from_millis(100)).unwrap().workers;
    assert!(running.contains(&Worker::Store), "{running:?}");
    assert!(began.elapsed() < Duration::from_millis(1_000), "{:?}", began.elapsed());
    disk.slow_down(Duration::ZERO);
    assert!(host.engine.shut_down(SOON).unwrap().is_empty());
    let turns = Store::open(disk.location(), 0).unwrap().turns(session.id()).unwrap().turns;
    assert_eq!(turns.len(), 2, "all of it was stored");
}

/// Where a callback finds its engine.
type Slot = Arc<Mutex<Option<Engine>>>;

/// The calls that a callback is refused; dropping the engine in it returns.
fn act(slot: &Slot, refused: &Mutex<Vec<ErrorCode>>, dropped: &AtomicBool) {
    let Some(engine) = slot.lock().unwrap().take() else { return };
    refused.lock().unwrap().extend([code(engine.suspend(SOON)), code(engine.shut_down(SOON))]);
    assert!(engine.sessions(&Default::default(), None, 1).is_ok(), "a call that was refused does nothing");
    drop(engine);
    dropped.store(true, Ordering::SeqCst);
}

#[test]
fn backends_and_wakers_are_refused_what_would_wait_for_them_and_may_drop_the_engine() {
    for from_waker in [false, true] {
        let ((_folder, path), slot, refused, dropped) =
            (file(), Slot::default(), Arc::<Mutex<Vec<ErrorCode>>>::default(), Arc::<AtomicBool>::default());
        let callback = {
            let (slot, refused, dropped) = (slot.clone(), refused.clone(), dropped.clone());
            move || act(&slot, &refused, &dropped)
        };
        let backends = if from_waker { acting(|| ()) } else { acting(callback.clone()) };
        let first = engine(backends, &path);
        let session = first.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
        let mut reader = Reader::of(&session);
        if from_waker {
            reader.events.set_waker(callback);
        }
        *slot.lock().unwrap() = Some(first);
        session.send_text("Hola").unwrap();
        reader.read_to_the_end();
        assert!(dropped.load(Ordering::SeqCst));
        assert_eq!(*refused.lock().unwrap(), [ErrorCode::CalledFromCallback; 2], "from a waker: {from_waker}");
        // It ends by itself.
        wait_until("the store is closed", || Store::open(StoreLocation::File(path.clone()), 0).is_ok());
    }
}

#[test]
fn a_local_engine_refuses_its_callbacks_and_closes_the_store_with_its_driver() {
    for driver_first in [false, true] {
        let ((_folder, path), refused) = (file(), Arc::<Mutex<Vec<ErrorCode>>>::default());
        let engine_slot = Slot::default();
        let backends = {
            let (slot, refused) = (engine_slot.clone(), refused.clone());
            acting(move || {
                let slot = slot.lock().unwrap();
                let engine = slot.as_ref().unwrap();
                refused.lock().unwrap().extend([code(engine.suspend(SOON)), code(engine.shut_down(SOON))]);
            })
        };
        let builder = EngineBuilder::new().backends(backends).store(StoreLocation::File(path.clone()));
        let (engine, mut driver) = block_on(builder.build_local()).unwrap();
        let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
        session.send_text("Hola").unwrap();
        *engine_slot.lock().unwrap() = Some(engine);
        driver.run_until_idle();
        assert_eq!(*refused.lock().unwrap(), [ErrorCode::CalledFromCallback; 2]);
        let engine = engine_slot.lock().unwrap().take().unwrap();
        if driver_first {
            drop(driver);
            assert!(engine.shut_down(SOON).unwrap().is_empty());
        } else {
            drop(engine);
            drop(driver);
        }
        drop(Store::open(StoreLocation::File(path), 0).unwrap());
        assert_eq!(code(session.turns()), ErrorCode::EngineClosed);
    }
}

#[test]
fn a_session_that_opens_while_the_engine_shuts_down_is_closed_or_refused() {
    for _ in 0..50 {
        let host = Host::new();
        let created = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(session) = host.engine.create_session(config()) {
                    created.fetch_add(1, Ordering::SeqCst);
                    if let Ok(events) = session.events()
                        && host.engine.create_session(config()).is_err()
                    {
                        // The last one: its events end.
                        while events.next_timeout(SOON).is_ok_and(|event| {
                            assert!(event.is_some(), "its events do not end");
                            true
                        }) {}
                    }
                }
            });
            wait_until("a session", || created.load(Ordering::SeqCst) > 0);
            assert!(host.engine.shut_down(SOON).unwrap().is_empty());
        });
    }
}
