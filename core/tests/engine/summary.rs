//! Summaries: conversations longer than the chat model's context, of which nothing is dropped.

use crate::support::{config, ends_turn, failure, type_of};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tertulia::backend::{
    Backends, ChatModel, ChatRequest, ChatStep, ChatUsage, Conversation, Message, Model, Role, Steps, StopReason,
    block_on, steps_from_fn,
};
use tertulia::event::{EventKind, InterruptReason, Stage};
use tertulia::store::StoreLocation;
use tertulia::testing::fault::FaultyDisk;
use tertulia::{
    Engine, EngineBuilder, ErrorCode, Event, Events, Keep, LanguageTag, LocalDriver, Result, Session, SessionConfig,
    SessionEngine, SessionId, SessionUpdate, TurnId,
};

/// Tokens of the model's context, a quarter of them for the reply.
const CONTEXT_LEN: usize = 1000;
/// Tokens around each message.
const MARKS: usize = 5;

/// A chat model that knows what is in its messages and nothing else: it finds a name there, and keeps it in summaries.
struct Listener(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Turns that were answered, and those that a summary was made of.
    answered: BTreeSet<u64>,
    summarised: BTreeSet<u64>,
    replies: Vec<Vec<Message>>,
    read_ahead: Vec<Vec<Message>>,
    summaries_begun: usize,
    summaries: usize,
    summary_steps: usize,
    /// Prompts that did not fit.
    refused: usize,
    summary_fails: Option<ErrorCode>,
    summary_stalls: bool,
    reply_stalls: bool,
    /// Bytes that it takes for a token when it is asked; in truth there are three.
    bytes_per_token: usize,
    /// Added to each summary.
    chatter: String,
}

impl Listener {
    fn new() -> Arc<Listener> {
        Arc::new(Listener(Arc::new(Mutex::new(State { bytes_per_token: 3, ..State::default() }))))
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.0.lock()
    }

    fn summaries(&self) -> usize {
        self.state().summaries
    }
}

impl Model for Listener {
    fn name(&self) -> &str {
        "listener"
    }
}

impl ChatModel for Listener {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "es"].map(|tag| tag.parse().unwrap()).to_vec()
    }
    fn context_len(&self) -> usize {
        CONTEXT_LEN
    }
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(self.state().bytes_per_token)
    }
    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(Chat(self.0.clone())))
    }
}

struct Chat(Arc<Mutex<State>>);

impl Conversation for Chat {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let ChatRequest { messages, pinned, sampling, cancel, .. } = request;
        let prompt: usize = messages.iter().map(|message| message.content.len().div_ceil(3) + MARKS).sum();
        let reserve = (sampling.max_tokens as usize).clamp(1, CONTEXT_LEN / 4);
        assert!(pinned >= messages.len() - 1, "the model may not drop any of it");
        let mut state = self.0.lock();
        if prompt + reserve > CONTEXT_LEN {
            state.refused += 1;
            return Err(ErrorCode::ContextFull.into());
        }
        let all: String = messages.iter().map(|message| format!("{}\n", message.content)).collect();
        let is_summary = messages[0].content.contains("Escribes notas");
        let mut text;
        if is_summary {
            state.summaries_begun += 1;
            text = name_in(&all).map_or("No sé su nombre.".to_owned(), |name| format!("El alumno se llama {name}."));
            text += &state.chatter;
        } else {
            text = match (all.contains("¿Cómo me llamo?"), name_in(&all)) {
                (false, _) => "De acuerdo. Cuéntame algo más de eso, por favor: ¿cómo fue?".to_owned(),
                (true, Some(name)) => format!("Te llamas {name}."),
                (true, None) => "No lo sé.".to_owned(),
            };
            let in_words = turns_in(&all);
            for turn in &state.answered {
                let is_known = in_words.contains(turn) || state.summarised.contains(turn);
                assert!(is_known, "turn {turn} is neither in the request nor summarised: {messages:?}");
            }
            state.replies.push(messages.clone());
        }
        drop(state);
        let asked = turns_in(&all);
        let newest = turns_in(&messages.last().unwrap().content).last().copied();
        let state = self.0.clone();
        let mut steps = 0;
        Ok(steps_from_fn(move || {
            cancel.check()?;
            let mut state = state.lock();
            if is_summary {
                state.summary_steps += 1;
                if let Some(code) = state.summary_fails {
                    return Err(code.into());
                }
            }
            if (is_summary && state.summary_stalls) || (!is_summary && state.reply_stalls) {
                return Ok(Some(ChatStep::Working));
            }
            steps += 1;
            match steps {
                1 => {
                    if is_summary {
                        state.summaries += 1;
                        state.summarised.extend(&asked);
                    }
                    Ok(Some(ChatStep::Text(text.clone())))
                }
                2 => {
                    if !is_summary {
                        state.answered.extend(newest);
                    }
                    Ok(Some(ChatStep::Done { reason: StopReason::Stop, usage: ChatUsage::default() }))
                }
                _ => Ok(None),
            }
        }))
    }
    fn prefill(&mut self, request: ChatRequest) -> Result<Steps<'_, ()>> {
        self.0.lock().read_ahead.push(request.messages);
        Ok(steps_from_fn(|| Ok(None)))
    }
}

