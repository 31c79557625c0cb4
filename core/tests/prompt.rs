//! The prompts against their golden files. After a change of wording, read the new files and keep them:
//! `TERTULIA_BLESS=1 cargo test -p tertulia --test prompt`.

use std::path::PathBuf;
use tertulia::backend::{Message, Role};
use tertulia::catalog::Catalog;
use tertulia::prompt::{
    instruction_message, opening_instruction, remember, spoken_line, summary_messages, system_messages,
};
use tertulia::{ErrorCode, SessionConfig};

#[test]
fn prompts_equal_the_golden_files() {
    let mut named = config("en", "es");
    (named.level, named.scenario) = ("A1".into(), "cafe".into());
    (named.persona.name, named.persona.character) = ("Lucía".into(), "Te gusta bromear.".into());
    let mut english = config("es", "en");
    (english.level, english.scenario) = ("B1".into(), "job-interview".into());
    let mut fallback = config("de", "fr");
    fallback.scenario = "hotel".into();
    for (name, config) in [
        ("prompt_en_es", config("en", "es")),
        ("prompt_en_es_named", named),
        ("prompt_es_en", english),
        ("prompt_de_fr", fallback),
    ] {
        let catalog = Catalog::builtin();
        let mut messages = system_messages(&config, &catalog).unwrap();
        messages.push(instruction_message(&opening_instruction(&config, &catalog).unwrap()));
        compare(name, &messages);
    }
}

#[test]
fn summary_prompts_equal_the_golden_files() {
    let catalog = Catalog::builtin();
    for (name, config, learner, tutor, summary) in [
        ("summary_en_es", config("en", "es"), "Me llamo {summary}.", "Encantada.", "Se llama Ana."),
        ("summary_es_en", config("es", "en"), "I am {words}.", "Nice to meet you.", "Her name is Ana."),
    ] {
        let line = |role, text| spoken_line(role, text, &config, &catalog);
        let exchanges = format!("{}\n{}", line(Role::User, learner), line(Role::Assistant, tutor));
        let mut messages = summary_messages("", &exchanges, 120, &config, &catalog).to_vec();
        messages.extend(summary_messages(summary, &exchanges, 120, &config, &catalog));
        let mut remembered = system_messages(&config, &catalog).unwrap();
        remember(&mut remembered, summary, &config, &catalog);
        messages.push(remembered.swap_remove(0));
        compare(name, &messages);
    }
}

#[test]
fn the_examples_follow_the_system_prompt_as_exchanges() {
    let catalog = Catalog::builtin();
    for scenario in catalog.scenarios() {
        for target in ["en", "es", "es-MX"] {
            let mut config = config("de", target);
            config.scenario = scenario.name.clone();
            let roles: Vec<Role> = system_messages(&config, &catalog).unwrap().iter().map(|m| m.role).collect();
            assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant]);
        }
    }
}

#[test]
fn every_prompt_is_filled_in_and_short() {
    let catalog = Catalog::builtin();
    for (native, target) in [("en", "es"), ("es", "en"), ("en", "ja"), ("xx", "yy")] {
        for level in catalog.levels() {
            for scenario in catalog.scenarios() {
                let mut config = config(native, target);
                (config.level, config.scenario) = (level.name.clone(), scenario.name.clone());
                for message in system_messages(&config, &catalog).unwrap() {
                    assert!(!message.content.contains(['{', '}']), "{}", message.content);
                    // The prompt is evaluated before the first word: it has to stay below some 400 tokens.
                    assert!(message.content.len() < 1_300, "{} bytes", message.content.len());
                }
                assert!(!opening_instruction(&config, &catalog).unwrap().contains(['{', '}']));
            }
        }
    }
}

#[test]
fn a_language_without_examples_gets_none_of_another_language() {
    let catalog = Catalog::builtin();
    let messages = system_messages(&config("en", "fr"), &catalog).unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].content.contains("French"), "{}", messages[0].content);
    let opening = opening_instruction(&config("en", "fr"), &catalog).unwrap();
    assert!(opening.contains("French") && !opening.contains("Hello"), "{opening}");
}

#[test]
fn placeholders_in_texts_of_the_host_are_not_expanded() {
    let mut config = config("en", "es");
    config.persona.name = "{native} {setting}".into();
    let system = &system_messages(&config, &Catalog::builtin()).unwrap()[0].content;
    assert!(system.contains("{native} {setting}"), "{system}");
}

#[test]
fn unknown_levels_and_scenarios_have_error_codes() {
    let catalog = Catalog::builtin();
    let mut config = config("en", "es");
    config.level = "a2".into();
    assert_eq!(system_messages(&config, &catalog).unwrap_err().code(), ErrorCode::UnknownLevel);
    config.level = "A2".into();
    config.scenario = "moon".into();
    assert_eq!(system_messages(&config, &catalog).unwrap_err().code(), ErrorCode::UnknownScenario);
    assert_eq!(opening_instruction(&config, &catalog).unwrap_err().code(), ErrorCode::UnknownScenario);
}

fn config(native: &str, target: &str) -> SessionConfig {
    SessionConfig::new(native.parse().unwrap(), target.parse().unwrap())
}

fn compare(name: &str, messages: &[Message]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    let written: String =
        messages.iter().map(|message| format!("[{:?}]\n{}\n\n", message.role, message.content)).collect();
    if std::env::var_os("TERTULIA_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == written, "{name} changed; it is now:\n{written}");
}
