//! What is heard when nobody speaks to us.
//!
//! Where other people talk in the background, a voice activity detector finds speech all the time, and rightly. What
//! tells the speaker then is that he is nearer. So we keep the lowest that the detector, and the level, have been for
//! some seconds: the higher the detector's floor, the less it is believed, and the more the sound must stand out from
//! the lowest level. Over quiet, or noise that the detector knows for noise, its floor is near 0, and nothing changes.

/// Frames over which the lowest is kept: 5 s of 32 ms, longer than most go without drawing breath.
const FRAMES: usize = 156;
/// How much of the past is kept in the means whose lowest counts.
const SMOOTHING: f32 = 0.8;
/// The detector is believed a little, whatever its floor.
const DOUBT_MAX: f32 = 0.9;
/// Sound this far over the floor is near, in dB; what is not loses so much of its log-odds for each dB that it lacks.
const NEAR_DB: f32 = 6.0;
const ODDS_PER_DB: f32 = 0.6;
/// From this floor of the detector on the level counts in full.
const DOUBT_FULL: f32 = 1.0 / 3.0;
/// Probabilities are not taken for more certain than this.
const ODDS_MAX: f32 = 7.0;
/// The level of silence, in dB of full scale.
const SILENCE_DB: f32 = -90.0;

/// Follows the background of one stream of audio.
#[derive(Debug)]
pub(super) struct Background {
    probability: Lowest,
    level_db: Lowest,
}

impl Background {
    pub(super) fn new() -> Self {
        // Until it was heard for a while the detector is believed.
        Self { probability: Lowest::new(0.0), level_db: Lowest::new(f32::INFINITY) }
    }

    /// The probability that the speaker, and not the background, is heard in the next frame, from the detector's.
    pub(super) fn speaker(&mut self, frame: &[f32], probability: f32) -> f32 {
        let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len().max(1) as f32;
        let level_db = (10.0 * power.log10()).max(SILENCE_DB);
        let doubt = self.probability.next(probability).clamp(0.0, DOUBT_MAX);
        let lacking_db = (level_db - self.level_db.next(level_db) - NEAR_DB).min(0.0);
        let believed = ((probability - doubt) / (1.0 - doubt)).clamp(0.0, 1.0);
        let odds = (believed / (1.0 - believed)).ln().clamp(-ODDS_MAX, ODDS_MAX);
        let odds = odds + ODDS_PER_DB * lacking_db * (doubt / DOUBT_FULL).min(1.0);
        1.0 / (1.0 + (-odds).exp())
    }
}

/// The lowest running mean of late.
#[derive(Debug)]
struct Lowest {
    mean: Option<f32>,
    means: [f32; FRAMES],
    at: usize,
}

impl Lowest {
    fn new(before: f32) -> Self {
        Self { mean: None, means: [before; FRAMES], at: 0 }
    }

    fn next(&mut self, value: f32) -> f32 {
        let mean = self.mean.map_or(value, |mean| SMOOTHING * mean + (1.0 - SMOOTHING) * value);
        self.mean = Some(mean);
        self.means[self.at] = mean;
        self.at = (self.at + 1) % FRAMES;
        self.means.iter().copied().fold(f32::INFINITY, f32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears frames of one loudness and one probability; what it makes of the last.
    fn hear(background: &mut Background, frames: usize, loudness: f32, probability: f32) -> f32 {
        (0..frames).map(|_| background.speaker(&[loudness; 512], probability)).last().unwrap_or_default()
    }

    #[test]
    fn over_quiet_or_noise_the_detector_is_believed() {
        for loudness in [0.0001, 0.02] {
            let mut background = Background::new();
            hear(&mut background, 60, loudness, 0.01);
            let heard = hear(&mut background, 60, 0.03, 0.9);
            assert!((heard - 0.9).abs() < 0.02, "{heard}");
            assert!(hear(&mut background, 60, loudness, 0.1) < 0.11);
        }
    }

    #[test]
    fn who_talks_in_the_background_is_not_the_speaker() {
        let mut background = Background::new();
        hear(&mut background, 200, 0.01, 0.6);
        assert!(hear(&mut background, 30, 0.01, 0.8) < 0.35, "as far away as before");
        assert!(hear(&mut background, 30, 0.04, 0.97) > 0.8, "near");
        assert!(hear(&mut background, 30, 0.01, 0.8) < 0.35, "far away again");
    }

    #[test]
    fn silence_and_certainty_give_numbers() {
        let mut background = Background::new();
        for (loudness, probability) in [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)] {
            let heard = hear(&mut background, 200, loudness, probability);
            assert!((0.0..=1.0).contains(&heard), "{heard}");
        }
        assert!(hear(&mut Background::new(), 1, 0.1, 1.0) > 0.5, "speech from the first frame on is heard");
    }
}
