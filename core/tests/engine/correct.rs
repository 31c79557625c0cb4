//! Corrections and retries: a new turn supersedes others in the conversation.

use crate::support::{Host, Reader, config, conversation, failure, type_of};
use std::time::Duration;
use tertulia::backend::Role;
use tertulia::event::{EventKind, InterruptReason, Stage, TurnOrigin, TurnState};
use tertulia::store::{AudioKind, StoreLocation};
use tertulia::testing::scripted::{Cue, Gate, noise_16k};
use tertulia::{ErrorCode, Keep, Playback, Session, SessionEngine, SessionUpdate, TEXT_BYTES_MAX, TurnId};

/// A spoken turn, to its end.
fn speak(host: &Host, session: &Session, reader: &mut Reader, transcript: &str, reply: &str) -> TurnId {
    host.script_turn(transcript, reply);
    session.push_audio(&noise_16k(600), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    turn
}

fn write(host: &Host, session: &Session, reader: &mut Reader, text: &str, reply: &str) -> TurnId {
    host.scripted.chat.then([reply]);
    let turn = session.send_text(text).unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    turn
}

fn correct(host: &Host, session: &Session, reader: &mut Reader, turn: TurnId, text: &str, reply: &str) -> TurnId {
    host.scripted.chat.then([reply]);
    let corrected = session.correct(turn, text).unwrap();
    assert_eq!(type_of(&reader.until_end_of(corrected)), "turn_finished");
    corrected
}

/// The chat model's last request, without the system prompt.
fn asked(host: &Host) -> Vec<(Role, String)> {
    let request = host.scripted.chat.requests().pop().unwrap();
    conversation(&request).iter().map(|message| (message.role, message.content.clone())).collect()
}

fn said(lines: &[&str]) -> Vec<(Role, String)> {
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    lines.iter().zip(roles).map(|(line, role)| (role, (*line).to_owned())).collect()
}

fn current(host: &Host, session: &Session) -> Vec<u64> {
    host.engine.session(session.id()).unwrap().1.current().map(|turn| turn.turn.0).collect()
}

#[test]
fn a_correction_supersedes_the_turn_and_all_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("sessions.redb"));
    let host = Host::with_store(location());
    let (session, mut reader) = host.session();
    let first = write(&host, &session, &mut reader, "Hola.", "¡Hola! ¿Qué tal?");
    let misheard = speak(&host, &session, &mut reader, "Tengo un hombre.", "¿Quién es?");
    let lost = write(&host, &session, &mut reader, "¿Cómo?", "El hombre.");
    let corrected = correct(&host, &session, &mut reader, misheard, "  Tengo hambre. ", "¡Vamos a comer!");
    assert_eq!(asked(&host), said(&["Hola.", "¡Hola! ¿Qué tal?", "Tengo hambre."]));
    let started = reader.seen.iter().find(|event| event.turn == Some(corrected)).unwrap();
    let origin = TurnOrigin::Utterance;
    assert_eq!(started.kind, EventKind::TurnStarted { origin, retry_of: None, corrects: Some(misheard) });
    assert!(
        !reader.seen.iter().any(|e| e.turn == Some(corrected) && type_of(e) == "transcript_done"),
        "a correction is not recognised"
    );

    // The store has both, and says which is which.
    let turns = session.turns().unwrap();
    assert_eq!(turns.iter().map(|turn| turn.turn).collect::<Vec<_>>(), [first, misheard, lost, corrected]);
    let (old, new) = (&turns[1], &turns[3]);
    assert_eq!((old.user_text.as_str(), old.corrects), ("Tengo un hombre.", None));
    assert_eq!((new.user_text.as_str(), new.corrects, new.origin), ("Tengo hambre.", Some(misheard), origin));
    assert_eq!((new.state, &new.transcript, new.user_audio), (TurnState::Finished, &None, None));
    session.audio(misheard, AudioKind::User).unwrap();
    assert_eq!(current(&host, &session), [first.0, corrected.0]);

    write(&host, &session, &mut reader, "¿Dónde?", "Aquí.");
    let told = ["Hola.", "¡Hola! ¿Qué tal?", "Tengo hambre.", "¡Vamos a comer!", "¿Dónde?"];
    assert_eq!(asked(&host), said(&told));
    let id = session.id();
    drop((session, reader, host));

    // In another process too.
    let host = Host::with_store(location());
    let session = host.engine.open_session(id, &SessionUpdate::new()).unwrap();
    let mut reader = Reader::of(&session);
    write(&host, &session, &mut reader, "Gracias.", "De nada.");
    assert_eq!(asked(&host), said(&[&told[..], &["Aquí.", "Gracias."]].concat()));
    // And what was corrected before can be corrected once more.
    let again = correct(&host, &session, &mut reader, corrected, "Tengo mucha hambre.", "Pues come.");
    assert_eq!(asked(&host), said(&["Hola.", "¡Hola! ¿Qué tal?", "Tengo mucha hambre."]));
    assert_eq!(current(&host, &session), [first.0, again.0]);
}

