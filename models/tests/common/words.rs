//! The words that the voice in the model folder knows.

#[path = "models.rs"]
pub(crate) mod models;

use std::sync::LazyLock;
use tertulia_models::gguf::Gguf;
use tertulia_models::text::Pronunciations;

/// Those of Kokoro; fails the test where its file is older than they are.
pub(crate) fn pronunciations() -> &'static Pronunciations {
    static WORDS: LazyLock<Pronunciations> = LazyLock::new(|| {
        let words = Pronunciations::read(&Gguf::open(&models::model_path("kokoro-82m")).unwrap()).unwrap();
        assert!(!words.is_by_rule(), "the voice's file has no English words: tertulia models pull kokoro-82m");
        words
    });
    &WORDS
}
