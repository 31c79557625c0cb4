//! Background gating of the VAD: lowers its probability for speech that is not the user's.
//!
//! Where other people talk in the background, the VAD finds speech all the time, and rightly. The user is told from
//! them by being nearer. So the minimum over some seconds of the VAD's probability and of the level are followed: the
//! higher the minimum probability, the less the VAD is believed, and the more a frame must stand out from the minimum
//! level. Over silence or plain noise the minimum probability is near 0, and nothing changes.

/// Frames over which the minimum is taken: 5 s of 32 ms, longer than most people speak without a breath.
const FRAMES: usize = 156;
/// Weight of the past in the running means whose minimum counts.
const SMOOTHING: f32 = 0.8;
/// The VAD is believed a little, whatever its minimum.
const DOUBT_MAX: f32 = 0.9;
/// A frame this far over the minimum level is near, in dB; another loses this much of its log-odds for each dB it lacks.
const NEAR_DB: f32 = 6.0;
const ODDS_PER_DB: f32 = 0.6;
/// From this minimum probability on the level counts in full.
const DOUBT_FULL: f32 = 1.0 / 3.0;
/// Log-odds are clamped to this.
const ODDS_MAX: f32 = 7.0;
/// The level of silence, in dB of full scale.
const SILENCE_DB: f32 = -90.0;

/// Follows the background of one stream of audio.
#[derive(Debug)]
pub(super) struct BackgroundGate {
    probability: Minimum,
    level_db: Minimum,
}

impl BackgroundGate {
    pub(super) fn new() -> Self {
        // The VAD is believed until the minimum is known.
        Self { probability: Minimum::new(0.0), level_db: Minimum::new(f32::INFINITY) }
    }

    /// The probability that the next frame is the user's speech, given the VAD's.
    pub(super) fn gate(&mut self, frame: &[f32], probability: f32) -> f32 {
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

/// The minimum of the running mean over the last [`FRAMES`].
#[derive(Debug)]
struct Minimum {
    mean: Option<f32>,
    means: [f32; FRAMES],
    at: usize,
}

impl Minimum {
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

    /// The gated probability of the last of so many equal frames.
    fn gated(background: &mut BackgroundGate, frames: usize, loudness: f32, probability: f32) -> f32 {
        (0..frames).map(|_| background.gate(&[loudness; 512], probability)).last().unwrap_or_default()
    }

    #[test]
    fn background_gate_passes_the_vad_over_silence_or_noise() {
        for loudness in [0.0001, 0.02] {
            let mut background = BackgroundGate::new();
            gated(&mut background, 60, loudness, 0.01);
            let probability = gated(&mut background, 60, 0.03, 0.9);
            assert!((probability - 0.9).abs() < 0.02, "{probability}");
            assert!(gated(&mut background, 60, loudness, 0.1) < 0.11);
        }
    }

    #[test]
    fn background_gate_rejects_distant_speech() {
        let mut background = BackgroundGate::new();
        gated(&mut background, 200, 0.01, 0.6);
        assert!(gated(&mut background, 30, 0.01, 0.8) < 0.35, "as far away as before");
        assert!(gated(&mut background, 30, 0.04, 0.97) > 0.8, "near");
        assert!(gated(&mut background, 30, 0.01, 0.8) < 0.35, "far away again");
    }

    #[test]
    fn background_gate_stays_finite_at_the_extremes() {
        let mut background = BackgroundGate::new();
        for (loudness, probability) in [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)] {
            let gated = gated(&mut background, 200, loudness, probability);
            assert!((0.0..=1.0).contains(&gated), "{gated}");
        }
        assert!(gated(&mut BackgroundGate::new(), 1, 0.1, 1.0) > 0.5, "speech from the first frame on passes");
    }
}
