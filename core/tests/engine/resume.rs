//! Sessions resumed in another handle, engine or process; retention, quota and compaction.

use crate::support::{Host, Reader, conversation, type_of};
use std::time::Duration;
use tertulia::event::{EventKind, TurnState};
use tertulia::store::{AudioKind, StoreLocation, StoreOptions};
use tertulia::testing::scripted::noise_16k;
use tertulia::{EngineBuilder, ErrorCode, Keep, SessionEngine, SessionUpdate};

#[test]
fn a_session_resumes_in_another_engine_with_its_context() {
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
    let listed = host.engine.sessions(&Default::default(), None, 10).unwrap().sessions;
    assert_eq!((listed.len(), listed[0].id, listed[0].title.as_str()), (1, id, "Me llamo Ana."));
    let session = host.engine.open_session(id, &SessionUpdate::new()).unwrap();
    let mut reader = Reader::of(&session);
    assert!(matches!(reader.next().kind, EventKind::SessionOpened { resumed: true, turns: 1 }));
    host.scripted.chat.then(["Te llamas Ana."]);
    let second = session.send_text("¿Cómo me llamo?").unwrap();
    assert!(second > first);
    reader.until_end_of(second);
    let request = &host.scripted.chat.requests()[0];
    let said: Vec<&str> = conversation(request).iter().map(|m| m.content.as_str()).collect();
    assert_eq!(said, ["Me llamo Ana.", "¡Hola, Ana!", "¿Cómo me llamo?"]);
    let turns = session.turns().unwrap();
    assert_eq!(turns.iter().map(|turn| turn.state).collect::<Vec<_>>(), [TurnState::Finished; 2]);
    // By default audio stays until the session ends.
    let audio = session.audio(first, AudioKind::User).unwrap();
    assert_eq!((audio.rate, audio.samples.len()), (16_000, 900 * 16));
    session.audio(first, AudioKind::Reply).unwrap();
    session.end().unwrap();
    reader.read_to_the_end();
    let gone = host.engine.export_session_to(id, Box::new(&mut Vec::new())).wait().unwrap();
    assert_eq!((gone.turns, gone.audio), (2, 0), "no audio outlives the session, its text does");
}

#[test]
fn a_session_can_be_reopened_right_after_its_handle_is_dropped() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.chat.then(["Hola."]);
    let turn = session.send_text("Hola").unwrap();
    reader.until_end_of(turn);
    let id = session.id();
    for _ in 0..20 {
        drop(
            host.engine
                .open_session(id, &SessionUpdate::new())
                .map_err(|error| assert_eq!(error.code(), ErrorCode::SessionBusy)),
        );
    }
    drop((session, reader));
    for round in 0..20 {
        let session = host
            .engine
            .open_session(id, &SessionUpdate::new())
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(session.turns().unwrap().len(), 1);
    }
}

