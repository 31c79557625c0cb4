//! A damaged file gives errors, never wrong data.

mod store_support;

use std::collections::BTreeSet;
use store_support::{NOW_MS, reply_audio, rounds, samples, session, turn, user_audio};
use tertulia::store::{AudioKind, SessionRecord, Store, StoredAudio, TurnRecord, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{Error, ErrorCode, Keep, SessionId};

/// Everything that is in a store.
struct Contents {
    sessions: Vec<SessionRecord>,
    turns: Vec<TurnRecord>,
    audio: Vec<(TurnRecord, AudioKind, StoredAudio)>,
}

fn closed_store() -> (Vec<u8>, Contents) {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    for number in 0..4 {
        let mut s = session(number);
        s.config.retention.user_audio = Keep::Forever;
        let mut writes = vec![Write::PutSession(s.clone())];
        for n in 1..=5 {
            let turn = turn(s.id, n);
            writes.push(Write::PutTurn(turn.clone()));
            writes.push(user_audio(&turn, samples(number * 10 + n, 600 * n as usize)));
            writes.push(reply_audio(&turn, samples(number * 10 + n + 500, 500)));
        }
        store.apply(&writes).unwrap();
    }
    let mut contents = Contents { sessions: Vec::new(), turns: Vec::new(), audio: Vec::new() };
    for number in 0..4 {
        let id = session(number).id;
        contents.sessions.push(store.session(id).unwrap());
        for turn in store.turns(id).unwrap().turns {
            for kind in [AudioKind::User, AudioKind::Reply] {
                contents.audio.push((turn.clone(), kind, store.audio(id, turn.turn, kind).unwrap()));
            }
            contents.turns.push(turn);
        }
    }
    drop(store);
    (disk.bytes(), contents)
}

/// Reads everything. How many records are not readable, and say so; fails where one is wrong and does not.
fn unreadable(bytes: Vec<u8>, contents: &Contents, context: &str) -> usize {
    let says_so = |error: &Error| {
        let code = error.code();
        let known = matches!(code, ErrorCode::RecordCorrupt | ErrorCode::StoreCorrupt | ErrorCode::StoreNotAStore);
        assert!(known, "{context}: {error}");
    };
    let disk = FaultyDisk::from_bytes(bytes);
    let all = contents.sessions.len() + contents.turns.len() + contents.audio.len();
    let store = match Store::open(disk.location(), NOW_MS) {
        Ok(store) => store,
        Err(error) => {
            says_so(&error);
            return all;
        }
    };
    let mut unreadable = 0;
    let mut check = |result: Result<(), Error>| {
        if let Err(error) = result {
            says_so(&error);
            unreadable += 1;
        }
    };
    for expected in &contents.sessions {
        check(store.session(expected.id).map(|found| assert_eq!(found, *expected, "{context}")));
        if let Ok(found) = store.turns(expected.id) {
            let of_it: Vec<_> = contents.turns.iter().filter(|turn| turn.session == expected.id).collect();
            assert!(found.turns.iter().all(|turn| of_it.contains(&turn)), "{context}: a turn is wrong");
            assert!(found.turns.len() as u64 + found.damaged >= of_it.len() as u64, "{context}: a turn is missing");
        }
    }
    for expected in &contents.turns {
        let found = store.turn(expected.session, expected.turn);
        check(found.map(|found| assert_eq!(found, *expected, "{context}")));
    }
    for (turn, kind, expected) in &contents.audio {
        let found = store.audio(turn.session, turn.turn, *kind);
        check(found.map(|found| assert!(found == *expected, "{context}: audio is wrong")));
    }
    match store.sessions(None, 100) {
        Ok(page) => {
            let mut listed: BTreeSet<SessionId> = page.damaged.into_iter().collect();
            for found in page.sessions {
                assert!(
                    contents.sessions.iter().any(|session| found == session.into()),
                    "{context}: wrong in the list"
                );
                listed.insert(found.id);
            }
            for session in &contents.sessions {
                assert!(listed.contains(&session.id), "{context}: missing in the list");
            }
        }
        Err(error) => says_so(&error),
    }
    unreadable
}

#[test]
fn no_flipped_bit_is_read_as_data() {
    quiet_panics();
    let (bytes, contents) = closed_store();
    assert_eq!(unreadable(bytes.clone(), &contents, "sound"), 0);
    let mut random = 88_172_645_463_325_252_u64;
    let (mut harmless, mut one, mut more) = (0, 0, 0);
    for _ in 0..rounds(300) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (at, bit) = ((random >> 8) as usize % bytes.len(), random % 8);
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        match unreadable(damaged, &contents, &format!("bit {bit} of byte {at}")) {
            0 => harmless += 1,
            1 => one += 1,
            _ => more += 1,
        }
    }
    // Most of the file is sound and text, whose damage costs the one record.
    let summary = format!("{harmless} harmless, {one} cost one record, {more} cost more");
    assert!(one > 30 && more < one, "{summary}");
}

#[test]
fn a_file_that_was_cut_off_is_damaged() {
    quiet_panics();
    let (bytes, contents) = closed_store();
    let all = contents.sessions.len() + contents.turns.len() + contents.audio.len();
    for len in [1, 5, 8, 9, 64, 319, 320, 4095, 4096, 8192, bytes.len() / 4, bytes.len() / 2] {
        let lost = unreadable(bytes[..len].to_vec(), &contents, &format!("cut at {len}"));
        assert_eq!(lost, all, "cut at {len}");
    }
    for from_end in [1, 4096, 40_000] {
        unreadable(bytes[..bytes.len() - from_end].to_vec(), &contents, &format!("cut {from_end} from the end"));
    }
    let mut longer = bytes.clone();
    longer.resize(bytes.len() + 12_345, 0xAB);
    unreadable(longer, &contents, "longer");
}

#[test]
fn a_damaged_session_can_be_deleted_and_the_others_go_on() {
    quiet_panics();
    let (bytes, contents) = closed_store();
    // Every place where the title stands is a copy of the record; the current one is among them.
    let title = b"session 3";
    let mut damaged = bytes.clone();
    for at in 0..bytes.len() - title.len() {
        if &bytes[at..at + title.len()] == title {
            damaged[at] ^= 0x20;
        }
    }
    let disk = FaultyDisk::from_bytes(damaged);
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let id = session(3).id;
    assert_eq!(store_support::code(store.session(id)), ErrorCode::RecordCorrupt);
    let page = store.sessions(None, 100).unwrap();
    assert_eq!((page.sessions.len(), page.damaged), (3, vec![id]));
    store.delete_session(id).unwrap();
    assert_eq!(store.sessions(None, 100).unwrap().damaged, []);
    assert_eq!(store_support::code(store.session(id)), ErrorCode::SessionNotFound);
    for other in contents.sessions.iter().filter(|session| session.id != id) {
        store.apply(&[Write::PutTurn(turn(other.id, 6))]).unwrap();
        assert_eq!(store.turns(other.id).unwrap().turns.len(), 6);
    }
}

/// Panics of redb on a damaged file are expected and contained; only ours are worth a line.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|location| !location.file().contains("redb")) {
                loud(info);
            }
        }));
    });
}
