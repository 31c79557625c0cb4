//! [`default_backends`]: the models of a [`ModelStore`] as an engine takes them.

use crate::Device;
use crate::chat::{ChatOptions, GgufChat};
use crate::files::{ModelStore, Role};
use crate::kokoro::Kokoro;
use crate::silero::SileroVad;
use crate::smart_turn::SmartTurn;
use crate::whisper::Whisper;
use std::path::PathBuf;
use std::sync::Arc;
use tertulia::backend::{Backends, ChatModel, Recognizer, Synthesizer, TurnDetector, VadModel};
use tertulia::{EngineOptions, Error, ErrorCode, ModelChoice, Result};

/// The backend of each role, and where models compute.
///
/// ```
/// use tertulia::EngineOptions;
/// use tertulia_models::{BackendChoice, BackendOptions};
/// # fn main() -> tertulia::Result<()> {
/// let options = EngineOptions::from_json(r#"{"models": {"chat": "smollm2-135m-instruct-q4_1"}}"#)?;
/// let mut backends = BackendOptions::from(&options);
/// backends.synthesizer = BackendChoice::None; // or `BackendChoice::Own(…)`, the host's own
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct BackendOptions {
    /// Voice activity detection.
    pub vad: BackendChoice<dyn VadModel>,
    /// End-of-turn detection.
    pub turn_detector: BackendChoice<dyn TurnDetector>,
    /// Speech to text.
    pub recognizer: BackendChoice<dyn Recognizer>,
    /// Replies.
    pub chat: BackendChoice<dyn ChatModel>,
    /// Text to speech.
    pub synthesizer: BackendChoice<dyn Synthesizer>,
    /// How a chat model of the manifest is used.
    pub chat_options: ChatOptions,
    /// Where tensors lie and are computed.
    pub device: Device,
    /// The threads that compute, in all engines of this process; `None` for as many as there are processors, or as were
    /// asked for before.
    pub threads: Option<usize>,
}

/// The backend of a role.
#[derive(Default)]
pub enum BackendChoice<T: ?Sized> {
    /// The manifest's default model.
    #[default]
    Default,
    /// None: the engine lacks the role.
    None,
    /// The manifest's model of this name.
    Named(String),
    /// The host's own.
    Own(Arc<T>),
}

impl<T: ?Sized> Clone for BackendChoice<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Default => Self::Default,
            Self::None => Self::None,
            Self::Named(name) => Self::Named(name.clone()),
            Self::Own(backend) => Self::Own(backend.clone()),
        }
    }
}

impl<T: ?Sized> std::fmt::Debug for BackendChoice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::None => "none",
            Self::Named(name) => name,
            Self::Own(_) => "the host's own",
        })
    }
}

impl<T: ?Sized> From<ModelChoice> for BackendChoice<T> {
    fn from(choice: ModelChoice) -> Self {
        match choice {
            ModelChoice::Default => Self::Default,
            ModelChoice::None => Self::None,
            ModelChoice::Named(name) => Self::Named(name),
        }
    }
}

impl From<&EngineOptions> for BackendOptions {
    fn from(options: &EngineOptions) -> Self {
        let choices = options.models.clone();
        Self {
            threads: options.threads,
            vad: choices.vad.into(),
            turn_detector: choices.turn_detector.into(),
            recognizer: choices.recognizer.into(),
            chat: choices.chat.into(),
            synthesizer: choices.synthesizer.into(),
            ..Self::default()
        }
    }
}

/// The backends that `options` asks for, out of `store`. Only the files of those models must be there. No weights are
/// loaded; of each file the size is looked at.
///
/// An engine works without a turn detector: where the default one's file is not there or damaged, there is none, and
/// the engine's capabilities say so. One that is asked for by name must be there.
///
/// ```no_run
/// # fn main() -> tertulia::Result<()> {
/// use tertulia_models::{BackendChoice, BackendOptions, default_backends, files::ModelStore};
/// let options = BackendOptions { chat: BackendChoice::None, ..Default::default() };
/// let backends = default_backends(&ModelStore::open_default()?, &options)?;
/// # let _ = backends;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorCode::ModelMissing`] where a file is not there, with the command that fetches it;
/// [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`] where one is damaged;
/// [`ErrorCode::ModelUnknown`] where the manifest has no such model, [`ErrorCode::InvalidArgument`] where it has
/// another role; [`ErrorCode::InvalidConfig`] where this process computes with another number of threads already.
pub fn default_backends(store: &ModelStore, options: &BackendOptions) -> Result<Backends> {
    options.threads.map_or(Ok(()), set_threads)?;
    let device = options.device;
    let turn_detector =
        choose(store, Role::TurnDetector, &options.turn_detector, |path| Arc::new(SmartTurn::new(path)));
    Ok(Backends {
        vad: choose(store, Role::Vad, &options.vad, |path| Arc::new(SileroVad::new(path)))?,
        turn_detector: match (turn_detector, &options.turn_detector) {
            (Err(error), BackendChoice::Default) => {
                tracing::warn!(error = error.chain(), "no turn detector");
                None
            }
            (chosen, _) => chosen?,
        },
        recognizer: choose(store, Role::Recognizer, &options.recognizer, |path| Arc::new(Whisper::new(path, device)))?,
        chat: choose(store, Role::Chat, &options.chat, |path| {
            Arc::new(GgufChat::new(path, device, options.chat_options.clone()))
        })?,
        synthesizer: choose(store, Role::Synthesizer, &options.synthesizer, |path| {
            Arc::new(Kokoro::new(path, device))
        })?,
    })
}

/// The backends that the options of an engine ask for.
///
/// ```no_run
/// # fn main() -> tertulia::Result<()> {
/// use tertulia::{EngineBuilder, EngineOptions};
/// let options = EngineOptions::from_json(r#"{"store": {"path": "talks.redb"}, "models": {"vad": "none"}}"#)?;
/// let backends = tertulia_models::backends_for(&options)?;
/// let engine = EngineBuilder::new().backends(backends).options(&options)?.build()?;
/// # let _ = engine;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`default_backends`] and of [`ModelStore::open`].
pub fn backends_for(options: &EngineOptions) -> Result<Backends> {
    let store = options.model_folder.as_ref().map_or_else(ModelStore::open_default, ModelStore::open)?;
    default_backends(&store, &options.into())
}

/// The backend of one role; `make` gets the path of a model's file.
fn choose<T: ?Sized>(
    store: &ModelStore,
    role: Role,
    choice: &BackendChoice<T>,
    make: impl FnOnce(PathBuf) -> Arc<T>,
) -> Result<Option<Arc<T>>> {
    let entry = match choice {
        BackendChoice::None => return Ok(None),
        BackendChoice::Own(backend) => return Ok(Some(backend.clone())),
        BackendChoice::Default => store.manifest().default_model(role)?,
        BackendChoice::Named(name) => store.manifest().model(name)?,
    };
    if entry.role != role {
        return Err(Error::new(ErrorCode::InvalidArgument, format!("{} is no {}", entry.name, role.title())));
    }
    Ok(Some(make(store.path(&entry.name)?)))
}

/// Sets the number of threads of the process' pool, which is made once.
fn set_threads(threads: usize) -> Result<()> {
    // It fails where there is a pool.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    match rayon::current_num_threads() {
        there if there == threads => Ok(()),
        there => {
            let detail = format!("threads is {threads}, and this process computes with {there} already");
            Err(Error::new(ErrorCode::InvalidConfig, detail))
        }
    }
}
