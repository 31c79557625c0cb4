//! Kokoro against ONNX Runtime on the same weights: durations, pitch and spectra of ten utterances.
//! golden/kokoro_golden.py made the values.

#[path = "common/models.rs"]
mod models;

use models::model_path;
use realfft::RealFftPlanner;
use std::f32::consts::TAU;
use std::path::Path;
use tertulia::backend::CancelFlag;
use tertulia_models::gguf::Gguf;
use tertulia_models::kokoro::{Kokoro, Utterance};

#[derive(serde::Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    voice: String,
    speed: f32,
    phonemes: String,
    /// As the int8 graph has them, whose activations are rounded, too.
    durations_int8: Vec<u32>,
    /// As the same weights have them without any rounding of activations.
    durations_f32: Vec<u32>,
    pitch_hz: Vec<f32>,
    #[serde(default)]
    bands_db: Vec<Vec<f32>>,
}

fn golden() -> Vec<Case> {
    let golden: Golden = serde_json::from_str(include_str!("golden/kokoro_golden.json")).unwrap();
    golden.cases
}

fn open(path: &Path) -> Kokoro {
    Kokoro::new(path, Default::default())
}

fn speak(kokoro: &Kokoro, case: &Case) -> Utterance {
    kokoro.speak_phonemes(&case.phonemes, &case.voice, case.speed, &CancelFlag::new()).unwrap()
}

/// The share of symbols whose durations differ by one frame at most.
fn agreement(pairs: &[(u32, u32)]) -> f64 {
    pairs.iter().filter(|(one, other)| one.abs_diff(*other) <= 1).count() as f64 / pairs.len() as f64
}

#[test]
fn durations_pitch_and_spectra_agree() {
    let kokoro = open(&model_path("kokoro-82m"));
    let (mut int8, mut f32) = (Vec::new(), Vec::new());
    let mut spectra = 0;
    for case in golden() {
        let spoken = speak(&kokoro, &case);
        assert_eq!(spoken.samples.len() as u32, spoken.durations.iter().sum::<u32>() * 600);
        assert_eq!(spoken.durations.len(), case.durations_f32.len());
        int8.extend(spoken.durations.iter().copied().zip(case.durations_int8.iter().copied()));
        f32.extend(spoken.durations.iter().copied().zip(case.durations_f32.iter().copied()));
        if spoken.durations != case.durations_f32 {
            continue; // Another frame somewhere moves everything after it.
        }
        let apart = spoken.pitch_hz.iter().zip(&case.pitch_hz).map(|(one, other)| (one - other).abs());
        assert!(apart.sum::<f32>() / (case.pitch_hz.len() as f32) < 1.0, "{}: the pitch differs", case.voice);
        if !case.bands_db.is_empty() {
            spectra += 1;
            let decibels = bands_db(&spoken.samples);
            assert_eq!(decibels.len(), case.bands_db.len());
            let differences = decibels.iter().flatten().zip(case.bands_db.iter().flatten());
            let mean = differences.map(|(one, other)| (one - other).abs()).sum::<f32>() / (24 * decibels.len()) as f32;
            // The reference has no noise where there is no voice, this has.
            assert!(mean < 2.0, "{}: spectra are {mean} dB apart", case.voice);
        }
    }
    assert!(agreement(&int8) >= 0.95, "{:.3} of the durations agree with the int8 graph", agreement(&int8));
    let equal = f32.iter().filter(|(one, other)| one == other).count() as f64 / f32.len() as f64;
    assert!(equal >= 0.98, "{equal:.3} of the durations equal those of the f32 graph");
    assert!(spectra >= 2, "only {spectra} spectra could be compared");
}

/// The check above can fail: a layer whose weights are gone changes the durations.
#[test]
fn a_lost_layer_shows_in_the_durations() {
    let path = model_path("kokoro-82m");
    let mut bytes = std::fs::read(&path).unwrap();
    let file = Gguf::open(&path).unwrap();
    let data = file.tensor("bert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight").unwrap().data;
    let at = bytes.windows(64).position(|window| window == &data[..64]).expect("the tensor lies in its file");
    bytes[at..at + data.len()].fill(0);
    let folder = tempfile::tempdir().unwrap();
    let perturbed = folder.path().join("perturbed.gguf");
    std::fs::write(&perturbed, bytes).unwrap();
    let kokoro = open(&perturbed);
    let pairs: Vec<(u32, u32)> = golden()[..2]
        .iter()
        .flat_map(|case| speak(&kokoro, case).durations.into_iter().zip(case.durations_f32.clone()))
        .collect();
    assert!(agreement(&pairs) < 0.95, "{:.3} of the durations still agree", agreement(&pairs));
}

/// Energy in dB of 24 bands, even on the mel scale from 0 to 12 kHz; a frame each 600 samples, 1200 long.
fn bands_db(samples: &[f32]) -> Vec<Vec<f32>> {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(1200);
    let mel = |hz: f32| 2595.0 * (1.0 + hz / 700.0).log10();
    let band = |bin: usize| ((mel(bin as f32 * 20.0) / mel(12_000.0) * 24.0) as usize).min(23);
    let frames = (0..samples.len().saturating_sub(1199)).step_by(600);
    frames
        .map(|start| {
            let window = |n: usize| 0.5 - 0.5 * (TAU * n as f32 / 1200.0).cos();
            let mut frame: Vec<f32> = (0..1200).map(|n| samples[start + n] * window(n)).collect();
            let mut spectrum = fft.make_output_vec();
            fft.process(&mut frame, &mut spectrum).unwrap();
            let mut energy = vec![1e-4; 24];
            for (bin, value) in spectrum.iter().enumerate() {
                energy[band(bin)] += value.norm_sqr();
            }
            energy.into_iter().map(|energy: f32| 10.0 * energy.log10()).collect()
        })
        .collect()
}
