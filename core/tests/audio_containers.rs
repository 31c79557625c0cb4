//! Decoding of recordings from browsers and phones: content and timing.
//!
//! The files lie beside the workspace, in `../shared/speech`.

use std::path::PathBuf;
use tertulia::audio;

const RATE_HZ: u32 = 16_000;

/// The file, the clip it was made from, its length in seconds, where the clip starts in it (samples at 16 kHz), and
/// how well it must correlate. Lossy codecs at low rates, 8 kHz, and a real microphone path correlate less.
type Case = (&'static str, &'static str, f64, f64, f64);

const CASES: [Case; 9] = [
    ("en.mp3", "en/LJ001-0001.flac", 9.655, 0.0, 0.99),
    ("en_live_unknown_size_stereo.webm", "en/LJ001-0001.flac", 9.6735, 0.0, 0.99),
    ("es_8k.wav", "es/leopard_test_es.wav", 8.664, 0.0, 0.9),
    ("es_chrome_like.webm", "es/leopard_test_es.wav", 8.6735, 0.0, 0.9),
    ("es_faststart.m4a", "es/leopard_test_es.wav", 8.664, 0.0, 0.99),
    ("es_firefox_like.ogg", "es/leopard_test_es.wav", 8.664, 0.0, 0.9),
    // Has no edit list: nothing tells of the encoder's 1,024 samples at 48 kHz.
    ("es_safari_like_fragmented.mp4", "es/leopard_test_es.wav", 8.704, 341.3, 0.9),
    // Real recordings: the clip was played into the microphone, starting some time after, or before, the recorder.
    ("chromium_mediarecorder_audio_mp4_codecs_opus.mp4", "es/leopard_test_es.wav", 9.4, -1000.4, 0.8),
    ("chromium_mediarecorder_audio_webm_codecs_opus.webm", "es/leopard_test_es.wav", 9.48, 279.6, 0.8),
];

#[test]
fn every_container_decodes_to_its_clip() {
    for (file, clip, seconds, start, correlation_min) in CASES {
        let pcm =
            audio::decode(&speech(&format!("containers/{file}"))).unwrap_or_else(|error| panic!("{file}: {error}"));
        let length = pcm.samples.len() as f64 / f64::from(pcm.rate);
        assert!((length - seconds).abs() < 0.001, "{file}: {length} s");
        assert!(pcm.samples.iter().all(|sample| sample.abs() <= 1.0), "{file}");
        let clip = audio::decode(&speech(clip)).unwrap();
        let clip = audio::resample(&clip.samples, clip.rate, RATE_HZ).unwrap();
        let decoded = audio::resample(&pcm.samples, pcm.rate, RATE_HZ).unwrap();
        let (lag, correlation) = best_lag(&decoded, &clip, start.round() as isize);
        assert!((lag as f64 - start).abs() <= 1.0, "{file}: starts at {lag}");
        assert!(correlation > correlation_min, "{file}: correlation {correlation}");
    }
}

#[test]
fn every_clip_of_the_corpus_decodes() {
    let mut count = 0;
    for language in ["en", "es"] {
        for entry in std::fs::read_dir(folder().join(language)).unwrap() {
            let path = entry.unwrap().path();
            let pcm =
                audio::decode(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let level = (pcm.samples.iter().map(|x| x * x).sum::<f32>() / pcm.samples.len() as f32).sqrt();
            assert!((0.0003..0.5).contains(&level), "{}: level {level}", path.display());
            count += 1;
        }
    }
    assert!(count >= 41, "{count} clips");
}

/// The lag within 40 samples of `near` at which `clip` fits best into `decoded`, and how well.
fn best_lag(decoded: &[f32], clip: &[f32], near: isize) -> (isize, f64) {
    let fit = |lag: isize| {
        let (decoded_from, clip_from) = (lag.max(0) as usize, (-lag).max(0) as usize);
        let pairs = decoded[decoded_from..].iter().zip(&clip[clip_from..]);
        let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
        for (&a, &b) in pairs {
            let (a, b) = (f64::from(a), f64::from(b));
            (product, left, right) = (product + a * b, left + a * a, right + b * b);
        }
        product / (left * right).sqrt()
    };
    (near - 40..=near + 40).map(|lag| (lag, fit(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/speech")
}

fn speech(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{} is needed: {error}", path.display()))
}
