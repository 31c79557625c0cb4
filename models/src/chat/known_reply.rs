//! [`KnownReply`]: the tokens that a reply was generated as.

use super::tokenizer::Token;

/// The tokens of a reply as they were generated, and what they say.
///
/// A text can be cut into tokens in more than one way. The next prompt has to cut the reply as the model did: only then
/// does it agree with what the cache holds.
#[derive(Debug, Default)]
pub(super) struct KnownReply {
    tokens: Vec<Token>,
    /// Where each token's bytes end.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl KnownReply {
    pub(super) fn push(&mut self, token: Token, bytes: &[u8]) {
        self.tokens.push(token);
        self.bytes.extend(bytes);
        self.ends.push(self.bytes.len());
    }

    /// The tokens that a message with this content starts with, and the content after them.
    ///
    /// The content may be less than what was generated (interrupted, or cut at a stop text), may go on differently,
    /// and may lack the space around it.
    pub(super) fn split<'a, 'b>(&'a self, content: &'b str) -> (&'a [Token], &'b str) {
        let text = content.trim_start();
        let indent = self.bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let generated = &self.bytes[indent..];
        let common = generated.iter().zip(text.bytes()).take_while(|(a, b)| **a == *b).count();
        // Nothing but space is missing at the end.
        let whole = common == text.trim_end().len() && generated[common..].iter().all(u8::is_ascii_whitespace);
        if whole {
            return (&self.tokens, "");
        }
        let fits = |end: usize| end > indent && end - indent <= common && text.is_char_boundary(end - indent);
        match self.ends.iter().rposition(|&end| fits(end)) {
            Some(last) => (&self.tokens[..=last], &text[self.ends[last] - indent..]),
            None => (&[], content),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> KnownReply {
        let mut reply = KnownReply::default();
        for (token, text) in (0..).zip([" ", "Ho", "la", ", ", "¿q", "ué", "?", "\n"]) {
            reply.push(token, text.as_bytes());
        }
        reply
    }

    #[test]
    fn whole_replies_are_recognised_with_and_without_space_around() {
        for content in [" Hola, ¿qué?\n", "Hola, ¿qué?", "Hola, ¿qué?\n", "  Hola, ¿qué? "] {
            assert_eq!(reply().split(content), ([0, 1, 2, 3, 4, 5, 6, 7].as_slice(), ""), "{content:?}");
        }
    }

    #[test]
    fn interrupted_and_altered_replies_keep_the_tokens_that_still_hold() {
        assert_eq!(reply().split("Hola, ¿q"), ([0, 1, 2, 3, 4].as_slice(), ""));
        assert_eq!(reply().split("Hola, ¿qu"), ([0, 1, 2, 3, 4].as_slice(), "u"));
        assert_eq!(reply().split("Hola…"), ([0, 1, 2].as_slice(), "…"));
        assert_eq!(reply().split("Adiós"), ([].as_slice(), "Adiós"));
        assert_eq!(reply().split(""), ([].as_slice(), ""));
        assert_eq!(KnownReply::default().split("Hola"), ([].as_slice(), "Hola"));
    }

    #[test]
    fn characters_cut_between_tokens_stay_whole() {
        let mut reply = KnownReply::default();
        reply.push(0, b"a");
        reply.push(1, &"👍".as_bytes()[..2]);
        reply.push(2, &"👍".as_bytes()[2..]);
        assert_eq!(reply.split("a👍!"), ([0, 1, 2].as_slice(), "!"));
        assert_eq!(reply.split("a👎"), ([0].as_slice(), "👎"));
    }
}
