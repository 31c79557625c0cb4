//! The loop that obeys the turn machines.
//!
//! One [`EngineLoop`] owns the machines of all open sessions and is the only one that touches them. Calls of the
//! host and reports of the backends reach it as [`Message`]s; what a machine decides becomes events, commits and
//! work for the [`Workers`](exec::Workers). [`threaded`] runs the loop and the workers on threads of their own,
//! [`local`] on the caller's.

mod background_gate;
pub(crate) mod callback;
mod context;
pub(crate) mod exec;
mod executor;
mod front_end;
pub(crate) mod gate;
mod history;
mod housekeeping;
mod idle;
mod inbox;
pub(crate) mod jobs;
mod listening;
pub(crate) mod local;
pub(crate) mod microphone;
mod models;
pub(crate) mod open_sessions;
mod pause;
pub(crate) mod queue;
pub(crate) mod recording;
pub(crate) mod seam;
mod session;
mod summary;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) mod threaded;
pub(crate) mod utterance;
pub(crate) mod worker;

use crate::backend::{Backends, CancelFlag, Purpose, RequestContext};
use crate::catalog::Catalog;
use crate::config::{ListeningMode, SessionConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{EventKind, SessionId, TurnId};
use crate::platform::Clock;
use crate::store::{SessionRecord, Store, Turns, Write};
use crate::turn::{EndpointWeights, Input, Start, Ticket};
use exec::{Workers, caught};
use history::History;
use idle::IdleGate;
use inbox::Inbox;
use microphone::Microphone;
use open_sessions::OpenSessions;
use parking_lot::Mutex;
use pause::Pause;
use queue::EventQueue;
pub(crate) use session::SessionCore;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use utterance::{UtteranceAudio, UtteranceFile};
use worker::Worker;

/// Limits of an engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) utterance_seconds_max: u32,
    pub(crate) endpoint_weights: EndpointWeights,
    /// Bytes that the models may take together.
    pub(crate) memory_bytes_max: Option<u64>,
}

/// Names an opening of a session within its engine: a late message for an earlier opening is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey(pub(crate) u64);

/// The state that all parts of an engine share.
pub(crate) struct Shared {
    pub(crate) backends: Backends,
    pub(crate) store: Store,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    /// The store outlives the process.
    pub(crate) persistent: bool,
    pub(crate) workers: Workers,
    /// When the store was tidied up last, on the clock's monotonic scale.
    pub(crate) tidied_us: Mutex<Option<u64>>,
    pub(crate) engine_events: Arc<EventQueue>,
    pub(crate) opened_us: u64,
    pub(crate) open: OpenSessions,
    pub(crate) inbox: Inbox<Message>,
    pub(crate) idle: IdleGate,
    /// Without it the loop's own thread commits.
    pub(crate) commits: Option<Sender<CommitOrder>>,
    /// Closed while the host is suspended.
    pub(crate) commit_pause: Pause,
    /// Holds those that have not ended; never closed.
    pub(crate) running: Pause,
    /// Raised when the engine is shut down.
    pub(crate) shut_down: CancelFlag,
    /// Notified by every message: an engine without threads is to look at it.
    pub(crate) called: event_listener::Event,
}

/// The state that the loop, the jobs and the handles of one open session share.
pub(crate) struct SessionShared {
    pub(crate) engine: Arc<Shared>,
    pub(crate) id: SessionId,
    pub(crate) key: SessionKey,
    pub(crate) opened_us: u64,
    pub(crate) events: Arc<EventQueue>,
    /// The settings for the next turn.
    pub(crate) config: Mutex<SessionConfig>,
    /// The number of the next turn; held while a turn is handed over, so that numbers arrive in order.
    pub(crate) next_turn: Mutex<u64>,
    /// Turns that were accepted and have not ended.
    pub(crate) turns_open: AtomicUsize,
    pub(crate) closing: AtomicBool,
    /// The engine decides itself where an utterance starts and ends.
    pub(crate) continuous: AtomicBool,
    pub(crate) microphone: Microphone,
    history: Mutex<History>,
}

impl SessionShared {
    pub(crate) fn new(engine: Arc<Shared>, key: SessionKey, record: &SessionRecord) -> Self {
        Self {
            id: record.id,
            key,
            opened_us: engine.clock.monotonic_us(),
            events: Arc::default(),
            config: Mutex::new(record.config.clone()),
            next_turn: Mutex::new(record.next_turn),
            turns_open: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            continuous: AtomicBool::new(record.config.listening.mode == ListeningMode::Continuous),
            microphone: Microphone::new(engine.options.utterance_seconds_max),
            history: Mutex::default(),
            engine,
        }
    }

