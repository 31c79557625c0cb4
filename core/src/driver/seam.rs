//! The seam to the backends: every answer is checked before the engine uses it, and every pending step is raced with its
//! cancellation.
//!
//! A backend is code of the host's. An answer that breaks its contract becomes the error of its role, with what is wrong
//! in it; the engine behind the seam may rely on the contract.

use super::exec::caught;
use crate::audio::{RATE_HZ_MAX, RATE_HZ_MIN};
use crate::backend::{
    Backends, BoxFuture, CancelFlag, ChatModel, ChatRequest, ChatStep, Conversation, DetectionRequest, Lexicon,
    MaybeSend, Model, Progress, Purpose, RecognitionRequest, RecognitionStep, Recognizer, SpeechChunk, StepStream,
    Steps, SynthesisRequest, Synthesizer, Transcript, TurnDetector, Vad, VadModel, VoiceInfo,
};
use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// The longest text of one answer, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The longest frame of a VAD, in samples.
const FRAME_LEN_MAX: usize = 16_000;
/// A word may end so much later than the audio that it was recognised in, in ms.
const WORD_MARGIN_MS: u64 = 60_000;
/// The longest speech of one text: so much, and a second for each byte of the text.
const SPEECH_SECONDS_MAX: usize = 600;

/// The same backends behind the seam.
pub(crate) fn checked(backends: Backends) -> Backends {
    Backends {
        vad: backends.vad.map(|model| Arc::new(Checked::new(model, |_| Facts::default())) as _),
        turn_detector: backends.turn_detector.map(|model| Arc::new(Checked::new(model, |_| Facts::default())) as _),
        recognizer: backends.recognizer.map(|model| Arc::new(Checked::new(model, facts_of_recognizer)) as _),
        chat: backends.chat.map(|model| Arc::new(Checked::new(model, facts_of_chat)) as _),
        synthesizer: backends.synthesizer.map(|model| Arc::new(Checked::new(model, facts_of_synthesizer)) as _),
    }
}

/// A backend behind the seam.
struct Checked<M: ?Sized> {
    model: Arc<M>,
    read_facts: fn(&M) -> Facts,
    /// Read when the engine is built and after loading; also when it is checked while it cannot be used.
    facts: Mutex<Result<Facts>>,
}

/// A backend's statements about itself.
#[derive(Clone, Default)]
struct Facts {
    languages: Vec<LanguageTag>,
    voices: Vec<VoiceInfo>,
    context_len: usize,
    declined: Vec<Purpose>,
}

fn facts_of_recognizer(model: &dyn Recognizer) -> Facts {
    let declined = [Purpose::Partial, Purpose::Draft].into_iter().filter(|purpose| !model.accepts(*purpose)).collect();
    Facts { languages: model.languages(), declined, ..Facts::default() }
}

fn facts_of_chat(model: &dyn ChatModel) -> Facts {
    Facts { languages: model.languages(), context_len: model.context_len(), ..Facts::default() }
}

fn facts_of_synthesizer(model: &dyn Synthesizer) -> Facts {
    Facts { languages: model.languages(), voices: model.voices(), ..Facts::default() }
}

impl<M: Model + ?Sized> Checked<M> {
    fn new(model: Arc<M>, read_facts: fn(&M) -> Facts) -> Self {
        let facts = Mutex::new(Self::facts_of(&model, read_facts));
        Self { model, read_facts, facts }
    }

    fn facts_of(model: &M, read_facts: fn(&M) -> Facts) -> Result<Facts> {
        caught("a backend", || model.check().map(|()| read_facts(model))).flatten()
    }

    fn read_again(&self) -> Result<()> {
        let facts = Self::facts_of(&self.model, self.read_facts);
        let read = facts.as_ref().map(drop).map_err(Error::clone);
        *self.facts.lock() = facts;
        read
    }

    /// A fact; its default where the backend cannot be used.
    fn fact<T: Default>(&self, fact: impl FnOnce(&Facts) -> T) -> T {
        self.facts.lock().as_ref().map(fact).unwrap_or_default()
    }
}

impl<M: Model + ?Sized> Model for Checked<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn check(&self) -> Result<()> {
        if self.facts.lock().is_ok() { Ok(()) } else { self.read_again() }
    }

    fn load<'a>(&'a self, progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.model.load(progress).await?;
            self.read_again()
        })
    }

    fn unload(&self) {
        self.model.unload();
    }

    fn is_loaded(&self) -> bool {
        self.model.is_loaded()
    }

    fn memory_needed(&self) -> u64 {
        self.model.memory_needed()
    }
}

impl VadModel for Checked<dyn VadModel> {
    fn open(&self) -> Result<Box<dyn Vad>> {
        let inner = self.model.open()?;
        let frame_len = inner.frame_len();
        if !(1..=FRAME_LEN_MAX).contains(&frame_len) {
            let detail = format!("frame length {frame_len}: outside 1 to {FRAME_LEN_MAX} samples");
            return Err(Error::new(ErrorCode::VadFailed, detail));
        }
        Ok(Box::new(CheckedVad { inner, frame_len }))
    }
}

