//! The default backends are made of a folder's files without loading them.

use std::sync::Arc;
use tertulia::backend::ChatModel;
use tertulia::{EngineBuilder, EngineOptions, ErrorCode, SessionEngine};
use tertulia_models::chat::GgufChat;
use tertulia_models::files::ModelStore;
use tertulia_models::{BackendChoice, BackendOptions, default_backends};

#[test]
fn the_default_models_become_backends_unloaded() {
    let store = ModelStore::open_default().unwrap();
    let backends = default_backends(&store, &BackendOptions::default()).unwrap();
    let (vad, recognizer) = (backends.vad.unwrap(), backends.recognizer.unwrap());
    let (chat, synthesizer) = (backends.chat.unwrap(), backends.synthesizer.unwrap());
    assert!(!vad.is_loaded() && !recognizer.is_loaded() && !chat.is_loaded() && !synthesizer.is_loaded());
    assert_eq!(backends.turn_detector.unwrap().name(), "smart-turn-v3.2");
    let es = "es".parse().unwrap();
    assert!(recognizer.languages().contains(&es) && synthesizer.languages().contains(&es));
    assert_eq!(chat.name(), "qwen2.5-coder-0.5b-instruct-q4_k_m");
}

#[test]
fn another_chat_model_can_be_chosen_and_no_other_model() {
    let store = ModelStore::open_default().unwrap();
    let named = |name: &str| BackendOptions { chat: BackendChoice::Named(name.into()), ..Default::default() };
    let backends = default_backends(&store, &named("smollm2-135m-instruct-q4_1")).unwrap();
    assert_eq!(backends.chat.unwrap().name(), "smollm2-135m-instruct-q4_1");
    assert_eq!(default_backends(&store, &named("whisper-base")).err().unwrap().code(), ErrorCode::InvalidArgument);
    assert_eq!(default_backends(&store, &named("nobody")).err().unwrap().code(), ErrorCode::ModelUnknown);
}

#[cfg(unix)]
#[test]
fn an_engine_works_without_the_turn_detector() {
    let all = ModelStore::open_default().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<&str> =
        all.manifest().default_names().into_iter().filter(|name| *name != "smart-turn-v3.2").collect();
    for name in names {
        let from = all.path(name).unwrap();
        std::os::unix::fs::symlink(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    let store = ModelStore::open(folder.path()).unwrap();
    let backends = default_backends(&store, &BackendOptions::default()).unwrap();
    assert!(backends.turn_detector.is_none() && backends.vad.is_some());
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    assert_eq!(engine.capabilities().models.turn_detector, None);
}

#[test]
fn an_absent_file_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    let error = default_backends(&store, &BackendOptions::default()).err().unwrap();
    assert_eq!(error.code(), ErrorCode::ModelMissing);
}

#[cfg(unix)]
#[test]
fn only_the_files_of_the_roles_that_are_asked_for_must_be_there() {
    let all = ModelStore::open_default().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let from = all.path("silero-vad-v6").unwrap();
    std::os::unix::fs::symlink(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    let options =
        r#"{"models": {"recognizer": "none", "turn_detector": "none", "chat": "none", "synthesizer": "none"}}"#;
    let mut options = BackendOptions::from(&EngineOptions::from_json(options).unwrap());
    let backends = default_backends(&store, &options).unwrap();
    assert!(backends.vad.is_some() && backends.recognizer.is_none() && backends.turn_detector.is_none());
    assert!(backends.chat.is_none() && backends.synthesizer.is_none());

    let own: Arc<dyn ChatModel> = Arc::new(GgufChat::new("the-hosts-own.gguf", Default::default(), Default::default()));
    options.chat = BackendChoice::Own(own.clone());
    assert!(Arc::ptr_eq(&default_backends(&store, &options).unwrap().chat.unwrap(), &own));

    let threads = EngineOptions { threads: Some(2), ..EngineOptions::default() };
    assert_eq!(BackendOptions::from(&threads).threads, Some(2));
    options.threads = Some(2);
    default_backends(&store, &options).unwrap();
    options.threads = Some(1);
    assert_eq!(
        default_backends(&store, &options).err().unwrap().code(),
        ErrorCode::InvalidConfig,
        "they are 2 already"
    );
    options.threads = None;

    options.turn_detector = BackendChoice::Named("smart-turn-v3.2".into());
    let error = default_backends(&store, &options).err().expect("the one asked for by name is not there");
    assert_eq!(error.code(), ErrorCode::ModelMissing);
    options.turn_detector = BackendChoice::Named("silero-vad-v6".into());
    let error = default_backends(&store, &options).err().unwrap();
    assert_eq!((error.code(), error.detail()), (ErrorCode::InvalidArgument, "silero-vad-v6 is no turn detector"));
}
