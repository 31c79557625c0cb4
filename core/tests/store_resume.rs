//! Resuming a session after the process ended or was killed.

mod store_support;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use store_support::{Expected, NOW_MS, open_turn, reply_audio, samples, session, turn, user_audio};
use tertulia::event::InterruptReason;
use tertulia::store::{AudioKind, Store, StoreLocation, TurnState, Write};
use tertulia::{SessionId, TurnId};

const CRASH: TurnState = TurnState::Interrupted { reason: InterruptReason::Crash };

#[test]
fn an_open_turn_is_closed_as_interrupted_by_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("store.redb"));
    let s = session(1);
    {
        let store = Store::open(location(), NOW_MS).unwrap();
        let open = open_turn(s.id, 2);
        let first = [Write::PutSession(s.clone()), Write::PutTurn(turn(s.id, 1)), Write::PutTurn(open.clone())];
        store.apply(&first).unwrap();
        store.apply(&[user_audio(&open, samples(2, 40_000))]).unwrap();
        assert_eq!(store.turn(s.id, TurnId(2)).unwrap().state, TurnState::Open);
    }
    let store = Store::open(location(), NOW_MS + 86_400_000).unwrap();
    let closed = store.turn(s.id, TurnId(2)).unwrap();
    assert_eq!(closed.state, CRASH);
    assert_eq!(closed.transcript, turn(s.id, 2).transcript);
    assert!(store.audio(s.id, TurnId(2), AudioKind::User).unwrap().samples == samples(2, 40_000));
    // It ended at its last change, not at the recovery.
    assert_eq!(closed.ended_ms, Some(store.session(s.id).unwrap().updated_ms));
    assert_eq!(store.turn(s.id, TurnId(1)).unwrap().state, TurnState::Finished);
    assert_eq!(store.session(s.id).unwrap().next_turn, 3);
    // And it can be retried.
    store.apply(&[Write::PutTurn(open_turn(s.id, 2))]).unwrap();
    let mut again = turn(s.id, 2);
    again.state = TurnState::Finished;
    store.apply(&[Write::PutTurn(again)]).unwrap();
    drop(store);
    assert_eq!(Store::open(location(), NOW_MS).unwrap().turn(s.id, TurnId(2)).unwrap().state, TurnState::Finished);
}

/// Where the child of the test below finds its store.
const CHILD_STORE: &str = "TERTULIA_TEST_CHILD_STORE";

/// Not a test of its own: the process that the next test kills. Says what was acknowledged, line by line.
#[test]
#[ignore = "the child process of the next test"]
fn child_that_talks_until_it_is_killed() {
    let path = std::env::var(CHILD_STORE).expect("the parent names the store");
    let store = Store::open(StoreLocation::File(path.into()), NOW_MS).unwrap();
    let round = store.sessions(&Default::default(), None, 1000).unwrap().sessions.len() as u64;
    let s = session(round);
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    say(format!("\nacked session {}\n", s.id));
    for n in 1.. {
        let open = open_turn(s.id, n);
        store.apply(&[Write::PutTurn(open.clone()), user_audio(&open, samples(n, 10_000))]).unwrap();
        say(format!("\nacked open {n}\n"));
        let whole = turn(s.id, n);
        store.apply(&[Write::PutTurn(whole.clone()), reply_audio(&whole, samples(n + 1000, 5_000))]).unwrap();
        say(format!("\nacked done {n}\n"));
    }
}

#[test]
#[cfg(unix)]
fn a_kill_of_the_process_loses_no_acknowledged_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut expected = Expected::default();
    let mut closed = 0;
    for round in 0..8 {
        let (s, acked) = talk_and_die(&path, 2 + round * 3);
        expected.acknowledge(&acked);
        let store = Store::open(StoreLocation::File(path.clone()), NOW_MS).unwrap();
        expected.assert_in(&store, &format!("round {round}"));
        let turns = store.turns(s).unwrap();
        assert!(turns.is_complete());
        assert!(turns.turns.iter().all(|turn| turn.state != TurnState::Open), "round {round}");
        closed += turns.turns.iter().filter(|turn| turn.state == CRASH).count();
    }
    assert!(closed > 0, "not one of the kills hit a turn under way: the test shows nothing");
}

/// Starts the child, kills it at its `lines`th acknowledgement, and tells what it was promised.
#[cfg(unix)]
fn talk_and_die(path: &Path, lines: usize) -> (SessionId, Vec<Write>) {
    use std::os::unix::process::ExitStatusExt;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_talks_until_it_is_killed", "--exact", "--ignored", "--nocapture"])
        .env(CHILD_STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut acked = Vec::new();
    let mut s = None;
    let mut count = 0;
    for line in output.lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match (words.as_slice(), s) {
            (["acked", "session", id], _) => s = Some(id.parse::<SessionId>().unwrap()),
            (["acked", "open", n], Some(s)) => {
                let n = n.parse().unwrap();
                let open = open_turn(s, n);
                acked.extend([Write::PutTurn(open.clone()), user_audio(&open, samples(n, 10_000))]);
            }
            (["acked", "done", n], Some(s)) => {
                let n = n.parse().unwrap();
                let whole = turn(s, n);
                acked.extend([Write::PutTurn(whole.clone()), reply_audio(&whole, samples(n + 1000, 5_000))]);
            }
            _ => continue,
        }
        count += 1;
        if count == lines {
            child.kill().unwrap(); // SIGKILL; what it wrote before is still read.
        }
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9), "the child ended by itself");
    (s.expect("the child opened a session"), acked)
}
