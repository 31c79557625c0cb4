//! Retention, sweeps, the quota and deletion.

mod store_support;

use store_support::{MINUTE_MS, NOW_MS, code, memory, open_turn, reply_audio, samples, session, turn, user_audio};
use tertulia::event::{Stage, TurnOrigin};
use tertulia::store::{
    AudioKind, SessionRecord, Store, StoreLocation, StoreOptions, Summary, Swept, TurnRecord, TurnState, Write,
};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, Keep, Retention, SessionId, TurnId};

const HOUR_MS: u64 = 60 * MINUTE_MS;

fn session_with(n: u64, retention: Retention) -> SessionRecord {
    let mut session = session(n);
    session.config.retention = retention;
    session
}

/// A session of `turns` finished turns, each with both audios.
fn talk(store: &Store, session: &SessionRecord, turns: u64) {
    store.apply(&[Write::PutSession(session.clone())]).unwrap();
    for n in 1..=turns {
        let turn = turn(session.id, n);
        let (user, reply) = (user_audio(&turn, samples(n, 1000)), reply_audio(&turn, samples(n, 500)));
        store.apply(&[Write::PutTurn(turn), user, reply]).unwrap();
    }
}

fn has_audio(store: &Store, id: SessionId, turn: u64) -> [bool; 2] {
    [AudioKind::User, AudioKind::Reply].map(|kind| match store.audio(id, TurnId(turn), kind) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::AudioGone);
            false
        }
    })
}

fn has_text(turn: &TurnRecord) -> bool {
    let texts = [!turn.user_text.is_empty(), !turn.reply_text.is_empty(), turn.transcript.is_some()];
    assert!(texts.iter().all(|&has| has == texts[0]), "a text went without the others");
    assert_eq!(texts[0], !turn.text_gone);
    texts[0]
}

#[test]
fn instructions_go_with_the_texts() {
    let store = memory();
    let s = session_with(1, Retention { text: Keep::ForMs(HOUR_MS), ..Retention::default() });
    let mut reply = TurnRecord::new(s.id, TurnId(1), TurnOrigin::Reply, NOW_MS);
    (reply.instructions, reply.reply_text) = ("Pregunta por Ana.".into(), "¿Y Ana?".into());
    (reply.state, reply.ended_ms) = (TurnState::Finished, Some(NOW_MS));
    store.apply(&[Write::PutSession(s.clone()), Write::PutTurn(reply.clone())]).unwrap();
    assert_eq!(store.turn(s.id, TurnId(1)).unwrap(), reply);
    assert_eq!(store.sweep(NOW_MS + HOUR_MS, false).unwrap().texts, 1);
    let swept = store.turn(s.id, TurnId(1)).unwrap();
    assert!(swept.text_gone && swept.instructions.is_empty() && swept.reply_text.is_empty());
}

#[test]
fn default_retention_keeps_no_audio_after_the_session() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = session(1);
    talk(&store, &s, 3);
    assert_eq!(store.sweep(NOW_MS + 1000 * HOUR_MS, false).unwrap(), Swept::default());
    assert_eq!(has_audio(&store, s.id, 2), [true, true]);
    let end_ms = NOW_MS + HOUR_MS;
    store.apply(&[Write::EndSession { id: s.id, now_ms: end_ms }]).unwrap();
    let ended = store.session(s.id).unwrap();
    assert_eq!((ended.ended_ms, ended.updated_ms, ended.turns), (Some(end_ms), end_ms, 3));
    for turn in store.turns(s.id).unwrap().turns {
        assert_eq!((turn.user_audio, turn.reply_audio), (None, None));
        assert_eq!(has_audio(&store, s.id, turn.turn.0), [false, false]);
        assert!(has_text(&turn));
    }
    // Ending again, or late audio, changes nothing.
    let late = [Write::EndSession { id: s.id, now_ms: end_ms + 5 }, user_audio(&turn(s.id, 1), samples(1, 10))];
    store.apply(&late).unwrap();
    assert_eq!(store.session(s.id).unwrap().ended_ms, Some(end_ms));
    assert_eq!(has_audio(&store, s.id, 1), [false, false]);
    assert_eq!(code(store.apply(&[Write::EndSession { id: session(9).id, now_ms: 0 }])), ErrorCode::SessionNotFound);
}

