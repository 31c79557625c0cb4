//! Encryption and key rotation: a store shows nothing without its key, and loses nothing, whatever fails.

mod store_support;

use std::io::ErrorKind;
use store_support::{Expected, NOW_MS, code, open_turn, session, turn, user_audio};
use tertulia::store::{AudioKind, Store, StoreKey, StoreLocation, StoreOptions, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, TurnId};

fn key(byte: u8) -> StoreKey {
    StoreKey::new([byte; 32])
}

fn with(key: Option<StoreKey>) -> StoreOptions {
    StoreOptions { key, ..StoreOptions::default() }
}

fn open(disk: &FaultyDisk, key: Option<StoreKey>) -> tertulia::Result<Store> {
    Store::open_with(disk.location(), with(key), NOW_MS)
}

/// A conversation with a word in it that is easy to find.
fn talk(store: &Store, number: u64, turns: std::ops::RangeInclusive<u64>) -> Expected {
    let s = session(number);
    let mut expected = Expected::default();
    let mut apply = |writes: Vec<Write>| {
        store.apply(&writes).unwrap();
        expected.acknowledge(&writes);
    };
    apply(vec![Write::PutSession(s.clone())]);
    for n in turns {
        let mut said = turn(s.id, n);
        said.user_text = format!("murcielago {n}");
        let opened = open_turn(s.id, n);
        apply(vec![Write::PutTurn(opened.clone()), user_audio(&opened, vec![0x1234; 9_000])]);
        apply(vec![Write::PutTurn(said)]);
    }
    expected
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn shows_anything(bytes: &[u8]) -> bool {
    holds(bytes, b"murcielago") || holds(bytes, &[0x34, 0x12, 0x34, 0x12, 0x34, 0x12])
}

#[test]
fn an_encrypted_file_shows_nothing() {
    let (plain, sealed) = (FaultyDisk::new(), FaultyDisk::new());
    drop(talk(&open(&plain, None).unwrap(), 1, 1..=3));
    assert!(shows_anything(&plain.bytes()), "the search finds what is there");
    let store = open(&sealed, Some(key(1))).unwrap();
    let expected = talk(&store, 1, 1..=3);
    expected.assert_in(&store, "open");
    drop(store);
    assert!(!shows_anything(&sealed.bytes()));
    let store = open(&sealed, Some(key(1))).unwrap();
    assert!(store.is_encrypted());
    expected.assert_in(&store, "opened again");
}

#[test]
fn a_wrong_or_missing_or_superfluous_key_is_refused() {
    let disk = FaultyDisk::new();
    let expected = talk(&open(&disk, Some(key(1))).unwrap(), 1, 1..=1);
    // Closing once more gives back what the first closing could not.
    drop(open(&disk, Some(key(1))).unwrap());
    let before = disk.bytes();
    assert_eq!(code(open(&disk, Some(key(2)))), ErrorCode::StoreWrongKey);
    assert_eq!(code(open(&disk, None)), ErrorCode::StoreWrongKey);
    drop(open(&disk, Some(key(1))).unwrap());
    assert_eq!(before.len(), disk.bytes().len(), "a refused opening writes nothing");
    expected.assert_in(&open(&disk, Some(key(1))).unwrap(), "after the wrong ones");
    let plain = FaultyDisk::new();
    drop(open(&plain, None).unwrap());
    assert_eq!(code(open(&plain, Some(key(1)))), ErrorCode::StoreWrongKey);
}

#[test]
fn a_flipped_bit_in_an_encrypted_store_is_damage() {
    // The same conversation under the same key in two stores: their data keys differ, so no record of one is one of the
    // other. A flipped bit anywhere in the file is an error or changes nothing.
    let disk = FaultyDisk::new();
    let expected = talk(&open(&disk, Some(key(1))).unwrap(), 1, 1..=2);
    let bytes = disk.bytes();
    let mut noticed = 0;
    for nth in 0..200 {
        let damaged = FaultyDisk::from_bytes(bytes.clone());
        damaged.flip_bit((nth * 7919) % bytes.len(), (nth % 8) as u8);
        let Ok(store) = open(&damaged, Some(key(1))) else {
            noticed += 1;
            continue;
        };
        for n in 1..=2 {
            match store.turn(session(1).id, TurnId(n)) {
                Ok(found) => assert_eq!(found.user_text, format!("murcielago {n}")),
                Err(_) => noticed += 1,
            }
            match store.audio(session(1).id, TurnId(n), AudioKind::User) {
                Ok(audio) => assert!(audio.samples == vec![0x1234; 9_000]),
                Err(_) => noticed += 1,
            }
        }
    }
    assert!(noticed > 20, "{noticed} of 200");
    drop(expected);
}

#[test]
fn a_key_rotation_waits_for_readers_and_writers_and_leaves_nothing_of_the_time_before() {
    let disk = FaultyDisk::new();
    let store = open(&disk, None).unwrap();
    let first = talk(&store, 1, 1..=4);
    for next in [Some(key(1)), Some(key(2)), None, Some(key(3))] {
        let writer = std::thread::spawn({
            let store = store.clone();
            let number = 10 + next.as_ref().map_or(0, |key| u64::from(key.as_bytes()[0]));
            move || talk(&store, number, 1..=6)
        });
        let reader = std::thread::spawn({
            let store = store.clone();
            move || (0..200).for_each(|_| assert_eq!(store.turns(session(1).id).unwrap().turns.len(), 4))
        });
        store.rotate_key(next.clone()).wait().unwrap();
        let meanwhile = writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(store.is_encrypted(), next.is_some());
        first.assert_in(&store, "rotated");
        meanwhile.assert_in(&store, "rotated");
        for wrong in [None, Some(key(1)), Some(key(2)), Some(key(9))] {
            if wrong.as_ref().map(StoreKey::as_bytes) != next.as_ref().map(StoreKey::as_bytes) {
                let copy = disk.killed();
                assert_eq!(code(open(&copy, wrong)), ErrorCode::StoreWrongKey);
            }
        }
        assert_eq!(shows_anything(&disk.bytes()), next.is_none());
        let copy = disk.killed();
        let reopened = open(&copy, next).unwrap();
        first.assert_in(&reopened, "reopened");
        meanwhile.assert_in(&reopened, "reopened");
    }
}

#[test]
fn a_power_loss_in_every_step_of_a_key_rotation_leaves_one_key_and_everything() {
    let at_start = FaultyDisk::new();
    let expected = talk(&open(&at_start, Some(key(1))).unwrap(), 1, 1..=3);
    let bytes = at_start.bytes();
    let operations = {
        let disk = FaultyDisk::from_bytes(bytes.clone());
        let store = open(&disk, Some(key(1))).unwrap();
        let before = disk.operations();
        store.rotate_key(Some(key(2))).wait().unwrap();
        disk.operations() - before
    };
    assert!(operations > 10);
    let (mut with_old, mut with_new) = (0, 0);
    for nth in 0..operations {
        for seed in 0..6 {
            let disk = FaultyDisk::from_bytes(bytes.clone());
            let store = open(&disk, Some(key(1))).unwrap();
            match seed % 2 {
                0 => disk.fail_from_operation(nth, ErrorKind::Other),
                _ => disk.lose_power(nth),
            }
            let acknowledged = store.rotate_key(Some(key(2))).wait().is_ok();
            let crashed = disk.crashed(seed / 2);
            let context = format!("operation {nth}, seed {seed}");
            let (opened, other) = match open(&crashed, Some(key(2))) {
                Ok(store) => {
                    with_new += 1;
                    (store, key(1))
                }
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::StoreWrongKey, "{context}");
                    assert!(!acknowledged, "{context}");
                    with_old += 1;
                    (open(&crashed, Some(key(1))).unwrap(), key(2))
                }
            };
            expected.assert_in(&opened, &context);
            drop(opened);
            assert_eq!(code(open(&crashed, Some(other))), ErrorCode::StoreWrongKey, "{context}");
        }
        // The same store goes on once the fault is gone, and the change can be made.
        let disk = FaultyDisk::from_bytes(bytes.clone());
        let store = open(&disk, Some(key(1))).unwrap();
        disk.fail_operation(nth, ErrorKind::Other);
        let rotated = store.rotate_key(Some(key(2))).wait();
        expected.assert_in(&store, "failed");
        let more = talk(&store, 5, 1..=1);
        // Where only closing the old file failed, nothing did.
        if rotated.is_err() {
            store.rotate_key(Some(key(2))).wait().unwrap();
        }
        drop(store);
        let store = open(&disk, Some(key(2))).unwrap();
        expected.assert_in(&store, "once more");
        more.assert_in(&store, "once more");
    }
    assert!(with_old > 0 && with_new > 0, "{with_old} {with_new}");
}

