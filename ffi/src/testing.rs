//! Conformance scenarios for hosts in any language (feature `testing`, in no released library): the run says what to do
//! next, the host does it with the ordinary calls of its binding, and gives the result back.

use crate::boundary::{call, give, invalid, optional_text, put, quietly, text};
use crate::engine_calls::{EngineObject, tertulia_engine};
use crate::error::{free, tertulia_error, without_zeros};
use crate::handle;
use engine::store::AudioKind;
use engine::testing::scenario::{GoldenAction, GoldenRun, HostAction, Scenario, ScenarioRun};
use engine::{Command, Engine, ErrorCode, Result, SessionId, TurnId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ffi::{CString, c_char};

/// A run of a conformance scenario. Free it with `tertulia_testing_free()`.
pub struct tertulia_testing_run(());

/// There is nothing more to do.
pub const TERTULIA_TESTING_END: i32 = 0;
/// Take `engine`, which must be freed, and free the one before, which a crash has ended.
pub const TERTULIA_TESTING_TAKE_ENGINE: i32 = 1;
/// Take the handle of the open session with the id `text`, and free the one before.
pub const TERTULIA_TESTING_TAKE_SESSION: i32 = 2;
/// Apply the command `text`; its result is the answer in JSON.
pub const TERTULIA_TESTING_APPLY: i32 = 3;
/// Ask for the session's next event with a timeout of 0; its result is the event in JSON, or NULL for none.
pub const TERTULIA_TESTING_READ_EVENT: i32 = 4;
/// Push `count` interleaved `samples` of `channels` at `rate` Hz.
pub const TERTULIA_TESTING_PUSH_AUDIO: i32 = 5;
/// Push the `count` bytes of `text` as a file.
pub const TERTULIA_TESTING_PUSH_ENCODED: i32 = 6;
/// Open an engine with the options `text`.
pub const TERTULIA_TESTING_OPEN_ENGINE: i32 = 7;
/// Read the audio `more` ("user" or "reply") of `turn` of the session `text`; its result is
/// `{"rate": Hz, "samples": [whole numbers]}`.
pub const TERTULIA_TESTING_READ_AUDIO: i32 = 8;
/// Export the session `text` to the path `more`; its result is the job's item in JSON.
pub const TERTULIA_TESTING_EXPORT: i32 = 9;
/// Import a session under the new id `text` from the path `more`; its result is the job's item in JSON.
pub const TERTULIA_TESTING_IMPORT: i32 = 10;

/// The next action of the host; fields that are not of its kind are zero or empty. Its pointers are valid until the next one.
#[repr(C)]
pub struct tertulia_testing_action {
    /// A `TERTULIA_TESTING_…`.
    pub kind: i32,
    /// The new engine.
    pub engine: *mut tertulia_engine,
    /// The command or the options in JSON, the session's id, or the bytes of a file.
    pub text: *const c_char,
    /// A path, or the kind of audio.
    pub more: *const c_char,
    /// The turn.
    pub turn: u64,
    /// The samples.
    pub samples: *const f32,
    /// How many samples or bytes there are.
    pub count: usize,
    /// The number of channels.
    pub channels: usize,
    /// Samples per second of each channel.
    pub rate: u32,
}

/// The action, and the memory behind its pointers.
#[derive(Default)]
struct Action {
    kind: i32,
    engine: Option<Engine>,
    text: CString,
    more: CString,
    turn: u64,
    samples: Vec<f32>,
    channels: usize,
    rate: u32,
}

impl Action {
    fn new(kind: i32) -> Self {
        Self { kind, ..Self::default() }
    }

    fn with_text(kind: i32, text: &str) -> Self {
        Self { text: without_zeros(text), ..Self::new(kind) }
    }

    fn with_more(kind: i32, text: SessionId, more: &str) -> Self {
        Self { more: without_zeros(more), ..Self::with_text(kind, &text.to_string()) }
    }

    fn apply(command: &Command) -> Self {
        Self::with_text(TERTULIA_TESTING_APPLY, &command.to_json())
    }

    fn shown(&mut self) -> tertulia_testing_action {
        tertulia_testing_action {
            kind: self.kind,
            engine: self.engine.take().map_or(std::ptr::null_mut(), |engine| handle::insert(EngineObject::new(engine))),
            text: self.text.as_ptr(),
            more: self.more.as_ptr(),
            turn: self.turn,
            samples: if self.samples.is_empty() { std::ptr::null() } else { self.samples.as_ptr() },
            count: self.samples.len().max(self.text.count_bytes()),
            channels: self.channels,
            rate: self.rate,
        }
    }
}

impl From<HostAction> for Action {
    fn from(action: HostAction) -> Self {
        match action {
            HostAction::TakeEngine(engine) => Self { engine: Some(engine), ..Self::new(TERTULIA_TESTING_TAKE_ENGINE) },
            HostAction::TakeSession(id) => Self::with_text(TERTULIA_TESTING_TAKE_SESSION, &id.to_string()),
            HostAction::Apply(command) => Self::apply(&command),
            HostAction::ReadEvent => Self::new(TERTULIA_TESTING_READ_EVENT),
            HostAction::PushAudio { samples, channels, rate } => {
                Self { samples, channels, rate, ..Self::new(TERTULIA_TESTING_PUSH_AUDIO) }
            }
            HostAction::PushEncoded(bytes) => {
                Self::with_text(TERTULIA_TESTING_PUSH_ENCODED, &String::from_utf8_lossy(&bytes))
            }
        }
    }
}

impl From<GoldenAction> for Action {
    fn from(action: GoldenAction) -> Self {
        match action {
            GoldenAction::OpenEngine(store) => {
                let roles = ["vad", "turn_detector", "recognizer", "chat", "synthesizer"];
                let none: HashMap<_, _> = roles.map(|role| (role, "none")).into();
                let options = serde_json::json!({"store": {"path": store}, "models": none});
                Self::with_text(TERTULIA_TESTING_OPEN_ENGINE, &options.to_string())
            }
            GoldenAction::Apply(command) => Self::apply(&command),
            GoldenAction::ReadAudio { session, turn: TurnId(turn), kind } => {
                let kind = if kind == AudioKind::User { "user" } else { "reply" };
                Self { turn, ..Self::with_more(TERTULIA_TESTING_READ_AUDIO, session, kind) }
            }
            GoldenAction::Export { session, path } => {
                Self::with_more(TERTULIA_TESTING_EXPORT, session, &path.to_string_lossy())
            }
            GoldenAction::Import { path, new_id } => {
                Self::with_more(TERTULIA_TESTING_IMPORT, new_id, &path.to_string_lossy())
            }
        }
    }
}

/// A run, for hosts in any language.
pub(crate) enum Run {
    Scenario(Box<ScenarioRun>),
    Golden(GoldenRun),
}

impl Run {
    /// Gives the next action in a language's form.
    pub(crate) fn next<A: From<HostAction> + From<GoldenAction>>(
        &mut self,
        result: Result<Option<String>>,
    ) -> Result<Option<A>> {
        Ok(match self {
            Self::Scenario(run) => run.next(result)?.map(A::from),
            Self::Golden(run) => run.next(result)?.map(A::from),
        })
    }

    pub(crate) fn finish(&mut self) -> std::result::Result<(), String> {
        match self {
            Self::Scenario(run) => run.finish(),
            Self::Golden(run) => run.finish(),
        }
    }
}

pub(crate) struct RunObject(Mutex<Running>);

struct Running {
    run: Run,
    action: Action,
    difference: CString,
}

impl RunObject {
    fn new(run: Run) -> Self {
        Self(Mutex::new(Running { run, action: Action::default(), difference: CString::default() }))
    }
}

/// The result of an action.
fn result(code: i32, json: Option<&str>) -> Result<Option<String>> {
    match u16::try_from(code) {
        Ok(0) => Ok(json.map(str::to_owned)),
        Ok(code) => Err(ErrorCode::from_number(code).into()),
        Err(_) => Err(invalid("the result's code is none")),
    }
}

/// Sets the stage of a scenario in JSON (bindings/conformance/README.md). `out_run` must be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_testing_open(
    scenario_json: *const c_char,
    out_run: *mut *mut tertulia_testing_run,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let run = ScenarioRun::new(Scenario::from_json(text("scenario_json", scenario_json)?)?)?;
        give(out_run, || Ok(RunObject::new(Run::Scenario(run.into()))))
    })
}

