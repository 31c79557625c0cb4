//! A conversation that outgrows the chat model's context, with a real model that writes the summaries.
//! `TERTULIA_TURNS=300 cargo test --release -p tertulia-models --test chat_summary -- --nocapture` has that many turns,
//! `TERTULIA_CHAT=qwen2.5-coder-1.5b-instruct-q4_k_m` takes the better chat model.

#![allow(clippy::print_stdout, reason = "`--nocapture` shows what the model noted down")]

#[path = "common/models.rs"]
mod models;

use models::model_path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tertulia::backend::{Backends, Sampling};
use tertulia::{EngineBuilder, EventKind, SessionConfig, SessionEngine};
use tertulia_models::chat::{ChatOptions, GgufChat};

/// Tokens of the model's context: so few that the beginning is soon out of it.
const CONTEXT_LEN: usize = 768;

const FIRST: &str = "Hola, me llamo Ximena y soy de Sevilla.";
const SMALL_TALK: [&str; 12] = [
    "Ayer fui al mercado con mi hermana.",
    "Compramos manzanas y un poco de queso.",
    "Por la tarde llovió mucho.",
    "Me gusta leer novelas por la noche.",
    "Trabajo en una oficina cerca del río.",
    "Mi jefe es muy simpático.",
    "El domingo voy a correr en el parque.",
    "Tengo un perro pequeño y negro.",
    "Mi comida favorita es la tortilla.",
    "En verano quiero ir a la playa.",
    "Mi hermano vive en otra ciudad.",
    "Hoy estoy un poco cansada.",
];

#[test]
fn the_name_told_first_is_in_the_notes_after_many_turns() {
    let turns: usize = std::env::var("TERTULIA_TURNS").map_or(20, |turns| turns.parse().expect("a whole number"));
    let model = std::env::var("TERTULIA_CHAT").unwrap_or("qwen2.5-coder-0.5b-instruct-q4_k_m".into());
    let path = model_path(&model);
    let options = ChatOptions { context_len: CONTEXT_LEN, ..ChatOptions::default() };
    let chat = Arc::new(GgufChat::new(path, Default::default(), options));
    let backends = Backends { chat: Some(chat), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let mut config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    config.sampling = Sampling { temperature: 0.0, max_tokens: 24, ..config.sampling };
    let session = engine.create_session(config).unwrap();
    let events = session.events().unwrap();
    let (mut longest, mut dropped) = (Duration::ZERO, 0);
    let mut tell = |text: &str| {
        let begun = Instant::now();
        session.send_text(text).unwrap();
        loop {
            let event = events.next_timeout(Duration::from_secs(120)).unwrap().expect("an event in time");
            match event.kind {
                EventKind::Metrics(metrics) => dropped += metrics.dropped_messages,
                EventKind::TurnFinished { reply_text } => {
                    longest = longest.max(begun.elapsed());
                    return reply_text;
                }
                EventKind::TurnFailed { error, .. } => panic!("{error:?}"),
                _ => {}
            }
        }
    };
    println!("{}", tell(FIRST));
    let mut notes = None;
    for turn in 2..turns {
        tell(SMALL_TALK[turn % SMALL_TALK.len()]);
        let summary = engine.session(session.id()).unwrap().0.summary;
        if summary != notes {
            notes = summary;
            let newest = notes.as_ref().expect("it is never taken back");
            println!("turn {turn}, notes up to turn {}: {}", newest.through, newest.text);
        }
    }
    println!("{}", tell("¿Cómo me llamo?"));
    println!("longest turn {longest:?}");
    let notes = notes.expect("a conversation of this length is summarised");
    assert!(notes.through.0 > 5, "{notes:?}");
    assert!(notes.text.contains("Ximena"), "{}", notes.text);
    assert_eq!(dropped, 0, "nothing leaves the context but by a summary");
}