    /// Microseconds since it was opened.
    pub(crate) fn now_us(&self) -> u64 {
        self.engine.clock.monotonic_us().saturating_sub(self.opened_us)
    }

    /// Closes the session, for good where it is `ended`; false where it is being closed already.
    pub(crate) fn close(&self, ended: bool) -> bool {
        let closes = !self.closing.swap(true, Ordering::AcqRel);
        if closes {
            self.microphone.close();
            self.send(Input::Close { ended });
        }
        closes
    }

    /// Hands an input to its machine.
    pub(crate) fn send(&self, input: Input) {
        self.engine.send(Message::Machine(self.key, input));
    }

    pub(crate) fn emit(&self, turn: Option<TurnId>, kind: EventKind) {
        self.events.push(Some(self.id), turn, self.now_us() / 1000, kind);
    }

    /// The context of a request with these settings.
    pub(crate) fn context(&self, config: &SessionConfig, purpose: Purpose, turn: Option<TurnId>) -> RequestContext {
        RequestContext { purpose, session: Some(self.id), turn, tag: config.request_tag.as_str().into() }
    }

    /// The number of the next turn, which is given out once.
    pub(crate) fn take_turn(&self) -> TurnId {
        let mut next = self.next_turn.lock();
        *next += 1;
        TurnId(*next - 1)
    }
}

/// Input of the loop.
pub(crate) enum Message {
    Open(Box<SessionCore>),
    Machine(SessionKey, Input),
    Utterance(SessionKey, Start, Option<UtteranceFile>),
    SpeechFound(SessionKey, TurnId, Result<UtteranceAudio>),
    Updated(SessionKey),
    /// A commit, with the writes that are still to be done where it failed.
    Committed(Commit, Option<Error>),
    /// The machines stand still. Answers once everything is committed that was sent before.
    Suspend(Sender<()>),
    /// The machines go on.
    Resume,
    /// Sessions between two turns drop caches that can be computed again.
    Trim,
    Summary(SessionKey, summary::News),
    Turns(SessionKey, Result<Turns>),
    ShutDown,
}

/// Writes of a session that belong together.
pub(crate) struct Commit {
    pub(crate) key: SessionKey,
    pub(crate) ticket: Ticket,
    pub(crate) writes: Vec<Write>,
}

/// A message to the thread that commits.
#[cfg_attr(
    all(target_family = "wasm", target_os = "unknown"),
    expect(dead_code, reason = "in a browser the loop commits on the one thread there is")
)]
pub(crate) enum CommitOrder {
    Commit(Commit),
    /// Answers once the commits before it are done.
    Flush(Sender<()>),
    Stop,
}

impl Shared {
    pub(crate) fn send(&self, message: Message) {
        // An engine that has stopped takes no more.
        self.inbox.push(message);
        self.called.notify(usize::MAX);
    }

    pub(crate) fn uptime_ms(&self) -> u64 {
        self.clock.monotonic_us().saturating_sub(self.opened_us) / 1000
    }

    fn commit(&self, commit: Commit) {
        match &self.commits {
            Some(commits) => _ = commits.send(CommitOrder::Commit(commit)),
            None => self.commit_all(vec![commit]),
        }
    }

    /// Commits for several sessions with one sync. Where that fails, each is tried alone, so that one session's
    /// fault is not another's.
    pub(crate) fn commit_all(&self, mut commits: Vec<Commit>) {
        let _span = tracing::info_span!("commit", turns = commits.len()).entered();
        let _inside = self.commit_pause.enter(Worker::Store);
        if commits.len() > 1 {
            // Moved there and back: the writes hold whole recordings.
            let counts: Vec<usize> = commits.iter().map(|commit| commit.writes.len()).collect();
            let mut all: Vec<Write> = commits.iter_mut().flat_map(|commit| commit.writes.drain(..)).collect();
            if self.apply(&all).is_ok() {
                commits.into_iter().for_each(|commit| self.send(Message::Committed(commit, None)));
                return;
            }
            for (commit, count) in commits.iter_mut().zip(counts) {
                commit.writes.extend(all.drain(..count));
            }
        }
        for mut commit in commits {
            let error = self.apply(&commit.writes).err();
            match &error {
                None => commit.writes.clear(),
                Some(error) => tracing::warn!(error = error.chain(), "a commit failed"),
            }
            self.send(Message::Committed(commit, error));
        }
    }

