//! Silero VAD.
