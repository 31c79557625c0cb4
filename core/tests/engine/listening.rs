//! Continuous listening: VAD, endpointing, partial transcripts, barge-in, backchannels.

use crate::support::{Host, Reader, config, failure, type_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tertulia::backend::{
    Backends, Model, Purpose, RecognitionRequest, RecognitionStep, Recognizer, Steps, Transcript, steps_from_fn,
};
use tertulia::event::{EndReason, EventKind, InterruptReason, Stage};
use tertulia::testing::scripted::{Cue, Gate, SAMPLES_PER_BYTE, Scripted, noise_16k};
use tertulia::{
    EngineBuilder, ErrorCode, LanguageTag, ListenRequest, Listening, ListeningMode, Playback, Result, Session,
    SessionConfig, SessionEngine, SessionUpdate,
};

fn hands_free() -> SessionConfig {
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    SessionConfig { listening, ..config() }
}

fn hands_free_session(host: &Host) -> (Session, Reader) {
    host.session_with(SessionConfig { playback: Playback::Assumed, ..hands_free() })
}

/// Pushes sound as a microphone does, block by block.
fn push(session: &Session, sound: &[f32]) {
    for block in sound.chunks(480) {
        session.push_audio(block, 16_000).unwrap();
    }
}

fn speak(session: &Session, ms: usize) {
    push(session, &noise_16k(ms));
}

fn be_silent(session: &Session, ms: usize) {
    push(session, &vec![0.0; ms * 16]);
}

pub(crate) fn wait_until(happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < Duration::from_secs(5), "it never happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A reply of so many words under way, as far as the host has read events.
fn talking_tutor(host: &Host, words: usize) -> (Session, Reader, tertulia::TurnId) {
    let (session, mut reader) = host.session_with(hands_free());
    let turn = session.say(&"palabra ".repeat(words)).unwrap();
    reader.until("reply_audio_done");
    session.played(turn, (SAMPLES_PER_BYTE * "palabra palabra".len()) as u64).unwrap();
    (session, reader, turn)
}

#[test]
fn continuous_listening_turns_utterances_into_turns() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    for (said, answer) in [("Hola, me llamo Ana.", "Hola, Ana."), ("Quiero un té.", "Vale.")] {
        host.script_turn(said, answer);
        be_silent(&session, 640);
        speak(&session, 400);
        be_silent(&session, 3_000);
        let end = reader.until("turn_finished");
        assert!(matches!(&end.kind, EventKind::TurnFinished { reply_text } if reply_text == answer));
    }
    // The draft comes before the decision or not, as fast as the audio is pushed here.
    let in_time = |kind: &String| !kind.starts_with("reply") && kind != "transcript_partial";
    let order: Vec<String> = reader.types().into_iter().filter(in_time).collect();
    let turn = [
        "speech_started",
        "speech_stopped",
        "turn_started",
        "utterance_ended",
        "transcript_done",
        "metrics",
        "turn_finished",
    ];
    assert_eq!(order[1..], [turn, turn].concat());
    let ended = reader.seen.iter().find_map(|event| match event.kind {
        EventKind::UtteranceEnded { start_ms, end_ms, decided_ms, reason } => {
            Some((start_ms, end_ms, decided_ms, reason))
        }
        _ => None,
    });
    let (start_ms, end_ms, decided_ms, reason) = ended.unwrap();
    assert!(start_ms.abs_diff(640) <= 32 && end_ms.abs_diff(1_040) <= 32, "{start_ms} to {end_ms}");
    assert!(reason == EndReason::Silence && decided_ms > end_ms + 200, "{decided_ms}");
    // With what came before the onset.
    let samples = host.scripted.recognizer.requests()[0].audio.len();
    assert!(samples >= 16 * (300 + 400 + 120), "{samples} samples");
    let turns = session.turns().unwrap();
    assert_eq!(
        turns.iter().map(|turn| turn.user_text.as_str()).collect::<Vec<_>>(),
        ["Hola, me llamo Ana.", "Quiero un té."]
    );
    assert!(turns.iter().all(|turn| turn.user_audio.is_some()));
}

#[test]
fn partial_transcripts_are_emitted_during_speech() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    for text in ["Hola", "Hola, me llamo", "Hola, me llamo Ana.", "Hola, me llamo Ana."] {
        host.scripted.recognizer.then(text);
    }
    host.scripted.chat.then(["Hola."]);
    let mut shown = Vec::new();
    for _ in 0..2 {
        speak(&session, 640);
        let delta = reader.until("transcript_partial");
        let EventKind::TranscriptPartial { text, stable_len } = delta.kind else { unreachable!() };
        assert_eq!(delta.turn, None, "no turn has begun");
        shown.push((text, stable_len));
    }
    assert_eq!(shown, [("Hola".to_owned(), 0), ("Hola, me llamo".to_owned(), "Hola,".len())]);
    be_silent(&session, 3_000);
    reader.until("turn_finished");
}

