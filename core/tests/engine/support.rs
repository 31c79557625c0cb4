//! An engine with scripted backends, and a reader of its events.

use std::time::{Duration, Instant};
use tertulia::backend::{ChatRequest, Message};
use tertulia::catalog::Catalog;
use tertulia::event::{Event, EventKind};
use tertulia::store::StoreLocation;
use tertulia::testing::scripted::Scripted;
use tertulia::{
    Engine, EngineBuilder, ErrorCode, Events, Playback, Session, SessionConfig, SessionEngine, TurnId, prompt,
};

pub(crate) struct Host {
    pub(crate) engine: Engine,
    pub(crate) scripted: Scripted,
}

impl Host {
    pub(crate) fn new() -> Host {
        Host::with_store(StoreLocation::Memory)
    }

    pub(crate) fn with_store(store: StoreLocation) -> Host {
        let scripted = Scripted::new();
        let engine = EngineBuilder::new().backends(scripted.backends()).store(store).build().expect("an engine");
        Host { engine, scripted }
    }

    /// A session with `Playback::Assumed`.
    pub(crate) fn session(&self) -> (Session, Reader) {
        self.session_with(SessionConfig { playback: Playback::Assumed, ..config() })
    }

    pub(crate) fn session_with(&self, config: SessionConfig) -> (Session, Reader) {
        let session = self.engine.create_session(config).expect("a session");
        let reader = Reader::of(&session);
        (session, reader)
    }

    /// Scripts the transcript and the reply of the next utterance.
    pub(crate) fn script_turn(&self, transcript: &str, reply: &str) {
        self.scripted.recognizer.then(transcript);
        self.scripted.chat.then([reply]);
    }
}

pub(crate) fn config() -> SessionConfig {
    SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap())
}

/// The messages of a request after the system prompt and the examples.
pub(crate) fn conversation(request: &ChatRequest) -> &[Message] {
    let system = prompt::system_messages(&config(), &Catalog::builtin()).unwrap();
    &request.messages[system.len()..]
}

pub(crate) struct Reader {
    pub(crate) events: Events,
    pub(crate) seen: Vec<Event>,
}

impl Reader {
    pub(crate) fn of(session: &Session) -> Reader {
        Reader { events: session.events().expect("the first reader"), seen: Vec::new() }
    }

    /// The next event; fails the test after five seconds without one.
    pub(crate) fn next(&mut self) -> Event {
        let event = self.events.next_timeout(Duration::from_secs(5)).expect("an open session");
        let event = event.unwrap_or_else(|| panic!("no event came after {:?}", self.types()));
        self.seen.push(event.clone());
        event
    }

    /// Reads up to the first event of this type.
    pub(crate) fn until(&mut self, kind: &str) -> Event {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let event = self.next();
            if type_of(&event) == kind {
                return event;
            }
        }
        panic!("no {kind} came, only {:?}", self.types());
    }

    /// Reads up to the event that ends this turn.
    pub(crate) fn until_end_of(&mut self, turn: TurnId) -> Event {
        loop {
            let event = self.next();
            if event.turn == Some(turn) && ends_turn(&event) {
                return event;
            }
        }
    }

    /// Reads to the end of the session.
    pub(crate) fn read_to_the_end(&mut self) {
        loop {
            match self.events.next_timeout(Duration::from_secs(5)) {
                Ok(Some(event)) => self.seen.push(event),
                Ok(None) => panic!("the session does not end: {:?}", self.types()),
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::SessionClosed);
                    return;
                }
            }
        }
    }

    pub(crate) fn types(&self) -> Vec<String> {
        self.seen.iter().map(type_of).collect()
    }

    /// Samples of the turn's audio that were read.
    pub(crate) fn samples_of(&self, turn: TurnId) -> u64 {
        let samples = |event: &Event| match &event.kind {
            EventKind::ReplyAudioDelta { pcm, .. } if event.turn == Some(turn) => pcm.len() as u64,
            _ => 0,
        };
        self.seen.iter().map(samples).sum()
    }
}

pub(crate) fn type_of(event: &Event) -> String {
    let json: serde_json::Value = serde_json::from_str(&event.to_json()).unwrap();
    json["type"].as_str().unwrap().to_owned()
}

pub(crate) fn ends_turn(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::TurnFinished { .. } | EventKind::TurnInterrupted { .. } | EventKind::TurnFailed { .. }
    )
}

/// The code that a failed turn shows.
pub(crate) fn failure(event: &Event) -> (tertulia::event::Stage, ErrorCode) {
    match &event.kind {
        EventKind::TurnFailed { stage, error } => (*stage, error.code),
        other => panic!("the turn did not fail: {other:?}"),
    }
}
