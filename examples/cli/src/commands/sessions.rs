//! `tertulia sessions`: stored sessions and the maintenance of the store.

use crate::args;
use crate::conversation::print_turn;
use crate::output::{Output, file_error};
use crate::setup::{self, engine_without_models as open};
use std::fmt::Write;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use tertulia::event::TurnState;
use tertulia::store::{ImportOptions, SessionQuery, SessionRecord, StoreUsage, TurnRecord};
use tertulia::{Engine, Error, ErrorCode, Playback, Result, Session, SessionEngine, SessionId, SessionUpdate, TurnId};

pub(crate) fn run(command: args::Sessions, output: &Output) -> Result<()> {
    match command {
        args::Sessions::List { store, text, limit } => {
            list(&open(&store)?, &SessionQuery { text, ..SessionQuery::default() }, limit, output)
        }
        args::Sessions::Show { session, store } => {
            let (record, turns) = open(&store)?.session(session)?;
            show(&record, &turns.turns, output)
        }
        args::Sessions::Export { session, store, out } => export(&open(&store)?, session, &out, output),
        args::Sessions::Import { archive, store, id } => import(&open(&store)?, &archive, id, output),
        args::Sessions::Delete { session, store, erase } => {
            let engine = open(&store)?;
            if erase {
                // Fails for an unknown session, which erasing would ignore.
                engine.session(session)?;
                engine.erase_sessions(&[session])?.wait()?;
            } else {
                engine.delete_session(session)?;
            }
            output.result(&serde_json::json!({"deleted": session}), || format!("deleted {session}"))
        }
        args::Sessions::DeleteEverything { store } => {
            open(&store)?.erase_everything()?.wait()?;
            output.result(&serde_json::json!({"deleted": "everything"}), || "deleted everything".to_owned())
        }
        args::Sessions::Retry { session, turn, store, chat } => {
            let engine = setup::engine(&store, chat.model.as_deref())?;
            redo(&engine, session, output, |session| session.retry_turn(TurnId(turn)))
        }
        args::Sessions::Correct { session, turn, text, store, chat } => {
            let engine = setup::engine(&store, chat.model.as_deref())?;
            redo(&engine, session, output, |session| session.correct(TurnId(turn), &text))
        }
        args::Sessions::Usage { store } => {
            let usage = open(&store)?.store_usage()?;
            output.result(&usage, || usage_text(&usage))
        }
        args::Sessions::Verify { store } => verify(&open(&store)?, output),
        args::Sessions::Compact { store } => compact(&open(&store)?, output),
        args::Sessions::Sweep { store, dry_run, audio_bytes_max } => sweep(&store, dry_run, audio_bytes_max, output),
        args::Sessions::Rekey { store, new_key_file } => {
            let key = new_key_file.as_deref().map(setup::read_key).transpose()?;
            let encrypted = key.is_some();
            open(&store)?.rotate_store_key(key)?.wait()?;
            let text = if encrypted { "encrypted with the new key" } else { "decrypted" };
            output.result(&serde_json::json!({"encrypted": encrypted}), || text.to_owned())
        }
    }
}

fn compact(engine: &Engine, output: &Output) -> Result<()> {
    let before = engine.store_usage()?.storage_bytes;
    engine.compact_store().wait()?;
    let after = engine.store_usage()?.storage_bytes;
    let json = serde_json::json!({"storage_bytes_before": before, "storage_bytes": after});
    output.result(&json, || format!("{} before, {} now", megabytes(before), megabytes(after)))
}

fn sweep(store: &args::Store, dry_run: bool, audio_bytes_max: Option<u64>, output: &Output) -> Result<()> {
    // The store itself: an engine sweeps on its own when it opens.
    let swept = setup::store(store, audio_bytes_max)?.sweep(setup::unix_ms()?, dry_run)?;
    let verb = if dry_run { "would delete" } else { "deleted" };
    output.result(&swept, || {
        let (user, reply, texts) = (swept.user_audio, swept.reply_audio, swept.texts);
        let bytes = megabytes(swept.audio_bytes);
        format!("{verb} {user} user recordings, {reply} reply recordings ({bytes}) and {texts} texts")
    })
}

