//! The splitter of text into sentences, and of a growing reply into clauses that can be spoken one by one.

use super::languages::is_abbreviation;
use super::{Boundary, boundary, is_sentence_end};
use std::ops::Range;

/// A first clause may end at a comma once it is this long, so that the first sound comes early.
const FIRST_CLAUSE_CHARS_MIN: usize = 24;
/// Later clauses end at the end of a sentence, and are not shorter than this.
const CLAUSE_CHARS_MIN: usize = 12;
/// Text without any boundary is cut at a space here; sooner in the first clause.
const CLAUSE_CHARS_MAX: usize = 240;
const FIRST_CLAUSE_CHARS_MAX: usize = 100;

/// Takes text as it comes and gives out clauses: byte ranges that follow each other without gap or overlap.
#[derive(Debug, Default)]
pub(crate) struct ClauseSplitter {
    text: String,
    given: usize,
    clauses: usize,
    complete: bool,
}

impl ClauseSplitter {
    pub(crate) fn push(&mut self, more: &str) {
        self.text.push_str(more);
    }

    /// No more text comes: what is left is a clause.
    pub(crate) fn finish(&mut self) {
        self.complete = true;
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The next clause that is certainly complete.
    pub(crate) fn next_clause(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.given..];
        let len = match clause_len(rest, self.clauses == 0) {
            Some(len) => len,
            None if self.complete && !rest.is_empty() => rest.len(),
            None => return None,
        };
        let clause = self.given..self.given + len;
        self.given = clause.end;
        self.clauses += 1;
        Some(clause)
    }
}

/// The length of the first clause of `rest`, where a boundary is already certain. Whitespace after the boundary
/// belongs to the clause before it.
fn clause_len(rest: &str, first: bool) -> Option<usize> {
    let mut last_space = None;
    let chars_max = if first { FIRST_CLAUSE_CHARS_MAX } else { CLAUSE_CHARS_MAX };
    for (count, (at, c)) in rest.char_indices().enumerate() {
        let chars = count + 1;
        let is_long_enough = match boundary(c) {
            Some(Boundary::Sentence) => chars >= CLAUSE_CHARS_MIN,
            Some(Boundary::Clause) => first && chars >= FIRST_CLAUSE_CHARS_MIN,
            None => c == '\n' && chars > 1,
        };
        if is_long_enough && let Some(end) = end_of(rest, at, c) {
            return Some(end);
        }
        if c.is_whitespace() {
            last_space = Some(at + c.len_utf8());
        }
        if chars >= chars_max && last_space.is_some() {
            return last_space;
        }
    }
    None
}

/// The sentences of a text, each with the whitespace after it; a line break ends one, too.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut marks = rest.char_indices().filter(|(_, c)| is_sentence_end(*c) || *c == '\n');
        let len = marks.find_map(|(at, c)| end_of(rest, at, c)).unwrap_or(rest.len());
        let (sentence, after) = rest.split_at(len);
        rest = after;
        (!sentence.is_empty()).then_some(sentence)
    })
}

/// The text up to the end of its last whole sentence, where that is most of it: a token limit may have cut off the rest.
pub(crate) fn whole_sentences(text: &str) -> &str {
    let last = sentences(text).last().unwrap_or_default();
    let is_whole =
        last.ends_with('\n') || last.trim_end_matches(is_closing).len() < last.trim_end_matches(is_bracket).len();
    let whole = text[..text.len() - last.len()].trim_end();
    if is_whole || whole.len() * 2 < text.len() { text } else { whole }
}

/// Where the sentence, clause or line that the mark `c` at byte `at` may end is over: behind closing quotes and
/// whitespace. `None` where it does not end there, or where what follows is still to come.
fn end_of(text: &str, at: usize, c: char) -> Option<usize> {
    if c == '.' && !is_full_stop(text, at) {
        return None;
    }
    let end = at + c.len_utf8();
    // "3.5" and "?!" have no boundary inside, and closing quotes belong to the clause.
    let tail = text[end..].trim_start_matches(is_closing);
    let next = tail.trim_start();
    let sentence = text[..text.len() - tail.len()].trim_end_matches(is_bracket);
    // "Bueno... no sé" only hesitates.
    let hesitates = (sentence.ends_with("...") || sentence.ends_with('…')) && next.starts_with(char::is_lowercase);
    let is_apart = next.len() < tail.len() || matches!(c, '。' | '！' | '？');
    let is_certain = is_apart && !next.is_empty() && !hesitates;
    (is_certain || (c == '\n' && !tail.is_empty())).then(|| text.len() - next.len())
}

fn is_closing(c: char) -> bool {
    is_bracket(c) || is_sentence_end(c)
}

