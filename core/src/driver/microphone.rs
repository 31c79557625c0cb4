//! The queue between `push_audio` and the ears, for sessions that listen all the time. What the speaker plays goes through
//! it too, so that the ears meet both in the order in which they happened.
//!
//! The host's audio threads only copy: they wait for nobody, and allocate nothing once the buffers have grown.

use crate::audio;
use crate::error::{Error, ErrorCode, Result};
use crate::event::{EndReason, TurnId};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Sound that is worth waking the ears for, in seconds.
const WAKE_S: f64 = 0.02;
/// What was played, where nothing is heard.
const PLAYED_WAKE_S: f64 = 1.0;

pub(crate) struct Microphone {
    inner: Mutex<Inner>,
    seconds_max: u32,
}

#[derive(Default)]
struct Inner {
    block: Block,
    waker: Option<Waker>,
    closed: bool,
}

/// What came in since the ears looked last.
#[derive(Default)]
pub(crate) struct Block {
    samples: Vec<f32>,
    pieces: Vec<Piece>,
    /// How much was heard, and how much was played.
    microphone_s: f64,
    playback_s: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Sound { source: Source, rate: u32, len: usize },
    End(Mark),
    Resumed,
}

/// Where sound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The microphone.
    Microphone,
    /// The speaker plays it.
    Playback,
}

/// The host says that what is being said is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) reason: EndReason,
    /// The turn that shall begin with it.
    pub(crate) turn: Option<TurnId>,
}

/// Sound of one source at one rate, or what the host told in between.
#[derive(Debug, PartialEq)]
pub(crate) enum Part<'a> {
    Sound {
        source: Source,
        rate: u32,
        samples: &'a [f32],
    },
    End(Mark),
    /// What follows may come from another microphone.
    Resumed,
}

impl Microphone {
    pub(crate) fn new(seconds_max: u32) -> Self {
        Self { inner: Mutex::default(), seconds_max }
    }

