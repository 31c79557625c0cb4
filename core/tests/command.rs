//! Commands as JSON: strict, and the same calls as the typed API.

#[path = "simulation/random.rs"]
mod random;
mod schema_support;

use random::Random;
use schema_support::{COMMAND, OUTPUT, assert_valid};
use serde_json::{Value, json};
use std::sync::Arc;
use tertulia::backend::block_on;
use tertulia::testing::clock::VirtualClock;
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{
    Clock, Command, Engine, EngineBuilder, Error, ErrorCode, Events, LocalDriver, Playback, SessionConfig,
    SessionEngine, SessionId, SessionUpdate, TurnId,
};

/// An engine, and what it answered and told.
struct Host {
    scripted: Scripted,
    clock: VirtualClock,
    engine: Engine,
    driver: LocalDriver,
    session: SessionId,
    events: Option<Events>,
    trace: Vec<Value>,
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    config.playback = Playback::Assumed;
    config
}

impl Host {
    fn new() -> Self {
        let (scripted, clock) = (Scripted::new(), VirtualClock::new());
        let builder = EngineBuilder::new().backends(scripted.backends()).clock(Arc::new(clock.clone()));
        let (engine, driver) = block_on(builder.build_local()).unwrap();
        let session = engine.create_session(config()).unwrap().detach();
        let events = Some(engine.handle(session).unwrap().events().unwrap());
        Self { scripted, clock, engine, driver, session, events, trace: Vec::new() }
    }

    /// Lets the engine work for a while, and reads its events.
    fn work(&mut self, ms: u64) {
        self.driver.run_until_idle();
        self.clock.advance_to(self.clock.monotonic_us() + ms * 1000);
        self.driver.run_until_idle();
        while let Some(events) = &self.events {
            match events.try_next() {
                Ok(Some(event)) => {
                    let mut event: Value = serde_json::from_str(&event.to_json()).unwrap();
                    event.as_object_mut().unwrap().remove("session");
                    self.trace.push(event);
                }
                Ok(None) => break,
                Err(_closed) => self.events = None,
            }
        }
    }

    fn note<T: serde::Serialize>(&mut self, name: &str, answer: Result<T, Error>) {
        let answer = match answer {
            Ok(value) => json!(value),
            Err(error) => json!(error.code().name()),
        };
        self.trace.push(json!({"call": name, "answer": answer}));
    }

    fn reopen(&mut self) {
        self.events = self.engine.handle(self.session).and_then(|session| session.events()).ok();
    }
}

/// The calls that are compared: the name, the turn that it is about, and the command's other fields.
fn call(random: &mut Random) -> (&'static str, u64, Value) {
    let turn = 1 + random.below(6);
    match random.below(17) {
        0 | 1 => ("send_text", turn, json!({"text": "Hola."})),
        2 => ("say", turn, json!({"text": "uno dos tres"})),
        3 => ("say", turn, json!({"text": "  "})),
        4 => ("reply", turn, json!({"instructions": "Más despacio."})),
        5 => ("reply", turn, json!({})),
        6 => ("retry_turn", turn, json!({"turn": turn})),
        7 => ("correct", turn, json!({"turn": turn, "text": "Adiós."})),
        8 => ("interrupt", turn, json!({})),
        9 => ("played", turn, json!({"turn": turn, "samples_total": 400 * turn})),
        10 => ("update", turn, json!({"update": {"speed": 0.5 + turn as f32 / 8.0, "interruptible": turn < 4}})),
        11 => ("end_utterance", turn, json!({})),
        12 => ("input_interrupted", turn, json!({})),
        13 => ("discard_utterance", turn, json!({})),
        14 => ("interrupt_all", turn, json!({})),
        15 => ("close_session", turn, json!({})),
        _ => ("open_session", turn, json!({})),
    }
}

/// Makes the call through the typed API.
fn make(host: &mut Host, name: &str, turn: u64, fields: &Value) {
    let text = fields["text"].as_str().unwrap_or_default();
    let turn = TurnId(turn);
    let number = |turn: TurnId| json!({"turn": turn});
    let id = host.session;
    let session = host.engine.handle(id);
    let done = |()| json!({});
    let answer = match name {
        "close_session" => host.engine.close_session(id).map(done),
        "open_session" => {
            let opened = host.engine.open_session(id, &SessionUpdate::new());
            opened.map(|session| json!({"session": session.detach()}))
        }
        _ => session.and_then(|session| match name {
            "send_text" => session.send_text(text).map(number),
            "say" => session.say(text).map(number),
            "reply" => session.reply(fields["instructions"].as_str()).map(number),
            "retry_turn" => session.retry_turn(turn).map(number),
            "correct" => session.correct(turn, text).map(number),
            "discard_utterance" => session.discard_utterance().map(done),
            "interrupt_all" => session.interrupt_all().map(done),
            "interrupt" => session.interrupt().map(done),
            "played" => session.played(turn, fields["samples_total"].as_u64().unwrap()).map(done),
            "update" => session.update(&SessionUpdate::from_json(&fields["update"].to_string())?).map(done),
            "end_utterance" => session.end_utterance().map(number),
            "input_interrupted" => session.input_interrupted().map(done),
            other => panic!("no call is named {other}"),
        }),
    };
    let answer = answer.map(|mut answer| {
        answer.as_object_mut().unwrap().remove("session");
        answer
    });
    host.note(name, answer);
}