fn name_in(text: &str) -> Option<&str> {
    let at = ["Me llamo ", "se llama "].iter().find_map(|words| text.find(words).map(|at| at + words.len()))?;
    text[at..].split(|c: char| !c.is_alphabetic()).next()
}

/// The numbers of turns that a text names.
fn turns_in(text: &str) -> BTreeSet<u64> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    text.split("turno ").skip(1).filter_map(number).collect()
}

/// A session without threads, where a test says how far work goes.
struct Talk {
    engine: Engine,
    driver: LocalDriver,
    session: Session,
    events: Events,
}

impl Talk {
    fn new(model: &Arc<Listener>, store: StoreLocation, config: SessionConfig) -> Talk {
        Talk::begin(model, store, |engine| engine.create_session(config))
    }

    fn resume(model: &Arc<Listener>, store: StoreLocation, id: SessionId) -> Talk {
        Talk::begin(model, store, |engine| engine.open_session(id, &SessionUpdate::new()))
    }

    fn begin(model: &Arc<Listener>, store: StoreLocation, open: impl FnOnce(&Engine) -> Result<Session>) -> Talk {
        let (engine, driver) =
            block_on(EngineBuilder::new().backends(backends(model)).store(store).build_local()).unwrap();
        let session = open(&engine).unwrap();
        let events = session.events().unwrap();
        Talk { engine, driver, session, events }
    }

    /// Sends a text and reads to the end of the turn; `None` where it does not end.
    fn begin_turn(&mut self, text: &str) -> Option<Event> {
        self.session.send_text(text).unwrap();
        self.end_of_turn()
    }

    fn end_of_turn(&mut self) -> Option<Event> {
        for _ in 0..2000 {
            self.driver.step();
            while let Some(event) = self.events.try_next().unwrap() {
                if ends_turn(&event) {
                    return Some(event);
                }
            }
        }
        None
    }

    /// Sends a text, lets time pass, and returns the reply.
    fn tell(&mut self, text: &str) -> String {
        let event = self.begin_turn(text).expect("an end of the turn");
        let EventKind::TurnFinished { reply_text } = event.kind else { panic!("the turn failed: {event:?}") };
        self.rest();
        reply_text
    }

    /// Tells of this turn at length.
    fn tell_turn(&mut self, turn: u64) -> String {
        self.tell(&format!("En el turno {turn} cuento que he dado un paseo y he hablado con mi vecina."))
    }

    fn rest(&mut self) {
        for _ in 0..200 {
            self.driver.step();
        }
    }
}

fn backends(model: &Arc<Listener>) -> Backends {
    Backends { chat: Some(model.clone()), ..Backends::default() }
}

