//! One utterance from samples to words: windows, the choice of language, attempts, and what is believed of them.

use super::decoding::{self, Attempt, Random, Rules};
use super::growing::{GROWING_SAMPLES_MAX, Growth, Heard};
use super::network::{AttentionWitness, EncoderLayer, KeyValues, Network, TextCache};
use super::segments::{Segment, segments};
use super::steps::Emitter;
use super::vocabulary::Vocabulary;
use super::{ending, gate, timing, voicing};
use crate::mel::{HOP, MelFrontEnd, WINDOW_SAMPLES};
use burn::tensor::Tensor;
use std::sync::Arc;
use tertulia::backend::{LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, Transcript, UtteranceCache, Word};
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// What is left at the end of the audio and shorter than this holds no word: 0.1 s.
const REST_SAMPLES_MIN: usize = 1_600;
/// Longer audio than a window goes through in pieces of 15 s at most, cut where they are quietest, after 8 s at the
/// earliest: told more than a few sentences, the model stops early, and beside a loud voice it does not hear a soft one.
const LONG_WINDOW_SAMPLES: usize = 240_000;
const CUT_SAMPLES_MIN: usize = 128_000;
/// How long after the start of its last token a window's text may end: 0.2 to 1.5 s.
const LAST_TOKEN_SAMPLES_MIN: usize = 3_200;
const LAST_TOKEN_SAMPLES_MAX: usize = 24_000;
/// A window moves on by 1 s at least, or is done with.
const ADVANCE_SAMPLES_MIN: usize = 16_000;
/// Samples of one encoder position.
pub(super) const POSITION_SAMPLES: usize = 2 * HOP;
/// A window is heard with 8 s of silence after it, within the model's 30 s: with less, the model says things twice.
const SILENT_POSITIONS: usize = 400;
/// Multiplications and additions between two looks at the cancel flag.
const STEP_WORK_MAX: usize = 750_000_000;
/// Tokens that are aligned between two such looks.
const ALIGNED_TOKENS: usize = 12;

/// A model file in memory.
pub(super) struct Loaded {
    pub(super) network: Network,
    pub(super) vocabulary: Vocabulary,
    pub(super) front_end: MelFrontEnd,
    /// Tokens that are never chosen.
    pub(super) suppressed: Vec<u32>,
    /// Tokens that are never chosen first.
    pub(super) suppressed_first: Vec<u32>,
    /// Tokens that close a sentence.
    pub(super) closing: Vec<u32>,
    /// `(decoder layer, head)` of the heads whose cross attention follows the sound.
    pub(super) alignment_heads: Vec<(usize, usize)>,
}

/// A language of the request and its token.
#[derive(Clone)]
struct Language {
    tag: LanguageTag,
    token: u32,
    probability: f32,
}

/// An utterance being recognised.
pub(super) struct Recognition {
    model: Arc<Loaded>,
    request: RecognitionRequest,
    timestamps: bool,
    steps: Emitter<RecognitionStep>,
    candidates: Vec<(LanguageTag, u32)>,
    language: Option<Language>,
    text: String,
    transcript: Transcript,
    log_probability_sum: f32,
    tokens: usize,
}

/// What the decoder says before its first own token.
struct Opening {
    heard: Vec<KeyValues>,
    cache: TextCache,
    logits: Vec<f32>,
}

impl Recognition {
    /// Looks at the request.
    ///
    /// # Errors
    /// [`ErrorCode::LanguageUnsupported`].
    pub(super) fn new(model: Arc<Loaded>, request: RecognitionRequest, timestamps: bool) -> Result<Self> {
        let mut candidates: Vec<(LanguageTag, u32)> = Vec::new();
        let all =
            if request.languages.is_empty() { model.vocabulary.language_tags() } else { request.languages.clone() };
        for tag in all {
            let token = model.vocabulary.language_token(&tag).ok_or_else(|| {
                Error::new(ErrorCode::LanguageUnsupported, format!("this Whisper does not write {tag}"))
            })?;
            if candidates.iter().all(|(_, known)| *known != token) {
                candidates.push((tag, token));
            }
        }
        Ok(Self {
            model,
            request,
            timestamps,
            steps: Emitter::default(),
            candidates,
            language: None,
            text: String::new(),
            transcript: Transcript::default(),
            log_probability_sum: 0.0,
            tokens: 0,
        })
    }

