//! `tertulia sessions`

use crate::args;
use crate::output::{Output, file_error};
use crate::setup::engine_without_models as open;
use std::fmt::Write;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use tertulia::event::TurnState;
use tertulia::store::{ImportOptions, SessionRecord, TurnRecord};
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
        args::Sessions::Import { archive, store, id } => import(&open(&store)?, &archive, id, output),
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
    // Looked up first: what is not there must not leave an empty file.
    engine.session(session)?;
    let file = File::create_new(out).map_err(|source| file_error("made", out, source))?;
    let exported = engine.export_session_to(session, &mut BufWriter::new(file));
    let report = match exported {
        Ok(report) => report,
        Err(error) => {
            // Half an archive is of no use to anybody.
            let _ = std::fs::remove_file(out);
            return Err(error);
        }
    };
    output.result(&report, || {
        let missing = report.turns_missing + report.audio_missing;
        let note = if missing == 0 { String::new() } else { format!(", {missing} records are damaged and left out") };
        format!("{}: {} turns, {} recordings{note}", out.display(), report.turns, report.audio)
    })
}

fn import(engine: &tertulia::Engine, archive: &Path, id: Option<SessionId>, output: &Output) -> Result<()> {
    let mut file = File::open(archive).map_err(|source| file_error("read", archive, source))?;
    let options = ImportOptions { new_id: id, ..ImportOptions::default() };
    let report = engine.import_session(&mut file, &options)?;
    output.result(&report, || {
        let left_out = report.audio_forbidden + report.texts_forbidden;
        let note = if left_out == 0 { String::new() } else { format!(", {left_out} left out by the session's rules") };
        format!("session {}: {} turns, {} recordings{note}", report.session, report.turns, report.audio)
    })
}
