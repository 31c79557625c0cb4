//! `tertulia turn`

use crate::args;
use crate::conversation::print_turn;
use crate::output::{Output, read_file, write_file};
use crate::setup;
use tertulia::{Listening, Playback, Result, audio};

pub(crate) fn run(options: &args::Turn, output: &Output) -> Result<()> {
    // Read first: a missing file fails before a model is loaded.
    let recording = options.input.as_deref().map(read_file).transpose()?;
    let engine = setup::engine(&options.session.store, options.session.chat.model.as_deref())?;
    let session = setup::session(&engine, &options.session, Playback::Assumed, Listening::default())?;
    let events = session.events()?;
    let turn = match (recording, &options.text) {
        (Some(bytes), _) => session.push_encoded(bytes)?,
        (None, text) => session.send_text(text.as_deref().unwrap_or_default())?,
    };
    let result = print_turn(&engine, &events, turn, output)?;
    if let Some(out) = &options.out {
        write_file(out, &audio::write_wav(&result.reply_pcm, result.reply_rate))?;
    }
    output.text(&format!("session: {}", session.id()))
}