#[test]
fn endpointing_waits_through_a_pause() {
    let host = Host::new();
    let mut config = SessionConfig { playback: Playback::Assumed, ..hands_free() };
    config.listening.partial_ms = 10_000;
    let (session, mut reader) = host.session_with(config);
    // The words hang in the air, so that the pause may be long.
    host.scripted.recognizer.then("Ayer fui a la");
    speak(&session, 400);
    be_silent(&session, 400);
    reader.until("transcript_partial");
    be_silent(&session, 800);
    host.scripted.recognizer.then("Ayer fui a la playa.");
    host.scripted.chat.then(["¡Qué bien!"]);
    speak(&session, 400);
    be_silent(&session, 3_000);
    reader.until("turn_finished");
    let turns = session.turns().unwrap();
    assert_eq!(turns.len(), 1);
    assert_eq!(turns[0].user_text, "Ayer fui a la playa.");
}

/// A recogniser whose final transcript, unlike its first pass, waits until the flag is set.
struct TwoPasses(Arc<AtomicBool>);

impl Model for TwoPasses {
    fn name(&self) -> &str {
        "two-passes"
    }
}

impl Recognizer for TwoPasses {
    fn languages(&self) -> Vec<LanguageTag> {
        vec!["en".parse().unwrap(), "es".parse().unwrap()]
    }

    fn recognize(&self, _request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let said = |text: &str| Transcript::from(text.to_owned());
        let mut passes =
            [RecognitionStep::FirstPass(said("Un té.")), RecognitionStep::Final(said("Un café."))].into_iter();
        let may_finish = self.0.clone();
        Ok(steps_from_fn(move || {
            let pass = passes.next();
            if let Some(RecognitionStep::Final(_)) = pass {
                wait_until(|| may_finish.load(Ordering::SeqCst));
            }
            Ok(pass)
        }))
    }
}

#[test]
fn endpointing_weighs_the_words_of_the_first_pass_and_the_turn_gets_the_final_transcript() {
    let (scripted, may_finish) = (Scripted::new(), Arc::new(AtomicBool::new(false)));
    let backends = Backends { recognizer: Some(Arc::new(TwoPasses(may_finish.clone()))), ..scripted.backends() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..hands_free() }).unwrap();
    let mut reader = Reader::of(&session);
    scripted.chat.then(["Vale."]);
    speak(&session, 400);
    be_silent(&session, 320);
    reader.until("transcript_partial");
    be_silent(&session, 3_000);
    let end = reader.until("utterance_ended");
    let EventKind::UtteranceEnded { end_ms, decided_ms, .. } = end.kind else { unreachable!() };
    assert!(decided_ms - end_ms < 600, "{decided_ms} - {end_ms} ms: the words counted for nothing");
    may_finish.store(true, Ordering::SeqCst);
    let done = reader.until("transcript_done");
    assert!(matches!(&done.kind, EventKind::TranscriptDone { transcript, .. } if transcript.text == "Un café."));
    reader.until("turn_finished");
}

#[test]
fn the_chat_model_prefills_before_the_end_of_turn_decision() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    host.script_turn("Ayer fui a la", "Sigue.");
    speak(&session, 400);
    be_silent(&session, 320);
    reader.until("transcript_partial");
    wait_until(|| !host.scripted.chat.requests().is_empty());
    let ahead = host.scripted.chat.requests();
    assert_eq!((ahead.len(), ahead[0].context.purpose), (1, Purpose::Prefill));
    assert_eq!(ahead[0].messages.last().unwrap().content, "Ayer fui a la");
    assert!(!reader.types().contains(&"turn_started".to_owned()));
    be_silent(&session, 4_000);
    reader.until("turn_finished");
    assert_eq!(host.scripted.recognizer.requests().len(), 1, "the draft is the transcript");
    let metrics = reader.seen.iter().find_map(|event| match event.kind {
        EventKind::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    let metrics = metrics.unwrap();
    assert!(metrics.decided_ms > Some(1_000) && metrics.ahead_ms > 0 && metrics.wasted_ms == 0, "{metrics:?}");
    assert!(metrics.recognize_ms <= metrics.ahead_ms, "{metrics:?}");
    assert_eq!(host.scripted.chat.requests()[1].messages, ahead[0].messages);
}

#[test]
fn noise_without_words_starts_no_turn() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    host.scripted.recognizer.then("");
    speak(&session, 200);
    be_silent(&session, 320);
    reader.until("speech_stopped");
    wait_until(|| !host.scripted.recognizer.requests().is_empty());
    std::thread::sleep(Duration::from_millis(50));
    be_silent(&session, 3_000);
    host.script_turn("Hola.", "Hola.");
    speak(&session, 400);
    be_silent(&session, 3_000);
    reader.until("turn_finished");
    assert_eq!(session.turns().unwrap().len(), 1);
}