#[test]
fn damaged_keys_are_read_from_their_copy() {
    let disk = FaultyDisk::new();
    let expected = talk(&open(&disk, Some(key(1))).unwrap(), 1, 1..=1);
    let bytes = disk.bytes();
    // The name of the table stands beside nothing of the row itself; the row holds this key.
    let places: Vec<usize> = (0..bytes.len() - 9)
        .filter(|&at| &bytes[at..at + 9] == b"keysstore" || &bytes[at..at + 4] == b"keys")
        .collect();
    assert!(!places.is_empty());
    for place in places {
        let damaged = FaultyDisk::from_bytes(bytes.clone());
        damaged.flip_bit(place + 40, 3);
        if let Ok(store) = open(&damaged, Some(key(1))) {
            expected.assert_in(&store, "with a damaged row of keys");
        }
    }
}

#[test]
fn a_store_in_a_file_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("store.redb"));
    let key = StoreKey::generate().unwrap();
    let store = Store::open_with(location(), with(Some(key.clone())), NOW_MS).unwrap();
    let expected = talk(&store, 1, 1..=2);
    drop(store);
    assert!(!shows_anything(&std::fs::read(folder.path().join("store.redb")).unwrap()));
    let kept = StoreKey::from_slice(key.as_bytes()).unwrap();
    expected.assert_in(&Store::open_with(location(), with(Some(kept)), NOW_MS).unwrap(), "kept");
    assert_eq!(code(Store::open(location(), NOW_MS)), ErrorCode::StoreWrongKey);
}

