//! The log beside the storage: commits wait for it alone, a crash is made good from it, and nobody else's is believed.

mod store_support;

use redb::StorageBackend;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use store_support::{Expected, NOW_MS, code, reply_audio, samples, session, turn, user_audio};
use tertulia::store::{BackendFactory, Store, StoreLocation, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{Error, ErrorCode, SessionId, TurnId};

fn open(path: &Path) -> Store {
    Store::open(StoreLocation::File(path.into()), NOW_MS).unwrap()
}

fn spoken(session: SessionId, n: u64) -> [Write; 2] {
    [Write::PutTurn(turn(session, n)), user_audio(&turn(session, n), samples(n, 10_000))]
}

/// A session of so many turns, which the store acknowledged.
fn talk(store: &Store, number: u64, turns: u64) -> Expected {
    let id = session(number).id;
    let mut expected = Expected::default();
    store.apply(&[Write::PutSession(session(number))]).unwrap();
    for step in (1..=turns).map(|n| spoken(id, n)) {
        store.apply(&step).unwrap();
        expected.acknowledge(&step);
    }
    expected
}

/// The process is killed: nobody closes the store, and what was written stays.
fn kill(store: Store, path: &Path) -> (PathBuf, PathBuf) {
    let log = log_of(path);
    let copies = (path.with_extension("killed"), log_of(&path.with_extension("killed")));
    std::fs::copy(path, &copies.0).unwrap();
    std::fs::copy(&log, &copies.1).unwrap();
    drop(store);
    copies
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push(".log");
    path.with_file_name(name)
}

#[test]
fn a_commit_waits_for_the_log_alone() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let mut expected = talk(&store, 1, 0);
    for n in 1..=20 {
        let (syncs, step) = (disk.syncs(), spoken(session(1).id, n));
        let len = disk.len();
        store.apply(&step).unwrap();
        expected.acknowledge(&step);
        // A storage that grows is told so first.
        assert_eq!(disk.syncs() - syncs, 1 + u64::from(disk.len() > len), "turn {n}");
    }
    // A power loss that loses all that was not synced: the storage alone has none of it.
    let crashed = disk.crashed(0);
    let without = Store::open(FaultyDisk::from_bytes(crashed.bytes()).location(), NOW_MS).unwrap();
    assert!(without.turn(session(1).id, TurnId(20)).is_err());
    expected.assert_in(&Store::open(crashed.location(), NOW_MS).unwrap(), "with the log");
    drop(store);
    assert!(disk.log_bytes().is_empty());
    expected.assert_in(&Store::open(FaultyDisk::from_bytes(disk.bytes()).location(), NOW_MS).unwrap(), "closed");
}

#[test]
fn a_log_starts_anew_and_large_commits_go_without_it() {
    for log_bytes_max in [150_000, 300_000, 700_000] {
        let disk = FaultyDisk::new();
        disk.set_log_bytes_max(log_bytes_max);
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let mut expected = talk(&store, 1, 0);
        for n in 1..=40 {
            let mut step = spoken(session(1).id, n).to_vec();
            if n % 7 == 0 {
                step.push(reply_audio(&turn(session(1).id, n), samples(n, 100_000)));
            }
            store.apply(&step).unwrap();
            expected.acknowledge(&step);
            let log_len = disk.log_bytes().len() as u64;
            assert!(log_len <= log_bytes_max + 8192, "{log_len} of {log_bytes_max}");
            for seed in [0, n] {
                let found = Store::open(disk.crashed(seed).location(), NOW_MS).unwrap();
                expected.assert_in(&found, &format!("a log of {log_bytes_max}, turn {n}, seed {seed}"));
            }
        }
    }
}

/// Wherever a log is cut off, what comes before is found, and nothing else.
#[test]
fn a_torn_log_gives_what_is_whole() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    talk(&store, 1, 4);
    let crashed = disk.crashed(0);
    let len = crashed.log_bytes().len();
    let mut turns_before = 0;
    for cut in (0..=len).step_by(4096) {
        let torn = crashed.crashed(0);
        torn.cut_log(cut);
        let store = Store::open(torn.location(), NOW_MS).unwrap();
        let turns = store.turns(session(1).id).map(|turns| turns.turns.len()).unwrap_or(0);
        assert!(store.verify().unwrap().is_sound(), "cut at {cut}");
        assert!(turns >= turns_before, "cut at {cut}");
        turns_before = turns;
    }
    assert_eq!(turns_before, 4);
}

