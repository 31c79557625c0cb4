//! From text as it is shown to the words that are said.
//!
//! A text is cut into [`Unit`]s: a word, a number with its unit, a date, a pause. Each keeps the bytes it stands for,
//! so that whatever is said can be traced to what is shown.

mod english;
mod spanish;

use regex::{Captures, Regex};
use std::ops::Range;

/// A piece of the text and how it is said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    /// The bytes of the text.
    pub span: Range<usize>,
    /// How it is said.
    pub said: Said,
}

/// How a piece of text is said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// As it is written.
    AsWritten,
    /// As these words; a lone comma among them is a short pause.
    Words(String),
    /// As a pause, in the voice's punctuation marks.
    Pause(&'static str),
}

/// Cuts `range` of `text` into units, by the rules of the language with this primary tag.
pub(super) fn units(text: &str, range: Range<usize>, language: &str, british: bool) -> Vec<Unit> {
    let rules = if language == "es" { &*spanish::RULES } else { &*english::RULES };
    let mut units = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let rest = &text[at..range.end];
        let Some(first) = rest.chars().next() else { break };
        let (taken, said) = unit(rules, text, at, rest, first, british);
        if let Some(said) = said {
            units.push(Unit { span: at..at + taken, said });
        }
        at += taken;
    }
    units
}

/// The bytes of the word that `text` starts with: letters, with apostrophes and hyphens between them.
pub(super) fn word_len(text: &str) -> usize {
    let mut len = 0;
    let mut joiner: Option<usize> = None;
    for (index, c) in text.char_indices() {
        if c.is_alphabetic() || (is_combining(c) && index > 0) {
            len = index + c.len_utf8();
            joiner = None;
        } else if matches!(c, '\'' | '’' | '-' | '\u{2011}') && len == index && joiner.is_none() {
            joiner = Some(index);
        } else {
            break;
        }
    }
    len
}

/// A rule: a pattern at the start of a piece, and how it is said; `None` where it does not fit after all.
pub(super) struct Rule {
    pattern: Regex,
    say: fn(&Captures<'_>, &Place<'_>) -> Option<String>,
}

/// All rules of a language.
pub(super) struct Rules {
    /// Pieces that start with a letter.
    letters: Vec<Rule>,
    /// Pieces that start with a digit or a sign.
    others: Vec<Rule>,
    /// The name of a sign that stands alone.
    sign: fn(char, &Place<'_>) -> Option<&'static str>,
    /// The name of a sign in a web or mail address.
    address_sign: fn(char) -> Option<&'static str>,
    /// Digits, said one by one.
    digits: fn(&str) -> String,
}

/// Where a piece stands.
pub(super) struct Place<'a> {
    /// The text before it.
    before: &'a str,
    /// The text from its start on.
    rest: &'a str,
    /// Whether dates and names of letters are British.
    british: bool,
}

impl Place<'_> {
    /// The word right before, without its punctuation, if only blanks stand between.
    fn word_before(&self) -> &str {
        let before = self.before.trim_end();
        let start =
            before.char_indices().rev().take_while(|(_, c)| c.is_alphabetic()).last().map_or(before.len(), |(i, _)| i);
        &before[start..]
    }

    /// What follows the first `len` bytes of the piece.
    fn after(&self, len: usize) -> &str {
        &self.rest[len..]
    }

    /// The next word after the first `len` bytes, if only blanks stand between.
    fn word_after(&self, len: usize) -> &str {
        let after = self.after(len).trim_start_matches([' ', '\u{a0}', '\u{202f}']);
        &after[..word_len(after)]
    }

    /// Whether a letter or digit stands right before the piece.
    fn is_glued(&self) -> bool {
        self.before.chars().next_back().is_some_and(char::is_alphanumeric)
    }
}

/// Patterns look no further than this.
const LOOK_AHEAD_BYTES: usize = 160;

fn rule(pattern: &str, say: fn(&Captures<'_>, &Place<'_>) -> Option<String>) -> Rule {
    let pattern = Regex::new(&format!("^(?:{pattern})")).expect("a rule's pattern is part of the program");
    Rule { pattern, say }
}

fn unit(rules: &Rules, text: &str, at: usize, rest: &str, first: char, british: bool) -> (usize, Option<Said>) {
    if first.is_whitespace() {
        let taken = rest.len() - rest.trim_start().len();
        let is_break = rest[..taken].contains('\n') && !ends_with_pause(&text[..at]) && taken < rest.len();
        return (taken, is_break.then_some(Said::Pause(".")));
    }
    let place = Place { before: &text[..at], rest, british };
    if let Some(taken) = markup_len(&place) {
        return (taken, None);
    }
    let window = &rest[..rest.floor_char_boundary(LOOK_AHEAD_BYTES)];
    if let Some((taken, words)) = address(window, &place, rules) {
        return (taken, Some(Said::Words(words)));
    }
    let is_letter = first.is_alphabetic();
    let group = if is_letter { &rules.letters } else { &rules.others };
    if !is_letter || !place.is_glued() {
        for rule in group {
            if let Some(captures) = rule.pattern.captures(window)
                && let Some(words) = (rule.say)(&captures, &place)
            {
                return (captures[0].len(), Some(Said::Words(words)));
            }
        }
    }
    if is_letter {
        return (word_len(rest).max(first.len_utf8()), Some(Said::AsWritten));
    }
    if let Some((taken, pause)) = pause(first, &place) {
        return (taken, Some(Said::Pause(pause)));
    }
    let said = (rules.sign)(first, &place).map(|name| Said::Words(name.into()));
    (first.len_utf8(), said)
}

