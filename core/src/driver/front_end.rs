//! The inquiries: sound as it comes, at one rate, with the probability of speech frame by frame.

use super::background_gate::BackgroundGate;
use super::exec::contained;
use super::microphone::{Block, Part, Source};
use super::{Message, SessionShared, Shared};
use crate::audio::{AnyRate, EchoCanceller};
use crate::backend::{CancelFlag, UtteranceCache, Vad};
use crate::error::Result;
use crate::event::{ErrorInfo, EventKind};
use crate::turn::Input;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The pole of the filter that takes out a constant offset: -3 dB at 13 Hz.
const OFFSET_POLE: f32 = 0.995;

/// Turns blocks of any size and rate into frames with a probability of speech.
pub(crate) struct FrontEnd {
    vad: Box<dyn Vad>,
    background: BackgroundGate,
    heard: AnyRate,
    /// The last sample before and after the filter against offsets.
    offset: (f32, f32),
    /// What the speaker plays, once the host tells.
    played: Option<(AnyRate, EchoCanceller)>,
    /// Sound on its way, reused from block to block.
    scratch: Vec<f32>,
    pending: Vec<f32>,
}

impl FrontEnd {
    pub(crate) fn new(vad: Box<dyn Vad>) -> Self {
        Self {
            vad,
            background: BackgroundGate::new(),
            heard: AnyRate::default(),
            offset: (0.0, 0.0),
            played: None,
            scratch: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Takes a block, and hands each frame that is complete to `each`, with its probability of speech.
    pub(crate) fn push(&mut self, samples: &[f32], rate: u32, mut each: impl FnMut(&[f32], f32)) -> Result<()> {
        self.scratch.clear();
        self.heard.push(samples, rate, &mut self.scratch)?;
        for sample in &mut self.scratch {
            let (last_in, last_out) = self.offset;
            self.offset = (*sample, *sample - last_in + OFFSET_POLE * last_out);
            *sample = self.offset.1.clamp(-1.0, 1.0);
        }
        match &mut self.played {
            Some((_, canceller)) => canceller.process(&self.scratch, &mut self.pending),
            None => self.pending.extend_from_slice(&self.scratch),
        }
        let frame_len = self.vad.frame_len().max(1);
        let mut done = 0;
        while let Some(frame) = self.pending.get(done..done + frame_len) {
            let probability = self.vad.process(frame)?;
            each(frame, self.background.gate(frame, probability));
            done += frame_len;
        }
        self.pending.drain(..done);
        Ok(())
    }

    /// Another microphone is heard from now on: what was learned of the last one is forgotten.
    fn restart(&mut self) {
        self.vad.reset();
        self.background = BackgroundGate::new();
        (self.heard, self.offset, self.played) = (AnyRate::default(), (0.0, 0.0), None);
        self.pending.clear();
    }

    /// Takes what the speaker plays: from now on its echo is taken out of what is heard.
    pub(crate) fn push_playback(&mut self, samples: &[f32], rate: u32) -> Result<()> {
        let (any_rate, canceller) = self.played.get_or_insert_with(|| (AnyRate::default(), EchoCanceller::new()));
        self.scratch.clear();
        any_rate.push(samples, rate, &mut self.scratch)?;
        canceller.push_playback(&self.scratch);
        Ok(())
    }
}

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

    /// Drops the cache of an utterance that started before this place.
    pub(crate) fn evict_before(&mut self, place: u64) {
        self.cache.take_if(|_| self.start < place);
    }
}

/// The last sound that was heard, by its place in all that was.
#[derive(Debug, Default)]
pub(crate) struct History {
    start: u64,
    samples: VecDeque<f32>,
}

impl History {
    /// Adds samples; gives the place after the last.
    pub(crate) fn push(&mut self, samples: &[f32]) -> u64 {
        self.samples.extend(samples);
        self.start + self.samples.len() as u64
    }

    pub(crate) fn evict_before(&mut self, place: u64) {
        let gone = place.saturating_sub(self.start).min(self.samples.len() as u64);
        self.samples.drain(..gone as usize);
        self.start += gone;
    }

