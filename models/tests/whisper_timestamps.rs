//! With timestamps the model says itself when each of its segments was spoken.

#[path = "common/whisper.rs"]
mod common;

use common::{clip, recognize, request, whisper};
use tertulia::backend::Transcript;

const CLIPS: [&str; 4] =
    ["en/librivox_64kb-0870.wav", "en/libri_2412-153948-0000.flac", "en/jfk.flac", "en/librivox_64kb-0890.wav"];
const PAUSE_MS: u64 = 1_000;

fn words(text: &str) -> Vec<String> {
    let plain = |word: &str| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    text.split([' ', '-']).map(plain).filter(|word: &String| !word.is_empty()).collect()
}

/// How many words must be added, removed or changed.
fn distance(from: &[String], to: &[String]) -> usize {
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (row, expected) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut costs[0], row + 1);
        for (column, word) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(word != expected);
            diagonal = costs[column + 1];
            costs[column + 1] = substituted.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    costs[to.len()]
}

/// The clips after one another, a pause before each, and when each begins.
fn joined() -> (Vec<f32>, Vec<u64>) {
    let (mut audio, mut starts_ms) = (vec![], vec![]);
    for path in CLIPS {
        audio.extend(vec![0.0; PAUSE_MS as usize * 16]);
        starts_ms.push(audio.len() as u64 / 16);
        audio.extend(clip(path));
    }
    (audio, starts_ms)
}

fn segments(audio: Vec<f32>) -> Transcript {
    let mut request = request(audio, &["en"]);
    request.word_times = false;
    recognize(&whisper().with_timestamps(), request).0
}

#[test]
fn segments_of_a_long_recording_carry_their_times() {
    let (audio, starts_ms) = joined();
    let end_ms = audio.len() as u64 / 16;
    assert!(end_ms > 30_000);
    let timed = segments(audio.clone());
    let (plain, _) = recognize(&whisper(), request(audio, &["en"]));

    assert!(!timed.text.contains("<|"), "{}", timed.text);
    let (timed_words, plain_words) = (words(&timed.text), words(&plain.text));
    let errors = distance(&plain_words, &timed_words);
    assert!(errors * 20 <= plain_words.len(), "{errors} of {}:\n{}\n{}", plain_words.len(), plain.text, timed.text);

    let texts: Vec<&str> = timed.words.iter().map(|segment| segment.text.as_str()).collect();
    assert_eq!(words(&texts.join(" ")), timed_words);
    assert!(timed.words.len() >= CLIPS.len(), "{texts:?}");
    let mut now_ms = 0;
    for segment in &timed.words {
        assert!(now_ms <= segment.start_ms && segment.start_ms <= segment.end_ms, "{segment:?} after {now_ms} ms");
        assert!(segment.confidence > 0.0 && segment.confidence <= 1.0);
        now_ms = segment.end_ms;
    }
    assert!(now_ms <= end_ms, "{now_ms} ms of {end_ms}");
    for (opening, start_ms) in ["And Mr", "If the reader", "And so", "Unless"].iter().zip(starts_ms) {
        let segment = timed.words.iter().find(|segment| segment.text.starts_with(opening));
        let segment = segment.unwrap_or_else(|| panic!("no segment begins with {opening}: {texts:?}"));
        let off_ms = segment.start_ms as i64 - start_ms as i64;
        assert!(off_ms.abs() <= 1_000, "{opening} begins {off_ms} ms off");
    }
}

#[test]
fn words_lie_within_the_times_of_their_segments() {
    let audio = clip("en/libri_2412-153948-0000.flac");
    let whisper = whisper().with_timestamps();
    let (timed, _) = recognize(&whisper, request(audio.clone(), &["en"]));
    let segments = segments(audio).words;
    assert!(segments.len() >= 2, "{segments:?}");
    for word in &timed.words {
        let within = segments.iter().any(|s| s.start_ms <= word.start_ms && word.end_ms <= s.end_ms);
        assert!(within, "{word:?} lies in none of {segments:?}");
    }
    assert_eq!(timed.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" "), timed.text);
}

#[test]
fn times_follow_the_sound() {
    let speech = clip("en/librivox_64kb-0890.wav");
    let mut delayed = vec![0.0; 3 * 16_000];
    delayed.extend(&speech);
    let (plain, later) = (segments(speech), segments(delayed));
    let (plain, later) = (&plain.words[plain.words.len() - 1], &later.words[later.words.len() - 1]);
    let shift_ms = later.end_ms as i64 - plain.end_ms as i64;
    assert!((shift_ms - 3_000).abs() <= 300, "the end moved by {shift_ms} ms, not 3000");
}
