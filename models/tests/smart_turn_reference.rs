//! Smart Turn says what ONNX Runtime says (`golden/smart_turn_golden.py`), and notices when a layer is wrong.

use std::path::{Path, PathBuf};
use tertulia::ErrorCode;
use tertulia::backend::{DetectionRequest, Model, TurnDetector, block_on};
use tertulia_models::files::ModelStore;
use tertulia_models::gguf::{Gguf, GgufWriter};
use tertulia_models::smart_turn::SmartTurn;

/// Both round alike, but for a last bit here and there; one byte the other way moves the result by some per cent.
const SAME: f32 = 1e-4;
const SILENCE_SAMPLES: usize = 3_200;

#[derive(serde::Deserialize)]
struct Cut {
    start: usize,
    end: usize,
    probability: f32,
}

#[test]
fn probabilities_and_decisions_equal_the_reference() {
    let golden = golden();
    let decided = golden.iter().filter(|cut| cut.probability > 0.5).count();
    assert!(decided >= 4 && golden.len() - decided >= 4, "the cuts hold both kinds");
    let model = SmartTurn::new(smart_turn_gguf());
    let ours: Vec<f32> = golden.iter().map(|cut| finished(&model, &samples(cut)).unwrap()).collect();
    for (ours, cut) in ours.iter().zip(&golden) {
        let (theirs, at) = (cut.probability, (cut.start, cut.end));
        assert!((ours - theirs).abs() < 0.2, "{at:?}: {ours}, not {theirs}");
        assert_eq!(*ours > 0.5, theirs > 0.5, "{at:?}: {ours}, not {theirs}");
    }
    let same = share_same(&ours, &golden);
    assert!(same >= 0.75, "only {same} of the probabilities are the same");
}

#[test]
fn every_perturbed_layer_shows() {
    let folder = tempfile::tempdir().unwrap();
    let file = Gguf::open(&smart_turn_gguf()).unwrap();
    // Cuts that this processor and the reference agree on.
    let cuts = &golden()[3..9];
    let samples: Vec<Vec<f32>> = cuts.iter().map(samples).collect();
    let path = folder.path().join("perturbed.gguf");
    let is_layer =
        |name: &&str| name.ends_with(".scale") || name.ends_with("norm.weight") || name.ends_with("positions");
    let names: Vec<&str> = file.tensors().map(|tensor| tensor.name).filter(is_layer).collect();
    assert_eq!(names.len(), 2 + 4 * (6 + 2) + 1 + 1 + 2 + 3, "{names:?}");
    for perturbed in names {
        let mut writer = GgufWriter::new();
        writer.set("general.architecture", "smart-turn");
        for tensor in file.tensors() {
            let mut bytes = tensor.data.to_vec();
            if tensor.name == perturbed {
                // Not all alike: a normalisation would undo that.
                let mut values = tensor.to_f32().unwrap();
                values.iter_mut().step_by(2).for_each(|value| *value *= 1.2);
                bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            }
            writer.tensor(tensor.name, tensor.shape, tensor.dtype, bytes).unwrap();
        }
        writer.write(&path).unwrap();
        let model = SmartTurn::new(&path);
        let ours: Vec<f32> = samples.iter().map(|samples| finished(&model, samples).unwrap()).collect();
        let same = share_same(&ours, cuts);
        assert!(same < 0.5, "{perturbed}, half of it times 1.2, leaves {same} of the probabilities as they are");
    }
}

#[test]
fn the_last_eight_seconds_count_and_loudness_does_not() {
    let model = SmartTurn::new(smart_turn_gguf());
    let clip = samples(&golden()[5]);
    let probability = finished(&model, &clip).unwrap();
    let mut long: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.1).sin()).collect();
    let start = long.len() + clip.len();
    long.extend(vec![0.0; 128_000 - clip.len()]);
    long.extend(&clip);
    assert_eq!(long.len(), start + 128_000 - clip.len());
    assert_eq!(finished(&model, &long).unwrap(), probability);
    // Halved exactly, all that differs is the smallest variance.
    let quiet: Vec<f32> = clip.iter().map(|sample| sample / 2.0).collect();
    assert!((finished(&model, &quiet).unwrap() - probability).abs() < 0.2);
}