    /// A copy of the span, as far as it is there.
    pub(crate) fn copy(&self, span: Range<u64>) -> Arc<[f32]> {
        let place = |at: u64| at.clamp(self.start, self.start + self.samples.len() as u64) - self.start;
        let (start, end) = (place(span.start) as usize, place(span.end) as usize);
        self.samples.range(start..end.max(start)).copied().collect()
    }
}

/// Listens to a session's microphone until it is closed.
pub(crate) async fn listen(shared: Arc<Shared>, session: Arc<SessionShared>) {
    let Err(error) = contained(listen_on(&shared, &session)).await else { return };
    tracing::warn!(error = format!("{error:#}"), "listening failed");
    let at_ms = shared.clock.monotonic_us().saturating_sub(session.opened_us) / 1000;
    session.events.push(Some(session.id), None, at_ms, EventKind::Error(ErrorInfo::from(&error)));
}

async fn listen_on(shared: &Shared, session: &SessionShared) -> Result<()> {
    let model = shared.ready(&shared.backends.vad, "voice activity detector")?;
    let mut front_end = FrontEnd::new(model.open()?);
    let (mut block, never) = (Block::default(), CancelFlag::new());
    while session.microphone.next(&mut block).await {
        // A host that reads no events is not listened to for ever: `push_audio` will tell it.
        session.events.wait_for_room(&never).await;
        for part in block.parts() {
            match part {
                Part::Sound { source: Source::Playback, rate, samples } => front_end.push_playback(samples, rate)?,
                Part::Sound { source: Source::Microphone, rate, samples } => {
                    front_end.push(samples, rate, |frame, probability| {
                        let end = session.history.lock().push(frame);
                        shared.send(Message::Machine(session.key, Input::Speech { end, probability }));
                    })?
                }
                Part::Resumed => front_end.restart(),
                Part::End(mark) => {
                    let input = Input::EndUtterance { reason: mark.reason, turn: mark.turn };
                    shared.send(Message::Machine(session.key, input));
                }
            }
        }
        futures_lite::future::yield_now().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Loudness;

    impl Vad for Loudness {
        fn frame_len(&self) -> usize {
            512
        }
        fn process(&mut self, frame: &[f32]) -> Result<f32> {
            Ok(frame.iter().map(|sample| sample.abs()).sum::<f32>() / 512.0)
        }
        fn reset(&mut self) {}
    }

    #[test]
    fn a_rate_that_changes_leaves_no_gap() {
        let mut front_end = FrontEnd::new(Box::new(Loudness));
        let mut heard = 0;
        for rate in [48_000, 16_000, 44_100, 8_000] {
            for _ in 0..100 {
                let block = vec![0.1; rate as usize / 100];
                front_end.push(&block, rate, |frame, _| heard += frame.len()).unwrap();
            }
        }
        // Up to a frame and what the last filter still holds.
        assert!((63_000..=64_000).contains(&heard), "{heard} of 64000 samples");
    }

    #[test]
    fn a_constant_offset_is_not_heard() {
        let mut front_end = FrontEnd::new(Box::new(Loudness));
        let mut last = 1.0;
        front_end.push(&vec![0.4; 16_000], 16_000, |_, probability| last = probability).unwrap();
        assert!(last < 0.001, "{last}");
    }

    #[test]
    fn what_was_learned_of_one_microphone_does_not_hold_for_the_next() {
        let mut front_end = FrontEnd::new(Box::new(Loudness));
        let mut last = 0.0;
        let speech: Vec<f32> = (0..160_000).map(|at| 0.5 * (at as f32 / 5.0).sin()).collect();
        // Somebody who never stops is the background.
        front_end.push(&speech, 16_000, |_, probability| last = probability).unwrap();
        let doubted = last;
        front_end.restart();
        front_end.push(&speech[..1_024], 16_000, |_, probability| last = probability).unwrap();
        assert!(last > doubted + 0.2, "{doubted} and then {last}");
        // Of playback nothing is known any more: else it would be silent while the canceller learns.
        front_end.push_playback(&speech[..16_000], 16_000).unwrap();
        front_end.restart();
        front_end.push(&speech[..1_024], 16_000, |_, probability| last = probability).unwrap();
        assert!(last > 0.2, "{last}");
    }

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
