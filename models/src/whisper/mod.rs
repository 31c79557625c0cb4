//! Whisper, speech to text.