    /// Does all the work, a step for each bounded piece of it.
    pub(super) async fn run(mut self, steps: Emitter<RecognitionStep>) -> Result<RecognitionStep> {
        self.steps = steps;
        let audio = Arc::clone(&self.request.audio);
        let long = audio.len() > WINDOW_SAMPLES;
        let most = if long { LONG_WINDOW_SAMPLES } else { WINDOW_SAMPLES };
        let mut start = 0;
        while start == 0 || start + REST_SAMPLES_MIN <= audio.len() {
            let rest = &audio[start..];
            let end = if rest.len() <= most { rest.len() } else { gate::quietest_cut(&rest[..most], CUT_SAMPLES_MIN) };
            start += self.window(&rest[..end], start, long).await?;
        }
        let mut transcript = self.transcript;
        transcript.text = self.text.trim().to_owned();
        transcript.average_log_probability = self.log_probability_sum / self.tokens.max(1) as f32;
        let only = (self.candidates.len() == 1).then(|| self.candidates[0].0.clone());
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
            self.pause().await?;
            return Ok(samples.len());
        }
        let Some((opening, attempt)) = self.understand(samples, offset).await? else {
            return Ok(samples.len());
        };
        let model = Arc::clone(&self.model);
        let vocabulary = &model.vocabulary;
        let spoken = attempt.tokens.iter().zip(&attempt.log_probabilities).filter(|(t, _)| vocabulary.is_text(**t));
        let (mut tokens, mut log_probabilities): (Vec<u32>, Vec<f32>) = spoken.map(|(t, l)| (*t, *l)).unzip();
        let mut segments = segments(vocabulary, &attempt.tokens);
        // A segment that the window's end cut off is heard again, whole.
        let last_time = segments.iter().rev().find_map(|segment| segment.end_ms).map(samples_in);
        let last_time = last_time.filter(|_| self.timestamps).map(|time| time.min(samples.len()));
        let cut_off = long && segments.last().is_some_and(|segment| segment.end_ms.is_none());
        let again = last_time.filter(|time| cut_off && *time >= ADVANCE_SAMPLES_MIN);
        if let Some(unfinished) = segments.pop_if(|_| again.is_some()) {
            tokens.truncate(unfinished.tokens.start);
            log_probabilities.truncate(unfinished.tokens.start);
        }
        self.transcript.finished_probability = ending::finished_probability(&attempt, vocabulary);
        self.text.push_str(&String::from_utf8_lossy(&vocabulary.bytes(&tokens)));
        self.log_probability_sum += log_probabilities.iter().sum::<f32>();
        self.tokens += tokens.len();
        self.show(&[]).await?;
        let mut starts = Vec::new();
        if !tokens.is_empty() && (self.request.word_times || long && last_time.is_none()) {
            starts = self.align(&opening.heard, &tokens, samples.len()).await?;
        }
        for segment in &segments {
            let words = self.words(segment, &tokens, &log_probabilities, &starts, samples.len(), offset);
            self.transcript.words.extend(words);
        }
        if let Some(again) = again {
            return Ok(again);
        }
        // Told several sentences, the model may stop after the first. What sounds like them is heard again.
        let done = last_time.unwrap_or_else(|| {
            // What nobody wrote down counts as part of the signs at the end, or of the last word: its pause is looked
            // for soon after that begins.
            let holds_letter = |token: &u32| vocabulary.text(&[*token]).chars().any(char::is_alphanumeric);
            let last = tokens.iter().rposition(holds_letter).and_then(|at| starts.get(at));
            let last = last.map_or(samples.len(), |position| position * POSITION_SAMPLES);
            let soon = &samples[last.min(samples.len())..(last + LAST_TOKEN_SAMPLES_MAX).min(samples.len())];
            last + gate::quietest_cut(soon, LAST_TOKEN_SAMPLES_MIN)
        });
        let early = long && done >= ADVANCE_SAMPLES_MIN && gate::goes_on(samples, done);
        Ok(if early { done } else { samples.len() })
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
        let vocabulary = &self.model.vocabulary;
        let (tokens, sure) = (&tokens[segment.tokens.clone()], &log_probabilities[segment.tokens.clone()]);
        let offset_ms = ms_in(offset);
        let end_ms = segment.end_ms.unwrap_or(u64::MAX).min(ms_in(samples));
        let (first_ms, last_ms) = (offset_ms + segment.start_ms.min(end_ms), offset_ms + end_ms);
        match &self.language {
            Some(language) if self.request.word_times => {
                let starts = starts.get(segment.tokens.start..).unwrap_or_default();
                let words = timing::words(vocabulary, tokens, language.tag.primary());
                let mut words = timing::timed(&words, starts, sure, offset_ms);
                for word in &mut words {
                    word.start_ms = word.start_ms.clamp(first_ms, last_ms);
                    word.end_ms = word.end_ms.clamp(first_ms, last_ms);
                }
                words
            }
            _ if self.timestamps => {
                let confidence = sure.iter().map(|l| l.exp()).sum::<f32>() / sure.len().max(1) as f32;
                let text = vocabulary.text(tokens).trim().to_owned();
                vec![Word { text, start_ms: first_ms, end_ms: last_ms, confidence }]
            }
            _ => Vec::new(),
        }
    }

    /// Writes down a window; `None` where nobody speaks.
    ///
    /// A short one is heard with little silence after it. That is all for words without times, which are shown while
    /// somebody still speaks; for a final transcript, what the model is not sure of is heard again, with all the silence
    /// that it was trained with. Three in ten are, so it does not pay where the first hearing is most of the work of the
    /// second.
    ///
    /// Of an utterance that grows, the words so far are those of a quick hearing, and so is what is told first.
    async fn understand(&mut self, samples: &[f32], offset: usize) -> Result<Option<(Opening, Attempt)>> {
        let voiced_s = voicing::voiced_s(samples);
        let cache = self.request.cache.clone();
        let is_all = samples.len() == self.request.audio.len();
        let grows = cache.filter(|_| is_all && samples.len() <= GROWING_SAMPLES_MAX);
        if let Some(cache) = &grows {
            let language = self.language.clone();
            let (opening, mut attempt, no_speech) = self.hear_again(samples, cache).await?;
            let text = self.model.vocabulary.text(&attempt.tokens);
            let silent = decoding::is_silence(no_speech, attempt.average_log_probability(), &text, voiced_s);
            if !self.request.word_times {
                self.transcript.no_speech_probability = self.transcript.no_speech_probability.max(no_speech);
                attempt.cut_loop();
                return Ok((!silent).then_some((opening, attempt)));
            }
            if !silent {
                self.tell_first(&attempt, no_speech, samples.len()).await?;
            }
            self.language = language;
        }
        let whole = self.model.network.shape.audio_positions;
        let short = (samples.len().div_ceil(POSITION_SAMPLES) + SILENT_POSITIONS).min(whole);
        let pays = if self.request.word_times { 3 * short <= 2 * whole } else { short < whole };
        if pays {
            let language = self.language.clone();
            let (opening, no_speech) = self.open(self.listen(samples, short).await?).await?;
            let mut attempt = self.attempt(&opening, &[], 0.0, &mut Random(0)).await?;
            let text = self.model.vocabulary.text(&attempt.tokens);
            let silent = decoding::is_silence(no_speech, attempt.average_log_probability(), &text, voiced_s);
            let sound = attempt.is_sound(&text);
            if !silent && grows.is_none() {
                self.tell_first(&attempt, no_speech, samples.len()).await?;
            }
            if !self.request.word_times || !silent && sound && attempt.is_sure() {
                self.transcript.no_speech_probability = self.transcript.no_speech_probability.max(no_speech);
                attempt.cut_loop();
                return Ok((!silent).then_some((opening, attempt)));
            }
            self.language = language;
        }
        let (opening, no_speech) = self.open(self.listen(samples, whole).await?).await?;
        self.transcript.no_speech_probability = self.transcript.no_speech_probability.max(no_speech);
        let attempt = self.best_attempt(&opening, offset, no_speech, voiced_s).await?;
        if let Some(attempt) = attempt.as_ref().filter(|_| !pays && grows.is_none()) {
            self.tell_first(attempt, no_speech, samples.len()).await?;
        }
        Ok(attempt.map(|attempt| (opening, attempt)))
    }

    /// Runs the encoder over so many positions, and tells what each layer of the decoder hears of it.
    async fn listen(&self, samples: &[f32], positions: usize) -> Result<Vec<KeyValues>> {
        let model = Arc::clone(&self.model);
        let mel = model.front_end.log_mel(samples, 2 * positions);
        self.pause().await?;
        let heard = model.network.hear(mel);
        self.pause().await?;
        let mut x = model.network.listen(heard, 0);
        self.pause().await?;
        for layer in &model.network.encoder_layers {
            let projected = layer.project(&x);
            self.pause().await?;
            x = self.forward(layer, x, &projected, &projected).await?;
        }
        let encoded = model.network.encoded(x);
        let mut heard = Vec::new();
        for layer in 0..model.network.cross_layers() {
            heard.push(model.network.cross_keys(layer, &encoded));
            self.pause().await?;
        }
        Ok(heard)
    }

    /// One layer of the encoder, some rows at a time.
    async fn forward(
        &self,
        layer: &EncoderLayer,
        x: Tensor<2>,
        projected: &Tensor<2>,
        all: &Tensor<2>,
    ) -> Result<Tensor<2>> {
        let ([rows, width], seen) = (x.dims(), all.dims()[0]);
        let step = (STEP_WORK_MAX / (9 * width * width + 2 * seen * width)).clamp(64, rows.max(64));
        let mut done = Vec::new();
        for first in (0..rows).step_by(step) {
            done.push(layer.forward(&x, first..(first + step).min(rows), projected, all));
            self.pause().await?;
        }
        Ok(Tensor::cat(done, 0))
    }

    /// Hears an utterance that has grown since it was heard before, and remembers what came of it.
    async fn hear_again(&mut self, samples: &[f32], cache: &UtteranceCache) -> Result<(Opening, Attempt, f32)> {
        let before: Option<Arc<Heard>> = cache.get();
        let mut heard = self.listen_on(samples, before.as_deref()).await?;
        let (opening, no_speech) = self.open(heard.cross.clone()).await?;
        let said = before.as_ref().map_or(&[][..], |before| &before.tokens);
        let attempt = self.attempt(&opening, said, 0.0, &mut Random(0)).await?;
        if !attempt.looped {
            heard.tokens = attempt.tokens.clone();
        }
        cache.set(Arc::new(heard));
        Ok((opening, attempt, no_speech))
    }

    /// Runs the encoder over what is new.
    async fn listen_on(&self, samples: &[f32], before: Option<&Heard>) -> Result<Heard> {
        let model = Arc::clone(&self.model);
        let mut growth = Growth::new(samples.len(), before, model.network.shape.audio_positions);
        let (sound, frames) = growth.sound(samples);
        let mel = model.front_end.log_mel(sound, frames);
        self.pause().await?;
        let mut x = growth.listen(&model.network, model.network.hear(mel));
        self.pause().await?;
        for layer in &model.network.encoder_layers {
            let projected = layer.project(&x);
            let all = growth.project(projected.clone());
            x = self.forward(layer, x, &projected, &all).await?;
        }
        let encoded = model.network.encoded(x);
        for layer in 0..model.network.cross_layers() {
            growth.cross(model.network.cross_keys(layer, &encoded));
            self.pause().await?;
        }
        Ok(growth.done())
    }

    /// Lets the decoder read what comes before the text; chooses the language on the way.
    async fn open(&mut self, heard: Vec<KeyValues>) -> Result<(Opening, f32)> {
        let model = Arc::clone(&self.model);
        let vocabulary = &model.vocabulary;
        let mut prompt = self.hints();
        prompt.push(vocabulary.start_of_transcript);
        let mut cache = TextCache::default();
        let rows = model.network.decode(&prompt, &heard, &mut cache, None)?;
        let logits = model.network.logits(&rows, prompt.len() - 1)?;
        let no_speech = decoding::probability(&logits, vocabulary.no_speech);
        let language = match self.language.take() {
            Some(language) => language,
            None => likeliest(&self.candidates, &logits)?,
        };
        self.pause().await?;
        let all = [language.token, vocabulary.transcribe, vocabulary.no_timestamps];
        let rest = if self.timestamps { &all[..2] } else { &all };
        let rows = model.network.decode(rest, &heard, &mut cache, None)?;
        let logits = model.network.logits(&rows, rest.len() - 1)?;
        self.language = Some(language);
        self.pause().await?;
        Ok((Opening { heard, cache, logits }, no_speech))
    }

    /// The request's words to expect, as text that came before.
    fn hints(&self) -> Vec<u32> {
        let vocabulary = &self.model.vocabulary;
        if self.request.vocabulary.is_empty() {
            return Vec::new();
        }
        let tokens = vocabulary.encode(&format!(" {}.", self.request.vocabulary.join(", ")));
        let most = self.model.network.shape.text_positions / 2 - 1;
        let mut hints = vec![vocabulary.start_of_previous];
        hints.extend(tokens.into_iter().take(most));
        hints
    }

    /// Decodes at rising temperatures until the text can be trusted; `None` where nobody speaks.
    async fn best_attempt(
        &self,
        opening: &Opening,
        offset: usize,
        no_speech: f32,
        voiced_s: f32,
    ) -> Result<Option<Attempt>> {
        let mut best: Option<Attempt> = None;
        for (round, temperature) in decoding::TEMPERATURES.into_iter().enumerate() {
            let mut random = Random(offset as u64 ^ ((round as u64) << 48));
            let attempt = self.attempt(opening, &[], temperature, &mut random).await?;
            let text = self.model.vocabulary.text(&attempt.tokens);
            let average = attempt.average_log_probability();
            if decoding::is_silence(no_speech, average, &text, voiced_s) {
                return Ok(None);
            }
            if attempt.is_sound(&text) {
                return Ok(Some(attempt));
            }
            let better = best
                .as_ref()
                .is_none_or(|best| (!attempt.looped, average) > (!best.looped, best.average_log_probability()));
            if better {
                best = Some(attempt);
            }
        }
        Ok(best.map(|mut best| {
            best.cut_loop();
            best
        }))
    }

    /// Decodes once. What the decoder `said` of the same utterance before is checked in one go; up to where it says the
    /// same again, that gives what decoding it token by token would.
    async fn attempt(&self, opening: &Opening, said: &[u32], temperature: f32, random: &mut Random) -> Result<Attempt> {
        let model = Arc::clone(&self.model);
        let vocabulary = &model.vocabulary;
        let rules = Rules {
            vocabulary,
            suppressed: &model.suppressed,
            suppressed_first: &model.suppressed_first,
            timestamps: self.timestamps,
        };
        let positions = model.network.shape.text_positions;
        let most = (positions / 2).min(positions.saturating_sub(opening.cache.len()));
        let mut attempt = Attempt::default();
        let mut cache = opening.cache.clone();
        let mut logits = opening.logits.clone();
        let said = &said[..said.len().min(most - 1)];
        let mut ahead = Vec::new();
        if !said.is_empty() {
            let rows = model.network.decode(said, &opening.heard, &mut cache, None)?;
            self.pause().await?;
            ahead = model.network.all_logits(rows)?;
            self.pause().await?;
        }
        loop {
            rules.apply(&mut logits, &attempt.tokens);
            let (token, log_probability) = decoding::choose(&logits, temperature, random);
            let all = logits[token as usize] - log_probability;
            attempt.closing.push(model.closing.iter().map(|sign| (logits[*sign as usize] - all).exp()).sum());
            if token == vocabulary.end_of_text {
                attempt.end_log_probability = log_probability;
                return Ok(attempt);
            }
            attempt.tokens.push(token);
            attempt.log_probabilities.push(log_probability);
            attempt.looped = decoding::loop_start(&attempt.tokens).is_some();
            if attempt.looped || attempt.tokens.len() >= most {
                return Ok(attempt);
            }
            let len = attempt.tokens.len();
            if attempt.tokens == said.get(..len).unwrap_or_default() {
                logits = ahead[(len - 1) * model.network.shape.tokens..][..model.network.shape.tokens].to_vec();
                continue;
            }
            cache.truncate(opening.cache.len() + len - 1);
            self.show(&attempt.tokens).await?;
            let rows = model.network.decode(&[token], &opening.heard, &mut cache, None)?;
            logits = model.network.logits(&rows, 0)?;
        }
    }

    /// For each text token of a window, then for the end, the encoder position at which it is heard.
    async fn align(&self, heard: &[KeyValues], tokens: &[u32], samples: usize) -> Result<Vec<usize>> {
        let model = Arc::clone(&self.model);
        let vocabulary = &model.vocabulary;
        let Some(language) = &self.language else { return Ok(Vec::new()) };
        let mut all = vec![vocabulary.start_of_transcript, language.token, vocabulary.transcribe];
        let skip = all.len();
        all.push(vocabulary.no_timestamps);
        all.extend(tokens);
        all.push(vocabulary.end_of_text);
        let positions = samples.div_ceil(POSITION_SAMPLES).clamp(1, heard[0].positions());
        let mut cache = TextCache::default();
        let mut weights: Vec<Vec<f32>> = vec![Vec::new(); model.alignment_heads.len()];
        for some in all.chunks(ALIGNED_TOKENS) {
            let mut witness = AttentionWitness { heads: model.alignment_heads.clone(), positions, weights: Vec::new() };
            model.network.decode(some, heard, &mut cache, Some(&mut witness))?;
            for (head, rows) in weights.iter_mut().zip(witness.weights) {
                head.extend(rows);
            }
            self.pause().await?;
        }
        let starts = timing::align(weights, positions, skip);
        self.pause().await?;
        Ok(starts)
    }

    /// Ends a step with nothing to show.
    async fn pause(&self) -> Result<()> {
        self.request.cancel.check()?;
        self.steps.emit(RecognitionStep::Working).await;
        self.request.cancel.check()
    }

    /// Ends a step with what was understood at first, where word times are still to come and these samples are all.
    async fn tell_first(&self, attempt: &Attempt, no_speech: f32, samples: usize) -> Result<()> {
        if !self.request.word_times || attempt.looped || samples < self.request.audio.len() {
            return Ok(());
        }
        self.request.cancel.check()?;
        let (tag, probability) = self.language.clone().map(|chosen| (chosen.tag, chosen.probability)).unzip();
        let transcript = Transcript {
            text: self.model.vocabulary.text(&attempt.tokens).trim().to_owned(),
            language: tag,
            language_probability: probability.unwrap_or_default(),
            no_speech_probability: no_speech,
            average_log_probability: attempt.average_log_probability(),
            finished_probability: ending::finished_probability(attempt, &self.model.vocabulary),
            words: Vec::new(),
        };
        self.steps.emit(RecognitionStep::FirstPass(transcript)).await;
        self.request.cancel.check()
    }

    /// Ends a step by showing the text so far: that of the windows before, and of `tokens`, which may yet change.
    async fn show(&self, tokens: &[u32]) -> Result<()> {
        self.request.cancel.check()?;
        let settled = self.text.trim_start();
        let mut text = settled.to_owned();
        text.push_str(&self.model.vocabulary.text(tokens));
        let text = if settled.is_empty() { text.trim_start().to_owned() } else { text };
        let stable_len = settled.trim_end().len();
        self.steps.emit(RecognitionStep::Partial { text, stable_len }).await;
        self.request.cancel.check()
    }
}

fn ms_in(samples: usize) -> u64 {
    samples as u64 * 1000 / u64::from(LISTEN_RATE_HZ)
}

fn samples_in(ms: u64) -> usize {
    (ms * u64::from(LISTEN_RATE_HZ) / 1000) as usize
}

/// The likeliest of the languages, by what the decoder says after `<|startoftranscript|>`.
fn likeliest(candidates: &[(LanguageTag, u32)], logits: &[f32]) -> Result<Language> {
    let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let all = decoding::log_sum_exp(&candidates.iter().map(|(_, token)| logit(*token)).collect::<Vec<_>>());
    let best = candidates.iter().max_by(|a, b| logit(a.1).total_cmp(&logit(b.1)));
    let (tag, token) = best.ok_or_else(|| Error::new(ErrorCode::LanguageUnsupported, "no language to choose from"))?;
    Ok(Language { tag: tag.clone(), token: *token, probability: (logit(*token) - all).exp().min(1.0) })
}
