//! The default backends are made of a folder's files without loading them.

use tertulia::ErrorCode;
use tertulia_models::files::ModelStore;
use tertulia_models::{BackendOptions, default_backends};

#[test]
fn the_default_models_become_backends_unloaded() {
    let store = ModelStore::open_default().unwrap();
    let backends = default_backends(&store, &BackendOptions::default()).unwrap();
    let (vad, recognizer) = (backends.vad.unwrap(), backends.recognizer.unwrap());
    let (chat, synthesizer) = (backends.chat.unwrap(), backends.synthesizer.unwrap());
    assert!(!vad.is_loaded() && !recognizer.is_loaded() && !chat.is_loaded() && !synthesizer.is_loaded());
    let es = "es".parse().unwrap();
    assert!(recognizer.languages().contains(&es) && synthesizer.languages().contains(&es));
    assert_eq!(chat.name(), "qwen2.5-coder-0.5b-instruct-q4_k_m");
}

#[test]
fn another_chat_model_can_be_chosen_and_no_other_model() {
    let store = ModelStore::open_default().unwrap();
    let named = |name: &str| BackendOptions { chat_model: Some(name.into()), ..Default::default() };
    let backends = default_backends(&store, &named("smollm2-135m-instruct-q4_1")).unwrap();
    assert_eq!(backends.chat.unwrap().name(), "smollm2-135m-instruct-q4_1");
    assert_eq!(default_backends(&store, &named("whisper-base")).err().unwrap().code(), ErrorCode::InvalidArgument);
    assert_eq!(default_backends(&store, &named("nobody")).err().unwrap().code(), ErrorCode::ModelUnknown);
}

#[test]
fn an_absent_file_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    let error = default_backends(&store, &BackendOptions::default()).err().unwrap();
    assert_eq!(error.code(), ErrorCode::ModelMissing);
}
