//! Kills of a running engine at any moment: events that promised durability hold, and open turns can be retried.
//!
//! `TERTULIA_KILLS=200 cargo test -p tertulia --test store_kills` kills that often; without it, 20 times.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "`--show-output` tells how much was tried")]

mod store_support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store_support::{Random, effort};
use tertulia::audio::to_i16;
use tertulia::event::{EventKind, InterruptReason};
use tertulia::store::{AudioKind, StoreLocation, TurnRecord, TurnState};
use tertulia::testing::scripted::{SAMPLES_PER_BYTE, Scripted, noise_16k};
use tertulia::{
    Engine, EngineBuilder, Events, Playback, Session, SessionConfig, SessionEngine, SessionId, SessionUpdate, TurnId,
};

/// How many kills there are without the variable.
const KILLS: u64 = 20;
/// How many kills a file goes through before there is a new one.
const KILLS_A_FILE: u64 = 25;
/// Sessions that a child talks in at once, so that some of its commits hold several.
const SESSIONS: usize = 3;
/// Where the child finds its store.
const CHILD_STORE: &str = "TERTULIA_TEST_CHILD_STORE";
const REPLY: &str = "Muy bien, gracias.";

fn engine(path: &Path, scripted: &Scripted) -> Engine {
    let store = StoreLocation::File(path.into());
    EngineBuilder::new().backends(scripted.backends()).store(store).build().expect("the store opens")
}

fn words(turn: u64) -> String {
    format!("Esta es la frase número {turn}.")
}

fn sound(turn: u64) -> Vec<f32> {
    noise_16k(200 + turn as usize * 170 % 1_900)
}

/// The sound of a turn as it is stored: after the front end's DC filter, which begins afresh with each utterance.
fn stored_sound(turn: u64) -> Vec<f32> {
    let (mut last_in, mut last_out) = (0.0, 0.0);
    let filter = |sample: f32| {
        last_out = sample - last_in + 0.995 * last_out;
        last_in = sample;
        last_out.clamp(-1.0, 1.0)
    };
    sound(turn).into_iter().map(filter).collect()
}

