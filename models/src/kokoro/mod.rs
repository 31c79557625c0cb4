//! Kokoro, text to speech.
