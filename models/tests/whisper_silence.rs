//! Audio without speech has an empty transcript, however long or loud it is.

#[path = "common/whisper.rs"]
mod common;

use common::{noise, recognize, request, whisper};

/// White noise, each sample leaning on the last: most of the power below 1 kHz.
fn pink(count: usize) -> Vec<f32> {
    let (mut slow, mut middle, mut fast) = (0.0, 0.0, 0.0);
    let shaped = noise(count).map(|white| {
        slow = 0.997 * slow + 0.03 * white;
        middle = 0.95 * middle + 0.1 * white;
        fast = 0.6 * fast + 0.2 * white;
        0.3 * (slow + middle + fast)
    });
    shaped.collect()
}

fn hum(count: usize) -> Vec<f32> {
    let tone = |i: usize, hz: f32, level: f32| level * (i as f32 * hz * std::f32::consts::TAU / 16_000.0).sin();
    (0..count).map(|i| tone(i, 50.0, 0.1) + tone(i, 100.0, 0.05) + tone(i, 150.0, 0.03)).collect()
}

#[test]
fn steady_noise_has_an_empty_transcript() {
    let whisper = whisper();
    for seconds in [5, 30] {
        let count = seconds * 16_000;
        let sounds = [
            ("zeros", vec![0.0; count]),
            ("white noise", noise(count).map(|s| 0.1 * s).collect()),
            ("pink noise", pink(count)),
            ("hum", hum(count)),
        ];
        for (name, sound) in sounds {
            let (transcript, _) = recognize(&whisper, request(sound, &["en", "es"]));
            assert_eq!(transcript.text, "", "{seconds} s of {name}");
            assert!(transcript.words.is_empty(), "{seconds} s of {name}");
            assert!(transcript.no_speech_probability > 0.6, "{seconds} s of {name}");
        }
    }
}

#[test]
fn changing_noise_has_an_empty_transcript() {
    let whisper = whisper();
    let count = 5 * 16_000;
    // Knocks twice a second, and breath that swells for two seconds and fades.
    let knock = |i: usize| 0.5 * (-((i % 8_000) as f32) / 100.0).exp();
    let breath = |i: usize| 0.1 * (i as f32 * std::f32::consts::TAU / 64_000.0).sin().max(0.0);
    let swept = |level: &dyn Fn(usize) -> f32| -> Vec<f32> {
        noise(count).enumerate().map(|(i, s)| s * (0.001 + level(i))).collect()
    };
    for (name, sound) in [("knocks", swept(&knock)), ("breath", swept(&breath))] {
        let (transcript, steps) = recognize(&whisper, request(sound, &["en", "es"]));
        let (silent, sure) = (transcript.no_speech_probability, transcript.average_log_probability);
        assert_eq!(transcript.text, "", "{name}: no speech {silent}, log-probability {sure}");
        assert!(steps.len() > 10, "{name}: the model was not asked");
    }
}
