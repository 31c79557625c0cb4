//! [`default_backends`]: the models of a [`ModelStore`] as an engine takes them.

use crate::Device;
use crate::chat::{ChatOptions, GgufChat};
use crate::files::{ModelStore, Role};
use crate::kokoro::Kokoro;
use crate::silero::SileroVad;
use crate::smart_turn::SmartTurn;
use crate::whisper::Whisper;
use std::sync::Arc;
use tertulia::backend::{Backends, TurnDetector};
use tertulia::{Error, ErrorCode, Result};

/// Which models, and where they compute.
#[derive(Clone, Debug, Default)]
pub struct BackendOptions {
    /// The chat model's name in the manifest; the default one where this is `None`.
    pub chat_model: Option<String>,
    /// How the chat model is used.
    pub chat: ChatOptions,
    /// Where tensors live and are computed.
    pub device: Device,
}

/// The default recogniser, chat model, synthesizer, voice activity detector and turn detector of `store`. No weights
/// are loaded.
///
/// An engine works without a turn detector: where its file is not there or damaged, there is none, and the engine's
/// capabilities say so.
///
/// ```no_run
/// # fn main() -> tertulia::Result<()> {
/// use tertulia_models::{BackendOptions, default_backends, files::ModelStore};
/// let mut backends = default_backends(&ModelStore::open_default()?, &BackendOptions::default())?;
/// backends.chat = None; // or the host's own
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorCode::ModelMissing`] where a file is not there, with the command that fetches it;
/// [`ErrorCode::ModelTruncated`], [`ErrorCode::ModelCorrupt`] where one is damaged;
/// [`ErrorCode::ModelUnknown`] where the manifest has no such chat model, [`ErrorCode::InvalidArgument`] where it
/// is none.
pub fn default_backends(store: &ModelStore, options: &BackendOptions) -> Result<Backends> {
    let default_path = |role| store.path(&store.manifest().default_model(role)?.name);
    let chat = match &options.chat_model {
        Some(name) if store.manifest().model(name)?.role != Role::Chat => {
            return Err(Error::new(ErrorCode::InvalidArgument, format!("not a chat model: {name}")));
        }
        Some(name) => store.path(name)?,
        None => default_path(Role::Chat)?,
    };
    Ok(Backends {
        vad: Some(Arc::new(SileroVad::new(default_path(Role::Vad)?))),
        turn_detector: turn_detector(store),
        recognizer: Some(Arc::new(Whisper::new(default_path(Role::Recognizer)?, options.device))),
        chat: Some(Arc::new(GgufChat::new(chat, options.device, options.chat.clone()))),
        synthesizer: Some(Arc::new(Kokoro::new(default_path(Role::Synthesizer)?, options.device))),
    })
}

fn turn_detector(store: &ModelStore) -> Option<Arc<dyn TurnDetector>> {
    let path = store.manifest().default_model(Role::TurnDetector).and_then(|model| store.path(&model.name));
    match path {
        Ok(path) => Some(Arc::new(SmartTurn::new(path))),
        Err(error) => {
            tracing::warn!(error = error.chain(), "no turn detector");
            None
        }
    }
}
