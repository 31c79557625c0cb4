//! The audio front end: resampling to 16 kHz, DC filter, echo canceller, and VAD with background gating.

use super::Shared;
use super::background_gate::BackgroundGate;
use crate::audio::{AnyRate, EchoCanceller};
use crate::backend::Vad;
use crate::error::Result;

/// The pole of the DC filter: -3 dB at 13 Hz.
const DC_POLE: f32 = 0.995;
/// The frame length where no VAD asks for another.
const FRAME_LEN: usize = 512;

/// Turns blocks of any size and rate into frames with a probability of speech: 1 where there is no VAD.
pub(crate) struct FrontEnd {
    vad: Option<Box<dyn Vad>>,
    background: BackgroundGate,
    resampler: AnyRate,
    /// The last sample before and after the DC filter; none for audio that has passed it.
    dc: Option<(f32, f32)>,
    /// The playback, from the first of it on.
    echo: Option<(AnyRate, EchoCanceller)>,
    /// An utterance of push-to-talk is under way.
    in_utterance: bool,
    /// Reused from block to block.
    clamped: Vec<f32>,
    scratch: Vec<f32>,
    pending: Vec<f32>,
}

impl FrontEnd {
    pub(crate) fn new(vad: Option<Box<dyn Vad>>) -> Self {
        Self {
            vad,
            background: BackgroundGate::new(),
            resampler: AnyRate::default(),
            dc: Some((0.0, 0.0)),
            echo: None,
            in_utterance: false,
            clamped: Vec::new(),
            scratch: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// A front end with the engine's VAD, which is loaded first.
    ///
    /// # Errors
    /// The VAD's.
    pub(crate) async fn open(shared: &Shared) -> Result<Self> {
        let vad = match &shared.backends.vad {
            Some(model) => {
                shared.ensure_loaded(&**model).await?;
                Some(model.open()?)
            }
            None => None,
        };
        Ok(Self::new(vad))
    }

    /// Leaves out the DC filter: the audio to come is that of a stored turn, which has passed it.
    pub(crate) fn skip_dc_filter(&mut self) {
        self.dc = None;
    }

    /// Takes a block; `each` gets every complete frame with its probability of speech.
    pub(crate) fn push(&mut self, samples: &[f32], rate: u32, each: impl FnMut(&[f32], f32)) -> Result<()> {
        self.clamped.clear();
        self.clamped.extend(samples.iter().map(|sample| sample.clamp(-1.0, 1.0)));
        self.scratch.clear();
        self.resampler.push(&self.clamped, rate, &mut self.scratch)?;
        self.process(each)
    }

    /// Begins an utterance of push-to-talk, before which the microphone was off: playback from then is no echo now.
    pub(crate) fn begin_utterance(&mut self) {
        self.in_utterance = true;
        if let Some((_, canceller)) = &mut self.echo {
            canceller.skip_playback();
        }
    }

    /// Ends it: `each` gets the rest, the last frame being shorter. The VAD begins afresh with the next utterance; the
    /// echo path stays known.
    pub(crate) fn finish_utterance(&mut self, mut each: impl FnMut(&[f32], f32)) -> Result<()> {
        self.scratch.clear();
        self.resampler.finish(&mut self.scratch);
        self.process(&mut each)?;
        let mut rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            let len = rest.len();
            rest.resize(self.frame_len(), 0.0);
            let probability = self.probability(&rest)?;
            each(&rest[..len], probability);
        }
        let echo = self.echo.take();
        self.restart();
        self.echo = echo;
        Ok(())
    }

    /// Forgets everything: another microphone follows.
    pub(crate) fn restart(&mut self) {
        if let Some(vad) = &mut self.vad {
            vad.reset();
        }
        self.background = BackgroundGate::new();
        (self.resampler, self.echo) = (AnyRate::default(), None);
        self.dc = self.dc.map(|_| (0.0, 0.0));
        self.in_utterance = false;
        self.pending.clear();
    }

    /// Takes playback, whose echo is cancelled from now on.
    pub(crate) fn push_playback(&mut self, samples: &[f32], rate: u32) -> Result<()> {
        let (resampler, canceller) = self.echo.get_or_insert_with(|| (AnyRate::default(), EchoCanceller::new()));
        self.scratch.clear();
        resampler.push(samples, rate, &mut self.scratch)?;
        canceller.push_playback(&self.scratch);
        Ok(())
    }

    /// Takes what was resampled into `scratch`.
    fn process(&mut self, mut each: impl FnMut(&[f32], f32)) -> Result<()> {
        if let Some((last_in, last_out)) = &mut self.dc {
            for sample in &mut self.scratch {
                (*last_in, *last_out) = (*sample, *sample - *last_in + DC_POLE * *last_out);
                *sample = last_out.clamp(-1.0, 1.0);
            }
        }
        match &mut self.echo {
            // While the canceller learns, echo could pass for barge-in; within push-to-talk it cannot.
            Some((_, canceller)) => canceller.process(&self.scratch, !self.in_utterance, &mut self.pending),
            None => self.pending.extend_from_slice(&self.scratch),
        }
        let (frame_len, pending) = (self.frame_len(), std::mem::take(&mut self.pending));
        let frames = pending.chunks_exact(frame_len);
        let rest = frames.remainder().len();
        for frame in frames {
            let probability = self.probability(frame)?;
            each(frame, probability);
        }
        self.pending = pending;
        self.pending.drain(..self.pending.len() - rest);
        Ok(())
    }

    fn frame_len(&self) -> usize {
        self.vad.as_ref().map_or(FRAME_LEN, |vad| vad.frame_len().max(1))
    }

    fn probability(&mut self, frame: &[f32]) -> Result<f32> {
        match &mut self.vad {
            Some(vad) => Ok(self.background.gate(frame, vad.process(frame)?)),
            None => Ok(1.0),
        }
    }
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
    fn restart_forgets_the_background_and_the_echo_path() {
        let mut front_end = FrontEnd::new(Some(Box::new(Loudness)));
        let mut last = 0.0;
        let speech: Vec<f32> = (0..160_000).map(|at| 0.5 * (at as f32 / 5.0).sin()).collect();
        // Speech that never stops is the background.
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
}
