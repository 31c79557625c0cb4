//! `cargo xtask echo`: counts self-interruptions by echo, and barge-ins that are detected in spite of it.
//!
//! Recorded clips stand for the replies and for the user. A real session with the real voice activity detector runs on a
//! virtual clock: the speaker plays the reply at 48 kHz, the host reports what is played, and the microphone, whose clock
//! is off by some ppm, records the reply again, softer and later, with a little noise. The recogniser is a stand-in for the
//! worst case: without speech of the user every transcript has words, so that any sound that is taken for speech
//! interrupts; with speech every transcript is empty, so that only half a second of speech interrupts.

use crate::stand_in::is_model;
use crate::wer::{Failure, manifest};
use clap::Args;
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tertulia::backend::{
    Backends, LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, Recognizer, SpeechChunk, Steps, SynthesisRequest,
    Synthesizer, Transcript, VoiceInfo, block_on, steps_from_fn, steps_once,
};
use tertulia::{
    Clock, Engine, EngineBuilder, EventKind, Events, LanguageTag, Listening, ListeningMode, LocalDriver, Session,
    SessionConfig, SessionEngine, TurnId, audio,
};
use tertulia_models::files::ModelStore;
use tertulia_models::silero::SileroVad;

/// The speaker's rate.
const SPEAKER_HZ: usize = 48_000;
/// The virtual time of a step.
const BLOCK_MS: u64 = 10;
/// The longest reply, and the longest utterance of the user.
const REPLY_S_MAX: usize = 6;
const SPEECH_S_MAX: usize = 3;
/// A barge-in must be detected within so long.
const DETECTED_MS_MAX: u64 = 2_000;
/// Silence between two replies.
const BETWEEN_MS: u64 = 1_500;
/// Replies in one session: all but the first meet a canceller that has converged.
const REPLIES_PER_SESSION: usize = 10;
/// The level (root mean square) of every clip, and of the microphone's noise.
const CLIP_RMS: f32 = 0.08;
const NOISE_RMS: f32 = 0.000_5;

const LEVELS_DB: [f32; 3] = [-6.0, -12.0, -20.0];
const DELAYS_MS: [u64; 4] = [40, 120, 250, 400];

/// Arguments of the task.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of clips, with its `manifest.json`.
    dir: PathBuf,
    /// Replies, and barge-ins of each loudness, at each level and delay.
    #[arg(long, default_value_t = 10)]
    replies: usize,
    /// The drift of the microphone's clock, faster and slower in turn.
    #[arg(long, default_value_t = 100.0)]
    drift_ppm: f64,
    /// Turns the canceller off.
    #[arg(long)]
    without_canceller: bool,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    replies: usize,
    held: usize,
    interrupted: usize,
    barge_ins: usize,
    detected: usize,
    soft_barge_ins: usize,
    soft_detected: usize,
}

