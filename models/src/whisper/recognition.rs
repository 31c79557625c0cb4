//! One utterance from samples to a transcript: windows, segments and words.

use super::decoder::{Decoder, Language};
use super::model_file::Loaded;
use super::segments::{Segment, segments};
use super::shape::{POSITION_SAMPLES, WINDOW_SAMPLES};
use super::steps::Emitter;
use super::{ending, gate, timing};
use std::sync::Arc;
use tertulia::backend::{LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, Transcript, Word};
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// Audio left at the end that is shorter than this holds no word: 0.1 s.
const REST_SAMPLES_MIN: usize = 1_600;
/// Longer audio than a window goes through in pieces of 15 s at most, cut where they are quietest, after 8 s at the
/// earliest: with more than a few sentences, the model stops early, and beside a loud voice it misses a soft one.
const LONG_WINDOW_SAMPLES: usize = 240_000;
const CUT_SAMPLES_MIN: usize = 128_000;
/// How long after the start of its last token a window's text may end: 0.2 to 1.5 s.
const LAST_TOKEN_SAMPLES_MIN: usize = 3_200;
const LAST_TOKEN_SAMPLES_MAX: usize = 24_000;
/// A window moves on by 1 s at least, or is done with.
const ADVANCE_SAMPLES_MIN: usize = 16_000;

/// An utterance being recognised.
pub(super) struct Recognition {
    decoder: Decoder,
    language: Option<Language>,
    transcript: Transcript,
    log_probability_sum: f32,
    tokens: usize,
}

impl Recognition {
    /// Checks the request.
    ///
    /// # Errors
    /// [`ErrorCode::LanguageUnsupported`].
    pub(super) fn new(model: Arc<Loaded>, request: RecognitionRequest, timestamps: bool) -> Result<Self> {
        let mut candidates: Vec<(LanguageTag, u32)> = Vec::new();
        let all =
            if request.languages.is_empty() { model.vocabulary.language_tags() } else { request.languages.clone() };
        for tag in all {
            let token = model.vocabulary.language_token(&tag);
            let token =
                token.ok_or_else(|| Error::new(ErrorCode::LanguageUnsupported, format!("no language token: {tag}")))?;
            if candidates.iter().all(|(_, known)| *known != token) {
                candidates.push((tag, token));
            }
        }
        let steps = Emitter::default();
        Ok(Self {
            decoder: Decoder { model, request, timestamps, steps, candidates, text: String::new() },
            language: None,
            transcript: Transcript::default(),
            log_probability_sum: 0.0,
            tokens: 0,
        })
    }

    /// Does all the work, a step for each bounded piece of it.
    pub(super) async fn run(mut self, steps: Emitter<RecognitionStep>) -> Result<RecognitionStep> {
        self.decoder.steps = steps;
        let audio = Arc::clone(&self.decoder.request.audio);
        let long = audio.len() > WINDOW_SAMPLES;
        let most = if long { LONG_WINDOW_SAMPLES } else { WINDOW_SAMPLES };
        let mut start = 0;
        while start == 0 || start + REST_SAMPLES_MIN <= audio.len() {
            let rest = &audio[start..];
            let end = if rest.len() <= most { rest.len() } else { gate::quietest_cut(&rest[..most], CUT_SAMPLES_MIN) };
            start += self.window(&rest[..end], start, long).await?;
        }
        let mut transcript = self.transcript;
        transcript.text = self.decoder.text.trim().to_owned();
        transcript.average_log_probability = self.log_probability_sum / self.tokens.max(1) as f32;
        let only = match self.decoder.candidates.as_slice() {
            [(only, _)] => Some(only.clone()),
            _ => None,
        };
        match self.language {
            Some(language) => {
                transcript.language = Some(language.tag);
                transcript.language_probability = language.probability;
            }
            None => {
                transcript.language_probability = if only.is_some() { 1.0 } else { 0.0 };
                transcript.language = only;
            }
        }
        Ok(RecognitionStep::Final(transcript))
    }

