//! Memory: no leaks in any order of dropping, and the memory limit of models.

use crate::support::config;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tertulia::backend::{
    Backends, BoxFuture, DetectionRequest, Model, Progress, RecognitionRequest, RecognitionStep, Recognizer, Steps,
    TurnDetector, block_on, steps_from_fn,
};
use tertulia::testing::scripted::{Cue, Gate, Scripted, noise_16k};
use tertulia::{
    EngineBuilder, ErrorCode, LanguageTag, Listening, ListeningMode, Result, Session, SessionConfig, SessionEngine,
    TrimLevel,
};

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
fn an_engine_without_threads_leaks_nothing() {
    for engine_first in [true, false] {
        let scripted = Scripted::new();
        let (engine, mut driver) = block_on(EngineBuilder::new().backends(scripted.backends()).build_local()).unwrap();
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
fn a_reply_whose_step_never_ends_leaks_nothing() {
    let scripted = Scripted::new();
    let (engine, mut driver) = block_on(EngineBuilder::new().backends(scripted.backends()).build_local()).unwrap();
    let session = engine.create_session(config()).unwrap();
    for text in ["Hola.", "¿Sigues ahí?"] {
        // The first one is cancelled in a step that never ends, and the second one waits in such a step.
        scripted.chat.then([Cue::Wait(Gate::new()), Cue::Item("Hola.".to_owned())]);
        session.send_text(text).unwrap();
        driver.run_until_idle();
    }
    assert_eq!(scripted.chat.requests().len(), 2, "the second does not wait for the first");
    drop(driver);
    drop(engine);
    drop(session);
    assert_nobody_holds(&scripted);
}

#[test]
fn an_engine_with_threads_leaks_nothing() {
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

/// A model that only takes memory.
struct Heavy {
    bytes: u64,
    loaded: AtomicBool,
}

impl Heavy {
    fn new(bytes: u64) -> Arc<Heavy> {
        Arc::new(Heavy { bytes, loaded: AtomicBool::new(false) })
    }
}

impl Model for Heavy {
    fn name(&self) -> &str {
        "heavy"
    }
    fn load<'a>(&'a self, _progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.loaded.store(true, Ordering::SeqCst);
            Ok(())
        })
    }
    fn unload(&self) {
        self.loaded.store(false, Ordering::SeqCst);
    }
    fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::SeqCst)
    }
    fn memory_needed(&self) -> u64 {
        self.bytes
    }
}

impl TurnDetector for Heavy {
    fn probability_finished(&self, _request: DetectionRequest) -> BoxFuture<'_, Result<f32>> {
        Box::pin(async { Ok(1.0) })
    }
}

impl Recognizer for Heavy {
    fn languages(&self) -> Vec<LanguageTag> {
        vec!["en".parse().unwrap(), "es".parse().unwrap()]
    }
    fn recognize(&self, _request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        Ok(steps_from_fn(|| Ok(None)))
    }
}

#[test]
fn models_over_the_memory_limit_are_out_of_memory_errors() {
    let (detector, recognizer) = (Heavy::new(30), Heavy::new(70));
    let backends =
        Backends { turn_detector: Some(detector.clone()), recognizer: Some(recognizer.clone()), ..Backends::default() };
    let build = |bytes| EngineBuilder::new().backends(backends.clone()).memory_bytes_max(bytes).build().unwrap();
    let engine = build(99);
    let hands_free = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    assert_eq!(engine.memory_needed(None), 100);
    assert_eq!(engine.memory_needed(Some(&SessionConfig { listening: hands_free, ..config() })), 100);
    assert_eq!(engine.memory_needed(Some(&config())), 70, "push-to-talk needs no turn detector");
    assert!(!recognizer.is_loaded(), "asking loads nothing");
    let error = engine.preload().wait().unwrap_err();
    assert_eq!(error.code(), ErrorCode::OutOfMemory, "{error}");
    assert!(detector.is_loaded() && !recognizer.is_loaded(), "what did not fit was not loaded");
    // Room is made, and it fits.
    engine.trim(TrimLevel::Models);
    block_on(recognizer.load(&mut |_| {})).unwrap();
    assert!(!detector.is_loaded());
    drop(engine);
    detector.unload();
    recognizer.unload();
    let roomy = build(100);
    roomy.preload().wait().unwrap();
    assert!(detector.is_loaded() && recognizer.is_loaded());
}
