//! Runs of words within the lengths that Kokoro speaks well, counted in symbols: a longer clause is cut at its strongest
//! boundary. The first run is short, so that the first sound comes early.

use super::vocab::Vocab;
use crate::text::PhonemeWord;
use std::ops::Range;
use tertulia::text::{Boundary, boundary};

/// The symbols that the first, second and every later run should not exceed, where there is a place to cut.
const SYMBOLS_WANTED: [usize; 3] = [50, 100, 150];
/// The symbols that no run exceeds.
const SYMBOLS_LIMIT: usize = 250;
/// A clause is cut off only where it has this many symbols: very short runs sound hurried.
const CLAUSE_SYMBOLS_MIN: usize = 15;

/// Words that are spoken in one go.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    /// The bytes of the text; those of all chunks cover it without gap or overlap.
    pub(super) text_span: Range<usize>,
    /// The symbols to speak.
    pub(super) ids: Vec<u32>,
    /// Which words, by index, and where each lies in `ids`, without the punctuation after it.
    pub(super) words: Vec<(usize, Range<usize>)>,
    /// A sentence ends here.
    pub(super) ends_sentence: bool,
}

/// The chunks of a text. Words that make no sound are in none.
pub(super) fn chunks(text: &str, words: &[PhonemeWord], vocab: &Vocab) -> Vec<Chunk> {
    let pieces = pieces(words, vocab);
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut rest = &pieces[..];
    while !rest.is_empty() {
        let wanted = SYMBOLS_WANTED[chunks.len().min(SYMBOLS_WANTED.len() - 1)];
        let (piece_run, after) = rest.split_at(cut(rest, wanted));
        let start = chunks.last().map_or(0, |chunk| chunk.text_span.end);
        let end = match (piece_run.last(), after.first()) {
            (Some(last), Some(next)) => border(text, words[last.word].text_span.end, words[next.word].text_span.start),
            _ => text.len(),
        };
        let mut chunk = Chunk {
            text_span: start..end.max(start),
            ids: Vec::new(),
            words: Vec::new(),
            ends_sentence: piece_run.last().is_some_and(|piece| piece.end == End::Sentence),
        };
        for piece in piece_run {
            let from = chunk.ids.len();
            chunk.ids.extend(&piece.ids);
            chunk.words.push((piece.word, from..from + piece.sounding));
        }
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// A word, or a part of one that is too long for a run.
struct Piece {
    word: usize,
    ids: Vec<u32>,
    /// How many of the ids are the word itself; punctuation follows.
    sounding: usize,
    end: End,
}

/// The end of a piece, by the boundary after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing: the next piece speaks the same bytes of the text.
    Nothing,
    Word,
    Clause,
    Sentence,
}

fn pieces(words: &[PhonemeWord], vocab: &Vocab) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let (sounds, mut marks) = (vocab.ids(&word.phonemes), vocab.ids(&word.trailing));
        if sounds.is_empty() && marks.is_empty() {
            continue;
        }
        marks.truncate(SYMBOLS_LIMIT / 8);
        let same_span = words.get(index + 1).is_some_and(|next| next.text_span == word.text_span);
        let end = match word.trailing.chars().filter_map(boundary).max() {
            _ if same_span => End::Nothing,
            Some(Boundary::Sentence) => End::Sentence,
            Some(Boundary::Clause) => End::Clause,
            None => End::Word,
        };
        let mut parts = sounds.chunks(SYMBOLS_LIMIT / 2).peekable();
        if parts.peek().is_none() {
            pieces.push(Piece { word: index, ids: std::mem::take(&mut marks), sounding: 0, end });
            continue;
        }
        while let Some(part) = parts.next() {
            let (mut ids, last) = (part.to_vec(), parts.peek().is_none());
            if last {
                ids.append(&mut marks);
            }
            pieces.push(Piece { word: index, ids, sounding: part.len(), end: if last { end } else { End::Nothing } });
        }
    }
    pieces
}

