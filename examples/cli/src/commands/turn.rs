//! `tertulia turn`

use crate::args;
use crate::conversation::tell_turn;
use crate::output::{Output, read_file, write_file};
use crate::setup;
use tertulia::{Listening, Playback, Result, audio};

pub(crate) fn run(options: &args::Turn, output: &Output) -> Result<()> {
    // A missing file is told before a model is loaded.
    let recording = options.input.as_deref().map(read_file).transpose()?;
    let engine = setup::engine(&options.session.store, options.session.chat.model.as_deref())?;
    let session = setup::session(&engine, &options.session, Playback::Assumed, Listening::default())?;
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
