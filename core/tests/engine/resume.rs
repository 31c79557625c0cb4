//! Sessions outlive their handles, their engine and their process.

use crate::support::{Host, Reader, type_of};
use tertulia::event::{EventKind, TurnState};
use tertulia::store::{AudioKind, StoreLocation};
use tertulia::testing::scripted::noise_16k;
use tertulia::{ErrorCode, Keep, SessionEngine};

#[test]
fn a_session_goes_on_in_another_engine_with_all_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (session, mut reader) = host.session();
    host.script_turn("Me llamo Ana.", "¡Hola, Ana!");
    session.push_audio(&noise_16k(900), 16_000).unwrap();
    let first = session.end_utterance().unwrap();
    reader.until_end_of(first);
    let id = session.id();
    session.audio(first, AudioKind::User).unwrap();
    drop((session, reader));
    drop(host);

    let host = Host::with_store(StoreLocation::File(path));
    let listed = host.engine.sessions(None, 10).unwrap().sessions;
    assert_eq!((listed.len(), listed[0].id, listed[0].title.as_str()), (1, id, "Me llamo Ana."));
    let session = host.engine.open_session(id).unwrap();
    let mut reader = Reader::of(&session);
    assert!(matches!(reader.next().kind, EventKind::SessionOpened { resumed: true, turns: 1 }));
    host.scripted.chat.then(["Te llamas Ana."]);
    let second = session.send_text("¿Cómo me llamo?").unwrap();
    assert!(second > first);
    reader.until_end_of(second);
    let request = &host.scripted.chat.requests()[0];
    let said: Vec<&str> = request.messages[request.pinned..].iter().map(|m| m.content.as_str()).collect();
    assert_eq!(said, ["Me llamo Ana.", "¡Hola, Ana!", "¿Cómo me llamo?"]);
    let turns = session.turns().unwrap();
    assert_eq!(turns.iter().map(|turn| turn.state).collect::<Vec<_>>(), [TurnState::Finished; 2]);
    // By default audio stays until the session ends.
    let audio = session.audio(first, AudioKind::User).unwrap();
    assert_eq!((audio.rate, audio.samples.len()), (16_000, 900 * 16));
    session.audio(first, AudioKind::Reply).unwrap();
    session.end().unwrap();
    reader.read_to_the_end();
    let gone = host.engine.export_session_to(id, &mut Vec::new()).unwrap();
    assert_eq!((gone.turns, gone.audio), (2, 0), "no audio outlives the session, its text does");
}

#[test]
fn a_handle_that_is_dropped_can_be_had_again_at_once() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.chat.then(["Hola."]);
    let turn = session.send_text("Hola").unwrap();
    reader.until_end_of(turn);
    let id = session.id();
    for _ in 0..20 {
        drop(host.engine.open_session(id).map_err(|error| assert_eq!(error.code(), ErrorCode::SessionBusy)));
    }
    drop((session, reader));
    for round in 0..20 {
        let session = host.engine.open_session(id).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(session.turns().unwrap().len(), 1);
    }
}

#[test]
fn a_turn_under_way_when_the_handle_goes_is_stored_as_far_as_it_came() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let gate = tertulia::testing::scripted::Gate::new();
    host.scripted.chat.then([
        tertulia::testing::scripted::Cue::Item("La mitad".to_owned()),
        tertulia::testing::scripted::Cue::Wait(gate),
    ]);
    session.send_text("Hola").unwrap();
    reader.until("reply_text_delta");
    let id = session.id();
    drop(session);
    reader.read_to_the_end();
    let (_, turns) = host.engine.session(id).unwrap();
    assert!(matches!(turns.turns[0].state, TurnState::Interrupted { .. }));
    assert_eq!(turns.turns[0].reply_text, "La mitad");
}

#[test]
fn what_the_rule_forbids_is_not_kept() {
    let host = Host::new();
    let mut config = crate::support::config();
    config.playback = tertulia::Playback::Assumed;
    config.retention.user_audio = Keep::Never;
    config.retention.reply_audio = Keep::Never;
    let (session, mut reader) = host.session_with(config);
    host.script_turn("Hola.", "Hola.");
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    reader.until_end_of(turn);
    for kind in [AudioKind::User, AudioKind::Reply] {
        assert_eq!(session.audio(turn, kind).unwrap_err().code(), ErrorCode::AudioGone);
    }
    assert_eq!(session.retry_turn(turn).unwrap_err().code(), ErrorCode::AudioGone);
}

#[test]
fn an_engine_that_is_shut_down_has_stored_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (session, _reader) = host.session();
    host.scripted.chat.then(["Hola."]);
    let turn = session.send_text("Hola").unwrap();
    host.engine.shut_down();
    assert_eq!(session.send_text("¿Hola?").unwrap_err().code(), ErrorCode::EngineClosed);
    drop(host);
    drop(session);
    let host = Host::with_store(StoreLocation::File(path));
    let page = host.engine.sessions(None, 1).unwrap();
    let (_, turns) = host.engine.session(page.sessions[0].id).unwrap();
    assert_eq!(turns.turns[0].turn, turn);
    assert_ne!(turns.turns[0].state, TurnState::Open);
    assert_eq!(
        type_of(&tertulia::Event { kind: EventKind::PlaybackFlush, seq: 1, session: None, turn: None, at_ms: 0 }),
        "playback_flush"
    );
}
