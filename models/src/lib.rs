//! Tertulia's backends, on burn or on kernels alone, and the files they load.
//!
//! | module | backend |
//! |---|---|
//! | [`whisper`] | a [`Recognizer`](tertulia::backend::Recognizer) |
//! | [`chat`] | a [`ChatModel`](tertulia::backend::ChatModel) |
//! | [`kokoro`] | a [`Synthesizer`](tertulia::backend::Synthesizer) |
//! | [`silero`] | a [`VadModel`](tertulia::backend::VadModel) |
//! | [`smart_turn`] | a [`TurnDetector`](tertulia::backend::TurnDetector) |
//! | [`files`] | the manifest and the model folder; downloads and conversion with feature `download` |
//!
//! Each backend has a feature of its own, all on by default. [`default_backends`] makes those that [`BackendOptions`] asks
//! for from a folder of model files. Where there are no files, as in a browser, each model takes a [`ModelSource`]: bytes
//! in memory, or a reader of the host's.

#[cfg(any(feature = "whisper", feature = "chat"))]
mod byte_level;
#[cfg(feature = "chat")]
pub mod chat;
#[cfg(all(feature = "whisper", feature = "chat", feature = "kokoro", feature = "silero", feature = "smart-turn"))]
mod defaults;
#[cfg(any(feature = "burn", feature = "chat"))]
mod device;
pub mod files;
pub mod gguf;
mod kernels;
#[cfg(feature = "kokoro")]
pub mod kokoro;
#[cfg(any(feature = "whisper", feature = "smart-turn"))]
mod mel;
#[cfg(feature = "download")]
mod onnx;
mod platform;
#[cfg(any(feature = "whisper", feature = "chat", feature = "kokoro"))]
mod sampling;
#[cfg(feature = "silero")]
pub mod silero;
#[cfg(feature = "smart-turn")]
pub mod smart_turn;
mod source;
#[cfg(feature = "kokoro")]
pub mod text;
#[cfg(feature = "whisper")]
pub mod whisper;

#[cfg(all(feature = "whisper", feature = "chat", feature = "kokoro", feature = "silero", feature = "smart-turn"))]
pub use defaults::{BackendChoice, BackendOptions, backends_for, default_backends};
#[cfg(any(feature = "burn", feature = "chat"))]
pub use device::Device;
pub use source::{ModelReader, ModelSource};
