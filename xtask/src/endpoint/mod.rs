//! `cargo xtask endpoint`: when an utterance is taken for complete, in hesitant speech and in noise.
//!
//! Dialogues are made of clips ([`dialogue`]) and heard as `tertulia listen` hears a file, in the time of the audio.
//! Figures: false cut-offs are pauses put into a clip in which an end was decided; the delay is from the end of the
//! clip's speech to the decision.

mod dialogue;
mod score;
mod trial;
mod witnesses;

use crate::wer::{Failure, manifest};
use clap::Args;
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
use trial::{ALL_STOPS, Models, Stage, Way};
use witnesses::Answers;

/// Of the better of the others' false cut-offs we make at most so many, at the same median delay.
const CUT_OFF_RATIO_MAX: f64 = 0.7;
/// The median delays at which the ways are compared, and the one at which the bound must hold.
const COMPARED_MS: [f64; 6] = [500.0, 600.0, 700.0, 800.0, 900.0, 1_000.0];
const BOUND_AT_MS: f64 = 700.0;
/// What the quick run holds to, so that it tells a loss from chance among few clips.
const CUT_OFF_RATIO_MAX_QUICK: f64 = 0.7;
/// In noise: SNR in dB, utterances cut off early and utterances merged or missed, at most, in percent.
const NOISE_BOUNDS: [(f32, f64, f64); 3] = [(20.0, 3.0, 3.0), (10.0, 3.0, 3.0), (5.0, 8.0, 8.0)];
/// The one SNR of the quick run, which holds to what is reached: clips hold pauses of 0.4 to 1.1 s between sentences of
/// their own, after which nothing tells that more is to come.
const QUICK_SNR_DB: f32 = 10.0;
const QUICK_NOISE_MAX: (f64, f64) = (15.0, 3.0);
const NOISE_DELAY_MS_MAX: f64 = 500.0;
const QUICK_NOISE_DELAY_MS_MAX: f64 = 600.0;

/// What to score.
///
/// The whole run asks each witness about each stop in six dialogues with hesitations and twelve with noise: several
/// hundred questions to the recogniser, which are most of its time. With `--answers` they are asked once, and a run with other
/// weights takes a minute.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of clips, with their `manifest.json`.
    dir: PathBuf,
    /// Lets every second clip hesitate, once, tunes nothing, and lays noise of one level over the clips: what CI has time
    /// for. Its bounds for noise are looser; those of the whole run are the aim.
    #[arg(long)]
    quick: bool,
    /// How often each clip is heard with hesitations, its pauses in another order each time.
    #[arg(long, default_value_t = 3)]
    rotations: usize,
    /// Hears only the dialogues whose name begins so, such as `noise` or `hesitations es`.
    #[arg(long)]
    only: Option<String>,
    /// A file that keeps the witnesses' answers from run to run. Delete it when a model or its code changes.
    #[arg(long)]
    answers: Option<PathBuf>,
    /// Writes the curves there as CSV: language, way, median delay in ms, false cut-offs in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
}

/// Listens, prints, and says whether the bounds hold.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let broken = check(arguments)?;
    broken.iter().for_each(|what| println!("BROKEN: {what}"));
    Ok(broken.is_empty())
}

/// One way, and what came of each clip.
struct Heard {
    name: String,
    clips: Vec<ClipOutcomes>,
}

