//! Faults of the disk (full, IO errors, power losses) fail calls, and lose no acknowledged commit.

mod store_support;

use std::io::ErrorKind;
use store_support::{Expected, NOW_MS, code, open_turn, reply_audio, rounds, samples, session, turn, user_audio};
use tertulia::store::{Store, TurnState, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, SessionId, TurnId};

fn open(disk: &FaultyDisk) -> Store {
    Store::open(disk.location(), NOW_MS).unwrap()
}

/// A short conversation, as the steps in which it is written.
fn script(session_number: u64) -> Vec<Vec<Write>> {
    let s = session(session_number);
    let mut steps = vec![vec![Write::PutSession(s.clone())]];
    for n in 1..=3 {
        let (open, whole) = (open_turn(s.id, n), turn(s.id, n));
        steps.push(vec![Write::PutTurn(open.clone()), user_audio(&open, samples(n, 4_000))]);
        steps.push(vec![Write::PutTurn(whole.clone()), reply_audio(&whole, samples(n + 50, 2_000))]);
    }
    steps
}

#[test]
fn an_io_error_at_any_operation_fails_one_call() {
    let clean = FaultyDisk::new();
    let store = open(&clean);
    for step in script(1) {
        store.apply(&step).unwrap();
    }
    let operations = clean.operations();
    drop(store);
    assert!(operations > 30, "{operations} operations: the script shows too little");
    let mut failed = 0;
    for nth in 0..operations {
        let context = format!("operation {nth} of {operations}");
        let disk = FaultyDisk::new();
        disk.fail_operation(nth, ErrorKind::Other);
        let store = Store::open(disk.location(), NOW_MS).unwrap_or_else(|error| {
            assert_eq!(error.code(), ErrorCode::StoreIo, "{context}");
            failed += 1;
            open(&disk)
        });
        let mut expected = Expected::default();
        for step in script(1) {
            if let Err(error) = store.apply(&step) {
                assert_eq!(error.code(), ErrorCode::StoreIo, "{context}: {error}");
                assert!(error.is_retryable());
                failed += 1;
                expected.assert_in(&store, &context);
                store.apply(&step).unwrap_or_else(|error| panic!("{context}, once more: {error}"));
            }
            expected.acknowledge(&step);
        }
        expected.assert_in(&store, &context);
        assert!(store.turns(session(1).id).unwrap().is_complete(), "{context}");
        // Acknowledged means durable, whatever failed on the way there.
        expected.assert_in(&open(&disk.crashed(0)), &format!("{context}, then a power loss"));
    }
    assert_eq!(failed, operations, "a fault went unseen");
}

/// The disk is full just when something is to grow, for each time that it does.
#[test]
fn a_full_disk_at_any_growth_fails_one_call() {
    [FaultyDisk::new, FaultyDisk::sparse].into_iter().for_each(full_disk_at_any_growth);
}

fn full_disk_at_any_growth(new_disk: fn() -> FaultyDisk) {
    let clean = new_disk();
    let (mut sizes, store) = (vec![0], open(&clean));
    let mut note = |len: u64| {
        if *sizes.last().unwrap() < len {
            sizes.push(len)
        }
    };
    note(clean.bytes_used());
    for step in long_script(1) {
        store.apply(&step).unwrap();
        note(clean.bytes_used());
    }
    drop(store);
    assert!(sizes.len() > 3, "the file hardly grows: the script shows too little");
    for &capacity in &sizes[..sizes.len() - 1] {
        let context = format!("room for {capacity}");
        let disk = new_disk();
        disk.set_capacity(Some(capacity));
        let mut refused = 0;
        let mut refuse = |error: &tertulia::Error| {
            assert_eq!(error.code(), ErrorCode::StoreFull, "{context}: {error}");
            disk.set_capacity(None);
            refused += 1;
        };
        let store = Store::open(disk.location(), NOW_MS).unwrap_or_else(|error| {
            refuse(&error);
            open(&disk)
        });
        let mut expected = Expected::default();
        for step in long_script(1) {
            if let Err(error) = store.apply(&step) {
                refuse(&error);
                expected.assert_in(&store, &context);
                store.apply(&step).unwrap_or_else(|error| panic!("{context}, once more: {error}"));
            }
            expected.acknowledge(&step);
        }
        assert_eq!(refused, 1, "{context}");
        expected.assert_in(&store, &context);
        expected.assert_in(&open(&disk.crashed(0)), &format!("{context}, then a power loss"));
    }
}

