//! The store beside SQLite, on the same work in one run on the same disk.
//!
//! `cargo bench -p tertulia-benches --bench store_side_by_side -- [--check] [--dir FOLDER] [--only PART ...]` prints
//! medians, 99th percentiles, ratios and bytes on disk. `--check` fails where a bound is broken; the folder should be
//! on a disk, since memory has no sync to wait for; the parts are `commits`, `concurrent` and `many`. What is compared
//! takes turns, so that a busy machine is as bad for each. A bare write with its sync is printed beside them.

#![allow(clippy::print_stdout, reason = "its result is what it prints")]

mod store_work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store_work::{Bare, SAMPLES, Sqlite, config, noise, open, session, spoken, turn};
use tertulia::store::{AudioKind, Store, StoreLocation, TurnRecord, TurnState, Write};
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{EngineBuilder, EventKind, Events, Playback, Session, SessionEngine, TurnId};

/// How much is done; `--test` only shows that it runs.
struct Effort {
    commits: u64,
    sessions: usize,
    turns_a_session: usize,
    many_turns: u64,
}

const FULL: Effort = Effort { commits: 400, sessions: 100, turns_a_session: 10, many_turns: 100_000 };
const TEST: Effort = Effort { commits: 8, sessions: 4, turns_a_session: 2, many_turns: 500 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let folder = arguments.iter().position(|argument| argument == "--dir").map(|at| PathBuf::from(&arguments[at + 1]));
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let effort = if has("--test") { TEST } else { FULL };
    let scratch = tempfile::tempdir_in(&folder).expect("a folder to write in");
    println!("on {}", filesystem(scratch.path()));
    let mut bounds = Bounds::default();
    let parts = ["commits", "concurrent", "many"].map(|part| !arguments.iter().any(|a| a == "--only") || has(part));
    // First, while nothing else has left memory behind.
    if parts[2] {
        for turns_a_session in [10, 1_000, effort.many_turns] {
            many_turns(scratch.path(), effort.many_turns, turns_a_session, &mut bounds);
        }
    }
    if parts[0] {
        commits(scratch.path(), &effort, &mut bounds);
    }
    if parts[1] {
        concurrent(scratch.path(), &effort, 0.5, &mut bounds);
        concurrent(scratch.path(), &effort, 6.25, &mut bounds);
    }
    println!("\n{} bounds kept, {} broken", bounds.kept, bounds.broken);
    if has("--check") && bounds.broken > 0 {
        std::process::exit(1);
    }
}

/// One turn with 200 KB of audio, made durable.
fn commits(folder: &Path, effort: &Effort, bounds: &mut Bounds) {
    println!("\nCommit of a turn with 200 KB of audio, {} of each", effort.commits);
    let (store_path, bare_path) = (folder.join("store.redb"), folder.join("bare"));
    let store = open(&store_path);
    let mut bare = Bare::create(&bare_path);
    let mut sqlite = Sqlite::create(&folder.join("sqlite"));
    let s = session(1);
    store.apply(&[Write::PutSession(s.clone())]).expect("room");
    sqlite.put_session(&s);
    let [mut of_store, mut of_bare, mut of_sqlite] = [const { Vec::new() }; 3];
    let mut data_bytes = 0;
    for n in 1..=effort.commits {
        let (turn, samples) = (turn(s.id, n), noise(n, SAMPLES));
        data_bytes += 2 * samples.len() as u64;
        let writes = spoken(&turn, samples.clone());
        for place in 0..3 {
            match (place + n) % 3 {
                0 => of_store.push(time(|| store.apply(&writes).expect("room"))),
                1 => of_bare.push(time(|| bare.put(&turn, &samples))),
                _ => of_sqlite.push(time(|| sqlite.put(&turn, &samples))),
            }
        }
    }
    let open_bytes = (bytes_on_disk(std::slice::from_ref(&store_path)), bytes_on_disk(&sqlite.paths()));
    let long = len(&store_path);
    drop(store);
    let sqlite_paths = sqlite.close();
    for (what, times) in [("the store", &of_store), ("write + fdatasync", &of_bare), ("SQLite", &of_sqlite)] {
        print_times(what, times);
    }
    let median = |times: &[Duration]| at(times, 0.5).as_secs_f64();
    bounds.at_most("median, to SQLite", median(&of_store) / median(&of_sqlite), 1.5);
    let closed_bytes = (bytes_on_disk(std::slice::from_ref(&store_path)), bytes_on_disk(&sqlite_paths));
    println!(
        "  on disk, of {} MB of sound: open {:.1} MB (SQLite with its log {:.1}), closed {:.1} MB (SQLite {:.1}); the \
         file is {:.1} MB long, holes included, and {:.1} once closed",
        data_bytes / 1_000_000,
        mb(open_bytes.0),
        mb(open_bytes.1),
        mb(closed_bytes.0),
        mb(closed_bytes.1),
        mb(long),
        mb(len(&store_path)),
    );
    bounds.at_most("bytes on disk while open, to SQLite", open_bytes.0 as f64 / open_bytes.1 as f64, 1.1);
    bounds.at_most("bytes on disk once closed, to SQLite", closed_bytes.0 as f64 / closed_bytes.1 as f64, 1.1);
    remove(&[&[store_path, bare_path], &sqlite_paths[..]].concat());
}

