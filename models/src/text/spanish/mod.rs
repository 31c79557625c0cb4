//! Spanish, of Spain and of the Americas.

mod grapheme_to_phoneme;
mod normalize;
mod numbers;
mod tables;

use super::language::{Dialect, Language, Orthography, word_set};
use super::normalize::Rules;
use super::{Piece, Pronunciations, Sound};
use grapheme_to_phoneme::{Neighbours, Sounds, is_readable, letter_name, sounds};
use std::sync::LazyLock;
use tertulia::LanguageTag;

/// Spanish.
pub(super) struct Spanish;

impl Language for Spanish {
    fn tag(&self) -> &'static str {
        "es"
    }

    fn rules(&self) -> &'static Rules {
        &normalize::RULES
    }

    fn orthography(&self) -> &'static Orthography {
        &ORTHOGRAPHY
    }

    fn said(&self, word: &str) -> Vec<String> {
        let mut words = Vec::new();
        for part in word.split(['-', '\u{2011}']).filter(|part| !part.is_empty()) {
            let letters = part.chars().filter(|c| c.is_alphabetic()).count();
            let capitals = letters > 1 && !part.chars().any(char::is_lowercase);
            let alone = letters == 1 && !matches!(part, "a" | "e" | "o" | "u" | "y" | "A" | "E" | "O" | "U" | "Y");
            if alone || (capitals && !is_readable(part)) {
                words.extend(part.chars().filter_map(letter_name).flat_map(str::split_whitespace).map(str::to_owned));
            } else {
                words.push(part.to_owned());
            }
        }
        words
    }

    fn phonemes(&self, pieces: &[Piece], dialect: Dialect<'_>, _: &Pronunciations) -> Vec<String> {
        let seseo = seseo(dialect.tag);
        let sounds: Vec<Option<Sounds>> =
            pieces.iter().map(|piece| piece.word().map(|word| sounds(word, seseo))).collect();
        let is_pause = |index: usize| matches!(pieces[index].sound, Sound::Pause(_));
        let mut before: Option<char> = None;
        let mut out = Vec::with_capacity(pieces.len());
        for (index, piece) in pieces.iter().enumerate() {
            let after = match sounds.get(index + 1) {
                Some(Some(next)) => next.first(),
                // The host's own sound leaves the word before it as it is among others.
                Some(None) if !is_pause(index + 1) => Some('e'),
                _ => None,
            };
            let phonemes = match (&piece.sound, &sounds[index]) {
                (Sound::Given(symbols), _) => symbols.clone(),
                (_, Some(word)) => word.between(Neighbours { before, after }),
                (_, None) => String::new(),
            };
            before = phonemes.chars().next_back();
            out.push(phonemes);
        }
        out
    }
}

static ORTHOGRAPHY: LazyLock<Orthography> = LazyLock::new(|| Orthography {
    common_words: word_set(tables::COMMON_WORDS),
    names: &["spanish", "español", "castellano", "española"],
    opening_marks: &['¿', '¡'],
    own_letters: &['ñ', 'á', 'í', 'ó', 'ú'],
    rare_letters: &['é'],
    apostrophes: false,
    letters: (&[], 0.0),
    endings: (tables::ENDINGS, 1.0),
    hints: (&["ll", "rr", "ue", "ie", "qu", "j"], 0.4),
});

/// The tag names a region where z sounds like s: all but Spain.
fn seseo(tag: &LanguageTag) -> bool {
    let region =
        tag.as_str().split('-').skip(1).find(|part| {
            matches!(part.len(), 2 | 3) && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        });
    region.is_some_and(|region| !matches!(region, "ES" | "GQ" | "EA" | "IC"))
}
