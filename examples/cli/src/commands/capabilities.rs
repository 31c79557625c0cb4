//! `tertulia capabilities`: the languages, voices, levels and scenarios of the engine.

use crate::output::Output;
use crate::setup;
use tertulia::{Capabilities, Result, SessionEngine};

pub(crate) fn run(output: &Output) -> Result<()> {
    let capabilities = setup::engine_in_memory()?.capabilities();
    output.result(&capabilities, || as_text(&capabilities))
}

fn as_text(capabilities: &Capabilities) -> String {
    let mut lines = Vec::new();
    // The recogniser knows a hundred languages; those with a voice come first.
    let (full, recognised): (Vec<_>, Vec<_>) = capabilities.languages.iter().partition(|language| language.speak);
    for language in full {
        let voices = if language.voices.is_empty() { "-".to_owned() } else { language.voices.join(" ") };
        lines.push(format!("{}: recognise, speak, chat; voices: {voices}", language.language));
    }
    let recognised: Vec<&str> = recognised.iter().map(|language| language.language.as_str()).collect();
    lines.push(format!("recognise only: {}", recognised.join(" ")));
    lines.push(format!("levels: {}", capabilities.levels.join(" ")));
    lines.push(format!("scenarios: {}", capabilities.scenarios.join(" ")));
    lines.join("\n")
}
