//! Audio longer than the model's 30 s goes through in windows, and loses nothing at their edges.

#[path = "common/whisper.rs"]
mod common;

use common::{clip, recognize, request, whisper};

#[test]
fn every_sentence_of_a_long_recording_has_its_word_times() {
    let clips = ["en/libri_2412-153948-0000.flac", "en/librivox_64kb-0870.wav", "en/librivox_64kb-0890.wav"];
    let mut audio = vec![];
    let mut starts_ms = vec![];
    for path in clips {
        starts_ms.push(audio.len() as u64 / 16);
        audio.extend(clip(path));
        audio.extend(vec![0.0; 5 * 16_000]);
    }
    assert!(audio.len() > 30 * 16_000);
    let (transcript, _) = recognize(&whisper(), request(audio, &["en"]));
    for (said, start_ms) in [("reader", starts_ms[0]), ("Dashwood", starts_ms[1]), ("rather", starts_ms[2])] {
        let word = transcript.words.iter().find(|word| word.text.contains(said));
        let word = word.unwrap_or_else(|| panic!("no {said} in {}", transcript.text));
        let late_ms = word.start_ms as i64 - start_ms as i64;
        assert!((0..6_000).contains(&late_ms), "{said} at {} ms, {late_ms} after its clip began", word.start_ms);
    }
    assert!(transcript.words.windows(2).all(|pair| pair[0].start_ms <= pair[1].start_ms));
    assert!(!transcript.text.contains("<|"));
}

#[test]
fn a_soft_speaker_is_recognised_beside_a_loud_one() {
    let clips = ["en/fleurs-en-003.ogg", "en/fleurs-en-004.ogg", "en/jfk.flac", "en/libri_2412-153948-0000.flac"];
    let audio: Vec<f32> = clips.into_iter().flat_map(clip).collect();
    assert!(audio.len() > 30 * 16_000);
    let (transcript, _) = recognize(&whisper(), request(audio, &["en"]));
    for said in ["cabbage", "feathers", "Americans", "antecedents"] {
        assert!(transcript.text.contains(said), "no {said} in {}", transcript.text);
    }
}
