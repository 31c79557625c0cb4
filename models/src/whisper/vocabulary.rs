//! Whisper's vocabulary: text tokens and special tokens.

use crate::byte_level::char_byte;
use std::collections::HashMap;
use std::ops::Range;
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// Seconds between two timestamp tokens.
pub(super) const TIMESTAMP_STEP_S: f64 = 0.02;

/// The tokens of one model file.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// The bytes of every text token; the special ones above them have none here.
    texts: Vec<Vec<u8>>,
    ranks: HashMap<Vec<u8>, u32>,
    /// How many tokens there are in all.
    pub(super) len: usize,
    pub(super) end_of_text: u32,
    pub(super) start_of_transcript: u32,
    pub(super) transcribe: u32,
    pub(super) start_of_previous: u32,
    pub(super) no_speech: u32,
    pub(super) no_timestamps: u32,
    /// `<|0.00|>`; all tokens from here on are timestamps.
    pub(super) timestamp_begin: u32,
    /// Whisper's own language codes, with their tokens.
    pub(super) languages: Vec<(String, u32)>,
}

impl Vocabulary {
    /// The vocabulary from token texts in the byte-level spelling of GPT-2, special tokens among them.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where a token that every Whisper has is missing, or a text is misspelt.
    pub(super) fn new<S: AsRef<str>>(tokens: &[S]) -> Result<Self> {
        let find = |name: &str| {
            let position = tokens.iter().rposition(|token| token.as_ref() == name);
            position.map(|at| at as u32).ok_or_else(|| corrupt(format!("vocabulary has no {name}")))
        };
        let end_of_text = find("<|endoftext|>")?;
        let start_of_transcript = find("<|startoftranscript|>")?;
        let translate = find("<|translate|>")?;
        let no_timestamps = find("<|notimestamps|>")?;
        let languages = tokens
            .iter()
            .enumerate()
            .skip(start_of_transcript as usize + 1)
            .take((translate as usize).saturating_sub(start_of_transcript as usize + 1))
            .filter_map(|(id, token)| {
                let code = token.as_ref().strip_prefix("<|")?.strip_suffix("|>")?;
                code.bytes().all(|b| b.is_ascii_lowercase()).then(|| (code.to_owned(), id as u32))
            })
            .collect::<Vec<_>>();
        if end_of_text > start_of_transcript || languages.is_empty() {
            return Err(corrupt("special tokens are out of order"));
        }
        let texts = tokens[..end_of_text as usize]
            .iter()
            .map(|token| {
                let bytes: Option<Vec<u8>> = token.as_ref().chars().map(char_byte).collect();
                bytes.ok_or_else(|| corrupt("token is not in the byte-level spelling"))
            })
            .collect::<Result<Vec<_>>>()?;
        // The first of two equal texts wins, as it does in the reference.
        let mut ranks = HashMap::with_capacity(texts.len());
        for (id, text) in texts.iter().enumerate() {
            ranks.entry(text.clone()).or_insert(id as u32);
        }
        Ok(Self {
            ranks,
            texts,
            len: tokens.len(),
            end_of_text,
            start_of_transcript,
            transcribe: find("<|transcribe|>")?,
            start_of_previous: find("<|startofprev|>")?,
            no_speech: find("<|nospeech|>").or_else(|_| find("<|nocaptions|>"))?,
            no_timestamps,
            timestamp_begin: no_timestamps + 1,
            languages,
        })
    }

    /// True if the token stands for text.
    pub(super) fn is_text(&self, token: u32) -> bool {
        token < self.end_of_text
    }

    /// True if the token stands for a time.
    pub(super) fn is_timestamp(&self, token: u32) -> bool {
        token >= self.timestamp_begin
    }

    /// The bytes of the tokens' text; special tokens have none.
    pub(super) fn bytes(&self, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().filter_map(|t| self.texts.get(*t as usize)).flatten().copied().collect()
    }

    /// The tokens' text without a character that is cut off at its end.
    pub(super) fn text(&self, tokens: &[u32]) -> String {
        let bytes = self.bytes(tokens);
        let whole = match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => bytes.len(),
        };
        String::from_utf8_lossy(&bytes[..whole]).into_owned()
    }

    /// The tokens of a text, by merging the pair of lowest rank first, within each of its words.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for piece in pieces(text) {
            let mut parts: Vec<Range<usize>> = (0..piece.len()).map(|i| i..i + 1).collect();
            let rank = |range: Range<usize>| self.ranks.get(&piece.as_bytes()[range]).copied();
            while let Some((_, at)) = (0..parts.len().saturating_sub(1))
                .filter_map(|i| rank(parts[i].start..parts[i + 1].end).map(|rank| (rank, i)))
                .min()
            {
                parts[at].end = parts[at + 1].end;
                parts.remove(at + 1);
            }
            tokens.extend(parts.into_iter().filter_map(rank));
        }
        tokens
    }

    /// The token of a language, whatever its script or region.
    pub(super) fn language_token(&self, language: &LanguageTag) -> Option<u32> {
        // Whisper's codes are those of BCP 47 but for these.
        let code = match language.primary() {
            "jv" => "jw",
            "nb" => "no",
            "fil" => "tl",
            "cmn" => "zh",
            other => other,
        };
        self.languages.iter().find(|(name, _)| name == code).map(|(_, token)| *token)
    }

    /// The languages as BCP 47 tags.
    pub(super) fn language_tags(&self) -> Vec<LanguageTag> {
        let tag = |code: &str| if code == "jw" { "jv" } else { code }.parse().ok();
        self.languages.iter().filter_map(|(code, _)| tag(code)).collect()
    }
}

fn corrupt(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::ModelCorrupt, detail)
}

/// The pieces that tokens never straddle: words with the space before them, runs of digits, of signs, and of spaces.
fn pieces(text: &str) -> Vec<&str> {
    #[derive(PartialEq, Clone, Copy)]
    enum Kind {
        Letter,
        Digit,
        Space,
        Sign,
    }
    let kind = |c: char| match c {
        _ if c.is_whitespace() => Kind::Space,
        _ if c.is_alphabetic() => Kind::Letter,
        _ if c.is_numeric() => Kind::Digit,
        _ => Kind::Sign,
    };
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut last: Option<(usize, Kind)> = None;
    for (at, c) in text.char_indices() {
        let now = kind(c);
        if let Some((last_at, before)) = last {
            let joins_space = before == Kind::Space && text[last_at..].starts_with(' ') && now != Kind::Space;
            if joins_space && last_at > start {
                pieces.push(&text[start..last_at]);
                start = last_at;
            } else if before != now && !joins_space {
                pieces.push(&text[start..at]);
                start = at;
            }
        }
        last = Some((at, now));
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_the_space_before_them() {
        assert_eq!(pieces(" Hola, 12 años  ¿no?"), [" Hola", ",", " 12", " años", " ", " ¿", "no", "?"]);
    }
}