/// Begins a turn in a stored session, and prints it to its end.
fn redo(engine: &Engine, id: SessionId, output: &Output, begin: impl FnOnce(&Session) -> Result<TurnId>) -> Result<()> {
    let session = engine.open_session(id, &SessionUpdate::new())?;
    session.update(&SessionUpdate::new().playback(Playback::Assumed))?;
    let events = session.events()?;
    let again = begin(&session)?;
    print_turn(engine, &events, again, output).map(drop)
}

fn verify(engine: &Engine, output: &Output) -> Result<()> {
    let verified = engine.verify_store().wait()?;
    output.result(&verified, || {
        let (sessions, turns, recordings) = (verified.sessions, verified.turns, verified.recordings);
        let mut text = format!("sound: {sessions} sessions, {turns} turns, {recordings} recordings");
        for damage in &verified.damaged {
            let _ = write!(text, "\n{} in session {}", damage.code.name(), damage.session);
            if let Some(turn) = damage.turn {
                let _ = write!(text, ", turn {turn}");
            }
            if let Some(audio) = damage.audio {
                let _ = write!(text, ", {audio:?} audio");
            }
        }
        if verified.lost_turns > 0 {
            let _ = write!(text, "\n{} turns are lost", verified.lost_turns);
        }
        text
    })?;
    if verified.is_sound() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::RecordCorrupt, "records of the store are damaged or lost"))
}

fn usage_text(usage: &StoreUsage) -> String {
    format!(
        "{} sessions, {} turns\n{} recordings of learners, {}\n{} recordings of replies, {}\nfile: {}, of which unused {}",
        usage.sessions,
        usage.turns,
        usage.user_audio,
        megabytes(usage.user_audio_bytes),
        usage.reply_audio,
        megabytes(usage.reply_audio_bytes),
        megabytes(usage.storage_bytes),
        megabytes(usage.unused_bytes)
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn list(engine: &Engine, query: &SessionQuery, limit: usize, output: &Output) -> Result<()> {
    let (mut after, mut left) = (None, limit);
    while left > 0 {
        let page = engine.sessions(query, after, left)?;
        for session in &page.sessions {
            let line = || {
                let (id, turns, title) = (session.id, session.turns, &session.title);
                format!("{id}  {} → {}  {turns} turns  {title}", session.native, session.target)
            };
            output.result(session, line)?;
        }
        left -= page.sessions.len();
        match page.next {
            next @ Some(_) => after = next,
            None => break,
        }
    }
    Ok(())
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
        _ => text += " (in a state of a newer version)",
    }
    if matches!(turn.origin, TurnOrigin::Utterance | TurnOrigin::Text) {
        let _ = write!(text, "\n  learner: {}", turn.user_text);
    }
    if !turn.instructions.is_empty() {
        let _ = write!(text, "\n  asked:   {}", turn.instructions);
    }
    let _ = write!(text, "\n  tutor:   {}", turn.reply_text);
    if let Some(heard) = &turn.heard_text {
        let _ = write!(text, "\n  heard:   {heard}");
    }
    text
}

fn export(engine: &Engine, session: SessionId, out: &Path, output: &Output) -> Result<()> {
    // Looked up first: an unknown session must not leave an empty file.
    engine.session(session)?;
    let file = File::create_new(out).map_err(|source| file_error("made", out, source))?;
    let exported = engine.export_session_to(session, Box::new(&mut BufWriter::new(file))).wait();
    let report = match exported {
        Ok(report) => report,
        Err(error) => {
            // An incomplete archive is of no use.
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

fn import(engine: &Engine, archive: &Path, id: Option<SessionId>, output: &Output) -> Result<()> {
    let file = File::open(archive).map_err(|source| file_error("read", archive, source))?;
    let options = ImportOptions { new_id: id, ..ImportOptions::default() };
    let report = engine.import_session(Box::new(file), options.clone()).wait()?;
    output.result(&report, || {
        let left_out = report.audio_forbidden + report.texts_forbidden;
        let note = if left_out == 0 { String::new() } else { format!(", {left_out} left out by the session's rules") };
        format!("session {}: {} turns, {} recordings{note}", report.session, report.turns, report.audio)
    })
}
