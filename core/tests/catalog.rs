//! The catalogue of levels and scenarios, and merging of an app's own.

use tertulia::ErrorCode;
use tertulia::catalog::Catalog;

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
        (r#"{"prompts": {"de": {}}}"#, "prompts.de: missing field `system`"),
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