#[test]
fn retention_never_writes_nothing() {
    let never = Retention { user_audio: Keep::Never, reply_audio: Keep::Never, text: Keep::Never };
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = session_with(1, never);
    talk(&store, &s, 3);
    store.apply(&[Write::PutTurn(open_turn(s.id, 4)), Write::PutSession(s.clone())]).unwrap();
    drop(store);
    let bytes = disk.bytes();
    let sound: Vec<u8> = samples(2, 1000)[..8].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    for secret in ["Qué tal".as_bytes(), b"Muy bien", b"session 1", &sound] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "found in the file");
    }
    // It goes on nevertheless, with its settings and its count.
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let found = store.session(s.id).unwrap();
    assert_eq!((found.config, found.next_turn, found.turns, found.title.as_str()), (s.config, 5, 4, ""));
    let turns = store.turns(s.id).unwrap().turns;
    assert!(turns.iter().all(|turn| !has_text(turn) && turn.state != TurnState::Open));
    assert_eq!(has_audio(&store, s.id, 1), [false, false]);
}

#[test]
fn the_search_for_secrets_finds_them_where_they_are_stored() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    talk(&store, &session(1), 3);
    drop(store);
    let sound: Vec<u8> = samples(2, 1000)[..8].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    for text in ["Qué tal".as_bytes(), b"Muy bien", b"session 1", &sound] {
        assert!(disk.bytes().windows(text.len()).any(|window| window == text));
    }
}

#[test]
fn retention_expires_each_kind_by_its_own_rule() {
    let store = memory();
    let retention =
        Retention { user_audio: Keep::ForMs(HOUR_MS), reply_audio: Keep::Forever, text: Keep::ForMs(2 * HOUR_MS) };
    let s = session_with(1, retention);
    talk(&store, &s, 3);
    let ended = |n| turn(s.id, n).ended_ms.unwrap();
    // Dry runs tell what a sweep would do, and do nothing.
    for (now_ms, user_audio, texts) in [
        (ended(1) + HOUR_MS - 1, 0, 0),
        (ended(2) + HOUR_MS, 2, 0),
        (ended(1) + 2 * HOUR_MS, 1, 1),
        (ended(3) + 2 * HOUR_MS, 0, 2),
        (ended(3) + 99 * HOUR_MS, 0, 0),
    ] {
        let mut expected = Swept::default();
        (expected.user_audio, expected.texts, expected.audio_bytes) = (user_audio, texts, user_audio * 2000);
        assert_eq!(store.sweep(now_ms, true).unwrap(), expected);
        assert_eq!(store.sweep(now_ms, true).unwrap(), expected);
        assert_eq!(store.sweep(now_ms, false).unwrap(), expected);
    }
    let turns = store.turns(s.id).unwrap();
    assert!(turns.is_complete());
    assert!(turns.turns.iter().all(|turn| !has_text(turn)));
    assert_eq!(has_audio(&store, s.id, 3), [false, true]);
    assert_eq!(store.session(s.id).unwrap().title, "", "the title is text too");
    // A turn that comes later has a time of its own.
    let mut later = turn(s.id, 4);
    later.ended_ms = Some(ended(3) + 100 * HOUR_MS);
    store.apply(&[Write::PutTurn(later)]).unwrap();
    assert_eq!(store.sweep(ended(3) + 101 * HOUR_MS, false).unwrap().texts, 0);
    assert_eq!(store.sweep(ended(3) + 102 * HOUR_MS, false).unwrap().texts, 1);
}

#[test]
fn retention_deletes_nothing_early_after_the_clock_was_put_back() {
    let store = memory();
    let hour = Keep::ForMs(HOUR_MS);
    talk(&store, &session_with(1, Retention { user_audio: hour, reply_audio: hour, text: hour }), 2);
    for now_ms in [0, NOW_MS - 1000 * HOUR_MS, NOW_MS - 1, NOW_MS + HOUR_MS] {
        assert_eq!(store.sweep(now_ms, false).unwrap(), Swept::default(), "{now_ms}");
    }
    assert_eq!(store.sweep(NOW_MS + 2 * HOUR_MS, false).unwrap().texts, 2);
}