#[test]
fn barge_in_pauses_then_flushes_playback() {
    let host = Host::new();
    let (session, mut reader, turn) = talking_tutor(&host, 20);
    host.scripted.recognizer.then("No, espera un momento.");
    host.scripted.chat.then(["Espero."]);
    speak(&session, 300);
    reader.until("playback_pause");
    be_silent(&session, 400);
    reader.until("playback_flush");
    let end = reader.until_end_of(turn);
    let EventKind::TurnInterrupted { reason, heard_text, .. } = &end.kind else { panic!("{end:?}") };
    assert_eq!((*reason, heard_text.as_str()), (InterruptReason::BargeIn, "palabra palabra"));
    be_silent(&session, 3_000);
    reader.until("reply_text_done");
    let request = host.scripted.chat.requests().pop().unwrap();
    let contents: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
    assert!(contents.contains(&"palabra palabra"), "{contents:?}");
    assert!(contents.last().unwrap().ends_with("No, espera un momento."));
    assert!(contents.last().unwrap().len() > "No, espera un momento.".len(), "it is told of the interruption");
}

#[test]
fn a_backchannel_or_cough_is_a_false_interruption_and_playback_resumes() {
    let host = Host::new();
    let (session, mut reader, turn) = talking_tutor(&host, 20);
    for nod in ["Mhm.", "Sí, sí.", ""] {
        host.scripted.recognizer.then(nod);
        speak(&session, 200);
        reader.until("playback_pause");
        be_silent(&session, 1_000);
        reader.until("playback_resume");
    }
    session.played(turn, u64::MAX).unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    assert!(!reader.types().contains(&"playback_flush".to_owned()));
    assert_eq!(session.turns().unwrap().len(), 1);
}

#[test]
fn long_speech_is_barge_in_before_any_word_is_recognised() {
    let host = Host::new();
    let (session, mut reader, turn) = talking_tutor(&host, 20);
    let gate = Gate::new();
    host.scripted.recognizer.then_cues([Cue::Wait(gate.clone()), Cue::Item("Quiero decir algo.".into())]);
    speak(&session, 700);
    reader.until("playback_flush");
    reader.until_end_of(turn);
    gate.open();
    host.script_turn("Quiero decir algo.", "Dime.");
    be_silent(&session, 4_000);
    reader.until("reply_audio_done");
    assert_eq!(session.turns().unwrap()[1].user_text, "Quiero decir algo.");
}

#[test]
fn playback_stays_paused_until_a_slow_recogniser_answers() {
    let host = Host::new();
    let (session, mut reader, turn) = talking_tutor(&host, 20);
    let gate = Gate::new();
    host.scripted.recognizer.then_cues([Cue::Wait(gate.clone()), Cue::Item("¡Para!".into())]);
    host.scripted.chat.then(["Vale."]);
    speak(&session, 200);
    reader.until("playback_pause");
    be_silent(&session, 4_000);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!reader.types().contains(&"playback_resume".to_owned()));
    gate.open();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_interrupted");
    reader.until("transcript_done");
}

#[test]
fn barge_in_is_ignored_when_not_interruptible() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(SessionConfig { interruptible: false, ..hands_free() });
    let turn = session.say("Escucha bien lo que te digo ahora.").unwrap();
    reader.until("reply_audio_done");
    host.script_turn("Pero yo quiero hablar.", "Ahora sí.");
    speak(&session, 300);
    be_silent(&session, 3_000);
    reader.until("speech_stopped");
    session.played(turn, u64::MAX).unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    reader.until("reply_text_done");
    let types = reader.types();
    assert!(!types.contains(&"playback_pause".to_owned()) && !types.contains(&"playback_flush".to_owned()));
}

