//! The list of sessions, filtered and searched.

mod store_support;

use store_support::{MINUTE_MS, NOW_MS, memory, session, turn};
use tertulia::store::{
    ImportOptions, SessionPage, SessionQuery, SessionRecord, Store, StoreKey, StoreLocation, StoreOptions, Write,
};
use tertulia::{Keep, SessionId};

/// All sessions that match, and how many pages they took.
fn search(store: &Store, query: &SessionQuery, limit: usize) -> (Vec<SessionId>, usize) {
    let (mut found, mut after) = (Vec::new(), None);
    for pages in 1.. {
        let SessionPage { sessions, damaged, next, .. } = store.sessions(query, after, limit).unwrap();
        assert!(damaged.is_empty() && sessions.len() <= limit);
        found.extend(sessions.iter().map(|session| session.id));
        if next.is_none() {
            return (found, pages);
        }
        assert_ne!(next, after, "a page goes on");
        after = next;
    }
    unreachable!()
}

fn found(store: &Store, query: &str) -> Vec<u64> {
    let (found, pages) = search(store, &SessionQuery::from_json(query).unwrap(), 100);
    assert_eq!(pages, 1);
    found.iter().map(|id| u64::from(id.0.as_u128() as u16)).collect()
}

fn put(store: &Store, record: &SessionRecord, said: &str, replied: &str) {
    let said = said.to_owned();
    let mut turn = turn(record.id, 1);
    (turn.transcript, turn.user_text, turn.reply_text) = (None, said, replied.to_owned());
    store.apply(&[Write::PutSession(record.clone()), Write::PutTurn(turn)]).unwrap();
}

/// Three sessions: of the beach, of a café, and of one whose texts are not kept.
fn fill(store: &Store) {
    let mut first = session(1);
    first.title = "Ayer fui a la PLAYA.".into();
    first.config.metadata = [("course".into(), "es-1".into()), ("pupil".into(), "7".into())].into();
    put(store, &first, "Ayer fui a la PLAYA.", "¿Con quién? Στην ΟΔΟΣ.");
    let mut second = session(2);
    second.config.scenario = "cafe".into();
    second.config.metadata = [("course".into(), "es-2".into())].into();
    second.config.title = Some("Übung: Straße".into());
    second.title = "Un café, por favor.".into();
    put(store, &second, "Un CAFÉ, por favor.", "¿Con leche?");
    let mut third = session(3);
    third.config.retention.text = Keep::Never;
    third.config.title = Some("Geheim".into());
    third.title = "Un secreto.".into();
    put(store, &third, "Un secreto en la playa.", "Calla.");
}