/// Many sessions that talk at once: through the engine, whose commits go together, and each on its own.
fn concurrent(folder: &Path, effort: &Effort, seconds: f64, bounds: &mut Bounds) {
    let Effort { sessions, turns_a_session, .. } = *effort;
    println!("\n{sessions} sessions with {turns_a_session} turns of {seconds} s each, at once");
    let path = folder.join("concurrent.redb");
    let direct = direct(&path, sessions, turns_a_session, (seconds * 16_000.0) as usize);
    remove(std::slice::from_ref(&path));
    let (transcripts, turns) = grouped(&path, sessions, turns_a_session, (seconds * 1000.0) as usize);
    remove(&[path]);
    print_times("direct: end of utterance to its transcript durable", &direct.0);
    print_times("direct: to the end of the turn", &direct.1);
    print_times("engine: end of utterance to transcript_done", &transcripts);
    print_times("engine: to turn_finished", &turns);
    let p99 = |times: &[Duration]| at(times, 0.99).as_secs_f64();
    bounds.at_most("p99 of transcripts, engine to direct", p99(&transcripts) / p99(&direct.0), 0.5);
    bounds.at_most("p99 of turns, engine to direct", p99(&turns) / p99(&direct.1), 0.5);
}

/// The engine's commits of a turn, each on its own: up to the transcript, and to the end of the turn.
fn direct(path: &Path, sessions: usize, turns: usize, samples: usize) -> (Vec<Duration>, Vec<Duration>) {
    let store = open(path);
    let barrier = Arc::new(Barrier::new(sessions));
    let talks: Vec<_> = (0..sessions as u64)
        .map(|number| {
            let (store, barrier) = (store.clone(), barrier.clone());
            std::thread::spawn(move || {
                let s = session(number);
                store.apply(&[Write::PutSession(s.clone())]).expect("room");
                let (mut transcripts, mut whole) = (Vec::new(), Vec::new());
                for n in 1..=turns as u64 {
                    // The engine's writes: the sound, its transcript, and the turn with its reply.
                    let done = turn(s.id, n);
                    let mut recognised = done.clone();
                    (recognised.state, recognised.ended_ms) = (TurnState::Open, None);
                    let begun = TurnRecord::new(s.id, done.turn, done.origin, done.started_ms);
                    let [begun, sound] = spoken(&begun, noise(n, samples));
                    let reply = reply_audio(&done, noise(n, REPLY.len() * 400));
                    let first = [Write::PutSession(s.clone()), begun, sound];
                    let second = [Write::PutSession(s.clone()), Write::PutTurn(recognised)];
                    let third = [Write::PutSession(s.clone()), Write::PutTurn(done), reply];
                    barrier.wait();
                    let start = Instant::now();
                    store.apply(&first).expect("room");
                    store.apply(&second).expect("room");
                    transcripts.push(start.elapsed());
                    store.apply(&third).expect("room");
                    whole.push(start.elapsed());
                }
                (transcripts, whole)
            })
        })
        .collect();
    joined(talks)
}

