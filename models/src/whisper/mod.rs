//! Whisper, speech to text.
pub mod ct2;
mod decoding;
mod gate;
mod mel;
mod network;
mod recognition;
mod steps;
mod timing;
mod vocabulary;
