//! The same engine without threads, as a browser runs it.

use crate::support::{config, type_of};
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{EngineBuilder, ErrorCode, Playback, SessionConfig, SessionEngine};

#[test]
fn a_whole_turn_runs_on_the_callers_thread() {
    let scripted = Scripted::new();
    let (engine, mut driver) = EngineBuilder::new().backends(scripted.backends()).build_local().unwrap();
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
    assert_eq!(engine.open_session(id).unwrap_err().code(), ErrorCode::SessionBusy, "its closing did not run yet");
    driver.run_until_idle();
    assert_eq!(engine.open_session(id).unwrap().turns().unwrap().len(), 1);
}
