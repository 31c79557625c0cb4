//! English: word lists and a tagger, which are part of Kokoro's file, and rules for words that the lists do not have.

#[cfg(feature = "download")]
pub(crate) mod compile;
mod dictionary;
mod grapheme_to_phoneme;
mod normalize;
mod numbers;
mod pronounce;
mod stress;
mod symbols;
mod tables;
pub(crate) mod tagger;
mod tokens;

use super::language::{Dialect, Language, Orthography, word_set};
use super::normalize::{Rules, fold_accent};
use super::{Piece, Pronunciations, Sound};
use crate::gguf::Gguf;
use dictionary::Dictionary;
use pronounce::{Context, Next, Reader};
use std::ops::Range;
use std::sync::LazyLock;
use stress::balance;
use tagger::{Tagger, Token};
use tertulia::Result;
use tokens::{parts, tokenize};

/// English, American or British.
pub(super) struct English;

/// The tensor of the word lists.
pub(crate) const DICTIONARY: &str = "english.dictionary";
/// The most words and marks that the tagger sees at once.
const PHRASE_ITEMS_MAX: usize = 120;

impl Language for English {
    fn tag(&self) -> &'static str {
        "en"
    }

    fn rules(&self) -> &'static Rules {
        &normalize::RULES
    }

    fn orthography(&self) -> &'static Orthography {
        &ORTHOGRAPHY
    }

    fn knows(&self, word: &str, pronunciations: &Pronunciations) -> Option<bool> {
        pronunciations.english().map(|data| data.knows(word))
    }

    fn phonemes(&self, pieces: &[Piece], dialect: Dialect<'_>, pronunciations: &Pronunciations) -> Vec<String> {
        let mut out = vec![String::new(); pieces.len()];
        let mut phrase = Phrase::default();
        for (index, piece) in pieces.iter().enumerate() {
            match &piece.sound {
                Sound::Word(word) => {
                    let plain: String = plain(word).collect();
                    match pronunciations.english() {
                        None => out[index] = by_parts(&plain, None, dialect.british),
                        Some(_) if plain.is_empty() => {}
                        Some(_) => phrase.items.push(Item::Word(index, plain)),
                    }
                }
                Sound::Given(symbols) => {
                    out[index] = symbols.clone();
                    phrase.items.push(Item::Given(symbols));
                }
                Sound::Pause(mark) => phrase.items.extend(as_mark(mark).map(Item::Mark)),
            }
            if piece.ends_sentence() || phrase.items.len() >= PHRASE_ITEMS_MAX || index + 1 == pieces.len() {
                let whole = std::mem::take(&mut phrase);
                if let Some(data) = pronunciations.english() {
                    for (piece, sound) in whole.sounds(data, dialect.british) {
                        out[piece] = sound;
                    }
                }
            }
        }
        out
    }

    fn ipa(&self) -> &'static [(&'static str, &'static str)] {
        &[("r", "ɹ"), ("oʊ", "O"), ("əʊ", "Q"), ("ɔɪ", "Y"), ("ɝ", "ɜɹ"), ("ɚ", "əɹ"), ("iː", "i"), ("uː", "u")]
    }
}

static ORTHOGRAPHY: LazyLock<Orthography> = LazyLock::new(|| Orthography {
    common_words: word_set(tables::COMMON_WORDS),
    names: &["english", "inglés", "inglesa"],
    opening_marks: &[],
    own_letters: &[],
    rare_letters: &[],
    apostrophes: true,
    letters: (tables::LETTERS, 1.5),
    endings: (tables::ENDINGS, 0.8),
    hints: (&[], 0.0),
});

/// The word lists and the tagger.
pub(super) struct Data {
    dictionary: Dictionary,
    tagger: Tagger,
}

impl Data {
    /// Those of a model file; `None` where it has none.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`](tertulia::ErrorCode::ModelCorrupt) where they are damaged.
    pub(super) fn read(file: &Gguf) -> Result<Option<Self>> {
        if !file.has_tensor(DICTIONARY) {
            return Ok(None);
        }
        let dictionary = Dictionary::open(file.tensor(DICTIONARY)?.data.to_vec())?;
        Ok(Some(Self { dictionary, tagger: Tagger::read(file)? }))
    }