const REPLY: &str = "Muy bien.";

fn reply_audio(turn: &TurnRecord, samples: Vec<i16>) -> Write {
    Write::PutAudio { session: turn.session, turn: turn.turn, kind: AudioKind::Reply, rate: 8_000, samples }
}

/// From the end of each utterance to its durable transcript, and to the end of its turn.
fn grouped(path: &Path, sessions: usize, turns: usize, ms: usize) -> (Vec<Duration>, Vec<Duration>) {
    let scripted = Scripted::new();
    for _ in 0..sessions * turns {
        scripted.recognizer.then("Ayer fui al mercado con mi hermana y compramos manzanas.");
        scripted.chat.then([REPLY]);
    }
    let engine = EngineBuilder::new().backends(scripted.backends()).store(StoreLocation::File(path.into()));
    let engine = engine.build().expect("an engine");
    let barrier = Arc::new(Barrier::new(sessions));
    let talks: Vec<_> = (0..sessions)
        .map(|_| {
            let mut config = config();
            config.playback = Playback::Assumed;
            let session = engine.create_session(config).expect("a session");
            let barrier = barrier.clone();
            std::thread::spawn(move || {
                let events = session.events().expect("its reader");
                let (mut transcripts, mut whole) = (Vec::new(), Vec::new());
                let sound = noise_16k(ms);
                for _ in 0..turns {
                    push(&session, &sound);
                    barrier.wait();
                    let start = Instant::now();
                    session.end_utterance().expect("a turn");
                    read_until(&events, |kind| matches!(kind, EventKind::TranscriptDone { .. }));
                    transcripts.push(start.elapsed());
                    read_until(&events, |kind| matches!(kind, EventKind::TurnFinished { .. }));
                    whole.push(start.elapsed());
                }
                (transcripts, whole)
            })
        })
        .collect();
    joined(talks)
}

fn joined(talks: Vec<JoinHandle<(Vec<Duration>, Vec<Duration>)>>) -> (Vec<Duration>, Vec<Duration>) {
    let (transcripts, whole): (Vec<_>, Vec<_>) = talks.into_iter().map(|talk| talk.join().expect("no panic")).unzip();
    (transcripts.concat(), whole.concat())
}

