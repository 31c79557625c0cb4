//! Levels, scenarios and the wording of prompts: data, to which an app can add.
//!
//! The built-in data lie beside this file as JSON. [`Catalog::merge_json`] takes an object with any of the keys
//! `levels`, `scenarios` (lists) and `prompts` (by language): an entry whose name is new is added, one whose name is
//! known replaces the old one. Texts for several languages are objects by primary language subtag; `en` must be
//! among them and stands in for those that are missing, and a plain text is an English one. In `prompts` a text that is
//! missing stays as it was, and is the English one in a new language.
//!
//! ```
//! use tertulia::catalog::Catalog;
//! let mut catalog = Catalog::builtin();
//! catalog.merge_json(r#"{ "scenarios": [{
//!     "name": "library",
//!     "title": { "en": "At the library" },
//!     "setting": { "en": "a public library" },
//!     "tutor_role": { "en": "the librarian" },
//!     "learner_role": { "en": "a reader" },
//!     "goals": { "en": ["borrow a book"] }
//! }] }"#)?;
//! assert_eq!(catalog.scenario("library")?.title.text("es"), "At the library");
//! # Ok::<(), tertulia::Error>(())
//! ```

mod listing;

pub use listing::{LevelEntry, Listing, ScenarioEntry};

use crate::config::merge;
use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest text of an entry, in bytes.
pub const CATALOG_TEXT_LEN_MAX: usize = 4_000;

/// The language that stands in for others.
const FALLBACK: &str = "en";

/// All levels and scenarios that a session can be set to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Catalog {
    levels: Vec<Level>,
    scenarios: Vec<Scenario>,
    prompts: BTreeMap<String, PromptWording>,
}

/// A level of the learner, and the instructions that it gives the chat model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Level {
    /// The name that settings use, such as `A2`.
    pub name: String,
    /// A heading for a person; without one the name stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Localized<String>>,
    /// One sentence for a person.
    pub description: Localized<String>,
    /// Instructions for the chat model: length of sentences, words, tenses.
    pub instructions: Localized<String>,
    /// The recommended speed of speech, 0.5 to 2; the host sets the session's speed.
    #[serde(default = "one")]
    pub speed: f32,
}

/// A situation to speak in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Scenario {
    /// The name that settings use, such as `cafe`.
    pub name: String,
    /// A heading for a person.
    pub title: Localized<String>,
    /// One sentence for a person; without one the setting stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Localized<String>>,
    /// The place; continues "Place:".
    pub setting: Localized<String>,
    /// The tutor's role; continues "You are".
    pub tutor_role: Localized<String>,
    /// The learner's role.
    pub learner_role: Localized<String>,
    /// The goals of the exercise.
    pub goals: Localized<Vec<String>>,
    /// A first sentence of the tutor, by language; without one the chat model writes it.
    #[serde(default)]
    pub opener: BTreeMap<String, String>,
    /// Short exchanges that show the model how to answer, by language. Small models need them.
    #[serde(default)]
    pub examples: BTreeMap<String, Vec<Exchange>>,
}

/// An example exchange of learner and tutor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Exchange {
    /// The learner's words.
    pub learner: String,
    /// The tutor's answer.
    pub tutor: String,
}

/// A text in several languages, English among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Localized<T>(BTreeMap<String, T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Localized<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let read = match Value::deserialize(deserializer)? {
            texts @ Value::Object(_) => serde_json::from_value(texts),
            english => serde_json::from_value(english).map(|text| [(FALLBACK.to_owned(), text)].into()),
        };
        read.map(Self).map_err(serde::de::Error::custom)
    }
}

impl<T> Localized<T> {
    /// The text in `language` (a primary subtag), or in English.
    pub fn text(&self, language: &str) -> &T {
        self.0.get(language).or_else(|| self.0.get(FALLBACK)).expect("every entry was checked for English")
    }
}

