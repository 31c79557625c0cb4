//! The choice of a token: the likeliest, or one drawn by chance.

/// A small deterministic generator (Steele et al. 2014, <https://doi.org/10.1145/2660193.2660195>): the same seed gives
/// the same numbers.
#[derive(Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The index of one of the weights, each as likely as its share of their sum; `None` where rounding leaves none.
    #[cfg(any(feature = "whisper", feature = "chat"))]
    pub(crate) fn draw(&mut self, mut weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let mut left = unit * weights.clone().sum::<f64>();
        weights.position(|weight| {
            left -= weight;
            left < 0.0
        })
    }
}

/// The token with the greatest logit, the first of equals.
#[cfg(any(feature = "whisper", feature = "chat"))]
pub(crate) fn likeliest(logits: &[f32]) -> u32 {
    let (mut token, mut most) = (0, f32::NEG_INFINITY);
    for (at, &logit) in (0..).zip(logits) {
        if logit > most {
            (token, most) = (at, logit);
        }
    }
    token
}
