//! The seam to the backends: wrong answers, hung steps, declined requests, and a panic in the engine itself.

use crate::listening::wait_until;
use crate::support::{Host, Reader, config, failure, type_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tertulia::backend::*;
use tertulia::event::{EventKind, SpokenWord, Stage};
use tertulia::testing::scripted::{Cue, Gate, Scripted, noise_16k};
use tertulia::{
    Clock, EngineBuilder, ErrorCode, LanguageTag, Listening, ListeningMode, Playback, Result, SessionConfig,
    SessionEngine, SessionUpdate, SystemClock,
};

type Answer<R, T> = Arc<dyn Fn(R) -> Result<Steps<'static, T>> + Send + Sync>;

/// A backend that is a function.
struct Func<R, T>(Answer<R, T>, Vec<Purpose>);

impl<R: 'static, T: 'static> Model for Func<R, T> {
    fn name(&self) -> &str {
        "function"
    }
}

fn both() -> Vec<LanguageTag> {
    ["en", "es"].map(|tag| tag.parse().unwrap()).to_vec()
}

impl Recognizer for Func<RecognitionRequest, RecognitionStep> {
    fn languages(&self) -> Vec<LanguageTag> {
        both()
    }
    fn accepts(&self, purpose: Purpose) -> bool {
        self.1.contains(&purpose)
    }
    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        (self.0)(request)
    }
}

impl Synthesizer for Func<SynthesisRequest, SpeechChunk> {
    fn languages(&self) -> Vec<LanguageTag> {
        both()
    }
    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        (self.0)(request)
    }
}

fn assumed() -> SessionConfig {
    SessionConfig { playback: Playback::Assumed, ..config() }
}