/// How prompts are worded in one language. Words in braces are filled in: `{persona}`, `{name}`, `{character}`,
/// `{target}`, `{native}`, `{setting}`, `{tutor_role}`, `{learner_role}`, `{goals}`, `{level}`,
/// `{level_instructions}`, `{opener}`, `{text}`, `{words}`, `{summary}`, `{exchanges}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptWording {
    /// The system prompt.
    pub(crate) system: String,
    /// The tutor's manner, where neither name nor character is set.
    pub(crate) persona: String,
    /// The same, with a name.
    pub(crate) persona_named: String,
    /// The same, with a character.
    pub(crate) character: String,
    /// The same, with both.
    pub(crate) character_named: String,
    /// Asks for a first sentence.
    pub(crate) opening: String,
    /// The same, with an example.
    pub(crate) opening_like: String,
    /// The learner's words after a barge-in.
    pub(crate) interrupting: String,
    /// The summary of the first turns, at the end of the system prompt.
    pub(crate) remembered: String,
    /// The system prompt for a summary.
    pub(crate) summarise: String,
    /// The text to be summarised.
    pub(crate) summarise_part: String,
    /// The placeholder for a summary that does not exist yet.
    pub(crate) no_summary: String,
    /// A line of the learner in a text to be summarised.
    pub(crate) learner_line: String,
    /// A line of the tutor in it.
    pub(crate) tutor_line: String,
    /// Stands between the last two of a list.
    pub(crate) list_end: String,
    /// Names of languages, by primary subtag.
    pub(crate) languages: BTreeMap<String, String>,
}

impl PromptWording {
    /// The language's name, or its tag where it has none here.
    pub(crate) fn language_name<'a>(&'a self, language: &'a LanguageTag) -> &'a str {
        self.languages.get(language.primary()).map_or(language.as_str(), String::as_str)
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Catalog {
    /// The levels A1 to C2 of the CEFR and ten scenarios, in English and Spanish.
    pub fn builtin() -> Self {
        let mut catalog = Self { levels: Vec::new(), scenarios: Vec::new(), prompts: BTreeMap::new() };
        for (key, json) in [
            ("levels", include_str!("levels.json")),
            ("scenarios", include_str!("scenarios.json")),
            ("prompts", include_str!("prompts.json")),
        ] {
            let data = serde_json::from_str(json).expect("the built-in data are JSON");
            catalog.merge_part(key, data).expect("the built-in data are checked by a test");
        }
        catalog
    }

    /// The built-in catalogue with the entries of `json`; see [`merge_json`](Self::merge_json).
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names the field.
    pub fn from_json(json: &str) -> Result<Self> {
        let mut catalog = Self::builtin();
        catalog.merge_json(json)?;
        Ok(catalog)
    }

    /// The whole catalogue in JSON, in the form that [`merge_json`](Self::merge_json) reads.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a catalogue holds only strings, numbers and plain structs")
    }

    /// Adds the entries of `json`, replacing those of the same name. Nothing changes where one of them is wrong.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] names the field.
    pub fn merge_json(&mut self, json: &str) -> Result<()> {
        let data: Value = serde_json::from_str(json).map_err(|error| invalid(format!("not JSON: {error}")))?;
        let Value::Object(parts) = data else { return Err(invalid("not an object")) };
        let mut merged = self.clone();
        for (key, part) in parts {
            merged.merge_part(&key, part)?;
        }
        *self = merged;
        Ok(())
    }

    /// All levels, in order.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// All scenarios, in order.
    pub fn scenarios(&self) -> &[Scenario] {
        &self.scenarios
    }

    /// The level of this name.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownLevel`].
    pub fn level(&self, name: &str) -> Result<&Level> {
        self.levels.iter().find(|level| level.name == name).ok_or_else(|| ErrorCode::UnknownLevel.into())
    }

    /// The scenario of this name.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownScenario`].
    pub fn scenario(&self, name: &str) -> Result<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.name == name).ok_or_else(|| ErrorCode::UnknownScenario.into())
    }

    /// The wording for replies in `target`, and the language it is in: `target`'s own, or English.
    pub(crate) fn wording(&self, target: &LanguageTag) -> (&str, &PromptWording) {
        let own = self.prompts.get_key_value(target.primary()).or_else(|| self.prompts.get_key_value(FALLBACK));
        let (language, wording) = own.expect("English is built in and cannot be taken away");
        (language, wording)
    }

    fn merge_part(&mut self, key: &str, part: Value) -> Result<()> {
        match key {
            "levels" => merge_list(&mut self.levels, key, part, |level| &level.name, Level::check),
            "scenarios" => merge_list(&mut self.scenarios, key, part, |scenario| &scenario.name, Scenario::check),
            "prompts" => {
                let Value::Object(languages) = part else { return Err(invalid("prompts: not an object")) };
                for (language, wording) in languages {
                    let path = format!("prompts.{language}");
                    check_language(&path, &language)?;
                    let base = self.prompts.get(&language).or_else(|| self.prompts.get(FALLBACK));
                    let mut whole = serde_json::to_value(base).expect("a wording is a map of texts");
                    merge(&mut whole, &wording);
                    self.prompts.insert(language, parse(&path, &whole)?);
                }
                Ok(())
            }
            other => Err(invalid(format!("{other}: unknown field"))),
        }
    }
}

