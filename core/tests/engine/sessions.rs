//! Sessions by their ids: opened with other settings, closed, ended and read without a handle.

use crate::support::{Host, Reader, config};
use tertulia::catalog::Catalog;
use tertulia::store::{AudioKind, StoreLocation};
use tertulia::testing::scripted::{Gate, Scripted, noise_16k};
use tertulia::{
    EngineBuilder, ErrorCode, EventKind, Result, SessionConfig, SessionEngine, SessionId, SessionUpdate, TurnId,
};

fn code<T>(result: Result<T>) -> ErrorCode {
    result.err().expect("an error").code()
}

#[test]
fn a_session_whose_level_and_voice_are_gone_opens_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("sessions.redb"));
    let mut catalog = Catalog::builtin();
    let own = r#"{"levels": [{"name": "Kids", "description": "d", "instructions": {"en": "Whisper."}}]}"#;
    catalog.merge_json(own).unwrap();
    let builder = || EngineBuilder::new().backends(Scripted::new().backends()).store(location());
    let engine = builder().catalog(catalog).build().unwrap();
    let with_voice = SessionConfig { level: "Kids".into(), voice: Some("es_test".into()), ..config() };
    let id = engine.create_session(with_voice).unwrap().id();
    drop(engine);

    // Of another app version: the level is gone.
    let engine = builder().build().unwrap();
    let update = |json: &str| SessionUpdate::from_json(json).unwrap();
    assert_eq!(code(engine.open_session(id, &update("{}"))), ErrorCode::UnknownLevel);
    assert_eq!(code(engine.open_session(id, &update(r#"{"level": "B1", "voice": "x"}"#))), ErrorCode::UnknownVoice);
    assert_eq!(engine.session(id).unwrap().0.config.level, "Kids", "a failed call stores nothing");
    let session = engine.open_session(id, &update(r#"{"level": "B1", "voice": null}"#)).unwrap();
    assert_eq!((session.config().level.as_str(), session.config().voice), ("B1", None));
    assert_eq!(engine.session(id).unwrap().0.config, session.config(), "the changes are stored");
    assert_eq!(code(engine.open_session(id, &update("{}"))), ErrorCode::SessionBusy);
}

#[test]
fn close_session_needs_no_handle_and_end_session_ends_what_is_open_or_not() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let (id, engine) = (session.id(), &host.engine);
    host.script_turn("Hola.", "Hola.");
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    reader.until_end_of(turn);
    let kept = session.clone();
    engine.close_session(id).unwrap();
    engine.close_session(id).unwrap();
    reader.read_to_the_end();
    assert!(matches!(reader.seen.last().unwrap().kind, EventKind::SessionClosed { ended: false }));
    assert_eq!(code(kept.say("Hola.")), ErrorCode::SessionClosed);

    // Its old handles keep nothing open.
    let again = engine.open_session(id, &SessionUpdate::new()).unwrap();
    let mut reader = Reader::of(&again);
    kept.close();
    again.say("Sigue abierta.").unwrap();
    engine.end_session(id).unwrap();
    reader.read_to_the_end();
    assert!(matches!(reader.seen.last().unwrap().kind, EventKind::SessionClosed { ended: true }));
    assert_eq!(code(engine.audio(id, turn, AudioKind::User)), ErrorCode::AudioGone, "it was kept until the end");
    assert_eq!(engine.turns(id, None, 10).unwrap().turns.len(), 2, "its text is there");
    engine.end_session(id).unwrap();
    engine.close_session(id).unwrap();
    assert_eq!(code(engine.open_session(id, &SessionUpdate::new())), ErrorCode::SessionClosed);
    let unknown = SessionId::new(0);
    assert_eq!(code(engine.end_session(unknown)), ErrorCode::SessionNotFound);
    assert_eq!(code(engine.close_session(unknown)), ErrorCode::SessionNotFound);
}

#[test]
fn end_session_ends_one_that_is_closed_or_just_being_closed() {
    let host = Host::new();
    for is_closing in [false, true] {
        let (session, mut reader) = host.session();
        let id = session.id();
        host.script_turn("Hola.", "Hola.");
        session.push_audio(&noise_16k(500), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        reader.until_end_of(turn);
        host.engine.audio(id, turn, AudioKind::User).unwrap();
        session.close();
        if !is_closing {
            reader.read_to_the_end();
        }
        host.engine.end_session(id).unwrap();
        assert!(host.engine.session(id).unwrap().0.ended_ms.is_some());
        assert_eq!(code(host.engine.audio(id, turn, AudioKind::User)), ErrorCode::AudioGone);
    }
}

#[test]
fn close_session_interrupts_a_turn_whose_backend_waits() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let gate = Gate::new();
    host.scripted.chat.then([
        tertulia::testing::scripted::Cue::Item("La mitad".to_owned()),
        tertulia::testing::scripted::Cue::Wait(gate),
    ]);
    session.send_text("Hola").unwrap();
    reader.until("reply_text_delta");
    host.engine.close_session(session.id()).unwrap();
    reader.read_to_the_end();
    assert_eq!(reader.types().last().unwrap(), "session_closed");
}

#[test]
fn turns_and_audio_are_read_from_the_engine_page_by_page() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let id = session.id();
    for _ in 0..5 {
        let turn = session.say("Hola.").unwrap();
        reader.until_end_of(turn);
    }
    let pages = |limit: usize| {
        let (mut after, mut numbers, mut sizes) = (None, Vec::new(), Vec::new());
        loop {
            let page = host.engine.turns(id, after, limit).unwrap();
            assert!(page.damaged.is_empty() && page.lost == 0);
            sizes.push(page.turns.len());
            numbers.extend(page.turns.iter().map(|turn| turn.turn.0));
            match page.next {
                Some(next) => after = Some(next),
                None => return (numbers, sizes),
            }
        }
    };
    assert_eq!(pages(2), (vec![1, 2, 3, 4, 5], vec![2, 2, 1]));
    assert_eq!(pages(5), (vec![1, 2, 3, 4, 5], vec![5]), "no page is empty but that of an empty session");
    assert_eq!(pages(0).1, [1; 5], "a page has at least one turn");
    let open = host.engine.audio(id, TurnId(2), AudioKind::Reply).unwrap();
    assert_eq!(open, session.audio(TurnId(2), AudioKind::Reply).unwrap());
    session.close();
    assert_eq!(host.engine.audio(id, TurnId(2), AudioKind::Reply).unwrap(), open, "whether it is open or not");
    assert_eq!(code(host.engine.audio(id, TurnId(6), AudioKind::Reply)), ErrorCode::TurnNotFound);
    assert_eq!(code(host.engine.turns(SessionId::new(0), None, 1)), ErrorCode::SessionNotFound);
    assert_eq!(host.engine.turns(id, Some(TurnId(5)), 3).unwrap(), Default::default());
}
