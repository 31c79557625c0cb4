//! Engines and stores as the command line asks for them.

use crate::args;
use crate::output::{Output, file_error, read_file};
use crate::script::Manner;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tertulia::backend::{Backends, SynthesisRequest};
use tertulia::store::{Store, StoreKey, StoreLocation, StoreOptions};
use tertulia::{
    Engine, EngineBuilder, Error, ErrorCode, LanguageTag, Listening, Playback, Result, Session, SessionConfig,
    SessionEngine, SessionUpdate,
};
use tertulia_models::files::{ModelState, ModelStore, Phase, Progress, PullOptions};
use tertulia_models::{BackendChoice, BackendOptions, default_backends};

/// An engine with the default models, and the chat model of that name.
pub(crate) fn engine(store: &args::Store, chat: Option<&str>) -> Result<Engine> {
    let models = ModelStore::open_default()?;
    let backends = default_backends(&models, &backend_options(chat))?;
    with_store(EngineBuilder::new().backends(backends), store)?.build()
}

/// An engine with a store in memory, for calls that need no session.
pub(crate) fn engine_in_memory() -> Result<Engine> {
    let models = ModelStore::open_default()?;
    EngineBuilder::new().backends(default_backends(&models, &backend_options(None))?).build()
}

/// An engine that recognises and does not reply.
pub(crate) fn engine_without_replies() -> Result<Engine> {
    let models = ModelStore::open_default()?;
    let (chat, synthesizer) = (BackendChoice::None, BackendChoice::None);
    let options = BackendOptions { chat, synthesizer, ..BackendOptions::default() };
    EngineBuilder::new().backends(default_backends(&models, &options)?).build()
}

/// An engine without models, for the store alone.
pub(crate) fn engine_without_models(store: &args::Store) -> Result<Engine> {
    with_store(EngineBuilder::new().backends(Backends::default()), store)?.build()
}

fn with_store(builder: EngineBuilder, store: &args::Store) -> Result<EngineBuilder> {
    Ok(builder.store(StoreLocation::File(store_path(store)?)).store_options(store_options(store, None)?))
}

/// The store without an engine.
pub(crate) fn store(store: &args::Store, audio_bytes_max: Option<u64>) -> Result<Store> {
    let options = store_options(store, audio_bytes_max)?;
    Store::open_with(StoreLocation::File(store_path(store)?), options, unix_ms()?)
}

/// The time of day.
pub(crate) fn unix_ms() -> Result<u64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.map_err(|_| Error::new(ErrorCode::InvalidConfig, "clock is set to before 1970"))?;
    Ok(since.as_millis() as u64)
}

fn store_options(store: &args::Store, audio_bytes_max: Option<u64>) -> Result<StoreOptions> {
    Ok(StoreOptions { key: store.key_file.as_deref().map(read_key).transpose()?, audio_bytes_max })
}

/// A key from a file: 32 bytes, or 64 hexadecimal digits with or without white space around them.
pub(crate) fn read_key(path: &Path) -> Result<StoreKey> {
    let bytes = read_file(path)?;
    if bytes.len() == 32 {
        return StoreKey::from_slice(&bytes);
    }
    let digits: String =
        bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|&byte| char::from(byte)).collect();
    StoreKey::from_hex(&digits).map_err(|_| {
        let detail = format!("{} holds neither 32 bytes nor 64 hexadecimal digits", path.display());
        Error::new(ErrorCode::InvalidArgument, detail)
    })
}

/// The resumed session, or a new one.
pub(crate) fn session(
    engine: &Engine,
    options: &args::Session,
    playback: Playback,
    listening: Listening,
) -> Result<Session> {
    let mut update = SessionUpdate::new().playback(playback).listening(listening);
    if let Some(level) = &options.level {
        update = update.level(level);
    }
    if let Some(scenario) = &options.scenario {
        update = update.scenario(scenario);
    }
    if let Some(voice) = &options.voice {
        update = update.voice(voice.clone());
    }
    if let Some(speed) = options.speed {
        update = update.speed(speed);
    }
    match options.id {
        Some(id) => engine.open_session(id, &update),
        None => {
            let languages = &options.languages;
            let config = SessionConfig::new(languages.native.clone(), languages.target.clone());
            engine.create_session(update.applied_to(&config)?)
        }
    }
}

