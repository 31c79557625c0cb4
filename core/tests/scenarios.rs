//! The conformance scenarios, run in Rust.

use std::fs;
use std::path::PathBuf;
use tertulia::testing::scenario::{HostAction, Scenario, ScenarioRun};
use tertulia::{Engine, ErrorCode, Events, Result as EngineResult, Session, SessionEngine};

/// The scenarios' names and texts.
fn files() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../bindings/conformance/scenarios");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<(String, String)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn check(text: &str) -> Result<(), String> {
    Scenario::from_json(text).map_err(|error| error.to_string())?.check()
}

#[test]
fn every_conformance_scenario_passes() {
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let wrong: Vec<String> = files()
        .iter()
        .filter(|(name, _)| name.contains(&only))
        .filter_map(|(name, text)| check(text).err().map(|difference| format!("{name}\n{difference}")))
        .collect();
    assert!(wrong.is_empty(), "{} scenarios go wrong\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn conformance_scenarios_are_distinct() {
    let files = files();
    assert!(files.len() >= 40, "{} scenarios", files.len());
    let mut about: Vec<String> = files.iter().map(|(_, text)| Scenario::from_json(text).unwrap().about).collect();
    about.sort();
    about.dedup();
    assert_eq!(about.len(), files.len(), "two scenarios are about the same");
}

/// A scenario of one turn, with a part replaced.
fn with(part: &str, other: &str) -> String {
    let text = r#"{
        "about": "The tutor speaks a text of the host.",
        "config": {"playback": "assumed"},
        "calls": [{"at_ms": 100, "call": {"type": "say", "text": "Hola."}}],
        "leave_out": ["session_opened", "reply_text_delta", "reply_text_done", "reply_audio_done", "metrics"],
        "events": [
            {"type": "turn_started", "turn": 1, "at_ms": 100, "origin": "say"},
            {"type": "reply_audio_delta", "turn": 1, "chunk": 0, "samples": {"between": [1999, 2001]}},
            {"type": "turn_finished", "turn": 1, "reply_text": "Hola."}
        ],
        "turns": [{"turn": 1, "reply_text": "Hola.", "heard_text": null, "state": "finished"}],
        "requests": {"voice": [{"text": "Hola."}]}
    }"#;
    assert!(text.contains(part), "{part}");
    text.replacen(part, other, 1)
}

#[test]
fn a_failed_expectation_is_shown_as_a_diff() {
    assert_eq!(check(&with("", "")), Ok(()));
    for (part, other, shown) in [
        (r#""at_ms": 100, "origin""#, r#""at_ms": 101, "origin""#, r#"- {"at_ms":101,"origin":"say""#),
        (r#""chunk": 0"#, r#""chunk": 1"#, r#"- {"chunk":1"#),
        ("[1999, 2001]", "[2001, 2002]", r#"+ {"at_ms":100,"chunk":0"#),
        (r#""reply_text": "Hola."}"#, r#""reply_text": "Adiós."}"#, r#"- {"reply_text":"Adiós.""#),
        (r#""session_opened", "#, "", r#"+ {"at_ms":0,"resumed":false"#),
        (r#""heard_text": null"#, r#""heard_text": "Ho""#, "turns in the store"),
        (r#"[{"text": "Hola."}]"#, "[]", "requests to the voice"),
        (r#""Hola."}}]"#, r#""Hola."}, "fails": "TextEmpty"}]"#, "gives None, not Some(TextEmpty)"),
        (r#""calls""#, r#""backends": {"chat": [[{"give": "Sí."}]]}, "calls""#, "were never asked for"),
    ] {
        let difference = check(&with(part, other)).expect_err(other);
        assert!(difference.contains(shown), "{other}:\n{difference}");
    }
}

/// A host that makes the calls of a scenario, and gives a result as `report` has it.
fn host_difference(report: impl Fn(EngineResult<Option<String>>) -> EngineResult<Option<String>>) -> String {
    let mut run = ScenarioRun::new(Scenario::from_json(&with("", "")).unwrap()).unwrap();
    let (mut engine, mut session, mut result) = (None::<Engine>, None::<(Session, Events)>, Ok(None));
    while let Some(action) = run.next(result).unwrap() {
        result = match action {
            HostAction::TakeEngine(next) => {
                engine = Some(next);
                Ok(None)
            }
            HostAction::TakeSession(id) => {
                let handle = engine.as_ref().unwrap().handle(id).unwrap();
                session = Some((handle.clone(), handle.events().unwrap()));
                Ok(None)
            }
            HostAction::Apply(command) => report(engine.as_ref().unwrap().apply(*command).map(|o| Some(o.to_json()))),
            HostAction::ReadEvent => report(Ok(session.as_ref().unwrap().1.try_next().unwrap().map(|e| e.to_json()))),
            other => panic!("{other:?}"),
        };
    }
    run.finish().err().unwrap_or_default()
}

#[test]
fn a_host_that_loses_an_event_or_an_error_is_found_out() {
    assert_eq!(host_difference(|result| result), "");
    let lost = host_difference(|result| match result {
        Ok(Some(event)) if event.contains("reply_audio_delta") => Ok(None),
        result => result,
    });
    assert!(lost.contains("- {\"chunk\":0") && lost.contains("not event"), "{lost}");
    let failed = host_difference(|result| match result {
        Ok(Some(answer)) if answer == r#"{"turn":1}"# => Err(ErrorCode::QueueFull.into()),
        result => result,
    });
    assert!(failed.contains("gives Some(QueueFull), not None"), "{failed}");
}

#[test]
fn unknown_scenario_fields_are_refused() {
    const SAY: &str = r#"{"type": "say", "text": "Hola."}"#;
    for (part, other) in [
        (r#""calls""#, r#""cals": [], "calls""#),
        (r#""playback""#, r#""play_back""#),
        (SAY, r#"{"type": "shout", "text": "Hola."}"#),
        (SAY, r#"{"type": "played", "turn": 1, "samples": 9}"#),
        (SAY, r#"{"type": "update", "update": {"sped": 2}}"#),
        (SAY, r#""shout""#),
        (r#""at_ms": 100, "call""#, r#""at_ms": 100, "when": 3, "call""#),
    ] {
        assert!(Scenario::from_json(&with(part, other)).is_err(), "{other} was taken");
    }
}
