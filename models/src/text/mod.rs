//! Text to phonemes: languages, numbers and abbreviations, spelling to sound, and the host's lexicon.
//!
//! A reply is shown as it was written and spoken as people read aloud: [`phonemize`] cuts it into runs of one language,
//! writes numbers, dates and signs out, and gives each word the symbols of Kokoro's alphabet. Every word keeps the
//! bytes of the text that it speaks. Emoji and the marks of Markdown are not spoken.

mod english;
mod letters;
mod lexicon;
mod normalize;
mod numbers;
mod spanish;
mod spans;

pub use lexicon::check_lexicon;

use lexicon::Entries;
use normalize::{Said, units};
use std::ops::Range;
use tertulia::backend::Lexicon;
use tertulia::{ErrorCode, LanguageTag, Result};

/// A word and its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    ["en", "es"].iter().filter_map(|tag| tag.parse().ok()).collect()
}

/// The words of `text` with their sounds, in order.
///
/// `languages` are those that may occur, the likeliest first; a tag of the Americas (`es-MX`, `es-419`) gives the
/// Spanish spoken there. `british` asks for British English. Linear in the text's length.
///
/// ```
/// use tertulia_models::text::phonemize;
/// let languages = ["es".parse().unwrap(), "en".parse().unwrap()];
/// let words = phonemize("“Tengo hambre” means I'm hungry.", &languages, &Default::default(), false).unwrap();
/// let tags: Vec<&str> = words.iter().map(|word| word.language.as_str()).collect();
/// assert_eq!(tags, ["es", "es", "en", "en", "en"]);
/// ```
///
/// # Errors
/// [`ErrorCode::LanguageUnsupported`] where none of `languages` can be pronounced.
pub fn phonemize(text: &str, languages: &[LanguageTag], lexicon: &Lexicon, british: bool) -> Result<Vec<PhonemeWord>> {
    let spoken: Vec<&LanguageTag> = languages.iter().filter(|tag| matches!(tag.primary(), "en" | "es")).collect();
    let first = *spoken.first().ok_or(ErrorCode::LanguageUnsupported)?;
    let other = spoken.iter().copied().find(|tag| !tag.same_language(first));
    let spanish_first = first.primary() == "es";
    let runs = match other {
        Some(_) => spans::spans(text, spanish_first),
        None => vec![(0..text.len(), spanish_first)],
    };
    let mut words = Vec::new();
    for (range, is_spanish) in runs {
        let tag = if is_spanish == spanish_first { first } else { other.unwrap_or(first) };
        let pieces = pieces(text, range, tag, &Entries::new(lexicon, tag.primary()), british);
        let sounds = if is_spanish { spanish_sounds(&pieces, seseo(tag)) } else { english_sounds(&pieces, british) };
        gather(&pieces, sounds, tag, &mut words);
    }
    Ok(words)
}

/// `text` in plain lower-case words of `language`, with numbers and signs written out and no punctuation.
pub fn written_out(text: &str, language: &LanguageTag) -> String {
    let pieces = pieces(text, 0..text.len(), language, &Entries::default(), false);
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
        matches!(self.sound, Sound::Pause("." | "!" | "?" | "…"))
    }
}

fn pieces(text: &str, range: Range<usize>, tag: &LanguageTag, entries: &Entries, british: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut from = range.start;
    if !entries.is_empty() {
        let mut at = range.start;
        while let Some(c) = text[at..range.end].chars().next() {
            let starts_word = !text[..at].ends_with(char::is_alphanumeric);
            match entries.at_start(&text[at..range.end]).filter(|_| starts_word) {
                Some((len, symbols)) => {
                    push_units(text, from..at, tag, british, &mut pieces);
                    pieces.push(Piece { span: at..at + len, sound: Sound::Given(symbols.to_owned()) });
                    at += len;
                    from = at;
                }
                None => at += c.len_utf8(),
            }
        }
    }
    push_units(text, from..range.end, tag, british, &mut pieces);
    pieces
}

fn push_units(text: &str, range: Range<usize>, tag: &LanguageTag, british: bool, pieces: &mut Vec<Piece>) {
    let is_spanish = tag.primary() == "es";
    for unit in units(text, range, tag.primary(), british) {
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
            Said::AsWritten if is_spanish => spanish_words(&text[span.clone()]).iter().for_each(|word| push(word)),
            Said::AsWritten => push(&text[span.clone()]),
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

/// A Spanish word as it is said: compounds apart, acronyms by their letters where they cannot be read.
fn spanish_words(word: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in word.split(['-', '\u{2011}']).filter(|part| !part.is_empty()) {
        let letters = part.chars().filter(|c| c.is_alphabetic()).count();
        let capitals = letters > 1 && !part.chars().any(char::is_lowercase);
        let alone = letters == 1 && !matches!(part, "a" | "e" | "o" | "u" | "y" | "A" | "E" | "O" | "U" | "Y");
        if alone || (capitals && !spanish::is_readable(part)) {
            words.extend(
                part.chars().filter_map(spanish::letter_name).flat_map(str::split_whitespace).map(str::to_owned),
            );
        } else {
            words.push(part.to_owned());
        }
    }
    words
}

/// Whether the tag names a region where z sounds like s: all but Spain.
fn seseo(tag: &LanguageTag) -> bool {
    let region =
        tag.as_str().split('-').skip(1).find(|part| {
            matches!(part.len(), 2 | 3) && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        });
    region.is_some_and(|region| !matches!(region, "ES" | "GQ" | "EA" | "IC"))
}

/// The phonemes of each piece; empty for a pause.
fn spanish_sounds(pieces: &[Piece], seseo: bool) -> Vec<String> {
    let sounds: Vec<Option<spanish::Sounds>> =
        pieces.iter().map(|piece| piece.word().map(|word| spanish::sounds(word, seseo))).collect();
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
            (_, Some(word)) => word.between(spanish::Neighbours { before, after }),
            (_, None) => String::new(),
        };
        before = phonemes.chars().next_back();
        out.push(phonemes);
    }
    out
}

/// The most words that the tagger sees at once.
const PHRASE_WORDS_MAX: usize = 80;

/// The phonemes of each piece; empty for a pause.
fn english_sounds(pieces: &[Piece], british: bool) -> Vec<String> {
    let mut out = vec![String::new(); pieces.len()];
    let mut phrase = english::Phrase::default();
    let mut members: Vec<usize> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        match &piece.sound {
            Sound::Word(word) => {
                phrase.push_word(word);
                members.push(index);
            }
            Sound::Given(symbols) => out[index] = symbols.clone(),
            Sound::Pause(mark) => phrase.push_mark(mark),
        }
        let full = members.len() >= PHRASE_WORDS_MAX;
        if (piece.ends_sentence() || full || index + 1 == pieces.len()) && !members.is_empty() {
            let sounds = std::mem::take(&mut phrase).phonemes(british);
            for (member, sound) in members.drain(..).zip(sounds) {
                out[member] = sound;
            }
        }
    }
    out
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
    let strength = |mark: &str| match mark {
        "." | "!" | "?" | "…" => 3,
        ";" | ":" | "—" => 2,
        "," => 1,
        _ => 0,
    };
    // Quotation marks and brackets are heard as a short pause at most.
    let mark = match mark {
        "(" | ")" => ",",
        other => other,
    };
    if strength(mark) > strength(trailing.trim_end()) {
        *trailing = format!("{mark} ");
    }
}
