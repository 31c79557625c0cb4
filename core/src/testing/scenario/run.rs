//! A run of a scenario: the part of the host that is the same in every language.

use super::microphone::{Block, Sound, blocks};
use super::{Around, Call, HostAction, Line, Outcome, Requests, Scenario, TimedCall, code_named, compare, of_session};
use crate::backend::{ChatRequest, Message, Purpose, Role, SynthesisRequest};
use crate::catalog::Catalog;
use crate::config::{SessionConfig, SessionUpdate};
use crate::driver::local::LocalDriver;
use crate::engine::{Command, Engine, EngineBuilder};
use crate::error::{Error, ErrorCode, Result};
use crate::event::SessionId;
use crate::platform::Clock;
use crate::prompt;
use crate::testing::clock::VirtualClock;
use crate::testing::fault::FaultyDisk;
use crate::testing::scripted::{Script, Scripted};
use crate::turn::EndpointWeights;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// Nothing lasts longer.
const END_MS: u64 = 600_000;
/// More than any scenario has.
const TURNS_MAX: usize = 1_000;
/// Weights of endpointing that do not follow what is found to be best for real speech.
const WEIGHTS: EndpointWeights = EndpointWeights {
    wait_ms_min: 460.0,
    wait_ms_max: 1_800.0,
    bias: 0.5,
    detector: 1.5,
    words: 2.0,
    words_pending: 0.0,
};

/// A run of a scenario, which a host lives through with its own calls: it asks for the [`next`](ScenarioRun::next) one,
/// makes it, and gives its result back, until there is none; then it asks for the [`difference`](ScenarioRun::finish).
/// Time, models and the disk are the run's, and so is the engine's work: it has no threads, and does everything in `next`.
pub struct ScenarioRun {
    scenario: Scenario,
    config: SessionConfig,
    clock: VirtualClock,
    scripted: Scripted,
    disk: FaultyDisk,
    driver: LocalDriver,
    blocks: VecDeque<Block>,
    calls: VecDeque<TimedCall>,
    phase: Phase,
    /// Actions that come before anything else, each with the place of its result.
    pending: VecDeque<(HostAction, Asked)>,
    /// The place of the result of the action under way.
    asked: Asked,
    session: Option<SessionId>,
    /// False after `session_closed`, and until a session is open.
    has_events: bool,
    reads: bool,
    /// The number of the last event.
    seq: u64,
    outcome: Outcome,
}

/// The next thing to do at this moment of the virtual time.
enum Phase {
    /// The engine works.
    Work,
    /// The host reads all events; true if it has read any.
    Read(bool),
    /// The microphone and the host do what is due; true if they have.
    Act(bool),
    /// The turns are read from the store.
    End,
    Over,
}

/// The place of an action's result.
enum Asked {
    /// None: it must succeed.
    Nothing,
    Event,
    /// A call, shown so, that succeeds or fails with a certain code.
    Call(String, Option<ErrorCode>),
    Block,
    Turns,
}

impl ScenarioRun {
    /// Sets the stage.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] for an unknown code in a script; those of an engine's opening.
    pub fn new(scenario: Scenario) -> Result<Self> {
        let (clock, scripted) = (VirtualClock::new(), Scripted::new());
        let scripts = &scenario.backends;
        script(&scripted.turn_detector, scripts.turn_detector.as_deref().unwrap_or_default(), &clock)?;
        script(&scripted.recognizer, &scripts.recognizer, &clock)?;
        script(&scripted.chat, &scripts.chat, &clock)?;
        for line in &scripts.voice {
            scripted.voice.before_next_word(line.cue(&clock)?);
        }
        scripted.voice.set_word_times(!scripts.lacks_word_times);
        let (config, disk) = (scenario.session_config()?, FaultyDisk::new());
        let (engine, driver) = engine(&scenario, &clock, &scripted, &disk)?;
        let create = Command::CreateSession { config: Box::new(config.clone()) };
        Ok(Self {
            pending: [(HostAction::TakeEngine(engine), Asked::Nothing), applied(create, "the opening".into(), None)]
                .into(),
            blocks: blocks(&scenario.microphone).into(),
            calls: scenario.calls.clone().into(),
            phase: Phase::Work,
            asked: Asked::Nothing,
            session: None,
            has_events: false,
            reads: true,
            seq: 0,
            outcome: Outcome::default(),
            scenario,
            config,
            clock,
            scripted,
            disk,
            driver,
        })
    }