#[test]
fn a_sweep_keeps_the_records_of_an_open_turn() {
    let store = memory();
    let minute = Keep::ForMs(MINUTE_MS);
    let s = session_with(1, Retention { user_audio: minute, reply_audio: minute, text: minute });
    let open = open_turn(s.id, 1);
    store
        .apply(&[Write::PutSession(s.clone()), Write::PutTurn(open.clone()), user_audio(&open, samples(1, 9))])
        .unwrap();
    assert_eq!(store.sweep(NOW_MS + HOUR_MS, false).unwrap(), Swept::default());
    // A failed turn can be retried with its audio until that has aged out.
    let mut failed = turn(s.id, 4);
    failed.turn = TurnId(1);
    let ended_ms = failed.ended_ms.unwrap();
    assert!(matches!(failed.state, TurnState::Failed { .. }));
    store.apply(&[Write::PutTurn(failed)]).unwrap();
    assert_eq!(store.sweep(ended_ms + MINUTE_MS - 1, false).unwrap(), Swept::default());
    assert_eq!(has_audio(&store, s.id, 1), [true, false]);
    assert_eq!(store.sweep(ended_ms + MINUTE_MS, false).unwrap().user_audio, 1);
    assert_eq!(has_audio(&store, s.id, 1), [false, false]);
}

#[test]
fn text_kept_until_the_session_ends_is_deleted_with_its_end() {
    let store = memory();
    let until_end = Keep::UntilSessionEnd;
    let s = session_with(1, Retention { user_audio: Keep::Forever, reply_audio: until_end, text: until_end });
    talk(&store, &s, 3);
    assert!(store.turns(s.id).unwrap().turns.iter().all(has_text));
    store.apply(&[Write::EndSession { id: s.id, now_ms: NOW_MS + HOUR_MS }]).unwrap();
    let turns = store.turns(s.id).unwrap().turns;
    assert!(turns.len() == 3 && !turns.iter().any(has_text));
    assert_eq!(has_audio(&store, s.id, 2), [true, false]);
    assert_eq!(store.session(s.id).unwrap().title, "");
    store.apply(&[Write::PutTurn(turn(s.id, 3))]).unwrap();
    assert!(!has_text(&store.turn(s.id, TurnId(3)).unwrap()), "a late write brought the text back");
}

#[test]
fn a_long_session_is_deleted_in_small_transactions() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let s = session(1);
    let mut writes = vec![Write::PutSession(s.clone()), Write::PutSession(session(2))];
    for n in 1..=250 {
        let turn = turn(s.id, n);
        writes.extend([user_audio(&turn, samples(n, 20)), reply_audio(&turn, samples(n, 20))]);
        writes.insert(2, Write::PutTurn(turn));
    }
    // One recording alone has more rows than a transaction deletes.
    writes.push(user_audio(&turn(s.id, 7), vec![7; 250 * 32_672]));
    writes.push(Write::PutTurn(turn(session(2).id, 1)));
    store.apply(&writes).unwrap();
    store.apply(&[Write::EndSession { id: s.id, now_ms: NOW_MS + HOUR_MS }]).unwrap();
    let turns = store.turns(s.id).unwrap();
    assert!(turns.is_complete() && turns.turns.len() == 250);
    assert!(turns.turns.iter().all(|turn| turn.user_audio.is_none() && turn.reply_audio.is_none()));
    assert_eq!(store.sweep(NOW_MS + HOUR_MS, true).unwrap(), Swept::default());
    store.delete_session(s.id).unwrap();
    assert_eq!(code(store.turns(s.id)), ErrorCode::SessionNotFound);
    assert_eq!(store.turns(session(2).id).unwrap().turns.len(), 1);
    drop(store);
    assert_eq!(
        rows(&disk),
        1 + 1 + 1 + 2,
        "sessions, turns and the list hold the other session, and the store itself twice"
    );
}

