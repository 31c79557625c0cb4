//! Replies: the chat model, its conversations and requests.

use super::{CancelFlag, MaybeSend, Model, Purpose, RequestContext, Steps, steps_from_fn};
#[cfg(doc)]
use crate::error::ErrorCode;
use crate::error::Result;
use crate::language::LanguageTag;
use serde::{Deserialize, Serialize};

/// The author of a message. In JSON the author `tool` is reserved for results of the host's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Instructions.
    System,
    /// The learner.
    User,
    /// The tutor.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Its author.
    pub role: Role,
    /// Its text.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// A chat model.
pub trait ChatModel: Model {
    /// The languages that it converses in.
    fn languages(&self) -> Vec<LanguageTag>;

    /// The context length in tokens; 8,192 by default. Read once, when the engine is built, and after loading.
    fn context_len(&self) -> usize {
        8_192
    }

    /// The number of tokens of a text, without those of the chat template; decides how much is summarised.
    ///
    /// Loads nothing and does not wait: a model that is not loaded estimates. By default a high estimate: a token for
    /// every three bytes.
    fn count_tokens(&self, text: &str) -> usize {
        text.len().div_ceil(3)
    }

    /// Opens a conversation with an empty cache.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    fn open_conversation(&self) -> Result<Box<dyn Conversation>>;
}

/// A conversation and its KV cache, kept from turn to turn.
pub trait Conversation: MaybeSend {
    /// Starts to generate the next message. The request names the whole conversation; only tokens that the cache does
    /// not hold are evaluated.
    ///
    /// Where it does not fit, whole messages after the first `pinned` are dropped, oldest first, so that a user's
    /// message stays first among those that remain.
    ///
    /// # Errors
    /// [`ErrorCode::ContextFull`] where the pinned messages and the last one alone do not fit;
    /// [`ErrorCode::ChatTemplateInvalid`]. Steps fail with [`ErrorCode::ChatFailed`] or [`ErrorCode::Cancelled`].
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>>;

    /// Evaluates the tokens of a reply to come and keeps them in its cache: the request is that reply's, or a part of
    /// it. Does nothing by default.
    ///
    /// # Errors
    /// As for [`reply`](Self::reply).
    fn prefill(&mut self, _request: ChatRequest) -> Result<Steps<'_, ()>> {
        Ok(steps_from_fn(|| Ok(None)))
    }
}

/// A request for a reply.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The number of first messages that are never dropped. In the engine's requests these are all but the last: the
    /// engine summarises a conversation that does not fit.
    pub pinned: usize,
    /// Sampling of tokens.
    pub sampling: Sampling,
    /// For what, and for whom, it is made.
    pub context: RequestContext,
    /// Stops the work.
    pub cancel: CancelFlag,
}

impl ChatRequest {
    /// A request for a reply to the last message, without a session.
    pub fn new(messages: Vec<Message>) -> Self {
        let context = RequestContext { purpose: Purpose::Reply, ..RequestContext::default() };
        let pinned = messages.len().saturating_sub(1);
        Self { messages, pinned, sampling: Sampling::default(), context, cancel: CancelFlag::new() }
    }
}

/// Sampling of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Sampling {
    /// The temperature, 0 to 2; 0 is greedy decoding.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 2.0)))]
    pub temperature: f32,
    /// Nucleus sampling: the likeliest tokens whose probabilities reach this sum, 0 to 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
    pub top_p: f32,
    /// Top-k sampling: this many of the likeliest tokens; 0 for all.
    pub top_k: u32,
    /// Divides the logits of the last 64 tokens, 0.5 to 2; 1 for no penalty.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.5, max = 2.0)))]
    pub repetition_penalty: f32,
    /// The same seed gives the same reply; `None` draws one.
    pub seed: Option<u64>,
    /// Texts that end the reply, up to 16 of up to 100 bytes; they are not part of it.
    pub stop: Vec<String>,
    /// The most tokens of one reply, 1 to 8,192.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 8_192)))]
    pub max_tokens: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 0.9,
            top_k: 40,
            repetition_penalty: 1.1,
            seed: None,
            stop: Vec::new(),
            max_tokens: 256,
        }
    }
}

/// One step of a reply.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ChatStep {
    /// Part of the prompt was evaluated.
    Working,
    /// More text, in whole characters.
    Text(String),
    /// The last item.
    Done {
        /// Why the reply ended.
        reason: StopReason,
        /// Token counts.
        usage: ChatUsage,
    },
}

impl ChatStep {
    /// The last item of a reply that ended by itself, without token counts.
    pub fn done() -> Self {
        ChatStep::Done { reason: StopReason::Stop, usage: ChatUsage::default() }
    }
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// An end token or a stop text.
    Stop,
    /// The token limit or the end of the context was reached.
    Length,
}

/// Token counts of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were not in the KV cache.
    pub evaluated_tokens: u32,
    /// Tokens of the reply.
    pub reply_tokens: u32,
    /// Messages that did not fit and were dropped.
    pub dropped_messages: u32,
}