    /// Recognises one window that begins `offset` samples into the audio; returns how many samples are done with.
    async fn window(&mut self, samples: &[f32], offset: usize, long: bool) -> Result<usize> {
        if !gate::may_hold_speech(samples) {
            self.transcript.no_speech_probability = 1.0;
            self.decoder.pause().await?;
            return Ok(samples.len());
        }
        let window = self.decoder.window(samples, offset, self.language.as_ref()).await?;
        self.language = Some(window.language.clone());
        self.transcript.no_speech_probability = self.transcript.no_speech_probability.max(window.no_speech);
        let Some(attempt) = &window.attempt else {
            return Ok(samples.len());
        };
        let model = Arc::clone(&self.decoder.model);
        let vocabulary = &model.vocabulary;
        let spoken = attempt.tokens.iter().zip(&attempt.log_probabilities).filter(|(t, _)| vocabulary.is_text(**t));
        let (mut tokens, mut log_probabilities): (Vec<u32>, Vec<f32>) = spoken.map(|(t, l)| (*t, *l)).unzip();
        let mut segments = segments(vocabulary, &attempt.tokens);
        // A segment that the window's end cut off is decoded again, whole.
        let last_time = segments.iter().rev().find_map(|segment| segment.end_ms).map(samples_in);
        let last_time = last_time.filter(|_| self.decoder.timestamps).map(|time| time.min(samples.len()));
        let cut_off = long && segments.last().is_some_and(|segment| segment.end_ms.is_none());
        let again = last_time.filter(|time| cut_off && *time >= ADVANCE_SAMPLES_MIN);
        if let Some(unfinished) = segments.pop_if(|_| again.is_some()) {
            tokens.truncate(unfinished.tokens.start);
            log_probabilities.truncate(unfinished.tokens.start);
        }
        self.transcript.finished_probability = ending::finished_probability(attempt, vocabulary);
        self.decoder.text.push_str(&String::from_utf8_lossy(&vocabulary.bytes(&tokens)));
        self.log_probability_sum += log_probabilities.iter().sum::<f32>();
        self.tokens += tokens.len();
        self.decoder.emit_partial(&[]).await?;
        let mut starts = Vec::new();
        if !tokens.is_empty() && (self.decoder.request.word_times || long && last_time.is_none()) {
            starts = self.decoder.align(&window, &tokens, samples.len()).await?;
        }
        for segment in &segments {
            let words = self.words(segment, &tokens, &log_probabilities, &starts, samples.len(), offset);
            self.transcript.words.extend(words);
        }
        if let Some(again) = again {
            return Ok(again);
        }
        // After several sentences, the model may stop early: speech after the end of the text is decoded again.
        let done = last_time.unwrap_or_else(|| {
            // Speech without text is aligned to the punctuation at the end, or to the last word: the pause is looked for
            // soon after that begins.
            let holds_letter = |token: &u32| vocabulary.text(&[*token]).chars().any(char::is_alphanumeric);
            let last = tokens.iter().rposition(holds_letter).and_then(|at| starts.get(at));
            let last = last.map_or(samples.len(), |position| position * POSITION_SAMPLES);
            let soon = &samples[last.min(samples.len())..(last + LAST_TOKEN_SAMPLES_MAX).min(samples.len())];
            last + gate::quietest_cut(soon, LAST_TOKEN_SAMPLES_MIN)
        });
        let stops_early = long && done >= ADVANCE_SAMPLES_MIN && gate::goes_on(samples, done);
        Ok(if stops_early { done } else { samples.len() })
    }

    /// The words of a segment; the segment as one where no word times are asked for but the model wrote its own.
    fn words(
        &self,
        segment: &Segment,
        tokens: &[u32],
        log_probabilities: &[f32],
        starts: &[usize],
        samples: usize,
        offset: usize,
    ) -> Vec<Word> {
        let vocabulary = &self.decoder.model.vocabulary;
        let (tokens, sure) = (&tokens[segment.tokens.clone()], &log_probabilities[segment.tokens.clone()]);
        let offset_ms = ms_in(offset);
        let end_ms = segment.end_ms.unwrap_or(u64::MAX).min(ms_in(samples));
        let (first_ms, last_ms) = (offset_ms + segment.start_ms.min(end_ms), offset_ms + end_ms);
        match &self.language {
            Some(language) if self.decoder.request.word_times => {
                let starts = starts.get(segment.tokens.start..).unwrap_or_default();
                let words = timing::words(vocabulary, tokens, language.tag.primary());
                let mut words = timing::timed(&words, starts, sure, offset_ms);
                for word in &mut words {
                    word.start_ms = word.start_ms.clamp(first_ms, last_ms);
                    word.end_ms = word.end_ms.clamp(first_ms, last_ms);
                }
                words
            }
            _ if self.decoder.timestamps => {
                let confidence = sure.iter().map(|l| l.exp()).sum::<f32>() / sure.len().max(1) as f32;
                let text = vocabulary.text(tokens).trim().to_owned();
                vec![Word::new(text, first_ms..last_ms, confidence)]
            }
            _ => Vec::new(),
        }
    }
}

fn ms_in(samples: usize) -> u64 {
    samples as u64 * 1000 / u64::from(LISTEN_RATE_HZ)
}

fn samples_in(ms: u64) -> usize {
    (ms * u64::from(LISTEN_RATE_HZ) / 1000) as usize
}