#[test]
fn speech_after_endpoint_cancels_the_reply_and_keeps_all_words() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    let gate = Gate::new();
    host.scripted.recognizer.then("Ayer fui a la playa.");
    host.scripted.chat.then([Cue::Wait(gate.clone()), Cue::Item("¡Qué bien!".to_owned())]);
    speak(&session, 400);
    be_silent(&session, 2_000);
    reader.until("transcript_done");
    host.script_turn("Y después comí pescado.", "¡Qué rico!");
    speak(&session, 400);
    be_silent(&session, 3_000);
    let end = reader.until("turn_interrupted");
    assert!(matches!(&end.kind, EventKind::TurnInterrupted { heard_text, .. } if heard_text.is_empty()));
    gate.open();
    reader.until("turn_finished");
    let request = host.scripted.chat.requests().pop().unwrap();
    let said = &request.messages.last().unwrap().content;
    assert!(said.contains("Ayer fui a la playa.") && said.contains("Y después comí pescado."), "{said}");
}

#[test]
fn end_utterance_ends_an_utterance_in_continuous_mode() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    host.script_turn("Hola.", "Hola.");
    speak(&session, 400);
    let turn = session.end_utterance().unwrap();
    let ended = reader.until("utterance_ended");
    assert_eq!(ended.turn, Some(turn));
    assert!(matches!(ended.kind, EventKind::UtteranceEnded { reason: EndReason::Host, .. }));
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    // Without an utterance under way the turn fails.
    be_silent(&session, 300);
    let turn = session.end_utterance().unwrap();
    assert_eq!(failure(&reader.until_end_of(turn)), (Stage::Recognise, ErrorCode::NoSpeech));
}

#[test]
fn an_interrupted_or_stalled_microphone_ends_the_utterance() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    host.script_turn("Hola.", "Hola.");
    speak(&session, 400);
    session.input_interrupted().unwrap();
    let ended = reader.until("utterance_ended");
    assert!(matches!(ended.kind, EventKind::UtteranceEnded { reason: EndReason::InputInterrupted, .. }));
    reader.until("turn_finished");
    host.script_turn("Hola otra vez.", "Hola.");
    speak(&session, 400);
    // No sample comes any more.
    let ended = reader.until("utterance_ended");
    assert!(matches!(ended.kind, EventKind::UtteranceEnded { reason: EndReason::InputStalled, .. }));
    reader.until("turn_finished");
}

#[test]
fn audio_after_input_interrupted_is_processed() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    host.script_turn("Hola.", "Hola.");
    session.input_interrupted().unwrap();
    session.input_resumed().unwrap();
    speak(&session, 400);
    be_silent(&session, 3_000);
    reader.until("turn_finished");
    session.close();
    assert_eq!(session.input_resumed().unwrap_err().code(), ErrorCode::SessionClosed);
}

#[test]
fn sample_rate_and_channels_may_change_during_speech() {
    let host = Host::new();
    let (session, mut reader) = hands_free_session(&host);
    host.script_turn("Hola.", "Hola.");
    speak(&session, 200);
    // A headset: two channels, of which one is silent.
    let faster: Vec<f32> = (0..9_600).flat_map(|at| [0.6 * (at as f32 / 10.0).sin(), 0.0]).collect();
    session.push_interleaved(&faster, 2, 48_000).unwrap();
    be_silent(&session, 3_000);
    let ended = reader.until("utterance_ended");
    let EventKind::UtteranceEnded { start_ms, end_ms, .. } = ended.kind else { unreachable!() };
    assert!((end_ms - start_ms).abs_diff(400) <= 64, "{start_ms} to {end_ms}");
    reader.until("turn_finished");
    assert_eq!(session.push_audio(&[f32::NAN], 16_000).unwrap_err().code(), ErrorCode::AudioInvalidSample);
    assert_eq!(session.push_audio(&[0.0], 1_000_000).unwrap_err().code(), ErrorCode::AudioInvalidRate);
}

#[test]
fn idle_is_emitted_once_per_silence() {
    let host = Host::new();
    let mut config = hands_free();
    config.listening.idle_ms = Some(5_000);
    let (session, mut reader) = host.session_with(config);
    be_silent(&session, 60_000);
    let idle = reader.until("idle");
    assert!(matches!(idle.kind, EventKind::Idle { silence_ms } if silence_ms.abs_diff(5_000) <= 32));
    drop(session);
    reader.read_to_the_end();
    assert_eq!(reader.types(), ["session_opened", "idle", "session_closed"]);
}

