//! The types of this layer against those of the engine, by way of the JSON form that both have.

use super::config::{SessionConfig, SessionUpdate, mirrored};
use super::error::{ErrorCode, TertuliaError};
use super::event::{TertuliaEvent, TertuliaEventKind};
use super::record::{
    Capabilities, ExportReport, ImportReport, SessionPage, SessionRecord, StoreUsage, TurnPage, TurnRecord, Verified,
};
use super::{call, samples};
use engine::event::{InterruptReason, Metrics, Stage, Transcript, TurnOrigin, TurnState, Word};
use engine::store::{ImportOptions, SessionQuery};
use engine::{Engine, EngineBuilder, Event, SessionEngine, SessionUpdate as CoreUpdate, TurnId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::io::Cursor;

#[test]
fn every_golden_event_has_the_same_json() {
    for line in include_str!("../../../core/tests/golden/events.jsonl").lines() {
        let event = TertuliaEvent::from(Event::from_json(line).unwrap());
        assert_ne!(event.kind, TertuliaEventKind::Unknown, "{line}");
        assert_eq!(event.json(), line);
    }
}

#[test]
fn samples_cross_as_bytes() {
    let floats = [0.5_f32, -1.0, 0.25];
    let kind = engine::EventKind::ReplyAudioDelta {
        chunk: 0,
        rate: 24_000,
        samples: 3,
        pcm: floats.into(),
        text_span: 0..3,
        words: Vec::new(),
    };
    let TertuliaEventKind::ReplyAudioDelta { pcm, .. } = kind.into() else { panic!("another kind") };
    assert_eq!(pcm, floats.map(f32::to_le_bytes).concat());
    let shifted = [&[0], &pcm[..]].concat();
    assert_eq!(*samples::<f32>(&pcm).unwrap(), floats);
    assert_eq!(*samples::<f32>(&shifted[1..]).unwrap(), floats, "bytes that are not aligned");
    assert!(samples::<f32>(&pcm[1..]).is_err());
}

#[test]
fn every_code_crosses() {
    for &code in engine::ErrorCode::ALL {
        let TertuliaError::Failed { code: crossed, number, retryable, .. } = engine::Error::from(code).into();
        assert_ne!(crossed, ErrorCode::Unknown);
        assert_eq!(format!("{crossed:?}"), code.name());
        assert_eq!((number, retryable), (code.number(), code.is_retryable()));
        let back =
            engine::Error::from(TertuliaError::Failed { code: crossed, number, detail: "why".into(), retryable });
        assert_eq!((back.code(), back.detail()), (code, "why"));
    }
}

#[test]
fn a_panic_is_internal_and_an_exception_host_callback() {
    let TertuliaError::Failed { code, detail, .. } = call::<()>(|| panic!("a bug")).unwrap_err();
    assert_eq!((code, detail.as_str()), (ErrorCode::Internal, "a bug"));
    let error: TertuliaError = uniffi::UnexpectedUniFFICallbackError::new("KeyError: 'x'").into();
    let TertuliaError::Failed { code, detail, .. } = error;
    assert_eq!(code, ErrorCode::HostCallback);
    assert!(detail.contains("KeyError: 'x'"));
}

/// Reads a value of the engine's as a type of this layer, and compares their forms.
fn same<T: Serialize + DeserializeOwned>(core: &impl Serialize) -> T {
    let mirror: T = mirrored(core).unwrap();
    assert_eq!(serde_json::to_value(&mirror).unwrap(), serde_json::to_value(core).unwrap());
    mirror
}

#[test]
fn settings_have_the_same_form_and_every_one_can_be_changed() {
    let mut core = engine::SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    same::<SessionConfig>(&core);
    (core.title, core.voice, core.request_tag) = (Some("Café".into()), Some("ef_dora".into()), "tag".into());
    core.retention.text = engine::Keep::ForMs(5);
    core.metadata.insert("course".into(), "es-1".into());
    core.lexicon.entry("es".parse().unwrap()).or_default().insert("hola".into(), "ola".into());
    (core.listening.idle_ms, core.sampling.seed) = (Some(5_000), Some(7));
    let config: SessionConfig = same(&core);
    assert_eq!(config.read().unwrap(), core);

    let SessionConfig { native, target, level, scenario, voice, speed, persona, .. } = config.clone();
    let SessionConfig { lexicon, vocabulary, retention, playback, output_latency_ms, patience, .. } = config.clone();
    let SessionConfig { interruptible, listening, sampling, request_tag, title, metadata, .. } = config;
    let update = SessionUpdate {
        native: Some(native),
        target: Some(target),
        level: Some(level),
        scenario: Some(scenario),
        voice,
        speed: Some(speed),
        persona: Some(persona),
        lexicon: Some(lexicon),
        vocabulary: Some(vocabulary),
        retention: Some(retention),
        playback,
        output_latency_ms: Some(output_latency_ms),
        patience: Some(patience),
        interruptible: Some(interruptible),
        listening: Some(listening),
        sampling: Some(sampling),
        request_tag: Some(request_tag),
        title,
        metadata: Some(metadata),
        reset: Vec::new(),
    };
    let names = |json: &str| -> BTreeSet<String> {
        serde_json::from_str::<serde_json::Map<_, _>>(json).unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&update.read().unwrap().to_json()), names(&core.to_json()));
    let plain = engine::SessionConfig::new("de".parse().unwrap(), "fr".parse().unwrap());
    assert_eq!(update.read().unwrap().applied_to(&plain).unwrap(), core);
    let reset = SessionUpdate { reset: vec!["voice".into(), "speed".into()], speed: Some(2.0), ..nothing() };
    let changed = reset.read().unwrap().applied_to(&core).unwrap();
    assert_eq!((changed.voice, changed.speed), (None, 2.0));
}

