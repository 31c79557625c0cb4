//! Tertulia: an embeddable, on-device engine for spoken conversation.
//!
//! A person speaks; the engine hears, understands, answers aloud and remembers. This crate is the engine: sessions,
//! turns, storage, audio. The models are [`Backends`](backend::Backends) that it is given; the crate `tertulia-models`
//! has real ones, [`testing`] has scripted ones.
//!
//! # One turn
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() -> tertulia::Result<()> {
//! use std::time::Duration;
//! use tertulia::testing::scripted::{Scripted, noise_16k};
//! use tertulia::{EngineBuilder, EventKind, Playback, SessionConfig, SessionEngine};
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
//! // One second of the microphone, then the learner falls silent.
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
//! let session = engine.open_session(id)?;
//! assert_eq!(session.turns()?.len(), 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Rules
//!
//! - Every call returns at once; what follows arrives as [`Event`]s, read by one reader ([`Session::events`]).
//! - A turn begins with [`Session::end_utterance`], [`push_encoded`](Session::push_encoded),
//!   [`send_text`](Session::send_text), [`say`](Session::say) or [`reply`](Session::reply), and ends exactly once:
//!   `turn_finished`, `turn_interrupted` or `turn_failed`. A turn that fails leaves the session usable, and can be tried
//!   again ([`Session::retry_turn`]); what was understood wrongly can be corrected ([`Session::correct`]).
//! - With [`ListeningMode::Continuous`] the microphone stays open: the engine hears when somebody starts to speak and has
//!   finished, and who speaks over the tutor interrupts it (`playback_pause`, then `playback_resume` or `playback_flush`).
//! - A microphone that hears the speaker needs an echo canceller: the platform's, or, where the host tells what the
//!   speaker plays ([`Session::push_playback`]), the engine's.
//! - The host tells what was [`played`](Session::played); what was heard is what the tutor remembers to have said.
//! - The tutor remembers the whole session: where it outgrows the chat model's context, the chat model summarises its
//!   beginning, between turns, or else before a reply, which fails where that fails ([`store::Summary`]).
//! - `transcript_done`, `turn_finished` and `turn_interrupted` come after they are on disk.
//! - With a `tracing` subscriber each stage of a turn is a span (`turn_work`, `turn_detector`, `partial_recognition`, `prefill`,
//!   `summary`, `commit`). What people say and type is in none of them.
//! - Errors are an [`ErrorCode`] with context; the numbers are the same in every language.

pub mod audio;
pub mod backend;
pub mod catalog;
mod config;
mod driver;
mod engine;
pub mod error;
pub mod event;
mod language;
mod platform;
pub mod prompt;
mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[doc(hidden)]
pub mod text;
mod turn;

pub use config::{Keep, Listening, ListeningMode, Persona, Playback, Retention, SessionConfig, SessionUpdate};
pub use driver::local::LocalDriver;
pub use driver::recording::ListenRequest;
pub use engine::{
    Capabilities, Engine, EngineBuilder, LanguageCapability, ModelNames, SessionEngine, Speech, TrimLevel,
};
pub use error::{Error, ErrorCode, Result};
pub use event::{Event, EventKind, SessionId, TurnId};
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
