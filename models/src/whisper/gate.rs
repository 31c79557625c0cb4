//! Speech gate: finds audio that cannot be speech, however loud: silence, and steady noise or tones.
//!
//! A decoder made for speech finds words in anything. Speech swings by 20 dB and more from sound to sound; steady
//! noise, measured the same way, stays within 2 dB. Noise that hides the swings of speech does not hide its voice.

use super::voicing::voiced_s;

/// Samples of one frame: 25 ms.
const FRAME: usize = 400;
/// Frames below this are silence: -80 dB of full scale.
const SOUND_POWER_MIN: f32 = 1e-8;
/// Swings below this are those of steady noise.
const SWING_DB_MIN: f32 = 2.5;
/// With fewer frames a swing cannot be measured: 0.5 s.
const SWING_FRAMES_MIN: usize = 20;

/// A shorter rest, or one with less voice, ends the audio.
const REST_SAMPLES_MIN: usize = 16_000;
const REST_VOICED_S_MIN: f32 = 0.3;

/// True if the audio may hold speech.
pub(super) fn may_hold_speech(samples: &[f32]) -> bool {
    let mut levels_db: Vec<f32> = samples.chunks(FRAME).map(level_db).collect();
    levels_db.sort_by(f32::total_cmp);
    let at = |share: f32| levels_db.get((levels_db.len() as f32 * share) as usize).copied().unwrap_or(f32::MIN);
    let audible = levels_db.last().is_some_and(|loudest| *loudest > 10.0 * SOUND_POWER_MIN.log10());
    let swings = levels_db.len() < SWING_FRAMES_MIN || at(0.95) - at(0.1) > SWING_DB_MIN;
    audible && (swings || voiced_s(samples) > REST_VOICED_S_MIN)
}

/// Where to cut a window: in the middle of its quietest 0.3 s, at `earliest` or later.
pub(super) fn quietest_cut(samples: &[f32], earliest: usize) -> usize {
    const SPAN: usize = 12;
    let powers: Vec<f32> = samples.chunks_exact(FRAME).map(|frame| frame.iter().map(|s| s * s).sum()).collect();
    let spans = powers.windows(SPAN).map(|span| span.iter().sum::<f32>()).enumerate().skip(earliest / FRAME);
    let quietest = spans.min_by(|a, b| a.1.total_cmp(&b.1));
    quietest.map_or(samples.len(), |(first, _)| (first + SPAN / 2) * FRAME)
}

/// True if speech goes on after `done`: for a second or more, with a voice.
pub(super) fn goes_on(samples: &[f32], done: usize) -> bool {
    let after = &samples[done.min(samples.len())..];
    after.len() >= REST_SAMPLES_MIN && may_hold_speech(after) && voiced_s(after) > REST_VOICED_S_MIN
}

/// The power of a frame's changes, in dB: a hum or an offset counts for little.
fn level_db(frame: &[f32]) -> f32 {
    let power: f32 = frame.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
    10.0 * (power / frame.len() as f32 + 1e-12).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seconds: usize) -> impl Iterator<Item = f32> {
        let mut state = 1u64;
        (0..seconds * 16_000).map(move |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
    }

    #[test]
    fn silence_noise_and_hum_are_not_speech() {
        assert!(!may_hold_speech(&[]));
        assert!(!may_hold_speech(&vec![0.0; 80_000]));
        assert!(!may_hold_speech(&vec![0.5; 80_000]));
        assert!(!may_hold_speech(&noise(5).collect::<Vec<_>>()));
        let hum: Vec<f32> = (0..80_000).map(|i| (i as f32 * 0.0196).sin() * 0.3).collect();
        assert!(!may_hold_speech(&hum));
    }

    #[test]
    fn a_voice_in_steady_noise_may_be_speech() {
        // Syllables at 125 Hz, in noise so loud at high frequencies that no frame is quieter than another.
        let syllable = |i: usize| if (i / 6_400).is_multiple_of(2) { 0.2 * (i as f32 * 0.0491).sin() } else { 0.0 };
        let voice = noise(2).enumerate().map(|(i, noise)| syllable(i) + 0.2 * noise);
        assert!(may_hold_speech(&voice.collect::<Vec<_>>()));
        let no_voice = noise(2).map(|noise| 0.2 * noise);
        assert!(!may_hold_speech(&no_voice.collect::<Vec<_>>()));
    }

    #[test]
    fn what_swings_may_be_speech() {
        // 10 dB down and up three times a second, in noise of a tenth of its power.
        let voice = noise(3).zip(noise(4).skip(5_000)).enumerate();
        let sound: Vec<f32> =
            voice.map(|(i, (v, n))| 0.03 * n + 0.1 * v * if (i / 2_600) % 2 == 0 { 1.0 } else { 0.3 }).collect();
        assert!(may_hold_speech(&sound));
    }
}