    /// Takes one block of so many channels, frame by frame, at `rate` samples a second.
    ///
    /// # Errors
    /// Nothing of the block is kept after [`ErrorCode::AudioInvalidRate`], [`ErrorCode::AudioInvalidSample`], or
    /// [`ErrorCode::AudioOverrun`]: the ears are as far behind as the longest utterance.
    pub(crate) fn push(&self, source: Source, samples: &[f32], channels: usize, rate: u32) -> Result<()> {
        audio::check_samples(samples, rate)?;
        audio::check_frames(samples, channels)?;
        let mut inner = self.inner.lock();
        if !inner.block.push(source, samples, channels, rate, f64::from(self.seconds_max)) {
            return Err(Error::new(ErrorCode::AudioOverrun, "the ears have fallen behind"));
        }
        let waker = if inner.block.is_worth_a_look() { inner.waker.take() } else { None };
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Puts a mark behind what was pushed so far.
    pub(crate) fn mark(&self, mark: Mark) {
        self.change(|inner| inner.block.pieces.push(Piece::End(mark)));
    }

    /// What is pushed from now on may come from another microphone.
    pub(crate) fn resume(&self) {
        self.change(|inner| inner.block.pieces.push(Piece::Resumed));
    }

    /// Nobody listens any more.
    pub(crate) fn close(&self) {
        self.change(|inner| inner.closed = true);
    }

    /// Fills `block` with what came in, once there is enough; false where nothing comes any more.
    pub(crate) async fn next(&self, block: &mut Block) -> bool {
        block.clear();
        poll_fn(|context| {
            let mut inner = self.inner.lock();
            if inner.closed {
                return Poll::Ready(false);
            }
            if inner.block.is_worth_a_look() {
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
    /// The sound and the marks, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut rest = &self.samples[..];
        self.pieces.iter().map(move |piece| match piece {
            Piece::Sound { source, rate, len } => {
                let (samples, later) = rest.split_at(*len);
                rest = later;
                Part::Sound { source: *source, rate: *rate, samples }
            }
            Piece::End(mark) => Part::End(*mark),
            Piece::Resumed => Part::Resumed,
        })
    }

    /// Adds sound; false where there would be more than so many seconds of its source.
    fn push(&mut self, source: Source, samples: &[f32], channels: usize, rate: u32, seconds_max: f64) -> bool {
        let total = match source {
            Source::Microphone => &mut self.microphone_s,
            Source::Playback => &mut self.playback_s,
        };
        let frames = samples.len() / channels;
        let seconds = frames as f64 / f64::from(rate);
        if *total + seconds > seconds_max {
            return false;
        }
        *total += seconds;
        self.samples.extend(audio::mono(samples, channels));
        match self.pieces.last_mut() {
            Some(Piece::Sound { source: last, rate: last_rate, len }) if (*last, *last_rate) == (source, rate) => {
                *len += frames;
            }
            _ => self.pieces.push(Piece::Sound { source, rate, len: frames }),
        }
        true
    }

    fn is_worth_a_look(&self) -> bool {
        self.microphone_s >= WAKE_S
            || self.playback_s >= PLAYED_WAKE_S
            || self.pieces.iter().any(|piece| matches!(piece, Piece::End(_)))
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
    fn parts_come_in_the_order_in_which_they_were_pushed() {
        let microphone = Microphone::new(1);
        microphone.push(Source::Microphone, &[0.1; 400], 1, 16_000).unwrap();
        microphone.push(Source::Microphone, &[0.2; 400], 1, 16_000).unwrap();
        let mark = Mark { reason: EndReason::Host, turn: Some(TurnId(3)) };
        microphone.mark(mark);
        microphone.resume();
        microphone.push(Source::Microphone, &[0.25, 0.75].repeat(480), 2, 48_000).unwrap();
        let mut block = Block::default();
        assert!(block_on(microphone.next(&mut block)));
        let parts: Vec<Part<'_>> = block.parts().collect();
        assert_eq!(parts.len(), 4);
        assert!(
            matches!(parts[0], Part::Sound { source: Source::Microphone, rate: 16_000, samples } if samples.len() == 800 && samples[799] == 0.2)
        );
        assert_eq!((&parts[1], &parts[2]), (&Part::End(mark), &Part::Resumed));
        assert!(
            matches!(parts[3], Part::Sound { source: Source::Microphone, rate: 48_000, samples } if samples == [0.5; 480])
        );
        microphone.close();
        assert!(!block_on(microphone.next(&mut block)));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_of_it_kept() {
        let microphone = Microphone::new(1);
        microphone.push(Source::Microphone, &[0.1; 10_000], 1, 16_000).unwrap();
        assert_eq!(
            microphone.push(Source::Microphone, &[0.1; 10_000], 1, 16_000).unwrap_err().code(),
            ErrorCode::AudioOverrun
        );
        assert_eq!(
            microphone.push(Source::Microphone, &[f32::NAN], 1, 16_000).unwrap_err().code(),
            ErrorCode::AudioInvalidSample
        );
        assert_eq!(microphone.push(Source::Microphone, &[0.0], 1, 0).unwrap_err().code(), ErrorCode::AudioInvalidRate);
        for (samples, channels, code) in [
            (&[0.0; 9][..], 9, ErrorCode::AudioInvalidRate),
            (&[0.0], 0, ErrorCode::AudioInvalidRate),
            (&[0.0; 3], 2, ErrorCode::AudioInvalidSample),
        ] {
            assert_eq!(microphone.push(Source::Microphone, samples, channels, 16_000).unwrap_err().code(), code);
        }
        let mut block = Block::default();
        assert!(block_on(microphone.next(&mut block)));
        assert_eq!(block.parts().count(), 1);
        microphone.push(Source::Microphone, &[0.1; 10_000], 1, 16_000).unwrap();
    }
}
