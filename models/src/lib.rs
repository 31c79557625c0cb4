//! Tertulia's backends on burn, and the files they load.
//!
//! | module | what it gives the engine |
//! |---|---|
//! | [`whisper`] | a [`Recognizer`](tertulia::backend::Recognizer) |
//! | [`chat`] | a [`ChatModel`](tertulia::backend::ChatModel) |
//! | [`kokoro`] | a [`Synthesizer`](tertulia::backend::Synthesizer) |
//! | [`silero`] | a [`VadModel`](tertulia::backend::VadModel) |
//! | [`smart_turn`] | a [`TurnDetector`](tertulia::backend::TurnDetector) |
//! | [`files`] | the manifest, downloads and conversion |
//!
//! [`default_backends`] takes the default models out of a folder and gives them to an engine.

pub mod chat;
mod defaults;
pub mod files;
pub mod gguf;
mod kernels;
pub mod kokoro;
mod onnx;
pub mod silero;
pub mod smart_turn;
pub mod text;
pub mod whisper;

pub use defaults::{BackendOptions, default_backends};
