//! `cargo xtask heard`: checks the stored heard text of interrupted replies against the audio that was played.
//!
//! Each text is spoken by a session with the real voice and interrupted when the host has reported a random number of
//! samples as played. The reply's audio, cut there, is recognised; its words must be those of the stored heard text with
//! at most one error, as the cut may leave half a word. Recognition errors occur in the whole reply too: where there are
//! any, the transcript of the cut reply must be that of the whole one, up to where the stored text ends.

use crate::speech::{lines, plain};
use crate::wer::{Failure, transcribe, word_errors};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tertulia::backend::{Backends, LISTEN_RATE_HZ};
use tertulia::{
    EngineBuilder, Error, ErrorCode, EventKind, Events, LanguageTag, Session, SessionConfig, SessionEngine, audio,
};
use tertulia_models::files::ModelStore;
use tertulia_models::kokoro::Kokoro;
use tertulia_models::whisper::Whisper;

/// The longest time for the synthesis of a reply.
const PATIENCE: Duration = Duration::from_secs(300);

/// Silence after a cut, without which the recogniser invents an end.
const SILENCE_S: usize = 1;

/// The share of the replies that must be right, in percent.
const RIGHT_MIN: usize = 90;

/// Arguments of the task.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of `en.txt` and `es.txt`, one text a line.
    dir: PathBuf,
    /// The number of replies, half of them in each language.
    #[arg(long, default_value_t = 50)]
    replies: usize,
}

/// Interrupts, compares and prints; true if the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let models = ModelStore::open_default()?;
    let kokoro = Kokoro::new(models.path("kokoro-82m")?, Default::default());
    let whisper = Whisper::new(models.path("whisper-base")?, Default::default());
    let backends = Backends { synthesizer: Some(Arc::new(kokoro)), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build()?;
    let mut out = std::io::stdout().lock();
    let (mut replies, mut right, mut right_at_once, mut seed) = (0, 0, 0, 1u64);
    for (target, native) in [("en", "es"), ("es", "en")] {
        let language: LanguageTag = target.parse()?;
        let session = engine.create_session(SessionConfig::new(native.parse()?, language.clone()))?;
        let events = session.events()?;
        let texts = lines(&arguments.dir.join(format!("{target}.txt")))?;
        // A number is one word that is spoken as many, and half of it may be heard.
        let texts: Vec<&String> = texts.iter().filter(|text| !text.contains(|c: char| c.is_numeric())).collect();
        for text in texts.iter().cycle().take(arguments.replies.div_ceil(2)) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = 0.1 + 0.85 * (seed >> 40) as f64 / (1u64 << 24) as f64;
            let reply = cut_short(&session, &events, text, share)?;
            let recognised = |sound: &[f32]| -> Result<Vec<String>, Failure> {
                let padded = [sound, &vec![0.0; SILENCE_S * reply.rate as usize]].concat();
                let padded = audio::resample(&padded, reply.rate, LISTEN_RATE_HZ)?;
                Ok(plain(&transcribe(&whisper, &padded, vec![language.clone()])?.text, &language))
            };
            let (stored, said) = (plain(&reply.heard, &language), recognised(&reply.audio[..reply.played])?);
            let at_once = word_errors(&stored, &said).errors <= 1;
            let known = match at_once {
                true => said.clone(),
                false => up_to(&stored, recognised(&reply.audio)?),
            };
            replies += 1;
            right_at_once += usize::from(at_once);
            if word_errors(&known, &said).errors <= 1 {
                right += 1;
            } else {
                writeln!(out, "   stored:     {}\n   recognised: {}", reply.heard, said.join(" "))?;
            }
        }
    }
    writeln!(
        out,
        "{replies} replies interrupted: {right} with the stored words, at most one error (at least {RIGHT_MIN} %), {} of them \
         only beside the transcript of the whole reply",
        right - right_at_once
    )?;
    Ok(right * 100 >= replies * RIGHT_MIN)
}

/// The words of a whole reply up to where the stored ones end.
fn up_to(stored: &[String], whole: Vec<String>) -> Vec<String> {
    let distance = |len: &usize| (word_errors(stored, &whole[..*len]).errors, len.abs_diff(stored.len()));
    let len = (0..=whole.len()).min_by_key(distance).unwrap_or_default();
    whole[..len].to_vec()
}

/// A reply that was interrupted.
struct Reply {
    /// All of its audio, of which so many samples were played.
    audio: Vec<f32>,
    played: usize,
    rate: u32,
    /// The stored heard text.
    heard: String,
}

/// Speaks a text and interrupts it at that share of it.
fn cut_short(session: &Session, events: &Events, text: &str, share: f64) -> Result<Reply, Failure> {
    let turn = session.say(text)?;
    let mut reply = Reply { audio: Vec::new(), played: 0, rate: 0, heard: String::new() };
    while let Some(event) = events.next_timeout(PATIENCE)? {
        match event.kind {
            EventKind::ReplyAudioDelta { pcm, rate, .. } => {
                reply.audio.extend_from_slice(&pcm);
                reply.rate = rate;
            }
            EventKind::ReplyAudioDone { .. } => {
                reply.played = (reply.audio.len() as f64 * share) as usize;
                session.played(turn, reply.played as u64)?;
                session.interrupt()?;
            }
            EventKind::TurnInterrupted { heard_text, .. } => return Ok(Reply { heard: heard_text, ..reply }),
            EventKind::TurnFailed { error, .. } => return Err(Error::new(error.code, error.detail).into()),
            _ => {}
        }
    }
    Err(Error::new(ErrorCode::Internal, "the turn does not end").into())
}