/// How many pieces the next run takes; at least one.
fn cut(pieces: &[Piece], wanted: usize) -> usize {
    let mut symbols = 0;
    // The last place to cut of each kind: after a sentence, a clause, a word.
    let [mut sentence, mut clause, mut word] = [None; 3];
    for (index, piece) in pieces.iter().enumerate() {
        let before = symbols;
        symbols += piece.ids.len();
        if symbols > SYMBOLS_LIMIT {
            return sentence.or(clause).or(word).unwrap_or(index).max(1);
        }
        if before > 0
            && symbols > wanted
            && let Some(place) = sentence.or(clause)
        {
            return place;
        }
        let after = Some(index + 1);
        match piece.end {
            End::Sentence => sentence = after,
            End::Clause if symbols >= CLAUSE_SYMBOLS_MIN => clause = after,
            End::Clause | End::Word => word = after,
            End::Nothing => {}
        }
    }
    pieces.len()
}

/// Where the text between two words is divided: after the first blank, so that what opens the next word goes with it.
fn border(text: &str, end: usize, next: usize) -> usize {
    let Some(between) = text.get(end..next) else { return next.max(end) };
    match between.find(char::is_whitespace) {
        Some(blank) => {
            let blanks = &between[blank..];
            end + blank + (blanks.len() - blanks.trim_start().len())
        }
        None => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word for each word of the text, spoken as it is written.
    fn spoken(text: &str) -> Vec<PhonemeWord> {
        let mut words: Vec<PhonemeWord> = Vec::new();
        for part in text.split_whitespace() {
            let at = words.last().map_or(0, |word| word.text_span.end);
            let start = at + text[at..].find(part).unwrap();
            let letters = part.trim_end_matches(['.', ',', '?']);
            words.push(PhonemeWord {
                text_span: start..start + letters.len(),
                language: "en".parse().unwrap(),
                phonemes: letters.into(),
                trailing: format!("{} ", &part[letters.len()..]),
            });
        }
        words
    }

    fn cut_up(text: &str) -> Vec<&str> {
        let words = spoken(text);
        let chunks = chunks(text, &words, &Vocab::of("abcdefghijklmnopqrstuvwxyz .,?"));
        let mut at = 0;
        for chunk in &chunks {
            assert_eq!(chunk.text_span.start, at, "the chunks have a gap");
            at = chunk.text_span.end;
            assert!(chunk.ids.len() <= SYMBOLS_LIMIT);
        }
        assert!(chunks.is_empty() || at == text.len());
        assert_eq!(chunks.iter().map(|chunk| chunk.words.len()).sum::<usize>(), words.len());
        chunks.iter().map(|chunk| &text[chunk.text_span.clone()]).collect()
    }

    #[test]
    fn a_short_text_is_one_run() {
        assert_eq!(cut_up("how are you?"), ["how are you?"]);
        assert_eq!(cut_up("").len(), 0);
    }

    #[test]
    fn the_first_run_is_a_sentence_or_a_clause() {
        let long = "and here is a second sentence that goes on for quite a while until it ends.";
        assert_eq!(cut_up(&format!("what is your name? {long}")), ["what is your name? ", long]);
        let clause = "when the train came in at last, ";
        assert_eq!(cut_up(&format!("{clause}{long}")), [clause, long]);
    }

    #[test]
    fn a_text_without_marks_is_cut_between_words() {
        let text = "word ".repeat(300);
        let parts = cut_up(&text);
        assert!(parts.len() >= 4 && parts.iter().all(|part| part.ends_with("word ")), "{parts:?}");
    }

    #[test]
    fn a_word_without_end_is_cut_inside() {
        let text = "a".repeat(3000);
        let words = spoken(&text);
        let chunks = chunks(&text, &words, &Vocab::of("a"));
        assert!(chunks.iter().all(|chunk| chunk.ids.len() <= SYMBOLS_LIMIT));
        assert_eq!(chunks.iter().map(|chunk| chunk.ids.len()).sum::<usize>(), 3000);
        assert_eq!(chunks.last().unwrap().text_span.end, 3000);
    }
}
