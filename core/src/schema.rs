//! JSON Schemas (draft 2020-12) of events, commands and settings, made from the types and their documentation.
//!
//! The files are committed in `docs/schema`; `cargo xtask schema` writes them. A schema of the engine's output lets
//! unknown fields pass, as every reader should; one of its input refuses them, as the engine does.

use crate::config::{SessionConfig, SessionUpdate};
use crate::engine::{Command, CommandOutput, EngineOptions};
use crate::error::ErrorCode;
use crate::event::Event;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The name and the content of each schema file. The top of a file is its first type; others are among its `$defs`.
pub fn files() -> [(&'static str, String); 3] {
    let text = |mut schema: Value| {
        schema.sort_all_objects();
        format!("{schema:#}\n")
    };
    [("events.json", text(events())), ("commands.json", text(commands())), ("outputs.json", text(outputs()))]
}

/// The schema of [`Event`].
fn events() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.subschema_for::<Event>();
    let about = "The events of a session and of the engine. Readers ignore what they do not know: fields, types and values of \
                 enums that are not in this schema belong to a newer version.";
    output_file("Event", about, generator)
}

/// The schema of [`CommandOutput`], and with it of [`Capabilities`](crate::Capabilities).
fn outputs() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.subschema_for::<CommandOutput>();
    let about = "The answers to commands. Readers ignore what they do not know: fields and values of enums that are not in \
                 this schema belong to a newer version.";
    output_file("CommandOutput", about, generator)
}

/// The schema of [`Command`], and with it of [`SessionConfig`] and [`SessionUpdate`]; that of [`EngineOptions`].
fn commands() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<Command>();
    generator.subschema_for::<EngineOptions>();
    let about = "The calls of a host as data, and its settings. The engine refuses a field that is not in this schema.";
    let mut schema = file("Command", about, generator);
    walk(&mut schema, &|object| {
        if object.contains_key("properties") {
            object.insert("additionalProperties".into(), false.into());
        }
        if let Some(default) = object.get_mut("default") {
            shorten(default);
        }
    });
    schema
}

fn output_file(root: &str, about: &str, generator: SchemaGenerator) -> Value {
    let mut schema = file(root, about, generator);
    walk(&mut schema, &|object| {
        object.remove("default");
        let required = object.get("required").cloned().unwrap_or_default();
        let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
        let always = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
        // A field that may be absent is never null.
        properties.iter_mut().filter(|(name, _)| !always(name)).for_each(|(_, property)| without_null(property));
    });
    schema
}

fn file(root: &str, about: &str, mut generator: SchemaGenerator) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": about,
        "$ref": format!("#/$defs/{root}"),
        "$defs": generator.take_definitions(true),
    });
    walk(&mut schema, &|object| {
        if let Some(Value::String(description)) = object.get_mut("description") {
            *description = prose(description);
        }
    });
    schema
}

/// Calls a function with every object in the value.
fn walk(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|value| walk(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| walk(value, change)),
        _ => {}
    }
}

/// Removes null from the types of a value.
fn without_null(property: &mut Value) {
    if let Some(types) = property.get_mut("type").filter(|types| types.is_array()) {
        types.as_array_mut().into_iter().for_each(|types| types.retain(|name| name != "null"));
        *types = types[0].take();
    }
    if let Some(any) = property.get("anyOf").and_then(|any| any.as_array()).filter(|any| any.len() == 2) {
        let value = any[0].clone();
        let object = property.as_object_mut().expect("it has a member");
        object.remove("anyOf");
        object.extend(value.as_object().cloned().unwrap_or_default());
    }
}

/// Gives the defaults that are 32-bit floats their shortest form.
fn shorten(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let shortest = number.as_f64().and_then(|number| (number as f32).to_string().parse::<f64>().ok());
            *value = shortest.into();
        }
        Value::Object(object) => object.values_mut().for_each(shorten),
        _ => {}
    }
}

/// A documentation comment without its examples, links and line breaks.
fn prose(text: &str) -> String {
    let mut text = text.split("```").next().unwrap_or_default().trim().to_owned();
    while let Some(at) = text.find("](crate::") {
        let end = text[at..].find(')').map_or(text.len(), |length| at + length + 1);
        text.replace_range(at..end, "");
        let start = text[..at].rfind('[').expect("a link has a beginning");
        text.remove(start);
    }
    let text = text.replace("[`", "`").replace("`]", "`").replace("`None`", "no value");
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

impl JsonSchema for ErrorCode {
    fn schema_name() -> Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "The number of an error code, the same in every language; core/src/error/code.rs lists them.";
        schemars::json_schema!({"description": description, "type": "integer", "minimum": 1, "maximum": u16::MAX})
    }
}

impl JsonSchema for SessionUpdate {
    fn schema_name() -> Cow<'static, str> {
        "SessionUpdate".into()
    }

    /// The schema of the settings, without what is required, and with null where a setting can be reset.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let config = generator.subschema_for::<SessionConfig>();
        let mut patch = patch(config.as_value(), generator.definitions());
        patch["description"] = "Changes to the settings of a session: a merge patch (RFC 7396) of `SessionConfig`. An absent \
                                setting stays as it is, null resets it to its default, and objects are merged member by \
                                member."
            .into();
        patch.try_into().expect("a schema is an object")
    }
}

/// The schema of a merge patch of the values that a schema describes.
fn patch(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let mut patched = schema.clone();
    let Some(object) = patched.as_object_mut() else { return patched };
    let named = schema["$ref"].as_str().and_then(|path| definitions.get(path.strip_prefix("#/$defs/")?)?.as_object());
    if let Some(named) = named.filter(|named| named.contains_key("properties")) {
        object.remove("$ref");
        for (name, value) in named {
            object.entry(name).or_insert_with(|| value.clone());
        }
    }
    object.remove("default");
    let required = object.remove("required").unwrap_or_default();
    for members in ["properties", "patternProperties"] {
        for (name, value) in object.get_mut(members).and_then(Value::as_object_mut).into_iter().flatten() {
            let is_required = required.as_array().is_some_and(|names| names.iter().any(|required| required == name));
            let member = patch(value, definitions);
            *value = if is_required { member } else { or_null(member) };
        }
    }
    if let Some(value) = object.get_mut("additionalProperties").filter(|value| value.is_object()) {
        *value = or_null(patch(value, definitions));
    }
    patched
}

fn or_null(mut schema: Value) -> Value {
    match schema.get_mut("type") {
        Some(Value::Array(_)) => schema,
        Some(name) => {
            *name = json!([name.take(), "null"]);
            schema
        }
        None => {
            let description = schema.as_object_mut().and_then(|object| object.remove("description"));
            json!({"description": description, "anyOf": [schema, {"type": "null"}]})
        }
    }
}
