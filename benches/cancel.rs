//! A benchmark of cancel latency: from `interrupt` to the last audio of the reply, at random moments, with scripted
//! backends that never pause.
//!
//! `cargo bench -p tertulia-benches --bench cancel` prints the median, the 99th percentile and the longest.

#![allow(clippy::print_stdout, reason = "its result is what it prints")]

use std::time::{Duration, Instant};
use tertulia::testing::scripted::Scripted;
use tertulia::{EngineBuilder, EventKind, SessionConfig, SessionEngine};

const CANCELS: usize = 1_000;
/// The number with `--test`, which only shows that the benchmark runs.
const CANCELS_IN_TEST: usize = 10;

fn main() {
    let cancels = if std::env::args().any(|argument| argument == "--test") { CANCELS_IN_TEST } else { CANCELS };
    let scripted = Scripted::new();
    let engine = EngineBuilder::new().backends(scripted.backends()).build().expect("an engine");
    let config = SessionConfig::new("en".parse().expect("a tag"), "es".parse().expect("a tag"));
    let session = engine.create_session(config).expect("a session");
    let events = session.events().expect("its reader");
    let (mut last_sound, mut ended, mut seed) = (Vec::new(), Vec::new(), 1u64);
    for _ in 0..cancels {
        scripted.chat.then(vec!["palabra "; 400]);
        session.send_text("Habla.").expect("a turn");
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let cancel_at = Instant::now() + Duration::from_micros(seed >> 33 & 0x3FFF);
        let mut cancelled = None;
        let mut sound = Duration::ZERO;
        loop {
            if cancelled.is_none() && Instant::now() >= cancel_at {
                cancelled = Some(Instant::now());
                session.interrupt().expect("an open session");
            }
            let event = events.next_timeout(Duration::from_millis(1)).expect("an open session");
            let since = cancelled.map_or(Duration::ZERO, |at| at.elapsed());
            match event.map(|event| event.kind) {
                Some(EventKind::ReplyAudioDelta { .. }) => sound = since,
                Some(EventKind::TurnInterrupted { .. } | EventKind::TurnFinished { .. }) => {
                    ended.push(since);
                    break;
                }
                _ => {}
            }
        }
        last_sound.push(sound);
    }
    print("interrupt to the last audio event", last_sound);
    print("interrupt to the end of the turn (100 ms of it wait for `played`)", ended);
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: median {:?}, p99 {:?}, longest {:?}", at(0.5), at(0.99), at(1.0));
}