/// A conversation during which the file grows several times.
fn long_script(session_number: u64) -> Vec<Vec<Write>> {
    let s = session(session_number);
    let mut steps = vec![vec![Write::PutSession(s.clone())]];
    for n in 1..=24 {
        let whole = turn(s.id, n);
        steps.push(vec![Write::PutTurn(whole.clone()), user_audio(&whole, samples(n, 60_000))]);
    }
    steps
}

#[test]
fn a_failed_read_fails_one_call() {
    let disk = FaultyDisk::new();
    let mut expected = Expected::default();
    let store = open(&disk);
    for step in script(1) {
        store.apply(&step).unwrap();
        expected.acknowledge(&step);
    }
    drop(store);
    let bytes = disk.bytes();
    let more = [Write::PutTurn(turn(session(1).id, 4))];
    let clean = FaultyDisk::from_bytes(bytes.clone());
    let store = open(&clean);
    store.apply(&more).unwrap();
    expected.assert_in(&store, "no fault");
    let reads = clean.reads();
    drop(store);
    assert!(reads >= 20, "{reads} reads: the script shows too little");
    for nth in 0..reads {
        let context = format!("read {nth} of {reads}");
        let disk = FaultyDisk::from_bytes(bytes.clone());
        disk.fail_read(nth, ErrorKind::Other);
        let store = Store::open(disk.location(), NOW_MS).unwrap_or_else(|error| {
            assert_eq!(error.code(), ErrorCode::StoreIo, "{context}: {error}");
            open(&disk)
        });
        if let Err(error) = store.apply(&more) {
            assert_eq!(error.code(), ErrorCode::StoreIo, "{context}: {error}");
            store.apply(&more).unwrap_or_else(|error| panic!("{context}, once more: {error}"));
        }
        // A read that fails is told as that, and not as damage.
        for (session, turn, kind) in expected.audio.keys() {
            if let Err(error) = store.audio(*session, *turn, *kind) {
                assert_eq!(error.code(), ErrorCode::StoreIo, "{context}: {error}");
            }
        }
        expected.assert_in(&store, &context);
        assert!(store.turn(session(1).id, TurnId(4)).is_ok(), "{context}");
    }
}

#[test]
fn a_lasting_io_error_fails_each_call_until_it_ends() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let steps = script(1);
    store.apply(&steps[0]).unwrap();
    disk.fail_from_operation(0, ErrorKind::Other);
    for _ in 0..3 {
        assert_eq!(code(store.apply(&steps[1])), ErrorCode::StoreIo);
    }
    disk.recover();
    store.apply(&steps[1]).unwrap();
    assert_eq!(store.turn(session(1).id, TurnId(1)).unwrap().state, TurnState::Open, "reopening is not a crash");
}

#[test]
fn each_kind_of_io_error_has_its_code() {
    for (kind, expected) in [
        (ErrorKind::StorageFull, ErrorCode::StoreFull),
        (ErrorKind::QuotaExceeded, ErrorCode::StoreFull),
        (ErrorKind::ReadOnlyFilesystem, ErrorCode::StoreReadOnly),
        (ErrorKind::PermissionDenied, ErrorCode::StoreReadOnly),
        (ErrorKind::OutOfMemory, ErrorCode::OutOfMemory),
        (ErrorKind::BrokenPipe, ErrorCode::StoreIo),
    ] {
        let disk = FaultyDisk::new();
        let store = open(&disk);
        disk.fail_operation(0, kind);
        assert_eq!(code(store.apply(&script(1)[0])), expected, "{kind}");
        store.apply(&script(1)[0]).unwrap();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on_once_there_is_room() {
    let rooms = [0, 40_000, 80_000, 300_000];
    for (room, new_disk) in
        rooms.into_iter().flat_map(|room| [(room, FaultyDisk::new as fn() -> _), (room, FaultyDisk::sparse)])
    {
        let disk = new_disk();
        let store = open(&disk);
        let mut expected = Expected::default();
        for step in script(1) {
            store.apply(&step).unwrap();
            expected.acknowledge(&step);
        }
        let s = session(10);
        store.apply(&[Write::PutSession(s.clone())]).unwrap();
        // The disk is full now, or nearly.
        disk.set_capacity(Some(disk.bytes_used() + room));
        let mut n = 0;
        let rejected = loop {
            n += 1;
            let whole = turn(s.id, n);
            let step = [Write::PutTurn(whole.clone()), user_audio(&whole, samples(n, 40_000))];
            match store.apply(&step) {
                Ok(()) => expected.acknowledge(&step),
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::StoreFull, "{error}");
                    break step;
                }
            }
            assert!(n < 100, "the disk never fills up");
        };
        // Full: reading goes on, and what does not fit is refused each time.
        expected.assert_in(&store, "full");
        assert_eq!(code(store.apply(&rejected)), ErrorCode::StoreFull);
        assert_eq!(code(store.turn(s.id, TurnId(n))), ErrorCode::TurnNotFound, "a refused turn left something");
        expected.assert_in(&store, "still full");
        // Freed: the same store goes on.
        disk.set_capacity(None);
        store.apply(&rejected).unwrap();
        expected.acknowledge(&rejected);
        expected.assert_in(&store, "freed");
        drop(store);
        expected.assert_in(&open(&disk), "opened again");
    }
}