/// Not a test of its own: the process that the next test kills. Says what it was told, line by line.
#[test]
#[ignore = "the child process of the next test"]
fn child_that_talks_until_it_is_killed() {
    let path = std::env::var(CHILD_STORE).expect("the parent names the store");
    let scripted = Scripted::new();
    let engine = engine(path.as_ref(), &scripted);
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let mut config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    config.playback = Playback::Assumed;
    let talks: Vec<(Session, Events)> = (0..SESSIONS)
        .map(|_| {
            let session = engine.create_session(config.clone()).unwrap();
            say(format!("\ntold session {}\n", session.id()));
            let events = session.events().unwrap();
            (session, events)
        })
        .collect();
    for turn in 1.. {
        for (session, _) in &talks {
            scripted.recognizer.then(&words(turn));
            scripted.chat.then([REPLY]);
            session.push_audio(&sound(turn), 16_000).unwrap();
            session.end_utterance().unwrap();
        }
        for (session, events) in &talks {
            loop {
                let event = events.next_timeout(Duration::from_secs(20)).unwrap().expect("an event in time");
                match event.kind {
                    EventKind::TranscriptDone { stored, .. } => {
                        assert!(stored);
                        say(format!("\ntold transcript {} {turn}\n", session.id()));
                    }
                    EventKind::TurnFinished { .. } => {
                        say(format!("\ntold finished {} {turn}\n", session.id()));
                        break;
                    }
                    EventKind::TurnFailed { error, .. } => panic!("the turn failed: {error:?}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_kill_of_the_engine_loses_no_acknowledged_event() {
    let kills = effort("TERTULIA_KILLS", KILLS);
    // When a kill hits depends on the machine anyway.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut random = Random::new(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    let mut seen = Seen::default();
    for kill in 0..kills {
        if kill % KILLS_A_FILE == 0 {
            folder = tempfile::tempdir().unwrap();
            told = Told::default();
        }
        let path = folder.path().join("store.redb");
        talk_and_die(&path, &mut random, &mut told);
        check(&path, &mut told, &mut seen, &format!("kill {kill}"));
    }
    println!("{kills} kills: {seen:?}");
    assert!(seen.finished > 0 && seen.under_way > 0, "the kills show too little: {seen:?}");
}

/// The events that children printed: of each session, the last turn with a transcript, and the last one finished.
#[derive(Default)]
struct Told {
    sessions: BTreeMap<SessionId, (u64, u64)>,
    /// Sessions whose turn under way was looked at and tried again.
    done_with: Vec<SessionId>,
}

/// The cases that the kills hit.
#[derive(Debug, Default)]
struct Seen {
    finished: u64,
    under_way: u64,
}

/// Starts a child and kills it at a random moment: mostly while it talks, sometimes while it opens the store.
fn talk_and_die(path: &Path, random: &mut Random, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_talks_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
        .env(CHILD_STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.lines() {
            let _ = sender.send(line.unwrap());
        }
    });
    let mut printed = Vec::new();
    if random.below(8) > 0 {
        while !printed.last().is_some_and(|line: &String| line.starts_with("told session")) {
            printed.push(lines.recv_timeout(Duration::from_secs(60)).expect("the child prints a line"));
        }
        std::thread::sleep(Duration::from_micros(random.below(120_000)));
    } else {
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
    }
    child.kill().unwrap(); // SIGKILL; what it said before is still read.
    assert_eq!(child.wait().unwrap().signal(), Some(9), "the child ended by itself");
    reader.join().unwrap();
    printed.extend(lines.try_iter());
    for line in printed {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["told", "session", id] => {
                told.sessions.insert(id.parse().unwrap(), (0, 0));
            }
            ["told", "transcript", id, turn] => told.of(id).0 = turn.parse().unwrap(),
            ["told", "finished", id, turn] => told.of(id).1 = turn.parse().unwrap(),
            _ => {}
        }
    }
}

impl Told {
    fn of(&mut self, id: &str) -> &mut (u64, u64) {
        self.sessions.get_mut(&id.parse().unwrap()).expect("told before")
    }
}

fn check(path: &Path, told: &mut Told, seen: &mut Seen, context: &str) {
    let scripted = Scripted::new();
    let engine = engine(path, &scripted);
    let page = engine.sessions(&Default::default(), None, 10_000).unwrap();
    assert!(page.damaged.is_empty() && page.next.is_none(), "{context}");
    for (&id, &(transcripts, finished)) in &told.sessions {
        let (_, turns) = engine.session(id).unwrap_or_else(|error| panic!("{context}: session {id}: {error}"));
        assert!(turns.is_complete(), "{context}");
        let count = turns.turns.len() as u64;
        assert!(count >= transcripts.max(finished), "{context}: {count} turns, of {transcripts} and {finished} told");
        if told.done_with.contains(&id) {
            continue;
        }
        let session = engine.open_session(id, &SessionUpdate::new()).unwrap();
        for record in &turns.turns {
            let context = format!("{context}: turn {} of {transcripts} and {finished} told", record.turn);
            check_turn(&session, record, transcripts, finished, &context);
            seen.finished += u64::from(record.turn.0 <= finished);
        }
        let last = turns.turns.last();
        if let Some(last) = last.filter(|last| last.state != TurnState::Finished) {
            scripted.recognizer.then(&words(last.turn.0));
            scripted.chat.then([REPLY]);
            let again = try_again(&session, last.turn);
            assert_eq!((again.state, again.user_text), (TurnState::Finished, words(last.turn.0)), "{context}");
            seen.under_way += 1;
        }
        told.done_with.push(id);
    }
}

fn check_turn(session: &Session, record: &TurnRecord, transcripts: u64, finished: u64, context: &str) {
    let number = record.turn.0;
    let user = session.audio(record.turn, AudioKind::User).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(user.samples == to_i16(&stored_sound(number)), "{context}: other audio");
    // The audio is stored first, so that it can be recognised again.
    if number <= transcripts || !record.user_text.is_empty() {
        assert_eq!(record.user_text, words(number), "{context}");
        assert_eq!(record.transcript.as_ref().map(|transcript| &transcript.text), Some(&record.user_text), "{context}");
    }
    match record.state {
        TurnState::Finished => {
            assert_eq!(record.reply_text, REPLY, "{context}");
            let reply = session.audio(record.turn, AudioKind::Reply).unwrap();
            assert_eq!(reply.samples.len(), REPLY.len() * SAMPLES_PER_BYTE, "{context}");
        }
        state => {
            assert!(number > finished, "{context}: it was told as finished, and is {state:?}");
            assert_eq!(state, TurnState::Interrupted { reason: InterruptReason::Crash }, "{context}");
        }
    }
}

/// The turn that comes of another try.
fn try_again(session: &Session, turn: TurnId) -> TurnRecord {
    let events = session.events().unwrap();
    let again = session.retry_turn(turn).unwrap();
    loop {
        let event = events.next_timeout(Duration::from_secs(20)).unwrap().expect("an event in time");
        if event.turn == Some(again) && matches!(event.kind, EventKind::TurnFinished { .. }) {
            return session.turns().unwrap().into_iter().find(|record| record.turn == again).expect("stored");
        }
        assert!(!matches!(event.kind, EventKind::TurnFailed { .. }), "{event:?}");
    }
}
