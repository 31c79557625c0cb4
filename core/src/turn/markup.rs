//! What of a reply is shown and not spoken: markdown and emoji.

/// The text with everything that is not spoken replaced by spaces, byte for byte, so that places in it stay what they
/// were.
pub(crate) fn blank_markup(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at_line_start = spoken.trim_end_matches([' ', '\t']).is_empty() || ends_line(&spoken);
        let silent_len = if at_line_start { line_mark(rest) } else { None };
        let before = text[..spoken.len()].chars().next_back();
        let silent_len = silent_len.or_else(|| link_target(rest)).or_else(|| inline_mark(before, rest));
        match silent_len {
            Some(len) => {
                spoken.extend(std::iter::repeat_n(' ', len));
                rest = &rest[len..];
            }
            None => {
                spoken.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    spoken
}

fn ends_line(spoken: &str) -> bool {
    spoken.trim_end_matches([' ', '\t']).ends_with('\n')
}

/// Headings, quotes, bullets, rules and fences, which stand at the start of a line.
fn line_mark(rest: &str) -> Option<usize> {
    if rest.starts_with("```") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    let run = |mark: char| rest.len() - rest.trim_start_matches(mark).len();
    let followed_by_space = |len: usize| rest[len..].starts_with([' ', '\t']);
    let line = rest.lines().next().unwrap_or_default().trim_end();
    if line.len() >= 3 && ['-', '*', '_', '='].iter().any(|mark| line.chars().all(|c| c == *mark)) {
        return Some(line.len());
    }
    let headings = run('#');
    if (1..=6).contains(&headings) && followed_by_space(headings) {
        return Some(headings);
    }
    let is_bullet = rest.starts_with(['-', '*', '+', '>']) && followed_by_space(1) || rest.starts_with("• ");
    is_bullet.then(|| rest.chars().next().map_or(0, char::len_utf8))
}

/// The address behind a link's text: `](…)`.
fn link_target(rest: &str) -> Option<usize> {
    if !rest.starts_with("](") {
        return None;
    }
    rest.find(')').map(|at| at + 1)
}

/// Emphasis, code, table bars, brackets and emoji.
fn inline_mark(before: Option<char>, rest: &str) -> Option<usize> {
    if rest.starts_with("~~") {
        return Some(2);
    }
    let c = rest.chars().next()?;
    let after = rest[c.len_utf8()..].chars().next();
    let stands_alone = |side: Option<char>| side.is_none_or(char::is_whitespace);
    let silent = match c {
        '`' | '|' | '[' | ']' => true,
        // "5 * 3" and "snake_case" are no emphasis.
        '*' => !(stands_alone(before) && stands_alone(after)),
        '_' => {
            let in_word = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
            !(in_word(before) && in_word(after))
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
        for text in ["5 * 3 - 2 = 13", "snake_case", "¿Sí? (No.) «Vale», 3-4 días", "1. Primero, 2. segundo #1", "C#"]
        {
            assert_eq!(blank_markup(text), text);
        }
    }
}
