//! `tertulia sessions`

use crate::args;
use crate::output::{Output, file_error, write_file};
use crate::setup::engine_without_models as open;
use std::fmt::Write;
use std::path::Path;
use tertulia::event::TurnState;
use tertulia::store::{SessionRecord, TurnRecord};
use tertulia::{Result, SessionEngine, SessionId};

pub(crate) fn run(command: args::Sessions, output: &Output) -> Result<()> {
    match command {
        args::Sessions::List { store, limit } => {
            let page = open(&store)?.sessions(None, limit)?;
            for session in &page.sessions {
                let line = || {
                    let (id, turns, title) = (session.id, session.turns, &session.title);
                    format!("{id}  {} → {}  {turns} turns  {title}", session.native, session.target)
                };
                output.result(session, line)?;
            }
            Ok(())
        }
        args::Sessions::Show { session, store } => {
            let (record, turns) = open(&store)?.session(session)?;
            show(&record, &turns.turns, output)
        }
        args::Sessions::Export { session, store, out } => export(&open(&store)?, session, &out, output),
        args::Sessions::Delete { session, store } => {
            open(&store)?.delete_session(session)?;
            output.result(&serde_json::json!({"deleted": session}), || format!("deleted {session}"))
        }
    }
}

/// Prints a session as it is stored.
pub(crate) fn show(record: &SessionRecord, turns: &[TurnRecord], output: &Output) -> Result<()> {
    output.result(record, || {
        let config = &record.config;
        format!("session {}: {} → {}, {}, {}", record.id, config.native, config.target, config.level, config.scenario)
    })?;
    turns.iter().try_for_each(|turn| output.result(turn, || turn_text(turn)))
}

fn turn_text(turn: &TurnRecord) -> String {
    use tertulia::event::TurnOrigin;
    let mut text = format!("turn {}", turn.turn);
    match turn.state {
        TurnState::Finished => {}
        TurnState::Open => text += " (under way)",
        TurnState::Interrupted { reason } => {
            let _ = write!(text, " (interrupted: {reason:?})");
        }
        TurnState::Failed { stage, code } => {
            let _ = write!(text, " (failed at {stage:?}: {code})");
        }
    }
    if matches!(turn.origin, TurnOrigin::Utterance | TurnOrigin::Text) {
        let _ = write!(text, "\n  learner: {}", turn.user_text);
    }
    let _ = write!(text, "\n  tutor:   {}", turn.reply_text);
    if let Some(heard) = &turn.heard_text {
        let _ = write!(text, "\n  heard:   {heard}");
    }
    text
}

fn export(engine: &tertulia::Engine, session: SessionId, out: &Path, output: &Output) -> Result<()> {
    let export = engine.export_session(session)?;
    std::fs::create_dir(out).map_err(|source| file_error("made", out, source))?;
    write_file(&out.join("session.jsonl"), export.json_lines().as_bytes())?;
    for audio in &export.audio {
        write_file(&out.join(&audio.file_name), &audio.wav)?;
    }
    let result = serde_json::json!({"folder": out, "turns": export.turns.turns.len(), "audio": export.audio.len()});
    output.result(&result, || out.display().to_string())
}