/// A text in the learner's voice: by default the language's last, which is not the tutor's if it has several.
pub(crate) fn synthesize_learner(
    engine: &Engine,
    text: &str,
    target: &LanguageTag,
    manner: &Manner,
) -> Result<(Vec<f32>, u32)> {
    let language = manner.language.as_ref().unwrap_or(target);
    let capabilities = engine.capabilities();
    let known = capabilities.languages.iter().filter(|known| known.language == language.primary());
    let voice = manner.voice.as_ref().or_else(|| known.flat_map(|known| &known.voices).last());
    let voice =
        voice.ok_or_else(|| Error::new(ErrorCode::LanguageUnsupported, format!("no voice speaks {language}")))?;
    let mut request = SynthesisRequest::new(text, vec![language.clone()]);
    (request.voice, request.speed) = (Some(voice.clone()), manner.speed.unwrap_or(1.0));
    synthesize(engine, request)
}

/// The samples of a text's speech, and their rate.
pub(crate) fn synthesize(engine: &Engine, request: SynthesisRequest) -> Result<(Vec<f32>, u32)> {
    let (mut samples, mut rate) = (Vec::new(), 0);
    engine.synthesize(request)?.run(|chunk| {
        samples.extend(chunk.samples);
        rate = chunk.rate;
        Ok(())
    })?;
    Ok((samples, rate))
}

/// Fetches the default models, with the chat model of that name, as far as they are missing.
pub(crate) fn pull_missing(chat: Option<&str>, output: &Output) -> Result<()> {
    let models = ModelStore::open_default()?;
    let mut names: Vec<&str> = models.manifest().default_names();
    if let Some(chat) = chat {
        let default_chat = models.manifest().default_model(tertulia_models::files::Role::Chat)?.name.as_str();
        names.retain(|name| *name != default_chat);
        names.push(chat);
    }
    let ready = |name: &str, list: &[tertulia_models::files::ModelInfo]| {
        list.iter().any(|model| model.name == name && model.state == ModelState::Ready)
    };
    let list = models.list()?;
    names.retain(|name| !ready(name, &list));
    if names.is_empty() {
        return Ok(());
    }
    pull(&models, &names, output)
}

/// Fetches models, with a progress bar.
pub(crate) fn pull(models: &ModelStore, names: &[&str], output: &Output) -> Result<()> {
    with_progress(output, |options| models.pull(names, options))
}

/// Runs a pull with a progress bar.
pub(crate) fn with_progress<T>(output: &Output, pull: impl FnOnce(PullOptions<'_>) -> Result<T>) -> Result<T> {
    let mut bar = output.progress();
    let mut show = |progress: &Progress| {
        let doing = match progress.phase {
            Phase::Waiting => "waiting for another pull",
            Phase::Downloading => "downloading",
            Phase::Unpacking => "unpacking",
            Phase::Verifying => "verifying",
            Phase::Converting => "converting",
            Phase::Ready => "ready",
            _ => "working",
        };
        bar.show(&format!("{}: {doing} {}", progress.model, progress.file), progress.done_bytes, progress.total_bytes);
    };
    let pulled = pull(PullOptions::new().on_progress(&mut show));
    bar.finish();
    pulled
}

fn backend_options(chat: Option<&str>) -> BackendOptions {
    let chat = chat.map_or(BackendChoice::Default, |name| BackendChoice::Named(name.to_owned()));
    BackendOptions { chat, ..BackendOptions::default() }
}

/// The store's path; creates its folder.
fn store_path(store: &args::Store) -> Result<PathBuf> {
    let path = match &store.path {
        Some(path) => return Ok(path.clone()),
        None => data_folder()?.join("tertulia").join("sessions.redb"),
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| file_error("made", folder, source))?;
    }
    Ok(path)
}

fn data_folder() -> Result<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || from("HOME").or_else(|| from("USERPROFILE"));
    let folder = if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Application Support"))
    } else if cfg!(windows) {
        from("LOCALAPPDATA")
    } else {
        from("XDG_DATA_HOME").or_else(|| home().map(|home| home.join(".local/share")))
    };
    folder.ok_or_else(|| Error::new(ErrorCode::InvalidConfig, "no home folder: name the store with --store"))
}
