//! Scripted backends, for tests of the engine and of hosts.
//!
//! ```
//! use tertulia::testing::scripted::{Cue, Scripted};
//! let scripted = Scripted::new();
//! scripted.recognizer.then("Hola, quiero un café.");
//! scripted.chat.then(["¡Claro! ", "¿Algo más?"]);
//! scripted.chat.then([Cue::Item("Un mo".to_owned()), Cue::Fail(tertulia::ErrorCode::ChatFailed)]);
//! let backends = scripted.backends();
//! # let _ = backends;
//! ```

use super::clock::Nap;
use crate::backend::{
    Backends, BoxFuture, ChatModel, ChatRequest, ChatStep, ChatUsage, Conversation, DetectionRequest, Lexicon, Model,
    RecognitionRequest, RecognitionStep, Recognizer, SpeechChunk, StepStream, Steps, StopReason, SynthesisRequest,
    Synthesizer, TurnDetector, Vad, VadModel, VoiceInfo, steps_from_fn,
};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{SpokenWord, Transcript, Word};
use crate::language::LanguageTag;
use async_lock::OnceCell;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Samples per second of the scripted voice.
pub const VOICE_RATE_HZ: u32 = 8_000;
/// Samples that the scripted voice makes of each byte of text.
pub const SAMPLES_PER_BYTE: usize = 400;

/// A latch that a script waits for.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<OnceCell<()>>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        // It may be open already.
        let _ = futures_lite::future::block_on(self.0.set(()));
    }
}

/// One line of a script.
#[derive(Clone, Debug)]
pub enum Cue<T> {
    /// Yields this item.
    Item(T),
    /// Waits until the gate is open.
    Wait(Gate),
    /// Takes this long.
    Sleep(Nap),
    /// Fails with this code.
    Fail(ErrorCode),
    /// Fails with this error.
    FailWith(Error),
    /// Panics, as a broken backend may.
    Panic,
}

impl From<&str> for Cue<String> {
    fn from(text: &str) -> Self {
        Cue::Item(text.to_owned())
    }
}

/// Scripted backends of every role.
#[derive(Clone, Default)]
pub struct Scripted {
    /// Answers with the scripted probabilities; not among the [`backends`](Scripted::backends).
    pub turn_detector: Arc<ScriptedTurnDetector>,
    /// Recognises the scripted texts.
    pub recognizer: Arc<ScriptedRecognizer>,
    /// Writes the scripted replies.
    pub chat: Arc<ScriptedChat>,
    /// Synthesises a tone for every text, with word times.
    pub voice: Arc<ScriptedVoice>,
}

impl Scripted {
    /// Backends with empty scripts: a request that no script answers fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// The backends, without the turn detector. The VAD takes for speech what is louder than -20 dB, and for noise what
    /// is louder than -40 dB.
    pub fn backends(&self) -> Backends {
        Backends {
            vad: Some(Arc::new(LoudnessVad)),
            turn_detector: None,
            recognizer: Some(self.recognizer.clone()),
            chat: Some(self.chat.clone()),
            synthesizer: Some(self.voice.clone()),
        }
    }
}

/// The answers of a backend that are still to come, and the requests that it got. Clones share both.
pub struct Script<T, R> {
    state: Arc<Mutex<ScriptState<T, R>>>,
}

struct ScriptState<T, R> {
    answers: VecDeque<VecDeque<Cue<T>>>,
    requests: Vec<R>,
    conversations: usize,
    lacks_word_times: bool,
}

/// A turn detector: the last item of each answer is the probability.
pub type ScriptedTurnDetector = Script<f32, ()>;
/// A recogniser: every item of an answer is a partial transcript, the last one the final transcript, too.
pub type ScriptedRecognizer = Script<String, RecognitionRequest>;
/// A chat model: the items of an answer are the pieces of a reply.
pub type ScriptedChat = Script<String, ChatRequest>;
/// A synthesizer: [`SAMPLES_PER_BYTE`] samples for each byte of text, one chunk a word. Each answer of its script is a
/// cue before a word; an item lets the word pass.
pub type ScriptedVoice = Script<(), SynthesisRequest>;

impl<T, R> Clone for Script<T, R> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone() }
    }
}

