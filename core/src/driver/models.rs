//! The engine's backends: loaded on demand, within the memory limit, and checked against a session's settings.

use super::Shared;
use crate::backend::{Backends, Model};
use crate::config::{ListeningMode, SessionConfig};
use crate::error::{Error, ErrorCode, Result};
use crate::event::EventKind;
use crate::language::LanguageTag;
use std::sync::Arc;

impl Shared {
    /// The backend, loaded.
    pub(crate) async fn ready<'a, M: Model + ?Sized>(
        &self,
        backend: &'a Option<Arc<M>>,
        name: &str,
    ) -> Result<&'a Arc<M>> {
        let model = Backends::require(backend, name)?;
        self.ensure_loaded(&**model).await?;
        Ok(model)
    }

    /// Loads a model that is not loaded, with `model_loading` events.
    pub(crate) async fn ensure_loaded<M: Model + ?Sized>(&self, model: &M) -> Result<()> {
        if model.is_loaded() {
            return Ok(());
        }
        self.check_memory(model)?;
        let emit = |progress: f32| {
            let kind = EventKind::ModelLoading { model: model.name().to_owned(), progress };
            self.engine_events.push(None, None, self.uptime_ms(), kind);
        };
        emit(0.0);
        let mut progress = |progress: f32| {
            // 1 is emitted once, when the model can be used.
            if (0.0..1.0).contains(&progress) {
                emit(progress);
            }
        };
        model.load(&mut progress).await?;
        emit(1.0);
        Ok(())
    }

    /// Checks that a model that is to be loaded fits beside those that are.
    fn check_memory<M: Model + ?Sized>(&self, model: &M) -> Result<()> {
        let Some(max) = self.options.memory_bytes_max else { return Ok(()) };
        let loaded: u64 =
            self.backends.models().filter(|other| other.is_loaded()).map(|other| other.memory_needed()).sum();
        let needed = model.memory_needed();
        if loaded + needed > max {
            let detail = format!("{} needs {needed} bytes beside {loaded}; {max} are allowed", model.name());
            return Err(Error::new(ErrorCode::OutOfMemory, detail));
        }
        Ok(())
    }

    /// Checks that the engine can do what the settings ask for.
    pub(crate) fn check_config(&self, config: &SessionConfig) -> Result<()> {
        self.catalog.level(&config.level)?;
        self.catalog.scenario(&config.scenario)?;
        config.check_ranges()?;
        let backends = &self.backends;
        if config.listening.mode == ListeningMode::Continuous {
            Backends::require(&backends.vad, "voice activity detector")?;
        }
        let has = |languages: &[LanguageTag], tag: &LanguageTag| languages.iter().any(|l| l.same_language(tag));
        if let Some(recognizer) = &backends.recognizer {
            recognizer.check()?;
            let known = recognizer.languages();
            require_language(has(&known, &config.target) && has(&known, &config.native), "recogniser")?;
        }
        if let Some(chat) = &backends.chat {
            chat.check()?;
            require_language(has(&chat.languages(), &config.target), "chat model")?;
        }
        if let Some(synthesizer) = &backends.synthesizer {
            synthesizer.check()?;
            require_language(has(&synthesizer.languages(), &config.target), "synthesizer")?;
            if let Some(voice) = &config.voice
                && !synthesizer.voices().iter().any(|known| &known.name == voice)
            {
                return Err(Error::new(ErrorCode::UnknownVoice, format!("no voice is named {voice}")));
            }
            synthesizer.check_lexicon(&config.lexicon)?;
        }
        Ok(())
    }
}

fn require_language(supported: bool, what: &str) -> Result<()> {
    if supported {
        return Ok(());
    }
    Err(Error::new(ErrorCode::LanguageUnsupported, format!("the {what} does not know a language of the session")))
}