    fn reader(&self, british: bool) -> Reader<'_> {
        Reader { dictionary: &self.dictionary, british }
    }

    /// The lists have this word (lower case, no accents), or a plain derivation of a word that they have.
    fn knows(&self, word: &str) -> bool {
        if !word.is_ascii() || word.len() > super::WORD_CHARS_MAX {
            return false;
        }
        let reader = self.reader(false);
        let has = |word: &str| reader.checked(word).is_some();
        has(word)
            || ["s", "es", "ed", "d", "ing", "ly", "er"]
                .iter()
                .any(|ending| word.strip_suffix(ending).is_some_and(|stem| stem.len() > 2 && has(stem)))
            || word.strip_suffix("ing").is_some_and(|stem| stem.len() > 2 && has(&format!("{stem}e")))
            || word.strip_suffix("ies").is_some_and(|stem| has(&format!("{stem}y")))
    }
}

/// A stretch of English up to a pause: the words as they are to be said, and the marks between them.
#[derive(Default)]
struct Phrase<'p> {
    items: Vec<Item<'p>>,
}

enum Item<'p> {
    /// A word in plain letters, with the number of its piece.
    Word(usize, String),
    /// The host's sound.
    Given(&'p str),
    Mark(&'static str),
}

impl<'p> Phrase<'p> {
    /// The sounds of the words, each with the number of its piece, last to first; empty for one without an English
    /// letter.
    fn sounds(&self, data: &Data, british: bool) -> Vec<(usize, String)> {
        if !self.items.iter().any(|item| matches!(item, Item::Word(..))) {
            return Vec::new();
        }
        let (tokens, ends) = self.tokens();
        let tags = data.tagger.tags(&tokens);
        let reader = data.reader(british);
        let mut next = Next::default();
        let mut sounds = Vec::new();
        for (index, item) in self.items.iter().enumerate().rev() {
            match item {
                Item::Word(piece, word) => {
                    let from = if index == 0 { 0 } else { ends[index - 1] };
                    let parts = word_parts(word, &tokens[from..ends[index]], &tags[from..ends[index]]);
                    sounds.push((*piece, read(&reader, word, &parts, &mut next)));
                }
                Item::Given(symbols) => next = next.before(symbols, false),
                Item::Mark(_) => next = Next::default(),
            }
        }
        sounds
    }

    /// The phrase as the tagger sees it, and how many tokens there are up to the end of each item.
    fn tokens(&self) -> (Vec<Token<'_>>, Vec<usize>) {
        let mut tokens = Vec::new();
        let mut ends = Vec::with_capacity(self.items.len());
        for (index, item) in self.items.iter().enumerate() {
            let after = self.items[index + 1..].iter().find(|item| !matches!(item, Item::Given(_)));
            let spaced = matches!(after, Some(Item::Word(..) | Item::Mark("-")));
            match item {
                Item::Word(_, word) => tokenize(word, spaced, &mut tokens),
                Item::Given(_) => {}
                Item::Mark(mark) => tokens.push(Token { text: mark, norm: None, spaced }),
            }
            ends.push(tokens.len());
        }
        (tokens, ends)
    }
}

/// The parts of a word, each with its bytes and its tag, without quotation marks.
fn word_parts<'t>(word: &str, tokens: &[Token<'_>], tags: &[&'t str]) -> Vec<(Range<usize>, &'t str)> {
    let mut found = Vec::new();
    let mut at = 0;
    for (token, tag) in tokens.iter().zip(tags) {
        let start = word[at..].find(token.text).map_or(at, |gap| at + gap);
        at = start + token.text.len();
        if matches!(*tag, "''" | "``" | "," | "." | ":") && token.text.bytes().all(|byte| byte == b'\'') {
            continue;
        }
        let mut from = start;
        for part in parts(token.text) {
            let start = word[from..].find(part).map_or(from, |gap| from + gap);
            from = start + part.len();
            found.push((start..from, *tag));
        }
    }
    found
}

