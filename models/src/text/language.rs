//! The languages of text, each behind [`Language`]: tables and code in a folder of its own, and a line in [`LANGUAGES`].

use super::normalize::Rules;
use super::{Piece, Pronunciations};
use std::collections::HashSet;
use tertulia::LanguageTag;

/// All languages. A text in none of them is normalised as in the first.
pub(super) static LANGUAGES: &[&dyn Language] = &[&super::english::English, &super::spanish::Spanish];

/// The language with this primary tag.
pub(super) fn find(primary: &str) -> Option<&'static dyn Language> {
    LANGUAGES.iter().copied().find(|language| language.tag() == primary)
}

/// A language that can be normalised, pronounced, and told from others.
pub(super) trait Language: Sync {
    /// The primary tag.
    fn tag(&self) -> &'static str;

    /// The rules of text normalisation.
    fn rules(&self) -> &'static Rules;

    /// The letters and words that tell it from other languages.
    fn orthography(&self) -> &'static Orthography;

    /// Its dictionary has `word` (lower case, no accents); `None` where there is no dictionary.
    fn knows(&self, _word: &str, _pronunciations: &Pronunciations) -> Option<bool> {
        None
    }

    /// A word as it is said: compounds apart, acronyms by their letters.
    fn said(&self, word: &str) -> Vec<String> {
        vec![word.to_owned()]
    }

    /// The phonemes of each piece, in Kokoro's alphabet; empty for a pause.
    fn phonemes(&self, pieces: &[Piece], dialect: Dialect<'_>, pronunciations: &Pronunciations) -> Vec<String>;

    /// Replacements of its IPA by Kokoro's alphabet, after the replacements for all languages.
    fn ipa(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// A regional form of a language.
#[derive(Clone, Copy)]
pub(super) struct Dialect<'t> {
    /// The tag that was asked for.
    pub(super) tag: &'t LanguageTag,
    /// The voice is British.
    pub(super) british: bool,
}

/// Groups of letters, and how strongly a word with one of them speaks for its language.
pub(super) type Groups = (&'static [&'static str], f32);

/// How a language is told from others by its spelling.
pub(super) struct Orthography {
    /// Its commonest words; those that another language lists too tell nothing between the two.
    pub(super) common_words: HashSet<&'static str>,
    /// Names of the language in any language: a sentence with one of them quotes it.
    pub(super) names: &'static [&'static str],
    /// Marks before a sentence that no other language has.
    pub(super) opening_marks: &'static [char],
    /// Letters that no other language has.
    pub(super) own_letters: &'static [char],
    /// Letters that words of other languages may have, if their dictionaries know the word without accents.
    pub(super) rare_letters: &'static [char],
    /// An apostrophe inside a word speaks for it.
    pub(super) apostrophes: bool,
    /// Groups anywhere in a word.
    pub(super) letters: Groups,
    /// Ends of words.
    pub(super) endings: Groups,
    /// Groups that count only where no other language looks likelier.
    pub(super) hints: Groups,
}

/// A set of the words of a text.
pub(super) fn word_set(words: &'static str) -> HashSet<&'static str> {
    words.split_whitespace().collect()
}