fn nothing() -> SessionUpdate {
    SessionUpdate {
        native: None,
        target: None,
        level: None,
        scenario: None,
        voice: None,
        speed: None,
        persona: None,
        lexicon: None,
        vocabulary: None,
        retention: None,
        playback: None,
        output_latency_ms: None,
        patience: None,
        interruptible: None,
        listening: None,
        sampling: None,
        request_tag: None,
        title: None,
        metadata: None,
        reset: Vec::new(),
    }
}

#[test]
fn turns_have_the_same_form() {
    let session = engine::SessionId::new(1);
    let mut turn = engine::store::TurnRecord::new(session, TurnId(1), TurnOrigin::Utterance, 5);
    same::<TurnRecord>(&turn);
    let mut transcript = Transcript::from("¿Qué tal?".to_owned());
    (transcript.language, transcript.finished_probability) = (Some("es".parse().unwrap()), Some(0.5));
    transcript.words = vec![Word::new("¿Qué", 0..200, 0.75)];
    (turn.transcript, turn.instructions, turn.heard_text) = (Some(transcript), "slowly".into(), Some("¿Qué".into()));
    (turn.retry_of, turn.corrects, turn.ended_ms) = (Some(TurnId(1)), Some(TurnId(2)), Some(9));
    turn.metrics = Some(Metrics::default());
    for state in [
        TurnState::Finished,
        TurnState::Interrupted { reason: InterruptReason::BargeIn },
        TurnState::Failed { stage: Stage::Speak, code: engine::ErrorCode::SynthesizerFailed },
    ] {
        turn.state = state;
        same::<TurnRecord>(&turn);
    }
}

#[test]
fn answers_and_reports_have_the_same_form() {
    let engine: Engine = EngineBuilder::new().build().unwrap();
    let mut config = engine::SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    config.metadata.insert("course".into(), "es-1".into());
    let session = engine.create_session(config).unwrap();
    let (id, turn) = (session.id(), session.send_text("Hola.").unwrap());
    session.close();
    drop(engine.open_session(id, &CoreUpdate::new()).unwrap());
    assert_eq!(turn, TurnId(1));
    let page: SessionPage = same(&engine.sessions(&SessionQuery::default(), None, 10).unwrap());
    assert_eq!((page.sessions[0].id.clone(), page.sessions[0].turns), (id.to_string(), 1));
    same::<SessionRecord>(&engine.session(id).unwrap().0);
    assert_eq!(same::<TurnPage>(&engine.turns(id, None, 10).unwrap()).turns[0].user_text, "Hola.");
    same::<Capabilities>(&engine.capabilities());
    same::<StoreUsage>(&engine.store_usage().unwrap());
    let mut archive = Vec::new();
    same::<ExportReport>(&engine.export_session_to(id, Box::new(&mut archive)).wait().unwrap());
    let options = ImportOptions { new_id: Some(engine::SessionId::new(2)), ..ImportOptions::default() };
    same::<ImportReport>(&engine.import_session(Box::new(Cursor::new(archive)), options).wait().unwrap());
    same::<Verified>(&engine.verify_store().wait().unwrap());
}
