//! `tertulia demo`: one conversation from opening to resuming, on real models.

use crate::args;
use crate::commands::sessions;
use crate::conversation::tell_turn;
use crate::output::{Output, read_file, write_file};
use crate::setup;
use tertulia::backend::{self, SynthesisRequest};
use tertulia::{Engine, Error, ErrorCode, LanguageTag, Playback, Result, SessionConfig, SessionEngine, audio};

pub(crate) fn run(options: &args::Demo, output: &Output) -> Result<()> {
    setup::pull_missing(options.chat.model.as_deref(), output)?;
    let engine = setup::engine(&options.store, options.chat.model.as_deref())?;
    let mut config = SessionConfig::new(options.languages.native.clone(), options.languages.target.clone());
    config.playback = Playback::Assumed;
    let session = engine.create_session(config)?;
    let id = session.id();
    let events = session.events()?;

    output.text("— the tutor opens —")?;
    tell_turn(&engine, &events, session.reply(None)?, output)?;

    output.text("— the learner speaks —")?;
    let turn = match &options.input {
        Some(path) => session.push_encoded(read_file(path)?)?,
        None => {
            let (samples, rate) = learner_speaks(&engine, &options.languages.target)?;
            session.push_audio(&samples, rate)?;
            session.end_utterance()?
        }
    };
    let told = tell_turn(&engine, &events, turn, output)?;
    write_file(&options.out, &audio::write_wav(&told.reply_pcm, told.reply_rate))?;
    let after = |time: Option<u64>| time.map_or("-".to_owned(), |ms| format!("{:.2} s", ms as f64 / 1000.0));
    output.text(&format!(
        "after the learner had finished: transcript {}, first text {}, first audio {}; {:.1} s of speech in {}",
        after(told.metrics.transcript_ms),
        after(told.metrics.first_text_ms),
        after(told.metrics.first_audio_ms),
        told.metrics.reply_audio_ms as f64 / 1000.0,
        options.out.display(),
    ))?;

    output.text("— the store is closed and opened again —")?;
    drop((events, session));
    engine.shut_down();
    drop(engine);
    let (record, turns) = setup::engine_without_models(&options.store)?.session(id)?;
    sessions::show(&record, &turns.turns, output)
}

/// A sentence of the learner's in another voice than the tutor's, in place of a microphone.
fn learner_speaks(engine: &Engine, target: &LanguageTag) -> Result<(Vec<f32>, u32)> {
    let sentence = match target.primary() {
        "es" => "Hola, me gustaría pedir un café con leche, por favor.",
        "en" => "Hello, I would like a cup of coffee with milk, please.",
        _ => {
            let detail = "the demo has no sentence in this language; give one with --input";
            return Err(Error::new(ErrorCode::LanguageUnsupported, detail));
        }
    };
    let capabilities = engine.capabilities();
    let mut voices = capabilities.languages.iter().filter(|l| l.tag.same_language(target)).flat_map(|l| &l.voices);
    let tutor = voices.next();
    let learner = voices.last().or(tutor);
    let voice = learner.ok_or_else(|| Error::from(ErrorCode::UnknownVoice))?.clone();
    let mut samples = Vec::new();
    let request = SynthesisRequest::new(sentence, vec![target.clone()], voice);
    let speech = engine.synthesize(request)?;
    backend::run_steps(speech.steps, |chunk| {
        samples.extend(chunk.samples);
        Ok(())
    })?;
    Ok((samples, speech.rate))
}
