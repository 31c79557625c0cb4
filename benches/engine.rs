//! Benchmarks of the engine's own cost (sessions, events, storage): scripted backends take no time.
//!
//! `cargo bench -p tertulia-benches --bench engine`. Times are CPU time of all threads on Linux, else wall
//! time.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::time::{Duration, Instant};
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{
    Engine, EngineBuilder, EventKind, Events, Listening, ListeningMode, Playback, Session, SessionConfig, SessionEngine,
};

/// Pieces of a reply's text; each is an event, and the audio of each word another.
const PIECES: usize = 200;

fn host() -> (Engine, Scripted) {
    let scripted = Scripted::new();
    let engine = EngineBuilder::new().backends(scripted.backends()).build().expect("an engine");
    (engine, scripted)
}

fn config(mode: ListeningMode) -> SessionConfig {
    let mut config = SessionConfig::new("en".parse().expect("a tag"), "es".parse().expect("a tag"));
    config.playback = Playback::Assumed;
    config.listening = Listening { mode, idle_ms: Some(1_000), ..Listening::default() };
    config
}

fn open(engine: &Engine, mode: ListeningMode) -> (Session, Events) {
    let session = engine.create_session(config(mode)).expect("a session");
    let events = session.events().expect("its reader");
    (session, events)
}

/// Reads up to the first event that `is_last`; the number of events read.
fn read_until(events: &Events, is_last: impl Fn(&EventKind) -> bool) -> u64 {
    for count in 1.. {
        let event = events.next_timeout(Duration::from_secs(30)).expect("an open session").expect("an event in time");
        if is_last(&event.kind) {
            return count;
        }
    }
    unreachable!("the loop ends by returning")
}

/// CPU time of all threads of this process so far, or wall time.
fn cpu_time(start: Instant) -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return start.elapsed() };
    let ran_ns = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(ran_ns.sum())
}

/// One event of a long streamed reply, from the backend to the host, stored at the end.
fn events(criterion: &mut Criterion) {
    let (engine, scripted) = host();
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(1));
    group.bench_function("event", |bencher| {
        bencher.iter_custom(|wanted| {
            let (start, mut count, mut taken) = (Instant::now(), 0, Duration::ZERO);
            while count < wanted {
                // In a new session: the beginning of a long one would be summarised.
                let (session, events) = open(&engine, ListeningMode::PushToTalk);
                read_until(&events, |kind| matches!(kind, EventKind::SessionOpened { .. }));
                let before = cpu_time(start);
                scripted.chat.then(vec!["palabra "; PIECES]);
                session.send_text("Habla.").expect("a turn");
                count += read_until(&events, |kind| matches!(kind, EventKind::TurnFinished { .. }));
                taken += cpu_time(start) - before;
            }
            taken.mul_f64(wanted as f64 / count as f64)
        });
    });
    group.finish();
}

/// A second of silence from an open microphone at 48 kHz, without the cost of a VAD model.
fn idle_microphone(criterion: &mut Criterion) {
    let (engine, _scripted) = host();
    let mut group = criterion.benchmark_group("engine");
    group.bench_function("idle microphone, 1 s", |bencher| {
        bencher.iter_custom(|wanted| {
            let (session, events) = open(&engine, ListeningMode::Continuous);
            let start = Instant::now();
            let before = cpu_time(start);
            for _ in 0..(wanted * 100).max(110) {
                while session.push_audio(&[0.0; 480], 48_000).is_err() {
                    std::thread::yield_now();
                }
            }
            read_until(&events, |kind| matches!(kind, EventKind::Idle { .. }));
            cpu_time(start) - before
        });
    });
    group.finish();
}

/// One spoken turn in each of 1, 10 and 100 sessions at once.
fn sessions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn in each session");
    group.sample_size(10);
    for count in [1, 10, 100] {
        let (engine, scripted) = host();
        // New ones each time: the beginning of long ones would be summarised.
        let sessions =
            || -> Vec<(Session, Events)> { (0..count).map(|_| open(&engine, ListeningMode::PushToTalk)).collect() };
        let sound = noise_16k(500);
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let turns = |open: Vec<(Session, Events)>| {
                for (session, _) in &open {
                    scripted.recognizer.then("Hola.");
                    scripted.chat.then(["Hola, Ana."]);
                    session.push_audio(&sound, 16_000).expect("room");
                    session.end_utterance().expect("a turn");
                }
                for (_, events) in &open {
                    read_until(events, |kind| matches!(kind, EventKind::TurnFinished { .. }));
                }
                open
            };
            bencher.iter_batched(sessions, turns, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, events, idle_microphone, sessions);
criterion_main!(benches);
