//! A damaged file gives errors, never wrong data.
//!
//! `TERTULIA_FLIPS=2000 cargo test -p tertulia --test store_damage` flips that many bits; without it, less.

#![allow(clippy::print_stdout, reason = "`--show-output` tells how much was tried")]

mod store_support;

use std::collections::BTreeSet;
use store_support::{NOW_MS, Random, effort, on_all_processors, reply_audio, samples, session, turn, user_audio};
use tertulia::store::{AudioKind, SessionRecord, Store, StoredAudio, TurnPage, TurnRecord, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{Error, ErrorCode, Keep, SessionId, TurnId};

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

/// All turns of the session, read in pages of two.
fn pages(store: &Store, session: SessionId) -> TurnPage {
    let mut all = TurnPage::default();
    loop {
        let page = store.turns_page(session, all.next, 2).unwrap();
        assert!(page.next > all.next || page.next.is_none());
        all.turns.extend(page.turns);
        all.damaged.extend(page.damaged);
        (all.lost, all.next) = (all.lost + page.lost, page.next);
        if all.next.is_none() {
            return all;
        }
    }
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
        let of_it: Vec<_> = contents.turns.iter().filter(|turn| turn.session == expected.id).collect();
        // A damaged key misleads searches, so that what one way of reading finds another may not, and says so.
        let check_turns = |turns: &[TurnRecord], damaged: &[TurnId], lost: u64| {
            assert!(turns.iter().all(|turn| of_it.contains(&turn)), "{context}: a turn is wrong");
            assert!((turns.len() + damaged.len()) as u64 + lost >= of_it.len() as u64, "{context}: a turn is missing");
            let missing = of_it.iter().map(|turn| turn.turn).filter(|turn| !turns.iter().any(|t| t.turn == *turn));
            assert_eq!(damaged, missing.collect::<Vec<_>>(), "{context}: damaged turns");
        };
        if let Ok(found) = store.turns(expected.id) {
            check_turns(&found.turns, &found.damaged, found.lost);
            let pages = pages(&store, expected.id);
            check_turns(&pages.turns, &pages.damaged, pages.lost);
        }
        if let Ok(found) = store.last_turns(expected.id, 2) {
            let missing = of_it.iter().rev().take(2).filter(|turn| !found.turns.contains(turn)).count() as u64;
            assert!(missing <= found.damaged.len() as u64 + found.lost, "{context}: one of the last turns is missing");
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
    match store.sessions(&Default::default(), None, 100) {
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
fn a_flipped_bit_is_never_read_as_data() {
    quiet_panics();
    let (bytes, contents) = closed_store();
    assert_eq!(unreadable(bytes.clone(), &contents, "sound"), 0);
    let flips = effort("TERTULIA_FLIPS", 300);
    let costs = on_all_processors(|worker, workers| {
        let costs = (worker..flips).step_by(workers as usize).map(|flip| {
            let mut random = Random::new(flip);
            let (at, bit) = (random.below(bytes.len() as u64) as usize, random.below(8));
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            unreadable(damaged, &contents, &format!("bit {bit} of byte {at}"))
        });
        costs.collect::<Vec<usize>>()
    });
    let costs = costs.concat();
    let count = |is: fn(usize) -> bool| costs.iter().filter(|&&cost| is(cost)).count();
    let (harmless, one, more) = (count(|cost| cost == 0), count(|cost| cost == 1), count(|cost| cost > 1));
    // Most of the file is sound and text, whose damage costs the one record.
    println!("{flips} bits flipped: {harmless} harmless, {one} cost one record, {more} cost more");
    assert!(one * 10 > costs.len() && more < one, "{harmless} harmless, {one} cost one record, {more} cost more");
}

/// Damage inside a record costs that record only.
#[test]
fn a_bit_flipped_in_a_record_costs_that_record_only() {
    quiet_panics();
    let (bytes, contents) = closed_store();
    // Without stale copies, which are never read.
    let disk = FaultyDisk::from_bytes(bytes);
    Store::open(disk.location(), NOW_MS).unwrap().compact().wait().unwrap();
    let bytes = disk.bytes();
    let mut random = Random::new(2);
    let find = |needle: &[u8]| bytes.windows(needle.len()).rposition(|window| window == needle).expect("it is stored");
    let mut places = Vec::new();
    for (turn, _, audio) in &contents.audio {
        let sound: Vec<u8> = audio.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        places.push((find(&sound) + random.below(sound.len() as u64) as usize, 1));
        // A turn that cannot be read cannot say that it has audio either.
        let own = 1 + contents.audio.iter().filter(|(other, ..)| other == turn).count();
        let text = turn.reply_text.as_bytes();
        let copies = bytes.windows(text.len()).filter(|window| *window == text).count();
        if copies == 1 {
            places.push((find(text) + random.below(text.len() as u64) as usize, own));
        }
    }
    for (at, cost) in places {
        let bit = random.below(8);
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << bit;
        assert_eq!(unreadable(damaged, &contents, &format!("bit {bit} of byte {at}")), cost);
    }
}

#[test]
fn a_truncated_file_is_damaged() {
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
    let page = store.sessions(&Default::default(), None, 100).unwrap();
    assert_eq!((page.sessions.len(), page.damaged), (3, vec![id]));
    store.delete_session(id).unwrap();
    assert_eq!(store.sessions(&Default::default(), None, 100).unwrap().damaged, []);
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
