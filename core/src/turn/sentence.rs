//! Cuts a growing reply into clauses that can be spoken one by one.

use std::ops::Range;

/// A first clause may end at a comma once it is this long, so that the first sound comes early.
const FIRST_CLAUSE_CHARS_MIN: usize = 24;
/// Later clauses end at the end of a sentence, and are not shorter than this.
const CLAUSE_CHARS_MIN: usize = 12;
/// Text without any boundary is cut at a space here; sooner in the first clause.
const CLAUSE_CHARS_MAX: usize = 240;
const FIRST_CLAUSE_CHARS_MAX: usize = 100;

/// Words that end in a period without ending a sentence.
const ABBREVIATIONS: &[&str] = &[
    "av", "avda", "cap", "co", "d", "dept", "dr", "dra", "dña", "ee", "ej", "esp", "etc", "fig", "gen", "gob", "inc",
    "jr", "lic", "ltd", "mr", "mrs", "ms", "mt", "no", "núm", "p", "pág", "prof", "profa", "sr", "sra", "srta", "st",
    "tel", "ud", "uds", "uu", "vd", "vol", "vs", "e.g", "i.e", "a.m", "p.m",
];

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
        let len = match boundary(rest, self.clauses == 0) {
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
fn boundary(rest: &str, first: bool) -> Option<usize> {
    let mut last_space = None;
    let mut chars = 0;
    for (at, c) in rest.char_indices() {
        chars += 1;
        let end = at + c.len_utf8();
        let ends_here = match c {
            '\n' => chars > 1,
            '.' => chars >= CLAUSE_CHARS_MIN && ends_sentence(rest, at),
            '!' | '?' | '…' | '。' | '！' | '？' => chars >= CLAUSE_CHARS_MIN,
            ',' | ';' | ':' | '—' => first && chars >= FIRST_CLAUSE_CHARS_MIN,
            _ => false,
        };
        if ends_here {
            // What follows decides: closing quotes belong to the clause, and "3.5" or "?!" has no boundary inside.
            let after = &rest[end..];
            let closing = after.find(|c: char| !is_closing(c)).unwrap_or(after.len());
            let tail = &after[closing..];
            let spaces = tail.find(|c: char| !c.is_whitespace()).unwrap_or(tail.len());
            // "Bueno... no sé" only hesitates.
            let sentence = rest[..end + closing].trim_end_matches(is_bracket);
            let hesitates = (sentence.ends_with("...") || sentence.ends_with('…'))
                && tail[spaces..].starts_with(char::is_lowercase);
            let certain = spaces > 0 && spaces < tail.len() && !hesitates;
            if certain || (c == '\n' && !tail.is_empty()) {
                return Some(end + closing + spaces);
            }
        }
        if c.is_whitespace() {
            last_space = Some(end);
        }
        let chars_max = if first { FIRST_CLAUSE_CHARS_MAX } else { CLAUSE_CHARS_MAX };
        if chars >= chars_max && last_space.is_some() {
            return last_space;
        }
    }
    None
}

fn is_closing(c: char) -> bool {
    is_bracket(c) || matches!(c, '.' | '!' | '?' | '…')
}

/// What closes a quotation, a bracket or an emphasis.
fn is_bracket(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '*' | '_')
}

/// Whether the period at byte `at` ends a sentence, as far as the text before it tells.
fn ends_sentence(rest: &str, at: usize) -> bool {
    let before = &rest[..at];
    let word_start = before
        .rfind(|c: char| c.is_whitespace() || "(\"'«“".contains(c))
        .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    let word = &before[word_start..];
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let ordinal_or_list = !word.is_empty() && word_start == 0 && word.chars().all(|c| c.is_ascii_digit());
    !(initial || ordinal_or_list || ABBREVIATIONS.contains(&word.to_lowercase().as_str()))
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
