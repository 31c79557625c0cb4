//! `tertulia listen`: speech onsets, end-of-turn decisions and transcripts of a recording or the microphone.

use crate::args;
use crate::live::Live;
use crate::output::{Output, read_file};
use crate::setup;
use std::path::Path;

use tertulia::event::Stage;
use tertulia::{
    Event, EventKind, ListenRequest, Listening, ListeningMode, Result, SessionConfig, SessionEngine, audio,
};

pub(crate) fn run(options: args::Listen, output: &Output) -> Result<()> {
    match options.file.clone() {
        Some(file) => listen_to_file(&file, options, output),
        None => listen_to_microphone(&options, output),
    }
}

/// Prints the events of the microphone until Ctrl-C, in a session without replies.
fn listen_to_microphone(options: &args::Listen, output: &Output) -> Result<()> {
    let engine = setup::engine_without_replies()?;
    let mut languages = options.language.iter();
    let target = languages.next().cloned().unwrap_or("en".parse()?);
    let native = languages.next().unwrap_or(&target).clone();
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    let config = SessionConfig { listening, patience: options.patience, ..SessionConfig::new(native, target) };
    let session = engine.create_session(config)?;
    let events = session.events()?;
    let live = Live::open(&session, None, false)?;
    engine.preload().wait()?;
    let mut partial = String::new();
    live.run(output, |live| {
        while let Some(event) = events.try_next()? {
            match &event.kind {
                EventKind::TranscriptPartial { text, .. } => {
                    partial.clone_from(text);
                    if !options.partials {
                        continue;
                    }
                }
                EventKind::TranscriptDone { .. } => partial.clear(),
                // Without a chat model each turn ends here.
                EventKind::TurnFailed { stage: Stage::Reply, .. } => continue,
                _ => {}
            }
            print(&event, output)?;
        }
        live.show(&partial, output)
    })
}

fn listen_to_file(file: &Path, options: args::Listen, output: &Output) -> Result<()> {
    let pcm = audio::decode(&read_file(file)?)?;
    let engine = setup::engine_in_memory()?;
    let mut request = ListenRequest::new(pcm.samples, pcm.rate, options.language);
    (request.patience, request.partials) = (options.patience, options.partials);
    engine.listen(request)?.run(|event| print(&event, output))
}

fn print(event: &Event, output: &Output) -> Result<()> {
    output.json_line(&event.to_json())?;
    match line_of(event) {
        Some(line) => output.text(&format!("{:7.2} s  {line}", event.at_ms as f64 / 1000.0)),
        None => Ok(()),
    }
}

fn line_of(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::SpeechStarted { .. } => "speech".to_owned(),
        EventKind::SpeechStopped { .. } => "silence".to_owned(),
        EventKind::TranscriptPartial { text, .. } => format!("partial: {text}"),
        EventKind::UtteranceEnded { start_ms, end_ms, .. } => {
            format!("end of utterance, {:.2} to {:.2} s", *start_ms as f64 / 1000.0, *end_ms as f64 / 1000.0)
        }
        EventKind::TranscriptDone { transcript, .. } => format!("> {}", transcript.text),
        EventKind::Error(error) | EventKind::TurnFailed { error, .. } => {
            format!("error {}: {}", error.code.number(), error.name)
        }
        _ => return None,
    })
}
