//! Incremental encoding of an utterance that grows.
//!
//! The encoder attends to all of its window, so that strictly every row changes with each sample that is added. Rows far
//! from the end hardly do: what was computed of them is kept, and only the last ones, the new ones and the silence that
//! follows are computed again, attending to all. The decoder then checks its earlier tokens in one go.

use super::network::{KeyValues, Network};
use super::shape::POSITION_SAMPLES;
use burn::tensor::Tensor;
use std::ops::Range;

/// Longer audio is encoded as a whole.
pub(super) const GROWING_SAMPLES_MAX: usize = 20 * 16_000;
/// Silence encoded after the audio, in positions: 4 s.
const SILENT_POSITIONS: usize = 200;
/// Positions before the end of the earlier audio that are computed again, 1 s: later audio may change them.
const AGAIN_POSITIONS: usize = 50;
/// Positions of the silence after the end that are computed again.
const AFTER_POSITIONS: usize = 25;
/// Positions around those that are wanted, whose convolutions lack a neighbour.
const EDGE_POSITIONS: usize = 2;

/// The encoder's rows of an utterance so far, and the decoder's tokens.
pub(super) struct EncoderCache {
    /// Positions of audio.
    spoken: usize,
    /// All positions, those of silence included.
    positions: usize,
    /// Queries, keys and values of each layer.
    layers: Vec<Tensor<2>>,
    pub(super) cross: Vec<KeyValues>,
    pub(super) tokens: Vec<u32>,
}

/// The positions to compute of an utterance that has grown.
pub(super) struct Growth<'a> {
    before: Option<&'a EncoderCache>,
    /// Those around the new audio, and those by which the silence at the end grew.
    fresh: [Range<usize>; 2],
    positions: usize,
    spoken: usize,
    layers: Vec<Tensor<2>>,
    cross: Vec<KeyValues>,
}

impl<'a> Growth<'a> {
    /// The rows to compute for so many samples; `whole` positions are the most there can be.
    pub(super) fn new(samples: usize, before: Option<&'a EncoderCache>, whole: usize) -> Self {
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
    pub(super) fn audio<'s>(&self, samples: &'s [f32]) -> (&'s [f32], usize) {
        let (first, count) = self.input();
        (&samples[(first * POSITION_SAMPLES).min(samples.len())..], 2 * count)
    }

    /// The fresh rows of the encoder's input, from the first convolution's output for the audio.
    pub(super) fn encoder_input(&self, network: &Network, frames: Tensor<2>) -> Tensor<2> {
        let first = self.input().0;
        let x = network.encoder_input(frames, first);
        let rows = self.fresh().map(|rows| x.clone().slice(rows.start - first..rows.end - first));
        Tensor::cat(rows.collect(), 0)
    }

    /// Takes in the next layer's fresh queries, keys and values; gives those of all rows.
    pub(super) fn project(&mut self, fresh: Tensor<2>) -> Tensor<2> {
        let before = self.before.and_then(|before| before.layers.get(self.layers.len()));
        let all = self.splice(before, fresh);
        self.layers.push(all.clone());
        all
    }

    /// Takes in the next decoder layer's cross-attention keys and values of the fresh rows.
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

    /// The cache for the next time, without tokens.
    pub(super) fn into_cache(self) -> EncoderCache {
        let Self { positions, spoken, layers, cross, .. } = self;
        EncoderCache { spoken, positions, layers, cross, tokens: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(spoken: usize, positions: usize) -> EncoderCache {
        EncoderCache { spoken, positions, layers: Vec::new(), cross: Vec::new(), tokens: Vec::new() }
    }

    #[test]
    fn growth_computes_new_rows_and_their_neighbours() {
        let of = |spoken: usize, before: Option<&EncoderCache>| {
            let growth = Growth::new(spoken * POSITION_SAMPLES, before, 1_500);
            (growth.fresh.clone(), growth.positions)
        };
        assert_eq!(of(100, None), ([0..300, 300..300], 300));
        assert_eq!(of(125, Some(&cache(100, 300))), ([50..150, 300..325], 325));
        assert_eq!(of(290, Some(&cache(100, 300))), ([50..490, 490..490], 490), "nothing of the silence is left");
        assert_eq!(of(90, Some(&cache(100, 300))), ([0..290, 290..290], 290), "another utterance");
        assert_eq!(of(1_450, Some(&cache(1_400, 1_500))), ([1_350..1_475, 1_500..1_500], 1_500));
    }

    #[test]
    fn fresh_rows_are_spliced_among_cached_rows() {
        let rows = |range: Range<usize>| {
            let values: Vec<f32> = range.map(|row| row as f32).collect();
            Tensor::<1>::from_data(&values[..], &Default::default()).unsqueeze_dim::<2>(1)
        };
        let before = cache(100, 300);
        let growth = Growth::new(125 * POSITION_SAMPLES, Some(&before), 1_500);
        let all = growth.splice(Some(&rows(0..300)), Tensor::cat(vec![rows(1_050..1_150), rows(1_300..1_325)], 0));
        let all: Vec<f32> = all.into_data().try_to_vec().unwrap();
        let expected = |row: usize| if growth.fresh.iter().any(|rows| rows.contains(&row)) { row + 1_000 } else { row };
        assert_eq!(all, (0..325).map(|row| expected(row) as f32).collect::<Vec<_>>());
    }
}
