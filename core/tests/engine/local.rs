//! The same engine without threads, as a browser runs it.

use crate::support::{config, type_of};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;
use tertulia::backend::block_on;
use tertulia::testing::clock::VirtualClock;
use tertulia::testing::scripted::{Cue, Scripted, noise_16k};
use tertulia::{EngineBuilder, ErrorCode, Playback, SessionConfig, SessionEngine, SessionUpdate, Worker};

#[test]
fn a_whole_turn_runs_on_the_callers_thread() {
    let scripted = Scripted::new();
    let (engine, mut driver) = block_on(EngineBuilder::new().backends(scripted.backends()).build_local()).unwrap();
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
    let events = session.events().unwrap();
    scripted.recognizer.then("Hola.");
    scripted.chat.then(["¿Qué tal?"]);
    session.push_audio(&noise_16k(600), 16_000).unwrap();
    session.end_utterance().unwrap();
    assert_eq!(events.try_next().unwrap(), None, "nothing happens before the driver runs");
    driver.run_until_idle();
    let mut types = Vec::new();
    while let Some(event) = events.try_next().unwrap() {
        types.push(type_of(&event));
    }
    assert_eq!(types.first().map(String::as_str), Some("session_opened"));
    assert_eq!(types.last().map(String::as_str), Some("turn_finished"));
    let id = session.id();
    drop(session);
    assert_eq!(
        engine.open_session(id, &SessionUpdate::new()).unwrap_err().code(),
        ErrorCode::SessionBusy,
        "its closing did not run yet"
    );
    driver.run_until_idle();
    assert_eq!(engine.open_session(id, &SessionUpdate::new()).unwrap().turns().unwrap().len(), 1);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_local_driver_wakes_its_task_for_calls_and_for_backends() {
    let (scripted, clock) = (Scripted::new(), VirtualClock::new());
    let builder = EngineBuilder::new().backends(scripted.backends()).clock(Arc::new(clock.clone()));
    let (engine, mut driver) = block_on(builder.build_local()).unwrap();
    let woken: Arc<Count> = Arc::default();
    let waker = woken.clone().into();
    let mut context = Context::from_waker(&waker);
    driver.run_until_idle();
    assert_eq!(driver.due_in_us(), 3_600_000_000, "housekeeping is due in an hour");

    let mut next = Box::pin(driver.next_step());
    assert!(next.as_mut().poll(&mut context).is_pending());
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
    assert!(woken.0.load(Ordering::SeqCst) > 0, "a call wakes it");
    assert!(next.as_mut().poll(&mut context).is_ready());
    drop(next);

    // A backend that takes half a second.
    scripted.chat.then([Cue::Sleep(clock.nap(500)), Cue::Item("Hola.".to_owned())]);
    session.send_text("Hola.").unwrap();
    driver.run_until_idle();
    let mut next = Box::pin(driver.next_step());
    assert!(next.as_mut().poll(&mut context).is_pending());
    woken.0.store(0, Ordering::SeqCst);
    clock.advance_to(500_000);
    assert!(woken.0.load(Ordering::SeqCst) > 0, "a backend that can go on wakes it");
    assert!(next.as_mut().poll(&mut context).is_ready());
    drop(next);
    driver.run_until_idle();
    assert_eq!(session.turns().unwrap()[0].reply_text, "Hola.");

    assert!(!driver.is_done());
    assert_eq!(engine.shut_down(Duration::from_secs(10)).unwrap().workers, [Worker::Engine], "its driver is to be run");
    while !driver.is_done() {
        assert_eq!(pin!(driver.next_step()).poll(&mut context), Poll::Ready(()));
    }
    assert!(engine.shut_down(Duration::ZERO).unwrap().is_empty());
}

#[test]
fn a_local_step_is_one_step_of_one_backend() {
    let scripted = Scripted::new();
    let (engine, mut driver) = block_on(EngineBuilder::new().backends(scripted.backends()).build_local()).unwrap();
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config() }).unwrap();
    let events = session.events().unwrap();
    let words: Vec<&str> = vec!["uno "; 100];
    scripted.chat.then(words);
    session.send_text("Hola.").unwrap();
    let mut deltas = 0;
    while driver.step() {
        let mut in_step = 0;
        while let Some(event) = events.try_next().unwrap() {
            in_step += usize::from(type_of(&event) == "reply_text_delta");
        }
        assert!(in_step <= 1, "a step gave {in_step} increments");
        deltas += in_step;
    }
    assert_eq!(deltas, 100);
}
