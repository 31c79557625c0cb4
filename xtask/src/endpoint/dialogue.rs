//! Dialogues made of clips: with inserted hesitations, or with noise.
//!
//! Everything is drawn from a seed, so every run has the same audio. Gaps and pauses are filled with the clip's own room
//! tone: short grains of its quietest tenth of a second, overlapped at random. The reference for the end of a clip is the
//! last frame that Silero takes for speech (0.5) in the unchanged clip. The babble over one language's clips is all clips
//! of the other at once.

use crate::wer::{Failure, decode};
use std::ops::Range;
use std::path::Path;
use tertulia::backend::{LISTEN_RATE_HZ, VadModel};

pub(super) const MS: usize = LISTEN_RATE_HZ as usize / 1000;

/// The shortest clip that is used, and the audio kept around its speech.
const CLIP_S_MIN: f64 = 4.0;
const MARGIN: usize = 300 * MS;
/// The level of speech in every clip (root mean square), so that noise can be given in dB.
const SPEECH_LEVEL: f32 = 0.05;
/// The pauses inserted into a clip, at how many places, and in which part of it.
pub(super) const PAUSES_MS: [usize; 3] = [500, 800, 1_200];
const PLACES_MAX: usize = 4;
const PLACES: Range<f64> = 0.25..0.85;
/// A pause is inserted where so much audio is so much quieter than the speech; such places lie so far apart.
const QUIET: usize = 40 * MS;
const QUIET_LEVEL: f32 = 0.25;
const PLACES_APART: usize = 800 * MS;
/// A silence within a clip that is long enough to separate two utterances.
const REST: usize = 1_500 * MS;
/// Between clips with hesitations, and between those without.
const GAP_MS: Range<usize> = 1_500..3_000;
const GAP_NOISE_MS: Range<usize> = 1_000..3_000;

/// A clip, cut to its speech and some sound around it.
#[derive(Clone)]
pub(super) struct Clip {
    pub(super) path: String,
    samples: Vec<f32>,
    /// The span of its speech.
    speech: Range<usize>,
    /// Silences in it as long as those between clips: they separate two utterances.
    rests: Vec<Range<usize>>,
    tone: Vec<f32>,
}

/// A clip in a dialogue.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// The span of its speech.
    pub(super) speech: Range<usize>,
    /// The inserted pauses.
    pub(super) pauses: Vec<Range<usize>>,
    /// Silences of its own in which an end is no mistake.
    pub(super) rests: Vec<Range<usize>>,
}

/// Audio with the places of its utterances.
pub(super) struct Dialogue {
    pub(super) samples: Vec<f32>,
    pub(super) said: Vec<Said>,
}

/// The kind of noise over a dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noise {
    White,
    /// Other clips, several at a time.
    Babble,
}

impl Clip {
    /// Reads a clip; `None` where it is too short.
    pub(super) fn read(dir: &Path, path: &str, vad: &dyn VadModel) -> Result<Option<Self>, Failure> {
        let samples = decode(&dir.join(path))?;
        if (samples.len() as f64) < CLIP_S_MIN * f64::from(LISTEN_RATE_HZ) {
            return Ok(None);
        }
        let (speech, rests) = speech(&samples, vad)?;
        let kept = speech.start.saturating_sub(MARGIN)..(speech.end + MARGIN).min(samples.len());
        let moved = |span: Range<usize>| span.start - kept.start..span.end - kept.start;
        let (speech, rests) = (moved(speech), rests.into_iter().map(moved).collect());
        let mut samples = samples[kept.clone()].to_vec();
        let gain = SPEECH_LEVEL / level(&samples[speech.clone()]).max(1e-6);
        samples.iter_mut().for_each(|sample| *sample = (*sample * gain).clamp(-1.0, 1.0));
        let tone = windows(&samples, 100 * MS).min_by(|a, b| level(a).total_cmp(&level(b))).unwrap_or(&samples);
        let tone = tone.to_vec();
        Ok(Some(Self { path: path.to_owned(), samples, speech, rests, tone }))
    }

    /// Quiet places in the middle of the clip, in order.
    fn places(&self) -> Vec<usize> {
        let len = self.speech.len() as f64;
        let middle = self.speech.start + (PLACES.start * len) as usize..self.speech.start + (PLACES.end * len) as usize;
        let mut quiet: Vec<(f32, usize)> = middle
            .step_by(5 * MS)
            .map(|at| (level(&self.samples[at - QUIET / 2..at + QUIET / 2]), at))
            .filter(|(level, _)| *level < QUIET_LEVEL * SPEECH_LEVEL)
            .collect();
        quiet.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut places: Vec<usize> = Vec::new();
        for (_, at) in quiet {
            if places.len() < PLACES_MAX && places.iter().all(|place| place.abs_diff(at) >= PLACES_APART) {
                places.push(at);
            }
        }
        places.sort_unstable();
        places
    }

    fn room_tone(&self, len: usize, random: &mut Random) -> Vec<f32> {
        let grain = 50 * MS;
        let mut tone = vec![0.0; len + grain];
        for start in (0..len).step_by(grain / 2) {
            let from = random.below(self.tone.len() - grain);
            // Random signs keep the overlapping grains apart; half-overlapped Hann windows keep 3/4 of the power.
            let sign = if random.below(2) == 0 { 1.0 } else { -1.0 } / 0.75f32.sqrt();
            for (index, sample) in self.tone[from..from + grain].iter().enumerate() {
                let phase = std::f32::consts::TAU * index as f32 / grain as f32;
                tone[(start + index).min(len + grain - 1)] += sign * 0.5 * (1.0 - phase.cos()) * sample;
            }
        }
        tone.drain(..grain / 2);
        tone.truncate(len);
        tone
    }
}

