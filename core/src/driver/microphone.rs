//! The bounded queue between `push_audio` and the front end. Playback passes through it too, so that the front end gets
//! both in the order in which they were pushed.
//!
//! The host's audio threads only copy: they never wait, and allocate nothing once the buffers have grown.

use crate::audio;
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Sound { source: Source, rate: u32, len: usize },
    End(Mark),
    UtteranceEnd(Option<TurnId>),
    Resumed,
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

/// The host ends the utterance in an open microphone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) reason: EndReason,
    /// The turn that shall begin with it.
    pub(crate) turn: Option<TurnId>,
}

/// Audio of one source at one rate, or a mark.
#[derive(Debug, PartialEq)]
pub(crate) enum Part<'a> {
    Sound {
        source: Source,
        rate: u32,
        samples: &'a [f32],
    },
    End(Mark),
    /// The utterance of push-to-talk is complete; without a turn it is dropped.
    UtteranceEnd(Option<TurnId>),
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
    pub(crate) fn push(&self, source: Source, samples: &[f32], channels: usize, rate: u32) -> Result<()> {
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
        self.change(|inner| inner.block.pieces.push(Piece::End(mark)));
    }

    /// Begins another utterance of push-to-talk; false where nothing was pushed of the last one.
    pub(crate) fn take_utterance(&self) -> bool {
        std::mem::take(&mut self.inner.lock().utterance_s) > 0.0
    }

    /// Puts the end of that utterance behind what was pushed so far; without a turn it is dropped.
    pub(crate) fn end_utterance(&self, turn: Option<TurnId>) {
        self.change(|inner| inner.block.pieces.push(Piece::UtteranceEnd(turn)));
    }

    /// Another microphone may follow.
    pub(crate) fn resume(&self) {
        self.change(|inner| inner.block.pieces.push(Piece::Resumed));
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
    /// The audio and the marks, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut rest = &self.samples[..];
        self.pieces.iter().map(move |piece| match piece {
            Piece::Sound { source, rate, len } => {
                let (samples, later) = rest.split_at(*len);
                rest = later;
                Part::Sound { source: *source, rate: *rate, samples }
            }
            Piece::End(mark) => Part::End(*mark),
            Piece::UtteranceEnd(turn) => Part::UtteranceEnd(*turn),
            Piece::Resumed => Part::Resumed,
        })
    }

    fn push(&mut self, source: Source, samples: &[f32], channels: usize, rate: u32) {
        let frames = samples.len() / channels;
        self.samples.extend(audio::mono(samples, channels));
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
        let is_end = |piece: &Piece| matches!(piece, Piece::End(_) | Piece::UtteranceEnd(_));
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
        let mark = Mark { reason: EndReason::Host, turn: Some(TurnId(3)) };
        microphone.mark(mark);
        microphone.resume();
        microphone.push(Source::OpenMicrophone, &[0.25, 0.75].repeat(480), 2, 48_000).unwrap();
        let mut block = Block::default();
        assert!(block_on(microphone.next(&mut block)));
        let parts: Vec<Part<'_>> = block.parts().collect();
        assert_eq!(parts.len(), 4);
        assert!(
            matches!(parts[0], Part::Sound { source: Source::OpenMicrophone, rate: 16_000, samples } if samples.len() == 800 && samples[799] == 0.2)
        );
        assert_eq!((&parts[1], &parts[2]), (&Part::End(mark), &Part::Resumed));
        assert!(
            matches!(parts[3], Part::Sound { source: Source::OpenMicrophone, rate: 48_000, samples } if samples == [0.5; 480])
        );
        microphone.close();
        assert!(!block_on(microphone.next(&mut block)));
    }

    #[test]
    fn overrun_of_the_microphone_queue_keeps_nothing_of_the_block() {
        let microphone = Microphone::new(1);
        microphone.push(Source::OpenMicrophone, &[0.1; 10_000], 1, 16_000).unwrap();
        assert_eq!(
            microphone.push(Source::OpenMicrophone, &[0.1; 10_000], 1, 16_000).unwrap_err().code(),
            ErrorCode::AudioOverrun
        );
        assert_eq!(
            microphone.push(Source::OpenMicrophone, &[f32::NAN], 1, 16_000).unwrap_err().code(),
            ErrorCode::AudioInvalidSample
        );
        assert_eq!(
            microphone.push(Source::OpenMicrophone, &[0.0], 1, 0).unwrap_err().code(),
            ErrorCode::AudioInvalidRate
        );
        for (samples, channels, code) in [
            (&[0.0; 9][..], 9, ErrorCode::AudioInvalidRate),
            (&[0.0], 0, ErrorCode::AudioInvalidRate),
            (&[0.0; 3], 2, ErrorCode::AudioInvalidSample),
        ] {
            assert_eq!(microphone.push(Source::OpenMicrophone, samples, channels, 16_000).unwrap_err().code(), code);
        }
        let mut block = Block::default();
        assert!(block_on(microphone.next(&mut block)));
        assert_eq!(block.parts().count(), 1);
        microphone.push(Source::OpenMicrophone, &[0.1; 10_000], 1, 16_000).unwrap();
    }

    #[test]
    fn overrun_of_a_push_to_talk_utterance_keeps_what_fits() {
        let microphone = Microphone::new(2);
        let push = |len| microphone.push(Source::PushToTalk, &vec![0.5; len], 1, 16_000).map_err(|error| error.code());
        assert!(!microphone.take_utterance(), "nothing was pushed");
        assert_eq!(push(0), Ok(()));
        assert!(!microphone.take_utterance());
        assert_eq!(push(24_000), Ok(()));
        assert_eq!(push(16_000), Err(ErrorCode::AudioOverrun));
        assert_eq!(push(1), Err(ErrorCode::AudioOverrun));
        assert!(microphone.take_utterance() && !microphone.take_utterance());
        microphone.end_utterance(Some(TurnId(1)));
        assert_eq!(push(32_000), Ok(()), "the next utterance has all the room");
        let mut block = Block::default();
        assert!(block_on(microphone.next(&mut block)));
        let parts: Vec<Part<'_>> = block.parts().collect();
        let [Part::Sound { samples, .. }, Part::UtteranceEnd(Some(TurnId(1))), Part::Sound { .. }] = parts[..] else {
            panic!("{} parts", parts.len())
        };
        assert_eq!(samples.len(), 32_000);
    }
}
