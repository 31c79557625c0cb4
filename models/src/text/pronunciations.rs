//! [`Pronunciations`]: the words that a voice's file knows.

use super::english;
use crate::gguf::Gguf;
use tertulia::Result;

/// The dictionaries of a Kokoro file: English words with their sounds, and the tagger that chooses among them.
pub struct Pronunciations {
    english: Option<english::Data>,
}

impl Pronunciations {
    /// No dictionary: every language is read by the rules of its spelling. English, whose spelling says little, suffers.
    pub fn by_rule() -> Self {
        Self { english: None }
    }

    /// Those of a Kokoro file; what is needed is copied out of it. A file that an older converter made has none.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`](tertulia::ErrorCode::ModelCorrupt) where they are damaged.
    pub fn read(file: &Gguf) -> Result<Self> {
        Ok(Self { english: english::Data::read(file)? })
    }

    /// There is no dictionary.
    pub fn is_by_rule(&self) -> bool {
        self.english.is_none()
    }

    pub(super) fn english(&self) -> Option<&english::Data> {
        self.english.as_ref()
    }
}
