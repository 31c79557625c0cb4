//! IO errors of the disk at every operation: at most one error event, nothing acknowledged is lost, and the writes are
//! retried with the next turn.

use crate::support::config;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::Duration;
use tertulia::backend::block_on;
use tertulia::event::{EventKind, TurnState};
use tertulia::store::{AudioKind, Store};
use tertulia::testing::clock::VirtualClock;
use tertulia::testing::fault::FaultyDisk;
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{
    Engine, EngineBuilder, ErrorCode, Events, LocalDriver, Playback, Result, Session, SessionConfig, SessionEngine,
    SessionId, SessionUpdate, TurnId,
};

/// How long utterances are, unless the file is to grow.
const SECONDS: usize = 2;

/// A host that talks to an engine on a disk, and keeps account of what it was told.
struct Host {
    disk: FaultyDisk,
    scripted: Scripted,
    engine: Engine,
    driver: LocalDriver,
    told: Told,
    /// How many operations there were when the end was asked for.
    ending_at: u64,
    /// How much room the store took from time to time.
    sizes: BTreeSet<u64>,
    context: String,
}

/// The acknowledgements that a host may rely on.
#[derive(Default)]
struct Told {
    /// How long each utterance is.
    seconds: usize,
    /// The words that were acknowledged, and the reply where the whole turn was.
    words: BTreeMap<(SessionId, TurnId), String>,
    replies: BTreeMap<(SessionId, TurnId), String>,
    /// Sessions whose end was asked for: their sound need not be there any more.
    ending: Vec<SessionId>,
    ended: bool,
    /// Faults that showed.
    codes: Vec<ErrorCode>,
}

impl Host {
    fn new(disk: &FaultyDisk, seconds: usize, context: String) -> Host {
        let (scripted, clock) = (Scripted::new(), VirtualClock::new());
        let mut told = Told { seconds, ..Told::default() };
        let build = || {
            let builder = EngineBuilder::new().backends(scripted.backends()).clock(std::sync::Arc::new(clock.clone()));
            block_on(builder.store(disk.location()).build_local())
        };
        let (engine, driver) = build().unwrap_or_else(|error| {
            told.fault(disk, error.code());
            build().unwrap_or_else(|error| panic!("{context}: once more: {error}"))
        });
        Host { disk: disk.clone(), scripted, engine, driver, told, ending_at: 0, sizes: BTreeSet::from([0]), context }
    }

    /// Does what a host does again where it is told that it failed.
    fn ask<T>(&mut self, call: impl Fn(&Engine) -> Result<T>) -> T {
        match call(&self.engine) {
            Ok(value) => value,
            Err(error) => {
                assert!(error.is_retryable(), "{}: {error}", self.context);
                self.told.fault(&self.disk, error.code());
                call(&self.engine).unwrap_or_else(|error| panic!("{}: once more: {error}", self.context))
            }
        }
    }

    /// Lets the engine work, and reads what it tells.
    fn listen(&mut self, session: SessionId, events: &Events) {
        self.driver.run_until_idle();
        self.sizes.insert(self.disk.bytes_used());
        while let Ok(Some(event)) = events.try_next() {
            let turn = event.turn.map(|turn| (session, turn));
            match event.kind {
                EventKind::TranscriptDone { transcript, stored: true } => {
                    drop(self.told.words.insert(turn.unwrap(), transcript.text));
                }
                EventKind::TurnFinished { reply_text } => drop(self.told.replies.insert(turn.unwrap(), reply_text)),
                EventKind::TurnFailed { error, .. } | EventKind::Error(error) => {
                    self.told.fault(&self.disk, error.code);
                }
                EventKind::SessionClosed { ended } => self.told.ended = ended,
                kind => assert!(!matches!(kind, EventKind::TurnInterrupted { .. }), "{}: {kind:?}", self.context),
            }
        }
        self.told.is_kept(&Store::open(self.disk.crashed(0).location(), 0).unwrap(), &self.context);
    }

    /// A whole conversation.
    fn converse(&mut self) {
        let config = SessionConfig { playback: Playback::Assumed, ..config() };
        let session = self.ask(|engine| engine.create_session(config.clone()));
        let (id, events) = (session.id(), session.events().unwrap());
        for n in 1..=2 {
            self.speak(&session, &events, n);
        }
        self.scripted.chat.then(["Claro."]);
        session.send_text("¿Seguimos?").unwrap();
        self.listen(id, &events);
        session.update(&SessionUpdate::new().speed(1.2)).unwrap();
        self.listen(id, &events);
        drop((session, events));
        self.driver.run_until_idle();

        let session = self.ask(|engine| engine.open_session(id, &SessionUpdate::new()));
        let events = session.events().unwrap();
        self.speak(&session, &events, 3);
        self.told.ending.push(id);
        self.ending_at = self.disk.operations();
        session.end().unwrap();
        self.listen(id, &events);
        if self.told.ended {
            return;
        }
        self.disk.recover();
        // It was said that its end could not be stored; where only the last sync failed, it may be stored all the same.
        match self.engine.open_session(id, &SessionUpdate::new()) {
            Ok(session) => {
                let events = session.events().unwrap();
                session.end().unwrap();
                self.listen(id, &events);
                assert!(self.told.ended, "{}", self.context);
            }
            Err(error) => assert_eq!(error.code(), ErrorCode::SessionClosed, "{}", self.context),
        }
    }

