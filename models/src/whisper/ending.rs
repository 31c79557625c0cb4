//! End-of-turn probability from the decoder: how sure it is of ending the text here.
//!
//! A decoder that was trained on subtitles closes a sentence with a full stop where the voice closes it. At a hesitation
//! it writes the same full stop often enough, but is less sure of it, of the end, and of the half word before. The
//! weights are a logistic regression over the stops of `cargo xtask endpoint`, pauses and ends counting the same.

use super::decoding::Attempt;
use super::vocabulary::Vocabulary;
use tertulia::text::{Ending, ending, is_sentence_end, trim_closing};

/// The log-odds of an end by what the last steps of the decoder, its end among them, are sure of on average ...
const LAST_STEPS: usize = 3;
const SURE_WEIGHT: f32 = 8.0;
/// ... and by the log-odds of a closing sign after the last word.
const CLOSING_WEIGHT: f32 = 0.25;
const BIAS: f32 = 1.5;
/// Nothing is believed beyond these log-odds.
const LOG_ODDS_MAX: f32 = 4.0;
/// The closing signs' probability counts between this and its opposite.
const CLOSING_MIN: f32 = 0.01;

/// The tokens that close a sentence, quotes after the sign included.
pub(super) fn closing_tokens(vocabulary: &Vocabulary) -> Vec<u32> {
    (0..vocabulary.end_of_text).filter(|token| closes(&vocabulary.text(&[*token]))).collect()
}

fn closes(text: &str) -> bool {
    ending(text) == Ending::Closed && trim_closing(text.trim()).chars().all(is_sentence_end)
}

/// The probability that nothing is to come, 0 to 1, where pauses and ends are as frequent; `None` where the decoder did
/// not come to an end or said nothing.
pub(super) fn finished_probability(attempt: &Attempt, vocabulary: &Vocabulary) -> Option<f32> {
    if attempt.looped || attempt.end_log_probability == 0.0 || attempt.tokens.is_empty() {
        return None;
    }
    let is_sign = |token: &u32| !vocabulary.text(&[*token]).contains(char::is_alphanumeric);
    let signs = attempt.tokens.iter().rev().take_while(|token| is_sign(token)).count();
    let closing = attempt.closing.get(attempt.tokens.len() - signs)?.clamp(CLOSING_MIN, 1.0 - CLOSING_MIN);
    let last = &attempt.log_probabilities[attempt.log_probabilities.len().saturating_sub(LAST_STEPS - 1)..];
    let sure = (last.iter().sum::<f32>() + attempt.end_log_probability) / (last.len() + 1) as f32;
    let log_odds = BIAS + SURE_WEIGHT * sure + CLOSING_WEIGHT * (closing / (1.0 - closing)).ln();
    Some(1.0 / (1.0 + (-log_odds.clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX)).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_stop_that_the_decoder_is_sure_of_is_an_end() {
        let special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>"];
        let more = ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"];
        let vocabulary =
            Vocabulary::new(&[&["a", "b", ".", "...", ",", "?\""], &special[..], &more[..]].concat()).unwrap();
        assert_eq!(closing_tokens(&vocabulary), [2, 5]);
        let attempt = |tokens: &[u32], sure: f32, closing: f32| {
            let closing = tokens.iter().map(|token| if *token == 2 { closing } else { 0.0 }).chain([closing]).collect();
            Attempt {
                tokens: tokens.to_vec(),
                log_probabilities: vec![sure; tokens.len()],
                end_log_probability: sure,
                closing,
                ..Default::default()
            }
        };
        let of = |attempt: &Attempt| finished_probability(attempt, &vocabulary);
        assert!(of(&attempt(&[0, 1, 2], -0.05, 0.9)).unwrap() > 0.8);
        assert!(of(&attempt(&[0, 1, 2], -0.4, 0.4)).unwrap() < 0.2);
        assert!(of(&attempt(&[0, 1], -0.05, 0.02)) < of(&attempt(&[0, 1, 2], -0.05, 0.9)));
        assert_eq!(of(&attempt(&[], -0.05, 0.9)), None);
        assert_eq!(of(&Attempt { looped: true, ..attempt(&[0], -0.05, 0.9) }), None);
    }
}
