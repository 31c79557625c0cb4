//! Shared by the Whisper tests: the model, the clips, and a synchronous way through a recognition.
#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "models.rs"]
pub(crate) mod models;

use std::path::{Path, PathBuf};
use tertulia::audio;
use tertulia::backend::{LISTEN_RATE_HZ, RecognitionRequest, RecognitionStep, Recognizer, Transcript, run_steps};
use tertulia_models::whisper::Whisper;

/// Whisper base in the model folder.
pub(crate) fn model_path() -> PathBuf {
    models::model_path("whisper-base")
}

/// Whisper base.
pub(crate) fn whisper() -> Whisper {
    Whisper::new(model_path(), Default::default())
}

/// A clip of the shared speech at 16 kHz.
pub(crate) fn clip(path: &str) -> Vec<f32> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/speech").join(path);
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let sound = audio::decode(&bytes).unwrap();
    audio::resample(&sound.samples, sound.rate, LISTEN_RATE_HZ).unwrap()
}

/// A golden file of `tests/golden`.
pub(crate) fn golden(name: &str) -> serde_json::Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(crate) fn request(audio: Vec<f32>, languages: &[&str]) -> RecognitionRequest {
    RecognitionRequest::new(audio, languages.iter().map(|tag| tag.parse().unwrap()).collect())
}

/// The transcript, and every step before it.
pub(crate) fn recognize(whisper: &Whisper, request: RecognitionRequest) -> (Transcript, Vec<RecognitionStep>) {
    let mut steps = vec![];
    run_steps(whisper.recognize(request).unwrap(), |step| {
        steps.push(step);
        Ok(())
    })
    .unwrap();
    match steps.pop() {
        Some(RecognitionStep::Final(transcript)) => (transcript, steps),
        other => panic!("the last step is {other:?}"),
    }
}

/// A repeatable stand-in for noise, between -1 and 1.
pub(crate) fn noise(count: usize) -> impl Iterator<Item = f32> {
    let mut state = 1u64;
    (0..count).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}