    fn speak(&mut self, session: &Session, events: &Events, n: u64) {
        self.scripted.recognizer.then(format!("Frase {n}.").as_str());
        self.scripted.chat.then(["Te escucho."]);
        session.push_audio(&noise_16k(self.told.seconds * 1000), 16_000).unwrap();
        session.end_utterance().unwrap();
        self.listen(session.id(), events);
    }

    /// Closes everything and looks at what there is.
    fn end(self) -> Told {
        let Host { disk, engine, mut driver, told, context, .. } = self;
        engine.shut_down(Duration::ZERO).unwrap();
        driver.run_until_idle();
        drop((engine, driver));
        // A fault at closing has no event.
        disk.recover();
        for disk in [disk.crashed(0), disk.clone()] {
            let store = Store::open(disk.location(), 0).unwrap();
            told.is_kept(&store, &context);
            // Where only the last sync failed, a session may have come to be although its creation was said to have failed.
            let sessions = store.sessions(&Default::default(), None, 10).unwrap().sessions;
            let id = sessions.iter().find(|session| session.turns > 0).expect("a conversation").id;
            let turns = store.turns(id).unwrap();
            assert!(turns.is_complete(), "{context}");
            let words: Vec<&str> = turns.turns.iter().map(|turn| turn.user_text.as_str()).collect();
            assert_eq!(words, ["Frase 1.", "Frase 2.", "¿Seguimos?", "Frase 3."], "{context}");
            assert!(turns.turns.iter().all(|turn| !turn.reply_text.is_empty() && turn.state != TurnState::Open));
            assert_eq!(store.session(id).unwrap().config.speed, 1.2, "{context}");
        }
        told
    }
}

impl Told {
    /// The disk works again once a fault was told.
    fn fault(&mut self, disk: &FaultyDisk, code: ErrorCode) {
        self.codes.push(code);
        disk.recover();
    }

    fn is_kept(&self, store: &Store, context: &str) {
        for ((session, turn), words) in &self.words {
            let record = store.turn(*session, *turn).unwrap_or_else(|error| panic!("{context}, {turn}: {error}"));
            assert_eq!(record.user_text, *words, "{context}");
            if !self.ending.contains(session) {
                let sound = store.audio(*session, *turn, AudioKind::User);
                let sound = sound.unwrap_or_else(|error| panic!("{context}, {turn}: {error}"));
                assert_eq!(sound.samples.len(), self.seconds * 16_000, "{context}");
            }
        }
        for ((session, turn), reply) in &self.replies {
            let record = store.turn(*session, *turn).unwrap();
            assert_eq!((record.state, &record.reply_text), (TurnState::Finished, reply), "{context}");
        }
    }
}

/// A conversation without a fault.
struct Clean {
    /// Operations up to the engine's being there, to the request to end the session, and in all.
    opened: u64,
    ending: u64,
    ended: u64,
    sizes: BTreeSet<u64>,
}

fn clean(disk: &FaultyDisk, seconds: usize) -> Clean {
    let mut host = Host::new(disk, seconds, "no fault".to_owned());
    let opened = disk.operations();
    host.converse();
    let clean = Clean { opened, ending: host.ending_at, ended: disk.operations(), sizes: host.sizes.clone() };
    let told = host.end();
    assert_eq!((told.codes.len(), told.words.len(), told.replies.len(), told.ended), (0, 3, 4, true));
    assert!(clean.ended > 100, "the conversation shows too little");
    clean
}

#[test]
fn a_transient_io_error_at_any_operation_costs_at_most_one_error_event() {
    // A write that the next one of the same turn makes good needs no message.
    let mut told_of = 0;
    for nth in 0..clean(&FaultyDisk::new(), SECONDS).ended {
        let disk = FaultyDisk::new();
        disk.fail_operation(nth, ErrorKind::Other);
        let mut host = Host::new(&disk, SECONDS, format!("operation {nth}"));
        host.converse();
        let codes = host.end().codes;
        let is_right = codes.iter().all(|&code| code == ErrorCode::StoreIo) && codes.len() <= 1;
        assert!(is_right, "operation {nth}: {codes:?}");
        told_of += codes.len();
    }
    assert!(told_of >= 51, "{told_of} errors were told of");
}

#[test]
fn a_permanent_io_error_is_reported_whenever_it_begins() {
    let clean = clean(&FaultyDisk::new(), SECONDS);
    // After an opening that fails for good, the writes that the disk lost are unknown.
    for nth in clean.opened..clean.ended {
        let disk = FaultyDisk::new();
        disk.fail_from_operation(nth, ErrorKind::Other);
        let mut host = Host::new(&disk, SECONDS, format!("from operation {nth} on"));
        host.converse();
        let told = host.end();
        // Of its last event a session tells only that it has not ended.
        let expected: &[ErrorCode] = if nth < clean.ending { &[ErrorCode::StoreIo] } else { &[] };
        assert_eq!(told.codes, expected, "from operation {nth} on");
    }
}

/// There is no room just when something is to grow, for each time that it does.
#[test]
fn a_full_disk_at_any_growth_costs_at_most_one_error_event() {
    const SECONDS: usize = 40;
    let sizes: Vec<u64> = clean(&FaultyDisk::new(), SECONDS).sizes.into_iter().collect();
    assert!(sizes.len() > 3, "{sizes:?}: it hardly grows");
    for &capacity in &sizes[..sizes.len() - 1] {
        let disk = FaultyDisk::new();
        disk.set_capacity(Some(capacity));
        let mut host = Host::new(&disk, SECONDS, format!("room for {capacity}"));
        host.converse();
        assert_eq!(host.end().codes, [ErrorCode::StoreFull], "room for {capacity}");
    }
}