/// Talks until a turn does not finish, without any summary being made; gives its number and its end, if it has one.
fn talk_until_it_is_too_much(talk: &mut Talk) -> (u64, Option<Event>) {
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    for turn in 2..100 {
        let text = format!("En el turno {turn} cuento que he dado un paseo y he hablado con mi vecina.");
        match talk.begin_turn(&text) {
            Some(event) if type_of(&event) == "turn_finished" => talk.rest(),
            end => return (turn, end),
        }
    }
    panic!("the context is never full");
}

#[test]
fn turn_300_knows_the_name_told_in_turn_1_and_so_does_another_process() {
    let (disk, model) = (FaultyDisk::new(), Listener::new());
    let mut talk = Talk::new(&model, disk.location(), config());
    let id = talk.session.id();
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    for turn in 2..300 {
        let summaries = model.state().summaries_begun;
        let text = format!("En el turno {turn} cuento que he dado un paseo y he hablado con mi vecina.");
        assert_eq!(type_of(&talk.begin_turn(&text).unwrap()), "turn_finished");
        assert_eq!(model.state().summaries_begun, summaries, "turn {turn} had to wait for a summary");
        talk.rest();
    }
    assert_eq!(talk.tell("En el turno 300 pregunto: ¿Cómo me llamo?"), "Te llamas Ximena.");
    let (record, turns) = talk.engine.session(id).unwrap();
    let summary = record.summary.expect("a stored summary");
    assert_eq!((summary.text.as_str(), summary.from.0), ("El alumno se llama Ximena.", 1));
    assert!((280..300).contains(&summary.through.0), "{:?}", summary.through);
    assert_eq!(turns.turns.len(), 300, "the turns themselves stay");
    let mut archive = Vec::new();
    talk.engine.export_session_to(id, Box::new(&mut archive)).wait().unwrap();
    talk.engine.import_session(Box::new(std::io::Cursor::new(archive)), new_id(7)).wait().unwrap();
    let imported = talk.engine.session(new_id(7).new_id.unwrap()).unwrap().0;
    assert_eq!(imported.summary, Some(summary.clone()), "it is exported and imported");
    assert!((10..100).contains(&model.summaries()), "{} summaries", model.summaries());
    drop(talk);

    let mut talk = Talk::resume(&model, disk.location(), id);
    assert_eq!(talk.tell("En el turno 301 pregunto: ¿Cómo me llamo?"), "Te llamas Ximena.");
    let state = model.state();
    let request = state.replies.last().unwrap();
    let words: String = request[1..].iter().map(|message| format!("{}\n", message.content)).collect();
    assert_eq!(turns_in(&words), (summary.through.0 + 1..=301).collect(), "what the summary covers, or the rest");
    assert!(request[0].role == Role::System && request[0].content.ends_with("El alumno se llama Ximena."));
    assert_eq!(state.refused, 0, "a request did not fit");
}

#[test]
fn a_new_summary_is_prefilled_before_the_next_turn() {
    let model = Listener::new();
    let mut talk = Talk::new(&model, StoreLocation::Memory, config());
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    for turn in 2.. {
        talk.tell_turn(turn);
        if model.summaries() > 0 {
            break;
        }
    }
    let read = model.state().read_ahead.clone();
    assert_eq!(read.len(), 1);
    talk.tell("¿Cómo me llamo?");
    let state = model.state();
    let request = state.replies.last().unwrap();
    assert_eq!(request[..request.len() - 1], read[0], "all of the next request but its last message");
}

#[test]
fn a_failed_summary_fails_the_turn_and_drops_nothing() {
    let (disk, model) = (FaultyDisk::new(), Listener::new());
    model.state().summary_fails = Some(ErrorCode::ChatFailed);
    let mut talk = Talk::new(&model, disk.location(), config());
    let (turn, end) = talk_until_it_is_too_much(&mut talk);
    assert_eq!(failure(&end.unwrap()), (Stage::Reply, ErrorCode::ChatFailed));
    assert_eq!(model.state().answered.len() as u64, turn - 1);
    talk.rest();
    assert_eq!(failure(&talk.begin_turn("¿Hola?").unwrap()), (Stage::Reply, ErrorCode::ChatFailed));
    talk.rest();
    // Nothing is lost of what was said before: as soon as it can be told in short, the conversation goes on.
    model.state().summary_fails = None;
    let id = talk.session.id();
    for first in [true, false] {
        if !first {
            drop(talk);
            talk = Talk::resume(&model, disk.location(), id);
        }
        let end = talk.begin_turn("¿Cómo me llamo?").unwrap();
        assert!(matches!(end.kind, EventKind::TurnFinished { reply_text } if reply_text == "Te llamas Ximena."));
        assert_eq!(model.summaries(), 1, "it was made before the reply, and once");
    }
    assert_eq!(model.state().refused, 0);
}