#[test]
fn a_closed_store_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    store.apply(&[Write::PutSession(session(1))]).unwrap();
    store.apply(&[Write::PutSession(session(2))]).unwrap();
    assert!(log_of(&path).exists());
    store.suspend();
    assert!(!log_of(&path).exists());
    store.resume().unwrap();
    store.apply(&[Write::PutSession(session(3))]).unwrap();
    store.apply(&[Write::PutSession(session(4))]).unwrap();
    drop(store);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["store.redb"]);
    assert_eq!(open(&path).sessions(None, 10).unwrap().sessions.len(), 4);
}

#[test]
fn a_log_of_another_store_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (mine, other) = (folder.path().join("mine.redb"), folder.path().join("other.redb"));
    let store = open(&mine);
    let expected = talk(&store, 1, 1);
    drop(store);
    let store = open(&other);
    talk(&store, 2, 1);
    let (_, log) = kill(store, &other);
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    std::fs::copy(&log, log_of(&mine)).unwrap();
    let store = open(&mine);
    expected.assert_in(&store, "with another store's log");
    assert_eq!(code(store.session(session(2).id)), ErrorCode::SessionNotFound);
    assert!(store.verify().unwrap().is_sound());
    // Nor where the store is gone, and a new one takes its place.
    drop(store);
    std::fs::remove_file(&mine).unwrap();
    std::fs::copy(&log, log_of(&mine)).unwrap();
    assert!(open(&mine).sessions(None, 10).unwrap().sessions.is_empty());
}

#[test]
fn a_file_that_is_no_log_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for letter in [&b"Dear friend, this is what the app did today."[..], b"?"] {
        std::fs::write(log_of(&path), letter).unwrap();
        let store = open(&path);
        for n in 1..=3 {
            store.apply(&[Write::PutSession(session(n))]).unwrap();
        }
        drop(store);
        assert_eq!(open(&path).sessions(None, 10).unwrap().sessions.len(), 3);
        assert_eq!(std::fs::read(log_of(&path)).unwrap(), letter);
    }
}

#[test]
fn an_older_copy_of_the_store_stays_as_it_is_beside_a_newer_log() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backup) = (folder.path().join("store.redb"), folder.path().join("backup"));
    let store = open(&path);
    let expected = talk(&store, 1, 1);
    drop(store);
    std::fs::copy(&path, &backup).unwrap();
    let store = open(&path);
    (2..=30).for_each(|n| store.apply(&spoken(session(1).id, n)).unwrap());
    let (_, log) = kill(store, &path);
    std::fs::copy(&backup, &path).unwrap();
    std::fs::copy(&log, log_of(&path)).unwrap();
    let store = open(&path);
    expected.assert_in(&store, "restored");
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(store.turns(session(1).id).unwrap().turns.len(), 1);
}

#[test]
fn a_killed_store_is_whole_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    let expected = talk(&store, 1, 300);
    let (killed, log) = kill(store, &path);
    let store = open(&killed);
    expected.assert_in(&store, "killed");
    drop(store);
    assert!(!log.exists());
}

#[test]
fn where_there_can_be_no_log_the_store_goes_on_without() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::create_dir(log_of(&path)).unwrap();
    let store = open(&path);
    let expected = talk(&store, 1, 1);
    expected.assert_in(&store, "without a log");
    drop(store);

    let disk = FaultyDisk::new();
    let location = StoreLocation::backend({
        let disk = disk.clone();
        move || BackendFactory::open(&disk)
    });
    let store = Store::open(location, NOW_MS).unwrap();
    talk(&store, 1, 1);
    assert!(disk.log_bytes().is_empty());
    assert!(Store::open(disk.crashed(0).location(), NOW_MS).unwrap().turn(session(1).id, TurnId(1)).is_ok());
}