#[test]
fn dropping_the_handle_stores_the_turn_under_way() {
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
fn retention_never_stores_nothing() {
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
fn shut_down_stores_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (session, _reader) = host.session();
    host.scripted.chat.then(["Hola."]);
    let turn = session.send_text("Hola").unwrap();
    assert!(host.engine.shut_down(Duration::from_secs(10)).unwrap().is_empty());
    assert_eq!(session.send_text("¿Hola?").unwrap_err().code(), ErrorCode::EngineClosed);
    drop(host);
    drop(session);
    let host = Host::with_store(StoreLocation::File(path));
    let page = host.engine.sessions(&Default::default(), None, 1).unwrap();
    let (_, turns) = host.engine.session(page.sessions[0].id).unwrap();
    assert_eq!(turns.turns[0].turn, turn);
    assert_ne!(turns.turns[0].state, TurnState::Open);
    assert_eq!(type_of(&tertulia::Event::new(EventKind::PlaybackFlush, 1, 0)), "playback_flush");
}

#[test]
fn expired_audio_is_swept_soon_after_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let mut config = crate::support::config();
    config.playback = tertulia::Playback::Assumed;
    config.retention.user_audio = Keep::ForMs(300);
    let (session, mut reader) = host.session_with(config);
    host.script_turn("Hola.", "Hola.");
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    reader.until_end_of(turn);
    let id = session.id();
    session.audio(turn, AudioKind::User).unwrap();
    drop((session, reader, host));
    std::thread::sleep(Duration::from_millis(400));
    let host = Host::with_store(StoreLocation::File(path));
    let kept = || host.engine.session(id).unwrap().1.turns[0].user_audio.is_some();
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while kept() {
        assert!(std::time::Instant::now() < until, "no sweep");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(host.engine.session(id).unwrap().1.turns[0].reply_audio.is_some(), "only what aged out goes");
}

#[test]
fn the_engine_evicts_audio_over_the_quota() {
    let scripted = tertulia::testing::scripted::Scripted::new();
    let options = StoreOptions { audio_bytes_max: Some(40_000), ..StoreOptions::default() };
    let engine = EngineBuilder::new().backends(scripted.backends()).store_options(options).build().unwrap();
    let mut config = crate::support::config();
    config.playback = tertulia::Playback::Assumed;
    config.retention.reply_audio = Keep::Never;
    let session = engine.create_session(config).unwrap();
    let mut reader = Reader::of(&session);
    for _ in 0..3 {
        scripted.recognizer.then("Hola.");
        scripted.chat.then(["Hola."]);
        session.push_audio(&noise_16k(500), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        reader.until_end_of(turn);
    }
    let kept = || session.turns().unwrap().iter().filter(|turn| turn.user_audio.is_some()).count();
    let until = std::time::Instant::now() + Duration::from_secs(15);
    while kept() > 2 {
        assert!(std::time::Instant::now() < until, "no eviction");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(session.turns().unwrap().len(), 3);
    assert!(session.turns().unwrap()[2].user_audio.is_some(), "the oldest goes");
}

#[test]
fn sessions_that_are_just_being_closed_are_waited_for() {
    let host = Host::new();
    let (kept, _reader) = host.session();
    drop(host.session());
    assert_eq!(host.engine.erase_everything().unwrap_err().code(), ErrorCode::SessionBusy, "one stays open");
    drop((kept, _reader));
    for _ in 0..100 {
        drop((host.session(), host.session()));
        host.engine.erase_everything().unwrap().wait().unwrap();
    }
}

#[test]
fn erase_refuses_open_sessions_and_leaves_no_trace_of_closed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let traces = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.collect::<Vec<_>>().concat().windows(8).filter(|window| window == b"xilofono").count()
    };
    let (session, mut reader) = host.session();
    host.scripted.chat.then(["Un xilofono."]);
    let turn = session.send_text("¿Que es un xilofono?").unwrap();
    reader.until_end_of(turn);
    let id = session.id();
    assert_eq!(host.engine.erase_sessions(&[id]).unwrap_err().code(), ErrorCode::SessionBusy);
    assert_eq!(host.engine.erase_everything().unwrap_err().code(), ErrorCode::SessionBusy);
    assert_eq!(host.engine.rotate_store_key(None).unwrap_err().code(), ErrorCode::SessionBusy);
    assert!(traces() > 0);
    assert_eq!(host.engine.store_usage().unwrap().turns, 1);
    assert!(host.engine.verify_store().wait().unwrap().is_sound());
    drop((session, reader));
    host.engine.erase_sessions(&[id, id]).unwrap().wait().unwrap();
    assert_eq!(traces(), 0);
    assert_eq!(host.engine.open_session(id, &SessionUpdate::new()).unwrap_err().code(), ErrorCode::SessionNotFound);
    let key = tertulia::store::StoreKey::generate().unwrap();
    host.engine.rotate_store_key(Some(key)).unwrap().wait().unwrap();
    host.engine.erase_everything().unwrap().wait().unwrap();
    host.engine.compact_store().wait().unwrap();
    let (_session, _reader) = host.session();
}

#[test]
fn the_store_is_compacted_while_no_session_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let len = || std::fs::metadata(&path).unwrap().len();
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let (session, mut reader) = host.session();
    for _ in 0..10 {
        host.script_turn("Hola.", "Hola.");
        session.push_audio(&noise_16k(100_000), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        reader.until_end_of(turn);
    }
    let id = session.id();
    drop((session, reader));
    // Data at the end of the file stays, and keeps it long.
    let (session, mut reader) = host.session();
    for _ in 0..3 {
        host.script_turn("Hola.", "Hola.");
        session.push_audio(&noise_16k(20_000), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        reader.until_end_of(turn);
    }
    drop((session, reader));
    host.engine.delete_session(id).unwrap();
    drop(host);
    let before = len();
    assert!(before > 24 << 20, "{before}");
    let host = Host::with_store(StoreLocation::File(path.clone()));
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while len() > before / 4 {
        assert!(std::time::Instant::now() < until, "no compaction");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (_session, _reader) = host.session();
}