/// Marks of Markdown that are not said: bullets, headings, emphasis, code, the address of a link.
fn markup_len(place: &Place<'_>) -> Option<usize> {
    let rest = place.rest;
    let at_line_start = place.before.trim_end_matches([' ', '\t', '>']).chars().next_back().is_none_or(|c| c == '\n');
    let run = |mark: char| rest.len() - rest.trim_start_matches(mark).len();
    if at_line_start {
        let heading = run('#');
        if (1..=6).contains(&heading) && rest[heading..].starts_with(' ') {
            return Some(heading);
        }
        if ["- ", "* ", "+ ", "• ", "> "].iter().any(|bullet| rest.starts_with(bullet)) {
            return Some(rest.chars().next()?.len_utf8());
        }
        if run('-') >= 3 || run('=') >= 3 {
            return Some(run('-').max(run('=')));
        }
    }
    if rest.starts_with("](") && place.before.contains('[') {
        let window = &rest[..rest.floor_char_boundary(2048)];
        return window.find(')').map(|end| end + 1);
    }
    ['*', '_', '`', '~', '|', '[', ']']
        .into_iter()
        .find(|&mark| rest.starts_with(mark) && !(mark == '*' && is_between_digits(place, 1)))
        .map(run)
}

fn is_between_digits(place: &Place<'_>, len: usize) -> bool {
    place.before.trim_end().ends_with(|c: char| c.is_ascii_digit())
        && place.after(len).trim_start().starts_with(|c: char| c.is_ascii_digit())
}

/// A web or mail address, as words with `.`, `/`, `@` and `-` left in: each language names them.
fn address(window: &str, place: &Place<'_>, rules: &Rules) -> Option<(usize, String)> {
    use std::sync::LazyLock;
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"^(?:(?:https?://|www\.)[^\s<>\x22()\[\]“”«»]+",
            r"|[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            r"|[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.(?:com|org|net|edu|gov|io|info|dev|app)\b(?:/[^\s<>\x22()]*)?)"
        ))
        .expect("the pattern is part of the program")
    });
    if place.is_glued() || !window.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let found = ADDRESS.find(window)?;
    let shown = found.as_str().trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '/', '-']);
    let bare = shown.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.");
    (!bare.is_empty()).then(|| (shown.len(), spell_address(bare, rules)))
}

fn spell_address(address: &str, rules: &Rules) -> String {
    let mut words = String::new();
    for c in address.chars() {
        if c.is_ascii_digit() {
            words.push_str(&format!(" {} ", (rules.digits)(c.encode_utf8(&mut [0; 4]))));
        } else if c.is_alphabetic() {
            words.push(c);
        } else {
            words.push_str(&format!(" {} ", (rules.address_sign)(c).unwrap_or_default()));
        }
    }
    words
}

/// The pause that a mark stands for.
fn pause(first: char, place: &Place<'_>) -> Option<(usize, &'static str)> {
    let one = first.len_utf8();
    let blank_before = place.before.ends_with(char::is_whitespace);
    let blank_after = place.after(one).chars().next().is_none_or(char::is_whitespace);
    Some(match first {
        '.' => {
            let dots = place.rest.len() - place.rest.trim_start_matches('.').len();
            (dots, if dots > 1 { "…" } else { "." })
        }
        '…' => (one, "…"),
        ',' | '،' | '、' => (one, ","),
        ';' => (one, ";"),
        ':' => (one, ":"),
        '!' => (one, "!"),
        '?' => (one, "?"),
        '—' => (one, "—"),
        '–' | '-' if blank_before && blank_after => (one, "—"),
        '(' => (one, "("),
        ')' => (one, ")"),
        '“' | '«' | '„' => (one, "“"),
        '”' | '»' => (one, "”"),
        '"' if blank_before || place.before.is_empty() || place.before.ends_with(['(', '¿', '¡', '—', '[']) => {
            (one, "“")
        }
        '"' => (one, "”"),
        _ => return None,
    })
}

fn ends_with_pause(text: &str) -> bool {
    let text =
        text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '”' | '»' | '*' | '_' | '`' | ')'));
    text.is_empty() || text.ends_with(['.', ',', ';', ':', '!', '?', '…', '—'])
}

fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}
