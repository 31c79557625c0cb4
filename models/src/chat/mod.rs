//! Chat models in GGUF files: Llama and Qwen2 architectures.
//!
//! [`GgufChat`] maps the file into memory and computes on its quantised blocks as they are. The tokenizer and the chat
//! template come from the file, too.
//!
//! ```no_run
//! use tertulia::backend::{ChatModel, ChatRequest, ChatStep, Message, Role, run_steps};
//! use tertulia_models::chat::{ChatOptions, GgufChat};
//!
//! # fn main() -> tertulia::Result<()> {
//! let model = GgufChat::new("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", Default::default(), ChatOptions::default());
//! let mut conversation = model.open_conversation()?;
//! let reply = conversation.reply(ChatRequest::new(vec![Message::new(Role::User, "Hola, me llamo Ben.")]))?;
//! let mut text = String::new();
//! run_steps(reply, |step| {
//!     if let ChatStep::Text(more) = step {
//!         text += &more;
//!     }
//!     Ok(())
//! })?;
//! # Ok(())
//! # }
//! ```

mod config;
mod conversation;
mod known_reply;
mod sampler;
mod stream;
mod template;
mod tokenizer;
mod transformer;

pub use tokenizer::{Token, Tokenizer};

use crate::gguf::Gguf;
use crate::{Device, ModelSource};
use config::Config;
use conversation::GgufConversation;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use template::Template;
use tertulia::backend::{BoxFuture, CancelFlag, ChatModel, Conversation, Model, Progress};
use tertulia::{LanguageTag, Result};
use transformer::Transformer;

/// Bytes of the work on one chunk of tokens and of the vocabulary, roughly.
const WORKING_BYTES: u64 = 64 << 20;

/// How a chat model is used.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// The longest context in tokens; the file's own where that is shorter. The cache grows up to it.
    pub context_len: usize,
    /// The languages that the model can converse in, where its file does not say.
    pub languages: Vec<LanguageTag>,
}

impl Default for ChatOptions {
    /// 4,096 tokens, and the main languages of Qwen2.5.
    fn default() -> Self {
        let languages = ["en", "es", "fr", "de", "it", "pt", "ru", "zh", "ja", "ko", "ar", "vi", "th"];
        let languages = languages.into_iter().map(|tag| tag.parse().expect("language tags")).collect();
        Self { context_len: 4096, languages }
    }
}

/// A chat model in a GGUF file.
#[derive(Debug)]
pub struct GgufChat {
    shared: Arc<Shared>,
}

/// State shared by the model and its conversations.
#[derive(Debug)]
struct Shared {
    source: ModelSource,
    name: String,
    device: Device,
    options: ChatOptions,
    header: OnceLock<Header>,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// The metadata that is read without loading.
#[derive(Clone, Debug)]
struct Header {
    memory_needed: u64,
    context_len: usize,
    languages: Vec<LanguageTag>,
}

/// A model that is in memory.
#[derive(Debug)]
struct Loaded {
    tokenizer: Tokenizer,
    template: Template,
    transformer: Transformer,
    context_len: usize,
}

impl GgufChat {
    /// A model that is loaded when it is first used.
    pub fn new(source: impl Into<ModelSource>, device: Device, options: ChatOptions) -> Self {
        let source = source.into();
        let name = source.name();
        let (header, loaded) = (OnceLock::new(), Mutex::new(None));
        Self { shared: Arc::new(Shared { source, name, device, options, header, loaded }) }
    }

    /// The tokens of a text, without marks of the chat format.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`ChatFailed`](tertulia::ErrorCode::ChatFailed).
    pub fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        self.shared.loaded(&mut |_| {})?.tokenizer.encode(text)
    }