/// Makes the call as a command in JSON.
fn apply(host: &mut Host, name: &str, fields: &Value) {
    let mut command = fields.as_object().unwrap().clone();
    command.insert("type".into(), json!(name));
    command.insert("session".into(), json!(host.session));
    let command = Value::Object(command);
    assert_valid(&COMMAND, &command);
    let command = Command::from_json(&command.to_string()).unwrap();
    assert_eq!(Command::from_json(&command.to_json()).unwrap(), command);
    let answer = host.engine.apply(command).map(|output| {
        let mut output: Value = serde_json::from_str(&output.to_json()).unwrap();
        assert_valid(&OUTPUT, &output);
        output.as_object_mut().unwrap().remove("session");
        output
    });
    host.note(name, answer);
}

#[test]
fn random_commands_in_json_do_what_the_typed_calls_do() {
    for seed in 0..1_000 {
        let (mut typed, mut json) = (Host::new(), Host::new());
        let mut random = Random::new(seed);
        for _ in 0..12 {
            let (name, turn, fields) = call(&mut random);
            let (speaks, ms) = (random.one_in(3), random.below(400));
            for host in [&mut typed, &mut json] {
                host.scripted.recognizer.then("Soy Ana.");
                host.scripted.chat.then(["Hola, ", "Ana."]);
                if let Ok(session) = host.engine.handle(host.session)
                    && speaks
                {
                    session.push_audio(&noise_16k(200), 16_000).unwrap();
                }
            }
            make(&mut typed, name, turn, &fields);
            apply(&mut json, name, &fields);
            for host in [&mut typed, &mut json] {
                if name == "open_session" && host.events.is_none() {
                    host.reopen();
                }
                host.work(ms);
            }
            assert_eq!(typed.trace, json.trace, "seed {seed}");
        }
        assert!(typed.trace.len() > 12, "seed {seed} shows nothing");
    }
}

#[test]
fn commands_are_strict_and_name_what_is_wrong() {
    let wrong = |json: &str| {
        let error = Command::from_json(json).expect_err(json);
        assert!(!serde_json::from_str(json).is_ok_and(|command| COMMAND.is_valid(&command)), "{json}");
        assert_eq!(error.code(), ErrorCode::InvalidConfig, "{json}");
        error.detail().to_owned()
    };
    assert!(wrong(r#"{"type": "sned_text"}"#).contains("unknown variant `sned_text`"));
    assert!(wrong(r#"{"text": "Hola."}"#).contains("missing field `type`"));
    let session = SessionId::new(0);
    assert!(wrong(&json!({"type": "say", "session": session}).to_string()).contains("missing field `text`"));
    let extra = json!({"type": "say", "session": session, "text": "Hola.", "txet": 1});
    assert!(wrong(&extra.to_string()).contains("unknown field `txet`"));
    let config = json!({"native": "en", "target": "es", "listening": {"idel_ms": 1}});
    let create = json!({"type": "create_session", "config": config});
    assert!(wrong(&create.to_string()).contains("listening.idel_ms: unknown field"));
    let page = json!({"type": "sessions", "limit": 9, "after": {"updated_ms": 1, "id": session, "trun": 1}});
    assert!(wrong(&page.to_string()).contains("trun: unknown field"));
    for json in ["", "[]", "{}", "7"] {
        wrong(json);
    }
}

#[test]
fn a_detached_session_stays_open_until_it_is_closed() {
    let mut host = Host::new();
    let handle = host.engine.handle(host.session).unwrap();
    drop(handle);
    host.work(10);
    assert_eq!(host.engine.handle(host.session).unwrap().say("Hola.").unwrap(), TurnId(1));
    host.engine.apply(Command::CloseSession { session: host.session }).unwrap();
    host.work(10);
    assert_eq!(host.engine.handle(host.session).unwrap_err().code(), ErrorCode::SessionClosed);
    assert_eq!(host.trace.last().unwrap()["type"], "session_closed");
}
