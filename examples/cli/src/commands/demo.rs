//! `tertulia demo`: one conversation on real models, from a new session to its stored turns.

use crate::args;
use crate::commands::sessions;
use crate::conversation::print_turn;
use crate::output::{Output, read_file, write_file};
use crate::script::Manner;
use crate::setup;
use std::time::Duration;
use tertulia::{Error, ErrorCode, LanguageTag, Playback, Result, SessionConfig, SessionEngine, audio};

pub(crate) fn run(options: &args::Demo, output: &Output) -> Result<()> {
    setup::pull_missing(options.chat.model.as_deref(), output)?;
    let engine = setup::engine(&options.store, options.chat.model.as_deref())?;
    let mut config = SessionConfig::new(options.languages.native.clone(), options.languages.target.clone());
    config.playback = Playback::Assumed;
    let session = engine.create_session(config)?;
    let id = session.id();
    let events = session.events()?;

    output.text("— the tutor opens —")?;
    print_turn(&engine, &events, session.reply(None)?, output)?;

    output.text("— the learner speaks —")?;
    let turn = match &options.input {
        Some(path) => session.push_encoded(read_file(path)?)?,
        None => {
            let target = &options.languages.target;
            let (samples, rate) = setup::synthesize_learner(&engine, sentence(target)?, target, &Manner::default())?;
            session.push_audio(&samples, rate)?;
            session.end_utterance()?
        }
    };
    let result = print_turn(&engine, &events, turn, output)?;
    write_file(&options.out, &audio::write_wav(&result.reply_pcm, result.reply_rate))?;
    let after = |time: Option<u64>| time.map_or("-".to_owned(), |ms| format!("{:.2} s", ms as f64 / 1000.0));
    output.text(&format!(
        "after the learner had finished: transcript {}, first text {}, first audio {}; {:.1} s of speech in {}",
        after(result.metrics.transcript_ms),
        after(result.metrics.first_text_ms),
        after(result.metrics.first_audio_ms),
        result.metrics.reply_audio_ms as f64 / 1000.0,
        options.out.display(),
    ))?;

    output.text("— the store is closed and opened again —")?;
    drop((events, session));
    engine.shut_down(Duration::from_secs(10))?;
    drop(engine);
    let (record, turns) = setup::engine_without_models(&options.store)?.session(id)?;
    sessions::show(&record, &turns.turns, output)
}

/// The learner's built-in sentence.
fn sentence(target: &LanguageTag) -> Result<&'static str> {
    match target.primary() {
        "es" => Ok("Hola, me gustaría pedir un café con leche, por favor."),
        "en" => Ok("Hello, I would like a cup of coffee with milk, please."),
        _ => {
            let detail = "no built-in sentence in this language: give an utterance with --input";
            Err(Error::new(ErrorCode::LanguageUnsupported, detail))
        }
    }
}
