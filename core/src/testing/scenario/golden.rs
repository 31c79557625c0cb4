//! A run over a store's file that was written once: every later version reads the same from it.

use super::compare;
use super::run::{invalid, read};
use crate::engine::Command;
use crate::error::Result;
use crate::event::{SessionId, TurnId};
use crate::store::AudioKind;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

/// A run over a copy of the golden store, which a host lives through as through a
/// [`ScenarioRun`](super::ScenarioRun), on an engine that it opens itself.
pub struct GoldenRun {
    golden: Golden,
    store: PathBuf,
    /// The number of actions so far, the opening included.
    actions: usize,
    came: Vec<Value>,
}

/// An action of the host.
#[derive(Debug)]
pub enum GoldenAction {
    /// Open an engine on the store at this path.
    OpenEngine(PathBuf),
    /// Make the call; its result is the answer's JSON.
    Apply(Box<Command>),
    /// Read a turn's audio; its result is `{"rate": Hz, "samples": [whole numbers]}`.
    ReadAudio {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
        /// The user's, or the reply's.
        kind: AudioKind,
    },
    /// Export a session to a file; its result is the report's JSON.
    Export {
        /// The session.
        session: SessionId,
        /// The file.
        path: PathBuf,
    },
    /// Import a session from a file; its result is the report's JSON.
    Import {
        /// The file.
        path: PathBuf,
        /// The session's new id.
        new_id: SessionId,
    },
}

/// The calls, and the results that they must give.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    #[serde(rename = "about")]
    _about: String,
    reads: Vec<Read>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    call: Call,
    gives: Value,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Call {
    Apply(Box<Command>),
    Audio {
        session: SessionId,
        turn: TurnId,
        kind: AudioKind,
    },
    /// To a file beside the store.
    Export(SessionId),
    /// That file, under this id.
    Import(SessionId),
}

impl GoldenRun {
    /// The calls in JSON, and a copy of the store.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) where the text is not such a list.
    pub fn new(json: &str, store: impl Into<PathBuf>) -> Result<Self> {
        let golden = serde_json::from_str(json).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self { golden, store: store.into(), actions: 0, came: Vec::new() })
    }

    /// As [`ScenarioRun::next`](super::ScenarioRun::next).
    ///
    /// # Errors
    /// That of the last action; [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) for a result that is not
    /// JSON.
    pub fn next(&mut self, result: Result<Option<String>>) -> Result<Option<GoldenAction>> {
        let result = result?;
        if self.actions > 1 {
            self.came.push(read(&result.unwrap_or_default())?);
        }
        self.actions += 1;
        if self.actions == 1 {
            return Ok(Some(GoldenAction::OpenEngine(self.store.clone())));
        }
        let path = self.store.with_extension("zip");
        Ok(self.golden.reads.get(self.actions - 2).map(|read| match read.call.clone() {
            Call::Apply(command) => GoldenAction::Apply(command),
            Call::Audio { session, turn, kind } => GoldenAction::ReadAudio { session, turn, kind },
            Call::Export(session) => GoldenAction::Export { session, path },
            Call::Import(new_id) => GoldenAction::Import { path, new_id },
        }))
    }

    /// As [`ScenarioRun::finish`](super::ScenarioRun::finish).
    ///
    /// # Errors
    /// The difference, as a readable diff.
    pub fn finish(&self) -> std::result::Result<(), String> {
        let expected: Vec<Value> = self.golden.reads.iter().map(|read| read.gives.clone()).collect();
        let mut report = String::new();
        compare::compare(&mut report, "reads of the store", Some(&expected), &self.came);
        if report.is_empty() { Ok(()) } else { Err(report) }
    }
}
