//! English: the dictionary and tagger of `misaki-rs`, and rules for words that they do not know.

mod grapheme_to_phoneme;
mod normalize;
mod numbers;
mod tables;

use super::language::{Dialect, Language, Orthography, word_set};
use super::normalize::{Rules, fold_accent};
use super::{Piece, Sound};
use misaki_rs::G2P;
use std::ops::Range;
use std::sync::LazyLock;

/// English, American or British.
pub(super) struct English;

static AMERICAN: LazyLock<G2P> = LazyLock::new(|| G2P::new(misaki_rs::Language::EnglishUS));
static BRITISH: LazyLock<G2P> = LazyLock::new(|| G2P::new(misaki_rs::Language::EnglishGB));

/// The most words that the tagger sees at once.
const PHRASE_WORDS_MAX: usize = 80;

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

    fn knows(&self, word: &str) -> Option<bool> {
        Some(is_in_dictionary(word))
    }

    fn phonemes(&self, pieces: &[Piece], dialect: Dialect<'_>) -> Vec<String> {
        let mut out = vec![String::new(); pieces.len()];
        let mut phrase = Phrase::default();
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
                let sounds = std::mem::take(&mut phrase).phonemes(dialect.british);
                for (member, sound) in members.drain(..).zip(sounds) {
                    out[member] = sound;
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

/// The dictionary has this word (lower case, no accents), or a plain derivation of a word that it has.
fn is_in_dictionary(word: &str) -> bool {
    if !word.is_ascii() || word.len() > super::WORD_CHARS_MAX {
        return false;
    }
    let golds = &AMERICAN.lexicon.golds;
    let has = |word: &str| golds.contains_key(word);
    has(word)
        || ["s", "es", "ed", "d", "ing", "ly", "er"]
            .iter()
            .any(|ending| word.strip_suffix(ending).is_some_and(|stem| stem.len() > 2 && has(stem)))
        || word.strip_suffix("ing").is_some_and(|stem| stem.len() > 2 && has(&format!("{stem}e")))
        || word.strip_suffix("ies").is_some_and(|stem| has(&format!("{stem}y")))
}

/// A stretch of English up to a pause: the words as they are to be said, and the marks between them.
#[derive(Default)]
struct Phrase {
    text: String,
    words: Vec<Range<usize>>,
}

impl Phrase {
    /// Adds a word; other letters than English ones are folded or left out.
    fn push_word(&mut self, word: &str) {
        if !self.text.is_empty() && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.extend(plain(word));
        self.words.push(start..self.text.len());
    }

    /// Adds a mark, which helps the tagger.
    fn push_mark(&mut self, mark: &str) {
        self.text.push_str(match mark {
            "…" => ".",
            "“" | "”" | "(" | ")" => "",
            "—" => " -",
            other => other,
        });
    }

    /// The phonemes of each word, in order; empty for one without an English letter.
    fn phonemes(&self, british: bool) -> Vec<String> {
        let g2p = if british { &*BRITISH } else { &*AMERICAN };
        let mut phonemes = vec![String::new(); self.words.len()];
        let tokens = g2p.g2p(&self.text).map(|(_, tokens)| tokens).unwrap_or_default();
        let mut at = 0;
        let mut unknown = vec![false; self.words.len()];
        for token in tokens {
            let word = self.words.partition_point(|span| span.end <= at);
            at += token.text.len() + token.whitespace.len();
            if word >= self.words.len()
                || self.words[word].start >= at
                || !token.text.contains(|c: char| c.is_ascii_alphanumeric())
            {
                continue;
            }
            match token.phonemes {
                Some(sound) if !sound.contains(&g2p.unk) => phonemes[word].push_str(&sound),
                _ => unknown[word] = true,
            }
        }
        for (index, span) in self.words.iter().enumerate() {
            let word = &self.text[span.clone()];
            if unknown[index] || (phonemes[index].is_empty() && word.contains(|c: char| c.is_ascii_alphabetic())) {
                phonemes[index] = by_parts(word, british);
            }
        }
        phonemes
    }
}

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
fn by_parts(word: &str, british: bool) -> String {
    if word.contains(['-', '\'']) {
        let part = |part: &str| known(part, british).unwrap_or_else(|| by_parts(part, british));
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
            && let Some(found) = known(stem, british).or_else(|| known(&format!("{stem}e"), british))
        {
            return found + sound;
        }
    }
    for at in (3..lower.len().saturating_sub(2)).rev() {
        if let (Some(first), Some(second)) = (known(&lower[..at], british), known(&lower[at..], british)) {
            return first + &second.replace('ˈ', "ˌ");
        }
    }
    let spelled = word.len() <= 5 && word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase());
    if spelled { grapheme_to_phoneme::spell(word.as_bytes()) } else { grapheme_to_phoneme::sounds(word, british) }
}

fn known(word: &str, british: bool) -> Option<String> {
    let lexicon = if british { &BRITISH.lexicon } else { &AMERICAN.lexicon };
    if word.len() < 3 || !(lexicon.golds.contains_key(word) || lexicon.silvers.contains_key(word)) {
        return None;
    }
    lexicon.lookup(word, "NN", None, None).map(|(phonemes, _)| phonemes.replace('ɾ', "T").replace('ʔ', "t"))
}

fn plural(stem: &str) -> String {
    match stem.chars().last() {
        Some('p' | 't' | 'k' | 'f' | 'θ') => format!("{stem}s"),
        Some('s' | 'z' | 'ʃ' | 'ʒ' | 'ʧ' | 'ʤ') => format!("{stem}ᵻz"),
        _ => format!("{stem}z"),
    }
}