#[test]
fn a_reply_that_waits_for_a_summary_can_be_interrupted() {
    let model = Listener::new();
    model.state().summary_stalls = true;
    let mut talk = Talk::new(&model, StoreLocation::Memory, config());
    let (turn, end) = talk_until_it_is_too_much(&mut talk);
    assert!(end.is_none(), "turn {turn} waits for the summary: {end:?}");
    assert_eq!(model.state().summaries_begun, 2, "one ahead, and one for the reply");
    talk.session.interrupt().unwrap();
    let end = talk.end_of_turn().unwrap();
    assert!(matches!(end.kind, EventKind::TurnInterrupted { reason: InterruptReason::Cancel, .. }), "{end:?}");
    model.state().summary_stalls = false;
    talk.rest();
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.");
    assert!(model.summaries() > 0);
}

#[test]
fn a_reply_does_not_wait_for_an_early_summary() {
    let model = Listener::new();
    model.state().summary_stalls = true;
    let mut talk = Talk::new(&model, StoreLocation::Memory, config());
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    let mut turn = 2;
    while model.state().summaries_begun == 0 {
        talk.tell_turn(turn);
        turn += 1;
    }
    assert!(model.state().summary_steps > 10, "the summary goes on between turns");
    model.state().reply_stalls = true;
    assert!(talk.begin_turn("En el turno 99 digo poco.").is_none());
    let before = model.state().summary_steps;
    talk.rest();
    assert_eq!(model.state().summary_steps, before, "it does not while the reply is written");
    model.state().reply_stalls = false;
    assert_eq!(type_of(&talk.end_of_turn().unwrap()), "turn_finished");
    talk.rest();
    assert!(model.state().summary_steps > before, "and goes on after that");
    model.state().summary_stalls = false;
    talk.rest();
    assert_eq!(model.state().summaries_begun, 1);
    assert_eq!(model.summaries(), 1);
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.");
}

#[test]
fn retention_never_of_text_stores_no_summary() {
    let (disk, model) = (FaultyDisk::new(), Listener::new());
    let mut config = config();
    config.retention.text = Keep::Never;
    let mut talk = Talk::new(&model, disk.location(), config);
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    (2..60).for_each(|turn| drop(talk.tell_turn(turn)));
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.", "while the session is open it is known");
    assert!(model.summaries() > 2);
    assert_eq!(talk.engine.session(talk.session.id()).unwrap().0.summary, None);
    drop(talk);
    assert!(!disk.bytes().windows(6).any(|window| window == b"Ximena"));
}

#[test]
fn context_full_leads_to_a_summary_of_more_turns() {
    let model = Listener::new();
    model.state().bytes_per_token = 5;
    let mut talk = Talk::new(&model, StoreLocation::Memory, config());
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    (2..120).for_each(|turn| drop(talk.tell_turn(turn)));
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.");
    assert!(model.state().refused > 0, "it was asked too much at times");
}

#[test]
fn the_summary_length_is_bounded() {
    let (disk, model) = (FaultyDisk::new(), Listener::new());
    model.state().chatter = " Y dijo otra cosa que no importa nada.".repeat(200);
    let mut talk = Talk::new(&model, disk.location(), config());
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    (2..80).for_each(|turn| drop(talk.tell_turn(turn)));
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.");
    let summary = talk.engine.session(talk.session.id()).unwrap().0.summary.unwrap();
    assert!(summary.text.len() <= CONTEXT_LEN && summary.text.ends_with("nada."), "{}", summary.text);
}