/// Measures and prints; true if the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let clips = clips(&arguments.dir)?;
    let vad = ModelStore::open_default()?.path("silero-vad-v6")?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "  echo   delay  paused  self-interrupted  barge-ins at the reply's level  barge-ins at the echo's level"
    )?;
    let (start, mut all, mut virtual_ms) = (Instant::now(), Tally::default(), 0);
    let mut case = 0;
    for level_db in LEVELS_DB {
        for delay_ms in DELAYS_MS {
            let mut tally = Tally::default();
            let mut room = None;
            for index in 0..arguments.replies {
                if index % REPLIES_PER_SESSION == 0 {
                    let drift = arguments.drift_ppm
                        * 1e-6
                        * if (case / REPLIES_PER_SESSION).is_multiple_of(2) { 1.0 } else { -1.0 };
                    let old = room.insert(Room::new(&vad, level_db, delay_ms, drift, !arguments.without_canceller)?);
                    old.advance_ms(500, None)?;
                }
                let Some(room) = &mut room else { continue };
                let pick = |step: usize| &clips[(case * 7 + step) % clips.len()];
                let (reply, user) = (pick(0), pick(11));
                tally.replies += 1;
                let alone = room.reply(reply, None)?;
                tally.held += usize::from(alone.held);
                tally.interrupted += usize::from(alone.interrupted);
                for (gain, barge_ins, detected) in [
                    (1.0, &mut tally.barge_ins, &mut tally.detected),
                    (room.echo_gain, &mut tally.soft_barge_ins, &mut tally.soft_detected),
                ] {
                    let barge_in = BargeIn { speech: user, gain, at_ms: 1_000 + (case as u64 * 373) % 1_500 };
                    *barge_ins += 1;
                    *detected += usize::from(room.reply(reply, Some(barge_in))?.interrupted);
                }
                case += 1;
                virtual_ms += std::mem::take(&mut room.counted_ms);
            }
            writeln!(
                out,
                "{level_db:4} dB  {delay_ms:3} ms  {:6}  {:7} of {:4}  {:18} of {:4}  {:18} of {:4}",
                tally.held,
                tally.interrupted,
                tally.replies,
                tally.detected,
                tally.barge_ins,
                tally.soft_detected,
                tally.soft_barge_ins
            )?;
            out.flush()?;
            all.add(&tally);
        }
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    writeln!(
        out,
        "{} replies: {:.1} % paused, {:.1} % interrupted by their echo (at most 1); barge-ins: {:.1} % detected at the reply's \
         level (at least 95), {:.1} % at the echo's; {} s of audio in {} s",
        all.replies,
        percent(all.held, all.replies),
        percent(all.interrupted, all.replies),
        percent(all.detected, all.barge_ins),
        percent(all.soft_detected, all.soft_barge_ins),
        virtual_ms / 1000,
        start.elapsed().as_secs()
    )?;
    Ok(all.interrupted * 100 <= all.replies && all.detected * 100 >= all.barge_ins * 95)
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.replies += other.replies;
        self.held += other.held;
        self.interrupted += other.interrupted;
        self.barge_ins += other.barge_ins;
        self.detected += other.detected;
        self.soft_barge_ins += other.soft_barge_ins;
        self.soft_detected += other.soft_detected;
    }
}

/// The clips at the speaker's rate, all of one level, each from its first loud sample on.
fn clips(dir: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    let mut clips = Vec::new();
    for clip in manifest(dir)? {
        let pcm = audio::decode(&std::fs::read(dir.join(clip.path))?)?;
        let samples = audio::resample(&pcm.samples, pcm.rate, SPEAKER_HZ as u32)?;
        let loud = samples.iter().position(|sample| sample.abs() > 0.05).unwrap_or(0);
        let mut samples = samples[loud..].to_vec();
        samples.truncate(REPLY_S_MAX * SPEAKER_HZ);
        let gain = CLIP_RMS / rms(&samples);
        samples.iter_mut().for_each(|sample| *sample = (*sample * gain).clamp(-1.0, 1.0));
        // Shorter clips are neither a reply nor a barge-in.
        if samples.len() >= 3 * SPEAKER_HZ {
            clips.push(samples);
        }
    }
    if clips.is_empty() { Err("no clip of three seconds".into()) } else { Ok(clips) }
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32).sqrt().max(1e-6)
}

/// An utterance of the user over a reply.
struct BargeIn<'a> {
    speech: &'a [f32],
    gain: f32,
    at_ms: u64,
}

#[derive(Clone, Copy, Default)]
struct Outcome {
    held: bool,
    interrupted: bool,
}

/// A session on a virtual clock, with a host whose speaker echoes into its microphone.
struct Room {
    session: Session,
    events: Events,
    driver: LocalDriver,
    _engine: Engine,
    clock: Arc<VirtualClock>,
    voice: Arc<ClipVoice>,
    words: Arc<Words>,
    cancels: bool,
    echo_gain: f32,
    delay_s: f64,
    /// Samples of the microphone in a second of the speaker's clock.
    microphone_hz: f64,
    /// The last second of the speaker's audio, and the number of samples played and recorded in all.
    played: VecDeque<f32>,
    played_total: u64,
    recorded_total: u64,
    noise: u32,
    counted_ms: u64,
    /// The reply that is playing.
    turn: Option<TurnId>,
    reply: Vec<f32>,
    at: usize,
    paused: bool,
    outcome: Outcome,
}

