//! Language spans: the words of a text by language.
//!
//! Each word speaks for the languages as strongly as its letters and their dictionaries allow; changing the language
//! costs something, least at quotation marks and most in the middle of a clause; the cheapest way through the text wins
//! (Viterbi, a state for each language). So names and doubtful words stay with their neighbours.

use super::Pronunciations;
use super::language::{Groups, Language, Orthography, word_set};
use super::normalize::{fold_accent, word_len};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;
use tertulia::text::is_sentence_end;

/// Cuts `text` into runs of one language each, as its index in `languages`; in order, covering all of the text.
/// `languages` are those that may occur, the likeliest first.
pub(super) fn spans(
    text: &str,
    languages: &[&dyn Language],
    pronunciations: &Pronunciations,
) -> Vec<(Range<usize>, usize)> {
    if languages.len() < 2 {
        return vec![(0..text.len(), 0)];
    }
    let words = words(text, languages, pronunciations);
    let mut spans: Vec<(Range<usize>, usize)> = Vec::new();
    for (word, language) in words.iter().zip(likeliest(text, &words, languages)) {
        match spans.last_mut() {
            Some((span, last)) if *last == language => span.end = word.span.end,
            _ => spans.push((word.span.clone(), language)),
        }
    }
    cover(text, spans)
}

/// Extends the runs of words over what stands between them: an opening mark goes with the run after it.
fn cover(text: &str, mut spans: Vec<(Range<usize>, usize)>) -> Vec<(Range<usize>, usize)> {
    let Some(first) = spans.first_mut() else { return vec![(0..text.len(), 0)] };
    first.0.start = 0;
    for index in 1..spans.len() {
        let gap = spans[index - 1].0.end..spans[index].0.start;
        let between = &text[gap.clone()];
        let last_blank = between.rfind(char::is_whitespace);
        let opening = last_blank.map_or_else(
            || between.find(['(', '“', '«', '¿', '¡', '‘']).unwrap_or(between.len()),
            |blank| blank + between[blank..].chars().next().map_or(1, char::len_utf8),
        );
        // Numbers and signs between two languages go with the words before them, unless a mark parts them.
        let cut = gap.start + opening;
        spans[index - 1].0.end = cut;
        spans[index].0.start = cut;
    }
    if let Some(last) = spans.last_mut() {
        last.0.end = text.len();
    }
    spans
}

/// A word and what it tells.
struct Word {
    span: Range<usize>,
    /// How strongly it speaks for each language.
    evidence: Vec<f32>,
    /// The cost of changing the language right before it.
    change_cost: f32,
    /// It stands in quotation marks.
    quoted: bool,
    /// The sentence it is in.
    sentence: usize,
}

const COST_WITHIN_CLAUSE: f32 = 5.0;
const COST_AT_COMMA: f32 = 2.4;
const COST_AT_BRACKET: f32 = 1.6;
const COST_AT_SENTENCE: f32 = 1.2;
const COST_AT_QUOTE: f32 = 0.7;
/// Evidence that a sentence which names a language adds to the words it quotes.
const QUOTED_CUE: f32 = 1.5;

/// Evidence of a common word, of a letter or of an opening mark that one language alone has; of such a letter in what may
/// be a name; and of an apostrophe.
const CERTAIN: f32 = 3.0;
const NAME: f32 = 0.3;
const APOSTROPHE: f32 = 2.5;
/// Evidence of a word that a dictionary has; that it has although another language is spelled so; and, for a language
/// without a dictionary, that no other has although it looks like this language.
const IN_DICTIONARY: f32 = 1.8;
const IN_DICTIONARY_ODDLY_SPELLED: f32 = 0.2;
const IN_NO_DICTIONARY: f32 = 1.2;
/// The score that languages other than the likeliest start with.
const NOT_LIKELIEST: f32 = -0.4;

fn words(text: &str, languages: &[&dyn Language], pronunciations: &Pronunciations) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut place =
        Place { change_cost: COST_WITHIN_CLAUSE, quote: None, sentence: 0, sentence_start: true, opened: None };
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if !c.is_alphabetic() {
            place.pass(c, &text[..at], &text[at + c.len_utf8()..]);
            at += c.len_utf8();
            continue;
        }
        let len = word_len(&text[at..]).max(c.len_utf8());
        let mut evidence = match text[..at].ends_with(|c: char| c.is_ascii_digit()) {
            true => vec![0.0; languages.len()],
            false => evidence(&text[at..at + len], place.sentence_start, languages, pronunciations),
        };
        if let Some(mark) = place.opened.take() {
            for (language, evidence) in languages.iter().zip(&mut evidence) {
                *evidence += if language.orthography().opening_marks.contains(&mark) { CERTAIN } else { 0.0 };
            }
        }
        let (span, change_cost) = (at..at + len, std::mem::replace(&mut place.change_cost, COST_WITHIN_CLAUSE));
        words.push(Word { span, evidence, change_cost, quoted: place.quote.is_some(), sentence: place.sentence });
        place.sentence_start = false;
        at += len;
    }
    words
}

