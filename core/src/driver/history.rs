//! The recent audio of a microphone, and the recogniser's cache of the utterance in it.

use crate::backend::UtteranceCache;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The recogniser's cache of the utterance under way.
#[derive(Debug, Default)]
pub(crate) struct CacheSlot {
    start: u64,
    cache: Option<UtteranceCache>,
}

impl CacheSlot {
    /// The cache of the utterance that starts here; an empty one where that is another than before.
    pub(crate) fn since(&mut self, start: u64) -> UtteranceCache {
        self.cache.take_if(|_| self.start != start);
        self.start = start;
        self.cache.get_or_insert_default().clone()
    }

    /// Drops the cache of an utterance that started before this position.
    pub(crate) fn evict_before(&mut self, position: u64) {
        self.cache.take_if(|_| self.start < position);
    }
}

/// The recent audio of a microphone, by position in samples.
#[derive(Debug, Default)]
pub(crate) struct History {
    start: u64,
    samples: VecDeque<f32>,
}

impl History {
    /// Adds samples; gives the position after the last.
    pub(crate) fn push(&mut self, samples: &[f32]) -> u64 {
        self.samples.extend(samples);
        self.start + self.samples.len() as u64
    }

    pub(crate) fn evict_before(&mut self, position: u64) {
        let gone = position.saturating_sub(self.start).min(self.samples.len() as u64);
        self.samples.drain(..gone as usize);
        self.start += gone;
    }

    /// A copy of the span, as far as it is there.
    pub(crate) fn copy(&self, span: Range<u64>) -> Arc<[f32]> {
        let index = |at: u64| at.clamp(self.start, self.start + self.samples.len() as u64) - self.start;
        let (start, end) = (index(span.start) as usize, index(span.end) as usize);
        self.samples.range(start..end.max(start)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_gives_what_it_still_has() {
        let mut history = History::default();
        assert_eq!(history.push(&[1.0, 2.0, 3.0]), 3);
        assert_eq!(history.push(&[4.0]), 4);
        history.evict_before(2);
        assert_eq!(*history.copy(0..4), [3.0, 4.0]);
        assert_eq!(*history.copy(3..9), [4.0]);
        assert!(history.copy(7..9).is_empty());
        history.evict_before(100);
        assert!(history.copy(0..100).is_empty());
        assert_eq!(history.push(&[5.0]), 5);
    }
}