struct CheckedVad {
    inner: Box<dyn Vad>,
    frame_len: usize,
}

impl Vad for CheckedVad {
    fn frame_len(&self) -> usize {
        self.frame_len
    }

    fn process(&mut self, frame: &[f32]) -> Result<f32> {
        let probability = self.inner.process(frame)?;
        check_probability("probability", probability).map_err(|wrong| Error::new(ErrorCode::VadFailed, wrong))?;
        Ok(probability)
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

impl TurnDetector for Checked<dyn TurnDetector> {
    fn probability_finished(&self, request: DetectionRequest) -> BoxFuture<'_, Result<f32>> {
        let cancel = request.cancel.clone();
        Box::pin(async move {
            let probability = unless_cancelled(&cancel, self.model.probability_finished(request)).await?;
            check_probability("probability", probability)
                .map_err(|wrong| Error::new(ErrorCode::TurnDetectorFailed, wrong))?;
            Ok(probability)
        })
    }
}

impl Recognizer for Checked<dyn Recognizer> {
    fn languages(&self) -> Vec<LanguageTag> {
        self.fact(|facts| facts.languages.clone())
    }

    fn accepts(&self, purpose: Purpose) -> bool {
        self.fact(|facts| !facts.declined.contains(&purpose))
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let (cancel, audio_ms) = (request.cancel.clone(), request.audio.len() as u64 / 16);
        let check = move |step: &RecognitionStep| match step {
            RecognitionStep::Working => Ok(()),
            RecognitionStep::Partial { text, stable_len } => {
                check_text(text)?;
                check_span("stable prefix", text, 0..*stable_len)
            }
            RecognitionStep::FirstPass(transcript) | RecognitionStep::Final(transcript) => {
                check_transcript(transcript, audio_ms)
            }
        };
        let is_last = |step: &RecognitionStep| matches!(step, RecognitionStep::Final(_));
        Ok(checked_steps(self.model.recognize(request)?, cancel, ErrorCode::RecognizerFailed, check, is_last))
    }
}

impl ChatModel for Checked<dyn ChatModel> {
    fn languages(&self) -> Vec<LanguageTag> {
        self.fact(|facts| facts.languages.clone())
    }

    fn context_len(&self) -> usize {
        self.fact(|facts| facts.context_len)
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.model.count_tokens(text)
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(CheckedConversation(self.model.open_conversation()?)))
    }
}

struct CheckedConversation(Box<dyn Conversation>);

impl Conversation for CheckedConversation {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let (cancel, mut len) = (request.cancel.clone(), 0);
        let check = move |step: &ChatStep| {
            if let ChatStep::Text(text) = step {
                len += text.len();
            }
            if len > TEXT_BYTES_MAX {
                Err(format!("text is too long: more than {TEXT_BYTES_MAX} bytes"))
            } else {
                Ok(())
            }
        };
        let is_last = |step: &ChatStep| matches!(step, ChatStep::Done { .. });
        Ok(checked_steps(self.0.reply(request)?, cancel, ErrorCode::ChatFailed, check, is_last))
    }

    fn prefill(&mut self, request: ChatRequest) -> Result<Steps<'_, ()>> {
        let cancel = request.cancel.clone();
        Ok(checked_steps(self.0.prefill(request)?, cancel, ErrorCode::ChatFailed, |_| Ok(()), |_| false))
    }
}

impl Synthesizer for Checked<dyn Synthesizer> {
    fn languages(&self) -> Vec<LanguageTag> {
        self.fact(|facts| facts.languages.clone())
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        self.fact(|facts| facts.voices.clone())
    }

    fn check_lexicon(&self, lexicon: &Lexicon) -> Result<()> {
        self.model.check_lexicon(lexicon)
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        let (cancel, text) = (request.cancel.clone(), request.text.clone());
        let (mut spoken_to, mut samples, mut first_rate) = (0, 0, None);
        let check = move |chunk: &SpeechChunk| {
            let rate = *first_rate.get_or_insert(chunk.rate);
            if chunk.rate != rate {
                return Err(format!("sample rate {}: the chunks before have {rate} Hz", chunk.rate));
            }
            if !(RATE_HZ_MIN..=RATE_HZ_MAX).contains(&rate) {
                return Err(format!("sample rate {rate}: outside {RATE_HZ_MIN} to {RATE_HZ_MAX} Hz"));
            }
            samples += chunk.samples.len();
            if samples / rate as usize > SPEECH_SECONDS_MAX + text.len() {
                return Err("speech is too long for its text".to_owned());
            }
            check_chunk(chunk, &text, spoken_to)?;
            spoken_to = chunk.text_span.end;
            Ok(())
        };
        Ok(checked_steps(self.model.synthesize(request)?, cancel, ErrorCode::SynthesizerFailed, check, |_| false))
    }
}

