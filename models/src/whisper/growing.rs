//! An utterance that is heard again and again while it grows.
//!
//! The encoder attends to all of its window, so that strictly every row changes with each sample that is added. Rows far
//! from the end hardly do: what was computed of them is kept, and only the last ones, the new ones and the silence that
//! follows are computed anew, attending to all. The decoder is then told what it said before, and checks it in one go.

use super::network::{KeyValues, Network};
use super::recognition::POSITION_SAMPLES;
use burn::tensor::Tensor;
use std::ops::Range;

/// Longer sound is heard in the ordinary way.
pub(super) const GROWING_SAMPLES_MAX: usize = 20 * 16_000;
/// Silence that is heard after the sound, in positions: this much when the window is made, and at least so much.
const SILENT_POSITIONS: usize = 200;
const SILENT_POSITIONS_MIN: usize = 100;
/// Positions before the end of what was heard that are computed again, 1.5 s: later sound may change what they are.
const AGAIN_POSITIONS: usize = 75;
/// Positions of the silence after the end that are computed anew.
const AFTER_POSITIONS: usize = 50;
/// Positions around those that are wanted, whose convolutions lack a neighbour.
const EDGE_POSITIONS: usize = 2;

/// What the encoder made of an utterance so far, and what the decoder said.
pub(super) struct Heard {
    /// Positions of sound.
    spoken: usize,
    /// All positions, those of silence included.
    positions: usize,
    /// What each layer's rows ask of one another.
    layers: Vec<Tensor<2>>,
    pub(super) cross: Vec<KeyValues>,
    pub(super) tokens: Vec<u32>,
}

/// The positions to compute of an utterance that has grown.
pub(super) struct Growth<'a> {
    before: Option<&'a Heard>,
    pub(super) fresh: Range<usize>,
    positions: usize,
    spoken: usize,
    layers: Vec<Tensor<2>>,
    cross: Vec<KeyValues>,
}

impl<'a> Growth<'a> {
    /// What is to be computed for so many samples; `whole` positions are the most there can be.
    pub(super) fn new(samples: usize, before: Option<&'a Heard>, whole: usize) -> Self {
        let spoken = samples.div_ceil(POSITION_SAMPLES);
        let before = before.filter(|before| before.spoken <= spoken);
        let first = before.map_or(0, |before| before.spoken.saturating_sub(AGAIN_POSITIONS));
        let fits = before.filter(|before| spoken + SILENT_POSITIONS_MIN <= before.positions);
        let (positions, end) = match fits {
            Some(before) => (before.positions, (spoken + AFTER_POSITIONS).min(before.positions)),
            None => {
                let positions = (spoken + SILENT_POSITIONS).min(whole);
                (positions, positions)
            }
        };
        Self { before, fresh: first..end, positions, spoken, layers: Vec::new(), cross: Vec::new() }
    }

    /// The first row of the encoder's input that the convolutions need, and how many rows.
    fn input(&self) -> (usize, usize) {
        let first = self.fresh.start.saturating_sub(EDGE_POSITIONS);
        (first, (self.fresh.end + EDGE_POSITIONS).min(self.positions) - first)
    }

    /// The samples of those rows, and how many spectrum frames they are.
    pub(super) fn sound<'s>(&self, samples: &'s [f32]) -> (&'s [f32], usize) {
        let (first, count) = self.input();
        (&samples[(first * POSITION_SAMPLES).min(samples.len())..], 2 * count)
    }

    /// The fresh rows of the encoder's input, from what the first convolution made of the sound.
    pub(super) fn listen(&self, network: &Network, heard: Tensor<2>) -> Tensor<2> {
        let first = self.input().0;
        network.listen(heard, first).slice([self.fresh.start - first..self.fresh.end - first])
    }

    /// Takes in what the next layer's fresh rows ask; gives that of all rows.
    pub(super) fn project(&mut self, fresh: Tensor<2>) -> Tensor<2> {
        let before = self.before.and_then(|before| before.layers.get(self.layers.len()));
        let all = self.splice(before, fresh);
        self.layers.push(all.clone());
        all
    }

    /// Takes in what the next decoder layer hears of the fresh rows.
    pub(super) fn cross(&mut self, fresh: KeyValues) {
        let before = self.before.and_then(|before| before.cross.get(self.cross.len())).map(|before| &before.0);
        let all = KeyValues(self.splice(before, fresh.0));
        self.cross.push(all);
    }

    fn splice(&self, before: Option<&Tensor<2>>, fresh: Tensor<2>) -> Tensor<2> {
        let Some(before) = before else { return fresh };
        let part = |rows: Range<usize>| (!rows.is_empty()).then(|| before.clone().slice([rows]));
        let parts = [part(0..self.fresh.start), Some(fresh), part(self.fresh.end..self.positions)];
        Tensor::cat(parts.into_iter().flatten().collect(), 0)
    }

    /// What is to be remembered, but for the tokens.
    pub(super) fn done(self) -> Heard {
        let Self { positions, spoken, layers, cross, .. } = self;
        Heard { spoken, positions, layers, cross, tokens: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(spoken: usize, positions: usize) -> Heard {
        Heard { spoken, positions, layers: Vec::new(), cross: Vec::new(), tokens: Vec::new() }
    }

    #[test]
    fn only_the_end_is_computed_again_while_there_is_silence_left() {
        let of = |samples: usize, before: Option<&Heard>| {
            let growth = Growth::new(samples, before, 1_500);
            (growth.fresh.clone(), growth.positions)
        };
        let at = |spoken: usize| spoken * POSITION_SAMPLES;
        assert_eq!(of(at(100), None), (0..300, 300));
        assert_eq!(of(at(125), Some(&heard(100, 300))), (25..175, 300));
        assert_eq!(of(at(225), Some(&heard(200, 300))), (125..425, 425), "a longer window");
        assert_eq!(of(at(90), Some(&heard(100, 300))), (0..290, 290), "another utterance");
        assert_eq!(of(at(1_450), Some(&heard(1_400, 1_500))), (1_325..1_500, 1_500));
    }
}
