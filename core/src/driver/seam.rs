//! The seam to the backends: every answer is checked before the engine uses it, and every pending step is raced with its
//! cancellation.
//!
//! A backend is code of the host's. An answer that breaks its contract becomes the error of its role, with what is wrong
//! in it; the engine behind the seam may rely on the contract.

use crate::audio::{RATE_HZ_MAX, RATE_HZ_MIN};
use crate::backend::{
    Backends, BoxFuture, CancelFlag, ChatModel, ChatRequest, ChatStep, Conversation, Lexicon, MaybeSend, Model,
    RecognitionRequest, RecognitionStep, Recognizer, SpeechChunk, StepStream, Steps, SynthesisRequest, Synthesizer,
    Transcript, TurnDetector, Vad, VadModel, VoiceInfo,
};
use crate::error::{Error, ErrorCode, Result};
use crate::language::LanguageTag;
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
        vad: backends.vad.map(|model| Arc::new(Checked(model)) as Arc<dyn VadModel>),
        turn_detector: backends.turn_detector.map(|model| Arc::new(Checked(model)) as Arc<dyn TurnDetector>),
        recognizer: backends.recognizer.map(|model| Arc::new(Checked(model)) as Arc<dyn Recognizer>),
        chat: backends.chat.map(|model| Arc::new(Checked(model)) as Arc<dyn ChatModel>),
        synthesizer: backends.synthesizer.map(|model| Arc::new(Checked(model)) as Arc<dyn Synthesizer>),
    }
}

/// A backend behind the seam.
struct Checked<M: ?Sized>(Arc<M>);

impl<M: Model + ?Sized> Model for Checked<M> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn load(&self, progress: &mut dyn FnMut(f32)) -> Result<()> {
        self.0.load(progress)
    }

    fn unload(&self) {
        self.0.unload();
    }

    fn is_loaded(&self) -> bool {
        self.0.is_loaded()
    }

    fn memory_needed(&self) -> u64 {
        self.0.memory_needed()
    }
}

impl VadModel for Checked<dyn VadModel> {
    fn open(&self) -> Result<Box<dyn Vad>> {
        let inner = self.0.open()?;
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
    fn probability_finished<'a>(&'a self, audio: &'a [f32], cancel: &'a CancelFlag) -> BoxFuture<'a, Result<f32>> {
        Box::pin(async move {
            let probability = unless_cancelled(cancel, self.0.probability_finished(audio, cancel)).await?;
            check_probability("probability", probability)
                .map_err(|wrong| Error::new(ErrorCode::TurnDetectorFailed, wrong))?;
            Ok(probability)
        })
    }
}

impl Recognizer for Checked<dyn Recognizer> {
    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages()
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
        Ok(checked_steps(self.0.recognize(request)?, cancel, ErrorCode::RecognizerFailed, check, is_last))
    }
}

impl ChatModel for Checked<dyn ChatModel> {
    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages()
    }

    fn context_len(&self) -> usize {
        self.0.context_len()
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(CheckedConversation(self.0.open_conversation()?)))
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

    fn cache_bytes(&self) -> u64 {
        self.0.cache_bytes()
    }

    fn drop_cache(&mut self) {
        self.0.drop_cache();
    }
}

impl Synthesizer for Checked<dyn Synthesizer> {
    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages()
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        self.0.voices()
    }

    fn sample_rate(&self) -> u32 {
        self.0.sample_rate()
    }

    fn check_lexicon(&self, lexicon: &Lexicon) -> Result<()> {
        self.0.check_lexicon(lexicon)
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        let (cancel, text, rate) = (request.cancel.clone(), request.text.clone(), self.0.sample_rate());
        let (mut spoken_to, mut samples) = (0, 0);
        let check = move |chunk: &SpeechChunk| {
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
        Ok(checked_steps(self.0.synthesize(request)?, cancel, ErrorCode::SynthesizerFailed, check, |_| false))
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
