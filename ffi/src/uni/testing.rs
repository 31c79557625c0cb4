//! Conformance scenarios for the languages over this layer (feature `testing`): the run says what to do next, the host does it
//! with the ordinary calls of its binding, and gives the result back.

use super::calls::TertuliaEngine;
use super::event::TertuliaEvent;
use super::job::JobItem;
use super::record::{AudioKind, StoredAudio};
use super::{Result, call};
use crate::boundary::invalid;
use crate::testing::Run;
use engine::ErrorCode;
use engine::testing::scenario::{GoldenAction, GoldenRun, HostAction as CoreAction, Scenario, ScenarioRun};
use parking_lot::Mutex;
use std::sync::Arc;

/// The next action of the host.
#[derive(uniffi::Enum)]
pub enum HostAction {
    /// Take this engine, and let go of the one before, which a crash has ended.
    TakeEngine { engine: Arc<TertuliaEngine> },
    /// Open an engine on the store at this path.
    OpenEngine { store: String },
    /// Take the handle of the open session with this id, and let go of the one before.
    TakeSession { session: String },
    /// Apply the command; its result is the answer.
    Apply { command: String },
    /// Ask for the session's next event with a timeout of 0; its result is the event, or nothing.
    ReadEvent,
    /// Push interleaved samples.
    PushAudio { pcm: Vec<u8>, channels: u32, rate: u32 },
    /// Push a file.
    PushEncoded { bytes: Vec<u8> },
    /// Read a turn's audio.
    ReadAudio { session: String, turn: u64, kind: AudioKind },
    /// Export a session to a file; its result is the job's item.
    ExportSession { session: String, path: String },
    /// Import a session under a new id; its result is the job's item.
    ImportSession { path: String, new_id: String },
}

/// The result of an action.
#[derive(uniffi::Enum)]
pub enum ActionResult {
    /// It is done; no event came.
    Nothing,
    /// It failed with an error of this number.
    Failed { number: u16 },
    /// An answer, an event or a report in JSON.
    Json { json: String },
    /// An event.
    Event { event: TertuliaEvent },
    /// Audio.
    Audio { audio: StoredAudio },
    /// The item of a job.
    Item { item: JobItem },
}

impl ActionResult {
    fn read(self) -> engine::Result<Option<String>> {
        Ok(Some(match self {
            Self::Nothing => return Ok(None),
            Self::Failed { number } => return Err(ErrorCode::from_number(number).into()),
            Self::Json { json } => json,
            Self::Event { event } => event.json(),
            Self::Audio { audio: StoredAudio { rate, pcm } } => {
                serde_json::json!({"rate": rate, "samples": super::samples::<i16>(&pcm)?}).to_string()
            }
            Self::Item { item: JobItem::Exported { report } } => json(&report),
            Self::Item { item: JobItem::Imported { report } } => json(&report),
            Self::Item { .. } => return Err(invalid("the item is no report of an export or import")),
        }))
    }
}

fn json(report: &impl serde::Serialize) -> String {
    serde_json::to_string(report).expect("reports hold strings and numbers")
}

impl From<CoreAction> for HostAction {
    fn from(action: CoreAction) -> Self {
        match action {
            CoreAction::TakeEngine(engine) => Self::TakeEngine { engine: TertuliaEngine::of(engine) },
            CoreAction::TakeSession(session) => Self::TakeSession { session: session.to_string() },
            CoreAction::Apply(command) => Self::Apply { command: command.to_json() },
            CoreAction::ReadEvent => Self::ReadEvent,
            CoreAction::PushAudio { samples, channels, rate } => {
                let pcm = bytemuck::cast_slice(&samples).to_vec();
                Self::PushAudio { pcm, channels: channels as u32, rate }
            }
            CoreAction::PushEncoded(bytes) => Self::PushEncoded { bytes },
        }
    }
}

impl From<GoldenAction> for HostAction {
    fn from(action: GoldenAction) -> Self {
        match action {
            GoldenAction::OpenEngine(store) => Self::OpenEngine { store: store.to_string_lossy().into() },
            GoldenAction::Apply(command) => Self::Apply { command: command.to_json() },
            GoldenAction::ReadAudio { session, turn, kind } => {
                let kind = if kind == engine::store::AudioKind::User { AudioKind::User } else { AudioKind::Reply };
                Self::ReadAudio { session: session.to_string(), turn: turn.0, kind }
            }
            GoldenAction::Export { session, path } => {
                Self::ExportSession { session: session.to_string(), path: path.to_string_lossy().into() }
            }
            GoldenAction::Import { path, new_id } => {
                Self::ImportSession { path: path.to_string_lossy().into(), new_id: new_id.to_string() }
            }
        }
    }
}

/// A run of a scenario, or of the reads of the golden store (bindings/conformance/README.md).
#[derive(uniffi::Object)]
pub struct ConformanceRun(Mutex<Run>);

#[uniffi::export]
impl ConformanceRun {
    /// Sets the stage of a scenario in JSON.
    #[uniffi::constructor]
    pub fn scenario(json: &str) -> Result<Arc<Self>> {
        call(|| Ok(Arc::new(Self(Mutex::new(Run::Scenario(ScenarioRun::new(Scenario::from_json(json)?)?.into()))))))
    }

    /// Prepares the reads of golden.json from a copy of golden.redb.
    #[uniffi::constructor]
    pub fn golden(json: &str, store: &str) -> Result<Arc<Self>> {
        call(|| Ok(Arc::new(Self(Mutex::new(Run::Golden(GoldenRun::new(json, store)?))))))
    }

    /// Takes the result of the last action, `Nothing` at first, and gives the next; none at the end.
    pub fn next(&self, result: ActionResult) -> Result<Option<HostAction>> {
        call(|| self.0.lock().next(result.read()))
    }

    /// Compares what came with what is expected: the difference as a text, or none.
    pub fn finish(&self) -> Result<Option<String>> {
        call(|| Ok(self.0.lock().finish().err()))
    }
}
