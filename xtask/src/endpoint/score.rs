//! Sums over clips, and their confidence intervals (bootstrap).

use super::dialogue::Random;
use super::trial::Outcome;

/// Bootstrap draws of an interval, and the share of them that lies in it.
const DRAWS: usize = 2_000;
const INSIDE: f64 = 0.95;

/// The outcomes of one clip in all dialogues that hold it.
pub(super) type ClipOutcomes = Vec<Outcome>;

/// False cut-offs: pauses in which an end was decided, in percent of those inserted.
pub(super) fn cut_off_percent<'a>(clips: impl Iterator<Item = &'a ClipOutcomes>) -> f64 {
    let (mut cut_off, mut pauses) = (0, 0);
    for outcome in clips.flatten() {
        cut_off += outcome.cut_off;
        pauses += outcome.pauses;
    }
    100.0 * cut_off as f64 / pauses.max(1) as f64
}

/// The share of outcomes for which `is` holds, in percent.
pub(super) fn percent<'a>(clips: impl Iterator<Item = &'a ClipOutcomes>, is: impl Fn(&Outcome) -> bool) -> f64 {
    let (mut are, mut of) = (0, 0);
    for outcome in clips.flatten() {
        are += usize::from(is(outcome));
        of += 1;
    }
    100.0 * are as f64 / f64::from(of.max(1))
}

/// A percentile of the delays, in ms; a missed end counts as infinite.
pub(super) fn delay_ms<'a>(clips: impl Iterator<Item = &'a ClipOutcomes>, percent: usize) -> f64 {
    let mut delays: Vec<f64> = clips.flatten().map(|outcome| outcome.delay_ms.unwrap_or(f64::INFINITY)).collect();
    delays.sort_by(f64::total_cmp);
    delays.get((delays.len() * percent / 100).min(delays.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The confidence interval of a figure, by drawing as many clips with replacement (bootstrap).
pub(super) fn interval(clips: usize, figure: impl Fn(&[usize]) -> f64) -> (f64, f64) {
    let mut random = Random::new(3);
    let mut figures: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn: Vec<usize> = (0..clips).map(|_| random.below(clips)).collect();
            figure(&drawn)
        })
        .filter(|figure| figure.is_finite())
        .collect();
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| figures.get((share * figures.len() as f64) as usize).copied().unwrap_or(f64::NAN);
    (at((1.0 - INSIDE) / 2.0), at((1.0 + INSIDE) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips() -> Vec<ClipOutcomes> {
        let outcome = |cut_off, delay_ms| Outcome { pauses: 4, cut_off, early: cut_off > 0, delay_ms };
        vec![vec![outcome(1, Some(100.0)), outcome(0, Some(300.0))], vec![outcome(3, None)]]
    }

    #[test]
    fn missed_ends_count_as_infinite_delay() {
        let clips = clips();
        assert_eq!(cut_off_percent(clips.iter()), 100.0 * 4.0 / 12.0);
        assert_eq!(delay_ms(clips.iter(), 50), 300.0);
        assert_eq!(delay_ms(clips.iter(), 90), f64::INFINITY);
        assert!((percent(clips.iter(), |outcome| outcome.delay_ms.is_none()) - 33.3).abs() < 0.1);
    }

    #[test]
    fn a_bootstrap_interval_contains_the_figure() {
        let (low, high) = interval(40, |drawn| drawn.iter().filter(|clip| **clip < 10).count() as f64 / 40.0);
        assert!((0.05..0.2).contains(&low) && (0.3..0.45).contains(&high), "{low} {high}");
    }
}