impl Room {
    fn new(vad: &Path, level_db: f32, delay_ms: u64, drift: f64, cancels: bool) -> Result<Self, Failure> {
        let (voice, words) = (Arc::new(ClipVoice::default()), Arc::new(Words::default()));
        let clock = Arc::new(VirtualClock::default());
        let backends = Backends {
            vad: Some(Arc::new(SileroVad::new(vad))),
            recognizer: Some(words.clone()),
            synthesizer: Some(voice.clone()),
            ..Backends::default()
        };
        let (engine, driver) = block_on(EngineBuilder::new().backends(backends).clock(clock.clone()).build_local())?;
        let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
        let session =
            engine.create_session(SessionConfig { listening, ..SessionConfig::new("en".parse()?, "es".parse()?) })?;
        let events = session.events()?;
        Ok(Self {
            session,
            events,
            driver,
            _engine: engine,
            clock,
            voice,
            words,
            cancels,
            echo_gain: 10f32.powf(level_db / 20.0),
            delay_s: delay_ms as f64 / 1000.0,
            microphone_hz: f64::from(LISTEN_RATE_HZ) * (1.0 + drift),
            played: VecDeque::new(),
            played_total: 0,
            recorded_total: 0,
            noise: 1,
            counted_ms: 0,
            turn: None,
            reply: Vec::new(),
            at: 0,
            paused: false,
            outcome: Outcome::default(),
        })
    }

    /// Plays a clip as a reply, to its end or until it is interrupted.
    fn reply(&mut self, clip: &[f32], barge_in: Option<BargeIn<'_>>) -> Result<Outcome, Failure> {
        self.words.finds_words.store(barge_in.is_none(), Ordering::Release);
        *self.voice.clip.lock().unwrap_or_else(PoisonError::into_inner) = clip.to_vec();
        self.outcome = Outcome::default();
        let turn = self.session.say("Esto es todo.")?;
        self.turn = Some(turn);
        match barge_in {
            None => self.advance_ms((clip.len() / (SPEAKER_HZ / 1000)) as u64 + 2_000, None)?,
            Some(barge_in) => {
                self.advance_ms(barge_in.at_ms, None)?;
                // An interruption before the speech is the echo's.
                let before = self.outcome.interrupted;
                let speech: Vec<f32> = barge_in
                    .speech
                    .iter()
                    .take(SPEECH_S_MAX * SPEAKER_HZ)
                    .step_by(3)
                    .map(|s| s * barge_in.gain)
                    .collect();
                self.advance_ms(DETECTED_MS_MAX, Some(&speech))?;
                self.outcome.interrupted &= !before;
                let rest = &speech[speech.len().min(DETECTED_MS_MAX as usize * 16)..];
                let outcome = self.outcome;
                self.advance_ms(SPEECH_S_MAX as u64 * 1000 - DETECTED_MS_MAX, Some(rest))?;
                self.session.interrupt()?;
                self.advance_ms(BETWEEN_MS, None)?;
                return Ok(outcome);
            }
        }
        let outcome = self.outcome;
        self.advance_ms(BETWEEN_MS, None)?;
        Ok(outcome)
    }

    fn advance_ms(&mut self, ms: u64, mut speech: Option<&[f32]>) -> Result<(), Failure> {
        for _ in 0..ms / BLOCK_MS {
            let said = speech.map_or(&[][..], |speech| &speech[..speech.len().min(160)]);
            self.advance(said)?;
            speech = speech.map(|speech| &speech[said.len()..]);
        }
        Ok(())
    }

    /// Advances the speaker's clock by 10 ms, with this speech of the user.
    fn advance(&mut self, said: &[f32]) -> Result<(), Failure> {
        self.driver.run_until_idle();
        while let Some(event) = self.events.try_next()? {
            match event.kind {
                EventKind::ReplyAudioDelta { pcm, .. } => self.reply.extend_from_slice(&pcm),
                EventKind::PlaybackPause => (self.paused, self.outcome.held) = (true, true),
                EventKind::PlaybackResume => self.paused = false,
                EventKind::PlaybackFlush => {
                    self.outcome.interrupted = true;
                    self.reply.clear();
                    (self.at, self.paused) = (0, false);
                }
                EventKind::TurnFinished { .. } => {
                    self.reply.clear();
                    self.at = 0;
                }
                _ => {}
            }
        }
        let mut block = [0.0; SPEAKER_HZ / 1000 * BLOCK_MS as usize];
        if !self.paused {
            let len = block.len().min(self.reply.len() - self.at);
            block[..len].copy_from_slice(&self.reply[self.at..self.at + len]);
            self.at += len;
        }
        if let Some(turn) = self.turn.filter(|_| self.at > 0) {
            self.session.played(turn, self.at as u64)?;
        }
        if self.cancels {
            self.session.push_playback(&block, SPEAKER_HZ as u32)?;
        }
        self.played.extend(block);
        self.played_total += block.len() as u64;
        self.played.drain(..self.played.len().saturating_sub(SPEAKER_HZ));
        self.push_microphone(said)?;
        self.clock.0.fetch_add(BLOCK_MS * 1000, Ordering::AcqRel);
        self.counted_ms += BLOCK_MS;
        Ok(())
    }

