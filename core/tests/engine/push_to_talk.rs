//! Push-to-talk without a VAD, with playback to cancel, and with a VAD that fails.

use crate::support::{Host, Reader, config, failure, type_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tertulia::backend::{Backends, Model, Vad, VadModel};
use tertulia::event::{EventKind, Stage};
use tertulia::store::AudioKind;
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{
    Engine, EngineBuilder, Error, ErrorCode, Keep, Playback, Result, Retention, Session, SessionConfig, SessionEngine,
};

/// An engine with these backends, and a session that keeps the user's audio.
fn session_with(backends: Backends) -> (Engine, Session, Reader) {
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let retention = Retention { user_audio: Keep::Forever, ..Retention::default() };
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, retention, ..config() }).unwrap();
    let reader = Reader::of(&session);
    (engine, session, reader)
}

#[test]
fn push_to_talk_without_a_vad_recognises_the_whole_utterance() {
    let scripted = Scripted::new();
    let (_engine, session, mut reader) = session_with(Backends { vad: None, ..scripted.backends() });
    for sound in [[noise_16k(700), vec![0.0; 5_000]].concat(), vec![0.0; 8_000]] {
        scripted.recognizer.then("Hola.");
        scripted.chat.then(["¿Qué tal?"]);
        session.push_audio(&sound, 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
        assert_eq!(scripted.recognizer.requests().pop().unwrap().audio.len(), sound.len(), "none of it is left out");
    }
}

fn tone(rate: u32, seconds: f64) -> Vec<f32> {
    let len = (f64::from(rate) * seconds) as usize;
    (0..len).map(|n| (0.5 * (std::f64::consts::TAU * 200.0 * n as f64 / f64::from(rate)).sin()) as f32).collect()
}

/// The stored audio of an utterance that is pushed in these blocks.
fn stored<'a>(blocks: impl Iterator<Item = (&'a [f32], u32)>) -> Vec<f32> {
    let scripted = Scripted::new();
    let (_engine, session, mut reader) = session_with(scripted.backends());
    blocks.for_each(|(block, rate)| session.push_audio(block, rate).unwrap());
    scripted.recognizer.then("Hola.");
    scripted.chat.then(["¿Qué tal?"]);
    let turn = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    session.audio(turn, AudioKind::User).unwrap().to_f32()
}

#[test]
fn push_to_talk_keeps_every_sample_across_rate_changes() {
    let tones = [48_000, 44_100, 16_000, 8_000, 192_000, 48_000].map(|rate| (tone(rate, 0.5), rate));
    let audio = stored(tones.iter().map(|(tone, rate)| (&tone[..], *rate)));
    assert_eq!(audio.len(), 6 * 8_000);
    // 200 Hz throughout: each half second holds 100 periods of the same level.
    for half_second in audio.chunks(8_000) {
        let level = (half_second.iter().map(|x| x * x).sum::<f32>() / 8_000.0).sqrt();
        assert!((level - 0.3536).abs() < 0.005, "level {level}");
    }
}

#[test]
fn push_to_talk_audio_does_not_depend_on_the_blocks() {
    let sound = tone(48_000, 1.0);
    let one = stored([(&sound[..], 48_000)].into_iter());
    assert!(one == stored(sound.chunks(37).map(|block| (block, 48_000))));
}

#[test]
fn a_dc_offset_is_filtered_out() {
    let offset: Vec<f32> = tone(16_000, 1.0).iter().map(|sample| 0.4 + sample).collect();
    let audio = stored([(&offset[..], 16_000)].into_iter());
    let mean = audio[8_000..].iter().sum::<f32>() / 8_000.0;
    assert!(mean.abs() < 0.001, "{mean}");
}

/// A signal with the bandwidth and the syllables of speech.
fn voice(ms: usize, mut seed: u32) -> Vec<f32> {
    let mut low = 0.0;
    let sample = |at: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low += 0.4 * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0 - low);
        low * (0.55 + 0.45 * (at as f32 / 1_300.0).sin())
    };
    (0..ms * 16).map(sample).collect()
}

fn level_db(samples: &[f32]) -> f32 {
    10.0 * (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32 + 1e-12).log10()
}