impl<T, R> Default for Script<T, R> {
    fn default() -> Self {
        let (answers, requests) = (VecDeque::new(), Vec::new());
        let state = ScriptState { answers, requests, conversations: 0, lacks_word_times: false };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl<T, R: Clone> Script<T, R> {
    /// Adds an answer.
    pub fn then_cues(&self, cues: impl IntoIterator<Item = Cue<T>>) {
        self.state.lock().answers.push_back(cues.into_iter().collect());
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<R> {
        self.state.lock().requests.clone()
    }

    /// The number of answers that no request has used yet.
    pub fn unasked(&self) -> usize {
        self.state.lock().answers.len()
    }

    fn next(&self) -> Option<VecDeque<Cue<T>>> {
        self.state.lock().answers.pop_front()
    }

    fn record(&self, request: R) {
        self.state.lock().requests.push(request);
    }
}

impl ScriptedTurnDetector {
    /// Adds an answer that is this probability.
    pub fn then(&self, probability: f32) {
        self.then_cues([Cue::Item(probability)]);
    }
}

impl ScriptedRecognizer {
    /// Adds an answer that is this text.
    pub fn then(&self, text: &str) {
        self.then_cues([text.into()]);
    }
}

impl ScriptedChat {
    /// Adds a reply of these pieces.
    pub fn then<C: Into<Cue<String>>>(&self, cues: impl IntoIterator<Item = C>) {
        self.then_cues(cues.into_iter().map(Into::into));
    }

    /// The number of conversations that were opened so far.
    pub fn conversations(&self) -> usize {
        self.state.lock().conversations
    }
}

impl ScriptedVoice {
    /// Puts a cue before the next word to be spoken; a further call, before the word after that.
    pub fn before_next_word(&self, cue: Cue<()>) {
        self.then_cues([cue]);
    }

    /// Sets whether chunks have word times, as they do by default; else a chunk is a whole clause.
    pub fn set_word_times(&self, word_times: bool) {
        self.state.lock().lacks_word_times = !word_times;
    }
}

impl<T: Send + 'static, R: Send + 'static> Model for Script<T, R> {
    fn name(&self) -> &str {
        "scripted"
    }
}

/// Sound that [`Scripted::backends`]' VAD takes for speech: `ms` milliseconds at 16 kHz.
pub fn noise_16k(ms: usize) -> Vec<f32> {
    sound(SPEECH_LEVEL, ms as u64, 16_000)
}

/// The level of what the VAD takes for speech.
pub const SPEECH_LEVEL: f32 = 0.25;
/// The level of what the VAD takes for noise.
pub const NOISE_LEVEL: f32 = 0.05;

/// Sound of this level: 1 kHz, so that it is the same at every rate. `ms * rate` should be a multiple of 1000.
pub fn sound(level: f32, ms: u64, rate: u32) -> Vec<f32> {
    let rate = u64::from(rate);
    (0..ms * rate / 1000).map(|index| if index * 2_000 / rate % 2 == 0 { level } else { -level }).collect()
}

fn languages() -> Vec<LanguageTag> {
    ["en", "es"].map(|tag| tag.parse().expect("both are tags")).to_vec()
}

/// Steps that follow a script.
struct Follow<T, U, F> {
    cues: VecDeque<Cue<T>>,
    last: Option<U>,
    each: F,
}

impl<T: Send + Sync, U: Send, F: FnMut(T) -> U + Send> StepStream for Follow<T, U, F> {
    type Item = U;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<U>>> {
        Box::pin(async move {
            loop {
                match self.cues.pop_front() {
                    Some(Cue::Item(item)) => return Ok(Some((self.each)(item))),
                    Some(Cue::Wait(gate)) => _ = gate.0.wait().await,
                    Some(Cue::Sleep(nap)) => nap.sleep().await,
                    Some(Cue::Fail(code)) => return Err(Error::new(code, "as the script says")),
                    Some(Cue::FailWith(error)) => return Err(error),
                    Some(Cue::Panic) => panic!("as the script says"),
                    None => return Ok(self.last.take()),
                }
            }
        })
    }
}

struct LoudnessVad;

impl Model for LoudnessVad {
    fn name(&self) -> &str {
        "loudness"
    }
}

impl VadModel for LoudnessVad {
    fn open(&self) -> Result<Box<dyn Vad>> {
        Ok(Box::new(LoudnessVad))
    }
}

impl Vad for LoudnessVad {
    fn frame_len(&self) -> usize {
        512
    }

    fn process(&mut self, frame: &[f32]) -> Result<f32> {
        let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len().max(1) as f32;
        Ok(match power {
            1e-2.. => 1.0,
            1e-4.. => 0.2,
            _ => 0.0,
        })
    }

    fn reset(&mut self) {}
}

impl TurnDetector for ScriptedTurnDetector {
    fn probability_finished(&self, _request: DetectionRequest) -> BoxFuture<'_, Result<f32>> {
        let cues = self.next().unwrap_or_default();
        let mut steps = Follow { cues, last: None, each: |probability| probability };
        Box::pin(async move {
            let mut answer = Err(Error::new(ErrorCode::RecognizerFailed, "the script says nothing"));
            while let Some(probability) = steps.step().await? {
                answer = Ok(probability);
            }
            answer
        })
    }
}

impl Recognizer for ScriptedRecognizer {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let cues = self.next().ok_or(ErrorCode::RecognizerFailed)?;
        let language = request.languages.first().cloned();
        self.record(request);
        let last = cues.iter().rev().find_map(|cue| match cue {
            Cue::Item(text) => Some(RecognitionStep::Final(transcript(text.clone(), language.clone()))),
            _ => None,
        });
        let each = |text: String| RecognitionStep::Partial { stable_len: text.len(), text };
        Ok(Box::new(Follow { cues, last, each }))
    }
}

/// Each word 300 ms long.
fn transcript(text: String, language: Option<LanguageTag>) -> Transcript {
    let words = text
        .split_whitespace()
        .enumerate()
        .map(|(index, word)| Word {
            text: word.to_owned(),
            start_ms: index as u64 * 300,
            end_ms: (index as u64 + 1) * 300,
            confidence: 0.5,
        })
        .collect();
    Transcript {
        text,
        language,
        language_probability: 1.0,
        no_speech_probability: 0.0,
        average_log_probability: -0.25,
        finished_probability: None,
        words,
    }
}

impl ChatModel for ScriptedChat {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn context_len(&self) -> usize {
        4096
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        self.state.lock().conversations += 1;
        Ok(Box::new(ScriptedConversation { script: self.clone(), seen_messages: 0 }))
    }
}

struct ScriptedConversation {
    script: ScriptedChat,
    seen_messages: u32,
}

impl Conversation for ScriptedConversation {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let cues = self.script.next().ok_or(ErrorCode::ChatFailed)?;
        // One token a message, so that a test can see what was evaluated.
        let prompt_tokens = request.messages.len() as u32;
        let usage = ChatUsage {
            prompt_tokens,
            evaluated_tokens: prompt_tokens.saturating_sub(self.seen_messages),
            reply_tokens: 1,
            dropped_messages: 0,
        };
        self.seen_messages = prompt_tokens + 1;
        self.script.record(request);
        let last = Some(ChatStep::Done { reason: StopReason::Stop, usage });
        Ok(Box::new(Follow { cues, last, each: ChatStep::Text }))
    }