#[test]
fn a_damaged_record_stays_damaged_through_a_key_rotation_and_shows_nothing() {
    let disk = FaultyDisk::new();
    let expected = talk(&open(&disk, None).unwrap(), 1, 1..=2);
    let bytes = disk.bytes();
    let found = bytes.windows(12).enumerate().filter(|(_, window)| window == b"murcielago 2");
    found.for_each(|(at, _)| disk.flip_bit(at + 11, 6));
    let store = open(&disk, None).unwrap();
    assert_eq!(code(store.turn(session(1).id, TurnId(2))), ErrorCode::RecordCorrupt);
    store.rotate_key(Some(key(1))).wait().unwrap();
    assert_eq!(code(store.turn(session(1).id, TurnId(2))), ErrorCode::RecordCorrupt);
    assert_eq!(store.turn(session(1).id, TurnId(1)).unwrap().user_text, "murcielago 1");
    let turns = store.turns(session(1).id).unwrap();
    assert_eq!((turns.damaged, turns.lost), (vec![TurnId(2)], 0));
    assert!(!shows_anything(&disk.bytes()));
    drop(expected);
}

/// Which of the two files is there shows only when it is opened again.
#[test]
fn a_swap_that_fails_leaves_an_erased_or_a_whole_store_that_takes_writes() {
    for nth in 0..200 {
        let disk = FaultyDisk::new();
        let store = open(&disk, Some(key(1))).unwrap();
        talk(&store, 1, 1..=1);
        let before = disk.operations();
        disk.fail_operation(nth, ErrorKind::Other);
        let erased = store.erase_all().wait();
        let is_over = disk.operations() - before <= nth;
        disk.recover();
        let more = talk(&store, 2, 1..=1);
        more.assert_in(&store, "went on");
        drop(store);
        let store = open(&disk, Some(key(1))).unwrap();
        more.assert_in(&store, "opened again");
        assert!(erased.is_err() || store.session(session(1).id).is_err());
        if is_over {
            return;
        }
    }
    panic!("no erasing succeeds");
}
