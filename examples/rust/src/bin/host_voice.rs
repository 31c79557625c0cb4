//! A synthesizer of the host: a voice that whistles, one note for each letter, a word at a time.
//!
//! `cargo run -p tertulia-examples --bin host_voice -- reply.wav "Buenos días."`

use std::{env, f32::consts::TAU, fs, io, io::Write, sync::Arc, time::Duration};
use tertulia::audio::write_wav;
use tertulia::backend::*;
use tertulia::{EngineBuilder, Error, EventKind, LanguageTag, Playback, Result, SessionConfig, SessionEngine};

const RATE_HZ: u32 = 24_000;
struct Whistle;

impl Model for Whistle {
    fn name(&self) -> &str {
        "whistle"
    }
}

impl Synthesizer for Whistle {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "es"].map(|tag| tag.parse().expect("a language tag")).into()
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        let mut start = 0;
        Ok(steps_from_fn(move || {
            let Some(word) = request.text[start..].split_inclusive(' ').next() else { return Ok(None) };
            start += word.len();
            Ok(Some(SpeechChunk::new(word.chars().flat_map(note).collect(), RATE_HZ, start - word.len()..start)))
        }))
    }
}

fn note(letter: char) -> impl Iterator<Item = f32> {
    let (semitone, loudness) = (u32::from(letter) % 24, if letter.is_alphabetic() { 0.3 } else { 0.0 });
    let radians = TAU * 440.0 * (semitone as f32 / 12.0).exp2() / RATE_HZ as f32;
    (0..2_400).map(move |at| loudness * (1.0 - at as f32 / 2_400.0) * (radians * at as f32).sin())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, file, text] = &env::args().collect::<Vec<_>>()[..] else { return Err("no file or no text".into()) };
    let backends = Backends { synthesizer: Some(Arc::new(Whistle)), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build()?;
    let config = SessionConfig::new("en".parse()?, "es".parse()?);
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config })?;
    let events = session.events()?;
    session.say(text)?;
    let mut samples = Vec::new();
    loop {
        match events.next_timeout(Duration::from_secs(60))?.ok_or("no audio within a minute")?.kind {
            EventKind::ReplyAudioDelta { pcm, .. } => samples.extend_from_slice(&pcm),
            EventKind::TurnFinished { .. } => break,
            EventKind::TurnFailed { error, .. } => return Err(Error::new(error.code, error.detail).into()),
            _ => {}
        }
    }
    writeln!(io::stdout(), "{file}: {} ms", samples.len() * 1000 / RATE_HZ as usize)?;
    Ok(fs::write(file, write_wav(&samples, RATE_HZ))?)
}
