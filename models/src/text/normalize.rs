//! Text normalisation: from text as it is shown to the words that are said, by rules that each language brings.
//!
//! A text is cut into [`Unit`]s: a word, a number with its unit, a date, a pause. Each keeps the bytes it stands for,
//! so that whatever is said can be traced to what is shown.

use regex::{Captures, Regex};
use std::ops::Range;
use tertulia::text::{boundary, trim_closing};

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

/// Cuts `range` of `text`, which has no markup, into units by the rules of a language.
pub(super) fn units(text: &str, range: Range<usize>, rules: &Rules, british: bool) -> Vec<Unit> {
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
    pub(super) letters: Vec<Rule>,
    /// Pieces that start with a digit or a sign.
    pub(super) others: Vec<Rule>,
    /// The names of signs that stand alone, as [`said_of`] reads them.
    pub(super) signs: &'static str,
    /// The names of signs in a web or mail address.
    pub(super) address_signs: &'static str,
    /// Digits, said one by one.
    pub(super) digits: fn(&str) -> String,
}

/// Where a piece stands.
pub(super) struct Place<'a> {
    /// The text before it.
    pub(super) before: &'a str,
    /// The text from its start on.
    pub(super) rest: &'a str,
    /// Dates and names of letters are British.
    pub(super) british: bool,
}

impl Place<'_> {
    /// The word right before, without its punctuation, if only blanks stand between.
    pub(super) fn word_before(&self) -> &str {
        let before = self.before.trim_end();
        let start =
            before.char_indices().rev().take_while(|(_, c)| c.is_alphabetic()).last().map_or(before.len(), |(i, _)| i);
        &before[start..]
    }

    /// The text after the first `len` bytes of the piece.
    pub(super) fn after(&self, len: usize) -> &str {
        &self.rest[len..]
    }

    /// The next word after the first `len` bytes, if only blanks stand between.
    pub(super) fn word_after(&self, len: usize) -> &str {
        let after = self.after(len).trim_start_matches([' ', '\u{a0}', '\u{202f}']);
        &after[..word_len(after)]
    }

    /// A digit stands before the piece, with blanks between at most.
    pub(super) fn digit_before(&self) -> bool {
        self.before.trim_end().ends_with(|c: char| c.is_ascii_digit())
    }

    /// A digit stands after the first `len` bytes, with blanks between at most.
    pub(super) fn digit_after(&self, len: usize) -> bool {
        self.after(len).trim_start().starts_with(|c: char| c.is_ascii_digit())
    }

    /// A sentence may end after the first `len` bytes: nothing follows, or a capital after a blank.
    pub(super) fn may_end_sentence(&self, len: usize) -> bool {
        let after = self.after(len);
        let next = after.trim_start().chars().next();
        next.is_none() || (after.starts_with(char::is_whitespace) && next.is_some_and(char::is_uppercase))
    }

    /// A letter or digit stands right before the piece.
    pub(super) fn is_glued(&self) -> bool {
        self.before.chars().next_back().is_some_and(char::is_alphanumeric)
    }
}

/// Patterns look no further than this.
const LOOK_AHEAD_BYTES: usize = 160;

pub(super) fn rule(pattern: &str, say: fn(&Captures<'_>, &Place<'_>) -> Option<String>) -> Rule {
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
                // A blank may stand for a part of a character: spans end before it.
                return (captures[0].trim_end().len(), Some(Said::Words(words)));
            }
        }
    }
    if is_letter {
        return (word_len(rest).max(first.len_utf8()), Some(Said::AsWritten));
    }
    if let Some((taken, pause)) = pause(first, &place) {
        return (taken, Some(Said::Pause(pause)));
    }
    let said = sign(first, &place, rules).map(|name| Said::Words(name.into()));
    (first.len_utf8(), said)
}

/// The name of a sign that stands alone.
fn sign(sign: char, place: &Place<'_>, rules: &Rules) -> Option<&'static str> {
    let name = |sign: char| said_of(rules.signs, sign.encode_utf8(&mut [0; 4]));
    let len = sign.len_utf8();
    let is_said = match sign {
        '*' | '-' | '−' | '<' | '>' => place.digit_before() && place.digit_after(len),
        // "and/or" is said without it.
        '/' if name('&') == Some(place.word_before()) => false,
        '/' => place.is_glued() && place.after(len).starts_with(char::is_alphabetic),
        _ => true,
    };
    name(sign).filter(|_| is_said)
}

/// The words that stand for `written` in a table of entries such as `Mr mister, Dr doctor`.
pub(super) fn said_of(table: &'static str, written: &str) -> Option<&'static str> {
    let mut entries = table.split(", ").filter_map(|entry| entry.split_once(' '));
    entries.find(|(known, _)| *known == written).map(|(_, said)| said)
}

/// True if a list of words, each between blanks, holds `word`.
pub(super) fn is_listed(list: &str, word: &str) -> bool {
    !word.is_empty() && list.contains(&format!(" {word} "))
}

/// A number after a dash, which `minus` or `to` names, as in "-5" and "3-5", or which is left out.
pub(super) fn after_dash(
    found: &Captures<'_>,
    place: &Place<'_>,
    number: String,
    [to, minus]: [&str; 2],
) -> Option<String> {
    let glued = place.before.ends_with(|c: char| !c.is_whitespace() && c != '(');
    let dash = found[0].contains(char::is_whitespace) && !place.before.is_empty();
    match (place.digit_before(), glued) {
        (true, true) => Some(format!("{to} {number}")),
        (true, false) => Some(format!("{minus} {number}")),
        (false, true) => Some(number),
        (false, false) => (!dash || found[0].starts_with('−')).then(|| format!("{minus} {number}")),
    }
}

/// A telephone number: its groups with short pauses between.
pub(super) fn phone(text: &str, plus: &str, group: impl Fn(&str) -> String) -> String {
    let groups = text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    let plus = if text.starts_with('+') { plus } else { "" };
    plus.to_owned() + &groups.map(group).collect::<Vec<_>>().join(" , ")
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
            words.push_str(&format!(
                " {} ",
                said_of(rules.address_signs, c.encode_utf8(&mut [0; 4])).unwrap_or_default()
            ));
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
    let text = trim_closing(text.trim_end());
    text.is_empty() || text.ends_with(|mark| boundary(mark).is_some())
}

/// `á` to `a` and so on, for the five vowels and ü; ñ is a letter of its own.
pub(super) fn fold_accent(letter: char) -> char {
    match letter {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        other => other,
    }
}

fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}