/// A wrong answer, in words for the error's detail.
type Verdict = std::result::Result<(), String>;

struct CheckedSteps<'a, T, C, L> {
    inner: Steps<'a, T>,
    cancel: CancelFlag,
    code: ErrorCode,
    check: C,
    is_last: L,
    ended: bool,
}

fn checked_steps<'a, T, C, L>(
    inner: Steps<'a, T>,
    cancel: CancelFlag,
    code: ErrorCode,
    check: C,
    is_last: L,
) -> Steps<'a, T>
where
    T: MaybeSend + 'a,
    C: FnMut(&T) -> Verdict + MaybeSend + 'a,
    L: Fn(&T) -> bool + MaybeSend + 'a,
{
    Box::new(CheckedSteps { inner, cancel, code, check, is_last, ended: false })
}

impl<T, C, L> StepStream for CheckedSteps<'_, T, C, L>
where
    T: MaybeSend,
    C: FnMut(&T) -> Verdict + MaybeSend,
    L: Fn(&T) -> bool + MaybeSend,
{
    type Item = T;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
        Box::pin(async move {
            if self.ended {
                return Ok(None);
            }
            let item = unless_cancelled(&self.cancel, self.inner.step()).await?;
            if let Some(item) = &item {
                (self.check)(item).map_err(|wrong| Error::new(self.code, wrong))?;
                self.ended = (self.is_last)(item);
            }
            Ok(item)
        })
    }
}

/// The work's result, or [`ErrorCode::Cancelled`] as soon as the flag is raised while the work is pending.
async fn unless_cancelled<T>(cancel: &CancelFlag, work: BoxFuture<'_, Result<T>>) -> Result<T> {
    let cancelled = async {
        cancel.cancelled().await;
        Err(ErrorCode::Cancelled.into())
    };
    futures_lite::future::or(work, cancelled).await
}

fn check_probability(name: &str, value: f32) -> Verdict {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(format!("{name} {value}: outside 0 to 1")) }
}

fn check_text(text: &str) -> Verdict {
    match text.len() {
        ..=TEXT_BYTES_MAX => Ok(()),
        len => Err(format!("text is too long: {len} of at most {TEXT_BYTES_MAX} bytes")),
    }
}

fn check_span(name: &str, text: &str, span: Range<usize>) -> Verdict {
    match text.get(span.clone()) {
        Some(_) => Ok(()),
        None => Err(format!("{name} {span:?}: not characters of a text of {} bytes", text.len())),
    }
}

fn check_transcript(transcript: &Transcript, audio_ms: u64) -> Verdict {
    check_text(&transcript.text)?;
    check_probability("language probability", transcript.language_probability)?;
    check_probability("no-speech probability", transcript.no_speech_probability)?;
    if let Some(finished) = transcript.finished_probability {
        check_probability("finished probability", finished)?;
    }
    if transcript.average_log_probability.is_nan() {
        return Err("mean log-probability: not a number".to_owned());
    }
    let mut earliest_ms = 0;
    for word in &transcript.words {
        check_text(&word.text)?;
        check_probability("confidence of a word", word.confidence)?;
        if !(earliest_ms..=word.end_ms).contains(&word.start_ms) || word.end_ms > audio_ms + WORD_MARGIN_MS {
            let (start, end) = (word.start_ms, word.end_ms);
            return Err(format!("word at {start} to {end} ms: out of order, or outside {audio_ms} ms of audio"));
        }
        earliest_ms = word.start_ms;
    }
    Ok(())
}

fn check_chunk(chunk: &SpeechChunk, text: &str, spoken_to: usize) -> Verdict {
    if let Some(sample) = chunk.samples.iter().find(|sample| !sample.is_finite()) {
        return Err(format!("sample {sample}: not finite"));
    }
    check_span("text span", text, chunk.text_span.clone())?;
    if chunk.text_span.start < spoken_to {
        return Err(format!("text span {:?}: before byte {spoken_to}, which was spoken", chunk.text_span));
    }
    let (mut text_from, mut sample_from) = (chunk.text_span.start, 0);
    for word in &chunk.words {
        let (span, samples) = (&word.text_span, word.start_sample..word.end_sample);
        check_span("span of a word", text, span.clone())?;
        if span.start < text_from || span.end > chunk.text_span.end {
            return Err(format!("span of a word {span:?}: out of order, or outside {:?}", chunk.text_span));
        }
        if samples.start < sample_from || samples.end < samples.start || samples.end > chunk.samples.len() as u64 {
            let len = chunk.samples.len();
            return Err(format!("samples of a word {samples:?}: out of order, or outside {len} samples"));
        }
        (text_from, sample_from) = (span.end, samples.start);
    }
    Ok(())
}
