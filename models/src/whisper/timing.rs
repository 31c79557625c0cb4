//! Word times: dynamic time warping over the cross attention of the alignment heads.
//!
//! The method is that of the reference implementation's `timing.py`.

use super::vocabulary::Vocabulary;
use tertulia::backend::Word;
use tertulia::text::is_sentence_end;

/// Milliseconds of one position of the encoder.
const POSITION_MS: u64 = 20;
/// Positions of the median filter.
const MEDIAN_WIDTH: usize = 7;
/// Signs that belong to the word after them, and to the word before them.
const OPENING: &str = "\"'“¿¡([{-«";
const CLOSING: &str = "\"'.。,，!！?？:：;”)]}、»…";
/// A word at a sentence's edge that lasts longer than this many medians has swallowed a pause.
const LONG_WORD_MEDIANS: u64 = 2;
const MEDIAN_WORD_MAX_MS: u64 = 700;

/// A word as a run of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TokenWord {
    pub(super) text: String,
    pub(super) tokens: usize,
}

/// Splits tokens into words: at spaces, or at every character for languages that write none.
pub(super) fn words(vocabulary: &Vocabulary, tokens: &[u32], language: &str) -> Vec<TokenWord> {
    let spaceless = matches!(language, "zh" | "ja" | "th" | "lo" | "my" | "yue");
    let mut words: Vec<TokenWord> = Vec::new();
    let mut start = 0;
    for end in 1..=tokens.len() {
        let bytes = vocabulary.bytes(&tokens[start..end]);
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(error) if error.error_len().is_none() && end < tokens.len() => continue, // half a character
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        let is_sign = !text.trim().is_empty() && text.trim().chars().all(|c| c.is_ascii_punctuation());
        let begins = spaceless || text.starts_with(' ') || is_sign;
        match words.last_mut() {
            Some(word) if !begins => {
                word.text.push_str(&text);
                word.tokens += end - start;
            }
            _ => words.push(TokenWord { text, tokens: end - start }),
        }
        start = end;
    }
    words
}

/// For each text token, then for the end, the first position of the encoder that the alignment gives it.
///
/// `heads` hold weights `[rows, positions]`, a row for the position of the next token: `skip` rows of the prompt,
/// one for its last token, one for each text token, and one for the end, which tells nothing.
pub(super) fn align(heads: Vec<Vec<f32>>, positions: usize, skip: usize) -> Vec<usize> {
    let count = heads.len();
    if count == 0 || positions == 0 {
        return Vec::new();
    }
    let rows = heads[0].len() / positions;
    let mut mean = vec![0.0f32; rows * positions];
    for mut head in heads {
        normalise_columns(&mut head, positions);
        for (row, sum) in head.chunks_exact(positions).zip(mean.chunks_exact_mut(positions)) {
            for (value, sum) in median_filtered(row).zip(sum) {
                *sum += value / count as f32;
            }
        }
    }
    let last = rows.saturating_sub(1);
    warp(&mean[skip.min(last) * positions..last * positions], positions)
}

/// Gives each position a mean of zero and a deviation of one over the rows.
fn normalise_columns(weights: &mut [f32], positions: usize) {
    let rows = (weights.len() / positions) as f32;
    for position in 0..positions {
        let column = || weights.iter().skip(position).step_by(positions);
        let mean = column().sum::<f32>() / rows;
        let deviation = (column().map(|w| (w - mean).powi(2)).sum::<f32>() / rows).sqrt().max(1e-9);
        weights.iter_mut().skip(position).step_by(positions).for_each(|w| *w = (*w - mean) / deviation);
    }
}

/// Each value's median with its neighbours, the edges mirrored.
fn median_filtered(row: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let half = (MEDIAN_WIDTH / 2) as isize;
    let last = row.len() as isize - 1;
    let mirrored = move |at: isize| if at > last { 2 * last - at } else { at.abs() };
    (0..=last).map(move |at| {
        if last < half {
            return row[at as usize];
        }
        let mut near: [f32; MEDIAN_WIDTH] = std::array::from_fn(|i| row[mirrored(at - half + i as isize) as usize]);
        near.sort_unstable_by(f32::total_cmp);
        near[MEDIAN_WIDTH / 2]
    })
}

