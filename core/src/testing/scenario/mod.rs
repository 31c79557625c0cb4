//! Conformance scenarios: conversations as data, which must run alike in every language's binding.
//!
//! A scenario lists in virtual time the microphone's audio, the host's calls and the backends' answers with their delays;
//! then the events and the stored turns that must follow. `bindings/conformance/README.md` is the format's contract.
//!
//! ```
//! use tertulia::testing::scenario::Scenario;
//! let scenario = Scenario::from_json(r#"{
//!     "about": "The tutor speaks a text of the host.",
//!     "config": {"playback": "assumed"},
//!     "calls": [{"at_ms": 100, "call": {"type": "say", "text": "Hola."}}],
//!     "leave_out": ["session_opened", "reply_text_delta", "reply_text_done", "reply_audio_done", "metrics"],
//!     "events": [
//!         {"type": "turn_started", "turn": 1, "at_ms": 100, "origin": "say"},
//!         {"type": "reply_audio_delta", "turn": 1, "chunk": 0, "samples": 2000},
//!         {"type": "turn_finished", "turn": 1, "reply_text": "Hola."}
//!     ],
//!     "turns": [{"turn": 1, "reply_text": "Hola.", "state": "finished"}]
//! }"#)?;
//! scenario.check().unwrap_or_else(|difference| panic!("{difference}"));
//! # Ok::<(), tertulia::Error>(())
//! ```

mod compare;
mod golden;
mod host;
mod microphone;
mod run;

pub use golden::{GoldenAction, GoldenRun};
pub use host::HostAction;
pub use run::ScenarioRun;

use super::clock::VirtualClock;
use super::scripted::Cue;
use crate::config::SessionConfig;
use crate::engine::Command;
use crate::error::{Error, ErrorCode, Result};
use crate::event::SessionId;
use serde::Deserialize;
use serde_json::{Value, json};

/// A conversation as data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The behaviour that it shows.
    pub about: String,
    #[serde(default = "no_fields")]
    config: Value,
    utterance_seconds_max: Option<u32>,
    #[serde(default)]
    backends: Scripts,
    #[serde(default)]
    microphone: Vec<Span>,
    #[serde(default)]
    calls: Vec<TimedCall>,
    #[serde(default)]
    leave_out: Vec<String>,
    events: Vec<Value>,
    turns: Vec<Value>,
    #[serde(default)]
    requests: Requests,
}

/// The backends' answers, in the order of the requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scripts {
    turn_detector: Option<Vec<Vec<Line<f32>>>>,
    recognizer: Vec<Vec<Line<String>>>,
    chat: Vec<Vec<Line<String>>>,
    /// One line for each word.
    voice: Vec<Line<()>>,
    lacks_word_times: bool,
}

/// One line of a backend's script.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<T> {
    WaitMs(u64),
    Give(T),
    Fail(String),
    Panic,
}

/// A span of the microphone's audio.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Span {
    SpeechMs(u64),
    NoiseMs(u64),
    SilenceMs(u64),
    /// No audio at all.
    NothingMs(u64),
    /// From here on the sound comes at this rate.
    RateHz(u32),
    /// From here on the sound comes in so many channels, all of it in the first.
    Channels(usize),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimedCall {
    at_ms: u64,
    call: Call,
    /// The name of the error that it gives.
    fails: Option<String>,
}

/// A call of the host, or something else that happens around the engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Call {
    Around(Around),
    /// A [`Command`] without its session.
    Command(serde_json::Map<String, Value>),
}

/// Something that is no command.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Around {
    PushEncoded(String),
    StopReading,
    StartReading,
    /// The process dies, and a new engine opens the session.
    Crash,
    /// From here on every write to the store fails.
    FailStore,
    MendStore,
}

/// The requests to the backends; those that a scenario leaves out are not compared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Requests {
    recognizer: Option<Vec<Value>>,
    chat: Option<Vec<Value>>,
    voice: Option<Vec<Value>>,
}

/// The outcome of a scenario.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The events that the host got, in their JSON form.
    pub events: Vec<Value>,
    /// The turns in the store.
    pub turns: Vec<Value>,
    requests: Requests,
    /// Other failures.
    faults: Vec<String>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] with the line where the text is not a scenario, or has a field that is not known.
    pub fn from_json(text: &str) -> Result<Scenario> {
        let invalid = |error: serde_json::Error| Error::new(ErrorCode::InvalidArgument, error.to_string());
        let scenario: Scenario = serde_json::from_str(text).map_err(invalid)?;
        scenario.session_config()?;
        for timed in &scenario.calls {
            if let Call::Command(command) = &timed.call {
                of_session(command, SessionId::new(0))?;
            }
        }
        Ok(scenario)
    }

    /// Runs the scenario and compares its outcome.
    ///
    /// # Errors
    /// The difference, as a readable diff.
    pub fn check(&self) -> std::result::Result<(), String> {
        compare::check(self, &self.run().map_err(|error| error.to_string())?)
    }

    /// Runs the scenario.
    ///
    /// # Errors
    /// That of a call of which the scenario expects none.
    pub fn run(&self) -> Result<Outcome> {
        let mut run = ScenarioRun::new(self.clone())?;
        host::live(&mut run)?;
        run.outcome()
    }

    fn session_config(&self) -> Result<SessionConfig> {
        let mut config = json!({"native": "en", "target": "es"});
        if let (Some(config), Some(given)) = (config.as_object_mut(), self.config.as_object()) {
            config.extend(given.clone());
        }
        SessionConfig::from_json(&config.to_string())
    }
}

impl<T: Clone> Line<T> {
    fn cue(&self, clock: &VirtualClock) -> Result<Cue<T>> {
        Ok(match self {
            Line::WaitMs(ms) => Cue::Sleep(clock.nap(*ms)),
            Line::Give(item) => Cue::Item(item.clone()),
            Line::Fail(name) => Cue::Fail(code_named(name)?),
            Line::Panic => Cue::Panic,
        })
    }
}

fn code_named(name: &str) -> Result<ErrorCode> {
    let code = ErrorCode::ALL.iter().find(|code| code.name() == name);
    code.copied().ok_or_else(|| Error::new(ErrorCode::InvalidArgument, format!("no error is named {name}")))
}

/// The command of a session.
fn of_session(command: &serde_json::Map<String, Value>, session: SessionId) -> Result<Command> {
    let mut command = command.clone();
    command.insert("session".to_owned(), json!(session));
    Command::from_json(&Value::Object(command).to_string())
}

fn no_fields() -> Value {
    json!({})
}
