//! `cargo xtask wer`: the recogniser's word error rate beside that of the reference implementation.
//!
//! The folder holds `manifest.json` (a list of `path`, `lang`, `duration_s`, `text`) and
//! `baseline_whisper_base_ct2.json` (a list of `path`, `hyp`: what CTranslate2 wrote, greedy, language forced). Both
//! sides are scored alike: lower case, no punctuation, numbers as words, accents folded where the reference text has
//! none. The rate is the word errors over the words of the reference, all clips together.

use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tertulia::backend::{LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, Recognizer, Transcript, run_steps};
use tertulia::{LanguageTag, audio};
use tertulia_models::files::ModelStore;
use tertulia_models::text::normalize;
use tertulia_models::whisper::Whisper;

/// The loss against the reference implementation, at most, in percentage points.
const BASELINE_LOSS_MAX: f64 = 1.0;
/// The loss of joined clips against single ones, at most, in percentage points.
const JOINED_LOSS_MAX: f64 = 1.5;
/// The share of clips whose language must be found, and the shortest that counts.
const DETECTED_MIN: f64 = 0.95;
const DETECTED_CLIP_S_MIN: f64 = 2.0;

/// Arguments of the task.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of clips.
    dir: PathBuf,
    /// The model; by default `whisper-base.gguf` in the model folder.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Also scores each language's clips joined to pieces of about this many seconds.
    #[arg(long, value_name = "SECONDS")]
    joined: Option<f64>,
    /// Also scores language identification among the languages of the folder.
    #[arg(long)]
    detect: bool,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Scores and prints; true if the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let report = score(arguments)?;
    print(&report, arguments.json)?;
    Ok(report.broken.is_empty())
}

/// A clip as the manifest lists it.
#[derive(Deserialize)]
pub(crate) struct Clip {
    pub(crate) path: String,
    pub(crate) lang: String,
    duration_s: f64,
    text: String,
}

#[derive(Deserialize)]
struct Baseline {
    path: String,
    hyp: String,
}

/// Errors and words, and the rate that follows.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) errors: usize,
    pub(crate) words: usize,
}

impl Tally {
    pub(crate) fn percent(self) -> f64 {
        100.0 * self.errors as f64 / self.words.max(1) as f64
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.errors += other.errors;
        self.words += other.words;
    }
}

#[derive(Serialize)]
struct Line {
    path: String,
    language: String,
    ours: Tally,
    baseline: Tally,
    detected: Option<String>,
    text: String,
    reference: String,
}

/// The sums of one language, or of all.
#[derive(Clone, Copy, Default, Serialize)]
struct Sums {
    ours: Tally,
    baseline: Tally,
    /// The same clips, joined.
    joined: Option<Tally>,
    /// Clips whose language was found, of those long enough.
    detected: Option<(usize, usize)>,
}

#[derive(Serialize)]
struct Report {
    clips: Vec<Line>,
    joined: Vec<Line>,
    sums: BTreeMap<String, Sums>,
    audio_s: f64,
    compute_s: f64,
    broken: Vec<String>,
}

fn score(arguments: &Arguments) -> Result<Report, Failure> {
    let dir = &arguments.dir;
    let clips = manifest(dir)?;
    let baseline: Vec<Baseline> = read_json(&dir.join("baseline_whisper_base_ct2.json"))?;
    let baseline: BTreeMap<&str, &str> = baseline.iter().map(|b| (b.path.as_str(), b.hyp.as_str())).collect();
    let model = match &arguments.model {
        Some(path) => path.clone(),
        None => ModelStore::open_default()?.path("whisper-base")?,
    };
    let whisper = Whisper::new(model, Default::default());
    let languages: Vec<LanguageTag> = {
        let mut tags: Vec<&str> = clips.iter().map(|clip| clip.lang.as_str()).collect();
        tags.sort_unstable();
        tags.dedup();
        tags.into_iter().map(str::parse).collect::<Result<_, _>>()?
    };
    let mut report =
        Report { clips: vec![], joined: vec![], sums: BTreeMap::new(), audio_s: 0.0, compute_s: 0.0, broken: vec![] };
    for clip in &clips {
        let theirs = baseline.get(clip.path.as_str()).ok_or_else(|| format!("{} has no baseline", clip.path))?;
        let samples = decode(&dir.join(&clip.path))?;
        let begun = Instant::now();
        let candidates = if arguments.detect { &languages[..] } else { &[] };
        let line = score_clip(&whisper, clip, &samples, theirs, candidates)?;
        report.compute_s += begun.elapsed().as_secs_f64();
        report.audio_s += samples.len() as f64 / f64::from(LISTEN_RATE_HZ);
        for key in [clip.lang.as_str(), "all"] {
            let sums = report.sums.entry(key.to_owned()).or_default();
            sums.ours.add(line.ours);
            sums.baseline.add(line.baseline);
            if arguments.detect && clip.duration_s >= DETECTED_CLIP_S_MIN {
                let (right, of) = sums.detected.get_or_insert_default();
                *right += usize::from(line.detected.as_deref() == Some(clip.lang.as_str()));
                *of += 1;
            }
        }
        report.clips.push(line);
    }
    if let Some(seconds) = arguments.joined {
        for group in groups(&clips, seconds) {
            let line = score_joined(&whisper, dir, &group, &report.clips)?;
            for key in [line.language.as_str(), "all"] {
                report.sums.entry(key.to_owned()).or_default().joined.get_or_insert_default().add(line.ours);
            }
            report.joined.push(line);
        }
    }
    report.broken = broken(&report.sums);
    Ok(report)
}

