//! `tertulia transcribe`: the transcript of an audio file.

use crate::args;
use crate::output::{Output, read_file};
use crate::setup;
use tertulia::{Result, SessionEngine, audio};

pub(crate) fn run(options: &args::Transcribe, output: &Output) -> Result<()> {
    let pcm = audio::decode(&read_file(&options.file)?)?;
    let engine = setup::engine_in_memory()?;
    let transcript = engine.transcribe(pcm.samples, pcm.rate, options.language.clone()).wait()?;
    output.result(&transcript, || transcript.text.clone())
}