fn check(store: &Store) {
    assert_eq!(found(store, "{}"), [3, 2, 1]);
    for (text, sessions) in [
        ("playa", &[1][..]),
        ("PLAYA", &[1]),
        ("con", &[2, 1]),
        ("café", &[2]),
        ("CAFÉ,", &[2]),
        ("cafe,", &[]),
        ("οδος", &[1]),
        ("STRASSE", &[2]),
        ("secreto", &[]),
        ("geHEIM", &[3]),
        ("Calla", &[]),
        ("ayer fui a la playa.¿con", &[]),
        ("", &[3, 2, 1]),
    ] {
        assert_eq!(found(store, &format!(r#"{{"text": "{text}"}}"#)), sessions, "{text}");
    }
    // The host's title stands in place of the first words.
    assert_eq!(found(store, r#"{"title": "playa"}"#), [1]);
    assert_eq!(found(store, r#"{"title": "übung"}"#), [2]);
    assert_eq!(found(store, r#"{"title": "por favor"}"#), [0; 0]);
    assert_eq!(found(store, r#"{"scenario": "cafe"}"#), [2]);
    assert_eq!(found(store, r#"{"scenario": "caf"}"#), [0; 0]);
    assert_eq!(found(store, r#"{"metadata": {"course": "es-1"}}"#), [1]);
    assert_eq!(found(store, r#"{"metadata": {"course": "es-1", "pupil": "8"}}"#), [0; 0]);
    let at = |n| NOW_MS + n * MINUTE_MS;
    for name in ["created", "updated"] {
        assert_eq!(found(store, &format!(r#"{{"{name}_from_ms": {}}}"#, at(2))), [3, 2]);
        assert_eq!(found(store, &format!(r#"{{"{name}_before_ms": {}}}"#, at(2))), [1]);
        let between = format!(r#"{{"{name}_from_ms": {}, "{name}_before_ms": {}, "text": "CON"}}"#, at(2), at(3));
        assert_eq!(found(store, &between), [2]);
    }
}

#[test]
fn sessions_are_found_by_title_text_scenario_date_and_metadata() {
    let store = memory();
    fill(&store);
    check(&store);
    let summary = &store.sessions(&SessionQuery::default(), None, 2).unwrap().sessions[1];
    assert_eq!((summary.title.as_str(), summary.scenario.as_str()), ("Übung: Straße", "cafe"));
    assert_eq!(summary.metadata["course"], "es-2");
    // What is exported and imported is found as before.
    let elsewhere = memory();
    for n in [3, 1, 2] {
        let mut file = Vec::new();
        store.export_to(session(n).id, Box::new(&mut file)).wait().unwrap();
        elsewhere.import_from(Box::new(std::io::Cursor::new(file)), ImportOptions::default(), NOW_MS).wait().unwrap();
    }
    check(&elsewhere);
}

#[test]
fn an_encrypted_store_is_searched_as_well() {
    let options = StoreOptions { key: Some(StoreKey::new([3; 32])), ..StoreOptions::default() };
    let store = Store::open_with(StoreLocation::Memory, options, NOW_MS).unwrap();
    fill(&store);
    check(&store);
}

#[test]
fn texts_that_a_sweep_deleted_are_not_found() {
    let store = memory();
    let mut record = session(1);
    record.config.retention.text = Keep::ForMs(MINUTE_MS);
    put(&store, &record, "Ayer fui a la playa.", "¡Qué bien!");
    assert_eq!(found(&store, r#"{"text": "qué BIEN"}"#), [1]);
    store.sweep(NOW_MS + 10 * MINUTE_MS, false).unwrap();
    assert_eq!(found(&store, r#"{"text": "qué BIEN"}"#), [0; 0]);
}

#[test]
fn an_unknown_filter_is_an_error() {
    let error = SessionQuery::from_json(r#"{"metadate": {}}"#).unwrap_err();
    assert_eq!((error.code(), error.detail()), (tertulia::ErrorCode::InvalidConfig, "metadate: unknown field"));
}

#[test]
fn a_search_goes_through_everything_in_pages_of_bounded_work() {
    let store = memory();
    // Four sessions, each of more turns than a page looks through.
    for n in 1..=4 {
        let record = session(n);
        let mut writes = vec![Write::PutSession(record.clone())];
        for number in 1..=2_500 {
            let mut turn = turn(record.id, number);
            (turn.started_ms, turn.ended_ms) = (NOW_MS, Some(NOW_MS));
            if number == 2_000 && n % 2 == 0 {
                turn.reply_text = format!("¡La aguja {n}!");
            }
            writes.push(Write::PutTurn(turn));
        }
        store.apply(&writes).unwrap();
    }
    let query = |text: &str| SessionQuery { text: Some(text.into()), ..SessionQuery::default() };
    let (found, pages) = search(&store, &query("LA AGUJA"), 100);
    assert_eq!(found, [4, 2].map(|n| session(n).id));
    assert!(pages > 4, "{pages} pages");
    assert_eq!(search(&store, &query("LA AGUJA"), 1).0, found);
    assert_eq!(search(&store, &query("camello"), 100).0, []);
    let page = store.sessions(&query("camello"), None, 100).unwrap();
    assert!(page.sessions.is_empty() && page.next.unwrap().turn.is_some());
    // A filter of the list alone is bounded, too.
    let store = memory();
    store.apply(&(0..3_000).map(|n| Write::PutSession(session(n))).collect::<Vec<_>>()).unwrap();
    let library = SessionQuery { scenario: Some("library".into()), ..SessionQuery::default() };
    assert_eq!(search(&store, &library, 100), (vec![], 3));
    assert_eq!(search(&store, &SessionQuery::default(), 3_000).1, 1);
}
