//! A word cut as the tagger and the word lists have it: contractions, possessives, the parts of a compound.

use super::tagger::Token;

/// Words before "n't" that are not their own usual form, or only exist there.
const NEGATED: &str =
    "ai are ca could dare did do does had has have is may might must need ought sha should was were wo would";
/// Words before the other contractions.
const SUBJECTS: &str = "i you he she it we they who what when where why how there that this these those";
/// Words before "'ve" alone.
const MODALS: &str = "could might must not should would";

/// The usual form of a word before "n't".
fn negated(word: &str) -> Option<&'static str> {
    let word = NEGATED.split(' ').find(|known| *known == word)?;
    Some(match word {
        "ca" => "can",
        "wo" => "will",
        "sha" => "shall",
        "did" => "do",
        "had" => "have",
        other => other,
    })
}

/// Adds the tokens of a word of the letters a-z, apostrophes and hyphens; the last is followed by a blank if `spaced`.
pub(super) fn tokenize<'a>(word: &'a str, spaced: bool, out: &mut Vec<Token<'a>>) {
    let first = out.len();
    let mut rest = word;
    let mut ends = Vec::new();
    loop {
        if let Some(parts) = contraction(rest) {
            out.extend(parts);
            break;
        }
        if rest.len() > 1
            && let Some(behind) = rest.strip_prefix('\'')
        {
            out.push(token("'"));
            rest = behind;
            continue;
        }
        let end = match rest.strip_suffix("'s").or_else(|| rest.strip_suffix("'S")).or_else(|| rest.strip_suffix('\''))
        {
            Some(stem) if !stem.is_empty() => stem.len(),
            _ => {
                compound(rest, out);
                break;
            }
        };
        ends.push(token(&rest[end..]));
        rest = &rest[..end];
    }
    out.extend(ends.into_iter().rev());
    if let Some(last) = out[first..].last_mut() {
        last.spaced = spaced;
    }
}

fn token(text: &str) -> Token<'_> {
    Token { text, norm: None, spaced: false }
}

/// The parts and the hyphens between letters.
fn compound<'a>(word: &'a str, out: &mut Vec<Token<'a>>) {
    let mut from = 0;
    let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    let bytes = word.as_bytes();
    for at in 1..word.len() {
        if bytes[at] == b'-' && letter(bytes.get(at - 1)) && letter(bytes.get(at + 1)) {
            let part = &word[from..at];
            out.extend(contraction(part).unwrap_or_else(|| vec![token(part)]));
            out.push(token(&word[at..=at]));
            from = at + 1;
        }
    }
    let part = &word[from..];
    out.extend(contraction(part).filter(|_| from > 0).unwrap_or_else(|| vec![token(part)]));
}

/// The parts of a word that is written as one although it is two.
fn contraction(word: &str) -> Option<Vec<Token<'_>>> {
    let lower = word.to_ascii_lowercase();
    let cut = |at: usize, norms: [Option<&'static str>; 2]| {
        let (first, second) = word.split_at(at);
        Some(vec![
            Token { text: first, norm: norms[0], spaced: false },
            Token { text: second, norm: norms[1], spaced: false },
        ])
    };
    match lower.as_str() {
        "let's" => return cut(3, [None, Some("us")]),
        "cannot" => return cut(3, [None, None]),
        "gonna" => return cut(3, [Some("going"), Some("to")]),
        "gotta" => return cut(3, [None, Some("to")]),
        "y'all" => return cut(2, [Some("you"), None]),
        "'em" => return Some(vec![Token { text: word, norm: Some("them"), spaced: false }]),
        "'cause" => return Some(vec![Token { text: word, norm: Some("because"), spaced: false }]),
        "'d" | "'s" => return Some(vec![token(word)]),
        _ => {}
    }
    for ending in ["n't", "nt"] {
        if let Some(norm) = lower.strip_suffix(ending).and_then(negated) {
            return cut(word.len() - ending.len(), [Some(norm), Some("not")]);
        }
    }
    let at = lower.find('\'')?;
    let (stem, ending) = lower.split_at(at);
    let is_one_of = |list: &str| list.split(' ').any(|known| known == stem);
    let norm = match ending {
        "'m" if stem == "i" => Some("am"),
        "'ll" if is_one_of(SUBJECTS) => Some("will"),
        "'re" if is_one_of(SUBJECTS) => Some("are"),
        "'ve" if is_one_of(SUBJECTS) && !matches!(stem, "i" | "you" | "we" | "they") => None,
        "'ve" if is_one_of(SUBJECTS) => Some("have"),
        "'ve" if is_one_of(MODALS) => None,
        "'d" | "'s" if is_one_of(SUBJECTS) => None,
        _ => return None,
    };
    cut(at, [None, norm])
}

/// A token's parts: the letters between changes from small to capital, apostrophes at an end, hyphens.
pub(super) fn parts(token: &str) -> Vec<&str> {
    let bytes = token.as_bytes();
    let mut parts = Vec::new();
    let mut at = token.len() - token.trim_start_matches('\'').len();
    if at > 0 {
        parts.push(&token[..at]);
    }
    while at < token.len() {
        let len = part_len(&bytes[at..]);
        if bytes[at] != b'\'' || len > 1 || at + 1 == token.len() {
            parts.push(&token[at..at + len]);
        }
        at += len;
    }
    parts
}

/// The length of the first part.
fn part_len(bytes: &[u8]) -> usize {
    let is = |at: usize, kind: fn(&u8) -> bool| bytes.get(at).is_some_and(kind);
    let run = |mark: u8| bytes.iter().take_while(|byte| **byte == mark).count();
    if !is(0, u8::is_ascii_alphabetic) {
        return run(bytes[0]).max(1);
    }
    if is(0, u8::is_ascii_uppercase) && is(1, u8::is_ascii_uppercase) && is(2, u8::is_ascii_lowercase) {
        return 1;
    }
    let mut at = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    if let Some(change) = (1..at).find(|&at| bytes[at - 1].is_ascii_lowercase() && bytes[at].is_ascii_uppercase()) {
        return change;
    }
    while is(at, |byte| *byte == b'\'') && is(at + 1, u8::is_ascii_alphabetic) {
        at += 2;
    }
    at
}
