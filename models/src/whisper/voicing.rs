//! Voicing detection: seconds of voiced speech in audio, independent of the model.
//!
//! Voiced speech repeats itself at its pitch; breath, knocks, rustling and wind do not. What repeats without ever
//! getting louder or softer is a hum. The measure is the normalised cross-correlation of a frame with what follows
//! it at the lags of human pitch, as in Talkin, "A Robust Algorithm for Pitch Tracking" (1995).

/// Samples at 16 kHz for one here: pitch and its first harmonics lie below 2 kHz.
const DECIMATION: usize = 4;
/// One frame every 10 ms.
const HOP: usize = 40;
/// Samples that are compared: 25 ms.
const SPAN: usize = 100;
/// Lags of 400 to 62.5 Hz.
const LAG_MIN: usize = 10;
const LAG_MAX: usize = 64;
/// Half of the 32 ms whose mean is taken away: rumble below pitch.
const RUMBLE_HALF: usize = 64;
/// The correlation of voiced frames, and what it falls below before it rises to them.
const CORRELATION_MIN: f32 = 0.6;
const VALLEY_MAX: f32 = 0.4;
/// Voiced frames stand at most this far under the loudest, and at least this far over the quiet ones.
const UNDER_LOUDEST_DB_MAX: f32 = 25.0;
const OVER_QUIET_DB_MIN: f32 = 6.0;
/// Fewer voiced frames in a row are chance.
const RUN_MIN: usize = 4;

/// Seconds of voiced speech.
pub(super) fn voiced_s(samples: &[f32]) -> f32 {
    let sound = without_rumble(&decimated(samples));
    let frames: Vec<&[f32]> = sound.windows(SPAN + LAG_MAX).step_by(HOP).collect();
    let levels_db: Vec<f32> = frames.iter().map(|frame| 10.0 * (energy(&frame[..SPAN]) + 1e-12).log10()).collect();
    let mut sorted = levels_db.clone();
    sorted.sort_by(f32::total_cmp);
    let (Some(loudest), Some(quiet)) = (sorted.last(), sorted.get(sorted.len() / 10)) else { return 0.0 };
    let level_db_min = (loudest - UNDER_LOUDEST_DB_MAX).max(quiet + OVER_QUIET_DB_MIN);
    let (mut run, mut voiced) = (0, 0);
    for (frame, level_db) in frames.iter().zip(&levels_db) {
        run = if *level_db >= level_db_min && repeats(frame) { run + 1 } else { 0 };
        voiced += match run {
            RUN_MIN => RUN_MIN,
            _ => usize::from(run > RUN_MIN),
        };
    }
    voiced as f32 * (HOP * DECIMATION) as f32 / 16_000.0
}

/// True if the frame is like itself one period of a voice later.
fn repeats(frame: &[f32]) -> bool {
    let own = energy(&frame[..SPAN]);
    let mut valley = false;
    (1..=LAG_MAX).any(|lag| {
        let later = &frame[lag..lag + SPAN];
        let product: f32 = frame.iter().zip(later).map(|(a, b)| a * b).sum();
        let correlation = product / (own * energy(later)).sqrt().max(1e-12);
        valley |= correlation < VALLEY_MAX;
        valley && lag >= LAG_MIN && correlation >= CORRELATION_MIN
    })
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum()
}

/// Every fourth sample, after two means over four and one over eight that keep what lies below 1 kHz.
fn decimated(samples: &[f32]) -> Vec<f32> {
    let smooth = moving_mean(&moving_mean(&moving_mean(samples, DECIMATION), DECIMATION), 2 * DECIMATION);
    smooth.into_iter().step_by(DECIMATION).collect()
}

/// The mean of each run of `count` samples.
fn moving_mean(samples: &[f32], count: usize) -> Vec<f32> {
    samples.windows(count).map(|run| run.iter().sum::<f32>() / count as f32).collect()
}

fn without_rumble(samples: &[f32]) -> Vec<f32> {
    let around = |at: usize| &samples[at.saturating_sub(RUMBLE_HALF)..(at + RUMBLE_HALF).min(samples.len())];
    let mean = |run: &[f32]| run.iter().sum::<f32>() / run.len().max(1) as f32;
    samples.iter().enumerate().map(|(at, sample)| sample - mean(around(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn noise(count: usize) -> impl Iterator<Item = f32> {
        let mut state = 1u64;
        (0..count).map(move |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
    }

    /// A second in which a pitch that glides from `hz` up by a fifth, with eight harmonics, swells and fades twice.
    fn vowels(hz: f32) -> Vec<f32> {
        let mut phase = 0.0;
        let sample = |i: usize| {
            let t = i as f32 / 16_000.0;
            phase += TAU * hz * (1.0 + 0.2 * t) / 16_000.0;
            let swell = (TAU * t).sin().powi(2);
            0.1 * swell * (1..=8).map(|k| (k as f32 * phase).sin() / k as f32).sum::<f32>()
        };
        (0..16_000).map(sample).collect()
    }

    #[test]
    fn voicing_is_found_high_or_low_faint_or_in_noise() {
        for hz in [80.0, 120.0, 200.0, 320.0] {
            let voice = vowels(hz);
            assert!(voiced_s(&voice) > 0.4, "{hz} Hz: {} s", voiced_s(&voice));
            let faint: Vec<f32> = voice.iter().map(|s| 0.01 * s).collect();
            assert!(voiced_s(&faint) > 0.4, "{hz} Hz, faint: {} s", voiced_s(&faint));
            let noisy: Vec<f32> = voice.iter().zip(noise(16_000)).map(|(s, n)| s + 0.03 * n).collect();
            assert!(voiced_s(&noisy) > 0.3, "{hz} Hz, in noise: {} s", voiced_s(&noisy));
        }
    }

    #[test]
    fn voicing_is_zero_in_breath_knocks_rumble_and_hum() {
        let count = 80_000;
        let swell = |i: usize| (i as f32 * TAU / 64_000.0).sin().max(0.0);
        let knock = |i: usize| (-((i % 8_000) as f32) / 100.0).exp();
        let hum =
            |i: usize| [50.0, 100.0, 150.0].map(|hz: f32| 0.03 * (i as f32 * hz * TAU / 16_000.0).sin()).iter().sum();
        let mut slow = 0.0;
        let rumble = noise(count).enumerate().map(|(i, n)| {
            slow = 0.99 * slow + 0.03 * n;
            slow * (0.01 + swell(i))
        });
        let sounds: [(&str, Vec<f32>); 6] = [
            ("silence", vec![0.0; count]),
            ("breath", noise(count).enumerate().map(|(i, n)| n * (0.001 + 0.1 * swell(i))).collect()),
            ("knocks", noise(count).enumerate().map(|(i, n)| n * (0.001 + 0.5 * knock(i))).collect()),
            ("rumble", rumble.collect()),
            ("hum", (0..count).map(hum).collect()),
            ("knocks in hum", noise(count).enumerate().map(|(i, n)| hum(i) + 0.5 * n * knock(i)).collect()),
        ];
        for (name, sound) in sounds {
            assert_eq!(voiced_s(&sound), 0.0, "{name}");
        }
        assert_eq!(voiced_s(&[]), 0.0);
    }
}