/// The sound of a word: of the longest pieces that the lists know, from its end on; else by rule.
fn read(reader: &Reader<'_>, word: &str, parts: &[(Range<usize>, &str)], next: &mut Next) -> String {
    let mut sounds: Vec<(usize, Option<String>)> = parts.iter().map(|(bytes, _)| (bytes.len(), None)).collect();
    let (mut left, mut right) = (0, parts.len());
    while left < right {
        let text = &word[parts[left].0.start..parts[right - 1].0.end];
        // The tag of the part with the most letters, where capitals count twice.
        let letters = |bytes: &Range<usize>| {
            word[bytes.clone()].bytes().map(|b| 1 + usize::from(b.is_ascii_uppercase())).sum::<usize>()
        };
        let longest = parts[left..right].iter().rev().max_by_key(|(bytes, _)| letters(bytes));
        let tag = longest.map_or("", |(_, tag)| *tag);
        if let Some(sound) = reader.sound(text, Context { tag, next: *next }) {
            let to = matches!(text, "to" | "To") || (text == "TO" && matches!(tag, "TO" | "IN"));
            *next = next.before(&sound, to);
            sounds[left..right].iter_mut().for_each(|(_, sound)| *sound = Some(String::new()));
            sounds[left].1 = Some(sound);
            (left, right) = (0, left);
        } else if left + 1 < right {
            left += 1;
        } else {
            right -= 1;
            if text.bytes().all(|byte| matches!(byte, b'\'' | b'-')) {
                sounds[right].1 = Some(String::new());
            }
            left = 0;
        }
    }
    let whole: Option<Vec<(usize, String)>> = sounds.into_iter().map(|(len, sound)| Some((len, sound?))).collect();
    let sound = whole.map(|mut parts| {
        balance(&mut parts);
        parts.into_iter().map(|(_, sound)| sound).collect::<String>()
    });
    match sound.filter(|sound| !sound.is_empty()) {
        Some(sound) => voiced(&sound),
        None => {
            let sound = by_parts(word, Some(reader), reader.british);
            *next = Next::default().before(&sound, false);
            sound
        }
    }
}

/// The lists' tap and glottal stop as Kokoro has them.
fn voiced(sound: &str) -> String {
    sound.replace('ɾ', "T").replace('ʔ', "t")
}

/// A mark as the tagger knows it, where it is a pause.
fn as_mark(mark: &'static str) -> Option<&'static str> {
    match mark {
        "…" => Some("."),
        "“" | "”" | "(" | ")" => None,
        "—" => Some("-"),
        other => Some(other),
    }
}

/// The letters of a word; other letters than English ones are folded or left out.
fn plain(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter_map(|c| match c {
        '’' => Some('\''),
        '\u{2011}' => Some('-'),
        'ñ' => Some('n'),
        'Ñ' => Some('N'),
        'ç' => Some('s'),
        'ß' => Some('s'),
        c if c.is_ascii_alphabetic() || matches!(c, '\'' | '-') => Some(c),
        c => {
            let lower = c.to_lowercase().next().unwrap_or(c);
            let folded = fold_accent(lower);
            folded.is_ascii_alphabetic().then(|| if c.is_uppercase() { folded.to_ascii_uppercase() } else { folded })
        }
    })
}

/// A word that the dictionary does not have as a whole: by its hyphens, its ending, two words in one, or its letters.
fn by_parts(word: &str, reader: Option<&Reader<'_>>, british: bool) -> String {
    let known = |word: &str| {
        let reader = reader.filter(|reader| word.len() >= 3 && reader.in_lists(word))?;
        reader.noun(word).map(|sound| voiced(&sound))
    };
    if word.contains(['-', '\'']) {
        let part = |part: &str| known(part).unwrap_or_else(|| by_parts(part, reader, british));
        return match word.strip_suffix("'s") {
            Some(stem) if !stem.is_empty() => plural(&part(stem)),
            _ => word.split(['-', '\'']).filter(|part| !part.is_empty()).map(part).collect(),
        };
    }
    let lower = word.to_ascii_lowercase();
    const ENDINGS: &[(&str, &str)] = &[
        ("ness", "nəs"),
        ("less", "ləs"),
        ("ment", "mənt"),
        ("ship", "ʃɪp"),
        ("able", "əbᵊl"),
        ("ish", "ɪʃ"),
        ("ly", "li"),
        ("er", "əɹ"),
        ("ers", "əɹz"),
        ("ful", "fᵊl"),
        ("ism", "ɪzᵊm"),
        ("ist", "ɪst"),
        ("ists", "ɪsts"),
        ("y", "i"),
    ];
    for (ending, sound) in ENDINGS {
        if let Some(stem) = lower.strip_suffix(ending).filter(|stem| stem.len() > 2)
            && let Some(found) = known(stem).or_else(|| known(&format!("{stem}e")))
        {
            return found + sound;
        }
    }
    for at in (3..lower.len().saturating_sub(2)).rev() {
        if let (Some(first), Some(second)) = (known(&lower[..at]), known(&lower[at..])) {
            return first + &second.replace('ˈ', "ˌ");
        }
    }
    let spelled = word.len() <= 5 && word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase());
    if spelled { grapheme_to_phoneme::spell(word.as_bytes()) } else { grapheme_to_phoneme::sounds(word, british) }
}

fn plural(stem: &str) -> String {
    match stem.chars().last() {
        Some('p' | 't' | 'k' | 'f' | 'θ') => format!("{stem}s"),
        Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => format!("{stem}ᵻz"),
        _ => format!("{stem}z"),
    }
}