/// The position at which each row begins on the path of the greatest sum, which goes down, right, or both.
fn warp(gains: &[f32], positions: usize) -> Vec<usize> {
    const DIAGONAL: u8 = 0;
    const DOWN: u8 = 1;
    const RIGHT: u8 = 2;
    let rows = gains.len() / positions;
    let width = positions + 1;
    let mut costs = vec![f32::INFINITY; (rows + 1) * width];
    let mut steps = vec![RIGHT; (rows + 1) * width];
    costs[0] = 0.0;
    for row in 1..=rows {
        for position in 1..=positions {
            let diagonal = costs[(row - 1) * width + position - 1];
            let down = costs[(row - 1) * width + position];
            let right = costs[row * width + position - 1];
            let (cost, step) = if diagonal < down && diagonal < right {
                (diagonal, DIAGONAL)
            } else if down < diagonal && down < right {
                (down, DOWN)
            } else {
                (right, RIGHT)
            };
            costs[row * width + position] = cost - gains[(row - 1) * positions + position - 1];
            steps[row * width + position] = step;
        }
    }
    let mut starts = vec![0; rows];
    let (mut row, mut position) = (rows, positions);
    while row > 0 && position > 0 {
        starts[row - 1] = position - 1;
        match steps[row * width + position] {
            DIAGONAL => (row, position) = (row - 1, position - 1),
            DOWN => row -= 1,
            _ => position -= 1,
        }
    }
    starts
}

/// Words with times and confidences, from where their tokens start.
///
/// `starts` is what [`align`] gave for the text tokens; `offset_ms` is when the window begins.
pub(super) fn timed(words: &[TokenWord], starts: &[usize], log_probabilities: &[f32], offset_ms: u64) -> Vec<Word> {
    let mut token = 0;
    let mut timed = Vec::with_capacity(words.len());
    for word in words {
        let end = (token + word.tokens).min(log_probabilities.len());
        let at = |index: usize| starts.get(index).copied().unwrap_or(0) as u64 * POSITION_MS + offset_ms;
        let sum: f32 = log_probabilities[token..end].iter().map(|l| l.exp()).sum();
        timed.push(Word::new(word.text.as_str(), at(token)..at(end), sum / (end - token).max(1) as f32));
        token = end;
    }
    shorten_pauses(&mut timed);
    attach_signs(timed)
}

/// A word before or after a pause is given all of it; words are as long as words are.
fn shorten_pauses(words: &mut [Word]) {
    let mut durations: Vec<u64> = words.iter().map(|w| w.end_ms - w.start_ms).filter(|d| *d > 0).collect();
    durations.sort_unstable();
    let Some(median) = durations.get(durations.len() / 2) else { return };
    let longest = LONG_WORD_MEDIANS * (*median).min(MEDIAN_WORD_MAX_MS);
    let ends_sentence = |word: &Word| word.text.trim().chars().all(is_sentence_end);
    for at in 0..words.len() {
        if words[at].end_ms - words[at].start_ms <= longest {
            continue;
        }
        if ends_sentence(&words[at]) {
            words[at].end_ms = words[at].start_ms + longest;
        } else if at == 0 || ends_sentence(&words[at - 1]) {
            words[at].start_ms = words[at].end_ms - longest;
        } else if at + 1 == words.len() || ends_sentence(&words[at + 1]) {
            words[at].end_ms = words[at].start_ms + longest;
        }
    }
}

/// Joins signs to the words that they belong to, without giving them time of their own.
fn attach_signs(words: Vec<Word>) -> Vec<Word> {
    let all_in = |text: &str, set: &str| !text.trim().is_empty() && text.trim().chars().all(|c| set.contains(c));
    let mut joined: Vec<Word> = Vec::with_capacity(words.len());
    let mut opening: Option<String> = None;
    for mut word in words {
        let opens = all_in(&word.text, OPENING) && (word.text.starts_with(' ') || !all_in(&word.text, CLOSING));
        if opens {
            opening.get_or_insert_default().push_str(word.text.trim());
            continue;
        }
        match joined.last_mut() {
            Some(last) if all_in(&word.text, CLOSING) && opening.is_none() => last.text.push_str(word.text.trim()),
            _ => {
                word.text = opening.take().unwrap_or_default() + word.text.trim();
                joined.push(word);
            }
        }
    }
    if let (Some(signs), Some(last)) = (opening, joined.last_mut()) {
        last.text.push_str(&signs);
    }
    joined.retain(|word| !word.text.is_empty());
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_diagonal_of_blocks() {
        // Three rows, each loud at three positions of nine.
        let gains: Vec<f32> = (0..27).map(|i| if i / 9 == (i % 9) / 3 { 1.0 } else { -1.0 }).collect();
        assert_eq!(warp(&gains, 9), [0, 3, 6]);
    }

    #[test]
    fn signs_join_the_words_they_belong_to() {
        let word = |text: &str, start_ms| Word::new(text, start_ms..start_ms + 100, 1.0);
        let words =
            [word(" ¿", 0), word("Qué", 100), word(" tal", 200), word("?", 300), word(" \"", 400), word("No", 500)];
        let joined = attach_signs(words.to_vec());
        let texts: Vec<&str> = joined.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(texts, ["¿Qué", "tal?", "\"No"]);
        assert_eq!((joined[1].start_ms, joined[1].end_ms), (200, 300));
    }

    #[test]
    fn a_median_ignores_a_single_spike() {
        let mut row = vec![0.0; 20];
        row[10] = 9.0;
        assert!(median_filtered(&row).all(|v| v == 0.0));
    }
}
