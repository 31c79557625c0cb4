//! Backends that the host wrote. A call begins the work and returns; results are pushed into a sink from any thread.

use super::event::mirror;
use super::sink::{ChatSink, RecognitionSink, SpeechSink};
use super::{Result, languages};
use crate::boundary::invalid;
use crate::host::Own;
use crate::sink::{Sender, sink};
use engine::LanguageTag;
use engine::backend as core;
use engine::backend::Steps;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mirror! {
    /// The purpose of an answer.
    Purpose of core::Purpose {
        /// A partial transcript, while the user speaks.
        Partial,
        /// A transcript that is final if the user says no more.
        Draft,
        /// A final transcript.
        Final,
        /// A reply.
        Reply,
        /// Evaluation of a prompt ahead of the reply.
        Prefill,
        /// A summary of the conversation.
        Summary,
        /// Speech.
        Speech,
    }
}

mirror! {
    /// The author of a message.
    ChatRole of core::Role {
        /// Instructions.
        System,
        /// The user.
        User,
        /// The tutor.
        Assistant,
    }
}

/// For what, and for whom, a request is made.
#[derive(Clone, Debug, uniffi::Record)]
pub struct RequestContext {
    /// The purpose of the answer.
    pub purpose: Purpose,
    /// The session; none for work without one.
    pub session: Option<String>,
    /// The turn; none where none has begun yet.
    pub turn: Option<u64>,
    /// The session's `request_tag`.
    pub tag: String,
}

/// A request to recognise an utterance.
#[derive(Clone, Debug, uniffi::Record)]
pub struct RecognitionRequest {
    /// Mono samples at 16,000 Hz: little-endian 32-bit floats.
    pub pcm: Vec<u8>,
    /// One language to force it; several to have the likeliest among them chosen.
    pub languages: Vec<String>,
    /// Words to expect.
    pub vocabulary: Vec<String>,
    /// True if words need start and end times.
    pub word_times: bool,
    /// For what, and for whom, it is made.
    pub context: RequestContext,
}

/// One message of a conversation.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ChatMessage {
    /// Its author.
    pub role: ChatRole,
    /// Its text.
    pub content: String,
}

/// A request for a reply to the last message.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Sampling of tokens.
    pub sampling: super::config::Sampling,
    /// For what, and for whom, it is made.
    pub context: RequestContext,
}

/// A request to synthesise a text.
#[derive(Clone, Debug, uniffi::Record)]
pub struct SynthesisRequest {
    /// The text as it is displayed.
    pub text: String,
    /// The languages that may occur in it; the first is the likeliest.
    pub languages: Vec<String>,
    /// The voice's name; none for the default voice of the first language.
    #[uniffi(default = None)]
    pub voice: Option<String>,
    /// The speed, 0.5 to 2; 1 is the voice's own.
    #[uniffi(default = 1.0)]
    pub speed: f32,
    /// For what, and for whom, it is made; none in a request of the host's.
    #[uniffi(default = None)]
    pub context: Option<RequestContext>,
}

/// A recogniser's name and abilities.
#[derive(Clone, Debug, uniffi::Record)]
pub struct RecognizerInfo {
    /// A short name for capabilities and logs.
    pub name: String,
    /// The languages that it recognises, as BCP 47 tags.
    pub languages: Vec<String>,
    /// False where partial transcripts are not wanted, such as where each request is paid for.
    #[uniffi(default = true)]
    pub partials: bool,
    /// False where drafts, made before an utterance is known to be complete, are not wanted.
    #[uniffi(default = true)]
    pub drafts: bool,
}

/// A chat model's name and abilities.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ChatModelInfo {
    /// A short name for capabilities and logs.
    pub name: String,
    /// The languages that it converses in, as BCP 47 tags.
    pub languages: Vec<String>,
    /// The context length in tokens.
    #[uniffi(default = 8192)]
    pub context_len: u32,
}

/// A voice of a synthesizer.
#[derive(Clone, Debug, uniffi::Record)]
pub struct VoiceInfo {
    /// The name that settings use.
    pub name: String,
    /// The voice's own language.
    pub language: String,
}

/// A synthesizer's name and abilities.
#[derive(Clone, Debug, uniffi::Record)]
pub struct SynthesizerInfo {
    /// A short name for capabilities and logs.
    pub name: String,
    /// The languages that it speaks, as BCP 47 tags.
    pub languages: Vec<String>,
    /// The voices; none where only the platform decides which voice speaks a language.
    #[uniffi(default = [])]
    pub voices: Vec<VoiceInfo>,
}