#[test]
fn a_deletion_that_a_crash_cut_off_is_finished_at_the_next_opening() {
    let clean = FaultyDisk::new();
    let build = |disk: &FaultyDisk| {
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let s = session(1);
        let mut writes = vec![Write::PutSession(s.clone())];
        for n in 1..=120 {
            let turn = turn(s.id, n);
            let (user, reply) = (user_audio(&turn, samples(n, 20)), reply_audio(&turn, samples(n, 20)));
            writes.extend([Write::PutTurn(turn), user, reply]);
        }
        store.apply(&writes).unwrap();
        talk(&store, &session(2), 1);
        store
    };
    let store = build(&clean);
    let before = clean.operations();
    store.delete_session(session(1).id).unwrap();
    let operations = clean.operations() - before;
    drop(store);
    let whole = rows(&clean);
    let bytes = {
        let disk = FaultyDisk::new();
        drop(build(&disk));
        disk.bytes()
    };
    let mut cut_short = 0;
    for nth in (0..operations).step_by(3) {
        let disk = FaultyDisk::from_bytes(bytes.clone());
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        disk.fail_from_operation(nth, std::io::ErrorKind::Other);
        let deleted = store.delete_session(session(1).id);
        let disk = disk.crashed(nth);
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        match store.session(session(1).id) {
            Ok(_) => {
                assert!(deleted.is_err(), "operation {nth}: an acknowledged deletion came undone");
                assert_eq!(has_audio(&store, session(1).id, 1), [true, true], "operation {nth}: half a deletion");
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::SessionNotFound);
                drop(store);
                assert_eq!(rows(&disk), whole, "operation {nth}: rows are left");
                cut_short += 1;
            }
        }
    }
    assert!(cut_short > 3, "{cut_short} of the deletions were cut short: it shows too little");
}

/// How many rows all tables hold together.
fn rows(disk: &FaultyDisk) -> u64 {
    use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle};
    let database = redb::Builder::new().create_with_backend(disk.backend()).unwrap();
    let transaction = database.begin_read().unwrap();
    let tables = transaction.list_tables().unwrap();
    tables
        .map(|table| {
            assert!(!table.name().is_empty());
            transaction.open_untyped_table(table).unwrap().len().unwrap()
        })
        .sum()
}

fn with_quota(bytes: u64) -> Store {
    let options = StoreOptions { audio_bytes_max: Some(bytes), ..StoreOptions::default() };
    Store::open_with(StoreLocation::Memory, options, NOW_MS).unwrap()
}

/// Turns that began one second after the other, each with 10,000 bytes of the learner's audio.
fn fill(store: &Store, number: u64, turns: std::ops::RangeInclusive<u64>, state: TurnState) {
    let mut s = session(number);
    s.config.retention = Retention { user_audio: Keep::Forever, reply_audio: Keep::Forever, text: Keep::Forever };
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    for n in turns {
        let mut said = turn(s.id, n);
        (said.started_ms, said.state) = (NOW_MS + n * 1000, state);
        store.apply(&[Write::PutTurn(said.clone()), user_audio(&said, samples(n, 5_000))]).unwrap();
    }
}

fn kept(store: &Store, number: u64, n: u64) -> bool {
    store.audio(session(number).id, TurnId(n), AudioKind::User).is_ok()
}

#[test]
fn quota_evicts_the_oldest_audio_of_all_sessions_first() {
    let store = with_quota(100_000);
    fill(&store, 1, 1..=4, TurnState::Finished);
    fill(&store, 2, 5..=12, TurnState::Finished);
    assert!(store.may_exceed_quota());
    let preview = store.sweep(NOW_MS, true).unwrap();
    let swept = store.sweep(NOW_MS, false).unwrap();
    assert_eq!(preview, swept, "what is shown is what happens");
    assert_eq!((swept.user_audio, swept.audio_bytes, swept.texts), (3, 30_000, 0));
    let left: Vec<u64> = (1..=12).filter(|&n| kept(&store, if n < 5 { 1 } else { 2 }, n)).collect();
    assert_eq!(left, (4..=12).collect::<Vec<_>>());
    assert!(!store.may_exceed_quota());
    assert!(store.sweep(NOW_MS, false).unwrap().is_empty());
    assert_eq!(code(store.audio(session(1).id, TurnId(1), AudioKind::User)), ErrorCode::AudioGone);
    assert!(store.turns(session(1).id).unwrap().is_complete(), "texts stay");
}

