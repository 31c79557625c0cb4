//! The playback timeline of a reply: from samples played to heard text.

use crate::event::SpokenWord;
use std::ops::Range;

/// Where in time the text of a reply sounds, chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    marks: Vec<Mark>,
    samples_total: u64,
}

/// Text that was heard once `end_sample` was.
#[derive(Debug)]
struct Mark {
    samples: Range<u64>,
    text: Range<usize>,
    /// One word, rather than a run of text without word times.
    is_word: bool,
}

/// The heard text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Bytes of the reply's text.
    pub(crate) text_len: usize,
    pub(crate) estimated: bool,
}

impl Timeline {
    /// Adds a chunk. Words count their samples from the start of the reply.
    pub(crate) fn push(&mut self, samples: u64, text: Range<usize>, words: &[SpokenWord]) {
        let start = self.samples_total;
        self.samples_total += samples;
        if words.is_empty() {
            self.marks.push(Mark { samples: start..self.samples_total, text, is_word: false });
        }
        self.marks.extend(words.iter().map(|word| Mark {
            samples: word.start_sample..word.end_sample,
            text: word.text_span.clone(),
            is_word: true,
        }));
    }

    pub(crate) fn samples_total(&self) -> u64 {
        self.samples_total
    }

    /// Takes the last samples off again.
    pub(crate) fn withdraw(&mut self, samples: u64) {
        self.samples_total = self.samples_total.saturating_sub(samples);
    }

    /// The heard part of `text` when this many samples have reached the user's ear.
    pub(crate) fn heard(&self, text: &str, samples: u64) -> Heard {
        let mut heard = Heard { text_len: 0, estimated: false };
        for mark in &self.marks {
            if mark.samples.end <= samples {
                heard = Heard { text_len: mark.text.end, estimated: !mark.is_word };
            } else if !mark.is_word && mark.samples.start < samples {
                let part = (samples - mark.samples.start) as f64 / (mark.samples.end - mark.samples.start) as f64;
                let reach = mark.text.start + (mark.text.len() as f64 * part) as usize;
                let whole = whole_words(text, mark.text.start, reach);
                if whole > heard.text_len {
                    heard = Heard { text_len: whole, estimated: true };
                }
            }
        }
        heard.text_len = with_punctuation(text, heard.text_len.min(text.len()));
        heard
    }
}

/// The end of the last word of `text` that ends at or before `reach` and after `start`; `start` where none does.
fn whole_words(text: &str, start: usize, reach: usize) -> usize {
    let Some(rest) = text.get(start..) else { return start };
    let mut end = start;
    let mut in_word = false;
    for (at, c) in rest.char_indices().chain([(rest.len(), ' ')]) {
        if start + at > reach {
            break;
        }
        if in_word && c.is_whitespace() {
            end = start + at;
        }
        in_word = !c.is_whitespace();
    }
    end
}

/// The length with the punctuation that directly follows the last word.
fn with_punctuation(text: &str, len: usize) -> usize {
    let Some(rest) = text.get(len..) else { return len };
    if len == 0 {
        return 0;
    }
    len + rest.find(|c: char| c.is_alphanumeric() || c.is_whitespace()).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: Range<usize>, samples: Range<u64>) -> SpokenWord {
        SpokenWord {
            text_span: text,
            language: "es".parse().unwrap(),
            start_sample: samples.start,
            end_sample: samples.end,
        }
    }

    #[test]
    fn a_word_is_heard_once_its_end_was() {
        let text = "Hola, ¿qué tal?";
        let mut timeline = Timeline::default();
        timeline.push(300, 0..text.len(), &[word(0..4, 10..100), word(8..12, 110..200), word(13..16, 210..290)]);
        for (samples, heard) in [(0, ""), (99, ""), (100, "Hola,"), (209, "Hola, ¿qué"), (290, text), (1000, text)] {
            let result = timeline.heard(text, samples);
            assert_eq!((&text[..result.text_len], result.estimated), (heard, false), "{samples} samples");
        }
    }

    #[test]
    fn without_word_times_whole_words_are_guessed() {
        let text = "uno dos tres cuatro";
        let mut timeline = Timeline::default();
        timeline.push(1900, 0..text.len(), &[]);
        assert_eq!(timeline.heard(text, 800), Heard { text_len: 7, estimated: true });
        assert_eq!(timeline.heard(text, 200), Heard { text_len: 0, estimated: false });
        assert_eq!(timeline.heard(text, 1900), Heard { text_len: text.len(), estimated: true });
    }
}
