//! Tertulia: an embeddable, on-device engine for spoken conversation.

pub mod backend;
mod config;
pub mod error;
mod language;

pub use config::{Keep, Persona, Playback, Retention, SessionConfig, SessionId, SessionUpdate, TurnId};
pub use error::{Error, ErrorCode, Result};
pub use language::LanguageTag;