#[test]
fn push_to_talk_cancels_the_echo_of_playback_and_is_never_muted() {
    let scripted = Scripted::new();
    let (_engine, session, mut reader) = session_with(scripted.backends());
    let played = voice(6_000, 1);
    let delay = vec![0.0; 1_600];
    let echo: Vec<f32> = delay.iter().copied().chain(played.iter().map(|sample| 0.4 * sample)).collect();
    // The user speaks after the playback, in the same utterance.
    let speech = voice(1_000, 2);
    for (played, captured) in played.chunks(160).zip(echo.chunks(160)) {
        session.push_playback(played, 16_000).unwrap();
        session.push_audio(captured, 16_000).unwrap();
    }
    session.push_audio(&[vec![0.0; 16_000], speech.clone()].concat(), 16_000).unwrap();
    scripted.recognizer.then("Hola.");
    scripted.chat.then(["¿Qué tal?"]);
    let turn = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    let kept = session.audio(turn, AudioKind::User).unwrap().to_f32();
    let (seconds, speech_at) = (|range: std::ops::Range<usize>| range.start * 16_000..range.end * 16_000, 7 * 16_000);
    assert!(kept[..1_600 + 8_000].iter().any(|sample| *sample != 0.0), "an open microphone would be muted");
    let (before, after) = (level_db(&echo[seconds(3..6)]), level_db(&kept[seconds(3..6)]));
    assert!(after < before - 20.0, "an echo of {before:.1} dB became {after:.1} dB");
    let (before, after) = (level_db(&speech), level_db(&kept[speech_at..]));
    assert!((before - after).abs() < 1.5, "speech of {before:.1} dB became {after:.1} dB");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Error,
    Panic,
}

/// A VAD that takes everything for speech and fails at one frame.
#[derive(Clone)]
struct FailingVad {
    fault: Fault,
    frames_left: Arc<AtomicUsize>,
}

impl Model for FailingVad {
    fn name(&self) -> &str {
        "failing VAD"
    }
}

impl VadModel for FailingVad {
    fn open(&self) -> Result<Box<dyn Vad>> {
        Ok(Box::new(self.clone()))
    }
}

impl Vad for FailingVad {
    fn frame_len(&self) -> usize {
        512
    }
    fn process(&mut self, _frame: &[f32]) -> Result<f32> {
        let fails = self.frames_left.fetch_sub(1, Ordering::Relaxed) == 1;
        match self.fault {
            _ if !fails => Ok(1.0),
            Fault::Error => Err(Error::new(ErrorCode::ModelCorrupt, "a weight is not a number")),
            Fault::Panic => panic!("a VAD that panics"),
        }
    }
    fn reset(&mut self) {}
}

#[test]
fn a_vad_that_fails_in_mid_utterance_fails_the_turn_and_the_next_one_works() {
    for (fault, code) in [(Fault::Error, ErrorCode::ModelCorrupt), (Fault::Panic, ErrorCode::Internal)] {
        let scripted = Scripted::new();
        let vad = FailingVad { fault, frames_left: Arc::new(AtomicUsize::new(10)) };
        let (_engine, session, mut reader) = session_with(Backends { vad: Some(Arc::new(vad)), ..scripted.backends() });
        noise_16k(1_000).chunks(480).for_each(|block| session.push_audio(block, 16_000).unwrap());
        let failed = session.end_utterance().unwrap();
        assert_eq!(failure(&reader.until_end_of(failed)), (Stage::Decode, code), "{fault:?}");
        assert!(scripted.recognizer.requests().is_empty());
        scripted.recognizer.then("Hola.");
        scripted.chat.then(["¿Qué tal?"]);
        session.push_audio(&noise_16k(640), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished", "{fault:?}");
        assert_eq!(scripted.recognizer.requests()[0].audio.len(), 640 * 16, "nothing of the failed one");
        let errors = reader.seen.iter().filter(|event| matches!(event.kind, EventKind::Error(_))).count();
        assert_eq!(errors, 0, "the turn alone tells of it");
    }
}

#[test]
fn samples_of_16_bits_are_those_of_32() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let floats = noise_16k(500);
    let kept = [false, true].map(|as_i16| {
        host.script_turn("Hola.", "Hola.");
        match as_i16 {
            true => session.push_audio_i16(&tertulia::audio::to_i16(&floats), 16_000).unwrap(),
            false => session.push_audio(&floats, 16_000).unwrap(),
        }
        let turn = session.end_utterance().unwrap();
        reader.until_end_of(turn);
        session.audio(turn, AudioKind::User).unwrap().samples
    });
    assert_eq!((kept[0].len(), kept[1].len()), (8_000, 8_000));
    let furthest = kept[0].iter().zip(&kept[1]).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(furthest <= 2, "{furthest} steps apart");
    assert_eq!(session.push_audio_i16(&[0], 7_999).unwrap_err().code(), ErrorCode::AudioInvalidRate);
}
