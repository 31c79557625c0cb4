//! Records read as they were written.

mod store_support;

use store_support::{NOW_MS, code, config, memory, open_turn, reply_audio, samples, session, turn, user_audio};
use tertulia::audio::to_i16;
use tertulia::store::{AudioInfo, AudioKind, Store, StoreLocation, Summary, TurnState, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, SessionId, TurnId};

fn rate_and_samples(audio: AudioInfo) -> (u32, u64) {
    (audio.rate, audio.samples)
}

#[test]
fn a_session_its_turns_and_its_audio_read_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let s = session(1);
    let turns: Vec<_> = (1..=8).map(|n| turn(s.id, n)).collect();
    // Nothing, one sample, one row to the full, one sample more, and several rows.
    let lens = [0, 1, 32_672, 32_673, 100_001];
    {
        let store = Store::open(StoreLocation::File(path.clone()), NOW_MS).unwrap();
        let mut writes = vec![Write::PutSession(s.clone())];
        writes.extend(turns.iter().cloned().map(Write::PutTurn));
        writes.extend(turns.iter().zip(lens).map(|(turn, len)| user_audio(turn, samples(turn.turn.0, len))));
        writes.push(reply_audio(&turns[0], samples(99, 5000)));
        store.apply(&writes).unwrap();
    }
    let store = Store::open(StoreLocation::File(path), NOW_MS).unwrap();
    let found = store.session(s.id).unwrap();
    let mut expected = s.clone();
    (expected.updated_ms, expected.next_turn, expected.turns) = (found.updated_ms, 9, 8);
    assert_eq!(found, expected);
    assert_eq!(found.updated_ms, s.updated_ms.max(turns[7].ended_ms.unwrap()));

    let found = store.turns(s.id).unwrap();
    assert!(found.is_complete());
    for (index, (found, put)) in found.turns.iter().zip(&turns).enumerate() {
        let mut expected = put.clone();
        (expected.user_audio, expected.reply_audio) = (found.user_audio, found.reply_audio);
        assert_eq!(found.user_audio.map(rate_and_samples), lens.get(index).map(|&len| (16_000, len as u64)));
        assert_eq!(found.reply_audio.map(rate_and_samples), (index == 0).then_some((24_000, 5000)));
        assert_eq!(*found, expected);
        assert_eq!(store.turn(s.id, put.turn).unwrap(), expected);
    }
    assert_eq!(found.turns.len(), 8);
    for (n, len) in (1..).zip(lens) {
        let audio = store.audio(s.id, TurnId(n), AudioKind::User).unwrap();
        assert_eq!(audio.rate, 16_000);
        assert!(audio.samples == samples(n, len), "audio of {len} samples");
    }
    let reply = store.audio(s.id, TurnId(1), AudioKind::Reply).unwrap();
    assert!((reply.rate, &reply.samples) == (24_000, &samples(99, 5000)));
}

#[test]
fn writes_commit_atomically() {
    let store = memory();
    let s = session(1);
    let stray = turn(session(2).id, 1);
    let writes = [Write::PutSession(s.clone()), Write::PutTurn(turn(s.id, 1)), Write::PutTurn(stray)];
    assert_eq!(code(store.apply(&writes)), ErrorCode::SessionNotFound);
    assert_eq!(code(store.session(s.id)), ErrorCode::SessionNotFound);
    let writes = [Write::PutSession(s.clone()), user_audio(&turn(s.id, 1), samples(1, 10))];
    assert_eq!(code(store.apply(&writes)), ErrorCode::TurnNotFound);
    assert_eq!(code(store.session(s.id)), ErrorCode::SessionNotFound);
    store.apply(&[]).unwrap();
    store.apply(&writes[..1]).unwrap();
    assert_eq!(store.session(s.id).unwrap().turns, 0);
}

#[test]
fn missing_records_have_their_own_codes() {
    let store = memory();
    let s = session(1);
    let unknown = SessionId::new(NOW_MS);
    assert_eq!(code(store.session(unknown)), ErrorCode::SessionNotFound);
    assert_eq!(code(store.turns(unknown)), ErrorCode::SessionNotFound);
    assert_eq!(code(store.export_to(unknown, Box::new(&mut Vec::new())).wait()), ErrorCode::SessionNotFound);
    assert_eq!(code(store.delete_session(unknown)), ErrorCode::SessionNotFound);
    store.apply(&[Write::PutSession(s.clone()), Write::PutTurn(turn(s.id, 3))]).unwrap();
    for missing in [0, 1, 2, 4, u64::MAX] {
        assert_eq!(code(store.turn(s.id, TurnId(missing))), ErrorCode::TurnNotFound, "{missing}");
    }
    assert_eq!(code(store.audio(s.id, TurnId(3), AudioKind::User)), ErrorCode::AudioGone);
    assert_eq!(code(store.audio(s.id, TurnId(4), AudioKind::User)), ErrorCode::TurnNotFound);
    let silent = Write::PutAudio { session: s.id, turn: TurnId(3), kind: AudioKind::User, rate: 0, samples: vec![] };
    assert_eq!(code(store.apply(&[silent])), ErrorCode::AudioInvalidRate);
}

#[test]
fn counts_and_times_of_a_session_never_go_back() {
    let store = memory();
    let s = session(1);
    let mut late = turn(s.id, 2);
    late.ended_ms = Some(s.created_ms + 5_000_000);
    store.apply(&[Write::PutSession(s.clone()), Write::PutTurn(turn(s.id, 1)), Write::PutTurn(late)]).unwrap();
    // A host that kept its first record, and puts it again with other settings.
    let mut stale = s.clone();
    stale.config.speed = 0.7;
    stale.title = "renamed".into();
    store.apply(&[Write::PutSession(stale), Write::PutTurn(turn(s.id, 1))]).unwrap();
    let found = store.session(s.id).unwrap();
    assert_eq!((found.turns, found.next_turn, found.updated_ms), (2, 3, s.created_ms + 5_000_000));
    assert_eq!((found.config.speed, found.title.as_str()), (0.7, "renamed"));
}