#[test]
fn a_correction_interrupts_the_turn_under_way() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(config());
    host.script_turn("Tengo un hombre.", "¿Quién es ese hombre?");
    session.push_audio(&noise_16k(600), 16_000).unwrap();
    let misheard = session.end_utterance().unwrap();
    reader.until("reply_audio_done");
    host.scripted.chat.then(["¡Vamos a comer!"]);
    let corrected = session.correct(misheard, "Tengo hambre.").unwrap();
    let end = reader.until_end_of(misheard);
    assert!(matches!(end.kind, EventKind::TurnInterrupted { reason: InterruptReason::BargeIn, .. }), "{end:?}");
    reader.until("reply_audio_done");
    assert_eq!(asked(&host), said(&["Tengo hambre."]));
    session.played(corrected, reader.samples_of(corrected)).unwrap();
    assert_eq!(type_of(&reader.until_end_of(corrected)), "turn_finished");
    assert_eq!(current(&host, &session), [corrected.0]);
}

#[test]
fn a_typed_turn_can_be_corrected() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let typed = write(&host, &session, &mut reader, "Soy cansado.", "¿Eres o estás?");
    let corrected = correct(&host, &session, &mut reader, typed, "Estoy cansado.", "Descansa.");
    assert_eq!(asked(&host), said(&["Estoy cansado."]));
    let turns = session.turns().unwrap();
    assert_eq!((turns[1].origin, turns[1].corrects), (TurnOrigin::Text, Some(typed)));
    assert_eq!(current(&host, &session), [corrected.0]);
    // The session is named after its first words, not after what they were taken for.
    assert_eq!(host.engine.session(session.id()).unwrap().0.title, "Estoy cansado.");
}

#[test]
fn retry_of_a_failed_correction_has_the_corrected_words() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let misheard = speak(&host, &session, &mut reader, "Tengo un hombre.", "¿Quién es?");
    host.scripted.chat.then([Cue::<String>::Fail(ErrorCode::ChatFailed)]);
    let failed = session.correct(misheard, "Tengo hambre.").unwrap();
    assert_eq!(failure(&reader.until_end_of(failed)), (Stage::Reply, ErrorCode::ChatFailed));
    let requests = host.scripted.recognizer.requests().len();
    for _ in 0..2 {
        host.scripted.chat.then([Cue::<String>::Fail(ErrorCode::ChatFailed)]);
        let again = session.retry_turn(failed).unwrap();
        reader.until_end_of(again);
        host.scripted.chat.then(["¡Vamos a comer!"]);
        let again = session.retry_turn(again).unwrap();
        assert_eq!(type_of(&reader.until_end_of(again)), "turn_finished");
        assert_eq!(asked(&host), said(&["Tengo hambre."]));
        assert_eq!(current(&host, &session), [again.0]);
    }
    assert_eq!(host.scripted.recognizer.requests().len(), requests, "corrected words are not recognised again");
}

#[test]
fn a_retried_turn_is_in_the_conversation_once() {
    let folder = tempfile::tempdir().unwrap();
    let location = || StoreLocation::File(folder.path().join("sessions.redb"));
    let host = Host::with_store(location());
    let (session, mut reader) = host.session();
    let first = write(&host, &session, &mut reader, "Hola.", "¡Hola!");
    // The turn is interrupted after a part of the reply was played.
    let gate = Gate::new();
    host.scripted.recognizer.then("Tengo hambre.");
    host.scripted.chat.then([Cue::Item("Claro que sí. Vamos".to_owned()), Cue::Wait(gate.clone())]);
    session.push_audio(&noise_16k(600), 16_000).unwrap();
    let interrupted = session.end_utterance().unwrap();
    reader.until("reply_audio_delta");
    session.interrupt().unwrap();
    gate.open();
    assert_eq!(type_of(&reader.until_end_of(interrupted)), "turn_interrupted");
    assert!(session.turns().unwrap()[1].heard_text.as_deref().is_some_and(|heard| heard.starts_with("Claro")));
    // The recording goes on to whichever attempt succeeded last.
    let mut has_recording = interrupted;
    for attempt in ["¡Vamos a comer!", "¡A comer!"] {
        host.script_turn("Tengo hambre.", attempt);
        let again = session.retry_turn(interrupted).unwrap();
        reader.until_end_of(again);
        assert_eq!(asked(&host), said(&["Hola.", "¡Hola!", "Tengo hambre."]));
        assert_eq!(session.turns().unwrap().last().unwrap().retry_of, Some(has_recording));
        has_recording = again;
        assert_eq!(current(&host, &session), [first.0, again.0]);
    }
    let id = session.id();
    drop((session, reader, host));
    let host = Host::with_store(location());
    let session = host.engine.open_session(id, &SessionUpdate::new()).unwrap();
    let mut reader = Reader::of(&session);
    write(&host, &session, &mut reader, "Gracias.", "De nada.");
    assert_eq!(asked(&host), said(&["Hola.", "¡Hola!", "Tengo hambre.", "¡A comer!", "Gracias."]));
    // A correction of the first attempt is one of the attempt that stands: it is there that the conversation goes on.
    correct(&host, &session, &mut reader, interrupted, "Tengo sed.", "Bebe.");
    assert_eq!(asked(&host), said(&["Hola.", "¡Hola!", "Tengo sed."]));
}