    /// Takes the result of the last action, with `Ok(None)` where it has none or was the first, and gives the next; `None`
    /// at the end.
    ///
    /// # Errors
    /// That of an action that must succeed; [`ErrorCode::InvalidArgument`] for a scenario that does not end, and for a
    /// result that is not JSON.
    pub fn next(&mut self, result: Result<Option<String>>) -> Result<Option<HostAction>> {
        self.take(result)?;
        loop {
            if let Some((action, asked)) = self.pending.pop_front() {
                self.asked = asked;
                return Ok(Some(action));
            }
            match self.phase {
                Phase::Work => {
                    self.driver.run_until_idle();
                    self.phase = Phase::Read(false);
                }
                Phase::Read(_) if self.reads && self.has_events => {
                    self.pending.push_back((HostAction::ReadEvent, Asked::Event));
                }
                Phase::Read(_) => self.phase = Phase::Act(false),
                // Calls of one moment come one right after the other, before the engine has done anything.
                Phase::Act(has_acted) => {
                    if self.act()? {
                        self.phase = Phase::Act(true);
                    } else {
                        self.phase = if has_acted || self.advance()? { Phase::Work } else { Phase::End };
                    }
                }
                Phase::End => {
                    let command = Command::Turns { session: self.session()?, after: None, limit: TURNS_MAX };
                    self.pending.push_back((HostAction::Apply(Box::new(command)), Asked::Turns));
                    self.phase = Phase::Over;
                }
                Phase::Over => return Ok(None),
            }
        }
    }

    /// Compares the outcome with what the scenario expects.
    ///
    /// # Errors
    /// The difference, as a readable diff.
    pub fn finish(&mut self) -> std::result::Result<(), String> {
        let outcome = self.outcome().map_err(|error| error.to_string())?;
        compare::check(&self.scenario, &outcome)
    }

    fn session(&self) -> Result<SessionId> {
        self.session.ok_or_else(|| invalid("the session was not created"))
    }

    /// Moves the time on to the next moment at which something happens; false where nothing is left to come.
    fn advance(&mut self) -> Result<bool> {
        let next = [
            self.clock.next_wake_us(),
            // Without the store's housekeeping, which never ends.
            Some(self.clock.monotonic_us() + self.driver.due_in_us()).filter(|due_us| *due_us <= END_MS * 1000),
            self.blocks.front().map(|(at_ms, _)| at_ms * 1000),
            self.calls.front().map(|timed| timed.at_ms * 1000),
        ];
        let Some(now_us) = next.into_iter().flatten().min() else { return Ok(false) };
        if now_us > END_MS * 1000 {
            return Err(invalid("the scenario does not end"));
        }
        self.clock.advance_to(now_us);
        Ok(true)
    }

    /// Does the next thing that is due; false where there is none.
    fn act(&mut self) -> Result<bool> {
        let now_us = self.clock.monotonic_us();
        if let Some((_, sound)) = self.blocks.pop_front_if(|(at_ms, _)| *at_ms * 1000 <= now_us) {
            let Sound { samples, channels, rate } = sound;
            self.pending.push_back((HostAction::PushAudio { samples, channels, rate }, Asked::Block));
            return Ok(true);
        }
        let Some(timed) = self.calls.pop_front_if(|timed| timed.at_ms * 1000 <= now_us) else { return Ok(false) };
        let shown = format!("{:?} at {} ms", timed.call, timed.at_ms);
        let fails = timed.fails.as_deref().map(code_named).transpose()?;
        match timed.call {
            Call::Command(command) => {
                self.pending.push_back(applied(of_session(&command, self.session()?)?, shown, fails));
            }
            Call::Around(Around::PushEncoded(bytes)) => {
                self.pending.push_back((HostAction::PushEncoded(bytes.into_bytes()), Asked::Call(shown, fails)));
            }
            Call::Around(Around::StopReading) => self.reads = false,
            Call::Around(Around::StartReading) => self.reads = true,
            Call::Around(Around::Crash) => self.crash(shown)?,
            Call::Around(Around::FailStore) => self.disk.fail_from_operation(0, std::io::ErrorKind::StorageFull),
            Call::Around(Around::MendStore) => self.disk.recover(),
        }
        Ok(true)
    }

    /// A new engine opens the session.
    fn crash(&mut self, shown: String) -> Result<()> {
        self.disk = self.disk.crashed(0);
        let (engine, driver) = engine(&self.scenario, &self.clock, &self.scripted, &self.disk)?;
        (self.driver, self.has_events) = (driver, false);
        self.pending.push_back((HostAction::TakeEngine(engine), Asked::Nothing));
        let open = Command::OpenSession { session: self.session()?, update: SessionUpdate::new() };
        self.pending.push_back(applied(open, shown, None));
        Ok(())
    }