/// Prepares the reads of bindings/conformance/golden.json from a copy of golden.redb at `store_path`. `out_run` must be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_testing_open_golden(
    golden_json: *const c_char,
    store_path: *const c_char,
    out_run: *mut *mut tertulia_testing_run,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let run = GoldenRun::new(text("golden_json", golden_json)?, text("store_path", store_path)?)?;
        give(out_run, || Ok(RunObject::new(Run::Golden(run))))
    })
}

/// Takes the result of the last action (`code` as its call returned it, and `result_json` or NULL; 0 and NULL at first), and
/// writes the next to `out_action`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_testing_next(
    run: *const tertulia_testing_run,
    code: i32,
    result_json: *const c_char,
    out_action: *mut tertulia_testing_action,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        if out_action.is_null() {
            return Err(invalid("the place for the action is NULL"));
        }
        let object = handle::get::<RunObject>(run)?;
        let mut running = object.0.lock();
        let action = running.run.next(result(code, optional_text("result_json", result_json)?))?;
        running.action = action.unwrap_or_else(|| Action::new(TERTULIA_TESTING_END));
        put(out_action, running.action.shown());
        Ok(())
    })
}

/// Compares what came with what the scenario expects: NULL, or the difference as a text, valid until the run is freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_testing_finish(run: *const tertulia_testing_run) -> *const c_char {
    quietly(c"a panic".as_ptr(), || {
        let Ok(object) = handle::get::<RunObject>(run) else { return c"no live run".as_ptr() };
        let mut running = object.0.lock();
        let Err(difference) = running.run.finish() else { return std::ptr::null() };
        running.difference = without_zeros(&difference);
        running.difference.as_ptr()
    })
}

/// Frees a run. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_testing_free(run: *mut tertulia_testing_run) -> i32 {
    free::<RunObject>(run)
}
