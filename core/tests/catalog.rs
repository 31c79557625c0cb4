//! The catalogue of levels and scenarios, and merging of an app's own.

use tertulia::catalog::Catalog;
use tertulia::{ErrorCode, prompt};

#[test]
fn the_built_in_levels_are_those_of_the_cefr() {
    let catalog = Catalog::builtin();
    let names: Vec<&str> = catalog.levels().iter().map(|level| level.name.as_str()).collect();
    assert_eq!(names, ["A1", "A2", "B1", "B2", "C1", "C2"]);
    assert!(catalog.levels().is_sorted_by(|a, b| a.speed <= b.speed));
}

#[test]
fn every_built_in_scenario_is_in_both_languages() {
    let catalog = Catalog::builtin();
    assert_eq!(catalog.scenarios().len(), 10);
    for scenario in catalog.scenarios() {
        for language in ["en", "es"] {
            assert!(scenario.opener.contains_key(language), "{}", scenario.name);
            assert_eq!(scenario.examples[language].len(), 2, "{}", scenario.name);
            assert!(scenario.goals.text(language).len() >= 2, "{}", scenario.name);
        }
        for field in [&scenario.title, &scenario.setting, &scenario.tutor_role, &scenario.learner_role] {
            assert_ne!(field.text("en"), field.text("es"), "{}", scenario.name);
        }
    }
}

#[test]
fn the_default_settings_are_in_the_catalog() {
    let config = tertulia::SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    let catalog = Catalog::builtin();
    catalog.level(&config.level).unwrap();
    catalog.scenario(&config.scenario).unwrap();
}

#[test]
fn catalog_entries_are_added_and_replaced_by_name() {
    let mut catalog = Catalog::builtin();
    let level = |name: &str| {
        format!(r#"{{"levels": [{{"name": "{name}", "description": "d", "instructions": {{"en": "Whisper."}}}}]}}"#)
    };
    catalog.merge_json(&level("Kids")).unwrap();
    catalog.merge_json(&level("A1")).unwrap();
    let names: Vec<&str> = catalog.levels().iter().map(|level| level.name.as_str()).collect();
    assert_eq!(names, ["A1", "A2", "B1", "B2", "C1", "C2", "Kids"]);
    assert_eq!(catalog.level("A1").unwrap().instructions.text("es"), "Whisper.");
    assert_eq!(catalog.level("A1").unwrap().speed, 1.0);
    assert_eq!(catalog.level("Nope").unwrap_err().code(), ErrorCode::UnknownLevel);
    assert_eq!(catalog.scenario("Nope").unwrap_err().code(), ErrorCode::UnknownScenario);
}

#[test]
fn levels_and_scenarios_are_listed_in_the_language_of_the_app() {
    let tag = |tag: &str| tag.parse().unwrap();
    let own = r#"{
        "levels": [{"name": "Kids", "description": {"en": "For children.", "de": "Für Kinder."}, "instructions": "Be kind."}],
        "scenarios": [{"name": "zoo", "title": {"en": "At the zoo", "es": "En el zoo"}, "setting": "a zoo",
            "tutor_role": "a keeper", "learner_role": "a visitor", "goals": ["name three animals"]}]
    }"#;
    let catalog = Catalog::from_json(own).unwrap();
    let listed = |language: &str| -> serde_json::Value {
        serde_json::from_str(&catalog.listing(&tag(language)).to_json()).unwrap()
    };
    let (english, spanish, german) = (listed("en"), listed("es-MX"), listed("de"));
    assert_eq!((&spanish["levels"][1]["name"], &spanish["levels"][1]["title"]), (&"A2".into(), &"Elemental".into()));
    assert_eq!(german["levels"][1]["title"], "Elementary", "English stands in");
    assert_eq!(german["levels"][6]["description"], "Für Kinder.");
    assert_eq!(spanish["levels"][6]["title"], "Kids");
    let zoo = &spanish["scenarios"][10];
    assert_eq!((&zoo["title"], &zoo["description"]), (&"En el zoo".into(), &"a zoo".into()));
    assert_eq!(zoo["goals"], serde_json::json!(["name three animals"]));
    for (index, scenario) in spanish["scenarios"].as_array().unwrap()[..10].iter().enumerate() {
        for field in ["title", "description", "goals"] {
            assert_ne!(scenario[field], english["scenarios"][index][field], "{}", scenario["name"]);
        }
    }
    for (index, level) in spanish["levels"].as_array().unwrap()[..6].iter().enumerate() {
        assert_ne!(level["title"], english["levels"][index]["title"]);
        assert_ne!(level["description"], english["levels"][index]["description"]);
    }
    // The whole of it is JSON, too.
    assert!(Catalog::from_json(&catalog.to_json()).unwrap() == catalog);
}

