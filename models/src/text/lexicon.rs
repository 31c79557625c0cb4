//! The host's own pronunciations.

use super::language::{self, Language};
use std::collections::HashMap;
use tertulia::backend::Lexicon;
use tertulia::{Error, ErrorCode, Result};

/// The most symbols of one entry.
const SYMBOLS_MAX: usize = 200;

/// Checks that a voice whose symbols are told by `is_symbol` can speak every entry of `lexicon`.
///
/// # Errors
/// [`ErrorCode::InvalidLexicon`] names the language and the position (from 1, in the order of the words) of the first
/// entry that has no word, no sound, more than 200 symbols, or a sign that is neither IPA nor a symbol of the voice.
pub fn check_lexicon(lexicon: &Lexicon, is_symbol: impl Fn(char) -> bool) -> Result<()> {
    for (language, entries) in lexicon {
        for (index, (word, ipa)) in entries.iter().enumerate() {
            let symbols = symbols(ipa, language::find(language.primary()));
            let sounds = |c: char| c.is_alphabetic() && !matches!(c, 'ˈ' | 'ˌ' | 'ː');
            let fits = symbols.chars().count() <= SYMBOLS_MAX;
            let spoken = fits && symbols.chars().any(sounds) && symbols.chars().all(&is_symbol);
            if !spoken || !word.chars().any(char::is_alphanumeric) {
                let detail = format!("entry {} of the lexicon for {language} cannot be spoken", index + 1);
                return Err(Error::new(ErrorCode::InvalidLexicon, detail));
            }
        }
    }
    Ok(())
}

/// The entries of one language, ready to be found in a text.
#[derive(Default)]
pub(super) struct Entries {
    /// Longest first, by the first character in lower case.
    by_first: HashMap<char, Vec<(Vec<char>, String)>>,
}

impl Entries {
    /// The entries of all tags of the language.
    pub(super) fn new(lexicon: &Lexicon, language: &dyn Language) -> Self {
        let mut by_first: HashMap<char, Vec<(Vec<char>, String)>> = HashMap::new();
        let tags = lexicon.iter().filter(|(tag, _)| tag.primary() == language.tag());
        for (word, ipa) in tags.flat_map(|(_, entries)| entries) {
            let word: Vec<char> = word.trim().chars().flat_map(char::to_lowercase).collect();
            if let Some(&first) = word.first() {
                by_first.entry(first).or_default().push((word, symbols(ipa, Some(language))));
            }
        }
        for entries in by_first.values_mut() {
            entries.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        }
        Self { by_first }
    }

    /// There is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.by_first.is_empty()
    }

    /// The longest entry that stands at the start of `text` as whole words: its length there and its symbols.
    pub(super) fn at_start<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let first = text.chars().next()?.to_lowercase().next()?;
        let entries = self.by_first.get(&first)?;
        entries.iter().find_map(|(word, symbols)| Some((matched_len(text, word)?, symbols.as_str())))
    }
}

/// How many bytes of `text` spell `word`, in any case and with any blanks between its parts.
fn matched_len(text: &str, word: &[char]) -> Option<usize> {
    let mut rest = text.chars();
    let wanted = word.iter().copied();
    for c in wanted {
        let found = rest.next()?;
        if c.is_whitespace() {
            if !found.is_whitespace() {
                return None;
            }
            while rest.clone().next().is_some_and(char::is_whitespace) {
                rest.next();
            }
            continue;
        }
        for lower in found.to_lowercase() {
            let expected = if lower == c { Some(c) } else { None };
            let apostrophe = matches!(c, '\'' | '’') && matches!(lower, '\'' | '’');
            if expected.is_none() && !apostrophe && lower != '\u{307}' {
                return None;
            }
        }
    }
    let rest = rest.as_str();
    (!rest.starts_with(char::is_alphanumeric)).then(|| text.len() - rest.len())
}

/// The voice's symbols for IPA as people write it.
fn symbols(ipa: &str, language: Option<&dyn Language>) -> String {
    let mut out: String = ipa
        .trim()
        .chars()
        .filter_map(|c| match c {
            '/' | '[' | ']' | '.' | '\u{361}' | '\u{35c}' | '\u{200d}' => None,
            'g' => Some('ɡ'),
            ':' => Some('ː'),
            '\'' | '’' | 'ʹ' => Some('ˈ'),
            'ɫ' => Some('l'),
            other => Some(other),
        })
        .collect();
    const DIGRAPHS: &[(&str, &str)] =
        &[("tʃ", "ʧ"), ("dʒ", "ʤ"), ("ts", "ʦ"), ("dz", "ʣ"), ("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A")];
    for (from, to) in DIGRAPHS.iter().chain(language.map_or(&[][..], |language| language.ipa())) {
        if out.contains(from) {
            out = out.replace(from, to);
        }
    }
    out
}
