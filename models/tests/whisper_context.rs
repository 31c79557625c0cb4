//! Recognition passes: a short encoder window, the whole window again where the text is in doubt, and of an
//! utterance that grows what is new.

#[path = "common/whisper.rs"]
mod common;

use common::{clip, recognize, request, whisper};
use tertulia::backend::{RecognitionStep, UtteranceCache};

const WINDOW_SAMPLES: usize = 30 * 16_000;

/// Steps with nothing to show. Each is a bounded piece of work, most of them the encoder's.
fn silent_steps(steps: &[RecognitionStep]) -> usize {
    steps.iter().filter(|step| matches!(step, RecognitionStep::Working)).count()
}

fn first_pass(steps: &[RecognitionStep]) -> Option<&String> {
    steps.iter().find_map(|step| match step {
        RecognitionStep::FirstPass(transcript) => Some(&transcript.text),
        _ => None,
    })
}

/// The words without signs.
fn words(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().to_lowercase()
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
        assert_eq!(first_pass(&short_steps), Some(&short.text), "before its words have times");
        assert_eq!(short.language, Some(language.parse().unwrap()));
        assert!((short.no_speech_probability - whole.no_speech_probability).abs() < 0.2);
        for (short, whole) in short.words.iter().zip(&whole.words) {
            let off_ms = short.start_ms as i64 - whole.start_ms as i64;
            assert!(off_ms.abs() <= 200, "{path}: {} is {off_ms} ms off", short.text);
        }
    }
}

#[test]
fn a_doubtful_final_transcript_takes_a_second_pass_and_a_partial_does_not() {
    let whisper = whisper();
    // A telephone's Spanish, in which the model gets two words wrong.
    let speech = clip("es/asterisk_conf-invalidpin.flac");
    let (whole, whole_steps) = recognize(&whisper, request(windowed(speech.clone()), &["es"]));
    let (last, last_steps) = recognize(&whisper, request(speech.clone(), &["es"]));
    let mut so_far = request(speech, &["es"]);
    so_far.word_times = false;
    let (partial, partial_steps) = recognize(&whisper, so_far);

    assert_eq!(first_pass(&last_steps), Some(&partial.text), "those who wait for the words only have them as soon");
    let [whole_steps, last_steps, partial_steps] = [whole_steps, last_steps, partial_steps].map(|s| silent_steps(&s));
    assert!(last_steps > whole_steps, "{last_steps} steps against {whole_steps}");
    assert_eq!(last.text, whole.text);
    assert!(3 * partial_steps < 2 * whole_steps, "{partial_steps} steps against {whole_steps}");
    assert!(!partial.text.is_empty() && partial.words.is_empty());
}

#[test]
fn incremental_encoding_costs_what_is_new_and_gives_the_words_of_the_whole() {
    let whisper = whisper();
    for path in ["en/jfk.flac", "en/librivox_64kb-0870.wav", "es/asterisk_conf-kicked.flac"] {
        let speech = clip(path);
        let so_far = |end: usize, cache: Option<&UtteranceCache>| {
            let mut request = request(speech[..end].to_vec(), &["en", "es"]);
            (request.word_times, request.cache) = (false, cache.cloned());
            recognize(&whisper, request)
        };
        let cache = UtteranceCache::default();
        let mut grown = so_far(8_000, Some(&cache));
        for end in (16_000..speech.len()).step_by(8_000).chain([speech.len()]) {
            grown = so_far(end, Some(&cache));
        }
        let (whole, whole_steps) = so_far(speech.len(), None);
        assert_eq!(words(&grown.0.text), words(&whole.text), "{path}");
        assert!(grown.0.finished_probability > Some(0.5), "{path} is finished: {:?}", grown.0.finished_probability);
        let (few, many) = (silent_steps(&grown.1), silent_steps(&whole_steps));
        assert!(few < many, "{path}: {few} steps against {many}");
    }
    // The cache of another utterance is of no use, and does no harm.
    let cache = UtteranceCache::default();
    let of = |path: &str, cache: Option<UtteranceCache>| {
        let mut request = request(clip(path), &["en", "es"]);
        (request.word_times, request.cache) = (false, cache);
        recognize(&whisper, request).0.text
    };
    of("en/jfk.flac", Some(cache.clone()));
    let other = "en/asterisk_agent-pass.flac";
    assert_eq!(of(other, Some(cache)), of(other, Some(UtteranceCache::default())));
}
