//! Decoding of one window: a table of passes, of which the first acceptable one counts.

use super::decoding::{self, Attempt, Rules, TEMPERATURES};
use super::growing::{EncoderCache, GROWING_SAMPLES_MAX, Growth};
use super::layers::EncoderLayer;
use super::model_file::Loaded;
use super::network::{AttentionProbe, KeyValues, KvCache};
use super::shape::POSITION_SAMPLES;
use super::steps::Emitter;
use super::{ending, timing, voicing};
use crate::sampling::SplitMix;
use burn::tensor::Tensor;
use std::sync::Arc;
use tertulia::backend::{RecognitionRequest, RecognitionStep, Transcript, UtteranceCache};
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// A short encoder window has 8 s of silence after the audio, within the model's 30 s: with less, the model repeats
/// itself.
const SILENT_POSITIONS: usize = 400;
/// Multiplications and additions between two looks at the cancel flag.
const STEP_WORK_MAX: usize = 750_000_000;
/// Tokens that are aligned between two such looks.
const ALIGNED_TOKENS: usize = 12;
const GREEDY: &[f32] = &[0.0];

/// One way to encode and decode a window.
struct Pass {
    encoder: Encoder,
    /// Tried in turn until an attempt can be trusted.
    temperatures: &'static [f32],
    accepts: Accepts,
}

enum Encoder {
    /// The rows that are new since the last request of the same utterance.
    Incremental(UtteranceCache),
    /// So many positions.
    Padded(usize),
}

/// The results with which decoding ends; others lead to the next pass.
enum Accepts {
    All,
    /// Trusted text without doubtful tokens.
    Sure,
    /// None: the pass is only for the first transcript.
    Nothing,
}

/// A language of the request and its token.
#[derive(Clone)]
pub(super) struct Language {
    pub(super) tag: LanguageTag,
    pub(super) token: u32,
    pub(super) probability: f32,
}

/// The decoder's state before its first own token.
struct Opening {
    cross: Vec<KeyValues>,
    cache: KvCache,
    prompt_len: usize,
    logits: Vec<f32>,
    language: Language,
    no_speech: f32,
}

/// The best attempt of a pass.
struct Decoded {
    attempt: Attempt,
    is_silence: bool,
    /// True if it is speech whose text can be trusted.
    is_sound: bool,
}

/// A decoded window.
pub(super) struct Window {
    pub(super) language: Language,
    pub(super) no_speech: f32,
    pub(super) cross: Vec<KeyValues>,
    /// `None` where there is no speech.
    pub(super) attempt: Option<Attempt>,
}

/// Encodes and decodes windows for one request, a step for each bounded piece of work.
pub(super) struct Decoder {
    pub(super) model: Arc<Loaded>,
    pub(super) request: RecognitionRequest,
    pub(super) timestamps: bool,
    pub(super) steps: Emitter<RecognitionStep>,
    pub(super) candidates: Vec<(LanguageTag, u32)>,
    /// The text of the windows before.
    pub(super) text: String,
}

impl Decoder {
    /// Decodes a window that begins `offset` samples into the audio, in `language` where that is chosen already.
    ///
    /// The first pass's transcript is emitted where word times are still to come.
    pub(super) async fn window(&self, samples: &[f32], offset: usize, language: Option<&Language>) -> Result<Window> {
        let voiced_s = voicing::voiced_s(samples);
        for (index, pass) in self.passes(samples).into_iter().enumerate() {
            let (cross, growing) = self.encode(&pass.encoder, samples).await?;
            let mut opening = self.open(cross, language).await?;
            let known = growing.as_ref().map_or(&[][..], |(_, known)| known);
            let mut decoded = self.best_attempt(&mut opening, known, pass.temperatures, offset, voiced_s).await?;
            if let (Encoder::Incremental(cache), Some((mut encoded, _))) = (&pass.encoder, growing) {
                if !decoded.attempt.looped {
                    encoded.tokens.clone_from(&decoded.attempt.tokens);
                }
                cache.set(Arc::new(encoded));
            }
            if index == 0 && !decoded.is_silence {
                self.emit_first_pass(&decoded.attempt, &opening, samples.len()).await?;
            }
            let accepted = match pass.accepts {
                Accepts::All => true,
                Accepts::Sure => decoded.is_sound && decoded.attempt.is_sure(),
                Accepts::Nothing => false,
            };
            if accepted {
                decoded.attempt.cut_loop();
                let Opening { cross, language, no_speech, .. } = opening;
                let attempt = (!decoded.is_silence).then_some(decoded.attempt);
                return Ok(Window { language, no_speech, cross, attempt });
            }
        }
        unreachable!("the last pass accepts all")
    }

