//! Token choice: rules, sampling, and tests of the result.
//!
//! The rules are those of the reference implementation's `decoding.py` and `transcribe.py`.

use super::vocabulary::{TIMESTAMP_STEP_S, Vocabulary};
use crate::sampling::{SplitMix, likeliest};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

/// Temperatures tried one after the other until a result can be trusted.
pub(super) const TEMPERATURES: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// Below this mean, tokens are guesses.
pub(super) const LOG_PROBABILITY_MIN: f32 = -1.0;
/// Below this mean of its three least sure tokens, a text decoded with little silence after it is in doubt.
const DOUBTED_LOG_PROBABILITY_MIN: f32 = -0.8;
const DOUBTED_TOKENS: usize = 3;
/// Text that compresses better than this repeats itself.
pub(super) const COMPRESSION_RATIO_MAX: f32 = 2.4;
/// A window is taken for silence where the model says so, and its tokens are no better than this: pairs of a
/// probability of no speech and a mean logarithm. These are the reference's.
const SILENCE: &[(f32, f32)] = &[(0.6, -1.0)];
/// The same where no voice is in the sound: breath is "Yeah." to the reference.
const VOICELESS_SILENCE: &[(f32, f32)] = &[(0.6, -0.35), (0.4, -0.6)];
/// The latest first timestamp.
const FIRST_TIMESTAMP_MAX_S: f64 = 1.0;
/// A loop: this many tokens at the end that are at least so many repeats of one run.
const LOOP_TOKENS_MIN: usize = 24;
const LOOP_REPEATS_MIN: usize = 4;

/// Less voice than this, in seconds, is chance: a short vowel lasts as long.
const VOICED_S_MIN: f32 = 0.06;
/// No speech has more voicing a word: audio with more is not voice, or holds more words. The slowest of 40
/// recordings has 0.46 s.
const VOICED_S_PER_WORD_MAX: f32 = 0.5;

/// True if a window with this text is taken for silence; `voiced_s` of its sound are like a voice.
pub(super) fn is_silence(no_speech: f32, average_log_probability: f32, text: &str, voiced_s: f32) -> bool {
    let words = text.split_whitespace().count() as f32;
    let spoken = (VOICED_S_MIN..=words * VOICED_S_PER_WORD_MAX).contains(&voiced_s);
    let bounds = if spoken { SILENCE } else { VOICELESS_SILENCE };
    bounds.iter().any(|(over, under)| no_speech > *over && average_log_probability < *under)
}

/// Which tokens may come next.
pub(super) struct Rules<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    /// Never.
    pub(super) suppressed: &'a [u32],
    /// Never first.
    pub(super) suppressed_first: &'a [u32],
    /// True if times come between the words.
    pub(super) timestamps: bool,
}

impl Rules<'_> {
    /// Forbids, by minus infinity, what may not follow `chosen`.
    pub(super) fn apply(&self, logits: &mut [f32], chosen: &[u32]) {
        forbid(logits, self.suppressed);
        if chosen.is_empty() {
            forbid(logits, self.suppressed_first);
        }
        if self.timestamps {
            self.apply_timestamps(logits, chosen);
        }
    }

    fn apply_timestamps(&self, logits: &mut [f32], chosen: &[u32]) {
        let vocabulary = self.vocabulary;
        let begin = vocabulary.timestamp_begin as usize;
        forbid(logits, &[vocabulary.no_timestamps]);
        let last_is_time = chosen.last().is_some_and(|t| vocabulary.is_timestamp(*t));
        let before_is_time = chosen.len() < 2 || vocabulary.is_timestamp(chosen[chosen.len() - 2]);
        if last_is_time && before_is_time {
            // A pair is closed (or the first time given): text follows.
            logits[begin..].fill(f32::NEG_INFINITY);
        } else if last_is_time {
            // A single time ends a segment: its pair or the end follows.
            logits[..vocabulary.end_of_text as usize].fill(f32::NEG_INFINITY);
        }
        if let Some(latest) = chosen.iter().rev().find(|t| vocabulary.is_timestamp(**t)) {
            // Times never run back, and a segment is not empty.
            let next = *latest as usize + usize::from(!last_is_time || before_is_time);
            logits[begin..next.clamp(begin, self.vocabulary.len)].fill(f32::NEG_INFINITY);
        }
        if chosen.is_empty() {
            logits[..begin].fill(f32::NEG_INFINITY);
            let last_allowed = begin + (FIRST_TIMESTAMP_MAX_S / TIMESTAMP_STEP_S).round() as usize;
            if let Some(late) = logits.get_mut(last_allowed + 1..) {
                late.fill(f32::NEG_INFINITY);
            }
        }
        // Where a time, whichever, is likelier than every text token, it is a time.
        let likeliest_text = logits[..begin].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if log_sum_exp(&logits[begin..]) > likeliest_text {
            logits[..begin].fill(f32::NEG_INFINITY);
        }
    }
}

