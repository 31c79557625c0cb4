//! Chat models in GGUF files.