#[test]
fn deleting_makes_room_on_a_full_disk() {
    let disk = FaultyDisk::new();
    let store = open(&disk);
    let step = |s: SessionId, n| [Write::PutTurn(turn(s, n)), user_audio(&turn(s, n), samples(n, 30_000))];
    for number in 1..=3 {
        let s = session(number);
        store.apply(&[Write::PutSession(s.clone())]).unwrap();
        (1..=3).for_each(|n| store.apply(&step(s.id, n)).unwrap());
    }
    disk.set_capacity(Some(disk.bytes_used()));
    let s = session(3).id;
    let refused = (4..100).find(|&n| store.apply(&step(s, n)).is_err()).expect("the disk fills up");
    assert_eq!(code(store.apply(&step(s, refused))), ErrorCode::StoreFull);
    store.delete_session(session(1).id).unwrap();
    store.delete_session(session(2).id).unwrap();
    store.apply(&step(s, refused)).unwrap();
}

#[test]
fn power_losses_lose_nothing_acknowledged() {
    let mut crashes = 0;
    for chain in 0..rounds(12) {
        let mut disk = FaultyDisk::new();
        let mut expected = Expected::default();
        drop(open(&disk));
        for link in 0..8 {
            let seed = chain * 8 + link;
            let context = format!("chain {chain}, crash {link}");
            // The power goes at some operation, be it while recovering from the loss before.
            disk.fail_from_operation(seed * 7 % 61, ErrorKind::Other);
            if let Ok(store) = Store::open(disk.location(), NOW_MS) {
                for step in script(link) {
                    if store.apply(&step).is_err() {
                        break;
                    }
                    expected.acknowledge(&step);
                }
            }
            disk = disk.crashed(seed);
            crashes += 1;
            let store = Store::open(disk.location(), NOW_MS).unwrap_or_else(|error| panic!("{context}: {error}"));
            expected.assert_in(&store, &context);
            for summary in store.sessions(&Default::default(), None, 100).unwrap().sessions {
                let turns = store.turns(summary.id).unwrap();
                assert!(turns.is_complete(), "{context}");
                assert!(turns.turns.iter().all(|turn| turn.state != TurnState::Open), "{context}");
            }
        }
        assert!(!expected.turns.is_empty(), "chain {chain} acknowledged nothing: it shows nothing");
    }
    assert_eq!(crashes, rounds(96));
}

#[test]
fn the_faulty_disk_loses_unsynced_writes() {
    // The tests above would show nothing if it did not.
    use redb::StorageBackend;
    let disk = FaultyDisk::new();
    let backend = disk.backend();
    backend.write(0, &[1; 4096]).unwrap();
    assert!(disk.crashed(0).is_empty());
    assert!((1..50).any(|seed| disk.crashed(seed).bytes().contains(&0)), "no write is ever torn");
    disk.fail_operation(0, ErrorKind::Other);
    assert!(backend.sync_data().is_err());
    backend.sync_data().unwrap();
    assert!(disk.crashed(0).is_empty(), "a failed sync has its writes still");
    backend.write(0, &[1; 4096]).unwrap();
    backend.sync_data().unwrap();
    assert_eq!(disk.crashed(0).bytes(), [1; 4096]);
}
