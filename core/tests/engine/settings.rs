//! Settings changed between turns, and capabilities.

use crate::support::Host;
use tertulia::{ErrorCode, SessionEngine, SessionUpdate};

#[test]
fn an_update_applies_from_the_next_turn_and_is_stored() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let before = session.say("Hola.").unwrap();
    reader.until_end_of(before);
    session
        .update(SessionUpdate { target: Some("en".parse().unwrap()), speed: Some(0.8), ..Default::default() })
        .unwrap();
    let after = session.say("Hello.").unwrap();
    reader.until_end_of(after);
    let requests = host.scripted.voice.requests();
    assert_eq!((requests[0].voice.as_str(), requests[0].speed), ("es_test", 1.0));
    assert_eq!((requests[1].voice.as_str(), requests[1].speed), ("en_test", 0.8));
    let (record, _) = host.engine.session(session.id()).unwrap();
    assert_eq!(record.config, session.config());
    assert_eq!(record.config.speed, 0.8);
}

#[test]
fn an_invalid_update_changes_nothing() {
    let host = Host::new();
    let (session, _reader) = host.session();
    let before = session.config();
    let update = SessionUpdate { speed: Some(0.7), voice: Some("nobody".into()), ..Default::default() };
    assert_eq!(session.update(update).unwrap_err().code(), ErrorCode::UnknownVoice);
    assert_eq!(session.config(), before);
}

#[test]
fn capabilities_come_from_the_backends() {
    let host = Host::new();
    let capabilities = host.engine.capabilities();
    let tags: Vec<&str> = capabilities.languages.iter().map(|language| language.tag.as_str()).collect();
    assert_eq!(tags, ["en", "es"]);
    let spanish = &capabilities.languages[1];
    assert!(spanish.recognise && spanish.speak && spanish.chat);
    assert_eq!(spanish.voices, ["es_test"]);
    assert!(!capabilities.persistent);
    assert!(capabilities.levels.contains(&"A2".to_owned()) && capabilities.scenarios.contains(&"cafe".to_owned()));
}

#[test]
fn the_recogniser_gets_both_languages_and_no_vocabulary() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.script_turn("Hola.", "Hola.");
    session.push_audio(&tertulia::testing::scripted::noise_16k(500), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    reader.until_end_of(turn);
    let request = &host.scripted.recognizer.requests()[0];
    let languages: Vec<&str> = request.languages.iter().map(|language| language.as_str()).collect();
    assert_eq!(languages, ["es", "en"]);
    assert!(request.vocabulary.is_empty());
}
