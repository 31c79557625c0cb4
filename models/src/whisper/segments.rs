//! Segments: runs of text between timestamps.

use super::vocabulary::{TIMESTAMP_STEP_S, Vocabulary};
use std::ops::Range;

/// A run of text between two times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    /// Which of the text tokens.
    pub(super) tokens: Range<usize>,
    /// When it begins, in ms from the window's start.
    pub(super) start_ms: u64,
    /// When it ends; `None` where the model wrote no time after it.
    pub(super) end_ms: Option<u64>,
}

/// The segments of a window's tokens; one where there are no timestamps.
pub(super) fn segments(vocabulary: &Vocabulary, tokens: &[u32]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = Segment { tokens: 0..0, start_ms: 0, end_ms: None };
    for token in tokens {
        if vocabulary.is_text(*token) {
            open.tokens.end += 1;
        } else if vocabulary.is_timestamp(*token) {
            let steps = f64::from(token - vocabulary.timestamp_begin);
            let ms = (steps * TIMESTAMP_STEP_S * 1000.0).round() as u64;
            let end = open.tokens.end;
            if !open.tokens.is_empty() {
                segments.push(Segment { end_ms: Some(ms), ..open });
            }
            open = Segment { tokens: end..end, start_ms: ms, end_ms: None };
        }
    }
    if !open.tokens.is_empty() {
        segments.push(open);
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_lies_between_its_times() {
        let special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>"];
        let more = ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"];
        let vocabulary = Vocabulary::new(&[&["a", "b"], &special[..], &more[..]].concat()).unwrap();
        let at = |steps: u32| vocabulary.timestamp_begin + steps;
        let found = segments(&vocabulary, &[at(0), 0, 1, at(50), at(60), 1, at(100), at(100), 0]);
        let segment = |tokens, start_ms, end_ms| Segment { tokens, start_ms, end_ms };
        assert_eq!(found, [segment(0..2, 0, Some(1000)), segment(2..3, 1200, Some(2000)), segment(3..4, 2000, None)]);
        assert_eq!(segments(&vocabulary, &[0, 1]), [segment(0..2, 0, None)]);
        assert_eq!(segments(&vocabulary, &[at(0), at(9)]), []);
    }
}