#[test]
fn empty_and_non_finite_audio_are_refused_and_short_audio_is_not() {
    let model = SmartTurn::new(smart_turn_gguf());
    assert_eq!(finished(&model, &[]).unwrap_err().code(), ErrorCode::AudioEmpty);
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut samples = vec![0.1; 20_000];
        samples[19_000] = wrong;
        assert_eq!(finished(&model, &samples).unwrap_err().code(), ErrorCode::AudioInvalidSample, "{wrong}");
    }
    for samples in [vec![0.0], vec![0.5], vec![0.0; 200_000], vec![1.0; 130_000], vec![-1.0; 7]] {
        let probability = finished(&model, &samples).unwrap();
        assert!((0.0..=1.0).contains(&probability), "{probability}");
    }
}

#[test]
fn a_raised_cancel_flag_ends_turn_detection() {
    let model = SmartTurn::new(smart_turn_gguf());
    let request = DetectionRequest::new([0.1; 16_000]);
    request.cancel.cancel();
    let result = block_on(model.probability_finished(request));
    assert_eq!(result.unwrap_err().code(), ErrorCode::Cancelled);
    assert!(!model.is_loaded(), "nothing was begun");
}

#[test]
fn weights_come_and_go() {
    let model = SmartTurn::new(smart_turn_gguf());
    assert!(!model.is_loaded());
    let mut last = 0.0;
    block_on(model.load(&mut |progress| last = progress)).unwrap();
    assert!(model.is_loaded());
    assert_eq!(last, 1.0);
    model.unload();
    assert!(!model.is_loaded());
    assert!(model.memory_needed() > std::fs::metadata(smart_turn_gguf()).unwrap().len());
    finished(&model, &[0.1; 16_000]).unwrap();
    assert!(model.is_loaded(), "a call loads it");
}

#[test]
fn model_missing_truncated_and_unsupported_have_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    let code = |path: &Path| block_on(SmartTurn::new(path).load(&mut |_| {})).unwrap_err().code();
    assert_eq!(code(&folder.path().join("absent.gguf")), ErrorCode::ModelMissing);

    let cut = folder.path().join("cut.gguf");
    let bytes = std::fs::read(smart_turn_gguf()).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 1000]).unwrap();
    assert_eq!(code(&cut), ErrorCode::ModelTruncated);

    let foreign = folder.path().join("foreign.gguf");
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "whisper");
    writer.write(&foreign).unwrap();
    assert_eq!(code(&foreign), ErrorCode::ModelUnsupported);
}

fn finished(model: &SmartTurn, samples: &[f32]) -> tertulia::Result<f32> {
    block_on(model.probability_finished(DetectionRequest::new(samples)))
}

fn share_same(ours: &[f32], golden: &[Cut]) -> f32 {
    let same = ours.iter().zip(golden).filter(|(ours, cut)| (*ours - cut.probability).abs() < SAME).count();
    same as f32 / golden.len() as f32
}

/// The two clips one after the other, and again, cut.
fn samples(cut: &Cut) -> Vec<f32> {
    let clips = ["0870", "0880", "0870", "0880"];
    let read = |clip| std::fs::read(golden_folder().join(format!("silero_{clip}.pcm"))).unwrap();
    let bytes: Vec<u8> = clips.into_iter().flat_map(read).collect();
    let all = bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0);
    let clip = all.skip(cut.start).take(cut.end - cut.start);
    clip.chain(std::iter::repeat_n(0.0, SILENCE_SAMPLES)).collect()
}

fn golden() -> Vec<Cut> {
    serde_json::from_slice(&std::fs::read(golden_folder().join("smart_turn_golden.json")).unwrap()).unwrap()
}

fn smart_turn_gguf() -> PathBuf {
    ModelStore::open_default().unwrap().path("smart-turn-v3.2").unwrap()
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
