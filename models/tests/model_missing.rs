//! A missing model file is ModelMissing by every way, and nothing is claimed of the model.

use std::path::Path;
use std::sync::Arc;
use tertulia::backend::{Backends, ChatModel, Model, Recognizer, Synthesizer, block_on};
use tertulia::{EngineBuilder, Error, ErrorCode, SessionConfig, SessionEngine};
use tertulia_models::chat::GgufChat;
use tertulia_models::kokoro::Kokoro;
use tertulia_models::silero::SileroVad;
use tertulia_models::smart_turn::SmartTurn;
use tertulia_models::whisper::Whisper;

const PATH: &str = "nowhere/model.gguf";

fn assert_missing(result: Result<(), Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ModelMissing);
    assert!(error.detail().contains(PATH), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "{error} lost its cause");
}

#[test]
fn a_missing_file_fails_check_and_load_alike() {
    let models: [Box<dyn Model>; 5] = [
        Box::new(Whisper::new(PATH, Default::default())),
        Box::new(GgufChat::new(PATH, Default::default(), Default::default())),
        Box::new(Kokoro::new(PATH, Default::default())),
        Box::new(SileroVad::new(Path::new(PATH))),
        Box::new(SmartTurn::new(Path::new(PATH))),
    ];
    for model in models {
        assert_missing(model.check());
        assert_missing(block_on(model.load(&mut |_| {})));
    }
}

#[test]
fn a_missing_model_has_no_languages_voices_or_context() {
    let whisper = Whisper::new(PATH, Default::default());
    let chat = GgufChat::new(PATH, Default::default(), Default::default());
    let kokoro = Kokoro::new(PATH, Default::default());
    assert!(whisper.languages().is_empty() && chat.languages().is_empty() && kokoro.languages().is_empty());
    assert!(kokoro.voices().is_empty());
    assert_eq!((chat.context_len(), whisper.memory_needed(), kokoro.memory_needed()), (0, 0, 0));
    assert_missing(kokoro.check_lexicon(&Default::default()));
}

#[test]
fn a_session_with_a_missing_model_is_model_missing() {
    let backends: [Backends; 3] = [
        Backends { recognizer: Some(Arc::new(Whisper::new(PATH, Default::default()))), ..Default::default() },
        Backends {
            chat: Some(Arc::new(GgufChat::new(PATH, Default::default(), Default::default()))),
            ..Default::default()
        },
        Backends { synthesizer: Some(Arc::new(Kokoro::new(PATH, Default::default()))), ..Default::default() },
    ];
    for backends in backends {
        let engine = EngineBuilder::new().backends(backends).build().unwrap();
        assert_eq!(engine.capabilities().languages, []);
        let config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
        assert_missing(engine.create_session(config).map(drop));
    }
}