/// A voice activity detector's name, and its frames.
#[derive(Clone, Debug, uniffi::Record)]
pub struct VadInfo {
    /// A short name for capabilities and logs.
    pub name: String,
    /// Samples of one frame at 16,000 Hz, 80 to 4,096.
    #[uniffi(default = 512)]
    pub frame_len: u32,
}

/// Speech to text.
#[uniffi::export(foreign)]
pub trait Recognizer: Send + Sync {
    /// Its name and abilities; asked for once.
    fn info(&self) -> Result<RecognizerInfo>;
    /// Begins to recognise an utterance, and returns.
    fn recognize(&self, request: RecognitionRequest, sink: Arc<RecognitionSink>) -> Result<()>;
}

/// Replies.
#[uniffi::export(foreign)]
pub trait ChatModel: Send + Sync {
    /// Its name and abilities; asked for once.
    fn info(&self) -> Result<ChatModelInfo>;
    /// Begins a reply, and returns.
    fn reply(&self, request: ChatRequest, sink: Arc<ChatSink>) -> Result<()>;
}

/// Text to speech.
#[uniffi::export(foreign)]
pub trait Synthesizer: Send + Sync {
    /// Its name and abilities; asked for once.
    fn info(&self) -> Result<SynthesizerInfo>;
    /// Begins speech, and returns.
    fn synthesize(&self, request: SynthesisRequest, sink: Arc<SpeechSink>) -> Result<()>;
}

/// Voice activity detection.
#[uniffi::export(foreign)]
pub trait VadModel: Send + Sync {
    /// Its name and frames; asked for once.
    fn info(&self) -> Result<VadInfo>;
    /// A detector with empty state, for one stream of audio.
    fn open(&self) -> Result<Arc<dyn Vad>>;
}

/// A voice activity detector of one stream of audio. It runs on an audio thread: it must not wait.
#[uniffi::export(foreign)]
pub trait Vad: Send + Sync {
    /// The probability of speech, 0 to 1, in the next frame: little-endian 32-bit floats.
    fn process(&self, frame: Vec<u8>) -> Result<f32>;
    /// Empties the state.
    fn reset(&self) -> Result<()>;
}

/// The backends of the host's; none for a role that has a model of the options, or nothing.
#[derive(Clone, uniffi::Record)]
pub struct HostBackends {
    /// Voice activity detection.
    #[uniffi(default = None)]
    pub vad: Option<Arc<dyn VadModel>>,
    /// Speech to text.
    #[uniffi(default = None)]
    pub recognizer: Option<Arc<dyn Recognizer>>,
    /// Replies.
    #[uniffi(default = None)]
    pub chat: Option<Arc<dyn ChatModel>>,
    /// Text to speech.
    #[uniffi(default = None)]
    pub synthesizer: Option<Arc<dyn Synthesizer>>,
}

impl HostBackends {
    pub(super) fn read(self) -> engine::Result<Own> {
        Ok(Own {
            vad: self.vad.map(HostVad::new).transpose()?.map(|host| Arc::new(host) as _),
            recognizer: self.recognizer.map(HostRecognizer::new).transpose()?.map(|host| Arc::new(host) as _),
            chat: self.chat.map(HostChat::new).transpose()?.map(|host| Arc::new(host) as _),
            synthesizer: self.synthesizer.map(HostSynthesizer::new).transpose()?.map(|host| Arc::new(host) as _),
        })
    }
}

fn context_of(context: core::RequestContext) -> RequestContext {
    RequestContext {
        purpose: context.purpose.into(),
        session: context.session.map(|session| session.to_string()),
        turn: context.turn.map(|turn| turn.0),
        tag: context.tag.to_string(),
    }
}

fn texts(languages: Vec<LanguageTag>) -> Vec<String> {
    languages.into_iter().map(Into::into).collect()
}

struct HostRecognizer {
    host: Arc<dyn Recognizer>,
    info: RecognizerInfo,
    languages: Vec<LanguageTag>,
}

impl HostRecognizer {
    fn new(host: Arc<dyn Recognizer>) -> engine::Result<Self> {
        let info = host.info()?;
        Ok(Self { languages: languages(&info.languages)?, host, info })
    }
}

impl core::Model for HostRecognizer {
    fn name(&self) -> &str {
        &self.info.name
    }
}

impl core::Recognizer for HostRecognizer {
    fn languages(&self) -> Vec<LanguageTag> {
        self.languages.clone()
    }

    fn accepts(&self, purpose: core::Purpose) -> bool {
        match purpose {
            core::Purpose::Partial => self.info.partials,
            core::Purpose::Draft => self.info.drafts,
            _ => true,
        }
    }

