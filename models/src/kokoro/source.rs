//! The sound source that the vocoder shapes: sines at the pitch and its harmonics where there is a voice, noise where
//! there is none (hn-nsf, Wang et al. 2019).

use super::weights::Weights;
use super::{PITCH_HOP_SAMPLES, SAMPLE_RATE_HZ};
use crate::sampling::SplitMix;
use std::f64::consts::TAU;
use tertulia::Result;

const HARMONICS: usize = 9;
const SINE_AMPLITUDE: f32 = 0.1;
/// The noise's standard deviation beside a voice; where there is none it is a third of the sines' amplitude.
const NOISE_VOICED: f32 = 0.003;
/// A lower pitch means that there is no voice.
const VOICED_HZ_MIN: f32 = 10.0;
/// Every utterance has the same noise, so that the same request gives the same samples.
const NOISE_SEED: u64 = 0x7e57_0001_9e37_79b9;

pub(super) struct Source {
    mix: Vec<f32>,
    bias: f32,
}

impl Source {
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self> {
        let name = "decoder.generator.m_source.l_linear";
        let bias = weights.values(&format!("{name}.bias"), &[1])?;
        Ok(Self { mix: weights.values(&format!("{name}.weight"), &[1, HARMONICS])?, bias: bias[0] })
    }

    /// 300 samples for each value of `pitch_hz`, between -1 and 1.
    pub(super) fn sound(&self, pitch_hz: &[f32]) -> Vec<f32> {
        let hop = PITCH_HOP_SAMPLES as f64;
        // Turns of the fundamental up to the middle of each value's run of samples, where the phase is exact;
        // between the middles it is interpolated. A harmonic makes whole multiples of the same turns, but for the
        // whole turns a sample that the original takes out before interpolating: they make no sound.
        let mut turns = Vec::with_capacity(pitch_hz.len());
        let mut noise = SplitMix(NOISE_SEED);
        let mut sum = [0.0f64; HARMONICS];
        for &pitch in pitch_hz {
            for (harmonic, sum) in sum.iter_mut().enumerate() {
                let step = f64::from(pitch) * (harmonic + 1) as f64 / f64::from(SAMPLE_RATE_HZ);
                *sum += (step - step.floor()) * hop;
            }
            turns.push(sum);
        }
        let last = turns.len().saturating_sub(1);
        let mut sound = Vec::with_capacity(pitch_hz.len() * PITCH_HOP_SAMPLES);
        for sample in 0..pitch_hz.len() * PITCH_HOP_SAMPLES {
            let position = ((sample as f64 + 0.5) / hop - 0.5).max(0.0);
            let (before, part) = (position.floor() as usize, position.fract());
            let (from, to) = (&turns[before], &turns[(before + 1).min(last)]);
            let voiced = pitch_hz[sample / PITCH_HOP_SAMPLES] > VOICED_HZ_MIN;
            let deviation = if voiced { NOISE_VOICED } else { SINE_AMPLITUDE / 3.0 };
            let mut mixed = self.bias;
            for (harmonic, weight) in self.mix.iter().enumerate() {
                let mut value = deviation * normal(&mut noise);
                if voiced {
                    let turn = from[harmonic] + (to[harmonic] - from[harmonic]) * part;
                    value += SINE_AMPLITUDE * ((turn.fract() * TAU) as f32).sin();
                }
                mixed += weight * value;
            }
            sound.push(mixed.tanh());
        }
        sound
    }
}

/// A normally distributed number: the sum of four uniforms is normal enough here.
fn normal(random: &mut SplitMix) -> f32 {
    let bits = random.next();
    let sum: f32 = (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32 / 65536.0).sum();
    // Four uniforms have the mean 2 and the variance 1/3.
    (sum - 2.0) * 3f32.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source { mix: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], bias: 0.0 }
    }

    #[test]
    fn a_voice_turns_as_often_as_its_pitch_says() {
        let sound = source().sound(&[240.0; 80]);
        assert_eq!(sound.len(), 24_000);
        // The noise is small beside the sine, but crosses zero with it: count with some hysteresis.
        let (mut above, mut turns) = (false, 0);
        for sample in sound {
            if !above && sample > 0.03 {
                (above, turns) = (true, turns + 1);
            } else if above && sample < -0.03 {
                above = false;
            }
        }
        // The phase stands still before the middle of the first run and after that of the last: a hop without turns.
        assert!((236..=238).contains(&turns), "{turns} turns");
    }

    #[test]
    fn without_a_voice_there_is_the_same_noise_each_time() {
        let first = source().sound(&[0.0; 40]);
        let deviation = (first.iter().map(|x| x * x).sum::<f32>() / first.len() as f32).sqrt();
        assert!((deviation - SINE_AMPLITUDE / 3.0).abs() < 0.003, "{deviation}");
        assert_eq!(first, source().sound(&[0.0; 40]));
    }
}