    /// Evaluates tokens from an empty context and calls `each` with every position's logits; to compare a port with
    /// its reference.
    ///
    /// # Errors
    /// Those of [`Model::load`]; [`InvalidArgument`](tertulia::ErrorCode::InvalidArgument) for tokens outside the
    /// vocabulary, [`ChatFailed`](tertulia::ErrorCode::ChatFailed).
    pub fn each_logits(&self, tokens: &[Token], each: &mut dyn FnMut(&[f32])) -> Result<()> {
        /// Tokens whose logits are in memory at the same time.
        const CHUNK: usize = 32;
        let loaded = self.shared.loaded(&mut |_| {})?;
        let vocabulary_len = loaded.tokenizer.vocabulary_len();
        if tokens.iter().any(|&token| token as usize >= vocabulary_len) {
            return Err(tertulia::ErrorCode::InvalidArgument.into());
        }
        let mut cache = loaded.transformer.cache();
        for (at, chunk) in tokens.chunks(CHUNK).enumerate() {
            let hidden = loaded.transformer.evaluate(chunk, at * CHUNK, &mut cache, &CancelFlag::new())?;
            loaded.transformer.logits(&hidden)?.chunks_exact(vocabulary_len).for_each(&mut *each);
        }
        Ok(())
    }
}

impl Model for GgufChat {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn check(&self) -> Result<()> {
        self.shared.header().map(drop)
    }

    fn load<'a>(&'a self, progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.shared.loaded(progress).map(drop) })
    }

    fn unload(&self) {
        *self.shared.loaded.lock() = None;
    }

    fn is_loaded(&self) -> bool {
        self.shared.loaded.lock().is_some()
    }

    /// 0 where the file cannot be read.
    fn memory_needed(&self) -> u64 {
        self.shared.header().map_or(0, |header| header.memory_needed)
    }
}

impl ChatModel for GgufChat {
    fn languages(&self) -> Vec<LanguageTag> {
        self.shared.header().map(|header| header.languages.clone()).unwrap_or_default()
    }

    /// 0 where the file cannot be read.
    fn context_len(&self) -> usize {
        self.shared.header().map_or(0, |header| header.context_len)
    }

    /// Exact once the model is loaded.
    fn count_tokens(&self, text: &str) -> usize {
        let loaded = self.shared.loaded.try_lock().and_then(|loaded| loaded.clone());
        let exact = loaded.and_then(|loaded| loaded.tokenizer.encode(text).ok());
        exact.map_or(text.len().div_ceil(3), |tokens| tokens.len())
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        self.shared.loaded(&mut |_| {})?;
        Ok(Box::new(GgufConversation::new(self.shared.clone())))
    }
}

impl Shared {
    fn header(&self) -> Result<&Header> {
        if let Some(header) = self.header.get() {
            return Ok(header);
        }
        let header = self.read_header(&Gguf::open_head(&self.source)?)?;
        Ok(self.header.get_or_init(|| header))
    }

    fn read_header(&self, file: &Gguf) -> Result<Header> {
        let config = Config::from_gguf(file)?;
        let context_len = self.context_len(&config);
        let cache = context_len * config.cache_bytes_per_token();
        let tags = |tags: Vec<&str>| tags.iter().map(|tag| tag.parse()).collect::<Result<Vec<LanguageTag>>>();
        let languages = file.strings("general.languages").and_then(tags).ok().filter(|tags| !tags.is_empty());
        Ok(Header {
            memory_needed: (file.file_bytes() + cache) as u64 + WORKING_BYTES,
            context_len,
            languages: languages.unwrap_or_else(|| self.options.languages.clone()),
        })
    }

    fn context_len(&self, config: &Config) -> usize {
        self.options.context_len.clamp(2, config.context_len.max(2))
    }

    fn loaded(&self, progress: &mut dyn FnMut(f32)) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = &*loaded {
            return Ok(loaded.clone());
        }
        progress(0.0);
        let mut file = Gguf::open_source(&self.source)?;
        let config = Config::from_gguf(&file)?;
        let context_len = self.context_len(&config);
        let tokenizer = Tokenizer::from_gguf(&file)?;
        let source = file.value("tokenizer.chat_template").map(|_| file.str("tokenizer.chat_template")).transpose()?;
        let template = Template::new(source, &tokenizer)?;
        file.forget_values();
        let file = Arc::new(file);
        let transformer = match self.device {
            Device::Cpu => Transformer::load(&file, config, tokenizer.vocabulary_len(), progress)?,
        };
        let model = Arc::new(Loaded { tokenizer, template, transformer, context_len });
        *loaded = Some(model.clone());
        Ok(model)
    }
}
