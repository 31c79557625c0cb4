//! A cache of the cues' answers: each model is asked once, however many weights are tried on its answers.

use crate::stand_in::is_model;
use crate::wer::Failure;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tertulia::backend::{
    BoxFuture, DetectionRequest, LISTEN_RATE_HZ, Model, RecognitionRequest, RecognitionStep, Recognizer, Steps,
    Transcript, TurnDetector, Vad, VadModel, block_on, steps_from_fn,
};
use tertulia::{LanguageTag, Result};

/// The end of a question's audio that identifies it.
const TAIL: usize = LISTEN_RATE_HZ as usize / 2;

/// Answers of the models, by question.
#[derive(Default)]
pub(super) struct Answers {
    /// Partial transcripts are recognised, too: no decision uses them, but they fill the recogniser's cache.
    pub(super) recognises_partials: bool,
    known: HashMap<u64, Answer>,
    /// The file that new answers are appended to, one a line.
    file: Option<std::fs::File>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Finished(f32),
    Words(Transcript),
}

#[derive(Serialize, Deserialize)]
struct Line {
    question: u64,
    answer: Answer,
}

impl Answers {
    /// Answers kept in a file from run to run.
    pub(super) fn open(path: &Path) -> std::result::Result<Self, Failure> {
        let text = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let lines = text.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Line>, _>>()?;
        let known = lines.into_iter().map(|line| (line.question, line.answer)).collect();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { known, file: Some(file), ..Default::default() })
    }

    fn keep(&mut self, question: u64, answer: Answer) {
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&Line { question, answer: answer.clone() }).unwrap_or_default();
            // A line that is not written is asked again in the next run.
            let _ = writeln!(file, "{line}");
        }
        self.known.insert(question, answer);
    }
}

pub(super) type SharedAnswers = Arc<Mutex<Answers>>;

fn known(answers: &SharedAnswers, question: u64) -> Option<Answer> {
    answers.lock().unwrap_or_else(PoisonError::into_inner).known.get(&question).cloned()
}

fn keep(answers: &SharedAnswers, question: u64, answer: Answer) {
    answers.lock().unwrap_or_else(PoisonError::into_inner).keep(question, answer);
}

fn question(name: &str, sound: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    sound.iter().for_each(|sample| sample.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// A turn detector with a cache.
pub(super) struct CachedDetector {
    pub(super) inner: Arc<dyn TurnDetector>,
    pub(super) answers: SharedAnswers,
}

impl TurnDetector for CachedDetector {
    fn probability_finished(&self, request: DetectionRequest) -> BoxFuture<'_, Result<f32>> {
        Box::pin(async move {
            // The detector uses the last 8 s.
            let audio = &request.audio;
            let used = &audio[audio.len().saturating_sub(8 * LISTEN_RATE_HZ as usize)..];
            let question = question(self.name(), used);
            if let Some(Answer::Finished(probability)) = known(&self.answers, question) {
                return Ok(probability);
            }
            let probability = self.inner.probability_finished(request).await?;
            keep(&self.answers, question, Answer::Finished(probability));
            Ok(probability)
        })
    }
}

/// A recogniser with a cache.
///
/// A question is identified by the end of its audio: an utterance whose beginning was cut off gets the words of the whole
/// one. Whether words look complete depends on the last ones, so a hundred sets of weights need the recogniser as often as
/// one does. Only the first pass is used: later passes come too late for nearly all decisions.
pub(super) struct CachedRecognizer {
    pub(super) inner: Arc<dyn Recognizer>,
    pub(super) answers: SharedAnswers,
}

impl CachedRecognizer {
    fn recognises_partials(&self) -> bool {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).recognises_partials
    }
}

impl Recognizer for CachedRecognizer {
    fn languages(&self) -> Vec<LanguageTag> {
        self.inner.languages()
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let tail = &request.audio[request.audio.len().saturating_sub(TAIL)..];
        let question = question(self.name(), tail);
        let transcript = match known(&self.answers, question) {
            Some(Answer::Words(transcript)) => transcript,
            _ if !request.word_times && !self.recognises_partials() => Transcript::default(),
            _ => {
                let transcript = first_pass(self.inner.recognize(request)?)?;
                keep(&self.answers, question, Answer::Words(transcript.clone()));
                transcript
            }
        };
        Ok(answer(transcript))
    }
}

/// A recogniser for strategies without words: every transcript is one word.
pub(super) struct NoWords;

impl Recognizer for NoWords {
    fn languages(&self) -> Vec<LanguageTag> {
        Vec::new()
    }

    fn recognize(&self, _: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        Ok(answer(Transcript::from("x".to_owned())))
    }
}

/// The transcript of the first pass, or the final one if there is no first pass.
fn first_pass(mut steps: Steps<'_, RecognitionStep>) -> Result<Transcript> {
    while let Some(step) = block_on(steps.step())? {
        if let RecognitionStep::FirstPass(transcript) | RecognitionStep::Final(transcript) = step {
            return Ok(transcript);
        }
    }
    Ok(Transcript::default())
}

fn answer(transcript: Transcript) -> Steps<'static, RecognitionStep> {
    let mut steps = std::iter::once(RecognitionStep::Final(transcript));
    steps_from_fn(move || Ok(steps.next()))
}

/// A voice activity detector for one recording: probabilities are computed once and replayed after that.
pub(super) struct Replay {
    inner: Arc<dyn VadModel>,
    probabilities: Arc<Mutex<Vec<f32>>>,
}

impl Replay {
    pub(super) fn new(inner: Arc<dyn VadModel>) -> Self {
        Self { inner, probabilities: Arc::default() }
    }
}

impl VadModel for Replay {
    fn open(&self) -> Result<Box<dyn Vad>> {
        Ok(Box::new(Replaying { inner: self.inner.open()?, probabilities: Arc::clone(&self.probabilities), at: 0 }))
    }
}

struct Replaying {
    inner: Box<dyn Vad>,
    probabilities: Arc<Mutex<Vec<f32>>>,
    at: usize,
}

impl Vad for Replaying {
    fn frame_len(&self) -> usize {
        self.inner.frame_len()
    }

    fn process(&mut self, frame: &[f32]) -> Result<f32> {
        let mut known = self.probabilities.lock().unwrap_or_else(PoisonError::into_inner);
        if self.at == known.len() {
            known.push(self.inner.process(frame)?);
        }
        self.at += 1;
        Ok(known[self.at - 1])
    }

    fn reset(&mut self) {
        self.at = 0;
    }
}

is_model!(CachedDetector, |detector| detector.inner.name());
is_model!(CachedRecognizer, |recognizer| recognizer.inner.name());
is_model!(NoWords, |_| "no words");
is_model!(Replay, |_| "replay");
