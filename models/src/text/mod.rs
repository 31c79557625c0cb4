//! Text to phonemes: languages, text normalisation, grapheme-to-phoneme conversion, and the host's lexicon.
//!
//! A reply is shown as it was written and spoken as people read aloud: [`phonemize`] cuts it into runs of one language,
//! normalises numbers, dates and signs to words, and gives each word the symbols of Kokoro's alphabet. Every word keeps
//! the bytes of the text that it speaks. Emoji and the marks of Markdown are not spoken. A language is an implementation
//! of the trait in `language.rs` and a line in its table.

pub(crate) mod english;
mod language;
mod lexicon;
mod normalize;
mod numbers;
mod pronunciations;
mod spanish;
mod spans;

pub use lexicon::check_lexicon;
pub use pronunciations::Pronunciations;

use language::{Dialect, LANGUAGES, Language};
use lexicon::Entries;
use normalize::{Said, units};
use std::ops::Range;
use tertulia::backend::Lexicon;
use tertulia::text::{Boundary, blank_markup, boundary, is_sentence_end};
use tertulia::{ErrorCode, LanguageTag, Result};

/// A word and its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhonemeWord {
    /// The bytes of the text that it speaks. The words of a number, such as those of `$12.50`, share one span.
    pub text_span: Range<usize>,
    /// The language it is pronounced in: the tag as the caller gave it.
    pub language: LanguageTag,
    /// Its symbols in Kokoro's alphabet; never empty, and at most a few hundred.
    pub phonemes: String,
    /// The punctuation and the blank after it, in Kokoro's alphabet.
    pub trailing: String,
}

/// The languages that can be pronounced.
pub fn languages() -> Vec<LanguageTag> {
    LANGUAGES.iter().filter_map(|language| language.tag().parse().ok()).collect()
}

