//! [`GgufConversation`]: prompts, the cache between turns, and replies token by token.

use super::known_reply::KnownReply;
use super::sampler::{PENALTY_WINDOW, Sampler};
use super::stream::TextStream;
use super::template::PromptMessage;
use super::tokenizer::Token;
use super::transformer::KvCache;
use super::{Loaded, Shared};
use std::collections::BTreeMap;
use std::sync::Arc;
use tertulia::backend::{
    ChatRequest, ChatStep, ChatUsage, Conversation, Message, Role, Sampling, Steps, StopReason, steps_from_fn,
};
use tertulia::{Error, ErrorCode, Result};

/// Tokens of a prompt that are evaluated in one step.
const CHUNK: usize = 128;

/// A conversation with a [`GgufChat`](super::GgufChat).
#[derive(Debug)]
pub(super) struct GgufConversation {
    model: Arc<Shared>,
    cache: Option<KvCache>,
    /// The tokens that the cache holds.
    cached: Vec<Token>,
    /// Replies by their place among the messages.
    replies: BTreeMap<usize, KnownReply>,
    /// How many messages left after the pinned ones, and the first that stayed.
    left: Option<(usize, Message)>,
}

impl GgufConversation {
    pub(super) fn new(model: Arc<Shared>) -> Self {
        Self { model, cache: None, cached: Vec::new(), replies: BTreeMap::new(), left: None }
    }

    /// The prompt's tokens, and how many messages had to leave for it to fit.
    fn prompt(&mut self, loaded: &Loaded, request: &ChatRequest) -> Result<(Vec<Token>, usize)> {
        let messages = &request.messages;
        let pinned = request.pinned.min(messages.len());
        let limit = loaded.context_len - reserve(&request.sampling, loaded.context_len);
        let droppable = (messages.len() - pinned).saturating_sub(1);
        let mut dropped = self.already_left(messages, pinned, droppable);
        let mut tokens = self.tokens(loaded, messages, pinned, dropped)?;
        while tokens.len() > limit {
            if dropped == droppable {
                return Err(Error::new(
                    ErrorCode::ContextFull,
                    format!("prompt has {} tokens: {limit} at most expected", tokens.len()),
                ));
            }
            dropped = self.drop_more(loaded, messages, pinned, dropped, tokens.len() - limit, limit)?;
            tokens = self.tokens(loaded, messages, pinned, dropped)?;
        }
        self.left = (dropped > 0).then(|| (dropped, messages[pinned + dropped].clone()));
        Ok((tokens, dropped))
    }

    /// Messages that left in an earlier turn stay away, so that the cache stays valid.
    fn already_left(&self, messages: &[Message], pinned: usize, droppable: usize) -> usize {
        match &self.left {
            Some((left, first)) if *left <= droppable && messages[pinned + left] == *first => *left,
            _ => 0,
        }
    }

    /// Lets half of the room for messages go free at once: each time that messages leave, all that remain have to be
    /// evaluated again.
    fn drop_more(
        &self,
        loaded: &Loaded,
        messages: &[Message],
        pinned: usize,
        dropped: usize,
        excess: usize,
        limit: usize,
    ) -> Result<usize> {
        let mut pinned_len = 0;
        for message in &messages[..pinned] {
            pinned_len += loaded.tokenizer.encode(&message.content)?.len();
        }
        let wanted = excess + limit.saturating_sub(pinned_len) / 2;
        let droppable = messages.len() - pinned - 1;
        let (mut dropped, mut freed) = (dropped, 0);
        while dropped < droppable && (freed < wanted || messages[pinned + dropped].role != Role::User) {
            freed += loaded.tokenizer.encode(&messages[pinned + dropped].content)?.len();
            dropped += 1;
        }
        Ok(dropped)
    }

    fn tokens(&self, loaded: &Loaded, messages: &[Message], pinned: usize, dropped: usize) -> Result<Vec<Token>> {
        let stays = |at: &usize| *at < pinned || *at >= pinned + dropped;
        let prompt: Vec<PromptMessage<'_>> = (0..messages.len())
            .filter(stays)
            .map(|at| {
                let Message { role, content, .. } = &messages[at];
                let known = self.replies.get(&at).filter(|_| *role == Role::Assistant);
                let (tokens, text) = known.map_or((&[][..], content.as_str()), |reply| reply.split(content));
                PromptMessage { role: *role, tokens, text }
            })
            .collect();
        loaded.template.prompt(&prompt, &loaded.tokenizer)
    }
}

/// Places in the context kept free for the reply.
fn reserve(sampling: &Sampling, context_len: usize) -> usize {
    (sampling.max_tokens as usize).clamp(1, (context_len / 4).max(1))
}

