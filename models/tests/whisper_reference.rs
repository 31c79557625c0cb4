//! Whisper base computes what NumPy and CTranslate2 compute (`golden/whisper_reference.py`).

#[path = "common/whisper.rs"]
mod common;

use common::{clip, golden, model_path, whisper};
use tertulia_models::gguf::Gguf;
use tertulia_models::whisper::{Inspector, Whisper};

fn floats(values: &serde_json::Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn greatest_difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The golden script's chirp.
fn chirp() -> Vec<f32> {
    use std::f64::consts::PI;
    let sample = |i: usize| {
        let t = i as f64 / 16_000.0;
        let swell = 0.4 * (PI * t).sin().powi(2);
        (swell * (2.0 * PI * (200.0 + 1500.0 * t) * t).sin() + 0.05 * (2.0 * PI * 50.0 * t).sin()) as f32
    };
    (0..16_000).map(sample).collect()
}

/// The share of CTranslate2's greedy tokens that this model would choose too, told all those before.
fn agreement(model: &Inspector, clips: &[&serde_json::Value]) -> f64 {
    let (mut same, mut all) = (0, 0);
    for golden in clips {
        let samples = clip(golden["path"].as_str().unwrap());
        let mut tokens: Vec<u32> =
            golden["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        let language = golden["language"].as_str().unwrap().parse().unwrap();
        let chosen = model.greedy_after(&samples, &language, &tokens).unwrap();
        tokens.push(50_257); // the end of the text
        same += tokens.iter().zip(&chosen).filter(|(a, b)| a == b).count();
        all += tokens.len();
    }
    same as f64 / all as f64
}

#[test]
fn the_front_end_equals_numpy_with_80_bins() {
    let golden = golden("whisper_mel.json");
    let mel = whisper().inspect().unwrap().log_mel(&chirp());
    let frames: Vec<usize> =
        golden["frames"].as_array().unwrap().iter().map(|f| f.as_u64().unwrap() as usize).collect();
    let ours: Vec<f32> = frames.iter().flat_map(|f| mel.iter().skip(*f).step_by(3000).copied()).collect();
    let difference = greatest_difference(&ours, &floats(&golden["mel"]["80"]));
    assert!(difference < 2e-4, "off by {difference}");
}

#[test]
fn encoder_and_decoder_agree_with_ctranslate2() {
    let golden = golden("whisper_base.json");
    let model = whisper().inspect().unwrap();

    let part = &golden["encoded"];
    let encoded = model.encode(&clip(part["clip"].as_str().unwrap())).unwrap();
    let columns = part["columns"].as_u64().unwrap() as usize;
    let rows = part["rows"].as_array().unwrap().iter().map(|r| r.as_u64().unwrap() as usize);
    let ours: Vec<f32> = rows.flat_map(|row| encoded[row * 512..row * 512 + columns].to_vec()).collect();
    let difference = greatest_difference(&ours, &floats(&part["values"]));
    assert!(difference < 0.01, "the encoder is off by {difference}");

    let clips: Vec<_> = golden["clips"].as_array().unwrap().iter().collect();
    let share = agreement(&model, &clips);
    assert!(share >= 0.99, "{share} of the tokens agree");
}

#[test]
fn one_perturbed_layer_breaks_the_agreement() {
    let golden = golden("whisper_base.json");
    let clips: Vec<_> = golden["clips"].as_array().unwrap().iter().filter(|c| c["language"] == "es").take(2).collect();
    let mut bytes = std::fs::read(model_path()).unwrap();
    let file = Gguf::open(&model_path()).unwrap();
    let weights = file.tensor("encoder.blocks.3.mlp.2.weight").unwrap().data;
    // A tensor lies at a multiple of 32 bytes, and no other begins alike.
    let at = (0..bytes.len() - 64).step_by(32).find(|at| bytes[*at..at + 64] == weights[..64]).unwrap();
    for sign in bytes[at..at + weights.len()].iter_mut().skip(1).step_by(2) {
        *sign ^= 0x80;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perturbed.gguf");
    std::fs::write(&path, bytes).unwrap();
    let share = agreement(&Whisper::new(&path, Default::default()).inspect().unwrap(), &clips);
    assert!(share < 0.99, "{share} of the tokens agree although a layer's signs are turned");
}