    /// Takes the result of the last action.
    fn take(&mut self, result: Result<Option<String>>) -> Result<()> {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => result.map(drop),
            Asked::Event => self.take_event(result?),
            Asked::Call(shown, expected) => {
                let given = result.as_ref().err().map(Error::code);
                if given != expected {
                    self.fault(format!("{shown} gives {given:?}, not {expected:?}"));
                }
                let Ok(Some(answer)) = result else { return Ok(()) };
                if let Some(session) = read(&answer)?["session"].as_str() {
                    let session = session.parse().map_err(|_| invalid("no session's id"))?;
                    (self.session, self.has_events, self.seq) = (Some(session), true, 0);
                    self.pending.push_back((HostAction::TakeSession(session), Asked::Nothing));
                }
                Ok(())
            }
            Asked::Block => match result {
                Err(error) if error.code() != ErrorCode::SessionClosed => Err(error),
                _ => Ok(()),
            },
            Asked::Turns => {
                let answer = read(&result?.unwrap_or_default())?;
                self.outcome.turns = answer["turns"].as_array().cloned().unwrap_or_default();
                Ok(())
            }
        }
    }

    fn take_event(&mut self, event: Option<String>) -> Result<()> {
        let Phase::Read(has_read) = self.phase else { unreachable!("events are read in this phase alone") };
        let Some(event) = event else {
            self.phase = if has_read { Phase::Work } else { Phase::Act(false) };
            return Ok(());
        };
        let event = read(&event)?;
        self.seq += 1;
        let is_next = event["seq"] == self.seq && event["session"] == json!(self.session()?);
        if !is_next {
            self.fault(format!("not event {} of the session: {event}", self.seq));
        }
        self.has_events = event["type"] != "session_closed";
        // After the last event the engine works again, as after any other.
        self.phase = if self.has_events { Phase::Read(true) } else { Phase::Work };
        self.outcome.events.push(event);
        Ok(())
    }

    fn fault(&mut self, fault: String) {
        self.outcome.faults.push(fault);
    }

    /// The outcome; once.
    pub(super) fn outcome(&mut self) -> Result<Outcome> {
        let pinned = prompt::system_messages(&self.config, &Catalog::builtin())?.len();
        let recognizer = self.scripted.recognizer.requests().into_iter().map(|request| {
            let (ms, languages) = (request.audio.len() / 16, request.languages);
            json!({"audio_ms": ms, "languages": languages, "vocabulary": request.vocabulary})
        });
        let chat = self.scripted.chat.requests().into_iter().map(|request| chat_request(&request, pinned));
        let voice = self.scripted.voice.requests().into_iter().map(|request| {
            let SynthesisRequest { text, languages, voice, speed, .. } = request;
            json!({"text": text, "languages": languages, "voice": voice, "speed": speed})
        });
        self.outcome.requests = Requests {
            recognizer: Some(recognizer.collect()),
            chat: Some(chat.collect()),
            voice: Some(voice.collect()),
        };
        for (backend, unasked) in [
            ("turn detector", self.scripted.turn_detector.unasked()),
            ("recogniser", self.scripted.recognizer.unasked()),
            ("chat model", self.scripted.chat.unasked()),
            ("voice", self.scripted.voice.unasked()),
        ] {
            if unasked > 0 {
                self.fault(format!("{unasked} lines of the {backend}'s script were never asked for"));
            }
        }
        Ok(std::mem::take(&mut self.outcome))
    }
}

/// A command, and the place of its result.
fn applied(command: Command, shown: String, fails: Option<ErrorCode>) -> (HostAction, Asked) {
    (HostAction::Apply(Box::new(command)), Asked::Call(shown, fails))
}

pub(super) fn invalid(detail: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, detail)
}

/// Reads a result, which the host gave.
pub(super) fn read(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(|error| invalid("the result is not JSON").with_source(error))
}

/// Adds the answers of a backend to its script.
fn script<T: Clone, R: Clone>(script: &Script<T, R>, answers: &[Vec<Line<T>>], clock: &VirtualClock) -> Result<()> {
    answers.iter().try_for_each(|lines| {
        script.then_cues(lines.iter().map(|line| line.cue(clock)).collect::<Result<Vec<_>>>()?);
        Ok(())
    })
}

fn engine(
    scenario: &Scenario,
    clock: &VirtualClock,
    scripted: &Scripted,
    disk: &FaultyDisk,
) -> Result<(Engine, LocalDriver)> {
    let mut backends = scripted.backends();
    if scenario.backends.turn_detector.is_some() {
        backends.turn_detector = Some(scripted.turn_detector.clone());
    }
    let builder = EngineBuilder::new().backends(backends).clock(Arc::new(clock.clone())).store(disk.location());
    let builder = builder.endpoint_weights(WEIGHTS);
    match scenario.utterance_seconds_max {
        Some(seconds) => futures_lite::future::block_on(builder.utterance_seconds_max(seconds).build_local()),
        None => futures_lite::future::block_on(builder.build_local()),
    }
}

/// `{"reply": [{"user": "…"}, {"assistant": "…"}]}`, or `prefill`; what is pinned in front is left out.
fn chat_request(request: &ChatRequest, pinned: usize) -> Value {
    let message = |message: &Message| match message.role {
        Role::System => json!({"system": message.content}),
        Role::User => json!({"user": message.content}),
        Role::Assistant => json!({"assistant": message.content}),
    };
    let messages: Vec<Value> = request.messages.iter().skip(pinned).map(message).collect();
    match request.context.purpose {
        Purpose::Prefill => json!({"prefill": messages}),
        _ => json!({"reply": messages}),
    }
}