impl GgufConversation {
    fn begin(&mut self, request: ChatRequest) -> Result<Reply<'_>> {
        if request.messages.is_empty() {
            return Err(Error::new(ErrorCode::InvalidArgument, "chat request has no messages"));
        }
        let loaded = self.model.loaded(&mut |_| {})?;
        let (prompt, dropped) = self.prompt(&loaded, &request)?;
        let place = request.messages.len();
        self.replies.split_off(&place);
        self.replies.insert(place, KnownReply::default());
        // The last token is evaluated in any case: its logits choose the first of the reply.
        let common = self.cached.iter().zip(&prompt).take_while(|(a, b)| a == b).count().min(prompt.len() - 1);
        let mut usage = ChatUsage::default();
        usage.prompt_tokens = prompt.len() as u32;
        usage.evaluated_tokens = (prompt.len() - common) as u32;
        usage.dropped_messages = dropped as u32;
        let mut reply = Reply {
            sampler: Sampler::new(&request.sampling),
            text: TextStream::new(&request.sampling.stop),
            tokens_max: (request.sampling.max_tokens as usize).min(loaded.context_len - prompt.len()),
            usage,
            evaluated: common,
            sequence: prompt,
            prompt_len: 0,
            logits: Vec::new(),
            ended: None,
            is_done: false,
            place,
            request,
            loaded,
            conversation: self,
        };
        reply.prompt_len = reply.sequence.len();
        Ok(reply)
    }
}

impl Conversation for GgufConversation {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let mut reply = self.begin(request)?;
        Ok(steps_from_fn(move || reply.step()))
    }

    fn prefill(&mut self, mut request: ChatRequest) -> Result<Steps<'_, ()>> {
        request.sampling.max_tokens = 0;
        let mut reply = self.begin(request)?;
        Ok(steps_from_fn(move || Ok(reply.step()?.filter(|step| *step == ChatStep::Working).map(drop))))
    }
}

/// A reply in the making.
struct Reply<'a> {
    conversation: &'a mut GgufConversation,
    loaded: Arc<Loaded>,
    request: ChatRequest,
    sampler: Sampler,
    text: TextStream,
    /// The prompt and the reply so far.
    sequence: Vec<Token>,
    prompt_len: usize,
    /// How many tokens of the sequence the cache holds.
    evaluated: usize,
    /// The logits after the last evaluated token.
    logits: Vec<f32>,
    tokens_max: usize,
    usage: ChatUsage,
    /// The reply's place among the messages.
    place: usize,
    ended: Option<StopReason>,
    is_done: bool,
}

impl Reply<'_> {
    /// Evaluates a chunk of the prompt, or chooses one token.
    fn step(&mut self) -> Result<Option<ChatStep>> {
        if self.is_done {
            return Ok(None);
        }
        self.request.cancel.check()?;
        if let Some(reason) = self.ended {
            self.is_done = true;
            return Ok(Some(ChatStep::Done { reason, usage: self.usage }));
        }
        if self.evaluated < self.prompt_len {
            self.evaluate()?;
            return Ok(Some(ChatStep::Working));
        }
        let text = self.next_text()?;
        Ok(Some(match (text.is_empty(), self.ended) {
            (false, _) => ChatStep::Text(text),
            (true, None) => ChatStep::Working,
            (true, Some(reason)) => {
                self.is_done = true;
                ChatStep::Done { reason, usage: self.usage }
            }
        }))
    }

    /// Chooses the next token; gives the text that it sets free.
    fn next_text(&mut self) -> Result<String> {
        if self.usage.reply_tokens as usize == self.tokens_max {
            self.ended = Some(StopReason::Length);
            return Ok(self.text.finish());
        }
        // A token that was shown is evaluated when the next one is asked for.
        if self.evaluated < self.sequence.len() {
            self.evaluate()?;
        }
        let tokenizer = &self.loaded.tokenizer;
        let recent = self.sequence.iter().rev().take(PENALTY_WINDOW).copied();
        let token = self.sampler.choose(&mut self.logits, recent.filter(|&token| !tokenizer.is_control(token)));
        if tokenizer.is_end(token) {
            self.ended = Some(StopReason::Stop);
            return Ok(self.text.finish());
        }
        let bytes = tokenizer.token_bytes(token);
        self.sequence.push(token);
        self.usage.reply_tokens += 1;
        self.conversation.replies.entry(self.place).or_default().push(token, bytes);
        let text = self.text.push(bytes);
        if self.text.is_stopped() {
            self.ended = Some(StopReason::Stop);
        }
        Ok(text)
    }

    /// Evaluates the next chunk of the sequence; its last token's logits where the sequence ends with it.
    fn evaluate(&mut self) -> Result<()> {
        let Reply { conversation, loaded, evaluated, sequence, .. } = self;
        let end = sequence.len().min(*evaluated + CHUNK);
        let chunk = &sequence[*evaluated..end];
        let cache = conversation.cache.get_or_insert_with(|| loaded.transformer.cache());
        // Whatever happens, the cache holds no more than this until the chunk is done.
        conversation.cached.truncate(*evaluated);
        let (transformer, is_last) = (&loaded.transformer, end == sequence.len());
        // All of it on the pool's own threads: from outside, each part of it would wait for one of them.
        self.logits = rayon::scope(|_| -> Result<Vec<f32>> {
            let hidden = transformer.evaluate(chunk, *evaluated, cache, &self.request.cancel)?;
            let last = &hidden[hidden.len() - hidden.len() / chunk.len()..];
            if is_last { transformer.logits(last) } else { Ok(Vec::new()) }
        })?;
        conversation.cached.extend(chunk);
        *evaluated = end;
        Ok(())
    }
}
