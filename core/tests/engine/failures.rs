//! Failures of a stage: the turn ends with a code and its causes, and the next turn works.

use crate::support::{Host, failure, type_of};
use std::io;
use tertulia::backend::Backends;
use tertulia::event::{Event, EventKind, Stage};
use tertulia::testing::fault::FaultyDisk;
use tertulia::testing::scripted::{Cue, noise_16k};
use tertulia::{EngineBuilder, Error, ErrorCode, SessionEngine};

fn next_turn_works(host: &Host, session: &tertulia::Session, reader: &mut crate::support::Reader) {
    host.script_turn("Otra vez.", "Ahora sí.");
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
}

#[test]
fn a_recogniser_error_fails_the_turn() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.recognizer.then_cues([Cue::Fail(ErrorCode::RecognizerFailed)]);
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    assert_eq!(failure(&reader.until_end_of(turn)), (Stage::Recognise, ErrorCode::RecognizerFailed));
    next_turn_works(&host, &session, &mut reader);
}

#[test]
fn a_chat_model_error_panic_or_empty_reply_fails_the_turn() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let scripts = [
        (vec![Cue::Fail(ErrorCode::ChatFailed)], ErrorCode::ChatFailed),
        (vec![Cue::Item("Un mo".to_owned()), Cue::Panic], ErrorCode::Internal),
        (vec![Cue::Item("  ".to_owned())], ErrorCode::ReplyEmpty),
    ];
    for (script, code) in scripts {
        host.scripted.chat.then(script);
        let turn = session.send_text("Hola").unwrap();
        assert_eq!(failure(&reader.until_end_of(turn)), (Stage::Reply, code));
        next_turn_works(&host, &session, &mut reader);
    }
}

#[test]
fn a_synthesizer_error_keeps_the_reply_text() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.voice.before_next_word(Cue::Item(()));
    host.scripted.voice.before_next_word(Cue::Fail(ErrorCode::SynthesizerFailed));
    let turn = session.say("uno dos tres").unwrap();
    assert_eq!(failure(&reader.until_end_of(turn)), (Stage::Speak, ErrorCode::SynthesizerFailed));
    assert_eq!(session.turns().unwrap()[0].reply_text, "uno dos tres");
    next_turn_works(&host, &session, &mut reader);
}

#[test]
fn a_missing_backend_fails_the_turn_with_backend_missing() {
    let engine = EngineBuilder::new().backends(Backends::default()).build().unwrap();
    let session = engine.create_session(crate::support::config()).unwrap();
    let mut reader = crate::support::Reader::of(&session);
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    let spoken = session.end_utterance().unwrap();
    assert_eq!(failure(&reader.until_end_of(spoken)), (Stage::Recognise, ErrorCode::BackendMissing));
    let typed = session.send_text("Hola").unwrap();
    assert_eq!(failure(&reader.until_end_of(typed)), (Stage::Reply, ErrorCode::BackendMissing));
    let said = session.say("Hola").unwrap();
    // Without a synthesizer the reply is its text.
    assert_eq!(type_of(&reader.until_end_of(said)), "turn_finished");
}

fn detail(event: &Event) -> &str {
    let EventKind::TurnFailed { error, .. } = &event.kind else { panic!("{event:?}") };
    &error.detail
}

#[test]
fn the_causes_of_a_backend_error_are_in_the_event_detail_once_each() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let refused = Error::new(ErrorCode::ModelLoadFailed, "kernel 3 is missing")
        .with_source(io::Error::from(io::ErrorKind::ConnectionRefused));
    let again = Error::new(ErrorCode::ModelLoadFailed, "the model is not usable").with_source(refused.clone());
    for (error, expected) in [
        (refused, "kernel 3 is missing: connection refused"),
        (again, "the model is not usable: ModelLoadFailed (225): kernel 3 is missing: connection refused"),
        (
            Error::new(ErrorCode::ModelLoadFailed, "not opened: timed out")
                .with_source(io::Error::from(io::ErrorKind::TimedOut)),
            "not opened: timed out",
        ),
    ] {
        host.scripted.chat.then([Cue::FailWith(error)]);
        let turn = session.send_text("Hola").unwrap();
        assert_eq!(detail(&reader.until_end_of(turn)), expected);
    }
}

#[test]
fn the_cause_of_a_disk_error_is_in_the_event_detail() {
    let disk = FaultyDisk::new();
    let host = Host::with_store(disk.location());
    let (session, mut reader) = host.session();
    host.script_turn("Hola.", "¿Qué tal?");
    session.push_audio(&noise_16k(500), 16_000).unwrap();
    disk.fail_from_operation(0, io::ErrorKind::StorageFull);
    let turn = session.end_utterance().unwrap();
    let ended = reader.until_end_of(turn);
    assert_eq!(failure(&ended), (Stage::Store, ErrorCode::StoreFull));
    let cause = io::Error::from(io::ErrorKind::StorageFull).to_string();
    assert!(detail(&ended).ends_with(&cause), "{}", detail(&ended));
    disk.recover();
}