#[test]
fn turns_that_cannot_be_corrected_have_error_codes() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let code = |turn, text: &str| session.correct(turn, text).unwrap_err().code();
    let misheard = speak(&host, &session, &mut reader, "Tengo un hombre.", "¿Quién es?");
    let later = write(&host, &session, &mut reader, "¿Cómo?", "El hombre.");
    assert_eq!(code(misheard, " \n"), ErrorCode::TextEmpty);
    assert_eq!(code(misheard, &"x".repeat(TEXT_BYTES_MAX + 1)), ErrorCode::TextTooLong);
    assert_eq!(code(TurnId(99), "Hola."), ErrorCode::TurnNotFound);
    let hosts = session.say("Buenos días.").unwrap();
    reader.until_end_of(hosts);
    assert_eq!(code(hosts, "Buenas tardes."), ErrorCode::TurnNotFound);
    correct(&host, &session, &mut reader, misheard, "Tengo hambre.", "¡Vamos a comer!");
    // These are not part of the conversation any more.
    for gone in [misheard, later] {
        assert_eq!(code(gone, "Hola."), ErrorCode::TurnNotFound);
        assert_eq!(session.retry_turn(gone).unwrap_err().code(), ErrorCode::TurnNotFound);
    }
    host.scripted.voice.before_next_word(Cue::Wait(Gate::new()));
    let refused = (0..100).find_map(|_| session.say("Hola.").err()).unwrap();
    assert_eq!(refused.code(), ErrorCode::QueueFull);
    assert_eq!(code(session.turns().unwrap()[3].turn, "Hola."), ErrorCode::QueueFull);
    session.end().unwrap();
    assert_eq!(code(misheard, "Hola."), ErrorCode::SessionClosed);
}

#[test]
fn retention_applies_to_corrected_words() {
    let host = Host::new();
    let mut config = config();
    config.playback = Playback::Assumed;
    config.retention.text = Keep::Never;
    let (session, mut reader) = host.session_with(config);
    let misheard = speak(&host, &session, &mut reader, "Tengo un hombre.", "¿Quién es?");
    let corrected = correct(&host, &session, &mut reader, misheard, "Tengo hambre.", "¡Vamos a comer!");
    assert_eq!(asked(&host), said(&["Tengo hambre."]));
    for turn in session.turns().unwrap() {
        assert!(turn.text_gone && turn.user_text.is_empty() && turn.reply_text.is_empty());
    }
    assert_eq!(current(&host, &session), [corrected.0]);
    assert!(host.engine.session(session.id()).unwrap().0.title.is_empty());
    // Without its words there is nothing to try again.
    let typed = write(&host, &session, &mut reader, "Hola.", "¡Hola!");
    assert_eq!(session.retry_turn(typed).unwrap_err().code(), ErrorCode::TurnNotFound);
    assert_eq!(session.retry_turn(corrected).unwrap_err().code(), ErrorCode::AudioGone);
}

#[test]
fn a_correction_survives_export_and_import() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let misheard = speak(&host, &session, &mut reader, "Tengo un hombre.", "¿Quién es?");
    correct(&host, &session, &mut reader, misheard, "Tengo hambre.", "¡Vamos a comer!");
    let mut archive = Vec::new();
    host.engine.export_session_to(session.id(), Box::new(&mut archive)).wait().unwrap();
    let elsewhere = Host::new();
    let options = tertulia::store::ImportOptions::default();
    let report =
        elsewhere.engine.import_session(Box::new(std::io::Cursor::new(&archive)), options.clone()).wait().unwrap();
    let mut again = Vec::new();
    elsewhere.engine.export_session_to(report.session, Box::new(&mut again)).wait().unwrap();
    assert!(again == archive);
    let session = elsewhere.engine.open_session(report.session, &SessionUpdate::new()).unwrap();
    let mut reader = Reader::of(&session);
    write(&elsewhere, &session, &mut reader, "¿Dónde?", "Aquí.");
    assert_eq!(asked(&elsewhere), said(&["Tengo hambre.", "¡Vamos a comer!", "¿Dónde?"]));
    // A session that is open is there.
    let error =
        elsewhere.engine.import_session(Box::new(std::io::Cursor::new(&archive)), options.clone()).wait().unwrap_err();
    assert_eq!(error.code(), ErrorCode::SessionExists);
    assert!(elsewhere.engine.shut_down(Duration::from_secs(10)).unwrap().is_empty());
    let error =
        elsewhere.engine.import_session(Box::new(std::io::Cursor::new(&archive)), options.clone()).wait().unwrap_err();
    assert_eq!(error.code(), ErrorCode::EngineClosed);
}