/// What is in the log alone outlives a commit that goes another way, wherever the power goes meanwhile.
#[test]
fn a_large_commit_that_is_cut_off_loses_nothing_of_the_log() {
    let large = |n| [Write::PutTurn(turn(session(1).id, n)), user_audio(&turn(session(1).id, n), samples(n, 300_000))];
    let begin = || {
        let disk = FaultyDisk::new();
        disk.set_log_bytes_max(400_000);
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let expected = talk(&store, 1, 4);
        (disk, store, expected)
    };
    let (disk, store, _) = begin();
    let before = disk.operations();
    store.apply(&large(5)).unwrap();
    let operations = disk.operations() - before;
    for nth in 0..operations {
        let (disk, store, expected) = begin();
        disk.lose_power(nth);
        store.apply(&large(5)).unwrap_err();
        for seed in 0..8 {
            let found = Store::open(disk.crashed(seed).location(), NOW_MS);
            let context = format!("operation {nth} of {operations}, seed {seed}");
            expected.assert_in(&found.unwrap_or_else(|error| panic!("{context}: {error}")), &context);
        }
    }
}

/// The log cannot be written, nor emptied, while the storage can.
#[test]
fn a_log_that_fails_costs_nothing() {
    for kind in 0..4 {
        let disk = FaultyDisk::kinds()[kind].clone();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let mut expected = talk(&store, 1, 5);
        disk.fail_log();
        for n in 6..=12 {
            let step = spoken(session(1).id, n);
            store.apply(&step).unwrap();
            expected.acknowledge(&step);
            for seed in 0..8 {
                let found = Store::open(disk.crashed(seed).location(), NOW_MS).unwrap();
                expected.assert_in(&found, &format!("disk {kind}, turn {n}, seed {seed}"));
            }
        }
        if kind % 2 == 0 {
            disk.recover();
        }
        for n in 13..=15 {
            let step = spoken(session(1).id, n);
            store.apply(&step).unwrap();
            expected.acknowledge(&step);
        }
        // The power goes at any time while it is closed.
        disk.lose_power(2 * kind as u64);
        drop(store);
        for seed in 0..8 {
            let found = Store::open(disk.crashed(seed).location(), NOW_MS).unwrap();
            expected.assert_in(&found, &format!("disk {kind}, closed, seed {seed}"));
        }
    }
}

#[test]
fn what_can_only_be_read_needs_its_log_first() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    talk(&store, 1, 2);
    let crashed = disk.crashed(0);
    assert!(!crashed.log_bytes().is_empty());
    crashed.protect();
    assert_eq!(code(Store::open(crashed.location(), NOW_MS)), ErrorCode::StoreNeedsRepair);
}

/// Just before one process locks the file, another opens it, commits for the first time, and loses its power.
#[test]
fn a_log_that_appears_while_the_store_is_opened_is_read() {
    #[derive(Clone, Default)]
    struct Raced {
        disk: Arc<Mutex<FaultyDisk>>,
        before: Arc<Mutex<Option<Expected>>>,
    }
    impl BackendFactory for Raced {
        fn open(&self) -> Result<Box<dyn StorageBackend>, Error> {
            let mut before = self.before.lock().unwrap();
            if before.is_none() {
                let mut disk = self.disk.lock().unwrap();
                let other = Store::open(disk.location(), NOW_MS).unwrap();
                *before = Some(talk(&other, 1, 3));
                let crashed = disk.crashed(0);
                assert!(!crashed.log_bytes().is_empty());
                *disk = crashed;
            }
            BackendFactory::open(&*self.disk.lock().unwrap())
        }

        fn log(&self, create: bool) -> Result<Option<Box<dyn StorageBackend>>, Error> {
            self.disk.lock().unwrap().log(create)
        }
    }
    let raced = Raced::default();
    let store = Store::open(StoreLocation::Backend(Box::new(raced.clone())), NOW_MS).unwrap();
    raced.before.lock().unwrap().as_ref().unwrap().assert_in(&store, "the other's commits");
}
