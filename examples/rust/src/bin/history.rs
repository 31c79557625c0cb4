//! A browser of the stored conversations.
//!
//! `cargo run -p tertulia-examples --bin history -- STORE list [TEXT] | show SESSION | export SESSION FILE`
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::{env, fs::File, io::BufWriter, path::Path};
use tertulia::store::{SessionQuery, StoreLocation};
use tertulia::{Engine, EngineBuilder, Result, SessionEngine, SessionId};

const PAGE: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [store, verb, rest @ ..] = &arguments[..] else { return Err("no store or no verb".into()) };
    if !Path::new(store).exists() {
        return Err(format!("{store} is not there").into());
    }
    let engine = EngineBuilder::new().store(StoreLocation::File(store.into())).build()?;
    match (verb.as_str(), rest) {
        ("list", []) => list(&engine, None)?,
        ("list", [text]) => list(&engine, Some(text.clone()))?,
        ("show", [id]) => show(&engine, id.parse()?)?,
        ("export", [id, file]) => {
            let report = engine.export_session_to(id.parse()?, Box::new(BufWriter::new(File::create(file)?))).wait()?;
            println!("{file}: {} turns, {} recordings", report.turns, report.audio);
        }
        _ => return Err("list [TEXT], show SESSION or export SESSION FILE".into()),
    }
    Ok(())
}

/// The sessions with this text in them, page by page, the one that changed last first.
fn list(engine: &Engine, text: Option<String>) -> Result<()> {
    let (query, mut after) = (SessionQuery { text, ..SessionQuery::default() }, None);
    loop {
        let page = engine.sessions(&query, after, PAGE)?;
        for session in &page.sessions {
            println!("{}  {} turns  {}", session.id, session.turns, session.title);
        }
        page.damaged.iter().for_each(|id| println!("{id}  damaged"));
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn show(engine: &Engine, id: SessionId) -> Result<()> {
    let mut after = None;
    loop {
        let page = engine.turns(id, after, PAGE)?;
        page.turns.iter().for_each(|turn| println!("{}  {}\n   {}", turn.turn, turn.user_text, turn.reply_text));
        page.damaged.iter().for_each(|turn| println!("{turn}  damaged"));
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
