//! How long an engine with real models at work takes to stand still, and to end. Measured by hand, on a quiet machine:
//! `cargo test --release -p tertulia-models --test stop_latency -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "common/whisper.rs"]
mod common;

use common::models::model_path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tertulia::backend::{Backends, Model, Sampling, block_on};
use tertulia::{
    Engine, EngineBuilder, EventKind, Events, Playback, Session, SessionConfig, SessionEngine, StillRunning,
};
use tertulia_models::chat::{ChatOptions, GgufChat};
use tertulia_models::kokoro::Kokoro;
use tertulia_models::silero::SileroVad;

/// The longest wait of a host.
const PATIENCE: Duration = Duration::from_secs(10);
/// Far over what a quiet machine needs (250 ms): only work that does not stop at a step takes so long.
const LATENCY_MAX: Duration = Duration::from_secs(2);

fn backends() -> Backends {
    let chat = model_path("qwen2.5-coder-0.5b-instruct-q4_k_m");
    Backends {
        vad: Some(Arc::new(SileroVad::new(model_path("silero-vad-v6")))),
        recognizer: Some(Arc::new(common::whisper())),
        chat: Some(Arc::new(GgufChat::new(chat, Default::default(), ChatOptions::default()))),
        synthesizer: Some(Arc::new(Kokoro::new(model_path("kokoro-82m"), Default::default()))),
        ..Backends::default()
    }
}

/// An engine that is at work on a spoken turn: recognition, then a reply of at most 48 tokens, spoken as it comes.
fn at_work(backends: &Backends) -> (Engine, Session, Events) {
    let engine = EngineBuilder::new().backends(backends.clone()).build().unwrap();
    let sampling = Sampling { temperature: 0.0, max_tokens: 48, ..Sampling::default() };
    let config = SessionConfig::new("es".parse().unwrap(), "en".parse().unwrap());
    let config = SessionConfig { playback: Playback::Assumed, sampling, ..config };
    let session = engine.create_session(config).unwrap();
    let events = session.events().unwrap();
    session.push_audio(&common::clip("en/libri_2412-153948-0000.flac"), 16_000).unwrap();
    session.end_utterance().unwrap();
    (engine, session, events)
}

/// True once the turn has ended; the stage that it has reached.
fn has_ended(events: &Events, stage: &mut &'static str) -> bool {
    while let Some(event) = events.try_next().unwrap() {
        match event.kind {
            EventKind::TranscriptDone { .. } => *stage = "chat",
            EventKind::ReplyAudioDelta { .. } => *stage = "voice",
            EventKind::TurnFinished { .. } => return true,
            EventKind::TurnFailed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
    false
}

/// Prints how long the calls took, and at which stage the longest did.
fn print(name: &str, mut latencies: Vec<(Duration, &str)>) {
    latencies.sort();
    let [median, late] = [50, 99].map(|percent| latencies[latencies.len() * percent / 100].0);
    let (longest, stage) = latencies[latencies.len() - 1];
    println!("{name}: {} times: median {median:?}, p99 {late:?}, longest {longest:?} ({stage})", latencies.len());
}

/// The duration of a call that must have stopped everything.
fn timed(call: impl FnOnce() -> tertulia::Result<StillRunning>) -> Duration {
    let begun = Instant::now();
    let running = call().unwrap();
    assert!(running.is_empty(), "{running:?}");
    begun.elapsed()
}

/// Suspends an engine again and again during turns, and prints how long that took.
fn suspend_in(name: &str, backends: &Backends, turns: usize, prepare: impl Fn()) {
    let mut latencies = Vec::new();
    for turn in 0..turns {
        prepare();
        let (engine, _session, events) = at_work(backends);
        let mut stage = "recogniser";
        while !has_ended(&events, &mut stage) {
            std::thread::sleep(Duration::from_millis(23 + 7 * turn as u64));
            latencies.push((timed(|| engine.suspend(PATIENCE)), stage));
            engine.resume().unwrap();
        }
    }
    assert!(latencies.iter().all(|(latency, _)| *latency < LATENCY_MAX), "{latencies:?}");
    print(name, latencies);
}

#[test]
#[ignore = "measures time"]
fn suspend_and_shut_down_with_models_at_work() {
    let backends = backends();
    let models: [&dyn Model; 4] = [
        &**backends.vad.as_ref().unwrap(),
        &**backends.recognizer.as_ref().unwrap(),
        &**backends.chat.as_ref().unwrap(),
        &**backends.synthesizer.as_ref().unwrap(),
    ];
    models.iter().for_each(|model| block_on(model.load(&mut |_| {})).unwrap());
    suspend_in("suspend", &backends, 5, || ());
    let begun = Instant::now();
    let (engine, _session, events) = at_work(&backends);
    while !has_ended(&events, &mut "") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let whole = begun.elapsed();
    drop(engine);
    let mut latencies = Vec::new();
    for index in 0..40 {
        let (engine, session, events) = at_work(&backends);
        std::thread::sleep(whole * index / 40);
        let mut stage = "recogniser";
        has_ended(&events, &mut stage);
        latencies.push((timed(|| engine.shut_down(PATIENCE)), stage));
        drop(session);
    }
    assert!(latencies.iter().all(|(latency, _)| *latency < LATENCY_MAX), "{latencies:?}");
    print(&format!("shut_down in a turn of {whole:?}"), latencies);
}

#[test]
#[ignore = "measures time"]
fn suspend_and_shut_down_while_files_are_read_in() {
    let backends = backends();
    let unload = || {
        let all = EngineBuilder::new().backends(backends.clone()).build().unwrap();
        all.unload();
    };
    suspend_in("suspend, files being read in", &backends, 3, unload);
    let mut latencies = Vec::new();
    for index in 0..20 {
        unload();
        let (engine, _session, _events) = at_work(&backends);
        std::thread::sleep(Duration::from_millis(40 * index));
        latencies.push((timed(|| engine.shut_down(PATIENCE)), ""));
    }
    print("shut_down, files being read in", latencies);
}
