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
/// Silence that is heard after the sound, in positions: 4 s.
const SILENT_POSITIONS: usize = 200;
/// Positions before the end of what was heard that are computed again, 1 s: later sound may change what they are.
const AGAIN_POSITIONS: usize = 50;
/// Positions of the silence after the end that are computed anew.
const AFTER_POSITIONS: usize = 25;
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
    /// Those around the new sound, and those by which the silence at the end grew.
    fresh: [Range<usize>; 2],
    positions: usize,
    spoken: usize,
    layers: Vec<Tensor<2>>,
    cross: Vec<KeyValues>,
}

impl<'a> Growth<'a> {
    /// What is to be computed for so many samples; `whole` positions are the most there can be.
    pub(super) fn new(samples: usize, before: Option<&'a Heard>, whole: usize) -> Self {
        let spoken = samples.div_ceil(POSITION_SAMPLES);
        let positions = (spoken + SILENT_POSITIONS).min(whole);
        let before = before.filter(|before| before.spoken <= spoken);
        let fresh = match before {
            None => [0..positions, positions..positions],
            Some(before) => {
                let first = before.spoken.saturating_sub(AGAIN_POSITIONS);
                let end = (spoken + AFTER_POSITIONS).min(positions);
                // Nothing of the silence is left: all of it is new.
                let end = if before.positions <= end { positions } else { end };
                [first..end, before.positions.max(end)..positions]
            }
        };
        Self { before, fresh, positions, spoken, layers: Vec::new(), cross: Vec::new() }
    }

    /// The first row of the encoder's input that the convolutions need, and how many rows.
    fn input(&self) -> (usize, usize) {
        let first = self.fresh[0].start.saturating_sub(EDGE_POSITIONS);
        let end = if self.fresh[1].is_empty() { self.fresh[0].end } else { self.fresh[1].end };
        (first, (end + EDGE_POSITIONS).min(self.positions) - first)
    }

    fn fresh(&self) -> impl Iterator<Item = &Range<usize>> {
        self.fresh.iter().filter(|rows| !rows.is_empty())
    }

    /// The samples of those rows, and how many spectrum frames they are.
    pub(super) fn sound<'s>(&self, samples: &'s [f32]) -> (&'s [f32], usize) {
        let (first, count) = self.input();
        (&samples[(first * POSITION_SAMPLES).min(samples.len())..], 2 * count)
    }

    /// The fresh rows of the encoder's input, from what the first convolution made of the sound.
    pub(super) fn listen(&self, network: &Network, heard: Tensor<2>) -> Tensor<2> {
        let first = self.input().0;
        let x = network.listen(heard, first);
        let rows = self.fresh().map(|rows| x.clone().slice(rows.start - first..rows.end - first));
        Tensor::cat(rows.collect(), 0)
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

    /// All rows: the fresh ones among those from before.
    fn splice(&self, before: Option<&Tensor<2>>, fresh: Tensor<2>) -> Tensor<2> {
        let Some(before) = before else { return fresh };
        let (mut parts, mut at, mut taken) = (Vec::new(), 0, 0);
        for rows in self.fresh() {
            if at < rows.start {
                parts.push(before.clone().slice(at..rows.start));
            }
            parts.push(fresh.clone().slice(taken..taken + rows.len()));
            (at, taken) = (rows.end, taken + rows.len());
        }
        if at < self.positions {
            parts.push(before.clone().slice(at..self.positions));
        }
        Tensor::cat(parts, 0)
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
    fn only_what_is_new_and_what_is_near_it_is_computed() {
        let of = |spoken: usize, before: Option<&Heard>| {
            let growth = Growth::new(spoken * POSITION_SAMPLES, before, 1_500);
            (growth.fresh.clone(), growth.positions)
        };
        assert_eq!(of(100, None), ([0..300, 300..300], 300));
        assert_eq!(of(125, Some(&heard(100, 300))), ([50..150, 300..325], 325));
        assert_eq!(of(290, Some(&heard(100, 300))), ([50..490, 490..490], 490), "nothing of the silence is left");
        assert_eq!(of(90, Some(&heard(100, 300))), ([0..290, 290..290], 290), "another utterance");
        assert_eq!(of(1_450, Some(&heard(1_400, 1_500))), ([1_350..1_475, 1_500..1_500], 1_500));
    }

    #[test]
    fn fresh_rows_stand_among_those_from_before() {
        let rows = |range: Range<usize>| {
            let values: Vec<f32> = range.map(|row| row as f32).collect();
            Tensor::<1>::from_data(&values[..], &Default::default()).unsqueeze_dim::<2>(1)
        };
        let before = heard(100, 300);
        let growth = Growth::new(125 * POSITION_SAMPLES, Some(&before), 1_500);
        let all = growth.splice(Some(&rows(0..300)), Tensor::cat(vec![rows(1_050..1_150), rows(1_300..1_325)], 0));
        let all: Vec<f32> = all.into_data().try_to_vec().unwrap();
        let expected = |row: usize| if growth.fresh.iter().any(|rows| rows.contains(&row)) { row + 1_000 } else { row };
        assert_eq!(all, (0..325).map(|row| expected(row) as f32).collect::<Vec<_>>());
    }
}
