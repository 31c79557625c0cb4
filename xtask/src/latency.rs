//! `cargo xtask latency`: measures the latency of the cues of an end-of-turn decision, on this machine as busy as it is.
//!
//! Pieces of the clips' beginnings, 1 to 10 s long, go through the recogniser as partial transcripts (no word times) and
//! as final ones, and through the turn detector. Printed are the median and the 95th percentile of the time to the first
//! pass, and the mean CPU time of all passes, by length; then the straight line through the percentiles, for
//! `CueLatency`.

use crate::wer::{Failure, decode, manifest};
use clap::Args;
use std::path::PathBuf;
use std::time::Instant;
use tertulia::backend::{
    DetectionRequest, LISTEN_RATE_HZ, Model, RecognitionRequest, RecognitionStep, Recognizer, TurnDetector,
    UtteranceCache, block_on, run_steps,
};
use tertulia_models::files::ModelStore;
use tertulia_models::smart_turn::SmartTurn;
use tertulia_models::whisper::Whisper;

/// Lengths of the pieces.
const LENGTHS_S: [usize; 6] = [1, 2, 3, 5, 7, 10];

/// Samples between two partial transcripts.
const PARTIAL_EVERY: usize = LISTEN_RATE_HZ as usize / 2;

/// Arguments of the task.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of clips, with their `manifest.json`.
    dir: PathBuf,
    /// The number of clips for each length, among those that are long enough.
    #[arg(long, default_value_t = 20)]
    clips: usize,
}

/// Measures and prints; there is no bound.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let store = ModelStore::open_default()?;
    let whisper = Whisper::new(store.path("whisper-base")?, Default::default());
    let detector = SmartTurn::new(store.path("smart-turn-v3.2")?);
    block_on(whisper.load(&mut |_| {}))?;
    block_on(detector.load(&mut |_| {}))?;
    let mut clips = Vec::new();
    for listed in manifest(&arguments.dir)? {
        clips.push(decode(&arguments.dir.join(&listed.path))?);
    }
    type Cue<'a> = &'a dyn Fn(&[f32]) -> Result<Timed, Failure>;
    let cues: [(&str, Cue<'_>); 3] = [
        ("partial", &|audio| time_recognition(&whisper, audio, false)),
        ("final", &|audio| time_recognition(&whisper, audio, true)),
        ("detector", &|audio| time_detection(&detector, audio)),
    ];
    for (name, cue) in cues {
        measure(name, cue, &clips, arguments.clips)?;
    }
    Ok(true)
}

/// Measures one cue on the beginnings of the clips, and prints a line for each length.
fn measure(
    name: &str,
    cue: &dyn Fn(&[f32]) -> Result<Timed, Failure>,
    clips: &[Vec<f32>],
    clips_max: usize,
) -> Result<(), Failure> {
    println!("{name:>12}: length      n    median       p95       CPU");
    let (mut slowest, mut rest_ms) = (Vec::new(), Vec::new());
    for length_s in LENGTHS_S {
        let len = length_s * LISTEN_RATE_HZ as usize;
        let (mut first_ms, cpu) = (Vec::new(), cpu_ms());
        for clip in clips.iter().filter(|clip| clip.len() >= len).take(clips_max) {
            let timed = cue(&clip[..len])?;
            first_ms.push(timed.first_ms);
            rest_ms.extend(timed.rest_ms);
        }
        let (n, cpu_ms) = (first_ms.len(), (cpu_ms() - cpu) / first_ms.len().max(1) as f64);
        let (median, p95) = (percentile(&mut first_ms, 50), percentile(&mut first_ms, 95));
        println!("{length_s:18} s {n:6} {median:6.0} ms {p95:6.0} ms {cpu_ms:6.0} ms");
        slowest.push((length_s as f64, p95));
    }
    let (at_0_ms, ms_per_s) = line(&slowest);
    println!("              p95: {at_0_ms:.0} ms and {ms_per_s:.0} ms for each second");
    if !rest_ms.is_empty() {
        let (median, p95) = (percentile(&mut rest_ms, 50), percentile(&mut rest_ms, 95));
        println!("              then, to the final transcript: median {median:.0} ms, p95 {p95:.0} ms");
    }
    Ok(())
}

/// The times of an answer: to the first pass, and from there to the final transcript.
struct Timed {
    first_ms: f64,
    rest_ms: Option<f64>,
}

/// Recognises a piece as in a conversation: partial transcripts come before, the last one a quarter to three quarters of
/// a second before the end.
fn time_recognition(whisper: &Whisper, audio: &[f32], word_times: bool) -> Result<Timed, Failure> {
    let cache = UtteranceCache::default();
    let request = |audio: &[f32], word_times: bool| -> Result<RecognitionRequest, Failure> {
        let (languages, cache) = (vec!["en".parse()?, "es".parse()?], Some(cache.clone()));
        let mut request = RecognitionRequest::new(audio, languages);
        (request.word_times, request.cache) = (word_times, cache);
        Ok(request)
    };
    for end in (PARTIAL_EVERY..audio.len().saturating_sub(PARTIAL_EVERY / 2)).step_by(PARTIAL_EVERY) {
        run_steps(whisper.recognize(request(&audio[..end], false)?)?, |_| Ok(()))?;
    }
    let request = request(audio, word_times)?;
    let (begun, mut first_ms) = (Instant::now(), None);
    run_steps(whisper.recognize(request)?, |step| {
        if let RecognitionStep::FirstPass(_) = step {
            first_ms = Some(ms_since(begun));
        }
        Ok(())
    })?;
    let all_ms = ms_since(begun);
    Ok(Timed { first_ms: first_ms.unwrap_or(all_ms), rest_ms: first_ms.map(|first_ms| all_ms - first_ms) })
}

fn time_detection(detector: &SmartTurn, audio: &[f32]) -> Result<Timed, Failure> {
    let begun = Instant::now();
    block_on(detector.probability_finished(DetectionRequest::new(audio)))?;
    Ok(Timed { first_ms: ms_since(begun), rest_ms: None })
}

fn ms_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn percentile(figures: &mut [f64], percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() * percent / 100).copied().unwrap_or(f64::NAN)
}

/// The least-squares line: its intercept and its slope.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>()
        / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    (y - slope * x, slope)
}

/// CPU time of all threads so far; NaN where there is no /proc.
fn cpu_ms() -> f64 {
    const MS_PER_TICK: f64 = 10.0;
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return f64::NAN };
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * MS_PER_TICK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_line_fits_collinear_points() {
        let (first, slope) = line(&[(1.0, 70.0), (2.0, 90.0), (5.0, 150.0)]);
        assert!((first - 50.0).abs() < 1e-9 && (slope - 20.0).abs() < 1e-9);
    }
}