#[test]
fn audio_can_be_replaced_and_dropped() {
    let store = memory();
    let s = session(1);
    let t = turn(s.id, 1);
    let audio = || store.audio(s.id, t.turn, AudioKind::User);
    store
        .apply(&[Write::PutSession(s.clone()), Write::PutTurn(t.clone()), user_audio(&t, samples(1, 90_000))])
        .unwrap();
    for (seed, len) in [(2, 150_000), (3, 10), (4, 40_000)] {
        store.apply(&[user_audio(&t, samples(seed, len))]).unwrap();
        assert!(audio().unwrap().samples == samples(seed, len));
    }
    // Putting the turn again keeps its audio, whatever the record says of it.
    store.apply(&[Write::PutTurn(t.clone())]).unwrap();
    assert_eq!(store.turn(s.id, t.turn).unwrap().user_audio.map(rate_and_samples), Some((16_000, 40_000)));
    let drop = Write::DropAudio { session: s.id, turn: t.turn, kind: AudioKind::User };
    store.apply(&[drop.clone(), drop]).unwrap();
    assert_eq!(code(audio()), ErrorCode::AudioGone);
    assert_eq!(store.turn(s.id, t.turn).unwrap().user_audio, None);
    store.apply(&[user_audio(&t, samples(5, 7))]).unwrap();
    assert!(audio().unwrap().samples == samples(5, 7));
}

#[test]
fn turns_are_read_from_any_number_on() {
    let store = memory();
    let s = session(1);
    let mut writes = vec![Write::PutSession(s.clone())];
    writes.extend((1..=300).map(|n| Write::PutTurn(turn(s.id, n))));
    // A neighbour on each side, whose turns are not its.
    for n in [0, 2] {
        writes.push(Write::PutSession(session(n)));
        writes.push(Write::PutTurn(turn(session(n).id, 1)));
    }
    store.apply(&writes).unwrap();
    let numbers = |turns: tertulia::store::Turns| {
        assert!(turns.is_complete());
        turns.turns.iter().map(|turn| turn.turn.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers(store.turns(s.id).unwrap()), (1..=300).collect::<Vec<_>>());
    assert_eq!(numbers(store.turns_from(s.id, TurnId(298)).unwrap()), [298, 299, 300]);
    assert_eq!(numbers(store.turns_from(s.id, TurnId(301)).unwrap()), [] as [u64; 0]);
    assert_eq!(numbers(store.last_turns(s.id, 2).unwrap()), [299, 300]);
    assert_eq!(numbers(store.last_turns(s.id, 1000).unwrap()).len(), 300);
    assert_eq!(numbers(store.turns(session(0).id).unwrap()), [1]);
}

#[test]
fn resuming_reads_the_end_of_a_long_session_only() {
    const TURNS: u64 = 5_000;
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = session(1);
    let mut writes = vec![Write::PutSession(s.clone())];
    writes.extend((1..=TURNS).map(|n| Write::PutTurn(turn(s.id, n))));
    let summary = Summary::new("Todo lo anterior.", TurnId(1), TurnId(TURNS - 10));
    writes.push(Write::PutSummary { session: s.id, summary });
    store.apply(&writes).unwrap();
    drop(store);
    let bytes = disk.bytes();
    let reads_of = |read: &dyn Fn(&Store) -> u64| {
        let disk = FaultyDisk::from_bytes(bytes.clone());
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let before = disk.reads();
        (read(&store), disk.reads() - before)
    };
    let (all, reads_of_all) = reads_of(&|store| store.turns(s.id).unwrap().turns.len() as u64);
    assert!(all == TURNS && reads_of_all > 500, "{reads_of_all} reads");
    let (resumed, reads) = reads_of(&|store| store.resume_session(s.id).unwrap().1.len() as u64);
    assert!(resumed == 10 && reads < 20, "{resumed} turns in {reads} reads");
    let (last, reads) = reads_of(&|store| store.last_turns(s.id, 20).unwrap().turns.len() as u64);
    assert!(last == 20 && reads < 20, "{last} turns in {reads} reads");
}

#[test]
fn out_of_range_samples_are_clamped() {
    let put = to_i16(&[0.0, 0.5, -1.0, 1.0, 7.0, -7.0, f32::NAN, f32::INFINITY]);
    assert_eq!(put, [0, 16_384, -32_768, 32_767, 32_767, -32_768, 0, 32_767]);
}

#[test]
fn several_threads_share_a_store() {
    let store = memory();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                let s = session(n);
                store.apply(&[Write::PutSession(s.clone())]).unwrap();
                for k in 1..=10 {
                    store.apply(&[Write::PutTurn(open_turn(s.id, k))]).unwrap();
                    store
                        .apply(&[Write::PutTurn(turn(s.id, k)), reply_audio(&turn(s.id, k), samples(k, 999))])
                        .unwrap();
                    assert_eq!(store.turns(s.id).unwrap().turns.len() as u64, k);
                }
            });
        }
    });
    for n in 0..4 {
        let turns = store.turns(session(n).id).unwrap();
        assert!(turns.is_complete() && turns.turns.len() == 10);
        assert!(turns.turns.iter().all(|turn| turn.state != TurnState::Open));
    }
    assert_eq!(store.session(session(0).id).unwrap().config, config());
}