    /// Pushes the microphone's audio up to now.
    fn push_microphone(&mut self, said: &[f32]) -> Result<(), Failure> {
        let now_s = self.played_total as f64 / SPEAKER_HZ as f64;
        let mut recorded = Vec::new();
        while (self.recorded_total as f64) < now_s * self.microphone_hz {
            let at_s = self.recorded_total as f64 / self.microphone_hz;
            self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = ((self.noise >> 8) as f32 / (1 << 23) as f32 - 1.0) * NOISE_RMS * 3f32.sqrt();
            let said = said.get(recorded.len()).copied().unwrap_or(0.0);
            recorded.push((said + noise + self.echo_gain * self.played_at(at_s - self.delay_s)).clamp(-1.0, 1.0));
            self.recorded_total += 1;
        }
        self.session.push_audio(&recorded, LISTEN_RATE_HZ)?;
        Ok(())
    }

    /// The speaker's audio at a moment, interpolated between samples (Catmull-Rom).
    fn played_at(&self, at_s: f64) -> f32 {
        let at = at_s * SPEAKER_HZ as f64;
        let first = self.played_total - self.played.len() as u64;
        let sample = |index: f64| {
            let place = index as i64 - first as i64;
            usize::try_from(place).ok().and_then(|place| self.played.get(place)).copied().unwrap_or(0.0)
        };
        let (base, t) = (at.floor(), (at - at.floor()) as f32);
        let [a, b, c, d] = [-1.0, 0.0, 1.0, 2.0].map(|offset| sample(base + offset));
        b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
    }
}

#[derive(Default)]
struct VirtualClock(AtomicU64);

impl Clock for VirtualClock {
    fn monotonic_us(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
    fn unix_ms(&self) -> u64 {
        1_700_000_000_000 + self.monotonic_us() / 1000
    }
}

/// A synthesizer that gives a recorded clip.
#[derive(Default)]
struct ClipVoice {
    clip: Mutex<Vec<f32>>,
}

is_model!(ClipVoice, |_| "clips");

impl Synthesizer for ClipVoice {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }
    fn voices(&self) -> Vec<VoiceInfo> {
        languages().into_iter().map(|language| VoiceInfo::new(language.to_string(), language)).collect()
    }
    fn synthesize(&self, request: SynthesisRequest) -> tertulia::Result<Steps<'static, SpeechChunk>> {
        let samples = std::mem::take(&mut *self.clip.lock().unwrap_or_else(PoisonError::into_inner));
        let chunk = SpeechChunk::new(samples, SPEAKER_HZ as u32, 0..request.text.len());
        Ok(steps_once(std::future::ready(Ok(chunk))))
    }
}

/// A recogniser that finds words in everything, or in nothing.
#[derive(Default)]
struct Words {
    finds_words: AtomicBool,
}

is_model!(Words, |_| "words");

impl Recognizer for Words {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }
    fn recognize(&self, _request: RecognitionRequest) -> tertulia::Result<Steps<'static, RecognitionStep>> {
        let text = if self.finds_words.load(Ordering::Acquire) { "Espera un momento." } else { "" };
        let mut transcript = Transcript::from(text.to_owned());
        transcript.language = languages().pop();
        let mut step = Some(RecognitionStep::Final(transcript));
        Ok(steps_from_fn(move || Ok(step.take())))
    }
}

fn languages() -> Vec<LanguageTag> {
    ["en", "es"].iter().filter_map(|tag| tag.parse().ok()).collect()
}