/// The position in the text, as the marks before it tell.
struct Place {
    change_cost: f32,
    /// The open quotation mark.
    quote: Option<char>,
    sentence: usize,
    sentence_start: bool,
    /// The mark that opens the sentence.
    opened: Option<char>,
}

impl Place {
    fn pass(&mut self, c: char, before: &str, after: &str) {
        let ends_word = !after.starts_with(char::is_alphanumeric);
        match c {
            '"' | '“' | '”' | '«' | '»' | '„' => {
                self.quote = match self.quote {
                    Some(_) if c != '“' && c != '«' => None,
                    _ => Some(c),
                };
                self.lower_cost(COST_AT_QUOTE);
                self.sentence_start = true;
            }
            '\'' | '‘' | '’' | '*' | '_' | '`' => {
                let before_is_blank = before.is_empty() || before.ends_with([' ', '(', '\n', '¿', '¡', '*', '_']);
                if before_is_blank || ends_word {
                    self.lower_cost(COST_AT_QUOTE);
                    self.quote = match before_is_blank && !ends_word {
                        true => Some(c),
                        false => self.quote.filter(|open| *open != c && *open != '‘'),
                    };
                    self.sentence_start |= before_is_blank;
                }
            }
            c if (c == '\n' || is_sentence_end(c)) && ends_word => {
                if self.change_cost == COST_WITHIN_CLAUSE || !self.sentence_start {
                    self.sentence += 1;
                }
                self.lower_cost(COST_AT_SENTENCE);
                self.sentence_start = true;
            }
            '¿' | '¡' => {
                self.opened = Some(c);
                self.lower_cost(COST_AT_COMMA);
                self.sentence_start = true;
            }
            ':' | '(' | ')' | '[' | ']' | '—' | '–' | '=' | '→' | '/' => {
                self.lower_cost(COST_AT_BRACKET);
                self.sentence_start |= c == ':';
            }
            ',' | ';' => self.lower_cost(COST_AT_COMMA),
            '-' if ends_word => self.lower_cost(COST_AT_BRACKET),
            _ => {}
        }
    }

    fn lower_cost(&mut self, cost: f32) {
        self.change_cost = self.change_cost.min(cost);
    }
}

/// The likeliest language of each word.
fn likeliest(text: &str, words: &[Word], languages: &[&dyn Language]) -> Vec<usize> {
    let quoted = quoted_languages(text, words, languages);
    // The score of the best way that ends in each language.
    let mut best: Vec<f32> = (0..languages.len()).map(|index| if index == 0 { 0.0 } else { NOT_LIKELIEST }).collect();
    let mut came_from: Vec<Vec<usize>> = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let change = if index == 0 { 0.0 } else { word.change_cost };
        let score = |from: usize, to: usize| if from == to { best[from] } else { best[from] - change };
        let from: Vec<usize> = (0..best.len())
            .map(|to| {
                (0..best.len()).fold(to, |from, other| if score(other, to) > score(from, to) { other } else { from })
            })
            .collect();
        let cue = if word.quoted { quoted.get(word.sentence).copied().flatten() } else { None };
        let evidence = |language: usize| word.evidence[language] + if cue == Some(language) { QUOTED_CUE } else { 0.0 };
        // Evidence counts twice: for a language, and against the others.
        let next: Vec<f32> = (0..best.len()).map(|to| score(from[to], to) + 2.0 * evidence(to)).collect();
        let top = next.iter().copied().fold(f32::MIN, f32::max);
        best = next.into_iter().map(|score| score - top).collect();
        came_from.push(from);
    }
    let mut state = (1..best.len()).fold(0, |state, other| if best[other] > best[state] { other } else { state });
    let mut found = vec![0; words.len()];
    for index in (0..words.len()).rev() {
        found[index] = state;
        state = came_from[index][state];
    }
    found
}

/// The language that each sentence quotes, as it says itself: an English sentence that names Spanish, and so on.
fn quoted_languages(text: &str, words: &[Word], languages: &[&dyn Language]) -> Vec<Option<usize>> {
    let mut quoted = vec![None; words.last().map_or(0, |word| word.sentence + 1)];
    for word in words.iter().filter(|word| !word.quoted) {
        let lower = text[word.span.clone()].to_lowercase();
        let named = languages.iter().position(|language| language.orthography().names.contains(&lower.as_str()));
        quoted[word.sentence] = named.or(quoted[word.sentence]);
    }
    quoted
}

