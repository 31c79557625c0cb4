//! The levels and scenarios in one language, as an app shows them.

use super::Catalog;
use crate::language::LanguageTag;
use serde::Serialize;

/// The levels and scenarios in one language.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The levels, in order.
    pub levels: Vec<LevelEntry>,
    /// The scenarios, in order.
    pub scenarios: Vec<ScenarioEntry>,
}

/// A level in one language.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LevelEntry {
    /// The name that settings use.
    pub name: String,
    /// A heading; the name where it has none.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// The recommended speed of speech.
    pub speed: f32,
}

/// A scenario in one language.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScenarioEntry {
    /// The name that settings use.
    pub name: String,
    /// A heading.
    pub title: String,
    /// One sentence; the setting where it has none.
    pub description: String,
    /// The goals of the exercise.
    pub goals: Vec<String>,
}

impl Catalog {
    /// The levels and scenarios in a language, that of the app, say; in English as far as a text is missing in it.
    ///
    /// ```
    /// use tertulia::catalog::Catalog;
    /// let listing = Catalog::builtin().listing(&"es-MX".parse()?);
    /// assert_eq!((&*listing.levels[0].title, &*listing.scenarios[1].title), ("Principiante", "En la cafetería"));
    /// # Ok::<(), tertulia::Error>(())
    /// ```
    pub fn listing(&self, language: &LanguageTag) -> Listing {
        let language = language.primary();
        let level = |level: &super::Level| LevelEntry {
            name: level.name.clone(),
            title: level.title.as_ref().map_or(&level.name, |title| title.text(language)).clone(),
            description: level.description.text(language).clone(),
            speed: level.speed,
        };
        let scenario = |scenario: &super::Scenario| ScenarioEntry {
            name: scenario.name.clone(),
            title: scenario.title.text(language).clone(),
            description: scenario.description.as_ref().unwrap_or(&scenario.setting).text(language).clone(),
            goals: scenario.goals.text(language).clone(),
        };
        Listing {
            levels: self.levels.iter().map(level).collect(),
            scenarios: self.scenarios.iter().map(scenario).collect(),
        }
    }
}

impl Listing {
    /// The listing in JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a listing holds only strings, numbers and plain structs")
    }
}
