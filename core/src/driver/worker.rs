//! [`Worker`]: the parts of an engine that work by themselves.

use serde::{Deserialize, Serialize};

/// A part of an engine that works by itself; in an engine with threads each is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Worker {
    /// The microphone and its VAD: short steps only, so that no session's audio waits.
    Microphone,
    /// The turn detector.
    TurnDetector,
    /// The recogniser, and decoding of recordings.
    Recognizer,
    /// The chat model.
    Chat,
    /// The synthesizer.
    Synthesizer,
    /// The sessions. In an engine without threads it works while its driver is run.
    Engine,
    /// Commits, and the store's housekeeping.
    Store,
    /// A job, on the thread that runs it.
    Job,
}

impl Worker {
    /// Those that run a backend, each with the name of its thread.
    pub(crate) const ALL: [(Worker, &str); 5] = [
        (Worker::Microphone, "tertulia-mic"),
        (Worker::TurnDetector, "tertulia-turn-detector"),
        (Worker::Recognizer, "tertulia-recognizer"),
        (Worker::Chat, "tertulia-chat"),
        (Worker::Synthesizer, "tertulia-synthesizer"),
    ];
}