/// The words of `text` with their sounds, in order.
///
/// `languages` are those that may occur, the likeliest first; a tag of the Americas (`es-MX`, `es-419`) gives the
/// Spanish spoken there. `british` asks for British English. `pronunciations` are those of a voice's file; without them
/// English is read by rule. Linear in the text's length.
///
/// ```
/// use tertulia_models::text::{Pronunciations, phonemize};
/// let languages = ["es".parse().unwrap(), "en".parse().unwrap()];
/// let text = "“Tengo hambre” means I'm hungry.";
/// let words = phonemize(text, &languages, &Default::default(), false, &Pronunciations::by_rule()).unwrap();
/// let tags: Vec<&str> = words.iter().map(|word| word.language.as_str()).collect();
/// assert_eq!(tags, ["es", "es", "en", "en", "en"]);
/// ```
///
/// # Errors
/// [`ErrorCode::LanguageUnsupported`] where none of `languages` can be pronounced.
pub fn phonemize(
    text: &str,
    languages: &[LanguageTag],
    lexicon: &Lexicon,
    british: bool,
    pronunciations: &Pronunciations,
) -> Result<Vec<PhonemeWord>> {
    let mut spoken: Vec<(Dialect<'_>, &dyn Language)> = Vec::new();
    for tag in languages {
        let is_new = spoken.iter().all(|(dialect, _)| !dialect.tag.same_language(tag));
        if let Some(language) = language::find(tag.primary()).filter(|_| is_new) {
            spoken.push((Dialect { tag, british }, language));
        }
    }
    if spoken.is_empty() {
        return Err(ErrorCode::LanguageUnsupported.into());
    }
    let known: Vec<&dyn Language> = spoken.iter().map(|(_, language)| *language).collect();
    let unmarked = blank_markup(text);
    let mut words = Vec::new();
    for (range, index) in spans::spans(text, &known, pronunciations) {
        let (dialect, language) = spoken[index];
        let entries = Entries::new(lexicon, language);
        let pieces = pieces(&unmarked, range, language, british, &entries);
        gather(&pieces, language.phonemes(&pieces, dialect, pronunciations), dialect.tag, &mut words);
    }
    Ok(words)
}

/// `text` in plain lower-case words of `language`, with numbers and signs normalised to words and no punctuation.
pub fn normalize(text: &str, language: &LanguageTag) -> String {
    let language = language::find(language.primary()).unwrap_or(LANGUAGES[0]);
    let pieces = pieces(&blank_markup(text), 0..text.len(), language, false, &Entries::default());
    let words: Vec<String> = pieces.iter().filter_map(|piece| piece.word()).map(str::to_lowercase).collect();
    words.join(" ")
}

/// One word or pause to be spoken.
struct Piece {
    span: Range<usize>,
    sound: Sound,
}

enum Sound {
    /// To be found out from its letters.
    Word(String),
    /// The host's.
    Given(String),
    /// A mark of punctuation.
    Pause(&'static str),
}

impl Piece {
    fn word(&self) -> Option<&str> {
        match &self.sound {
            Sound::Word(word) => Some(word),
            _ => None,
        }
    }

    fn ends_sentence(&self) -> bool {
        matches!(self.sound, Sound::Pause(mark) if mark.chars().all(is_sentence_end))
    }
}

fn pieces(text: &str, range: Range<usize>, language: &dyn Language, british: bool, entries: &Entries) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = range.start;
    if !entries.is_empty() {
        let mut at = range.start;
        while let Some(c) = text[at..range.end].chars().next() {
            let starts_word = !text[..at].ends_with(char::is_alphanumeric);
            match entries.at_start(&text[at..range.end]).filter(|_| starts_word) {
                Some((len, symbols)) => {
                    push_units(text, from..at, language, british, &mut pieces);
                    pieces.push(Piece { span: at..at + len, sound: Sound::Given(symbols.to_owned()) });
                    at += len;
                    from = at;
                }
                None => at += c.len_utf8(),
            }
        }
    }
    push_units(text, from..range.end, language, british, &mut pieces);
    pieces
}

fn push_units(text: &str, range: Range<usize>, language: &dyn Language, british: bool, pieces: &mut Vec<Piece>) {
    for unit in units(text, range, language.rules(), british) {
        let span = unit.span;
        let mut push = |word: &str| match word {
            "," => pieces.push(Piece { span: span.clone(), sound: Sound::Pause(",") }),
            "." => pieces.push(Piece { span: span.clone(), sound: Sound::Pause(".") }),
            word => {
                for part in parts(word) {
                    pieces.push(Piece { span: span.clone(), sound: Sound::Word(part.to_owned()) });
                }
            }
        };
        match unit.said {
            Said::Pause(mark) => pieces.push(Piece { span, sound: Sound::Pause(mark) }),
            Said::Words(words) => words.split_whitespace().for_each(push),
            Said::AsWritten => language.said(&text[span.clone()]).iter().for_each(|word| push(word)),
        }
    }
}

/// The most characters of one word; what is longer is no word, and is read in parts.
const WORD_CHARS_MAX: usize = 40;

fn parts(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(WORD_CHARS_MAX).map_or(rest.len(), |(index, _)| index);
        let (part, left) = rest.split_at(end);
        rest = left;
        (!part.is_empty()).then_some(part)
    })
}

/// Adds the pieces' words to `words`, each with the marks that follow it.
fn gather(pieces: &[Piece], sounds: Vec<String>, tag: &LanguageTag, words: &mut Vec<PhonemeWord>) {
    for (piece, phonemes) in pieces.iter().zip(sounds) {
        match piece.sound {
            Sound::Pause(mark) => {
                if let Some(last) = words.last_mut() {
                    add_mark(&mut last.trailing, mark);
                }
            }
            _ if phonemes.is_empty() => {}
            _ => words.push(PhonemeWord {
                text_span: piece.span.clone(),
                language: tag.clone(),
                phonemes,
                trailing: " ".into(),
            }),
        }
    }
}

/// Marks stand before the blank, and a stronger one takes a weaker one's place.
fn add_mark(trailing: &mut String, mark: &str) {
    let strength = |mark: &str| match mark.chars().next().and_then(boundary) {
        Some(Boundary::Sentence) => 3,
        Some(Boundary::Clause) if mark != "," => 2,
        Some(Boundary::Clause) => 1,
        None => 0,
    };
    // Quotation marks and brackets are a short pause at most.
    let mark = match mark {
        "(" | ")" => ",",
        other => other,
    };
    if strength(mark) > strength(trailing.trim_end()) {
        *trailing = format!("{mark} ");
    }
}
