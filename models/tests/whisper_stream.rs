//! A recognition runs in bounded steps: text comes early, a cancel takes effect, and a bad request says what is wrong.

#[path = "common/whisper.rs"]
mod common;

use common::{clip, recognize, request, whisper};
use std::task::{Context, Poll, Waker};
use tertulia::ErrorCode;
use tertulia::backend::{Model, RecognitionStep, Recognizer, block_on};
use tertulia_models::whisper::Whisper;

#[test]
fn partial_transcripts_grow_and_end_as_the_final_transcript() {
    let whisper = whisper();
    let (transcript, steps) = recognize(&whisper, request(clip("en/librivox_64kb-0890.wav"), &["en"]));
    let partials: Vec<&String> = steps
        .iter()
        .filter_map(|step| if let RecognitionStep::Partial { text, .. } = step { Some(text) } else { None })
        .collect();
    assert!(partials.len() > 10, "{} partials", partials.len());
    assert!(partials.windows(2).all(|pair| pair[1].starts_with(pair[0].as_str())), "{partials:?}");
    assert_eq!(partials[partials.len() - 1].trim(), transcript.text);
    for step in &steps {
        if let RecognitionStep::Partial { text, stable_len } = step {
            assert!(transcript.text.starts_with(&text[..*stable_len]));
        }
    }
    assert!(transcript.text.to_lowercase().contains("cold"), "{}", transcript.text);
    assert!((-1.0..0.0).contains(&transcript.average_log_probability));
    assert!(transcript.no_speech_probability < 0.3);
}

#[test]
fn words_have_times_and_confidences() {
    let whisper = whisper();
    let speech = clip("es/asterisk_conf-getpin.flac");
    let (plain, _) = recognize(&whisper, request(speech.clone(), &["es"]));
    let silence = 2 * 16_000;
    let mut delayed = vec![0.0; silence];
    delayed.extend(&speech);
    let (later, _) = recognize(&whisper, request(delayed, &["es"]));

    assert_eq!(plain.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" "), plain.text);
    let end_ms = speech.len() as u64 / 16;
    for pair in plain.words.windows(2) {
        assert!(pair[0].start_ms <= pair[0].end_ms && pair[0].end_ms <= pair[1].start_ms, "{pair:?}");
    }
    assert!(plain.words.iter().all(|w| w.end_ms <= end_ms + 20 && w.confidence > 0.0 && w.confidence <= 1.0));
    let span_ms = plain.words[plain.words.len() - 1].end_ms - plain.words[0].start_ms;
    assert!(span_ms > end_ms / 2, "the words cover {span_ms} of {end_ms} ms");

    assert_eq!(later.text.to_lowercase(), plain.text.to_lowercase());
    for (plain, later) in plain.words.iter().zip(&later.words).skip(1) {
        let shift = later.start_ms as i64 - plain.start_ms as i64;
        assert!((shift - 2000).abs() <= 200, "{} moved by {shift} ms, not 2000", plain.text);
    }
}

#[test]
fn the_language_is_chosen_among_those_of_the_request() {
    let whisper = whisper();
    let (english, _) = recognize(&whisper, request(clip("en/librivox_64kb-0870.wav"), &["es", "en-GB"]));
    assert_eq!(english.language, Some("en-GB".parse().unwrap()));
    assert!(english.language_probability > 0.9);
    let (spanish, _) = recognize(&whisper, request(clip("es/cheetah_test_es_norm.wav"), &["en", "es-MX"]));
    assert_eq!(spanish.language, Some("es-MX".parse().unwrap()));
    assert!(spanish.text.contains("favorito"), "{}", spanish.text);
    let (forced, _) = recognize(&whisper, request(clip("es/cheetah_test_es_norm.wav"), &["es"]));
    assert_eq!(forced.language_probability, 1.0);
}

#[test]
fn vocabulary_hints_reach_the_model() {
    let whisper = whisper();
    let text = |hints: &[&str]| {
        let mut request = request(clip("es/leopard_test_es.wav"), &["es"]);
        request.vocabulary = hints.iter().map(|hint| (*hint).to_owned()).collect();
        recognize(&whisper, request).0
    };
    let (without, with) = (text(&[]), text(&["blanquecinas", "resistencia"]));
    assert!(with.text.to_lowercase().contains("blanquecinas"), "{}", with.text);
    assert_ne!(without.text, with.text);
}

#[test]
fn cancel_ends_recognition_at_the_next_step() {
    let whisper = whisper();
    let request = request(clip("en/librivox_64kb-0870.wav"), &["en"]);
    let cancel = request.cancel.clone();
    let mut stream = whisper.recognize(request).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut longest = std::time::Duration::ZERO;
    for _ in 0..6 {
        let begun = std::time::Instant::now();
        assert!(matches!(stream.step().as_mut().poll(&mut context), Poll::Ready(Ok(Some(RecognitionStep::Working)))));
        longest = longest.max(begun.elapsed());
    }
    // Generous, for machines that are busy with something else; a step takes 10 to 50 ms by itself.
    assert!(longest.as_millis() < 1500, "one step took {longest:?}");
    cancel.cancel();
    let Poll::Ready(Err(error)) = stream.step().as_mut().poll(&mut context) else { panic!("it went on") };
    assert_eq!(error.code(), ErrorCode::Cancelled);
}

#[test]
fn a_bad_request_says_what_is_wrong() {
    let whisper = whisper();
    let code = |audio: Vec<f32>, language: &str| whisper.recognize(request(audio, &[language])).err().map(|e| e.code());
    assert_eq!(code(vec![], "en"), Some(ErrorCode::AudioEmpty));
    assert_eq!(code(vec![0.0, f32::NAN], "en"), Some(ErrorCode::AudioInvalidSample));
    assert_eq!(code(vec![f32::INFINITY], "en"), Some(ErrorCode::AudioInvalidSample));
    assert_eq!(code(vec![0.0; 1600], "tlh"), Some(ErrorCode::LanguageUnsupported));
    assert!(whisper.languages().len() >= 99);
    assert!(whisper.memory_needed() > 290_000_000);
    assert!(whisper.is_loaded());
    whisper.unload();
    assert!(!whisper.is_loaded());
}

#[test]
fn model_missing_truncated_and_corrupt_have_their_codes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whisper.gguf");
    let code = |whisper: Whisper| block_on(whisper.load(&mut |_| {})).unwrap_err().code();
    assert_eq!(code(Whisper::new(&path, Default::default())), ErrorCode::ModelMissing);
    let bytes = std::fs::read(common::model_path()).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(code(Whisper::new(&path, Default::default())), ErrorCode::ModelTruncated);
    std::fs::write(&path, vec![7; 4096]).unwrap();
    assert_eq!(code(Whisper::new(&path, Default::default())), ErrorCode::ModelCorrupt);
}