#[test]
fn quota_evicts_audio_for_a_retry_last_and_of_an_open_turn_never() {
    let store = with_quota(50_000);
    let failed = TurnState::Failed { stage: Stage::Recognise, code: ErrorCode::RecognizerFailed };
    fill(&store, 1, 1..=2, failed);
    fill(&store, 2, 3..=4, TurnState::Open);
    fill(&store, 3, 5..=6, TurnState::Finished);
    store.sweep(NOW_MS, false).unwrap();
    assert!(kept(&store, 1, 1) && kept(&store, 1, 2), "failed turns can still be tried again");
    assert!(kept(&store, 2, 3) && kept(&store, 2, 4));
    assert!(!kept(&store, 3, 5) && !kept(&store, 3, 6));
    // Only turns under way and failed ones are left, and there is too much again.
    fill(&store, 4, 7..=8, TurnState::Open);
    store.sweep(NOW_MS, false).unwrap();
    assert!(!kept(&store, 1, 1) && kept(&store, 1, 2));
    assert!((3..=4).all(|n| kept(&store, 2, n)) && (7..=8).all(|n| kept(&store, 4, n)));
}

#[test]
fn a_quota_holds_for_a_store_that_was_filled_without_one() {
    let disk = FaultyDisk::new();
    fill(&Store::open(disk.location(), NOW_MS).unwrap(), 1, 1..=12, TurnState::Finished);
    let options = StoreOptions { audio_bytes_max: Some(0), ..StoreOptions::default() };
    let store = Store::open_with(disk.location(), options, NOW_MS).unwrap();
    store.sweep(NOW_MS, false).unwrap();
    assert!((1..=12).all(|n| !kept(&store, 1, n)));
}

fn put_summary(store: &Store, session: SessionId, from: u64, through: u64) {
    let summary = Summary::new("Se llama Ximena.", TurnId(from), TurnId(through));
    store.apply(&[Write::PutSummary { session, summary }]).unwrap();
}

fn has_summary(store: &Store, session: SessionId) -> bool {
    store.session(session).unwrap().summary.is_some()
}

#[test]
fn a_summary_is_deleted_with_the_first_text_that_it_covers() {
    let store = memory();
    let text = Keep::ForMs(HOUR_MS);
    let s = session_with(1, Retention { text, ..Retention::default() });
    talk(&store, &s, 6);
    let ended = |n| turn(s.id, n).ended_ms.unwrap();
    put_summary(&store, s.id, 2, 4);
    assert_eq!(store.sweep(ended(1) + HOUR_MS, false).unwrap().texts, 1);
    assert!(has_summary(&store, s.id), "it is not about turn 1");
    assert_eq!(store.sweep(ended(2) + HOUR_MS, false).unwrap().texts, 1);
    assert!(!has_summary(&store, s.id));
    // One that was made of it, and comes later, must not bring it back; one of what is left may.
    put_summary(&store, s.id, 2, 5);
    assert!(!has_summary(&store, s.id));
    put_summary(&store, s.id, 3, 5);
    assert!(has_summary(&store, s.id));
}

#[test]
fn a_summary_is_not_kept_where_retention_forbids_text() {
    for (text, is_written) in [(Keep::Never, false), (Keep::UntilSessionEnd, true)] {
        let disk = FaultyDisk::new();
        let store = Store::open(disk.location(), NOW_MS).unwrap();
        let s = session_with(1, Retention { text, ..Retention::default() });
        talk(&store, &s, 3);
        put_summary(&store, s.id, 1, 2);
        assert_eq!(has_summary(&store, s.id), is_written);
        store.apply(&[Write::EndSession { id: s.id, now_ms: NOW_MS + HOUR_MS }]).unwrap();
        assert!(!has_summary(&store, s.id));
        put_summary(&store, s.id, 1, 2);
        assert!(!has_summary(&store, s.id));
    }
    // Settings that forbid texts from now on take it away at once, like the title.
    let store = memory();
    let mut s = session(1);
    talk(&store, &s, 3);
    put_summary(&store, s.id, 1, 2);
    s.config.retention.text = Keep::Never;
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    assert!(!has_summary(&store, s.id));
}
