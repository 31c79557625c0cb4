//! `tertulia listen`

use crate::args;
use crate::output::{Output, read_file};
use crate::setup;
use tertulia::backend::run_steps;
use tertulia::{Event, EventKind, ListenRequest, Result, SessionEngine, audio};

pub(crate) fn run(options: args::Listen, output: &Output) -> Result<()> {
    let pcm = audio::decode(&read_file(&options.file)?)?;
    let engine = setup::engine_in_memory()?;
    let request = ListenRequest {
        patience: options.patience,
        partials: options.partials,
        ..ListenRequest::new(pcm.samples, pcm.rate, options.language)
    };
    run_steps(engine.listen(request)?, |event| {
        output.json_line(&event.to_json())?;
        match line_of(&event) {
            Some(line) => output.text(&format!("{:7.2} s  {line}", event.at_ms as f64 / 1000.0)),
            None => Ok(()),
        }
    })
}

fn line_of(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::SpeechStarted { .. } => "somebody speaks".to_owned(),
        EventKind::SpeechStopped { .. } => "silence".to_owned(),
        EventKind::TranscriptDelta { text, .. } => format!("so far: {text}"),
        EventKind::UtteranceEnded { start_ms, end_ms, .. } => {
            format!("complete, {:.2} to {:.2} s", *start_ms as f64 / 1000.0, *end_ms as f64 / 1000.0)
        }
        EventKind::TranscriptDone { transcript, .. } => format!("> {}", transcript.text),
        EventKind::Error(error) => format!("error {}: {}", error.code.number(), error.name),
        _ => return None,
    })
}