impl Heard {
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
    let mut csv = String::from("language,way,delay_ms,cut_off_percent\n");
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
            check_no_look_ahead(&stages[0], &mut broken)?;
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

/// Asks about every stop.
fn hear_all(models: &Models, stages: &[Stage]) -> Result<(), Failure> {
    models.hear_partials(true);
    hear(String::new(), &ALL_STOPS, stages)?;
    models.hear_partials(false);
    Ok(())
}

/// What comes of each clip, over all stages.
fn hear(name: String, way: &Way, stages: &[Stage]) -> Result<Heard, Failure> {
    let mut clips: Vec<ClipOutcomes> = Vec::new();
    for stage in stages {
        let outcomes = stage.outcomes(way)?;
        clips.resize(outcomes.len().max(clips.len()), Vec::new());
        outcomes.into_iter().zip(&mut clips).for_each(|(outcome, clip)| clip.push(outcome));
    }
    Ok(Heard { name, clips })
}

/// The ways to weigh among which the left-out clip's others choose.
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

/// Compares the three ways; gives the median delay, the ratio of cut-offs and a name for each row.
fn compare(
    arguments: &Arguments,
    language: &str,
    stages: &[Stage],
    models: &Models,
    csv: &mut String,
) -> Result<Vec<(f64, f64, String)>, Failure> {
    hear_all(models, stages)?;
    let mut others = Vec::new();
    for wait_ms in (200..=1_500).step_by(50) {
        others.push(hear(format!("silence of {wait_ms} ms"), &Way::silence(wait_ms as f32), stages)?);
    }
    for wait_ms in (400..=1_600).step_by(200) {
        others.push(hear(format!("detector, {wait_ms} ms"), &Way::detector(0.5, wait_ms as f32), stages)?);
    }
    let mut shipped = Vec::new();
    for patience in [0.2f32, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0] {
        let way = Way::all(EndpointWeights::default(), patience);
        shipped.push(hear(format!("all, patience {patience}"), &way, stages)?);
    }
    let mut tuned = Vec::new();
    if !arguments.quick {
        for weights in candidates() {
            tuned.push(hear(format!("{weights:?}"), &Way::all(weights, 0.5), stages)?);
        }
    }
    println!("  way                        median   p90   cut off  ended early anywhere");
    for heard in others.iter().chain(&shipped) {
        let early = percent(heard.clips.iter(), |outcome| outcome.early);
        println!(
            "  {:26} {:5.0} {:6.0}  {:5.1} %   {early:5.1} %",
            heard.name,
            heard.delay_ms(),
            delay_ms(heard.clips.iter(), 90),
            heard.cut_off()
        );
        let way = heard.name.split(',').next().unwrap_or_default().split(" of ").next().unwrap_or_default();
        writeln!(csv, "{language},{way},{:.0},{:.2}", heard.delay_ms(), heard.cut_off())?;
    }
    let mut rows = Vec::new();
    let mut row = |target_ms: f64, ours: &Heard| {
        let fair = others.iter().filter(|other| other.delay_ms() <= ours.delay_ms());
        let Some(best) = fair.min_by(|a, b| a.cut_off().total_cmp(&b.cut_off())) else { return };
        let of = |heard: &Heard, drawn: &[usize]| cut_off_percent(drawn.iter().map(|clip| &heard.clips[*clip]));
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
        rows.push((target_ms, ratio, format!("{language} at {:.0} ms", ours.delay_ms())));
    };
    for target_ms in COMPARED_MS {
        if arguments.quick {
            // Nothing is tuned: the shipped weights, with the patience that gives the delay.
            let fits = shipped.iter().filter(|heard| heard.delay_ms() <= target_ms);
            if let Some(ours) = fits.max_by(|a, b| a.delay_ms().total_cmp(&b.delay_ms())) {
                row(target_ms, ours);
            }
        } else if let Some(ours) = leave_one_out(&tuned, target_ms) {
            writeln!(csv, "{language},left out,{:.0},{:.2}", ours.delay_ms(), ours.cut_off())?;
            row(target_ms, &ours);
        }
    }
    Ok(rows)
}

/// Each clip as heard with the weights that are best for the others, among those whose median delay is short enough.
fn leave_one_out(tuned: &[Heard], target_ms: f64) -> Option<Heard> {
    let clips = tuned.first()?.clips.len();
    let best_without = |left_out: usize| {
        let others = |heard: &Heard, of: fn(&mut dyn Iterator<Item = &ClipOutcomes>) -> f64| {
            of(&mut heard.clips.iter().enumerate().filter(|(clip, _)| *clip != left_out).map(|(_, outcome)| outcome))
        };
        tuned
            .iter()
            .filter(|heard| others(heard, |clips| delay_ms(clips, 50)) <= target_ms)
            .min_by(|a, b| {
                let cut_off = |heard| others(heard, |clips| cut_off_percent(clips));
                let slow = |heard| others(heard, |clips| delay_ms(clips, 90));
                cut_off(a).total_cmp(&cut_off(b)).then(slow(a).total_cmp(&slow(b)))
            })
            .map(|heard| heard.clips[left_out].clone())
    };
    let clips = (0..clips).map(best_without).collect::<Option<Vec<_>>>()?;
    Some(Heard { name: "each clip left out".into(), clips })
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

/// With the recording cut off where an end was decided, everything up to there is the same.
fn check_no_look_ahead(stage: &Stage, broken: &mut Vec<String>) -> Result<(), Failure> {
    let way = Way::all(EndpointWeights::default(), 0.5);
    let events = stage.listen(&way, &stage.dialogue.samples)?;
    let ends: Vec<usize> =
        (0..events.len()).filter(|at| matches!(events[*at].kind, EventKind::UtteranceEnded { .. })).collect();
    let mut same = 0;
    let checked: Vec<usize> = ends.iter().copied().step_by((ends.len() / 5).max(1)).collect();
    for at in &checked {
        let EventKind::UtteranceEnded { decided_ms, .. } = events[*at].kind else { continue };
        let heard = stage.listen(&way, &stage.dialogue.samples[..decided_ms as usize * dialogue::MS])?;
        if heard.get(..=*at) == events.get(..=*at) {
            same += 1;
        } else {
            broken.push(format!("what comes after {decided_ms} ms changes what is decided there"));
        }
    }
    println!("  cut off at {} decisions: {same} times the same up to there", checked.len());
    Ok(())
}

fn noise(
    arguments: &Arguments,
    clips: &BTreeMap<String, Vec<Clip>>,
    models: &Models,
    broken: &mut Vec<String>,
) -> Result<(), Failure> {
    println!("\n== noise: cut off early, merged or missed (95 %), median delay");
    let way = Way::all(EndpointWeights::default(), 0.5);
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
                // The words so far are left out: they change little, and take most of the time.
                let heard = hear(String::new(), &way, &stages)?;
                tell_noise(&format!("{language}, {kind:?} at {snr_db} dB"), &heard.clips);
                for (index, clip) in heard.clips.iter().enumerate() {
                    let outcome = clip[0];
                    if outcome.early || outcome.delay_ms.is_none() {
                        let what = if outcome.early { "early" } else { "lost" };
                        println!("      {what}: {}", own[index].path);
                    }
                }
                all.extend(heard.clips);
            }
        }
        let (early, lost, delay) = tell_noise(&format!("all at {snr_db} dB"), &all);
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

fn tell_noise(name: &str, clips: &[ClipOutcomes]) -> (f64, f64, f64) {
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
