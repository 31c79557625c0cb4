//! Prompts of the chat model: pure functions from the session's settings to messages.

use crate::backend::{Message, Role};
use crate::catalog::{Catalog, PromptWording};
use crate::config::SessionConfig;
use crate::error::Result;

/// The pinned messages of every conversation: the system prompt, then the scenario's example exchanges in the target
/// language. The prompt is in the target language where the catalogue has a wording for it, because small models answer
/// in the language of their prompt; else in English, naming the language.
///
/// # Errors
/// [`ErrorCode::UnknownLevel`](crate::ErrorCode::UnknownLevel),
/// [`ErrorCode::UnknownScenario`](crate::ErrorCode::UnknownScenario).
///
/// ```
/// use tertulia::{SessionConfig, catalog::Catalog, prompt};
/// let config = SessionConfig::new("en".parse()?, "es".parse()?);
/// let messages = prompt::system_messages(&config, &Catalog::builtin())?;
/// assert!(messages[0].content.contains("Responde siempre en español"));
/// assert_eq!(messages.len(), 1 + 2 * 2);
/// # Ok::<(), tertulia::Error>(())
/// ```
pub fn system_messages(config: &SessionConfig, catalog: &Catalog) -> Result<Vec<Message>> {
    let (level, scenario) = (catalog.level(&config.level)?, catalog.scenario(&config.scenario)?);
    let (language, wording) = catalog.wording(&config.target);
    let system = fill(
        &wording.system,
        &[
            ("persona", &persona(config, wording)),
            ("target", wording.language_name(&config.target)),
            ("native", wording.language_name(&config.native)),
            ("setting", scenario.setting.text(language)),
            ("tutor_role", scenario.tutor_role.text(language)),
            ("learner_role", scenario.learner_role.text(language)),
            ("goals", &list(scenario.goals.text(language), &wording.list_end)),
            ("level", &level.name),
            ("level_instructions", level.instructions.text(language)),
        ],
    );
    let mut messages = vec![Message::new(Role::System, system)];
    for exchange in scenario.examples.get(config.target.primary()).into_iter().flatten() {
        messages.push(Message::new(Role::User, &exchange.learner));
        messages.push(Message::new(Role::Assistant, &exchange.tutor));
    }
    Ok(messages)
}

/// The scenario's first sentence of the tutor in the target language, for a host that says it rather than wait for the
/// model. Fails with [`ErrorCode::UnknownScenario`](crate::ErrorCode::UnknownScenario), as does the next function.
pub fn opener(config: &SessionConfig, catalog: &Catalog) -> Result<Option<String>> {
    Ok(catalog.scenario(&config.scenario)?.opener.get(config.target.primary()).cloned())
}

/// The instruction to open the conversation; for [`instruction_message`].
pub fn opening_instruction(config: &SessionConfig, catalog: &Catalog) -> Result<String> {
    let scenario = catalog.scenario(&config.scenario)?;
    let (_, wording) = catalog.wording(&config.target);
    let target = wording.language_name(&config.target);
    Ok(match scenario.opener.get(config.target.primary()) {
        Some(opener) => fill(&wording.opening_like, &[("target", target), ("opener", opener)]),
        None => fill(&wording.opening, &[("target", target)]),
    })
}

/// An instruction of the host as the last message of a request. It is the user's, in parentheses: many chat templates
/// refuse a system message anywhere but in front, and models do not answer after one of their own.
pub fn instruction_message(text: &str) -> Message {
    Message::new(Role::User, format!("({})", text.trim()))
}

/// The user's words of a barge-in, with a note that they interrupted the reply: the context holds its heard text only.
pub fn interrupting_message(text: &str, config: &SessionConfig, catalog: &Catalog) -> Message {
    let (_, wording) = catalog.wording(&config.target);
    Message::new(Role::User, fill(&wording.interrupting, &[("text", text)]))
}

/// Appends the summary of the first turns to the system prompt: templates refuse a system message further on, and small
/// models take facts from there. It stands at the end so that the KV cache of everything before it stays valid.
pub fn remember(messages: &mut [Message], summary: &str, config: &SessionConfig, catalog: &Catalog) {
    let (_, wording) = catalog.wording(&config.target);
    if let Some(system) = messages.first_mut().filter(|first| first.role == Role::System) {
        system.content.push('\n');
        system.content += &fill(&wording.remembered, &[("summary", summary)]);
    }
}

/// The request for a summary of at most `words` words: of the `summary` so far (empty for none) and the exchanges after
/// it, in lines of [`spoken_line`].
pub fn summary_messages(
    summary: &str,
    exchanges: &str,
    words: usize,
    config: &SessionConfig,
    catalog: &Catalog,
) -> [Message; 2] {
    let (_, wording) = catalog.wording(&config.target);
    let target = wording.language_name(&config.target);
    let summary = if summary.is_empty() { &wording.no_summary } else { summary };
    [
        Message::new(Role::System, fill(&wording.summarise, &[("target", target), ("words", &words.to_string())])),
        Message::new(Role::User, fill(&wording.summarise_part, &[("summary", summary), ("exchanges", exchanges)])),
    ]
}

/// A line of an exchange to be summarised, of the learner (`User`) or the tutor.
pub fn spoken_line(role: Role, text: &str, config: &SessionConfig, catalog: &Catalog) -> String {
    let (_, wording) = catalog.wording(&config.target);
    let line = if role == Role::User { &wording.learner_line } else { &wording.tutor_line };
    fill(line, &[("text", text)])
}

fn persona(config: &SessionConfig, wording: &PromptWording) -> String {
    let name = config.persona.name.trim();
    let character = config.persona.character.trim().trim_end_matches('.');
    let template = match (name.is_empty(), character.is_empty()) {
        (true, true) => &wording.persona,
        (false, true) => &wording.persona_named,
        (true, false) => &wording.character,
        (false, false) => &wording.character_named,
    };
    fill(template, &[("name", name), ("character", character)])
}

fn list(items: &[String], end: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{}{end}{last}", others.join(", ")),
    }
}

/// Replaces `{key}` by its value. Values are not looked into, so a text of the host cannot fill in others; braces
/// that name no key stay.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let value_of = |key: &str| values.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let mut parts = template.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.split_once('}').and_then(|(key, rest)| Some([value_of(key)?, rest]));
        filled.extend(named.unwrap_or(["{", part]));
    }
    filled
}
