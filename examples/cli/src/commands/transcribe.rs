//! `tertulia transcribe`: the transcript of an audio file.

use crate::args;
use crate::output::{Output, read_file};
use crate::setup;
use tertulia::{Result, SessionEngine, audio, backend};

pub(crate) fn run(options: &args::Transcribe, output: &Output) -> Result<()> {
    let pcm = audio::decode(&read_file(&options.file)?)?;
    let engine = setup::engine_in_memory()?;
    let transcript = backend::block_on(engine.transcribe(pcm.samples, pcm.rate, options.language.clone()))?;
    output.result(&transcript, || transcript.text.clone())
}
