//! [`Kokoro`]: the engine's synthesizer.

use super::chunks::{Chunk, chunks};
use super::network::Network;
use super::vocab::Vocab;
use super::{ARCHITECTURE, FRAME_SAMPLES, SAMPLE_RATE_HZ, STYLE_ROWS, STYLE_WIDTH, SYMBOLS_MAX, voice_language};
use crate::gguf::Gguf;
use crate::text::{self, PhonemeWord, Pronunciations, phonemize};
use crate::{Device, ModelSource};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use tertulia::backend::{
    BoxFuture, CancelFlag, Lexicon, Model, Progress, SpeechChunk, SpokenWord, Steps, SynthesisRequest, Synthesizer,
    VoiceInfo, steps_from_fn,
};
use tertulia::{Error, ErrorCode, LanguageTag, Result};

/// Silence kept before the first sound of a run of speech.
const LEAD_SAMPLES: usize = SAMPLE_RATE_HZ as usize * 30 / 1000;
/// Silence kept after a run that ends a sentence, and after any other.
const SENTENCE_PAUSE_SAMPLES: usize = SAMPLE_RATE_HZ as usize * 300 / 1000;
const CLAUSE_PAUSE_SAMPLES: usize = SAMPLE_RATE_HZ as usize * 120 / 1000;
/// A sample below this part of the loudest one is silence.
const SILENCE_RATIO: f32 = 0.01;
/// Bytes of working memory for the longest run of speech.
const WORKING_BYTES: u64 = 400 << 20;

/// Kokoro-82M.
pub struct Kokoro {
    shared: Arc<Shared>,
}

struct Shared {
    source: ModelSource,
    device: Device,
    opened: OnceLock<Opened>,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

/// A model file without its weights.
struct Opened {
    file_bytes: usize,
    vocab: Vocab,
    voices: Vec<VoiceInfo>,
}

/// The weights, and the words that the file knows.
struct Loaded {
    network: Network,
    pronunciations: Pronunciations,
    /// Each voice's styles, row after row.
    styles: HashMap<String, Vec<f32>>,
}

/// An utterance given in phonemes, spoken.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Utterance {
    /// 24,000 samples a second, between -1 and 1; nothing is trimmed.
    pub samples: Vec<f32>,
    /// Frames of 600 samples: those before the first symbol, those of each symbol that the voice knows, those after
    /// the last.
    pub durations: Vec<u32>,
    /// The fundamental, two values a frame; 10 and less where there is no voice.
    pub pitch_hz: Vec<f32>,
}

impl Kokoro {
    /// A synthesizer that will read the GGUF file of `source`, such as a path; nothing is read yet. Its weights go onto
    /// `device`.
    pub fn new(source: impl Into<ModelSource>, device: Device) -> Self {
        let (source, opened, loaded) = (source.into(), OnceLock::new(), Mutex::new(None));
        Self { shared: Arc::new(Shared { source, device, opened, loaded }) }
    }

    /// Speaks Kokoro's own phoneme symbols, 1 to 510 of them, in one go; symbols that the voice does not know make
    /// no sound.
    ///
    /// # Errors
    /// As [`Synthesizer::synthesize`] and its steps; [`ErrorCode::InvalidArgument`] for no or too many symbols.
    pub fn speak_phonemes(&self, phonemes: &str, voice: &str, speed: f32, cancel: &CancelFlag) -> Result<Utterance> {
        check_speed(speed)?;
        self.shared.check_voice(voice)?;
        let ids = self.shared.opened()?.vocab.ids(phonemes);
        let loaded = self.shared.loaded(&mut |_| {})?;
        let spoken = loaded.network.speak(&ids, loaded.style(voice, ids.len())?, speed, cancel)?;
        Ok(Utterance { samples: spoken.samples, durations: spoken.durations, pitch_hz: spoken.pitch_hz })
    }
}

impl Model for Kokoro {
    fn name(&self) -> &str {
        "kokoro-82m"
    }

    fn check(&self) -> Result<()> {
        self.shared.opened().map(drop)
    }

