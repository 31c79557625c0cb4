//! The encoder hears what was spoken and some silence after it, and all of a window again where it is not sure.

#[path = "common/whisper.rs"]
mod common;

use common::{clip, recognize, request, whisper};
use tertulia::backend::RecognitionStep;

const WINDOW_SAMPLES: usize = 30 * 16_000;

/// Steps with nothing to show. Each is a bounded piece of work, most of them the encoder's.
fn silent_steps(steps: &[RecognitionStep]) -> usize {
    steps.iter().filter(|step| matches!(step, RecognitionStep::Working)).count()
}

fn first_hearing(steps: &[RecognitionStep]) -> Option<&String> {
    steps.iter().find_map(|step| match step {
        RecognitionStep::FirstHearing(transcript) => Some(&transcript.text),
        _ => None,
    })
}

/// A clip with silence after it up to a whole window.
fn windowed(mut speech: Vec<f32>) -> Vec<f32> {
    speech.resize(WINDOW_SAMPLES, 0.0);
    speech
}

#[test]
fn a_short_clip_costs_less_than_a_window_and_gives_its_words() {
    let whisper = whisper();
    for (path, language) in [("en/asterisk_agent-pass.flac", "en"), ("es/cheetah_test_es_norm.wav", "es")] {
        let speech = clip(path);
        let (short, short_steps) = recognize(&whisper, request(speech.clone(), &["en", "es"]));
        let (whole, whole_steps) = recognize(&whisper, request(windowed(speech), &["en", "es"]));

        let (few, many) = (silent_steps(&short_steps), silent_steps(&whole_steps));
        assert!(3 * few < 2 * many, "{path}: {few} steps against {many}");
        assert_eq!(short.text, whole.text);
        assert_eq!(first_hearing(&short_steps), Some(&short.text), "before its words have times");
        assert_eq!(short.language, Some(language.parse().unwrap()));
        assert!((short.no_speech_probability - whole.no_speech_probability).abs() < 0.2);
        for (short, whole) in short.words.iter().zip(&whole.words) {
            let off_ms = short.start_ms as i64 - whole.start_ms as i64;
            assert!(off_ms.abs() <= 200, "{path}: {} is {off_ms} ms off", short.text);
        }
    }
}

#[test]
fn a_final_transcript_that_is_in_doubt_is_heard_again_and_words_so_far_are_not() {
    let whisper = whisper();
    // A telephone's Spanish, in which the model gets two words wrong.
    let speech = clip("es/asterisk_conf-invalidpin.flac");
    let (whole, whole_steps) = recognize(&whisper, request(windowed(speech.clone()), &["es"]));
    let (last, last_steps) = recognize(&whisper, request(speech.clone(), &["es"]));
    let mut so_far = request(speech, &["es"]);
    so_far.word_times = false;
    let (partial, partial_steps) = recognize(&whisper, so_far);

    assert_eq!(first_hearing(&last_steps), Some(&partial.text), "those who wait for the words only have them as soon");
    let [whole_steps, last_steps, partial_steps] = [whole_steps, last_steps, partial_steps].map(|s| silent_steps(&s));
    assert!(last_steps > whole_steps, "{last_steps} steps against {whole_steps}");
    assert_eq!(last.text, whole.text);
    assert!(3 * partial_steps < 2 * whole_steps, "{partial_steps} steps against {whole_steps}");
    assert!(!partial.text.is_empty() && partial.words.is_empty());
}