    fn recognize(&self, request: core::RecognitionRequest) -> engine::Result<Steps<'static, core::RecognitionStep>> {
        let (sink, steps) = sink(Sender::Transcript, request.cancel);
        let request = RecognitionRequest {
            pcm: bytemuck::cast_slice(&request.audio).to_vec(),
            languages: texts(request.languages),
            vocabulary: request.vocabulary,
            word_times: request.word_times,
            context: context_of(request.context),
        };
        self.host.recognize(request, Arc::new(RecognitionSink(sink)))?;
        Ok(steps)
    }
}

#[derive(Clone)]
struct HostChat {
    host: Arc<dyn ChatModel>,
    info: ChatModelInfo,
    languages: Vec<LanguageTag>,
}

impl HostChat {
    fn new(host: Arc<dyn ChatModel>) -> engine::Result<Self> {
        let info = host.info()?;
        Ok(Self { languages: languages(&info.languages)?, host, info })
    }
}

impl core::Model for HostChat {
    fn name(&self) -> &str {
        &self.info.name
    }
}

impl core::ChatModel for HostChat {
    fn languages(&self) -> Vec<LanguageTag> {
        self.languages.clone()
    }

    fn context_len(&self) -> usize {
        self.info.context_len as usize
    }

    fn open_conversation(&self) -> engine::Result<Box<dyn core::Conversation>> {
        Ok(Box::new(self.clone()))
    }
}

impl core::Conversation for HostChat {
    fn reply(&mut self, request: core::ChatRequest) -> engine::Result<Steps<'_, core::ChatStep>> {
        let (sink, steps) = sink(Sender::Reply, request.cancel);
        let message = |message: core::Message| ChatMessage { role: message.role.into(), content: message.content };
        let request = ChatRequest {
            messages: request.messages.into_iter().map(message).collect(),
            sampling: super::config::mirrored(&request.sampling)?,
            context: context_of(request.context),
        };
        self.host.reply(request, Arc::new(ChatSink(sink)))?;
        Ok(steps)
    }
}

struct HostSynthesizer {
    host: Arc<dyn Synthesizer>,
    info: SynthesizerInfo,
    languages: Vec<LanguageTag>,
    voices: Vec<core::VoiceInfo>,
}

impl HostSynthesizer {
    fn new(host: Arc<dyn Synthesizer>) -> engine::Result<Self> {
        let info = host.info()?;
        let voice = |voice: &VoiceInfo| Ok(core::VoiceInfo::new(voice.name.clone(), voice.language.parse()?));
        let voices = info.voices.iter().map(voice).collect::<engine::Result<_>>()?;
        Ok(Self { languages: languages(&info.languages)?, voices, host, info })
    }
}

impl core::Model for HostSynthesizer {
    fn name(&self) -> &str {
        &self.info.name
    }
}

impl core::Synthesizer for HostSynthesizer {
    fn languages(&self) -> Vec<LanguageTag> {
        self.languages.clone()
    }

    fn voices(&self) -> Vec<core::VoiceInfo> {
        self.voices.clone()
    }

    fn synthesize(&self, request: core::SynthesisRequest) -> engine::Result<Steps<'static, core::SpeechChunk>> {
        let (sink, steps) = sink(Sender::Speech, request.cancel);
        let request = SynthesisRequest {
            text: request.text,
            languages: texts(request.languages),
            voice: request.voice,
            speed: request.speed,
            context: Some(context_of(request.context)),
        };
        self.host.synthesize(request, Arc::new(SpeechSink(sink)))?;
        Ok(steps)
    }
}

struct HostVad {
    host: Arc<dyn VadModel>,
    info: VadInfo,
}

impl HostVad {
    fn new(host: Arc<dyn VadModel>) -> engine::Result<Self> {
        let info = host.info()?;
        if !(80..=4_096).contains(&info.frame_len) {
            return Err(invalid(format!("frame_len is {}: outside 80 to 4096", info.frame_len)));
        }
        Ok(Self { host, info })
    }
}

impl core::Model for HostVad {
    fn name(&self) -> &str {
        &self.info.name
    }
}

impl core::VadModel for HostVad {
    fn open(&self) -> engine::Result<Box<dyn core::Vad>> {
        Ok(Box::new(Detector { host: self.host.open()?, frame_len: self.info.frame_len as usize }))
    }
}

struct Detector {
    host: Arc<dyn Vad>,
    frame_len: usize,
}

impl core::Vad for Detector {
    fn frame_len(&self) -> usize {
        self.frame_len
    }

    fn process(&mut self, frame: &[f32]) -> engine::Result<f32> {
        Ok(self.host.process(bytemuck::cast_slice(frame).to_vec())?)
    }

    fn reset(&mut self) {
        if let Err(error) = self.host.reset() {
            tracing::warn!(%error, "a voice activity detector was not reset");
        }
    }
}