    /// The passes over a window, in order.
    ///
    /// | pass | when | encoder | temperatures | accepts |
    /// |---|---|---|---|---|
    /// | incremental | the utterance grows | new rows | 0 | all; nothing with word times |
    /// | short | it saves enough | audio and 8 s | 0 | all; sure text with word times |
    /// | whole | always | 30 s | 0 to 1 | all |
    ///
    /// With word times, three in ten windows need the whole pass after the short one, which therefore does not pay where
    /// it is most of the work of the whole.
    fn passes(&self, samples: &[f32]) -> Vec<Pass> {
        let timed = self.request.word_times;
        let whole = self.model.network.shape.audio_positions;
        let short = (samples.len().div_ceil(POSITION_SAMPLES) + SILENT_POSITIONS).min(whole);
        let is_all = samples.len() == self.request.audio.len();
        let cache = self.request.cache.clone().filter(|_| is_all && samples.len() <= GROWING_SAMPLES_MAX);
        let mut passes = Vec::new();
        if let Some(cache) = cache {
            let accepts = if timed { Accepts::Nothing } else { Accepts::All };
            passes.push(Pass { encoder: Encoder::Incremental(cache), temperatures: GREEDY, accepts });
        }
        if if timed { 3 * short <= 2 * whole } else { short < whole } {
            let accepts = if timed { Accepts::Sure } else { Accepts::All };
            passes.push(Pass { encoder: Encoder::Padded(short), temperatures: GREEDY, accepts });
        }
        passes.push(Pass { encoder: Encoder::Padded(whole), temperatures: &TEMPERATURES, accepts: Accepts::All });
        passes
    }

    /// Runs the encoder, and gives each decoder layer's cross-attention keys and values; of an utterance that grows
    /// also the cache for the next time, and the tokens that were decoded the last time.
    async fn encode(
        &self,
        encoder: &Encoder,
        samples: &[f32],
    ) -> Result<(Vec<KeyValues>, Option<(EncoderCache, Vec<u32>)>)> {
        match encoder {
            Encoder::Padded(positions) => Ok((self.encode_whole(samples, *positions).await?, None)),
            Encoder::Incremental(cache) => {
                let before: Option<Arc<EncoderCache>> = cache.get();
                let encoded = self.encode_growth(samples, before.as_deref()).await?;
                let known = before.map_or_else(Vec::new, |before| before.tokens.clone());
                Ok((encoded.cross.clone(), Some((encoded, known))))
            }
        }
    }

    async fn encode_whole(&self, samples: &[f32], positions: usize) -> Result<Vec<KeyValues>> {
        let network = &self.model.network;
        let mel = self.model.front_end.log_mel(samples, 2 * positions);
        self.pause().await?;
        let frames = network.conv1(mel);
        self.pause().await?;
        let mut x = network.encoder_input(frames, 0);
        self.pause().await?;
        for layer in &network.encoder_layers {
            let projected = layer.project(&x);
            self.pause().await?;
            x = self.forward(layer, x, &projected, &projected).await?;
        }
        let encoded = network.encoder_output(x);
        let mut cross = Vec::new();
        for layer in 0..network.cross_layers() {
            cross.push(network.cross_keys(layer, &encoded));
            self.pause().await?;
        }
        Ok(cross)
    }

