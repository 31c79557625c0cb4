//! `cargo xtask noise`: counts the words that are recognised in audio without speech.
//!
//! Silence, music and a keyboard, synthesised here and the same on every run, go through [`SessionEngine::listen`] twice:
//! with the real voice activity detector, where no word may come out, and with one that always finds speech, where only
//! the recogniser's own checks are left.

use crate::stand_in::is_model;
use crate::wer::Failure;
use clap::Args;
use std::f32::consts::TAU;
use std::io::Write;
use std::sync::Arc;
use tertulia::backend::{Backends, LISTEN_RATE_HZ, Vad, VadModel};
use tertulia::{Engine, EngineBuilder, EventKind, ListenRequest, SessionEngine};
use tertulia_models::files::ModelStore;
use tertulia_models::silero::SileroVad;
use tertulia_models::smart_turn::SmartTurn;
use tertulia_models::whisper::Whisper;

/// Words a minute that may come through the recogniser's own checks.
const WORDS_PER_MINUTE_MAX: f64 = 2.0;

/// Arguments of the task.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Minutes of each kind of audio.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
}

/// Recognises and prints; true if the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let minutes = arguments.minutes;
    let models = ModelStore::open_default()?;
    let real = Backends {
        vad: Some(Arc::new(SileroVad::new(models.path("silero-vad-v6")?))),
        turn_detector: Some(Arc::new(SmartTurn::new(models.path("smart-turn-v3.2")?))),
        recognizer: Some(Arc::new(Whisper::new(models.path("whisper-base")?, Default::default()))),
        ..Backends::default()
    };
    let always_speech = Backends { vad: Some(Arc::new(AlwaysSpeech)), ..real.clone() };
    let engines = [EngineBuilder::new().backends(real).build()?, EngineBuilder::new().backends(always_speech).build()?];
    let count = (minutes * 60.0 * f64::from(LISTEN_RATE_HZ)) as usize;
    let mut out = std::io::stdout().lock();
    let mut holds = true;
    writeln!(
        out,
        "words in {minutes} minutes    with the detector   without (at most {WORDS_PER_MINUTE_MAX} a minute)"
    )?;
    for (name, sound) in [("silence", room(count)), ("music", music(count)), ("keyboard", keyboard(count))] {
        let mut words = [0, 0];
        for (engine, words) in engines.iter().zip(&mut words) {
            for text in transcripts(engine, &sound)?.iter().filter(|text| !text.is_empty()) {
                *words += text.split_whitespace().count();
                writeln!(out, "   {text}")?;
            }
        }
        writeln!(out, "{name:20} {:21} {:9}", words[0], words[1])?;
        out.flush()?;
        holds &= words[0] == 0 && words[1] as f64 <= WORDS_PER_MINUTE_MAX * minutes;
    }
    Ok(holds)
}

fn transcripts(engine: &Engine, sound: &[f32]) -> Result<Vec<String>, Failure> {
    let languages = vec!["en".parse()?, "es".parse()?];
    let request = ListenRequest::new(sound.to_vec(), LISTEN_RATE_HZ, languages);
    let mut texts = Vec::new();
    engine.listen(request)?.run(|event| {
        if let EventKind::TranscriptDone { transcript, .. } = event.kind {
            texts.push(transcript.text);
        }
        Ok(())
    })?;
    Ok(texts)
}

/// A voice activity detector that takes everything for speech.
struct AlwaysSpeech;

is_model!(AlwaysSpeech, |_| "always speech");

impl VadModel for AlwaysSpeech {
    fn open(&self) -> tertulia::Result<Box<dyn Vad>> {
        Ok(Box::new(AlwaysSpeech))
    }
}

impl Vad for AlwaysSpeech {
    fn frame_len(&self) -> usize {
        512
    }
    fn process(&mut self, _frame: &[f32]) -> tertulia::Result<f32> {
        Ok(1.0)
    }
    fn reset(&mut self) {}
}

/// Pseudo-random numbers between -1 and 1.
fn random(mut seed: u32) -> impl FnMut() -> f32 {
    move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A quiet room: a minute of zeros, then a minute of faint microphone noise, in turn.
fn room(count: usize) -> Vec<f32> {
    let mut noise = random(1);
    (0..count)
        .map(|at| if (at / (60 * LISTEN_RATE_HZ as usize)).is_multiple_of(2) { 0.0 } else { 0.001 * noise() })
        .collect()
}

/// Chords that change twice a second, a bass under them, and a beat.
fn music(count: usize) -> Vec<f32> {
    const SCALE_HZ: [f32; 7] = [220.0, 246.9, 261.6, 293.7, 329.6, 349.2, 392.0];
    const BEAT: usize = LISTEN_RATE_HZ as usize / 2;
    let mut pick = random(2);
    let mut noise = random(3);
    let mut sound = Vec::with_capacity(count);
    while sound.len() < count {
        let root = ((pick() + 1.0) * 3.5) as usize;
        let chord = [0, 2, 4].map(|step| SCALE_HZ[(root + step) % SCALE_HZ.len()]);
        for at in 0..BEAT.min(count - sound.len()) {
            let seconds = at as f32 / LISTEN_RATE_HZ as f32;
            let tone = |hz: f32| {
                (1..=6)
                    .map(|overtone| (TAU * hz * overtone as f32 * seconds).sin() / (overtone * overtone) as f32)
                    .sum::<f32>()
            };
            let swell = (1.0 - (-seconds * 60.0).exp()) * (-seconds * 3.0).exp();
            let strike = 0.1 * noise() * (-seconds * 40.0).exp();
            sound.push(0.08 * swell * (chord.into_iter().map(tone).sum::<f32>() + tone(chord[0] / 4.0)) + strike);
        }
    }
    sound
}

/// Key strokes in bursts with pauses, over faint noise.
fn keyboard(count: usize) -> Vec<f32> {
    let mut noise = random(4);
    let mut sound: Vec<f32> = (0..count).map(|_| 0.000_5 * noise()).collect();
    let mut pick = random(5);
    let mut at = 0;
    while at < count {
        let keys = 4 + ((pick() + 1.0) * 12.0) as usize;
        for _ in 0..keys {
            for (offset_ms, level) in [(0, 0.25), (90, 0.1)] {
                let (start, level) = (at + offset_ms * 16, level * (1.0 + 0.5 * pick()));
                let pitch_hz = 1_500.0 + 1_000.0 * pick();
                for (i, sample) in sound.iter_mut().skip(start).take(800).enumerate() {
                    let seconds = i as f32 / LISTEN_RATE_HZ as f32;
                    let ring = 0.5 * (TAU * pitch_hz * seconds).sin();
                    *sample += level * (noise() + ring) * (-seconds * 250.0).exp();
                }
            }
            at += 1_600 + ((pick() + 1.0) * 1_600.0) as usize;
        }
        at += 8_000 + ((pick() + 1.0) * 16_000.0) as usize;
    }
    sound
}
