//! `cargo xtask endpoint`: scores end-of-turn decisions, in hesitant speech and in noise.
//!
//! Dialogues are made of clips ([`dialogue`]) and processed as `tertulia listen` processes a file, in the time of the
//! audio. Figures: a false cut-off is an inserted pause in which an end was decided; the delay is from the end of the
//! clip's speech to the decision.

mod cues;
mod dialogue;
mod score;
mod trial;

use crate::wer::{Failure, manifest};
use clap::Args;
use cues::Answers;
use dialogue::{Clip, Dialogue, Noise};
use score::{ClipOutcomes, cut_off_percent, delay_ms, interval, percent};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tertulia::EventKind;
use tertulia::tuning::EndpointWeights;
use tertulia_models::files::ModelStore;
use tertulia_models::silero::SileroVad;
use tertulia_models::smart_turn::SmartTurn;
use tertulia_models::whisper::Whisper;
use trial::{ALL_STOPS, Models, Stage, Strategy};

/// Our false cut-offs, at most, as a share of those of the best other strategy with the same median delay.
const CUT_OFF_RATIO_MAX: f64 = 0.7;
/// The median delays at which strategies are compared, and the one at which the bound must hold.
const COMPARED_MS: [f64; 6] = [500.0, 600.0, 700.0, 800.0, 900.0, 1_000.0];
const BOUND_AT_MS: f64 = 700.0;
/// The bound of the quick run, which tells a loss from chance among few clips.
const CUT_OFF_RATIO_MAX_QUICK: f64 = 0.7;
/// In noise: SNR in dB, utterances cut off early and utterances merged or missed, at most, in percent.
const NOISE_BOUNDS: [(f32, f64, f64); 3] = [(20.0, 3.0, 3.0), (10.0, 3.0, 3.0), (5.0, 8.0, 8.0)];
/// The one SNR of the quick run, with bounds that are reached today: some clips have pauses of 0.4 to 1.1 s between
/// complete sentences, where no cue shows that speech will go on.
const QUICK_SNR_DB: f32 = 10.0;
const QUICK_NOISE_MAX: (f64, f64) = (15.0, 3.0);
const NOISE_DELAY_MS_MAX: f64 = 500.0;
const QUICK_NOISE_DELAY_MS_MAX: f64 = 600.0;

/// Arguments of the task.
///
/// The whole run asks each model about each stop in six dialogues with hesitations and twelve with noise: several hundred
/// recognitions, which are most of its time. With `--answers` they are kept, and a run with other weights takes a minute.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of clips, with their `manifest.json`.
    dir: PathBuf,
    /// The run of CI: hesitations in every second clip, once, no tuning, and one level of noise. Its bounds for noise are
    /// looser; those of the whole run are the aim.
    #[arg(long)]
    quick: bool,
    /// Dialogues with hesitations per clip, with the pauses in another order each time.
    #[arg(long, default_value_t = 3)]
    rotations: usize,
    /// Only the dialogues whose name begins so, such as `noise` or `hesitations es`.
    #[arg(long)]
    only: Option<String>,
    /// A file that keeps the models' answers from run to run. Delete it when a model or its code changes.
    #[arg(long)]
    answers: Option<PathBuf>,
    /// Writes the curves there as CSV: language, strategy, median delay in ms, false cut-offs in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
}

/// Scores and prints; true if the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let broken = check(arguments)?;
    broken.iter().for_each(|what| println!("BROKEN: {what}"));
    Ok(broken.is_empty())
}

/// The outcomes of one strategy for each clip.
struct Curve {
    name: String,
    clips: Vec<ClipOutcomes>,
}

impl Curve {
    fn cut_off(&self) -> f64 {
        cut_off_percent(self.clips.iter())
    }

    fn delay_ms(&self) -> f64 {
        delay_ms(self.clips.iter(), 50)
    }
}

