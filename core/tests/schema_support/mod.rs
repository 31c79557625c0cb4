//! Checks of JSON against the committed schemas.

#![allow(dead_code, reason = "each test file uses its own part")]

use jsonschema::Validator;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// The types of these tests, each with its file.
pub(crate) static EVENT: LazyLock<Validator> = LazyLock::new(|| validator("events.json", "Event"));
pub(crate) static COMMAND: LazyLock<Validator> = LazyLock::new(|| validator("commands.json", "Command"));
pub(crate) static OUTPUT: LazyLock<Validator> = LazyLock::new(|| validator("outputs.json", "CommandOutput"));

/// The validator of a type in a schema file.
pub(crate) fn validator(file: &str, name: &str) -> Validator {
    let path = format!("{}/../docs/schema/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    jsonschema::validator_for(&schema).unwrap()
}

/// Panics where the JSON does not validate.
pub(crate) fn assert_valid(validator: &Validator, value: &Value) {
    let wrong: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{value}: {}", wrong.join("; "));
}
