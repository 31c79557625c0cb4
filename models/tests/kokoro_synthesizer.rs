//! Kokoro as the engine's synthesizer: what it covers, what it refuses, and when its words sound.

#[path = "common/models.rs"]
mod models;

use models::model_path;
use std::sync::{Arc, LazyLock};
use tertulia::backend::{Model, SpeechChunk, SynthesisRequest, Synthesizer, block_on, run_steps};
use tertulia::{ErrorCode, LanguageTag, Result};
use tertulia_models::kokoro::Kokoro;

static KOKORO: LazyLock<Kokoro> = LazyLock::new(|| Kokoro::new(model_path("kokoro-82m"), Default::default()));

fn tags(tags: &[&str]) -> Vec<LanguageTag> {
    tags.iter().map(|tag| tag.parse().unwrap()).collect()
}

fn speak(request: SynthesisRequest) -> Result<Vec<SpeechChunk>> {
    let mut chunks = Vec::new();
    run_steps(KOKORO.synthesize(request)?, |chunk| {
        chunks.push(chunk);
        Ok(())
    })?;
    Ok(chunks)
}

fn request(text: &str, languages: Vec<LanguageTag>, voice: &str) -> SynthesisRequest {
    let mut request = SynthesisRequest::new(text, languages);
    request.voice = Some(voice.to_owned());
    request
}

fn refusal(request: SynthesisRequest) -> ErrorCode {
    speak(request).expect_err("the request is refused").code()
}

#[test]
fn the_chunks_cover_the_text_and_the_words_lie_in_them() {
    let text =
        " “Tengo hambre” means I'm hungry. Shall we meet at 7:30, or is that too early for you and your friends?\n";
    let chunks = speak(request(text, tags(&["en-US", "es"]), "af_heart")).unwrap();
    assert!(chunks.len() >= 2, "the first sound would come late");
    let mut at = 0;
    let mut spoken = Vec::new();
    for chunk in &chunks {
        assert_eq!(chunk.text_span.start, at);
        at = chunk.text_span.end;
        let mut sample = 0;
        for word in &chunk.words {
            assert!(word.text_span.start >= chunk.text_span.start && word.text_span.end <= chunk.text_span.end);
            assert!(word.start_sample >= sample && word.end_sample > word.start_sample, "{word:?} after {sample}");
            sample = word.end_sample;
            spoken.push((&text[word.text_span.clone()], word.language.as_str()));
        }
        assert!(sample <= chunk.samples.len() as u64);
        assert!(chunk.samples.iter().all(|sample| sample.abs() <= 1.0));
        assert!(chunk.samples.iter().any(|sample| sample.abs() > 0.05), "no sound");
    }
    assert_eq!(at, text.len());
    assert_eq!(
        &spoken[..5],
        [("Tengo", "es"), ("hambre", "es"), ("means", "en-US"), ("I'm", "en-US"), ("hungry", "en-US")]
    );
    assert_eq!(spoken.last().unwrap().0, "friends");
}

#[test]
fn the_speed_changes_the_length_and_nothing_is_random() {
    let samples = |speed| {
        let mut request = request("Hasta luego.", tags(&["es"]), "ef_dora");
        request.speed = speed;
        speak(request).unwrap()[0].samples.clone()
    };
    let (slow, fast) = (samples(0.5), samples(2.0));
    assert!(slow.len() > 2 * fast.len(), "{} and {} samples", slow.len(), fast.len());
    assert_eq!(fast, samples(2.0));
}

#[test]
fn a_lexicon_changes_the_sound() {
    let mut request = request("Hola.", tags(&["es"]), "ef_dora");
    let plain = speak(request.clone()).unwrap();
    let entry = [("hola".to_owned(), "xola".to_owned())].into();
    request.lexicon = Arc::new([(tags(&["es"])[0].clone(), entry)].into());
    KOKORO.check_lexicon(&request.lexicon).unwrap();
    let changed = speak(request).unwrap();
    assert_eq!(plain[0].text_span, changed[0].text_span);
    assert_ne!(plain[0].samples, changed[0].samples);
}

#[test]
fn a_text_without_words_ends_with_silence() {
    for text in ["", " \n", "…", "🙂"] {
        let chunks = speak(request(text, tags(&["es"]), "ef_dora")).unwrap();
        assert_eq!(chunks, [SpeechChunk::new(Vec::new(), 24_000, 0..text.len())], "{text:?}");
    }
}

#[test]
fn invalid_synthesis_requests_are_refused() {
    let hola = |voice| request("Hola.", tags(&["es"]), voice);
    assert_eq!(refusal(hola("xx_nobody")), ErrorCode::UnknownVoice);
    let french = request("Salut.", tags(&["fr"]), "ef_dora");
    assert_eq!(refusal(french), ErrorCode::LanguageUnsupported);
    for speed in [0.0, 0.49, 2.01, f32::NAN, f32::INFINITY] {
        let mut request = hola("ef_dora");
        request.speed = speed;
        assert_eq!(refusal(request), ErrorCode::InvalidArgument);
    }
    let cancelled = hola("ef_dora");
    cancelled.cancel.cancel();
    assert_eq!(refusal(cancelled), ErrorCode::Cancelled);
}

#[test]
fn cancel_ends_synthesis_within_a_clause() {
    block_on(KOKORO.load(&mut |_| {})).unwrap();
    let text = "A long sentence takes its time, for there is much to compute before the first sample of it is known.";
    let request = request(text, tags(&["en"]), "am_michael");
    let cancel = request.cancel.clone();
    let steps = KOKORO.synthesize(request).unwrap();
    let raised = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        cancel.cancel();
        std::time::Instant::now()
    });
    let error = run_steps(steps, |_| Ok(())).expect_err("the work was cancelled");
    let late = raised.join().unwrap().elapsed();
    assert_eq!(error.code(), ErrorCode::Cancelled);
    // 50 ms is the mark on an idle machine; this one may be busy.
    assert!(late.as_millis() < 500, "the cancel was seen {late:?} after it");
}

#[test]
fn every_voice_has_a_language_that_can_be_pronounced() {
    let voices = KOKORO.voices();
    assert!(voices.len() >= 2);
    for voice in &voices {
        assert!(KOKORO.languages().iter().any(|tag| tag.same_language(&voice.language)), "{voice:?}");
    }
    let language = |name: &str| voices.iter().find(|voice| voice.name == name).map(|voice| voice.language.as_str());
    assert_eq!([language("af_heart"), language("ef_dora")], [Some("en-US"), Some("es")]);
    assert!(KOKORO.memory_needed() > 100 << 20);
}
