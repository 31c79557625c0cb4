//! One engine, 100 sessions: each speaks an utterance and gets a reply, all at once.
//!
//! `cargo run -p tertulia-examples --bin hundred_sessions -- [STORE]`
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::time::{Duration, Instant};
use std::{env, fs};
use tertulia::store::StoreLocation;
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{EngineBuilder, Error, EventKind, Playback, SessionConfig, SessionEngine};

const SESSIONS: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Backends that follow a script; `tertulia_models::default_backends` gives real ones.
    let scripted = Scripted::new();
    for number in 1..=SESSIONS {
        scripted.recognizer.then("Hola, ¿qué número tengo?");
        scripted.chat.then([format!("¡Hola! Tienes el número {number}.").as_str()]);
    }
    let store = env::args_os().nth(1).map_or(StoreLocation::Memory, |path| StoreLocation::File(path.into()));
    let engine = EngineBuilder::new().backends(scripted.backends()).store(store).build()?;
    let mut config = SessionConfig::new("en".parse()?, "es".parse()?);
    config.playback = Playback::Assumed; // there is no speaker here
    let (start, empty) = (Instant::now(), memory());
    let mut open = Vec::new();
    for _ in 0..SESSIONS {
        let session = engine.create_session(config.clone())?;
        session.push_audio(&noise_16k(1000), 16_000)?;
        session.end_utterance()?;
        open.push((session.events()?, session));
    }
    println!("{SESSIONS} sessions opened after {} ms", start.elapsed().as_millis());
    for (events, _session) in &open {
        loop {
            match events.next_timeout(Duration::from_secs(60))?.ok_or("no reply within a minute")?.kind {
                EventKind::TurnFinished { .. } => break,
                EventKind::TurnFailed { error, .. } => return Err(Error::new(error.code, error.detail).into()),
                _ => {}
            }
        }
    }
    println!("{SESSIONS} turns finished after {} ms", start.elapsed().as_millis());
    if let Some((empty, full)) = empty.zip(memory()) {
        println!("{empty} kB of memory before, {full} kB now: {} kB a session", (full - empty) / SESSIONS as i64);
    }
    Ok(())
}

/// The memory of this process in kB, where the system has Linux's `/proc`.
fn memory() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}