    fn load<'a>(&'a self, progress: &'a mut Progress<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.shared.loaded(progress).map(drop) })
    }

    fn unload(&self) {
        *self.shared.loaded.lock() = None;
    }

    fn is_loaded(&self) -> bool {
        self.shared.loaded.lock().is_some()
    }

    /// 0 where the file cannot be read.
    fn memory_needed(&self) -> u64 {
        // Weights lie in the file as f16 and in memory as f32.
        self.shared.opened().map_or(0, |opened| 2 * opened.file_bytes as u64 + WORKING_BYTES)
    }
}

impl Synthesizer for Kokoro {
    fn languages(&self) -> Vec<LanguageTag> {
        self.shared.opened().map(|_| text::languages()).unwrap_or_default()
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        self.shared.opened().map(|opened| opened.voices.clone()).unwrap_or_default()
    }

    fn check_lexicon(&self, lexicon: &Lexicon) -> Result<()> {
        let vocab = &self.shared.opened()?.vocab;
        text::check_lexicon(lexicon, |symbol| vocab.contains(symbol))
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        check_speed(request.speed)?;
        let voice = match &request.voice {
            Some(voice) => voice,
            None => self.shared.default_voice(&request.languages)?,
        };
        let voice = voice.to_owned();
        self.shared.check_voice(&voice)?;
        let british = voice.starts_with('b');
        let loaded = self.shared.loaded(&mut |_| {})?;
        let (languages, lexicon) = (&request.languages, &request.lexicon);
        let words = phonemize(&request.text, languages, lexicon, british, &loaded.pronunciations)?;
        let chunks = chunks(&request.text, &words, &self.shared.opened()?.vocab);
        if chunks.is_empty() {
            let mut silent = Some(SpeechChunk::new(Vec::new(), SAMPLE_RATE_HZ, 0..request.text.len()));
            return Ok(steps_from_fn(move || Ok(silent.take())));
        }
        let mut chunks = chunks.into_iter();
        Ok(steps_from_fn(move || {
            let Some(chunk) = chunks.next() else { return Ok(None) };
            request.cancel.check()?;
            let style = loaded.style(&voice, chunk.ids.len())?;
            let spoken = loaded.network.speak(&chunk.ids, style, request.speed, &request.cancel)?;
            Ok(Some(trimmed(&chunk, &words, &spoken.samples, &spoken.durations)))
        }))
    }
}

impl Opened {
    /// # Errors
    /// Those of [`Gguf::open`]; [`ErrorCode::ModelUnsupported`] for a file of another architecture,
    /// [`ErrorCode::ModelCorrupt`] for one without symbols and voices.
    fn read(source: &ModelSource) -> Result<Self> {
        let file = Gguf::open_head(source)?;
        if file.str("general.architecture")? != ARCHITECTURE {
            return Err(file.unsupported("not a Kokoro model"));
        }
        let vocab = Vocab::load(&file)?;
        let spoken = text::languages();
        let voices = file.strings("kokoro.voices")?.into_iter().filter_map(|name| {
            let language = voice_language(name)?;
            let known = spoken.iter().any(|tag| tag.same_language(&language));
            known.then(|| VoiceInfo::new(name, language))
        });
        let voices = voices.collect();
        Ok(Self { file_bytes: file.file_bytes(), vocab, voices })
    }
}

impl Loaded {
    fn read(file: &Gguf, voices: &[VoiceInfo], device: Device, progress: &mut dyn FnMut(f32)) -> Result<Self> {
        let styles = voices.iter().map(|voice| {
            let tensor = file.tensor_of(&format!("voice.{}", voice.name), &[STYLE_ROWS, STYLE_WIDTH])?;
            Ok((voice.name.clone(), tensor.to_f32()?))
        });
        let pronunciations = Pronunciations::read(file)?;
        if pronunciations.is_by_rule() {
            tracing::warn!(file = file.file_name(), "voice file has no English dictionary: pull it again");
        }
        Ok(Self {
            pronunciations,
            styles: styles.collect::<Result<_>>()?,
            network: Network::load(file, &device.of_tensors(), progress)?,
        })
    }