/// Recognises one clip; its language is identified among the candidates, if there are any.
fn score_clip(
    whisper: &Whisper,
    clip: &Clip,
    samples: &[f32],
    baseline: &str,
    candidates: &[LanguageTag],
) -> Result<Line, Failure> {
    let language: LanguageTag = clip.lang.parse()?;
    let (mut detected, mut transcript) = (None, None);
    if !candidates.is_empty() {
        let chosen = transcribe(whisper, samples, candidates.to_vec())?;
        detected = chosen.language.as_ref().map(|tag| tag.to_string());
        // With the right language chosen, forcing it would give the very same text.
        transcript = (chosen.language.as_ref() == Some(&language)).then_some(chosen);
    }
    let transcript = match transcript {
        Some(transcript) => transcript,
        None => transcribe(whisper, samples, vec![language])?,
    };
    let fold = is_folded(clip);
    let errors = |text: &str| word_errors(&words(&clip.text, &clip.lang, fold), &words(text, &clip.lang, fold));
    Ok(Line {
        path: clip.path.clone(),
        language: clip.lang.clone(),
        ours: errors(&transcript.text),
        baseline: errors(baseline),
        detected,
        text: transcript.text,
        reference: clip.text.clone(),
    })
}

/// Clips of one language, in order, joined until they reach the length.
fn groups(clips: &[Clip], seconds: f64) -> Vec<Vec<&Clip>> {
    let mut groups: Vec<Vec<&Clip>> = vec![];
    let mut open: BTreeMap<&str, Vec<&Clip>> = BTreeMap::new();
    for clip in clips {
        let group = open.entry(clip.lang.as_str()).or_default();
        group.push(clip);
        if group.iter().map(|clip| clip.duration_s).sum::<f64>() >= seconds {
            groups.push(std::mem::take(group));
        }
    }
    groups.extend(open.into_values().filter(|group| !group.is_empty()));
    groups
}

/// Scores joined clips as one text; `baseline` holds the errors of the single clips.
fn score_joined(whisper: &Whisper, dir: &Path, group: &[&Clip], alone: &[Line]) -> Result<Line, Failure> {
    let language = &group[0].lang;
    let mut samples = vec![];
    let mut reference = vec![];
    let mut baseline = Tally::default();
    let fold = group.iter().any(|clip| is_folded(clip));
    for clip in group {
        samples.extend(decode(&dir.join(&clip.path))?);
        reference.extend(words(&clip.text, language, fold));
        alone.iter().filter(|line| line.path == clip.path).for_each(|line| baseline.add(line.ours));
    }
    let transcript = transcribe(whisper, &samples, vec![language.parse()?])?;
    Ok(Line {
        path: format!("{} .. {}", group[0].path, group[group.len() - 1].path),
        language: language.clone(),
        ours: word_errors(&reference, &words(&transcript.text, language, fold)),
        baseline,
        detected: None,
        text: transcript.text,
        reference: reference.join(" "),
    })
}