#[test]
fn the_listening_mode_can_change_in_a_running_session() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    session.update(&SessionUpdate::new().listening(listening)).unwrap();
    host.script_turn("Hola.", "Hola.");
    speak(&session, 400);
    be_silent(&session, 3_000);
    reader.until("turn_finished");
    session.update(&SessionUpdate::new().listening(Listening::default())).unwrap();
    host.script_turn("Adiós.", "Adiós.");
    speak(&session, 400);
    let turn = session.end_utterance().unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
    let wrong = Listening { interrupt_ms: 5, ..listening };
    let refused = session.update(&SessionUpdate::new().listening(wrong));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidConfig);
}

#[test]
fn push_audio_overruns_when_no_events_are_read() {
    let scripted = Scripted::new();
    let engine = EngineBuilder::new().backends(scripted.backends()).utterance_seconds_max(5).build().unwrap();
    let session = engine.create_session(hands_free()).unwrap();
    let reader = Reader::of(&session);
    // Endless speech and silence, and no reader of events.
    let sound = [noise_16k(200), vec![0.0; 200 * 16]].concat();
    let mut refused_since = None;
    let code = loop {
        let Err(refused) = session.push_audio(&sound, 16_000) else {
            refused_since = None;
            continue;
        };
        // The front end may only lag, on a busy machine for longer; then there is room again.
        if refused_since.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(3) {
            break refused.code();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(code, ErrorCode::AudioOverrun);
    // Once events are read, there is room again.
    let mut unread = 0;
    while reader.events.next_timeout(Duration::from_secs(1)).unwrap().is_some() {
        unread += 1;
    }
    assert!(unread >= 128, "{unread} events");
    session.push_audio(&noise_16k(200), 16_000).unwrap();
}

#[test]
fn continuous_listening_without_vad_is_backend_missing() {
    let mut backends = Scripted::new().backends();
    backends.vad = None;
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    assert_eq!(engine.create_session(hands_free()).unwrap_err().code(), ErrorCode::BackendMissing);
}

/// The events of a recording, as JSON.
fn heard_in(host: &Host, samples: Vec<f32>) -> Vec<serde_json::Value> {
    let request = ListenRequest::new(samples, 16_000, vec!["es".parse().unwrap()]);
    let mut events = Vec::new();
    host.engine
        .listen(request)
        .unwrap()
        .run(|event| {
            events.push(serde_json::from_str(&event.to_json()).unwrap());
            Ok(())
        })
        .unwrap();
    events
}

#[test]
fn listen_gives_positions_in_the_recording() {
    let host = Host::new();
    for text in ["Hola.", "Quiero un café y", "Quiero un café y un té.", "Adiós."] {
        host.scripted.recognizer.then(text);
    }
    let silence = |ms: usize| vec![0.0; ms * 16];
    let recording = [
        silence(512),
        noise_16k(640),
        silence(3_200),
        noise_16k(640),
        silence(1_024),
        noise_16k(640),
        silence(3_200),
        noise_16k(640),
    ]
    .concat();
    let events = heard_in(&host, recording.clone());
    let of_type = |kind: &str| events.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<_>>();
    let ended = of_type("utterance_ended");
    let reasons: Vec<&str> = ended.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["silence", "silence", "recording"]);
    let said: Vec<String> = of_type("transcript_done").iter().map(|e| e["text"].as_str().unwrap().into()).collect();
    assert_eq!(said, ["Hola.", "Quiero un café y un té.", "Adiós."]);
    assert_eq!((ended[0]["start_ms"].as_u64(), ended[0]["end_ms"].as_u64()), (Some(512), Some(1_152)));
    assert!(ended.iter().all(|event| event["at_ms"] == event["decided_ms"]), "{ended:?}");
    // The words came 250 ms after they were asked for, not at once: the decision could not be earlier.
    let words = &of_type("transcript_partial")[0];
    assert!(words["at_ms"].as_u64().unwrap() >= 1_152 + 120 + 250, "{words}");

    // Later audio has no influence: cut off at the second decision, the trace up to there is the same.
    let decided_ms = ended[1]["decided_ms"].as_u64().unwrap() as usize;
    for text in ["Hola.", "Quiero un café y", "Quiero un café y un té."] {
        host.scripted.recognizer.then(text);
    }
    let again = heard_in(&host, recording[..decided_ms * 16].to_vec());
    let until = events.iter().position(|event| *event == ended[1]).unwrap();
    assert_eq!(again[..=until], events[..=until]);
}
