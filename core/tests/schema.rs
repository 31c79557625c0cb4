//! The committed JSON Schemas, against the types and against what the engine emits and takes.

mod schema_support;

use schema_support::{COMMAND, EVENT, OUTPUT, assert_valid, validator};
use serde_json::{Value, json};
use tertulia::testing::scenario::Scenario;
use tertulia::{Capabilities, Command, EngineBuilder, EngineOptions, SessionConfig, SessionEngine, SessionUpdate};

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    for (name, schema) in tertulia::schema::files() {
        let path = format!("{}/../docs/schema/{name}", env!("CARGO_MANIFEST_DIR"));
        // A change of a schema is a change for every binding: TERTULIA_WRITE_GOLDEN=1 rewrites the files.
        if std::env::var_os("TERTULIA_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap() == schema, "{name} is not up to date");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        let twice =
            schema["$defs"].as_object().unwrap().keys().find(|name| name.ends_with(|c: char| c.is_ascii_digit()));
        assert_eq!(twice, None, "two types of one name in {name}");
    }
}

#[test]
fn events_of_every_type_validate() {
    for event in include_str!("golden/events.jsonl").lines() {
        assert_valid(&EVENT, &serde_json::from_str(event).unwrap());
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../bindings/conformance/scenarios");
    for file in std::fs::read_dir(folder).unwrap() {
        let scenario = Scenario::from_json(&std::fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        scenario.run().unwrap().events.iter().for_each(|event| assert_valid(&EVENT, event));
    }
}

#[test]
fn an_event_schema_lets_new_fields_pass_and_no_null() {
    let event = json!({"type": "speech_stopped", "seq": 1, "at_ms": 2, "end_ms": 900});
    let with = |name: &str, value: Value| {
        let mut event = event.clone();
        event[name] = value;
        EVENT.is_valid(&event)
    };
    assert!(with("new_field", json!({"x": [1]})) && with("turn", json!(3)));
    assert!(!with("turn", json!(null)) && !with("end_ms", json!("900")) && !with("type", json!("speech_stoped")));
}

#[test]
fn settings_validate_as_they_are_read() {
    let (config, update) = (validator("commands.json", "SessionConfig"), validator("commands.json", "SessionUpdate"));
    let options = validator("commands.json", "EngineOptions");
    let mut full = SessionConfig::new("en".parse().unwrap(), "es-MX".parse().unwrap());
    full.lexicon.entry("es".parse().unwrap()).or_default().insert("ana".into(), "ˈana".into());
    full.metadata.insert("course".into(), "es-1".into());
    assert_valid(&config, &json!(full));
    assert_valid(&options, &json!(EngineOptions::default()));
    for (validator, json, reads) in [
        (&config, r#"{"native": "en", "target": "es", "listening": {"idle_ms": 8000}}"#, true),
        (&config, r#"{"native": "en", "target": "es", "listening": {"idel_ms": 8000}}"#, false),
        (&config, r#"{"native": "Spanish!", "target": "es"}"#, false),
        (&config, r#"{"target": "es"}"#, false),
        (&update, r#"{}"#, true),
        (
            &update,
            r#"{"voice": null, "listening": {"idle_ms": null}, "sampling": null, "metadata": {"a": null}}"#,
            true,
        ),
        (&update, r#"{"lexicon": {"es": {"ana": null}, "en": null}, "retention": {"text": {"for_ms": 5}}}"#, true),
        (&update, r#"{"native": null}"#, false),
        (&update, r#"{"sped": 2}"#, false),
        (&update, r#"{"listening": {"idel_ms": 1}}"#, false),
        (&update, r#"{"retention": {"text": "always"}}"#, false),
        (&options, r#"{"store": {"path": "a.redb"}, "threads": 2, "models": {"vad": "none"}}"#, true),
        (&options, r#"{"threads": 0}"#, false),
        (&options, r#"{"models": {"voice": "none"}}"#, false),
        (&options, r#"{"key": "00"}"#, false),
    ] {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(validator.is_valid(&value), reads, "{json} in the schema");
        let read = match validator {
            _ if std::ptr::eq(validator, &config) => SessionConfig::from_json(json).map(drop),
            _ if std::ptr::eq(validator, &update) => SessionUpdate::from_json(json).map(drop),
            _ => EngineOptions::from_json(json).map(drop),
        };
        assert_eq!(read.is_ok(), reads, "{json}: {read:?}");
    }
    for (name, value) in [("speed", json!(2.5)), ("patience", json!(-0.5)), ("output_latency_ms", json!(5_001))] {
        assert!(!update.is_valid(&json!({name: value})), "{name} is out of its range");
    }
}

#[test]
fn every_command_and_its_answer_validate() {
    let engine = EngineBuilder::new().build().unwrap();
    let apply = |command: Value| {
        assert_valid(&COMMAND, &command);
        let command = Command::from_json(&command.to_string()).unwrap();
        assert_valid(&COMMAND, &json!(command));
        let answer = engine.apply(command).map(|output| json!(output));
        if let Ok(answer) = &answer {
            assert_valid(&OUTPUT, answer);
        }
        answer
    };
    let config = json!({"native": "en", "target": "es", "speed": 0.8});
    let session = apply(json!({"type": "create_session", "config": config})).unwrap()["session"].clone();
    for command in [
        json!({"type": "config", "session": session}),
        json!({"type": "session", "session": session}),
        json!({"type": "sessions", "query": {"text": "playa"}, "limit": 10}),
        json!({"type": "sessions", "after": {"updated_ms": 9, "id": session}, "limit": 10}),
        json!({"type": "send_text", "session": session, "text": "Hola."}),
        json!({"type": "input_resumed", "session": session}),
        json!({"type": "turns", "session": session, "after": 1, "limit": 10}),
        json!({"type": "turns", "session": session, "limit": 10}),
        json!({"type": "capabilities"}),
        json!({"type": "memory_needed"}),
        json!({"type": "memory_needed", "config": config}),
        json!({"type": "trim", "level": "caches"}),
        json!({"type": "sweep", "dry_run": true}),
        json!({"type": "store_usage"}),
        json!({"type": "unload"}),
        json!({"type": "end_session", "session": session}),
    ] {
        let answer = apply(command.clone());
        assert!(answer.is_ok() || command["type"] == "send_text", "{command}: {answer:?}");
    }
    apply(json!({"type": "delete_session", "session": session})).unwrap();
    let capabilities: Capabilities = engine.capabilities();
    assert_valid(&validator("outputs.json", "Capabilities"), &json!(capabilities));
    assert!(!OUTPUT.is_valid(&json!({"trun": 1})));
}