fn forbid(logits: &mut [f32], tokens: &[u32]) {
    for token in tokens {
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// `ln` of the sum of exponentials; minus infinity for none.
pub(super) fn log_sum_exp(logits: &[f32]) -> f32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if top == f32::NEG_INFINITY { top } else { top + logits.iter().map(|l| (l - top).exp()).sum::<f32>().ln() }
}

/// The softmax probability of one of all logits.
pub(super) fn probability(logits: &[f32], token: u32) -> f32 {
    logits.get(token as usize).map_or(0.0, |logit| (logit - log_sum_exp(logits)).exp())
}

/// Takes the likeliest token, or at a temperature draws one.
///
/// Returns the token and the logarithm of its probability at temperature 1.
pub(super) fn choose(logits: &[f32], temperature: f32, random: &mut SplitMix) -> (u32, f32) {
    let token = if temperature > 0.0 { draw(logits, temperature, random) } else { likeliest(logits) };
    (token, logits[token as usize] - log_sum_exp(logits))
}

fn draw(logits: &[f32], temperature: f32, random: &mut SplitMix) -> u32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits.iter().map(|logit| f64::from((logit - top) / temperature).exp());
    random.draw(weights).map_or_else(|| likeliest(logits), |token| token as u32)
}

/// The tokens of one pass over a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    /// Text and timestamps, without the end.
    pub(super) tokens: Vec<u32>,
    /// The logarithm of each token's probability.
    pub(super) log_probabilities: Vec<f32>,
    /// The same for the end token; 0 where it did not come.
    pub(super) end_log_probability: f32,
    /// The probability that a sign closes the sentence in place of each token, and of the end.
    pub(super) closing: Vec<f32>,
    /// True if it repeated itself and was stopped.
    pub(super) looped: bool,
}

impl Attempt {
    /// The mean over all tokens, the end's among them.
    pub(super) fn average_log_probability(&self) -> f32 {
        let sum: f32 = self.log_probabilities.iter().sum();
        (sum + self.end_log_probability) / (self.tokens.len() + 1) as f32
    }

    /// True if the text can be trusted.
    pub(super) fn is_sound(&self, text: &str) -> bool {
        !self.looped
            && compression_ratio(text) <= COMPRESSION_RATIO_MAX
            && self.average_log_probability() >= LOG_PROBABILITY_MIN
    }

    /// True if the text can be trusted though the window held less silence than the training data: no few tokens in
    /// doubt, and nothing said twice at the end.
    pub(super) fn is_sure(&self) -> bool {
        let mut least = self.log_probabilities.clone();
        least.sort_by(f32::total_cmp);
        least.truncate(DOUBTED_TOKENS);
        let mean = least.iter().sum::<f32>() / least.len().max(1) as f32;
        mean >= DOUBTED_LOG_PROBABILITY_MIN && !ends_twice(&self.tokens)
    }

    /// Leaves one round of a loop at the end.
    pub(super) fn cut_loop(&mut self) {
        if let Some(keep) = loop_start(&self.tokens) {
            self.tokens.truncate(keep);
            self.log_probabilities.truncate(keep);
        }
    }
}

