//! Text to phonemes.