    /// Runs the encoder over the rows that are new.
    async fn encode_growth(&self, samples: &[f32], before: Option<&EncoderCache>) -> Result<EncoderCache> {
        let network = &self.model.network;
        let mut growth = Growth::new(samples.len(), before, network.shape.audio_positions);
        let (audio, frames) = growth.audio(samples);
        let mel = self.model.front_end.log_mel(audio, frames);
        self.pause().await?;
        let mut x = growth.encoder_input(network, network.conv1(mel));
        self.pause().await?;
        for layer in &network.encoder_layers {
            let projected = layer.project(&x);
            let all = growth.project(projected.clone());
            x = self.forward(layer, x, &projected, &all).await?;
        }
        let encoded = network.encoder_output(x);
        for layer in 0..network.cross_layers() {
            growth.cross(network.cross_keys(layer, &encoded));
            self.pause().await?;
        }
        Ok(growth.into_cache())
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

    /// Decodes the prompt; chooses the language on the way where there is none yet.
    async fn open(&self, cross: Vec<KeyValues>, language: Option<&Language>) -> Result<Opening> {
        let (network, vocabulary) = (&self.model.network, &self.model.vocabulary);
        let mut prompt = self.hints();
        prompt.push(vocabulary.start_of_transcript);
        let mut cache = network.kv_cache();
        let rows = network.decode(&prompt, &cross, &mut cache, None)?;
        let logits = network.logits(&rows, prompt.len() - 1)?;
        let no_speech = decoding::probability(&logits, vocabulary.no_speech);
        let language = match language {
            Some(language) => language.clone(),
            None => likeliest(&self.candidates, &logits)?,
        };
        self.pause().await?;
        let all = [language.token, vocabulary.transcribe, vocabulary.no_timestamps];
        let rest = if self.timestamps { &all[..2] } else { &all };
        let rows = network.decode(rest, &cross, &mut cache, None)?;
        let logits = network.logits(&rows, rest.len() - 1)?;
        self.pause().await?;
        let prompt_len = cache.len();
        Ok(Opening { cross, cache, prompt_len, logits, language, no_speech })
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

    /// Decodes at one temperature after the other until the text can be trusted.
    async fn best_attempt(
        &self,
        opening: &mut Opening,
        known: &[u32],
        temperatures: &[f32],
        offset: usize,
        voiced_s: f32,
    ) -> Result<Decoded> {
        let mut best: Option<Attempt> = None;
        for (round, temperature) in temperatures.iter().enumerate() {
            let mut random = SplitMix(offset as u64 ^ ((round as u64) << 48));
            let attempt = self.attempt(opening, known, *temperature, &mut random).await?;
            let text = self.model.vocabulary.text(&attempt.tokens);
            let average = attempt.average_log_probability();
            let is_silence = decoding::is_silence(opening.no_speech, average, &text, voiced_s);
            if is_silence || attempt.is_sound(&text) {
                return Ok(Decoded { attempt, is_silence, is_sound: !is_silence });
            }
            let better = best
                .as_ref()
                .is_none_or(|best| (!attempt.looped, average) > (!best.looped, best.average_log_probability()));
            if better {
                best = Some(attempt);
            }
        }
        let attempt = best.expect("a pass has a temperature");
        Ok(Decoded { attempt, is_silence: false, is_sound: false })
    }

    /// Decodes once. The tokens `known` from the same utterance before are checked in one go; as far as they are
    /// chosen again, that gives what decoding them one by one would.
    async fn attempt(
        &self,
        opening: &mut Opening,
        known: &[u32],
        temperature: f32,
        random: &mut SplitMix,
    ) -> Result<Attempt> {
        let model = &self.model;
        let vocabulary = &model.vocabulary;
        let rules = Rules {
            vocabulary,
            suppressed: &model.suppressed,
            suppressed_first: &model.suppressed_first,
            timestamps: self.timestamps,
        };
        let positions = model.network.shape.text_positions;
        let most = (positions / 2).min(positions.saturating_sub(opening.prompt_len));
        let mut attempt = Attempt::default();
        opening.cache.truncate(opening.prompt_len);
        let mut logits = opening.logits.clone();
        let known = &known[..known.len().min(most - 1)];
        let mut ahead = Vec::new();
        if !known.is_empty() {
            let rows = model.network.decode(known, &opening.cross, &mut opening.cache, None)?;
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
            if attempt.tokens == known.get(..len).unwrap_or_default() {
                logits = ahead[(len - 1) * model.network.shape.tokens..][..model.network.shape.tokens].to_vec();
                continue;
            }
            opening.cache.truncate(opening.prompt_len + len - 1);
            self.emit_partial(&attempt.tokens).await?;
            let rows = model.network.decode(&[token], &opening.cross, &mut opening.cache, None)?;
            logits = model.network.logits(&rows, 0)?;
        }
    }

    /// For each text token of a window, then for the end, the encoder position at which it is spoken.
    pub(super) async fn align(&self, window: &Window, tokens: &[u32], samples: usize) -> Result<Vec<usize>> {
        let (network, vocabulary) = (&self.model.network, &self.model.vocabulary);
        let heads = &self.model.alignment_heads;
        let mut all = vec![vocabulary.start_of_transcript, window.language.token, vocabulary.transcribe];
        let skip = all.len();
        all.push(vocabulary.no_timestamps);
        all.extend(tokens);
        all.push(vocabulary.end_of_text);
        let positions = samples.div_ceil(POSITION_SAMPLES).clamp(1, window.cross[0].positions());
        let mut cache = network.kv_cache();
        let mut weights: Vec<Vec<f32>> = vec![Vec::new(); heads.len()];
        for some in all.chunks(ALIGNED_TOKENS) {
            let mut probe = AttentionProbe { heads: heads.clone(), positions, weights: Vec::new() };
            network.decode(some, &window.cross, &mut cache, Some(&mut probe))?;
            for (head, rows) in weights.iter_mut().zip(probe.weights) {
                head.extend(rows);
            }
            self.pause().await?;
        }
        let starts = timing::align(weights, positions, skip);
        self.pause().await?;
        Ok(starts)
    }

    /// Ends a step without a result.
    pub(super) async fn pause(&self) -> Result<()> {
        self.emit(RecognitionStep::Working).await
    }

    /// Ends a step with the first pass's transcript, where word times are still to come and these samples are all.
    async fn emit_first_pass(&self, attempt: &Attempt, opening: &Opening, samples: usize) -> Result<()> {
        if !self.request.word_times || attempt.looped || samples < self.request.audio.len() {
            return Ok(());
        }
        let mut transcript = Transcript::from(self.model.vocabulary.text(&attempt.tokens));
        transcript.language = Some(opening.language.tag.clone());
        transcript.language_probability = opening.language.probability;
        transcript.no_speech_probability = opening.no_speech;
        transcript.average_log_probability = attempt.average_log_probability();
        transcript.finished_probability = ending::finished_probability(attempt, &self.model.vocabulary);
        self.emit(RecognitionStep::FirstPass(transcript)).await
    }

    /// Ends a step with the text so far: that of the windows before, and of `tokens`, which may yet change.
    pub(super) async fn emit_partial(&self, tokens: &[u32]) -> Result<()> {
        let settled = self.text.trim_start();
        let mut text = settled.to_owned();
        text.push_str(&self.model.vocabulary.text(tokens));
        let text = if settled.is_empty() { text.trim_start().to_owned() } else { text };
        let stable_len = settled.trim_end().len();
        self.emit(RecognitionStep::Partial { text, stable_len }).await
    }

    async fn emit(&self, step: RecognitionStep) -> Result<()> {
        self.request.cancel.check()?;
        self.steps.emit(step).await;
        self.request.cancel.check()
    }
}

/// The likeliest of the languages, by what the decoder says after `<|startoftranscript|>`.
fn likeliest(candidates: &[(LanguageTag, u32)], logits: &[f32]) -> Result<Language> {
    let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let all = decoding::log_sum_exp(&candidates.iter().map(|(_, token)| logit(*token)).collect::<Vec<_>>());
    let best = candidates.iter().max_by(|a, b| logit(a.1).total_cmp(&logit(b.1)));
    let (tag, token) = best.ok_or_else(|| Error::new(ErrorCode::LanguageUnsupported, "no language to choose from"))?;
    Ok(Language { tag: tag.clone(), token: *token, probability: (logit(*token) - all).exp().min(1.0) })
}
