//! `tertulia capabilities`

use crate::output::Output;
use crate::setup;
use tertulia::{Capabilities, Result, SessionEngine};

pub(crate) fn run(output: &Output) -> Result<()> {
    let capabilities = setup::engine_in_memory()?.capabilities();
    output.result(&capabilities, || as_text(&capabilities))
}

fn as_text(capabilities: &Capabilities) -> String {
    let mut lines = Vec::new();
    // A recogniser knows a hundred languages; those that can be practised come first, with their voices.
    let (full, heard): (Vec<_>, Vec<_>) = capabilities.languages.iter().partition(|language| language.speak);
    for language in full {
        let voices = if language.voices.is_empty() { "-".to_owned() } else { language.voices.join(" ") };
        lines.push(format!("{}: recognise, speak, chat; voices: {voices}", language.tag));
    }
    let heard: Vec<&str> = heard.iter().map(|language| language.tag.as_str()).collect();
    lines.push(format!("recognise only: {}", heard.join(" ")));
    lines.push(format!("levels: {}", capabilities.levels.join(" ")));
    lines.push(format!("scenarios: {}", capabilities.scenarios.join(" ")));
    lines.join("\n")
}