#[test]
fn a_wording_that_lacks_a_text_takes_the_english_one() {
    let wording =
        r#"{"prompts": {"fr": {"system": "Tu es {tutor_role}. Parle {target}.", "languages": {"fr": "français"}}}}"#;
    let catalog = Catalog::from_json(wording).unwrap();
    let config = |target: &str| tertulia::SessionConfig::new("en".parse().unwrap(), target.parse().unwrap());
    let system = |target: &str| prompt::system_messages(&config(target), &catalog).unwrap().remove(0).content;
    assert_eq!(system("fr-CA"), "Tu es a friendly conversation partner. Parle français.");
    let opening = prompt::opening_instruction(&config("fr"), &catalog).unwrap();
    assert!(opening.starts_with("I am here. Begin the conversation"), "{opening}");
    // A text of a known language is replaced by itself.
    let spanish = r#"{"prompts": {"es": {"persona": "Eres serio."}}}"#;
    let mut changed = Catalog::builtin();
    changed.merge_json(spanish).unwrap();
    let system = |catalog: &Catalog| prompt::system_messages(&config("es"), catalog).unwrap().remove(0).content;
    assert_eq!(system(&changed), system(&Catalog::builtin()).replace("Eres amable y paciente.", "Eres serio."));
}

#[test]
fn catalog_errors_name_the_field_and_change_nothing() {
    let good = r#"{"name": "ok", "description": "d", "instructions": {"en": "i"}}"#;
    let cases = [
        ("", "not JSON"),
        ("[]", "not an object"),
        (r#"{"lvls": []}"#, "lvls"),
        (r#"{"levels": {}}"#, "levels: not a list"),
        (r#"{"levels": [GOOD, {"name": "x", "description": "d"}]}"#, "levels[1]: missing field `instructions`"),
        (r#"{"levels": [{"name": "", "description": "d", "instructions": {"en": "i"}}]}"#, "levels[0].name"),
        (r#"{"levels": [{"name": "a b", "description": "d", "instructions": {"en": "i"}}]}"#, "levels[0].name"),
        (r#"{"levels": [{"name": "x", "description": " ", "instructions": {"en": "i"}}]}"#, "levels[0].description"),
        (
            r#"{"levels": [{"name": "x", "description": "d", "instructions": {"es": "i"}}]}"#,
            "levels[0].instructions.en",
        ),
        (
            r#"{"levels": [{"name": "x", "description": "d", "instructions": {"en": "i"}, "speed": 9}]}"#,
            "levels[0].speed",
        ),
        (
            r#"{"levels": [{"name": "x", "description": "d", "instructions": {"en": "i"}, "sped": 1}]}"#,
            "unknown field `sped`",
        ),
        (r#"{"scenarios": [{"name": "x"}]}"#, "scenarios[0]: missing field `title`"),
        (
            r#"{"scenarios": [{"name": "x", "title": {"en": "t"}, "setting": {"en": "s"}, "tutor_role": {"en": "r"},
                "learner_role": {"en": "l"}, "goals": {"en": []}}]}"#,
            "scenarios[0].goals.en: empty",
        ),
        (
            r#"{"scenarios": [{"name": "x", "title": {"en": "t"}, "setting": {"en": "s"}, "tutor_role": {"en": "r"},
                "learner_role": {"en": "l"}, "goals": {"en": ["g"]},
                "examples": {"en": [{"learner": "Hi", "tutor": ""}]}}]}"#,
            "scenarios[0].examples.en[0].tutor: empty",
        ),
        (r#"{"prompts": {"Deutsch": {}}}"#, "prompts.Deutsch"),
        (r#"{"prompts": {"de": {"sytem": "x"}}}"#, "prompts.de: unknown field `sytem`"),
        (r#"{"prompts": {"de": {"system": 5}}}"#, "prompts.de: invalid type"),
        (r#"{"prompts": {"de": {"system": null}}}"#, "prompts.de: missing field `system`"),
        (
            r#"{"levels": [{"name": "x", "description": {"de": "d"}, "instructions": {"en": "i"}}]}"#,
            "levels[0].description.en",
        ),
        (
            r#"{"levels": [{"name": "x", "title": {"de": "t"}, "description": "d", "instructions": "i"}]}"#,
            "levels[0].title.en",
        ),
    ];
    let mut catalog = Catalog::builtin();
    for (json, named) in cases {
        let error = catalog.merge_json(&json.replace("GOOD", good)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig, "{json}");
        assert!(error.detail().contains(named), "{json}: {}", error.detail());
        assert!(catalog == Catalog::builtin(), "{json} changed something");
    }
}

#[test]
fn a_catalog_text_of_a_hundred_kilobytes_is_refused() {
    let long = "x".repeat(100_000);
    let json = format!(r#"{{"levels": [{{"name": "x", "description": "{long}", "instructions": {{"en": "i"}}}}]}}"#);
    let error = Catalog::builtin().merge_json(&json).unwrap_err();
    assert!(error.detail().contains("levels[0].description"), "{}", error.detail());
    assert!(!error.detail().contains("xxx"));
}