/// The bounds that do not hold.
fn broken(sums: &BTreeMap<String, Sums>) -> Vec<String> {
    let mut broken = vec![];
    for (language, sums) in sums {
        let ours = sums.ours.percent();
        if ours > sums.baseline.percent() + BASELINE_LOSS_MAX {
            broken.push(format!("{language}: {ours:.2} % is over the baseline's {:.2} % + 1", sums.baseline.percent()));
        }
        if let Some(joined) = sums.joined.filter(|joined| joined.percent() > ours + JOINED_LOSS_MAX) {
            broken.push(format!("{language}: joined, {:.2} % is over {ours:.2} % + 1.5", joined.percent()));
        }
        if let Some((right, of)) = sums.detected.filter(|(right, of)| (*right as f64) < DETECTED_MIN * *of as f64) {
            broken.push(format!("{language}: the language of {right} clips of {of} is found, under 95 %"));
        }
    }
    broken
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(out, "{:>7} {:>9}  clip", "WER %", "baseline")?;
    for line in &report.clips {
        let detected = line.detected.as_deref().filter(|d| *d != line.language).unwrap_or_default();
        writeln!(out, "{:7.2} {:9.2}  {} {detected}", line.ours.percent(), line.baseline.percent(), line.path)?;
        if line.ours.errors > line.baseline.errors {
            writeln!(out, "{:18} {}", "", line.text)?;
        }
    }
    for line in &report.joined {
        writeln!(out, "{:7.2} {:9.2}  joined: {}", line.ours.percent(), line.baseline.percent(), line.path)?;
        writeln!(out, "{:18} {}", "", line.text)?;
    }
    for (language, sums) in &report.sums {
        let (ours, baseline) = (sums.ours, sums.baseline);
        write!(out, "{language:>4}: {} words, WER {:.2} %, ", ours.words, ours.percent())?;
        write!(out, "baseline {:.2} %", baseline.percent())?;
        if let Some(joined) = sums.joined {
            write!(out, ", joined {:.2} %", joined.percent())?;
        }
        if let Some((right, of)) = sums.detected {
            write!(out, ", language found in {right} of {of}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{:.0} s of audio in {:.0} s", report.audio_s, report.compute_s)?;
    for bound in &report.broken {
        writeln!(out, "BROKEN {bound}")?;
    }
    Ok(())
}

/// The clips of a folder.
pub(crate) fn manifest(dir: &Path) -> Result<Vec<Clip>, Failure> {
    read_json(&dir.join("manifest.json"))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Failure> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))?)
}

/// A file's audio at 16 kHz.
pub(crate) fn decode(path: &Path) -> Result<Vec<f32>, Failure> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let sound = audio::decode(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(audio::resample(&sound.samples, sound.rate, LISTEN_RATE_HZ)?)
}

pub(crate) fn transcribe(
    whisper: &Whisper,
    samples: &[f32],
    languages: Vec<LanguageTag>,
) -> Result<Transcript, Failure> {
    // With word times, as for final transcripts.
    let request = RecognitionRequest::new(samples.to_vec(), languages);
    let mut transcript = None;
    run_steps(whisper.recognize(request)?, |step| {
        if let RecognitionStep::Final(done) = step {
            transcript = Some(done);
        }
        Ok(())
    })?;
    transcript.ok_or_else(|| "the recogniser ended without a transcript".into())
}

/// The Asterisk prompts' Spanish texts were written without accents.
fn is_folded(clip: &Clip) -> bool {
    clip.path.contains("asterisk")
}

/// The words that are compared.
fn words(text: &str, language: &str, fold: bool) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            '\'' | '’' => {}
            c if c.is_alphanumeric() => plain.push(if fold { without_accent(c) } else { c }),
            _ => plain.push(' '),
        }
    }
    let language: Option<LanguageTag> = language.parse().ok();
    // `25` and `twenty five` are the same to the scorer.
    let words = plain.split_whitespace().flat_map(|word| match &language {
        Some(language) if word.bytes().all(|b| b.is_ascii_digit()) => {
            normalize(word, language).split([' ', '-']).map(str::to_owned).collect()
        }
        _ => vec![word.to_owned()],
    });
    words.map(|word| if fold { word.chars().map(without_accent).collect() } else { word }).collect()
}

pub(crate) fn without_accent(c: char) -> char {
    match c {
        'á' => 'a',
        'é' => 'e',
        'í' => 'i',
        'ó' => 'o',
        'ú' | 'ü' => 'u',
        'ñ' => 'n',
        other => other,
    }
}

/// The edit distance in words: the fewest insertions, deletions and substitutions.
pub(crate) fn word_errors(reference: &[String], recognised: &[String]) -> Tally {
    let mut costs: Vec<usize> = (0..=recognised.len()).collect();
    for (row, expected) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut costs[0], row + 1);
        for (column, word) in recognised.iter().enumerate() {
            let substituted = diagonal + usize::from(word != expected);
            diagonal = costs[column + 1];
            costs[column + 1] = substituted.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    Tally { errors: costs[recognised.len()], words: reference.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(reference: &str, recognised: &str, language: &str) -> usize {
        word_errors(&words(reference, language, false), &words(recognised, language, false)).errors
    }

    #[test]
    fn word_errors_ignore_case_punctuation_and_number_spelling() {
        assert_eq!(errors("¿qué tal son veinticinco", "Qué tal. Son 25!", "es"), 0);
        assert_eq!(errors("don't wait thirty-one days", "Dont wait 31 days.", "en"), 0);
    }

    #[test]
    fn word_errors_count_substitutions_insertions_and_deletions() {
        assert_eq!(errors("one two three", "one too three", "en"), 1);
        assert_eq!(errors("one two three", "two three four", "en"), 2);
        assert_eq!(errors("one two", "", "en"), 2);
        assert_eq!(errors("sí", "si", "es"), 1);
    }
}
