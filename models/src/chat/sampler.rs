//! [`Sampler`]: chooses the next token.

use super::tokenizer::Token;
use crate::sampling::{SplitMix, likeliest};
use std::hash::{BuildHasher, Hasher, RandomState};
use tertulia::backend::Sampling;

/// How far back the repetition penalty looks, in tokens.
pub(super) const PENALTY_WINDOW: usize = 64;

/// Chooses tokens by the rules of one request. The same seed and logits give the same tokens.
#[derive(Debug)]
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    top_k: usize,
    penalty: f32,
    random: SplitMix,
}

impl Sampler {
    pub(super) fn new(sampling: &Sampling) -> Self {
        // Each RandomState hashes differently, from the system's own entropy.
        let seed = sampling.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let positive = |value: f32, otherwise| if value.is_finite() && value > 0.0 { value } else { otherwise };
        Self {
            temperature: positive(sampling.temperature, 0.0),
            top_p: sampling.top_p.clamp(0.0, 1.0),
            top_k: sampling.top_k as usize,
            penalty: positive(sampling.repetition_penalty, 1.0),
            random: SplitMix(seed),
        }
    }

    /// Chooses one; `recent` are the tokens to be penalised. The order is llama.cpp's: penalty, top-k, top-p,
    /// temperature.
    pub(super) fn choose(&mut self, logits: &mut [f32], recent: impl Iterator<Item = Token>) -> Token {
        self.penalise(logits, recent);
        if self.temperature == 0.0 {
            return likeliest(logits);
        }
        let mut candidates: Vec<(Token, f32)> = (0..).zip(logits.iter().copied()).collect();
        let by_logit = |a: &(Token, f32), b: &(Token, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if self.top_k > 0 && self.top_k < candidates.len() {
            candidates.select_nth_unstable_by(self.top_k - 1, by_logit);
            candidates.truncate(self.top_k);
        }
        candidates.sort_unstable_by(by_logit);
        self.keep_top_p(&mut candidates);
        let most = candidates[0].1;
        let weights = candidates.iter().map(|(_, logit)| f64::from((logit - most) / self.temperature).exp());
        candidates[self.random.draw(weights).unwrap_or(0)].0
    }

    fn penalise(&self, logits: &mut [f32], recent: impl Iterator<Item = Token>) {
        if self.penalty == 1.0 {
            return;
        }
        let mut recent: Vec<Token> = recent.collect();
        recent.sort_unstable();
        recent.dedup();
        for token in recent {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = if *logit > 0.0 { *logit / self.penalty } else { *logit * self.penalty };
            }
        }
    }

    /// Keeps the likeliest, whose probabilities first reach `top_p`; one at least. `candidates` are sorted.
    fn keep_top_p(&self, candidates: &mut Vec<(Token, f32)>) {
        if self.top_p >= 1.0 {
            return;
        }
        let most = candidates[0].1;
        let weight = |logit: f32| f64::from(logit - most).exp();
        let needed = f64::from(self.top_p) * candidates.iter().map(|(_, logit)| weight(*logit)).sum::<f64>();
        let mut sum = 0.0;
        let reached = candidates.iter().position(|(_, logit)| {
            sum += weight(*logit);
            sum >= needed
        });
        candidates.truncate(reached.map_or(candidates.len(), |at| at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, -1.0, 0.0];

    fn counts(sampling: Sampling) -> [usize; 5] {
        let mut sampler = Sampler::new(&Sampling { seed: Some(7), ..sampling });
        let mut counts = [0; 5];
        for _ in 0..4000 {
            counts[sampler.choose(&mut LOGITS.clone(), std::iter::empty()) as usize] += 1;
        }
        counts
    }

    fn plain() -> Sampling {
        Sampling { temperature: 1.0, top_p: 1.0, top_k: 0, repetition_penalty: 1.0, ..Sampling::default() }
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let total: f32 = LOGITS.iter().map(|logit| logit.exp()).sum();
        for (count, logit) in counts(plain()).into_iter().zip(LOGITS) {
            let expected = 4000.0 * logit.exp() / total;
            assert!((count as f32 - expected).abs() < 4.0 * expected.sqrt() + 4.0, "{count}, not {expected}");
        }
    }

    #[test]
    fn top_k_and_top_p_keep_the_likeliest() {
        let [a, b, c, d, e] = counts(Sampling { top_k: 2, ..plain() });
        assert!(b > 0 && c > 0 && a + d + e == 0);
        // 3.0 has 64 % and 2.0 another 23 %.
        let [a, b, c, d, e] = counts(Sampling { top_p: 0.8, ..plain() });
        assert!(b > 0 && c > 0 && a + d + e == 0);
        assert_eq!(counts(Sampling { top_p: 0.0, ..plain() })[1], 4000);
    }

    #[test]
    fn the_penalty_lowers_both_signs() {
        let mut sampler = Sampler::new(&Sampling { temperature: 0.0, repetition_penalty: 2.0, ..plain() });
        let mut logits = LOGITS;
        assert_eq!(sampler.choose(&mut logits, [1, 3, 1].into_iter()), 2);
        assert_eq!(logits, [1.0, 1.5, 2.0, -2.0, 0.0]);
    }

    #[test]
    fn fresh_seeds_differ() {
        let mut draws: Vec<u64> = (0..4).map(|_| Sampler::new(&plain()).random.next()).collect();
        draws.dedup();
        assert_eq!(draws.len(), 4);
    }
}