fn detail(event: &tertulia::Event) -> String {
    match &event.kind {
        EventKind::TurnFailed { error, .. } => error.detail.clone(),
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn wrong_speech_fails_the_turn_and_says_what_was_wrong() {
    let word = |text_span, start, end| vec![SpokenWord::new(text_span, "es".parse().unwrap(), start..end)];
    let chunk = |span, words| {
        let mut chunk = SpeechChunk::new(vec![0.1; 100], 8_000, span);
        chunk.words = words;
        chunk
    };
    let wrong = [
        (vec![chunk(0..1, vec![])], "text span 0..1: not characters"),
        (vec![chunk(0..99, vec![])], "text span 0..99: not characters"),
        (vec![chunk(0..7, vec![]), chunk(0..7, vec![])], "before byte 7"),
        (vec![chunk(0..7, word(1..2, 0, 9))], "span of a word 1..2: not characters"),
        (vec![chunk(0..2, word(0..7, 0, 9))], "outside 0..2"),
        (vec![chunk(0..7, word(0..7, 0, 101))], "outside 100 samples"),
        (vec![chunk(0..7, word(0..7, 9, 3))], "out of order"),
        (vec![SpeechChunk::new(vec![f32::NAN], 8_000, 0..7)], "sample NaN"),
        (vec![SpeechChunk::new(vec![0.1], 7_999, 0..7)], "sample rate 7999"),
        (vec![chunk(0..2, vec![]), SpeechChunk::new(vec![0.1], 16_000, 2..7)], "sample rate 16000"),
    ];
    let (chunks, expected): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
    let answers = parking_lot::Mutex::new(chunks.into_iter());
    let speak = move |request: SynthesisRequest| {
        let good = SpeechChunk::new(vec![0.1; 100], 8_000, 0..request.text.len());
        let mut chunks = answers.lock().next().unwrap_or(vec![good]).into_iter();
        Ok(steps_from_fn(move || Ok(chunks.next())))
    };
    let backends = Backends { synthesizer: Some(Arc::new(Func(Arc::new(speak), vec![]))), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let session = engine.create_session(assumed()).unwrap();
    let mut reader = Reader::of(&session);
    for expected in expected {
        let turn = session.say("ñandús.").unwrap();
        let ended = reader.until_end_of(turn);
        assert_eq!(failure(&ended), (Stage::Speak, ErrorCode::SynthesizerFailed), "{expected}");
        assert!(detail(&ended).contains(expected), "{} does not contain {expected}", detail(&ended));
    }
    let turn = session.say("ñandús.").unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
}

#[test]
fn a_wrong_transcript_fails_the_turn_and_says_what_was_wrong() {
    let transcript = |change: fn(&mut Transcript)| {
        let mut transcript = Transcript::from("ñandú".to_owned());
        transcript.words = vec![Word::new("ñandú", 0..300, 0.5)];
        change(&mut transcript);
        RecognitionStep::Final(transcript)
    };
    let steps = vec![
        (transcript(|t| t.no_speech_probability = 1.5), "no-speech probability 1.5"),
        (transcript(|t| t.language_probability = f32::NAN), "language probability NaN"),
        (transcript(|t| t.average_log_probability = f32::NAN), "mean log-probability"),
        (transcript(|t| t.words[0].end_ms = u64::MAX), "outside 500 ms of audio"),
        (transcript(|t| t.words[0].start_ms = 301), "word at 301 to 300 ms"),
        (transcript(|t| t.words[0].confidence = -1.0), "confidence of a word -1"),
        (RecognitionStep::Partial { text: "ñ".into(), stable_len: 1 }, "stable prefix 0..1"),
    ];
    for (step, expected) in steps {
        let recognise = move |_: RecognitionRequest| {
            let step = step.clone();
            Ok(steps_once(async { Ok(step) }))
        };
        let recognizer = Func(Arc::new(recognise) as Answer<_, _>, vec![Purpose::Final]);
        let backends = Backends { recognizer: Some(Arc::new(recognizer)), ..Scripted::new().backends() };
        let engine = EngineBuilder::new().backends(backends).build().unwrap();
        let session = engine.create_session(assumed()).unwrap();
        let mut reader = Reader::of(&session);
        session.push_audio(&noise_16k(500), 16_000).unwrap();
        let turn = session.end_utterance().unwrap();
        let ended = reader.until_end_of(turn);
        assert_eq!(failure(&ended), (Stage::Recognise, ErrorCode::RecognizerFailed), "{expected}");
        assert!(detail(&ended).contains(expected), "{} does not contain {expected}", detail(&ended));
    }
}

#[test]
fn a_hung_step_delays_neither_the_next_turn_nor_another_session() {
    let host = Host::new();
    let ((hung, mut hung_reader), (other, mut other_reader)) = (host.session(), host.session());
    host.scripted.chat.then([Cue::Wait(Gate::new())]);
    let never = hung.send_text("Hola.").unwrap();
    hung_reader.until("turn_started");
    wait_until(|| host.scripted.chat.requests().len() == 1);
    host.scripted.chat.then(["Hola, Ana."]);
    let turn = other.send_text("Hola.").unwrap();
    assert_eq!(type_of(&other_reader.until_end_of(turn)), "turn_finished");
    hung.interrupt().unwrap();
    assert_eq!(type_of(&hung_reader.until_end_of(never)), "turn_interrupted");
    host.scripted.chat.then(["Hola, Luis."]);
    let turn = hung.send_text("¿Sigues ahí?").unwrap();
    assert_eq!(type_of(&hung_reader.until_end_of(turn)), "turn_finished");
}

#[test]
fn a_recogniser_that_declines_partials_and_drafts_is_asked_for_finals_only() {
    let asked: Arc<parking_lot::Mutex<Vec<RequestContext>>> = Arc::default();
    let recognise = {
        let asked = asked.clone();
        move |request: RecognitionRequest| {
            asked.lock().push(request.context);
            Ok(steps_once(async { Ok(RecognitionStep::Final("Hola, me llamo Ana.".to_owned().into())) }))
        }
    };
    let scripted = Scripted::new();
    scripted.chat.then(["Hola, Ana."]);
    let recognizer = Func(Arc::new(recognise) as Answer<_, _>, vec![Purpose::Final]);
    let backends = Backends { recognizer: Some(Arc::new(recognizer)), ..scripted.backends() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    let session = engine.create_session(SessionConfig { listening, request_tag: "ana".into(), ..assumed() }).unwrap();
    let mut reader = Reader::of(&session);
    session.push_audio(&noise_16k(2_000), 16_000).unwrap();
    session.push_audio(&vec![0.0; 64_000], 16_000).unwrap();
    let turn = reader.until("turn_finished").turn;
    let context = |request: &RequestContext| (request.purpose, request.session, request.turn, request.tag.to_string());
    let of_session = |purpose| (purpose, Some(session.id()), turn, "ana".to_owned());
    assert_eq!(asked.lock().iter().map(context).collect::<Vec<_>>(), [of_session(Purpose::Final)]);
    let replies = scripted.chat.requests();
    let reply = replies.iter().find(|request| request.context.purpose == Purpose::Reply).unwrap();
    assert_eq!(context(&reply.context), of_session(Purpose::Reply));
    assert_eq!(context(&scripted.voice.requests()[0].context), of_session(Purpose::Speech));
}

/// A clock that panics once on the engine's thread.
#[derive(Clone)]
struct BrokenClock(Arc<SystemClock>, Arc<AtomicBool>);

impl Clock for BrokenClock {
    fn monotonic_us(&self) -> u64 {
        self.0.monotonic_us()
    }

    fn unix_ms(&self) -> u64 {
        let on_engine = std::thread::current().name() == Some("tertulia-engine");
        assert!(!(on_engine && self.1.swap(false, Ordering::SeqCst)), "as the test says");
        self.0.unix_ms()
    }
}

#[test]
fn a_panic_in_the_engine_closes_one_session_and_the_others_go_on() {
    panic_closes_one_session(assumed(), |lost| _ = lost.say("Adiós.").unwrap());
}

#[test]
fn a_panic_at_a_deadline_closes_one_session_and_the_others_go_on() {
    // The turn ends a tenth of a second after its interruption, since its playback is not reported.
    panic_closes_one_session(config(), |lost| lost.interrupt().unwrap());
}

/// Panics in the engine after `act`, in a session with a turn that has spoken.
fn panic_closes_one_session(config: SessionConfig, act: impl FnOnce(&tertulia::Session)) {
    let (scripted, breaks) = (Scripted::new(), Arc::<AtomicBool>::default());
    let clock = BrokenClock(Arc::new(SystemClock::new()), breaks.clone());
    let builder = EngineBuilder::new().backends(scripted.backends()).clock(Arc::new(clock));
    let engine = builder.build().unwrap();
    let engine_events = engine.events().unwrap();
    let (lost, other) = (engine.create_session(config).unwrap(), engine.create_session(assumed()).unwrap());
    let (mut lost_reader, mut other_reader) = (Reader::of(&lost), Reader::of(&other));
    let assumed = lost.config().playback == Playback::Assumed;
    lost.say("Hola.").unwrap();
    lost_reader.until(if assumed { "turn_finished" } else { "reply_audio_done" });
    breaks.store(true, Ordering::SeqCst);
    act(&lost);
    lost_reader.read_to_the_end();
    let types = lost_reader.types();
    assert_eq!(types[types.len() - 2..], ["error", "session_closed"]);
    assert_eq!(lost.say("¿Sí?").unwrap_err().code(), ErrorCode::SessionClosed);
    let event = engine_events.next_timeout(Duration::from_secs(5)).unwrap().expect("an error of the engine");
    assert!(matches!(&event.kind, EventKind::Error(error) if error.code == ErrorCode::Internal), "{event:?}");
    let turn = other.say("Hola.").unwrap();
    assert_eq!(type_of(&other_reader.until_end_of(turn)), "turn_finished");
    let again = engine.open_session(lost.id(), &SessionUpdate::new()).unwrap();
    assert_eq!(again.turns().unwrap().len(), 1, "what was stored is there");
}