impl Level {
    fn check(&self, path: &str) -> Result<()> {
        let description = ("description", &self.description);
        for (field, texts) in [description, ("instructions", &self.instructions)] {
            check_localized(&format!("{path}.{field}"), texts)?;
        }
        check_optional(&format!("{path}.title"), self.title.as_ref())?;
        if !(0.5..=2.0).contains(&self.speed) {
            return Err(invalid(format!("{path}.speed: outside 0.5 to 2")));
        }
        Ok(())
    }
}

impl Scenario {
    fn check(&self, path: &str) -> Result<()> {
        for (field, texts) in [
            ("title", &self.title),
            ("setting", &self.setting),
            ("tutor_role", &self.tutor_role),
            ("learner_role", &self.learner_role),
        ] {
            check_localized(&format!("{path}.{field}"), texts)?;
        }
        check_localized(&format!("{path}.goals"), &self.goals)?;
        check_optional(&format!("{path}.description"), self.description.as_ref())?;
        if let Some((language, _)) = self.goals.0.iter().find(|(_, goals)| goals.is_empty()) {
            return Err(invalid(format!("{path}.goals.{language}: empty")));
        }
        self.opener.keys().try_for_each(|language| check_language(&format!("{path}.opener"), language))?;
        self.examples.keys().try_for_each(|language| check_language(&format!("{path}.examples"), language))
    }
}

fn one() -> f32 {
    1.0
}

/// Reads the entries of a list and checks them; each replaces the known one of its name, or is added.
fn merge_list<T: DeserializeOwned>(
    known: &mut Vec<T>,
    key: &str,
    part: Value,
    name: fn(&T) -> &String,
    check: fn(&T, &str) -> Result<()>,
) -> Result<()> {
    let Value::Array(parts) = part else { return Err(invalid(format!("{key}: not a list"))) };
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{key}[{index}]");
        let entry: T = parse(&path, part)?;
        check_name(&path, name(&entry))?;
        check(&entry, &path)?;
        check_texts(&path, part)?;
        match known.iter_mut().find(|known| name(known) == name(&entry)) {
            Some(known) => *known = entry,
            None => known.push(entry),
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(path: &str, part: &Value) -> Result<T> {
    T::deserialize(part).map_err(|error| invalid(format!("{path}: {error}")))
}

fn check_name(path: &str, name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        return Err(invalid(format!("{path}.name: not 1 to 64 letters, digits, '-', '_' or '.'")));
    }
    Ok(())
}

fn check_localized<T>(path: &str, texts: &Localized<T>) -> Result<()> {
    if !texts.0.contains_key(FALLBACK) {
        return Err(invalid(format!("{path}.{FALLBACK}: missing")));
    }
    texts.0.keys().try_for_each(|language| check_language(path, language))
}

fn check_optional(path: &str, texts: Option<&Localized<String>>) -> Result<()> {
    texts.map_or(Ok(()), |texts| check_localized(path, texts))
}

fn check_language(path: &str, language: &str) -> Result<()> {
    if (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Ok(());
    }
    Err(invalid(format!("{path}: a key is not a primary language subtag such as 'es'")))
}

/// Checks every text of an entry, whose fields are known.
fn check_texts(path: &str, part: &Value) -> Result<()> {
    match part {
        Value::String(text) if text.trim().is_empty() => Err(invalid(format!("{path}: empty"))),
        Value::String(text) if text.len() > CATALOG_TEXT_LEN_MAX => {
            Err(invalid(format!("{path}: longer than {CATALOG_TEXT_LEN_MAX} bytes")))
        }
        Value::Array(parts) => {
            parts.iter().enumerate().try_for_each(|(index, part)| check_texts(&format!("{path}[{index}]"), part))
        }
        Value::Object(parts) => parts.iter().try_for_each(|(key, part)| check_texts(&format!("{path}.{key}"), part)),
        _ => Ok(()),
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidConfig, format!("catalog: {}", detail.into()))
}