    /// Stops everything, once all sessions are closed.
    pub(crate) fn stop(&self) {
        self.workers.close();
        self.engine_events.close(ErrorCode::EngineClosed);
        match &self.commits {
            // After what waits.
            Some(commits) => _ = commits.send(CommitOrder::Stop),
            None => self.store.close(),
        }
    }

    fn apply(&self, writes: &[Write]) -> Result<()> {
        caught("the store", || self.store.apply(writes)).flatten()
    }
}

/// The machines of all open sessions.
pub(crate) struct EngineLoop {
    shared: Arc<Shared>,
    sessions: HashMap<SessionKey, SessionCore>,
    suspended: bool,
    shutting_down: bool,
}

impl EngineLoop {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, sessions: HashMap::new(), suspended: false, shutting_down: false }
    }

    /// Handles one message that is there; false where there is none.
    pub(crate) fn try_turn(&mut self) -> bool {
        self.shared.inbox.try_pop().map(|message| self.handle(message)).is_some()
    }

    /// True once the engine was shut down and every session is closed.
    pub(crate) fn is_done(&self) -> bool {
        self.shutting_down && self.sessions.is_empty()
    }

    /// The next time, on the clock's monotonic scale, at which [`tick`](EngineLoop::tick) is due.
    pub(crate) fn next_deadline_us(&self) -> Option<u64> {
        if self.suspended {
            return None;
        }
        self.sessions.values().filter_map(SessionCore::deadline_us).min()
    }

    /// Lets machines whose time has come go on; false where none was due.
    pub(crate) fn tick(&mut self) -> bool {
        if self.suspended {
            return false;
        }
        let now_us = self.shared.clock.monotonic_us();
        let is_due = |session: &SessionCore| session.deadline_us().is_some_and(|due_us| due_us <= now_us);
        let due: Vec<SessionKey> =
            self.sessions.iter().filter(|(_, session)| is_due(session)).map(|(key, _)| *key).collect();
        due.iter().for_each(|key| self.with_session(*key, SessionCore::tick));
        !due.is_empty()
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Open(session) => {
                let key = session.key();
                self.sessions.insert(key, *session);
                self.with_session(key, SessionCore::open);
                if self.shutting_down {
                    self.with_session(key, |session| session.handle(Input::Close { ended: false }));
                }
            }
            Message::Machine(key, input) => self.with_session(key, |session| session.handle(input)),
            Message::Utterance(key, start, file) => {
                self.with_session(key, |session| session.handle_utterance(start, file));
            }
            Message::SpeechFound(key, turn, found) => {
                self.with_session(key, |session| session.handle_speech_found(turn, found));
            }
            Message::Updated(key) => self.with_session(key, SessionCore::handle_update),
            Message::Committed(commit, error) => {
                self.with_session(commit.key, |session| session.handle_committed(commit, error));
            }
            Message::Suspend(done) => {
                self.suspended = true;
                if let Some(commits) = &self.shared.commits {
                    let _ = commits.send(CommitOrder::Flush(done));
                }
            }
            Message::Resume => {
                self.suspended = false;
                self.keys().into_iter().for_each(|key| self.with_session(key, |s| s.handle(Input::Resumed)));
            }
            Message::Trim => self.keys().into_iter().for_each(|key| self.with_session(key, SessionCore::trim)),
            Message::Summary(key, news) => self.with_session(key, |session| session.handle_summary(news)),
            Message::Turns(key, read) => self.with_session(key, |session| session.handle_turns(read)),
            Message::ShutDown => {
                (self.shutting_down, self.suspended) = (true, false);
                for key in self.keys() {
                    self.with_session(key, |session| session.handle(Input::Close { ended: false }));
                }
            }
        }
    }

    fn keys(&self) -> Vec<SessionKey> {
        self.sessions.keys().copied().collect()
    }

    /// Does the work on a session; a panic in it closes this session, and the others go on.
    fn with_session(&mut self, key: SessionKey, work: impl FnOnce(&mut SessionCore)) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Err(error) = caught("a session", || work(session)) {
            session.abandon(&error);
        }
        if session.is_closed() {
            self.sessions.remove(&key);
        }
    }
}

impl Drop for EngineLoop {
    fn drop(&mut self) {
        self.shared.inbox.close();
    }
}