/// All clips one after another, with inserted pauses. `rotation` is the index of the first pause.
pub(super) fn with_hesitations(clips: &[Clip], rotation: usize) -> Dialogue {
    let mut random = Random::new(rotation as u64);
    let mut dialogue = Dialogue { samples: Vec::new(), said: Vec::new() };
    let mut next_pause = rotation;
    for (index, clip) in clips.iter().enumerate() {
        dialogue.gap(&clips[index.saturating_sub(1)], clip, GAP_MS, &mut random);
        let offset = dialogue.samples.len();
        let mut said = Said { speech: clip.speech.clone(), pauses: Vec::new(), rests: Vec::new() };
        let mut from = 0;
        for place in clip.places() {
            dialogue.samples.extend(&clip.samples[from..place]);
            let len = PAUSES_MS[next_pause % PAUSES_MS.len()] * MS;
            next_pause += 1;
            let start = dialogue.samples.len();
            dialogue.samples.extend(clip.room_tone(len, &mut random));
            said.pauses.push(start..start + len);
            from = place;
        }
        dialogue.samples.extend(&clip.samples[from..]);
        let put_in: usize = said.pauses.iter().map(Range::len).sum();
        said.speech = offset + clip.speech.start..offset + clip.speech.end + put_in;
        dialogue.said.push(said);
    }
    dialogue.close(clips, &mut random);
    dialogue
}

/// All clips as they are, one after another.
pub(super) fn whole(clips: &[Clip]) -> Dialogue {
    let mut random = Random::new(7);
    let mut dialogue = Dialogue { samples: Vec::new(), said: Vec::new() };
    for (index, clip) in clips.iter().enumerate() {
        dialogue.gap(&clips[index.saturating_sub(1)], clip, GAP_NOISE_MS, &mut random);
        let offset = dialogue.samples.len();
        let moved = |span: &Range<usize>| offset + span.start..offset + span.end;
        let rests = clip.rests.iter().map(moved).collect();
        dialogue.samples.extend(&clip.samples);
        dialogue.said.push(Said { speech: moved(&clip.speech), pauses: Vec::new(), rests });
    }
    dialogue.close(clips, &mut random);
    dialogue
}

impl Dialogue {
    /// The dialogue with noise at this SNR. `others` are the clips of babble.
    pub(super) fn noisy(&self, noise: Noise, snr_db: f32, others: &[&Clip]) -> Dialogue {
        let mut random = Random::new(11);
        let len = self.samples.len();
        let mut sound = vec![0.0f32; len];
        match noise {
            Noise::White => sound.iter_mut().for_each(|sample| *sample = random.normal()),
            Noise::Babble => {
                // Every other clip speaks without end, each from another place on.
                for clip in others {
                    let voice = &clip.samples[clip.speech.clone()];
                    let from = random.below(voice.len());
                    sound.iter_mut().zip(voice.iter().cycle().skip(from)).for_each(|(sample, other)| *sample += other);
                }
            }
        }
        let gain = SPEECH_LEVEL * 10f32.powf(-snr_db / 20.0) / level(&sound).max(1e-9);
        let samples = self.samples.iter().zip(&sound).map(|(a, b)| (a + gain * b).clamp(-1.0, 1.0)).collect();
        Dialogue { samples, said: self.said.clone() }
    }

    /// Fills the gap between two clips with the first one's room tone, then the second one's.
    fn gap(&mut self, before: &Clip, after: &Clip, range_ms: Range<usize>, random: &mut Random) {
        let len = (range_ms.start + random.below(range_ms.len())) * MS;
        let kept = if self.said.is_empty() { 0 } else { before.samples.len() - before.speech.end };
        let len = len.saturating_sub(kept + after.speech.start);
        self.samples.extend(before.room_tone(len / 2, random));
        self.samples.extend(after.room_tone(len - len / 2, random));
    }

    /// Silence after the last clip, long enough for any decision.
    fn close(&mut self, clips: &[Clip], random: &mut Random) {
        if let Some(clip) = clips.last() {
            self.samples.extend(clip.room_tone(4_000 * MS, random));
        }
    }
}

/// The span from the first to the last frame of speech, and the long silences in it.
fn speech(samples: &[f32], vad: &dyn VadModel) -> Result<(Range<usize>, Vec<Range<usize>>), Failure> {
    let mut vad = vad.open()?;
    let len = vad.frame_len();
    let mut speech: Option<Range<usize>> = None;
    let mut rests = Vec::new();
    for (index, frame) in samples.chunks_exact(len).enumerate() {
        if vad.process(frame)? >= 0.5 {
            let at = index * len;
            if let Some(speech) = speech.as_ref().filter(|speech| at - speech.end >= REST) {
                rests.push(speech.end..at);
            }
            speech = Some(speech.map_or(at, |speech| speech.start)..at + len);
        }
    }
    speech.map(|speech| (speech, rests)).ok_or_else(|| "a clip without speech".into())
}

fn windows(samples: &[f32], len: usize) -> impl Iterator<Item = &[f32]> {
    (0..samples.len().saturating_sub(len)).step_by(5 * MS).map(move |start| &samples[start..start + len])
}

/// The root mean square.
fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// A splitmix64 generator: the same numbers on every machine.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Mean 0, variance 1: twelve uniform numbers are near enough to a bell.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32).sum::<f32>() - 6.0
    }
}
