//! The stripper of text that is shown and not spoken: Markdown and emoji.

/// The text with everything that is not spoken replaced by spaces, byte for byte, so that places in it stay what they
/// were. Linear in the text's length.
pub fn blank_markup(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut at_line_start = true;
    while let Some(c) = text[spoken.len()..].chars().next() {
        let (before, rest) = text.split_at(spoken.len());
        let line_mark = if at_line_start { line_mark(rest) } else { None };
        at_line_start = c == '\n' || (at_line_start && (line_mark.is_some() || matches!(c, ' ' | '\t')));
        match line_mark.or_else(|| link_target(rest)).or_else(|| inline_mark(before, c, rest)) {
            Some(len) => spoken.extend(std::iter::repeat_n(' ', len)),
            None => spoken.push(c),
        }
    }
    spoken
}

/// Headings, quotes, bullets, rules and fences, which stand at the start of a line.
fn line_mark(rest: &str) -> Option<usize> {
    let c = rest.chars().next()?;
    let after_run = rest.trim_start_matches(c);
    let run = rest.len() - after_run.len();
    let blank_after = |len: usize| rest[len..].starts_with([' ', '\t']);
    let line_len = || rest.find('\n').unwrap_or(rest.len());
    match c {
        '`' if run >= 3 => Some(line_len()),
        '-' | '*' | '_' | '=' if run >= 3 && rest[run..line_len()].trim().is_empty() => Some(run),
        '#' => (run <= 6 && blank_after(run)).then_some(run),
        '-' | '*' | '+' | '>' => blank_after(1).then_some(1),
        '•' => rest.starts_with("• ").then_some(c.len_utf8()),
        _ => None,
    }
}

/// The longest address of a link, in bytes.
const LINK_BYTES_MAX: usize = 2048;

/// The address behind a link's text: `](…)`.
fn link_target(rest: &str) -> Option<usize> {
    let address = rest.strip_prefix("](")?;
    address[..address.floor_char_boundary(LINK_BYTES_MAX)].find(')').map(|at| at + "](".len() + 1)
}

/// Emphasis, code, table bars, brackets and emoji.
fn inline_mark(before: &str, c: char, rest: &str) -> Option<usize> {
    let (last, after) = (before.chars().next_back(), &rest[c.len_utf8()..]);
    let next = after.chars().next();
    let is_digit = |c: char| c.is_ascii_digit();
    let silent = match c {
        '`' | '|' | '[' | ']' => true,
        '~' if next == Some('~') => return Some(2),
        // "5 * 3", "5*3" and "snake_case" are no emphasis.
        '*' => {
            let stands_alone = |side: Option<char>| side.is_none_or(char::is_whitespace);
            let is_product = before.trim_end().ends_with(is_digit) && after.trim_start().starts_with(is_digit);
            !(is_product || stands_alone(last) && stands_alone(next))
        }
        '_' => {
            let in_word = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
            !(in_word(last) && in_word(next))
        }
        _ => is_emoji(c),
    };
    silent.then_some(c.len_utf8())
}

/// Pictographs, and what joins and colours them (Unicode's emoji blocks).
fn is_emoji(c: char) -> bool {
    matches!(
        c,
        '\u{1F000}'..='\u{1FAFF}'
            | '\u{2600}'..='\u{27BF}'
            | '\u{2B00}'..='\u{2BFF}'
            | '\u{FE0E}'..='\u{FE0F}'
            | '\u{200D}'
            | '\u{20E3}'
            | '\u{E0020}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_spoken(text: &str, words: &str) {
        let spoken = blank_markup(text);
        assert_eq!(spoken.len(), text.len(), "places stay");
        assert_eq!(spoken.split_whitespace().collect::<Vec<_>>().join(" "), words);
        for (at, word) in words.split(' ').filter_map(|word| spoken.find(word).map(|at| (at, word))) {
            assert_eq!(&text[at..at + word.len()], word);
        }
    }

    #[test]
    fn markdown_is_not_spoken() {
        assert_spoken("**Muy bien**, *Ana*. __Sigue__ así.", "Muy bien , Ana . Sigue así.");
        assert_spoken("**¡Bien!** Sí", "¡Bien! Sí");
        assert_spoken("# Verbos\n\n- comer\n* beber\n> vivir", "Verbos comer beber vivir");
        assert_spoken("Usa `ser` o [estar](https://example.org/estar).", "Usa ser o estar .");
        assert_spoken("```rust\nhola\n```", "hola");
        assert_spoken("uno | dos\n---\n~~tres~~", "uno dos tres");
    }

    #[test]
    fn emoji_are_not_spoken() {
        assert_spoken("¡Hola! 😀👍🏽 ¿Qué tal? ❤️ 👨‍👩‍👧", "¡Hola! ¿Qué tal?");
    }

    #[test]
    fn plain_text_stays() {
        for text in
            ["5 * 3 - 2 = 13", "5*3", "snake_case", "¿Sí? (No.) «Vale», 3-4 días", "1. Primero, 2. segundo #1", "C#"]
        {
            assert_eq!(blank_markup(text), text);
        }
    }
}
