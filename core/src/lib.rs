//! Tertulia: an embeddable, on-device engine for spoken conversation.

pub mod audio;
pub mod backend;
pub mod catalog;
mod config;
pub mod error;
pub mod event;
mod language;
pub mod prompt;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{Keep, Persona, Playback, Retention, SessionConfig, SessionUpdate};
pub use error::{Error, ErrorCode, Result};
pub use event::{Event, EventKind, SessionId, TurnId};
pub use language::LanguageTag;
