//! `tertulia turn`

use crate::args;
use crate::conversation::tell_turn;
use crate::output::{Output, read_file, write_file};
use crate::setup;
use tertulia::{Playback, Result, SessionConfig, SessionEngine, SessionUpdate, audio};

pub(crate) fn run(options: &args::Turn, output: &Output) -> Result<()> {
    // A missing file is told before a model is loaded.
    let recording = options.input.as_deref().map(read_file).transpose()?;
    let engine = setup::engine(&options.store, options.chat.model.as_deref())?;
    let session = match options.session {
        Some(id) => {
            let session = engine.open_session(id)?;
            session.update(SessionUpdate {
                level: options.level.clone(),
                scenario: options.scenario.clone(),
                voice: options.voice.clone(),
                speed: options.speed,
                ..SessionUpdate::default()
            })?;
            session
        }
        None => engine.create_session(new_config(options))?,
    };
    let events = session.events()?;
    let turn = match (recording, &options.text) {
        (Some(bytes), _) => session.push_encoded(bytes)?,
        (None, text) => session.send_text(text.as_deref().unwrap_or_default())?,
    };
    let told = tell_turn(&engine, &events, turn, output)?;
    if let Some(out) = &options.out {
        write_file(out, &audio::write_wav(&told.reply_pcm, told.reply_rate))?;
    }
    output.text(&format!("session: {}", session.id()))
}

fn new_config(options: &args::Turn) -> SessionConfig {
    let mut config = SessionConfig::new(options.languages.native.clone(), options.languages.target.clone());
    config.playback = Playback::Assumed;
    config.voice.clone_from(&options.voice);
    if let Some(level) = &options.level {
        config.level.clone_from(level);
    }
    if let Some(scenario) = &options.scenario {
        config.scenario.clone_from(scenario);
    }
    if let Some(speed) = options.speed {
        config.speed = speed;
    }
    config
}
