//! The list of sessions, and deleting one.

mod store_support;

use store_support::{MINUTE_MS, NOW_MS, code, memory, reply_audio, samples, session, turn, user_audio};
use tertulia::store::{AudioKind, SessionSummary, Store, StoreLocation, Summary, Write};
use tertulia::testing::fault::FaultyDisk;
use tertulia::{ErrorCode, SessionId, TurnId};

/// All pages, each of at most `limit` sessions.
fn list(store: &Store, limit: usize) -> Vec<SessionSummary> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.sessions(&Default::default(), after, limit).unwrap();
        assert!(page.damaged.is_empty());
        assert!(page.sessions.len() == limit || page.next.is_none());
        all.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

#[test]
fn a_thousand_sessions_are_listed_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("store.redb"));
    let store = Store::open(location(), NOW_MS).unwrap();
    // Created in an order that is not the one of their times; several share a time.
    let mut sessions: Vec<_> = (0..1000).map(|n| session(n * 7 % 1000)).collect();
    for session in &mut sessions {
        session.updated_ms -= session.updated_ms % (2 * MINUTE_MS);
    }
    store.apply(&sessions.iter().cloned().map(Write::PutSession).collect::<Vec<_>>()).unwrap();
    sessions.sort_by_key(|session| std::cmp::Reverse((session.updated_ms, session.id)));
    let expected: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
    for limit in [1000, 333, 20, 1001] {
        let listed: Vec<SessionId> = list(&store, limit).iter().map(|summary| summary.id).collect();
        assert_eq!(listed, expected, "pages of {limit}");
    }
    // A turn in the oldest brings it to the front, and a page begun before goes on where it was.
    let first = store.sessions(&Default::default(), None, 10).unwrap();
    let oldest = *expected.last().unwrap();
    let mut recent = turn(oldest, 1);
    recent.ended_ms = Some(NOW_MS + 2000 * MINUTE_MS);
    store.apply(&[Write::PutTurn(recent)]).unwrap();
    let front = &store.sessions(&Default::default(), None, 1).unwrap().sessions[0];
    assert_eq!((front.id, front.turns, front.updated_ms), (oldest, 1, NOW_MS + 2000 * MINUTE_MS));
    assert_eq!((front.native.as_str(), front.target.as_str()), ("en", "es-MX"));
    let second = store.sessions(&Default::default(), first.next, 10).unwrap();
    assert_eq!(second.sessions.iter().map(|summary| summary.id).collect::<Vec<_>>(), expected[10..20]);
    drop(store);
    let store = Store::open(location(), NOW_MS).unwrap();
    assert_eq!(list(&store, 100).len(), 1000);
    assert_eq!(store.sessions(&Default::default(), None, 0).unwrap().sessions.len(), 1);
}

#[test]
fn an_empty_store_has_an_empty_list() {
    let page = memory().sessions(&Default::default(), None, 10).unwrap();
    assert!(page.sessions.is_empty() && page.next.is_none());
}

#[test]
fn a_deleted_session_leaves_no_record() {
    let store = memory();
    for n in 1..=3 {
        let s = session(n);
        let t = turn(s.id, 1);
        let (user, reply) = (user_audio(&t, samples(n, 50_000)), reply_audio(&t, samples(n, 10)));
        store.apply(&[Write::PutSession(s), Write::PutTurn(t), user, reply]).unwrap();
    }
    let gone = session(2);
    store.delete_session(gone.id).unwrap();
    assert_eq!(code(store.session(gone.id)), ErrorCode::SessionNotFound);
    assert_eq!(code(store.turns(gone.id)), ErrorCode::SessionNotFound);
    assert_eq!(code(store.audio(gone.id, TurnId(1), AudioKind::User)), ErrorCode::SessionNotFound);
    assert_eq!(code(store.delete_session(gone.id)), ErrorCode::SessionNotFound);
    assert_eq!(list(&store, 10).iter().map(|s| s.id).collect::<Vec<_>>(), [session(3).id, session(1).id]);
    assert!(store.audio(session(3).id, TurnId(1), AudioKind::User).unwrap().samples == samples(3, 50_000));
    // The id can be used again, for a session that has nothing of the old one.
    store.apply(&[Write::PutSession(gone.clone()), Write::PutTurn(turn(gone.id, 2))]).unwrap();
    let turns = store.turns(gone.id).unwrap();
    assert!(turns.is_complete());
    assert_eq!(turns.turns, [turn(gone.id, 2)]);
}

#[test]
fn a_session_resumes_with_its_summary_and_the_turns_after_it() {
    let disk = FaultyDisk::new();
    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let mut s = session(1);
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    store.apply(&(1..=300).map(|n| Write::PutTurn(turn(s.id, n))).collect::<Vec<_>>()).unwrap();
    assert_eq!(
        store.resume_session(s.id).unwrap().1,
        store.turns(s.id).unwrap().turns,
        "without a summary, with all of them"
    );
    let summary = |through| Summary::new("Hablamos mucho.", TurnId(1), TurnId(through));
    for through in [200, 297] {
        store.apply(&[Write::PutSummary { session: s.id, summary: summary(through) }]).unwrap();
    }
    // New settings leave the summary.
    s.title = "Otro título".into();
    store.apply(&[Write::PutSession(s.clone())]).unwrap();
    drop(store);

    let store = Store::open(disk.location(), NOW_MS).unwrap();
    let (session, turns) = store.resume_session(s.id).unwrap();
    assert_eq!((session.title.as_str(), session.turns, session.summary), ("Otro título", 300, Some(summary(297))));
    assert_eq!(turns.iter().map(|turn| turn.turn.0).collect::<Vec<_>>(), [298, 299, 300]);
    assert_eq!(store.turns(s.id).unwrap().turns.len(), 300);
}
