//! The settings of an engine as JSON.

use std::path::Path;
use std::time::Duration;
use tertulia::store::{Store, StoreKey, StoreLocation, StoreOptions};
use tertulia::{EngineBuilder, EngineOptions, ErrorCode, ModelChoice, SessionConfig, SessionEngine, StorePlace};

const DIGITS: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1f";

fn config() -> SessionConfig {
    SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap())
}

#[test]
fn an_engine_is_made_from_options_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.redb");
    let json = serde_json::json!({
        "store": {"path": path}, "key": DIGITS, "audio_bytes_max": 1_000_000, "memory_bytes_max": 5_000_000_000_u64,
        "utterance_seconds_max": 30, "threads": 2,
        "models": {"recognizer": "whisper-tiny", "synthesizer": "none", "chat": "default"},
    });
    let options = EngineOptions::from_json(&json.to_string()).unwrap();
    assert_eq!(options.store, StorePlace::Path(path.clone()));
    assert_eq!((options.utterance_seconds_max, options.threads), (30, Some(2)));
    assert_eq!(options.models.recognizer, ModelChoice::Named("whisper-tiny".into()));
    assert_eq!(
        (options.models.synthesizer.clone(), options.models.vad.clone()),
        (ModelChoice::None, ModelChoice::Default)
    );
    let again = EngineOptions::from_json(&options.to_json().unwrap()).unwrap();
    assert_eq!(again.to_json().unwrap(), options.to_json().unwrap());

    let engine = EngineBuilder::new().options(&options).unwrap().build().unwrap();
    let id = engine.create_session(config()).unwrap().id();
    assert_eq!(engine.store_usage().unwrap().audio_bytes_max, Some(1_000_000));
    assert!(engine.capabilities().persistent);
    assert!(engine.shut_down(Duration::from_secs(10)).unwrap().is_empty());
    drop(engine);
    assert_eq!(open(&path, None).unwrap_err().code(), ErrorCode::StoreWrongKey);
    let mut bytes = [0; 32];
    (0..32).for_each(|n| bytes[n as usize] = n);
    assert_eq!(open(&path, Some(StoreKey::new(bytes))).unwrap().session(id).unwrap().id, id);
}

fn open(path: &Path, key: Option<StoreKey>) -> tertulia::Result<Store> {
    Store::open_with(StoreLocation::File(path.to_owned()), StoreOptions { key, ..StoreOptions::default() }, 0)
}

#[test]
fn options_have_defaults_and_the_key_stays_out_of_debug_output() {
    let options = EngineOptions::from_json("{}").unwrap();
    assert_eq!(options.store, StorePlace::Memory);
    assert!(options.key.is_none() && options.threads.is_none() && options.memory_bytes_max.is_none());
    assert_eq!((options.utterance_seconds_max, options.models.chat), (120, ModelChoice::Default));
    let options = EngineOptions::from_json(&format!(r#"{{"key": "{DIGITS}"}}"#)).unwrap();
    let shown = format!("{options:?}").to_lowercase();
    assert!(shown.contains("storekey(..)") && !shown.contains("0a0b0c") && !shown.contains("10, 11, 12"), "{shown}");
}

#[test]
fn wrong_options_are_named_and_the_key_is_in_no_error() {
    for (json, detail) in [
        (r#"{"stroe": "memory"}"#, "stroe: unknown field"),
        (r#"{"store": {"file": "x"}}"#, "store: unknown variant `file`"),
        (r#"{"store": {"path": ""}}"#, "store.path: empty"),
        (r#"{"models": {"ear": "none"}}"#, "models.ear: unknown field"),
        (r#"{"models": {"chat": ""}}"#, "models.chat: a name of 1 to 200 bytes was expected"),
        (r#"{"threads": 0}"#, "threads is 0: outside 1 to 256"),
        (r#"{"memory_bytes_max": 0}"#, "memory_bytes_max is 0: outside 1"),
        (r#"{"memory_bytes_max": -1}"#, "memory_bytes_max: invalid value"),
        (r#"{"utterance_seconds_max": 601}"#, "utterance_seconds_max is 601: outside 1 to 600"),
        (r#"{"key": "c0ffee"}"#, "key: a key has 64 hexadecimal digits"),
        (&format!(r#"{{"key": "{}g"}}"#, &DIGITS[1..]), "key: a key has 64 hexadecimal digits"),
        (&format!(r#"{{"key": "{DIGITS}00"}}"#), "key: a key has 64 hexadecimal digits"),
        (&format!(r#"{{"key": "é{}"}}"#, &DIGITS[2..]), "key: a key has 64 hexadecimal digits"),
    ] {
        let error = EngineOptions::from_json(json).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig, "{json}");
        assert!(error.detail().starts_with(detail), "{json}: {error}");
        assert!(!error.to_string().contains("c0ffee") && !error.to_string().contains("0c0d"), "{error}");
    }
    let own =
        r#"{"catalog": {"levels": [{"name": "Kids", "description": "For children.", "instructions": "Be kind."}]}}"#;
    let engine = EngineBuilder::new().options(&EngineOptions::from_json(own).unwrap()).unwrap().build().unwrap();
    assert_eq!(engine.capabilities().levels, ["A1", "A2", "B1", "B2", "C1", "C2", "Kids"]);
    let own = EngineOptions::from_json(r#"{"catalog": {"levels": [{"name": "Kids"}]}}"#).unwrap();
    let error = EngineBuilder::new().options(&own).err().unwrap();
    assert!(error.detail().starts_with("catalog: levels[0]: missing field"), "{error}");
    let too_long = EngineOptions { utterance_seconds_max: 0, ..EngineOptions::default() };
    assert_eq!(EngineBuilder::new().options(&too_long).err().unwrap().code(), ErrorCode::InvalidConfig);
}
