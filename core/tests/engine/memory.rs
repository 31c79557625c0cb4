//! What is left in memory when a host lets go of everything: nothing, in whatever order it does.

use crate::support::config;
use std::sync::Arc;
use tertulia::testing::scripted::{Cue, Gate, Scripted, noise_16k};
use tertulia::{EngineBuilder, Listening, ListeningMode, Session, SessionConfig, SessionEngine};

/// A session with an open microphone, in mid-turn: its recogniser never answers.
fn talk(engine: &impl SessionEngine, scripted: &Scripted) -> Session {
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    let session = engine.create_session(SessionConfig { listening, ..config() }).unwrap();
    scripted.recognizer.then_cues([Cue::Wait(Gate::new())]);
    session.push_audio(&noise_16k(600), 16_000).unwrap();
    session.end_utterance().unwrap();
    session
}

#[track_caller]
fn assert_nobody_holds(scripted: &Scripted) {
    assert_eq!(Arc::strong_count(&scripted.recognizer), 1, "the recogniser is still held");
    assert_eq!(Arc::strong_count(&scripted.chat), 1, "the chat model is still held");
    assert_eq!(Arc::strong_count(&scripted.voice), 1, "the synthesizer is still held");
}

#[test]
fn an_engine_without_threads_leaves_nothing_behind() {
    for engine_first in [true, false] {
        let scripted = Scripted::new();
        let (engine, mut driver) = EngineBuilder::new().backends(scripted.backends()).build_local().unwrap();
        let session = talk(&engine, &scripted);
        let events = session.events().unwrap();
        driver.run_until_idle();
        if engine_first {
            drop(driver);
            drop(engine);
            drop(session);
        } else {
            drop(session);
            drop(engine);
            drop(driver);
        }
        drop(events);
        assert_nobody_holds(&scripted);
    }
}

#[test]
fn an_engine_with_threads_leaves_nothing_behind() {
    for engine_first in [true, false] {
        let scripted = Scripted::new();
        let engine = EngineBuilder::new().backends(scripted.backends()).build().unwrap();
        let session = talk(&engine, &scripted);
        if engine_first {
            drop(engine);
            drop(session);
        } else {
            drop(session);
            drop(engine);
        }
        assert_nobody_holds(&scripted);
    }
}
