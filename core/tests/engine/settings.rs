//! Settings changed between turns, and capabilities.

use crate::support::{Host, config};
use std::sync::{Arc, Mutex};
use tertulia::backend::{
    Backends, Lexicon, Model, RecognitionRequest, RecognitionStep, Recognizer, Sampling, SpeechChunk, Steps,
    SynthesisRequest, Synthesizer, steps_once,
};
use tertulia::store::SessionQuery;
use tertulia::testing::scripted::Scripted;
use tertulia::{
    EngineBuilder, ErrorCode, Keep, LanguageTag, Listening, Result, Retention, Session, SessionConfig, SessionEngine,
    SessionUpdate,
};

#[test]
fn an_update_applies_from_the_next_turn_and_is_stored() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let before = session.say("Hola.").unwrap();
    reader.until_end_of(before);
    session.update(&SessionUpdate::from_json(r#"{"target": "en", "speed": 0.8}"#).unwrap()).unwrap();
    let after = session.say("Hello.").unwrap();
    reader.until_end_of(after);
    let requests = host.scripted.voice.requests();
    assert_eq!((requests[0].voice.as_deref(), requests[0].speed), (Some("es_test"), 1.0));
    assert_eq!((requests[1].voice.as_deref(), requests[1].speed), (Some("en_test"), 0.8));
    let (record, _) = host.engine.session(session.id()).unwrap();
    assert_eq!(record.config, session.config());
    assert_eq!(record.config.speed, 0.8);
}

#[test]
fn an_invalid_update_changes_nothing() {
    let host = Host::new();
    let (session, _reader) = host.session();
    let before = session.config();
    let update = SessionUpdate::new().speed(0.7).voice("nobody".to_owned());
    assert_eq!(session.update(&update).unwrap_err().code(), ErrorCode::UnknownVoice);
    assert_eq!(session.config(), before);
}

#[test]
fn an_update_is_a_merge_patch() {
    let host = Host::new();
    let (session, _reader) = host.session();
    let before = session.config();
    let update = |json: &str| session.update(&SessionUpdate::from_json(json).unwrap()).unwrap();
    update(
        r#"{"listening": {"idle_ms": 5000}, "sampling": {"seed": 7}, "persona": {"name": "Luz"}, "voice": "es_test"}"#,
    );
    update(r#"{"retention": {"reply_audio": "never"}, "output_latency_ms": 40, "sampling": {"top_k": 1}}"#);
    let config = session.config();
    assert_eq!(config.listening, Listening { idle_ms: Some(5_000), ..before.listening });
    assert_eq!(config.sampling, Sampling { seed: Some(7), top_k: 1, ..before.sampling.clone() });
    assert_eq!(config.retention, Retention { reply_audio: Keep::Never, ..before.retention });
    assert_eq!((config.output_latency_ms, config.voice.as_deref()), (40, Some("es_test")));
    update(
        r#"{"listening": null, "sampling": {"seed": null, "top_k": null}, "persona": {"name": null}, "voice": null,
        "retention": {}, "output_latency_ms": null}"#,
    );
    let config = session.config();
    assert_eq!(config, SessionConfig { retention: config.retention, ..before });
}

#[test]
fn settings_in_json_are_strict_and_name_the_path() {
    let detail = |json: &str| {
        let error = SessionUpdate::from_json(json).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig, "{json}");
        error.detail().to_owned()
    };
    assert_eq!(detail(r#"{"sped": 1}"#), "sped: unknown field");
    assert_eq!(detail(r#"{"sampling": {"topk": 1}}"#), "sampling.topk: unknown field");
    assert!(detail(r#"{"listening": {"idle_ms": "soon"}}"#).starts_with("listening.idle_ms: invalid type"));
    assert!(detail(r#"{"retention": {"text": "always"}}"#).starts_with("retention.text: unknown variant `always`"));
    assert!(detail(r#"{"native": null}"#).contains("missing field `native`"));
    for json in ["", "[]", "{", "{} {}", "7"] {
        detail(json);
    }
}

#[test]
fn every_number_of_the_settings_has_a_range() {
    let host = Host::new();
    let (session, _reader) = host.session();
    let before = session.config();
    for out_of_range in [
        r#"{"speed": 0.4}"#,
        r#"{"patience": 1.5}"#,
        r#"{"output_latency_ms": 5001}"#,
        r#"{"vocabulary": [""]}"#,
        r#"{"listening": {"preroll_ms": 2001}}"#,
        r#"{"listening": {"speech_ms_min": 29}}"#,
        r#"{"listening": {"interrupt_ms": 99}}"#,
        r#"{"listening": {"partial_ms": 99}}"#,
        r#"{"listening": {"idle_ms": 0}}"#,
        r#"{"sampling": {"temperature": -0.1}}"#,
        r#"{"sampling": {"top_p": 1.1}}"#,
        r#"{"sampling": {"repetition_penalty": 0}}"#,
        r#"{"sampling": {"max_tokens": 0}}"#,
        r#"{"sampling": {"stop": [""]}}"#,
        r#"{"title": ""}"#,
    ] {
        let refused = session.update(&SessionUpdate::from_json(out_of_range).unwrap());
        let error = refused.expect_err(out_of_range);
        assert_eq!(error.code(), ErrorCode::InvalidConfig, "{out_of_range}");
        let name = out_of_range.split('"').rfind(|part| part.starts_with(char::is_alphabetic));
        assert!(error.detail().contains(name.unwrap()), "{out_of_range}: {error}");
    }
    let too_much = SessionUpdate::new().metadata([("note".to_owned(), "x".repeat(4_000))]);
    assert!(session.update(&too_much).unwrap_err().detail().starts_with("metadata: bytes is 4004"));
    let not_a_number = SessionConfig { speed: f32::NAN, ..before.clone() };
    assert_eq!(host.engine.create_session(not_a_number).unwrap_err().code(), ErrorCode::InvalidConfig);
    assert_eq!(session.config(), before);
}

#[test]
fn a_session_is_listed_under_the_title_and_with_the_metadata_of_the_host() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let listed = || host.engine.sessions(&SessionQuery::default(), None, 1).unwrap().sessions.remove(0);
    let turn = session.send_text("Hola, soy Ana.").unwrap();
    reader.until_end_of(turn);
    assert_eq!((listed().title.as_str(), listed().metadata.len()), ("Hola, soy Ana.", 0));
    let update = |json: &str| {
        session.update(&SessionUpdate::from_json(json).unwrap()).unwrap();
        session.say("Vale.").unwrap()
    };
    for (json, title, metadata) in [
        (r#"{"title": "Lección 1", "metadata": {"course": "es-1", "pupil": "7"}}"#, "Lección 1", "es-1, 7"),
        (r#"{"metadata": {"course": "es-2"}}"#, "Lección 1", "es-2, 7"),
        (r#"{"title": null, "metadata": {"pupil": null}}"#, "Hola, soy Ana.", "es-2"),
    ] {
        reader.until_end_of(update(json));
        let summary = listed();
        let values: Vec<String> = summary.metadata.into_values().collect();
        assert_eq!((summary.title.as_str(), values.join(", ").as_str()), (title, metadata), "{json}");
    }
}

#[test]
fn capabilities_come_from_the_backends() {
    let host = Host::new();
    let capabilities = host.engine.capabilities();
    let languages: Vec<&str> = capabilities.languages.iter().map(|known| known.language.as_str()).collect();
    assert_eq!(languages, ["en", "es"]);
    let spanish = &capabilities.languages[1];
    assert!(spanish.recognise && spanish.speak && spanish.chat);
    assert_eq!(spanish.voices, ["es_test"]);
    assert!(!capabilities.persistent);
    assert!(capabilities.levels.contains(&"A2".to_owned()) && capabilities.scenarios.contains(&"cafe".to_owned()));
}

/// A recogniser of two regions of one language, and of one that no other backend knows.
struct Regional;

impl Model for Regional {
    fn name(&self) -> &str {
        "regional"
    }
}

impl Recognizer for Regional {
    fn languages(&self) -> Vec<LanguageTag> {
        ["es-MX", "pt-BR", "es-AR"].map(|tag| tag.parse().unwrap()).into()
    }

    fn recognize(&self, _: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        Err(ErrorCode::RecognizerFailed.into())
    }
}

#[test]
fn capabilities_group_the_regions_of_a_language() {
    let backends = Backends { recognizer: Some(Arc::new(Regional)), ..Scripted::new().backends() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let known = serde_json::to_value(engine.capabilities().languages).unwrap();
    let expected = serde_json::json!([
        {"language": "en", "tags": ["en"], "recognise": false, "speak": true, "chat": true, "voices": ["en_test"]},
        {"language": "es", "tags": ["es", "es-AR", "es-MX"], "recognise": true, "speak": true, "chat": true, "voices": ["es_test"]},
        {"language": "pt", "tags": ["pt-BR"], "recognise": true, "speak": false, "chat": false, "voices": []},
    ]);
    assert_eq!(known, expected);
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

/// A synthesizer that changes its session, once, while the engine asks it about a lexicon.
#[derive(Clone, Default)]
struct Curious(Arc<Mutex<Option<Session>>>);

impl Model for Curious {
    fn name(&self) -> &str {
        "curious"
    }
}

impl Synthesizer for Curious {
    fn languages(&self) -> Vec<LanguageTag> {
        vec!["en".parse().unwrap(), "es".parse().unwrap()]
    }

    fn check_lexicon(&self, _lexicon: &Lexicon) -> Result<()> {
        let session = self.0.lock().unwrap().take();
        let Some(session) = session else { return Ok(()) };
        assert_eq!(session.config().speed, 1.0);
        // Another update that comes between: both count.
        session.update(&SessionUpdate::from_json(r#"{"speed": 1.5}"#)?)
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        Ok(steps_once(async move { Ok(SpeechChunk::new(vec![0.0; 100], 16_000, 0..request.text.len())) }))
    }
}

#[test]
fn a_backend_that_is_asked_about_a_lexicon_may_make_calls() {
    let curious = Curious::default();
    let backends = Backends { synthesizer: Some(Arc::new(curious.clone())), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let session = engine.create_session(config()).unwrap();
    *curious.0.lock().unwrap() = Some(session.clone());
    session
        .update(&SessionUpdate::from_json(r#"{"patience": 0.9, "lexicon": {"es": {"xola": "ˈʃola"}}}"#).unwrap())
        .unwrap();
    let config = session.config();
    assert_eq!((config.speed, config.patience, config.lexicon.len()), (1.5, 0.9, 1));
}