/// How strongly a word speaks for each language.
fn evidence(
    word: &str,
    sentence_start: bool,
    languages: &[&dyn Language],
    pronunciations: &Pronunciations,
) -> Vec<f32> {
    let lower = word.to_lowercase().replace('’', "'");
    let plain = lower.as_str();
    let each = |says: &dyn Fn(&dyn Language) -> f32| -> Vec<f32> { languages.iter().map(|l| says(*l)).collect() };
    let certain = |evidence: f32, is_certain: bool| if is_certain { evidence } else { 0.0 };
    if SHARED.contains(plain) {
        return vec![0.0; languages.len()];
    }
    let common = each(&|language| certain(CERTAIN, language.orthography().common_words.contains(plain)));
    if common.iter().any(|evidence| *evidence > 0.0) {
        return common;
    }
    if plain.contains('\'') {
        return each(&|language| certain(APOSTROPHE, language.orthography().apostrophes));
    }
    let is_capital = word.starts_with(char::is_uppercase);
    let folded: String = plain.chars().map(fold_accent).collect();
    let known: Vec<Option<bool>> = languages.iter().map(|language| language.knows(&folded, pronunciations)).collect();
    let is_known = known.contains(&Some(true));
    let has_own_letters = |language: &dyn Language| {
        let orthography = language.orthography();
        plain.contains(orthography.own_letters) || (!is_known && plain.contains(orthography.rare_letters))
    };
    if languages.iter().any(|language| has_own_letters(*language)) {
        let evidence = if is_capital && !sentence_start { NAME } else { CERTAIN };
        return each(&|language| certain(evidence, has_own_letters(language)));
    }
    let all_capitals = word.chars().count() > 1 && word.chars().all(char::is_uppercase);
    if (is_capital && !sentence_start) || all_capitals || plain.chars().count() == 1 {
        return vec![0.0; languages.len()];
    }
    let mut evidence = spelling(plain, languages);
    let leader = (0..evidence.len()).find(|&at| evidence.iter().enumerate().all(|(i, e)| i == at || *e < evidence[at]));
    for (index, known) in known.iter().enumerate() {
        evidence[index] += match known {
            Some(true) if leader.is_some_and(|leader| leader != index) => IN_DICTIONARY_ODDLY_SPELLED,
            Some(true) => IN_DICTIONARY,
            None if !is_known && leader == Some(index) => IN_NO_DICTIONARY,
            _ => 0.0,
        };
        evidence[index] *= if is_capital { 0.6 } else { 1.0 };
    }
    evidence
}

/// How much the spelling of a word looks like each language.
fn spelling(word: &str, languages: &[&dyn Language]) -> Vec<f32> {
    let weight = |(groups, weight): Groups, is_in: &dyn Fn(&str) -> bool| {
        if groups.iter().any(|group| is_in(group)) { weight } else { 0.0 }
    };
    let looks = |orthography: &Orthography| {
        weight(orthography.letters, &|group| word.contains(group))
            + weight(orthography.endings, &|group| word.ends_with(group))
    };
    let strong: Vec<f32> = languages.iter().map(|language| looks(language.orthography())).collect();
    let top = strong.iter().copied().fold(0.0, f32::max);
    let hints = |language: &dyn Language| weight(language.orthography().hints, &|group| word.contains(group));
    let with_hints =
        |(&language, &looks): (&&dyn Language, &f32)| looks + if looks >= top { hints(language) } else { 0.0 };
    languages.iter().zip(&strong).map(with_hints).collect()
}

static SHARED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| word_set(SHARED_WORDS));

/// Words that are spelled alike in several languages, and tell nothing.
const SHARED_WORDS: &str = "\
    a actor admirable animal area audio auto bar base cable cafeteria camera capital carnaval central cereal chef \
    chocolate club color come con control criminal cruel cultural dame digital director doctor drama era error euro \
    euros favor festival fin final formal formula fiesta general has he honor horrible hospital hotel humor idea ideal \
    inferior internet kilo labor legal local manual me menu mental metro miserable motor musical natural no noble \
    normal notable once opera original panorama patio personal piano pie plan plaza plural popular probable protocol \
    radio real red regular rodeo rural sale similar simple singular sin social sofa son sector solar stereo superior \
    taco tacos tan tango taxi terrible terror total tractor triple usual van vapor video virus visible vital web";
