//! `tertulia say`: synthesises a text into a WAV file.

use crate::args;
use crate::output::{Output, write_file};
use crate::setup;
use tertulia::backend::SynthesisRequest;
use tertulia::{Error, ErrorCode, Result, SessionEngine, audio};

pub(crate) fn run(options: &args::Say, output: &Output) -> Result<()> {
    let engine = setup::engine_in_memory()?;
    let voice = match &options.voice {
        Some(voice) => voice.clone(),
        None => first_voice(&engine, &options.language[0])?,
    };
    let mut request = SynthesisRequest::new(options.text.clone(), options.language.clone());
    (request.voice, request.speed) = (Some(voice.clone()), options.speed);
    let (samples, rate) = setup::synthesize(&engine, request)?;
    write_file(&options.out, &audio::write_wav(&samples, rate))?;
    let duration_ms = samples.len() as u64 * 1000 / u64::from(rate.max(1));
    let result = serde_json::json!({"file": options.out, "voice": voice, "duration_ms": duration_ms});
    output.result(&result, || options.out.display().to_string())
}

fn first_voice(engine: &tertulia::Engine, language: &tertulia::LanguageTag) -> Result<String> {
    let capabilities = engine.capabilities();
    let voice = capabilities
        .languages
        .iter()
        .filter(|known| known.language == language.primary())
        .find_map(|known| known.voices.first());
    voice.cloned().ok_or_else(|| Error::new(ErrorCode::LanguageUnsupported, format!("no voice speaks {language}")))
}
