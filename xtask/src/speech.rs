//! `cargo xtask speech`: the word error rate of Whisper on Kokoro's speech.
//!
//! The folder holds `en.txt`, `es.txt` and `mixed.txt`, one text a line. Each line is synthesised and recognised; of a
//! mixed one, each run of one language is cut out by its word times and recognised in that language. Both sides are
//! normalised: numbers as words, accents folded. The rate is the word errors over the words of the text.

use crate::wer::{Failure, Tally, transcribe, without_accent, word_errors};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use tertulia::backend::{LISTEN_RATE_HZ, SpokenWord, SynthesisRequest, Synthesizer, run_steps};
use tertulia::{LanguageTag, audio};
use tertulia_models::files::ModelStore;
use tertulia_models::kokoro::Kokoro;
use tertulia_models::text::normalize;
use tertulia_models::whisper::Whisper;

/// A file of texts, the languages in it, the voice that speaks them, and the word errors allowed, in percent.
const FILES: &[(&str, &[&str], &str, f64)] = &[
    ("en.txt", &["en"], "af_heart", 5.0),
    ("es.txt", &["es"], "ef_dora", 10.0),
    ("mixed.txt", &["en", "es"], "ef_dora", 15.0),
];

/// Silence added around a cut, and audio kept around it where no other word is near.
const SILENCE_S: f64 = 0.25;
const MARGIN_S: f64 = 0.06;

/// Arguments of the task.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of texts.
    dir: PathBuf,
    /// The folder of models; by default `$TERTULIA_MODELS`, else the cache folder's.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Only this file, such as `mixed.txt`.
    #[arg(long)]
    only: Option<String>,
    /// A voice in place of the files' own.
    #[arg(long)]
    voice: Option<String>,
}

/// Scores and prints; true if the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let models = match &arguments.models {
        Some(folder) => ModelStore::open(folder)?,
        None => ModelStore::open_default()?,
    };
    let kokoro = Kokoro::new(models.path("kokoro-82m")?, Default::default());
    let whisper = Whisper::new(models.path("whisper-base")?, Default::default());
    let mut out = std::io::stdout().lock();
    let mut within = true;
    for (file, languages, voice, bound) in FILES {
        if arguments.only.as_deref().is_some_and(|only| only != *file) {
            continue;
        }
        let voice = arguments.voice.as_deref().unwrap_or(voice);
        let languages: Vec<LanguageTag> = languages.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        let mut total = Tally::default();
        for text in lines(&arguments.dir.join(file))? {
            let spoken = speak(&kokoro, &text, &languages, voice)?;
            for run in runs(&spoken.words) {
                let language = &spoken.words[run.start].language;
                let shown = &text[spoken.words[run.start].text_span.start..spoken.words[run.end - 1].text_span.end];
                let sound = if languages.len() > 1 { cut(&spoken, &run) } else { spoken.samples.clone() };
                let recognised = recognise(&whisper, &audio::resample(&sound, spoken.rate, LISTEN_RATE_HZ)?, language)?;
                let tally = word_errors(&plain(shown, language), &plain(&recognised, language));
                if tally.errors > 0 {
                    writeln!(
                        out,
                        "{:>3} of {:>2}  {shown}\n{:11}{}",
                        tally.errors,
                        tally.words,
                        "",
                        recognised.trim()
                    )?;
                }
                total.add(tally);
            }
        }
        let holds = total.words > 0 && total.percent() <= *bound;
        let verdict = if holds { "" } else { "  TOO MUCH" };
        writeln!(
            out,
            "{file}, {voice}: {} words, WER {:.2} % (at most {bound}){verdict}",
            total.words,
            total.percent()
        )?;
        out.flush()?;
        within &= holds;
    }
    Ok(within)
}

/// The texts of a file, one a line.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The speech of a text; word times count from its start.
struct Spoken {
    samples: Vec<f32>,
    rate: u32,
    words: Vec<SpokenWord>,
}

fn speak(kokoro: &Kokoro, text: &str, languages: &[LanguageTag], voice: &str) -> Result<Spoken, Failure> {
    let mut spoken = Spoken { samples: Vec::new(), rate: 0, words: Vec::new() };
    let mut request = SynthesisRequest::new(text, languages.to_vec());
    request.voice = Some(voice.to_owned());
    run_steps(kokoro.synthesize(request)?, |chunk| {
        spoken.rate = chunk.rate;
        let start = spoken.samples.len() as u64;
        spoken.words.extend(chunk.words.into_iter().map(|mut word| {
            word.start_sample += start;
            word.end_sample += start;
            word
        }));
        spoken.samples.extend(chunk.samples);
        Ok(())
    })?;
    Ok(spoken)
}

/// Runs of words of one language.
fn runs(words: &[SpokenWord]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if words[run.start].language == word.language => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// The audio of a run of words, between two silences.
fn cut(spoken: &Spoken, run: &std::ops::Range<usize>) -> Vec<f32> {
    let margin = (MARGIN_S * f64::from(spoken.rate)) as usize;
    let (first, last) = (&spoken.words[run.start], &spoken.words[run.end - 1]);
    let before = run.start.checked_sub(1).map_or(0, |index| spoken.words[index].end_sample as usize);
    let after = spoken.words.get(run.end).map_or(spoken.samples.len(), |word| word.start_sample as usize);
    let from = (first.start_sample as usize).saturating_sub(margin).max(before.min(first.start_sample as usize));
    let to = (last.end_sample as usize + margin).min(after.max(last.end_sample as usize)).min(spoken.samples.len());
    let silence = vec![0.0; (SILENCE_S * f64::from(spoken.rate)) as usize];
    [&silence[..], &spoken.samples[from..to.max(from)], &silence[..]].concat()
}

fn recognise(whisper: &Whisper, samples: &[f32], language: &LanguageTag) -> Result<String, Failure> {
    Ok(transcribe(whisper, samples, vec![language.clone()])?.text)
}

/// Normalised words: lower case, numbers as words, accents folded.
pub(crate) fn plain(text: &str, language: &LanguageTag) -> Vec<String> {
    normalize(text, language).split_whitespace().map(|word| word.chars().map(plain_char).collect()).collect()
}

fn plain_char(c: char) -> char {
    if c == '’' { '\'' } else { without_accent(c) }
}