    /// The voice's style for an utterance of this many symbols.
    fn style(&self, voice: &str, symbols: usize) -> Result<&[f32]> {
        let styles = self.styles.get(voice).ok_or_else(|| unknown_voice(voice))?;
        Ok(&styles[symbols.min(SYMBOLS_MAX - 1) * STYLE_WIDTH..][..STYLE_WIDTH])
    }
}

impl Shared {
    fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = Opened::read(&self.source)?;
        Ok(self.opened.get_or_init(|| opened))
    }

    fn loaded(&self, progress: &mut dyn FnMut(f32)) -> Result<Arc<Loaded>> {
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = &*loaded {
            return Ok(loaded.clone());
        }
        let voices = &self.opened()?.voices;
        let fresh = Arc::new(Loaded::read(&Gguf::open_source(&self.source)?, voices, self.device, progress)?);
        *loaded = Some(fresh.clone());
        Ok(fresh)
    }

    /// The first voice of the first language.
    fn default_voice(&self, languages: &[LanguageTag]) -> Result<&str> {
        let speaks =
            |voice: &&VoiceInfo| languages.first().is_some_and(|language| voice.language.same_language(language));
        let voice = self.opened()?.voices.iter().find(speaks).map(|voice| voice.name.as_str());
        voice.ok_or_else(|| Error::new(ErrorCode::LanguageUnsupported, "no Kokoro voice speaks the language"))
    }

    fn check_voice(&self, voice: &str) -> Result<()> {
        let is_known = self.opened()?.voices.iter().any(|known| known.name == voice);
        if is_known { Ok(()) } else { Err(unknown_voice(voice)) }
    }
}

fn unknown_voice(voice: &str) -> Error {
    Error::new(ErrorCode::UnknownVoice, format!("unknown Kokoro voice: {voice:?}"))
}

fn check_speed(speed: f32) -> Result<()> {
    if (0.5..=2.0).contains(&speed) {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::InvalidArgument, "speed is out of range: 0.5 to 2 expected"))
    }
}

/// The run of speech without the silence around it, and when its words sound.
fn trimmed(chunk: &Chunk, words: &[PhonemeWord], samples: &[f32], durations: &[u32]) -> SpeechChunk {
    // Where each symbol starts, in samples; the enclosing symbol before the first one takes the first entry.
    let mut starts = Vec::with_capacity(durations.len() + 1);
    let mut at = 0;
    for frames in durations {
        starts.push(at);
        at += *frames as usize * FRAME_SAMPLES;
    }
    starts.push(at);
    let sounding = |ids: &Range<usize>| starts[ids.start + 1]..starts[ids.end + 1];

    let loud = samples.iter().fold(0f32, |loud, sample| loud.max(sample.abs())) * SILENCE_RATIO;
    let first = samples.iter().position(|sample| sample.abs() > loud).unwrap_or(0);
    let last = samples.iter().rposition(|sample| sample.abs() > loud).map_or(0, |last| last + 1);
    let pause = if chunk.ends_sentence { SENTENCE_PAUSE_SAMPLES } else { CLAUSE_PAUSE_SAMPLES };
    let from = first.saturating_sub(LEAD_SAMPLES);
    let to = (last + pause).min(samples.len()).max(from);

    let mut spoken: Vec<SpokenWord> = Vec::new();
    for (word, ids) in &chunk.words {
        let (word, time) = (&words[*word], sounding(ids));
        let within = |sample: usize| (sample.clamp(from, to) - from) as u64;
        match spoken.last_mut() {
            // The words of a number are one word of the text.
            Some(last) if last.text_span == word.text_span => last.end_sample = within(time.end),
            _ => {
                let samples = within(time.start)..within(time.end);
                spoken.push(SpokenWord::new(word.text_span.clone(), word.language.clone(), samples));
            }
        }
    }
    let mut trimmed = SpeechChunk::new(samples[from..to].to_vec(), SAMPLE_RATE_HZ, chunk.text_span.clone());
    trimmed.words = spoken;
    trimmed
}