/// Where the tokens end in a loop: how many there are up to the end of its first round.
pub(super) fn loop_start(tokens: &[u32]) -> Option<usize> {
    (1..=tokens.len() / LOOP_REPEATS_MIN).find_map(|period| {
        let repeated = tokens.iter().rev().zip(tokens.iter().rev().skip(period)).take_while(|(a, b)| a == b).count();
        let run = repeated + period;
        (run >= LOOP_TOKENS_MIN && run / period >= LOOP_REPEATS_MIN).then(|| tokens.len() - repeated)
    })
}

/// True if the tokens end with the same run twice, of two tokens or more.
fn ends_twice(tokens: &[u32]) -> bool {
    (2..=tokens.len() / 2).any(|run| {
        let (before, last) = tokens.split_at(tokens.len() - run);
        before.ends_with(last)
    })
}

/// Bytes of the text for each byte of its zlib form; 1 for none.
pub(super) fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    match encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()) {
        Ok(packed) if !text.is_empty() => text.len() as f32 / packed.len() as f32,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_found_and_cut_to_one_round() {
        let mut attempt = Attempt { tokens: vec![7, 8], ..Default::default() };
        for _ in 0..8 {
            attempt.tokens.extend([1, 2, 3]);
        }
        attempt.log_probabilities = vec![0.0; attempt.tokens.len()];
        assert_eq!(loop_start(&attempt.tokens), Some(5));
        attempt.cut_loop();
        assert_eq!(attempt.tokens, [7, 8, 1, 2, 3]);
        assert_eq!(attempt.log_probabilities.len(), 5);
    }

    #[test]
    fn a_word_said_a_few_times_is_no_loop() {
        assert_eq!(loop_start(&[4, 4, 4, 4, 4, 4, 4, 4]), None);
        assert_eq!(loop_start(&(0..100).collect::<Vec<_>>()), None);
    }

    #[test]
    fn a_text_that_ends_twice_is_told_from_one_that_does_not() {
        assert!(ends_twice(&[1, 2, 1, 2]) && ends_twice(&[9, 1, 2, 3, 1, 2, 3]));
        assert!(!ends_twice(&[]) && !ends_twice(&[1, 1]) && !ends_twice(&[1, 2, 3, 1, 2]));
    }

    #[test]
    fn repetition_compresses_and_speech_does_not() {
        assert!(compression_ratio(&" gracias".repeat(40)) > COMPRESSION_RATIO_MAX);
        assert!(compression_ratio("However, due to the slow communication channels, styles could lag.") < 1.5);
    }

    #[test]
    fn doubtful_words_are_kept_where_there_is_a_voice() {
        assert!(!is_silence(0.7, -0.5, "Yes.", 0.3) && is_silence(0.7, -0.5, "Yes.", 0.0));
        assert!(is_silence(0.7, -1.1, "Yes.", 0.3));
        assert!(!is_silence(0.3, -1.1, "Yes.", 0.0), "the model finds speech");
    }

    #[test]
    fn silence_is_judged_by_how_much_voice_a_word_has() {
        // A chord for eight seconds is no "Thank you."; a sentence that the model is as unsure of may be one.
        assert!(is_silence(0.5, -0.8, "Thank you.", 2.4));
        assert!(!is_silence(0.5, -0.8, "Thank you very much for the coffee.", 2.4));
        // Breath has no voice at all.
        assert!(is_silence(0.5, -0.8, "Yeah.", 0.0));
        assert!(!is_silence(0.1, -0.8, "Yeah.", 0.0));
        assert!(is_silence(0.7, -1.1, "Thank you very much for the coffee.", 2.4));
    }

    #[test]
    fn a_draw_follows_the_weights_and_the_seed() {
        let logits = [0.0, (3.0f32).ln(), f32::NEG_INFINITY];
        let drawn = |seed| {
            let mut random = SplitMix(seed);
            (0..4000).map(|_| draw(&logits, 1.0, &mut random)).collect::<Vec<_>>()
        };
        let first = drawn(1);
        assert_eq!(first, drawn(1));
        let ones = first.iter().filter(|t| **t == 1).count();
        assert!((2850..3150).contains(&ones), "{ones} of 4000, not about 3000");
        assert!(!first.contains(&2));
    }
}