fn check(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let store = ModelStore::open_default()?;
    let answers = arguments.answers.as_deref().map(Answers::open).transpose()?.unwrap_or_default();
    let models = Models {
        vad: Arc::new(SileroVad::new(store.path("silero-vad-v6")?)),
        detector: Arc::new(SmartTurn::new(store.path("smart-turn-v3.2")?)),
        recognizer: Arc::new(Whisper::new(store.path("whisper-base")?, Default::default())),
        answers: Arc::new(Mutex::new(answers)),
    };
    let clips = read_clips(arguments, &models)?;
    let wanted = |name: &str| arguments.only.as_deref().is_none_or(|only| name.starts_with(only));
    let mut broken = Vec::new();
    let mut csv = String::from("language,strategy,delay_ms,cut_off_percent\n");
    let mut rows: Vec<(f64, f64, String)> = Vec::new();
    for (language, clips) in &mut clips.clone() {
        if arguments.quick {
            let mut index = 0;
            clips.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        let name = format!("hesitations {language}");
        if wanted(&name) {
            let rotations = if arguments.quick { 1 } else { arguments.rotations.max(1) };
            let dialogues = (0..rotations).map(|rotation| dialogue::with_hesitations(clips, rotation));
            let stages = stages(dialogues, language, &models)?;
            println!("\n== {name}: {} clips", clips.len());
            rows.extend(compare(arguments, language, &stages, &models, &mut csv)?);
            check_causality(&stages[0], &mut broken)?;
        }
    }
    judge(arguments, &rows, &mut broken);
    if wanted("noise") {
        noise(arguments, &clips, &models, &mut broken)?;
    }
    if let Some(path) = &arguments.csv {
        std::fs::write(path, csv)?;
    }
    Ok(broken)
}

fn read_clips(arguments: &Arguments, models: &Models) -> Result<BTreeMap<String, Vec<Clip>>, Failure> {
    let mut clips: BTreeMap<String, Vec<Clip>> = BTreeMap::new();
    for listed in manifest(&arguments.dir)? {
        if let Some(clip) = Clip::read(&arguments.dir, &listed.path, &*models.vad)? {
            clips.entry(listed.lang).or_default().push(clip);
        }
    }
    Ok(clips)
}

fn stages(dialogues: impl Iterator<Item = Dialogue>, language: &str, models: &Models) -> Result<Vec<Stage>, Failure> {
    dialogues.map(|dialogue| Stage::new(dialogue, language.parse()?, models)).collect()
}

/// Fills the cache with the answers about every stop.
fn ask_about_all_stops(models: &Models, stages: &[Stage]) -> Result<(), Failure> {
    models.set_partials(true);
    score(String::new(), &ALL_STOPS, stages)?;
    models.set_partials(false);
    Ok(())
}

/// The outcomes of a strategy over all stages.
fn score(name: String, strategy: &Strategy, stages: &[Stage]) -> Result<Curve, Failure> {
    let mut clips: Vec<ClipOutcomes> = Vec::new();
    for stage in stages {
        let outcomes = stage.outcomes(strategy)?;
        clips.resize(outcomes.len().max(clips.len()), Vec::new());
        outcomes.into_iter().zip(&mut clips).for_each(|(outcome, clip)| clip.push(outcome));
    }
    Ok(Curve { name, clips })
}

/// The weights among which the best are chosen for each left-out clip.
fn candidates() -> Vec<EndpointWeights> {
    let mut all = Vec::new();
    for wait_ms_min in [300.0, 450.0, 600.0] {
        for bias in [-1.0, 0.0, 1.0, 2.0] {
            for detector in [0.0, 0.3, 0.8] {
                for words in [2.0, 4.0, 6.0] {
                    for words_pending in [0.0, 1.5, 3.0] {
                        let wait_ms_max = 1_800.0;
                        all.push(EndpointWeights { wait_ms_min, wait_ms_max, bias, detector, words, words_pending });
                    }
                }
            }
        }
    }
    all
}

/// The strategies that are compared.
struct Curves {
    /// Silence alone, and the detector alone.
    others: Vec<Curve>,
    /// All cues with the default weights, by patience.
    shipped: Vec<Curve>,
    /// All cues with each set of [`candidates`].
    tuned: Vec<Curve>,
}

impl Curves {
    fn new(quick: bool, stages: &[Stage]) -> Result<Self, Failure> {
        let mut curves = Self { others: Vec::new(), shipped: Vec::new(), tuned: Vec::new() };
        for wait_ms in (200..=1_500).step_by(50) {
            let name = format!("silence of {wait_ms} ms");
            curves.others.push(score(name, &Strategy::silence(wait_ms as f32), stages)?);
        }
        for wait_ms in (400..=1_600).step_by(200) {
            let name = format!("detector, {wait_ms} ms");
            curves.others.push(score(name, &Strategy::detector(0.5, wait_ms as f32), stages)?);
        }
        for patience in [0.2f32, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] {
            let strategy = Strategy::all(EndpointWeights::default(), patience);
            curves.shipped.push(score(format!("all, patience {patience}"), &strategy, stages)?);
        }
        for weights in candidates().into_iter().filter(|_| !quick) {
            curves.tuned.push(score(format!("{weights:?}"), &Strategy::all(weights, 0.5), stages)?);
        }
        Ok(curves)
    }

    fn print(&self, language: &str, csv: &mut String) -> Result<(), Failure> {
        println!("  strategy                   median   p90   cut off  ended early anywhere");
        for curve in self.others.iter().chain(&self.shipped) {
            let early = percent(curve.clips.iter(), |outcome| outcome.early);
            println!(
                "  {:26} {:5.0} {:6.0}  {:5.1} %   {early:5.1} %",
                curve.name,
                curve.delay_ms(),
                delay_ms(curve.clips.iter(), 90),
                curve.cut_off()
            );
            let name = curve.name.split(',').next().unwrap_or_default().split(" of ").next().unwrap_or_default();
            writeln!(csv, "{language},{name},{:.0},{:.2}", curve.delay_ms(), curve.cut_off())?;
        }
        Ok(())
    }

    /// Prints our curve beside the best other that is as fast; the ratio of their cut-offs.
    fn ratio(&self, ours: &Curve) -> Option<f64> {
        let fair = self.others.iter().filter(|other| other.delay_ms() <= ours.delay_ms());
        let best = fair.min_by(|a, b| a.cut_off().total_cmp(&b.cut_off()))?;
        let of = |curve: &Curve, drawn: &[usize]| cut_off_percent(drawn.iter().map(|clip| &curve.clips[*clip]));
        let ratio = ours.cut_off() / best.cut_off();
        let (low, high) = interval(ours.clips.len(), |drawn| of(ours, drawn) / of(best, drawn));
        println!(
            "  at {:4.0} ms: {:5.1} % cut off, {} {:5.1} %: {ratio:.2} of it (95 %: {low:.2} to {high:.2})  {}",
            ours.delay_ms(),
            ours.cut_off(),
            best.name,
            best.cut_off(),
            ours.name
        );
        Some(ratio)
    }
}

/// Compares the strategies; gives the target delay, the ratio of cut-offs and a name for each row.
fn compare(
    arguments: &Arguments,
    language: &str,
    stages: &[Stage],
    models: &Models,
    csv: &mut String,
) -> Result<Vec<(f64, f64, String)>, Failure> {
    ask_about_all_stops(models, stages)?;
    let curves = Curves::new(arguments.quick, stages)?;
    curves.print(language, csv)?;
    let mut rows = Vec::new();
    for target_ms in COMPARED_MS {
        let left_out = leave_one_out(&curves.tuned, target_ms);
        let ours = if arguments.quick {
            // Nothing is tuned: the shipped weights, with the patience that gives the delay.
            let fits = curves.shipped.iter().filter(|curve| curve.delay_ms() <= target_ms);
            fits.max_by(|a, b| a.delay_ms().total_cmp(&b.delay_ms()))
        } else {
            left_out.as_ref()
        };
        let Some(ours) = ours else { continue };
        if !arguments.quick {
            writeln!(csv, "{language},left out,{:.0},{:.2}", ours.delay_ms(), ours.cut_off())?;
        }
        if let Some(ratio) = curves.ratio(ours) {
            rows.push((target_ms, ratio, format!("{language} at {:.0} ms", ours.delay_ms())));
        }
    }
    Ok(rows)
}

/// Each clip under the weights that are best for the other clips, among those whose median delay is short enough.
fn leave_one_out(tuned: &[Curve], target_ms: f64) -> Option<Curve> {
    let clips = tuned.first()?.clips.len();
    let best_without = |left_out: usize| {
        let others = |curve: &Curve, of: fn(&mut dyn Iterator<Item = &ClipOutcomes>) -> f64| {
            of(&mut curve.clips.iter().enumerate().filter(|(clip, _)| *clip != left_out).map(|(_, outcome)| outcome))
        };
        tuned
            .iter()
            .filter(|curve| others(curve, |clips| delay_ms(clips, 50)) <= target_ms)
            .min_by(|a, b| {
                let cut_off = |curve| others(curve, |clips| cut_off_percent(clips));
                let slow = |curve| others(curve, |clips| delay_ms(clips, 90));
                cut_off(a).total_cmp(&cut_off(b)).then(slow(a).total_cmp(&slow(b)))
            })
            .map(|curve| curve.clips[left_out].clone())
    };
    let clips = (0..clips).map(best_without).collect::<Option<Vec<_>>>()?;
    Some(Curve { name: "each clip left out".into(), clips })
}

fn judge(arguments: &Arguments, rows: &[(f64, f64, String)], broken: &mut Vec<String>) {
    let judged: Vec<_> = rows.iter().filter(|(target_ms, ..)| *target_ms == BOUND_AT_MS).collect();
    if arguments.quick && !judged.is_empty() {
        let mean = judged.iter().map(|(_, ratio, _)| ratio).sum::<f64>() / judged.len() as f64;
        if mean > CUT_OFF_RATIO_MAX_QUICK {
            broken.push(format!("{mean:.2} of the others' false cut-offs, over {CUT_OFF_RATIO_MAX_QUICK}"));
        }
        return;
    }
    for (_, ratio, name) in judged {
        if *ratio > CUT_OFF_RATIO_MAX {
            broken.push(format!("{name}: {ratio:.2} of the others' false cut-offs, over {CUT_OFF_RATIO_MAX}"));
        }
    }
}

/// Checks that no decision depends on later audio: with the recording cut off at a decision, all events up to it are the
/// same.
fn check_causality(stage: &Stage, broken: &mut Vec<String>) -> Result<(), Failure> {
    let strategy = Strategy::all(EndpointWeights::default(), 0.5);
    let events = stage.listen(&strategy, &stage.dialogue.samples)?;
    let ends: Vec<usize> =
        (0..events.len()).filter(|at| matches!(events[*at].kind, EventKind::UtteranceEnded { .. })).collect();
    let mut same = 0;
    let checked: Vec<usize> = ends.iter().copied().step_by((ends.len() / 5).max(1)).collect();
    for at in &checked {
        let EventKind::UtteranceEnded { decided_ms, .. } = events[*at].kind else { continue };
        let cut = stage.listen(&strategy, &stage.dialogue.samples[..decided_ms as usize * dialogue::MS])?;
        if cut.get(..=*at) == events.get(..=*at) {
            same += 1;
        } else {
            broken.push(format!("audio after {decided_ms} ms changes the decision there"));
        }
    }
    println!("  recording cut off at {} decisions: {same} times the same events up to there", checked.len());
    Ok(())
}

fn noise(
    arguments: &Arguments,
    clips: &BTreeMap<String, Vec<Clip>>,
    models: &Models,
    broken: &mut Vec<String>,
) -> Result<(), Failure> {
    println!("\n== noise: cut off early, merged or missed (95 %), median delay");
    let strategy = Strategy::all(EndpointWeights::default(), 0.5);
    for (snr_db, mut early_max, mut lost_max) in NOISE_BOUNDS {
        if arguments.quick {
            if snr_db != QUICK_SNR_DB {
                continue;
            }
            (early_max, lost_max) = QUICK_NOISE_MAX;
        }
        let mut all: Vec<ClipOutcomes> = Vec::new();
        for kind in [Noise::White, Noise::Babble] {
            for (language, own) in clips {
                let others: Vec<&Clip> = clips.iter().filter(|(l, _)| *l != language).flat_map(|(_, c)| c).collect();
                let dialogue = dialogue::whole(own).noisy(kind, snr_db, &others);
                let stages = stages([dialogue].into_iter(), language, models)?;
                // Without partial transcripts, which change little and take most of the time.
                let curve = score(String::new(), &strategy, &stages)?;
                print_noise(&format!("{language}, {kind:?} at {snr_db} dB"), &curve.clips);
                for (index, clip) in curve.clips.iter().enumerate() {
                    let outcome = clip[0];
                    if outcome.early || outcome.delay_ms.is_none() {
                        let what = if outcome.early { "early" } else { "lost" };
                        println!("      {what}: {}", own[index].path);
                    }
                }
                all.extend(curve.clips);
            }
        }
        let (early, lost, delay) = print_noise(&format!("all at {snr_db} dB"), &all);
        let delay_max = if arguments.quick { QUICK_NOISE_DELAY_MS_MAX } else { NOISE_DELAY_MS_MAX };
        for (what, figure, max) in [("% early", early, early_max), ("% lost", lost, lost_max), ("ms", delay, delay_max)]
        {
            if figure > max {
                broken.push(format!("at {snr_db} dB: {figure:.1} {what}, over {max}"));
            }
        }
    }
    Ok(())
}

fn print_noise(name: &str, clips: &[ClipOutcomes]) -> (f64, f64, f64) {
    let figure = |is: fn(&trial::Outcome) -> bool| {
        let within = interval(clips.len(), |drawn| percent(drawn.iter().map(|clip| &clips[*clip]), is));
        (percent(clips.iter(), is), within)
    };
    let (early, early_in) = figure(|outcome| outcome.early);
    let (lost, lost_in) = figure(|outcome| outcome.delay_ms.is_none());
    let delay = delay_ms(clips.iter(), 50);
    println!(
        "  {name:22} {early:4.1} % ({:.1} to {:.1})  {lost:4.1} % ({:.1} to {:.1})  {delay:4.0} ms",
        early_in.0, early_in.1, lost_in.0, lost_in.1
    );
    (early, lost, delay)
}