/// Marks that close a quotation, a bracket or an emphasis.
fn is_bracket(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '*' | '_')
}

/// The period at byte `at` ends a sentence, as far as the text before it tells.
fn is_full_stop(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let word = before.rsplit(|c: char| c.is_whitespace() || "(\"'«“".contains(c)).next().unwrap_or_default();
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let ordinal_or_list = !word.is_empty() && word.len() == at && word.bytes().all(|b| b.is_ascii_digit());
    !(initial || ordinal_or_list || is_abbreviation(&word.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clauses(text: &str) -> Vec<String> {
        let mut splitter = ClauseSplitter::default();
        let mut found = Vec::new();
        // One character at a time: a boundary must not depend on how the text arrives.
        for c in text.chars() {
            splitter.push(c.encode_utf8(&mut [0; 4]));
            while let Some(range) = splitter.next_clause() {
                found.push(splitter.text()[range].to_owned());
            }
        }
        splitter.finish();
        while let Some(range) = splitter.next_clause() {
            found.push(splitter.text()[range].to_owned());
        }
        assert_eq!(found.concat(), text, "clauses cover the text");
        found
    }

    #[test]
    fn sentences_are_clauses() {
        assert_eq!(
            clauses("¡Buenos días, Ana! ¿Qué tal estás hoy? Yo estoy muy bien."),
            ["¡Buenos días, Ana! ", "¿Qué tal estás hoy? ", "Yo estoy muy bien."]
        );
    }

    #[test]
    fn a_long_first_sentence_starts_early() {
        assert_eq!(
            clauses("Muy bien, has usado el pasado, y ahora dime otra cosa, por favor. Adelante."),
            ["Muy bien, has usado el pasado, ", "y ahora dime otra cosa, por favor. ", "Adelante."]
        );
    }

    #[test]
    fn abbreviations_numbers_and_initials_do_not_end_a_sentence() {
        for whole in [
            "Mañana viene el Dr. García a casa",
            "La Sra. Ruiz y el Sr. Soto pagan 3.50 euros",
            "The train of J. R. Smith leaves at 7.45 today",
        ] {
            assert_eq!(clauses(whole), [whole]);
        }
    }

    #[test]
    fn closing_quotes_stay_with_their_sentence() {
        assert_eq!(clauses("Ella dijo: «Ya voy.» Luego se fue."), ["Ella dijo: «Ya voy.» ", "Luego se fue."]);
    }

    #[test]
    fn an_ellipsis_in_the_middle_only_hesitates() {
        assert_eq!(clauses("Bueno, pues... no sé qué decir. Adiós."), ["Bueno, pues... no sé qué decir. ", "Adiós."]);
        assert_eq!(clauses("No lo sé todavía… Dime tú qué quieres."), ["No lo sé todavía… ", "Dime tú qué quieres."]);
    }

    #[test]
    fn lists_and_lines_are_cut_at_their_ends() {
        assert_eq!(
            clauses("Tres cosas:\n1. Un café con leche.\n2. Dos tostadas."),
            ["Tres cosas:\n", "1. Un café con leche.\n", "2. Dos tostadas."]
        );
    }

    #[test]
    fn sentences_cover_the_text() {
        let text = "Vive en Lima con el Sr. Soto. ¡Qué bien!\n名前はアナです。それから";
        let found: Vec<&str> = sentences(text).collect();
        assert_eq!(found, ["Vive en Lima con el Sr. Soto. ", "¡Qué bien!\n", "名前はアナです。", "それから"]);
        assert_eq!(sentences("").count(), 0);
    }

    #[test]
    fn an_unfinished_sentence_at_the_end_is_left_out() {
        assert_eq!(whole_sentences("Se llama Ana. Vive en Lima. Le gus"), "Se llama Ana. Vive en Lima.");
        assert_eq!(whole_sentences("Sí. Se llama Ana y vive en una ciudad"), "Sí. Se llama Ana y vive en una ciudad");
        assert_eq!(whole_sentences("名前はアナです。それから"), "名前はアナです。");
        for whole in ["Se llama Ana. Es de Lima.", "Dice: «Ya voy.»", "Sin punto", ""] {
            assert_eq!(whole_sentences(whole), whole);
        }
    }

    #[test]
    fn a_first_clause_without_any_boundary_does_not_keep_the_learner_waiting() {
        let found = clauses(&"palabra ".repeat(40));
        assert!(found[0].chars().count() <= FIRST_CLAUSE_CHARS_MAX);
    }

    #[test]
    fn endless_text_is_cut_at_a_space() {
        let text = "palabra ".repeat(100);
        let found = clauses(&text);
        assert!(found.len() >= 3 && found.iter().all(|c| c.chars().count() <= CLAUSE_CHARS_MAX));
    }
}
