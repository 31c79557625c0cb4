//! Text as the turn machine, the driver and the models share it: punctuation, sentences, clauses, markup, and the word
//! lists of each language. Pure; imports nothing of the crate.

mod languages;
mod markup;
mod sentence;

pub(crate) use languages::{is_backchannel, is_open_ended};
pub use markup::blank_markup;
pub(crate) use sentence::{ClauseSplitter, whole_sentences};

/// The boundary that a punctuation mark makes, the stronger the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// A clause ends; the sentence goes on.
    Clause,
    /// A sentence ends, unless the mark is part of a number or an abbreviation.
    Sentence,
}

/// The boundary that `mark` makes, if any.
pub fn boundary(mark: char) -> Option<Boundary> {
    match mark {
        '.' | '!' | '?' | '…' | '。' | '！' | '？' => Some(Boundary::Sentence),
        ',' | ';' | ':' | '—' => Some(Boundary::Clause),
        _ => None,
    }
}

/// A sentence may end with `mark`.
pub fn is_sentence_end(mark: char) -> bool {
    boundary(mark) == Some(Boundary::Sentence)
}

/// The text without the quotation marks and brackets that close it.
pub fn trim_closing(text: &str) -> &str {
    text.trim_end_matches(['"', '\'', '”', '’', '»', ')'])
}

/// How a transcript ends, closing quotation marks and brackets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the end of a sentence.
    Closed,
    /// With a mark after which it goes on: an ellipsis, a comma, a dash.
    Open,
    /// With a word.
    Unmarked,
}

/// How `text` ends.
pub fn ending(text: &str) -> Ending {
    let tail = trim_closing(text.trim_end());
    let ellipsis = tail.ends_with("..") || tail.ends_with('…');
    match tail.chars().next_back() {
        Some(mark) if is_sentence_end(mark) && !ellipsis => Ending::Closed,
        Some(mark) if ellipsis || boundary(mark).is_some() || matches!(mark, '-' | '–') => Ending::Open,
        _ => Ending::Unmarked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_a_comma_or_a_dash_leaves_a_sentence_open() {
        let cases = [
            (Ending::Closed, ["Sí.", "¿Sí?", "«Ya voy.» ", "はい。"]),
            (Ending::Open, ["Sí...", "Sí…", "Sí,", "Sí –"]),
            (Ending::Unmarked, ["", "Sí", "(sí)", " "]),
        ];
        for (expected, texts) in cases {
            for text in texts {
                assert_eq!(ending(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_language_without_lists_falls_back_to_backchannels_of_all() {
        assert!(is_backchannel("mhm", &["de"]) && is_backchannel("vale", &["de", "es"]));
        assert!(!is_backchannel("vale", &["de"]) && !is_open_ended("y", &["de"]));
    }
}