#[test]
fn a_text_longer_than_the_context_is_summarised_in_pieces() {
    let model = Listener::new();
    let mut talk = Talk::new(&model, StoreLocation::Memory, config());
    let story =
        "Érase una vez un rey que tenía tres hijas. ".repeat(100) + "La menor se llama Ximena. " + &"Fin. ".repeat(100);
    talk.session.say(&story).unwrap();
    assert_eq!(type_of(&talk.end_of_turn().unwrap()), "turn_finished");
    talk.rest();
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.");
    assert!(model.summaries() > 2);
    assert_eq!(model.state().refused, 0);
}

#[test]
fn a_turn_too_long_for_the_context_fails_alone() {
    let model = Listener::new();
    let mut talk = Talk::new(&model, StoreLocation::Memory, config());
    talk.tell("Me llamo Ximena, y esto es el turno 1.");
    let end = talk.begin_turn(&"Demasiado. ".repeat(300)).unwrap();
    assert_eq!(failure(&end), (Stage::Reply, ErrorCode::ContextFull));
    talk.rest();
    assert_eq!(model.state().summaries_begun, 0, "no summary would have helped");
    assert_eq!(talk.tell("¿Cómo me llamo?"), "Te llamas Ximena.");
}

#[test]
fn an_engine_with_threads_summarises_too() {
    let model = Listener::new();
    let engine = EngineBuilder::new().backends(backends(&model)).build().unwrap();
    let session = engine.create_session(config()).unwrap();
    let events = session.events().unwrap();
    let tell = |text: &str| {
        session.send_text(text).unwrap();
        loop {
            let event = events.next_timeout(Duration::from_secs(20)).unwrap().expect("an event in time");
            if let EventKind::TurnFinished { reply_text } = event.kind {
                return reply_text;
            }
            assert!(!ends_turn(&event), "{event:?}");
        }
    };
    tell("Me llamo Ximena, y esto es el turno 1.");
    for turn in 2..150 {
        tell(&format!("En el turno {turn} cuento que he dado un paseo y he hablado con mi vecina."));
    }
    assert_eq!(tell("¿Cómo me llamo?"), "Te llamas Ximena.");
    assert!(model.summaries() > 2);
    assert_eq!(model.state().refused, 0);
}

#[test]
fn a_correction_of_a_summarised_turn_replaces_the_summary() {
    let disk = FaultyDisk::new();
    let model = Listener::new();
    let mut talk = Talk::new(&model, disk.location(), config());
    let id = talk.session.id();
    talk.tell("Me llamo Ximena.");
    let mut turn = 1;
    while talk.engine.session(id).unwrap().0.summary.is_none_or(|summary| summary.through < TurnId(4)) {
        turn += 1;
        talk.tell_turn(turn);
        assert!(turn < 200, "nothing is summarised");
    }
    // From here on the context holds nothing of those turns.
    model.state().answered.clear();
    let corrected = talk.session.correct(TurnId(1), "Me llamo Jimena.").unwrap();
    assert_eq!(type_of(&talk.end_of_turn().unwrap()), "turn_finished");
    let (record, turns) = talk.engine.session(id).unwrap();
    assert_eq!(record.summary, None, "it told of what was misheard");
    assert_eq!(turns.current().map(|turn| turn.turn).collect::<Vec<_>>(), [corrected]);
    assert_eq!(talk.tell("Y ahora pregunto: ¿Cómo me llamo?"), "Te llamas Jimena.");
    drop(talk);
    let mut talk = Talk::resume(&model, disk.location(), id);
    assert_eq!(talk.tell("Y ahora pregunto: ¿Cómo me llamo?"), "Te llamas Jimena.");
}

fn new_id(n: u128) -> tertulia::store::ImportOptions {
    let new_id = Some(SessionId(uuid::Uuid::from_u128(n)));
    tertulia::store::ImportOptions { new_id, ..Default::default() }
}
