//! The bounded queue between `push_audio` and the front end. Playback passes through it too, so that the front end gets
//! both in the order in which they were pushed.
//!
//! The host's audio threads only copy: they never wait, and allocate nothing once the buffers have grown.

use crate::audio::{self, Sample};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{EndReason, TurnId};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Microphone audio that wakes the task, in seconds.
const WAKE_S: f64 = 0.02;
/// Playback that wakes it without any.
const PLAYBACK_WAKE_S: f64 = 1.0;

pub(crate) struct Microphone {
    inner: Mutex<Inner>,
    seconds_max: f64,
}

#[derive(Default)]
struct Inner {
    block: Block,
    /// Seconds of the utterance of push-to-talk under way.
    utterance_s: f64,
    waker: Option<Waker>,
    closed: bool,
}

/// The audio and marks pushed since the task looked last.
#[derive(Default)]
pub(crate) struct Block {
    samples: Vec<f32>,
    pieces: Vec<Piece>,
    microphone_s: f64,
    playback_s: f64,
}

/// Samples of one source at one rate, or a mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Piece {
    Sound { source: Source, rate: u32, len: usize },
    Mark(Mark),
}

/// Where audio comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A microphone in which the engine finds utterances by itself.
    OpenMicrophone,
    /// A microphone whose host tells where an utterance ends.
    PushToTalk,
    /// The speaker plays it.
    Playback,
}

/// A call of the host, in its place among the audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mark {
    /// The utterance in an open microphone ends; `turn` begins with it.
    End { reason: EndReason, turn: Option<TurnId> },
    /// The utterance of push-to-talk is complete; without a turn it is dropped.
    UtteranceEnd(Option<TurnId>),
    /// The utterance under way is dropped.
    Discard,
    /// Another microphone may follow.
    Resumed,
}

impl Microphone {
    pub(crate) fn new(seconds_max: u32) -> Self {
        Self { inner: Mutex::default(), seconds_max: f64::from(seconds_max) }
    }

    /// Takes one block of so many channels, frame by frame, at `rate` samples a second.
    ///
    /// # Errors
    /// [`ErrorCode::AudioInvalidRate`], [`ErrorCode::AudioInvalidSample`]: nothing of the block is kept.
    /// [`ErrorCode::AudioOverrun`]: the queue, or the utterance of push-to-talk, is as long as the longest utterance;
    /// of the latter what fits is kept.
    pub(crate) fn push<S: Sample>(&self, source: Source, samples: &[S], channels: usize, rate: u32) -> Result<()> {
        audio::check_samples(samples, rate)?;
        audio::check_frames(samples, channels)?;
        if samples.is_empty() {
            return Ok(());
        }
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let frames = samples.len() / channels;
        let (used_s, whole) = match source {
            Source::OpenMicrophone => (&mut inner.block.microphone_s, true),
            Source::Playback => (&mut inner.block.playback_s, true),
            Source::PushToTalk => (&mut inner.utterance_s, false),
        };
        let room = ((self.seconds_max - *used_s) * f64::from(rate) + 1e-3).max(0.0) as usize;
        let fits = if whole && room < frames { 0 } else { room.min(frames) };
        *used_s += fits as f64 / f64::from(rate);
        if fits > 0 {
            inner.block.push(source, &samples[..fits * channels], channels, rate);
        }
        let waker = if inner.block.is_due() { inner.waker.take() } else { None };
        drop(guard);
        if let Some(waker) = waker {
            waker.wake();
        }
        match fits == frames {
            true => Ok(()),
            false => Err(Error::new(ErrorCode::AudioOverrun, format!("more than {} s of audio", self.seconds_max))),
        }
    }

    /// Puts a mark behind what was pushed so far.
    pub(crate) fn mark(&self, mark: Mark) {
        self.change(|inner| inner.block.pieces.push(Piece::Mark(mark)));
    }

    /// Begins another utterance of push-to-talk; false where nothing was pushed of the last one.
    pub(crate) fn take_utterance(&self) -> bool {
        std::mem::take(&mut self.inner.lock().utterance_s) > 0.0
    }

    /// Ends the task.
    pub(crate) fn close(&self) {
        self.change(|inner| inner.closed = true);
    }

    /// Fills `block` with what was pushed, once it is enough; false once the microphone is closed.
    pub(crate) async fn next(&self, block: &mut Block) -> bool {
        block.clear();
        poll_fn(|context| {
            let mut inner = self.inner.lock();
            if inner.closed {
                return Poll::Ready(false);
            }
            if inner.block.is_due() {
                std::mem::swap(&mut inner.block, block);
                return Poll::Ready(true);
            }
            inner.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner.lock();
        change(&mut inner);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Block {
    /// The pieces in order, each with its samples.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (Piece, &[f32])> {
        let mut rest = &self.samples[..];
        self.pieces.iter().map(move |piece| {
            let len = if let Piece::Sound { len, .. } = piece { *len } else { 0 };
            let samples;
            (samples, rest) = rest.split_at(len);
            (*piece, samples)
        })
    }

    fn push<S: Sample>(&mut self, source: Source, samples: &[S], channels: usize, rate: u32) {
        let frames = samples.len() / channels;
        audio::push_mono(samples, channels, &mut self.samples);
        if source == Source::PushToTalk {
            self.microphone_s += frames as f64 / f64::from(rate);
        }
        match self.pieces.last_mut() {
            Some(Piece::Sound { source: last, rate: last_rate, len }) if (*last, *last_rate) == (source, rate) => {
                *len += frames;
            }
            _ => self.pieces.push(Piece::Sound { source, rate, len: frames }),
        }
    }

    fn is_due(&self) -> bool {
        let is_end =
            |piece: &Piece| matches!(piece, Piece::Mark(Mark::End { .. } | Mark::UtteranceEnd(_) | Mark::Discard));
        self.microphone_s >= WAKE_S || self.playback_s >= PLAYBACK_WAKE_S || self.pieces.iter().any(is_end)
    }

    fn clear(&mut self) {
        self.samples.clear();
        self.pieces.clear();
        (self.microphone_s, self.playback_s) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::block_on;

    #[test]
    fn microphone_queue_keeps_the_order_of_pushes() {
        let microphone = Microphone::new(1);
        microphone.push(Source::OpenMicrophone, &[0.1; 400], 1, 16_000).unwrap();
        microphone.push(Source::OpenMicrophone, &[0.2; 400], 1, 16_000).unwrap();
        let mark = Mark::End { reason: EndReason::Host, turn: Some(TurnId(3)) };
        microphone.mark(mark);
        microphone.mark(Mark::Resumed);
        microphone.push(Source::OpenMicrophone, &[0.25, 0.75].repeat(480), 2, 48_000).unwrap();
        let mut block = Block::default();
        assert!(block_on(microphone.next(&mut block)));
        let sound = |rate, len| Piece::Sound { source: Source::OpenMicrophone, rate, len };
        let pieces: Vec<Piece> = block.pieces().map(|(piece, _)| piece).collect();
        assert_eq!(pieces, [sound(16_000, 800), Piece::Mark(mark), Piece::Mark(Mark::Resumed), sound(48_000, 480)]);
        let samples: Vec<&[f32]> = block.pieces().map(|(_, samples)| samples).collect();
        assert_eq!((samples[0][799], samples[3]), (0.2, &[0.5; 480][..]));
        microphone.close();
        assert!(!block_on(microphone.next(&mut block)));
    }
}
