//! Tertulia: an embeddable, on-device engine for spoken conversation.
//!
//! The user speaks; the engine detects speech, recognises it, generates a reply, speaks it, and stores the conversation.
//! This crate is the engine: sessions, turns, storage, audio. The models are [`Backends`](backend::Backends) that it is
//! given; the crate `tertulia-models` has real ones, [`testing`] has scripted ones.
//!
//! # One turn
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> tertulia::Result<()> {
//! use std::time::Duration;
//! use tertulia::testing::scripted::{Scripted, noise_16k};
//! use tertulia::{EngineBuilder, EventKind, Playback, SessionConfig, SessionEngine, SessionUpdate};
//!
//! // Backends that follow a script; `tertulia_models::default_backends` gives real ones.
//! let scripted = Scripted::new();
//! scripted.recognizer.then("Hola, me llamo Ana.");
//! scripted.chat.then(["¡Encantado, Ana! ", "¿De dónde eres?"]);
//! let engine = EngineBuilder::new().backends(scripted.backends()).build()?;
//!
//! // An English speaker practises Spanish.
//! let mut config = SessionConfig::new("en".parse()?, "es".parse()?);
//! config.playback = Playback::Assumed; // there is no speaker here
//! let session = engine.create_session(config)?;
//! let events = session.events()?;
//!
//! // One second of the microphone's audio is the utterance.
//! session.push_audio(&noise_16k(1000), 16_000)?;
//! let turn = session.end_utterance()?;
//! while let Some(event) = events.next_timeout(Duration::from_secs(10))? {
//!     match event.kind {
//!         EventKind::TranscriptDone { transcript, .. } => assert_eq!(transcript.text, "Hola, me llamo Ana."),
//!         EventKind::ReplyAudioDelta { pcm, rate, .. } => { /* play it */ let _ = (pcm, rate); }
//!         EventKind::TurnFinished { reply_text } => {
//!             assert_eq!(reply_text, "¡Encantado, Ana! ¿De dónde eres?");
//!             break;
//!         }
//!         _ => {}
//!     }
//! }
//! # let _ = turn;
//!
//! // Sessions are stored as they go; an engine on a file finds them again after a restart.
//! let id = session.id();
//! drop((session, events));
//! let session = engine.open_session(id, &SessionUpdate::new())?;
//! assert_eq!(session.turns()?.len(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Rules
//!
//! - Calls that drive a conversation return at once; its results arrive as [`Event`]s, read by one reader
//!   ([`Session::events`]). Calls that read or write the store take the caller's thread for as long as
//!   [a table](#calls-time-disk-threads) says. Work without a session is a [`Job`], in pieces on the thread that polls it.
//! - A turn starts with [`Session::end_utterance`], [`push_encoded`](Session::push_encoded),
//!   [`send_text`](Session::send_text), [`say`](Session::say) or [`reply`](Session::reply), and ends exactly once:
//!   `turn_finished`, `turn_interrupted` or `turn_failed`. A turn that fails leaves the session usable and can be
//!   retried ([`Session::retry_turn`]); a wrong transcript can be corrected ([`Session::correct`]).
//! - With [`ListeningMode::Continuous`] the microphone stays open: VAD and endpointing find the utterances, and speech
//!   during a reply is a barge-in (`playback_pause`, then `playback_resume` or `playback_flush`).
//! - A microphone that picks up the speaker needs an echo canceller: the platform's, or the engine's, which needs the
//!   far-end signal ([`Session::push_playback`]).
//! - The host reports playback with [`played`](Session::played); the heard text is what enters the chat model's context.
//! - Where a session outgrows that context, the chat model summarises its first turns, between turns or else before a
//!   reply, which fails if that fails ([`store::Summary`]).
//! - `transcript_done`, `turn_finished` and `turn_interrupted` are emitted after their commit is durable.
//! - With a `tracing` subscriber each stage of a turn is a span (`turn_work`, `turn_detector`, `partial_recognition`,
//!   `prefill`, `summary`, `commit`). No span or log holds words of the user.
//! - Errors are an [`ErrorCode`] with context; the numbers are the same in every language.
#![doc = ""]
#![doc = include_str!("../docs/calls.md")]

pub mod audio;
pub mod backend;
pub mod catalog;
mod config;
mod driver;
mod engine;
pub mod error;
pub mod event;
mod job;
mod language;
mod platform;
#[doc(hidden)]
pub mod prompt;
#[cfg(feature = "schema")]
pub mod schema;
mod session;
pub mod store;
mod strict;
#[cfg(feature = "testing")]
pub mod testing;
#[doc(hidden)]
pub mod text;
mod turn;
mod wav;

pub use config::{Keep, Listening, ListeningMode, Persona, Playback, Retention, SessionConfig, SessionUpdate};
pub use driver::local::LocalDriver;
pub use driver::recording::ListenRequest;
pub use engine::{
    Capabilities, Command, CommandOutput, Engine, EngineBuilder, EngineOptions, LanguageCapability, ModelChoice,
    ModelChoices, ModelNames, SessionEngine, StillRunning, StorePlace, TrimLevel, Worker,
};
pub use error::{Error, ErrorCode, Result};
pub use event::{Event, EventKind, SessionId, TurnId};
pub use job::{Job, JobControl};
pub use language::LanguageTag;
pub use platform::Clock;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use platform::SystemClock;
pub use session::{Events, Session, TEXT_BYTES_MAX};

/// Parameters that this project's tools tune. Not part of the public API.
#[doc(hidden)]
pub mod tuning {
    pub use crate::driver::recording::CueLatency;
    pub use crate::turn::EndpointWeights;
}
