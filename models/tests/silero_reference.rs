//! Silero VAD says what ONNX Runtime says (`golden/silero_golden.py`), and notices when a layer is wrong.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tertulia::ErrorCode;
use tertulia::backend::{Model, Vad, VadModel, block_on};
use tertulia_models::files::ModelStore;
use tertulia_models::gguf::{Gguf, GgufWriter};
use tertulia_models::silero::{FRAME_LEN, SileroVad};

const TOLERANCE: f32 = 1e-4;

#[test]
fn probabilities_equal_the_reference() {
    let model = SileroVad::new(silero_gguf());
    for (clip, expected) in golden() {
        let difference = worst_difference(&probabilities(&model, &clip), &expected);
        assert!(difference < TOLERANCE, "{clip}: off by {difference}");
        assert!(
            expected.iter().any(|&p| p > 0.9) && expected.iter().any(|&p| p < 0.1),
            "{clip} has speech and silence"
        );
    }
}

#[test]
fn every_perturbed_layer_shows() {
    let folder = tempfile::tempdir().unwrap();
    let file = Gguf::open(&silero_gguf()).unwrap();
    // The first second and a half, in which speech begins, is enough.
    let frames = 48;
    let samples = &samples("0870")[..frames * FRAME_LEN];
    let expected = &golden()["0870"][..frames];
    for perturbed in file.tensors().map(|tensor| tensor.name.to_owned()) {
        let path = folder.path().join("perturbed.gguf");
        let mut writer = GgufWriter::new();
        writer.set("general.architecture", "silero-vad");
        for tensor in file.tensors() {
            let mut values = tensor.to_f32().unwrap();
            if tensor.name == perturbed {
                values.iter_mut().for_each(|value| *value *= 1.05);
            }
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            writer.tensor(tensor.name, tensor.shape, tensor.dtype, bytes).unwrap();
        }
        writer.write(&path).unwrap();
        let model = SileroVad::new(&path);
        let worst = worst_difference(&run(model.open().unwrap().as_mut(), samples), expected);
        assert!(worst > TOLERANCE, "{perturbed} times 1.05 changes the result by {worst} only");
    }
}

#[test]
fn reset_clears_the_vad_state() {
    let model = SileroVad::new(silero_gguf());
    let mut vad = model.open().unwrap();
    let samples = samples("0880");
    let first: Vec<f32> = run(vad.as_mut(), &samples);
    let without_reset: Vec<f32> = run(vad.as_mut(), &samples);
    assert_ne!(first, without_reset);
    vad.reset();
    assert_eq!(first, run(vad.as_mut(), &samples));
}

#[test]
fn a_frame_of_the_wrong_length_or_with_a_nan_is_refused() {
    let model = SileroVad::new(silero_gguf());
    let mut vad = model.open().unwrap();
    assert_eq!(vad.frame_len(), FRAME_LEN);
    for len in [0, FRAME_LEN - 1, FRAME_LEN + 1] {
        assert_eq!(vad.process(&vec![0.0; len]).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    let mut frame = [0.0; FRAME_LEN];
    frame[7] = f32::NAN;
    assert_eq!(vad.process(&frame).unwrap_err().code(), ErrorCode::AudioInvalidSample);
    let after = vad.process(&[0.0; FRAME_LEN]).unwrap();
    assert_eq!(after, model.open().unwrap().process(&[0.0; FRAME_LEN]).unwrap(), "a refused frame leaves no trace");
}

#[test]
fn weights_come_and_go() {
    let model = SileroVad::new(silero_gguf());
    assert!(!model.is_loaded());
    let mut last = 0.0;
    block_on(model.load(&mut |progress| last = progress)).unwrap();
    assert!(model.is_loaded());
    assert_eq!(last, 1.0);
    let mut vad = model.open().unwrap();
    model.unload();
    assert!(!model.is_loaded());
    vad.process(&[0.0; FRAME_LEN]).unwrap();
    let weights_bytes = 309_633 * 4;
    assert!((weights_bytes..weights_bytes + 32_768).contains(&model.memory_needed()));
}

#[test]
fn model_missing_truncated_and_unsupported_have_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    let code = |path: &Path| SileroVad::new(path).open().err().unwrap().code();
    assert_eq!(code(&folder.path().join("absent.gguf")), ErrorCode::ModelMissing);

    let cut = folder.path().join("cut.gguf");
    let bytes = std::fs::read(silero_gguf()).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 1000]).unwrap();
    assert_eq!(code(&cut), ErrorCode::ModelTruncated);

    let foreign = folder.path().join("foreign.gguf");
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "llama");
    writer.write(&foreign).unwrap();
    assert_eq!(code(&foreign), ErrorCode::ModelUnsupported);
}

fn probabilities(model: &SileroVad, clip: &str) -> Vec<f32> {
    run(model.open().unwrap().as_mut(), &samples(clip))
}

fn run(vad: &mut dyn Vad, samples: &[f32]) -> Vec<f32> {
    samples.chunks_exact(FRAME_LEN).map(|frame| vad.process(frame).unwrap()).collect()
}

fn worst_difference(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max)
}

fn golden() -> HashMap<String, Vec<f32>> {
    serde_json::from_slice(&std::fs::read(golden_folder().join("silero_golden.json")).unwrap()).unwrap()
}

fn samples(clip: &str) -> Vec<f32> {
    let bytes = std::fs::read(golden_folder().join(format!("silero_{clip}.pcm"))).unwrap();
    bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0).collect()
}

fn silero_gguf() -> PathBuf {
    ModelStore::open_default().unwrap().path("silero-vad-v6").unwrap()
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