fn push(session: &Session, sound: &[f32]) {
    for piece in sound.chunks(1_600) {
        while session.push_audio(piece, 16_000).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn read_until(events: &Events, is_last: impl Fn(&EventKind) -> bool) {
    loop {
        let event = events.next_timeout(Duration::from_secs(60)).expect("an open session").expect("an event in time");
        if is_last(&event.kind) {
            return;
        }
    }
}

/// A store with very many turns: how long opening and listing take, and what it holds in memory.
fn many_turns(folder: &Path, turns: u64, turns_a_session: u64, bounds: &mut Bounds) {
    let turns_a_session = turns_a_session.min(turns);
    println!("\n{turns} turns in one store, {turns_a_session} in each session");
    let path = folder.join("many.redb");
    let store = open(&path);
    let mut ids = Vec::new();
    let (mut memory_at_tenth, mut writes) = (None, Vec::new());
    for n in 0..turns {
        if n % turns_a_session == 0 {
            let s = session(n);
            ids.push(s.id);
            writes.push(Write::PutSession(s));
        }
        let turn = turn(*ids.last().expect("pushed above"), n % turns_a_session + 1);
        writes.extend(spoken(&turn, noise(n, 100)));
        if writes.len() >= 1_000 || n + 1 == turns {
            store.apply(&writes).expect("room");
            writes.clear();
            if n >= turns / 10 {
                memory_at_tenth = memory_at_tenth.or_else(resident_bytes);
            }
        }
    }
    print_memory("with the first tenth written", memory_at_tenth);
    let memory_written = resident_bytes();
    print_memory("with all written", memory_written);
    let killed = folder.join("killed.redb");
    std::fs::copy(&path, &killed).expect("room");
    // Opening is not to wait for the copy.
    std::fs::File::open(&killed).and_then(|copy| copy.sync_all()).expect("a disk");
    drop(store);
    print_memory("closed", resident_bytes());
    let mut opened = Vec::new();
    for _ in 0..11 {
        opened.push(time_opening(&path).0);
    }
    let store = open(&path);
    let mut listed = Vec::new();
    for _ in 0..51 {
        listed.push(time(|| drop(store.sessions(&Default::default(), None, 50).expect("a page"))));
    }
    let last = *ids.last().expect("a session");
    let read = time(|| drop(store.last_turns(last, 20).expect("turns")));
    let one = time(|| drop(store.turn(last, TurnId(turns_a_session)).expect("a turn")));
    let memory_read = resident_bytes();
    print_memory("opened and listed", memory_read);
    print_times("opening", &opened);
    print_times("first page of 50 sessions", &listed);
    println!("  last 20 turns of a session {}, one turn {}", ms(read), ms(one));
    println!("  {:.1} MB on disk", mb(bytes_on_disk(std::slice::from_ref(&path))));
    println!("  opening after the process was killed {}", ms(time_opening(&killed).0));
    bounds.at_most("opening, ms", at(&opened, 0.5).as_secs_f64() * 1000.0, 100.0);
    bounds.at_most("first page, ms", at(&listed, 0.5).as_secs_f64() * 1000.0, 5.0);
    if let (Some(tenth), Some(whole)) = (memory_at_tenth, memory_written.max(memory_read)) {
        bounds.at_most("memory, all turns to a tenth of them", whole as f64 / tenth as f64, 1.25);
    }
    drop(store);
    remove(&[path, killed]);
}

/// Bounds, and whether they were kept.
#[derive(Default)]
struct Bounds {
    kept: u32,
    broken: u32,
}

impl Bounds {
    fn at_most(&mut self, what: &str, figure: f64, bound: f64) {
        let kept = figure <= bound;
        println!("  {} {what}: {figure:.3}, at most {bound}", if kept { "ok    " } else { "BROKEN" });
        *(if kept { &mut self.kept } else { &mut self.broken }) += 1;
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Closing is not timed.
fn time_opening(path: &Path) -> (Duration, Store) {
    let start = Instant::now();
    let store = open(path);
    (start.elapsed(), store)
}

/// The time that this share of all stays within.
fn at(times: &[Duration], share: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize]
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn print_times(what: &str, times: &[Duration]) {
    let [median, p99, longest] = [0.5, 0.99, 1.0].map(|share| ms(at(times, share)));
    println!("  {what}: median {median}, p99 {p99}, longest {longest}");
}

fn print_memory(when: &str, bytes: Option<u64>) {
    if let Some(bytes) = bytes {
        println!("  {:.1} MB resident {when}", mb(bytes));
    }
}

/// Memory of this process, where the system tells it (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn len(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Bytes that the files take up, holes left out where the system tells.
fn bytes_on_disk(paths: &[PathBuf]) -> u64 {
    #[cfg(unix)]
    let taken = |metadata: std::fs::Metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    #[cfg(not(unix))]
    let taken = |metadata: std::fs::Metadata| metadata.len();
    paths.iter().filter_map(|path| std::fs::metadata(path).ok()).map(taken).sum()
}

fn remove(paths: &[PathBuf]) {
    paths.iter().for_each(|path| drop(std::fs::remove_file(path)));
}

/// The kind of file system that a folder is on, where the system tells (Linux).
fn filesystem(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    mounts.retain(|mount| mount.len() > 2 && folder.starts_with(mount[1]));
    mounts.sort_by_key(|mount| mount[1].len());
    mounts.last().map_or("an unknown file system".into(), |mount| mount[2].to_owned())
}