    fn prefill(&mut self, request: ChatRequest) -> Result<Steps<'_, ()>> {
        self.seen_messages = request.messages.len() as u32 + 1;
        self.script.record(request);
        Ok(steps_from_fn(|| Ok(None)))
    }
}

impl Synthesizer for ScriptedVoice {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        languages()
            .into_iter()
            .map(|language| VoiceInfo { name: format!("{}_test", language.primary()), language })
            .collect()
    }

    fn check_lexicon(&self, lexicon: &Lexicon) -> Result<()> {
        let is_silent = lexicon.values().flat_map(|words| words.values()).any(String::is_empty);
        if is_silent { Err(ErrorCode::InvalidLexicon.into()) } else { Ok(()) }
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        let language = request.languages.first().cloned().ok_or(ErrorCode::InvalidArgument)?;
        let has_word_times = !self.state.lock().lacks_word_times;
        let pieces: Vec<&str> = match has_word_times {
            true => request.text.split_inclusive(char::is_whitespace).collect(),
            false => vec![&request.text],
        };
        let (mut cues, mut chunks, mut start) = (VecDeque::new(), VecDeque::new(), 0);
        for piece in pieces {
            cues.extend(self.next().into_iter().flatten().filter(|cue| !matches!(cue, Cue::Item(()))));
            cues.push_back(Cue::Item(()));
            chunks.push_back(spoken(piece, start, has_word_times.then(|| language.clone())));
            start += piece.len();
        }
        self.record(request);
        let each = move |()| chunks.pop_front().expect("there is a chunk for each item");
        Ok(Box::new(Follow { cues, last: None, each }))
    }
}

/// The sound of a piece of text, with word times in this language.
fn spoken(piece: &str, start: usize, language: Option<LanguageTag>) -> SpeechChunk {
    let word = piece.trim_end();
    let words = language.filter(|_| !word.is_empty()).map(|language| SpokenWord {
        text_span: start..start + word.len(),
        language,
        start_sample: 0,
        end_sample: (word.len() * SAMPLES_PER_BYTE) as u64,
    });
    SpeechChunk {
        samples: vec![0.01; piece.len() * SAMPLES_PER_BYTE],
        rate: VOICE_RATE_HZ,
        text_span: start..start + piece.len(),
        words: words.into_iter().collect(),
    }
}
