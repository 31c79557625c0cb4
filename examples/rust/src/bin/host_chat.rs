//! A chat model of the host: a rule, in the manner of ELIZA, whose replies arrive word by word.
//!
//! `cargo run -p tertulia-examples --bin host_chat -- Me llamo Ana`

use std::{env, io::Write, io::stdout, sync::Arc, thread, time::Duration};
use tertulia::backend::*;
use tertulia::{EngineBuilder, Error, ErrorCode, EventKind, LanguageTag, Result, SessionConfig, SessionEngine};

struct Rules;

impl Model for Rules {
    fn name(&self) -> &str {
        "rules"
    }
}

impl ChatModel for Rules {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "es"].map(|tag| tag.parse().expect("a language tag")).into()
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(Rules))
    }
}

impl Conversation for Rules {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let text = request.messages.last().map(|last| answer(&last.content)).ok_or(ErrorCode::InvalidArgument)?;
        let (sender, steps) = steps_channel();
        thread::spawn(move || {
            // Sending fails once the reply is cancelled.
            text.split_inclusive(' ').try_for_each(|word| sender.send(ChatStep::Text(word.into())))?;
            sender.send(ChatStep::done())
        });
        Ok(steps)
    }
}

fn answer(text: &str) -> String {
    let name = text.strip_prefix("Me llamo ");
    name.map_or("Cuéntame más.".into(), |name| format!("¡Encantado, {name}! ¿De dónde eres?"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backends = Backends { chat: Some(Arc::new(Rules)), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build()?;
    let session = engine.create_session(SessionConfig::new("en".parse()?, "es".parse()?))?;
    let events = session.events()?;
    session.send_text(&env::args().skip(1).collect::<Vec<_>>().join(" "))?;
    loop {
        match events.next_timeout(Duration::from_secs(60))?.ok_or("no reply within a minute")?.kind {
            EventKind::ReplyTextDelta { text } => write!(stdout(), "{text}").and_then(|()| stdout().flush())?,
            EventKind::TurnFinished { .. } => return Ok(writeln!(stdout())?),
            EventKind::TurnFailed { error, .. } => return Err(Error::new(error.code, error.detail).into()),
            _ => {}
        }
    }
}
