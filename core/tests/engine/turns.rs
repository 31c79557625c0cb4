//! Turns started by the user and by the host: order, context, metrics.

use crate::support::{Host, Reader, config, conversation, failure, type_of};
use std::time::Duration;
use tertulia::backend::Role;
use tertulia::event::{EventKind, InterruptReason, Stage};
use tertulia::store::{AudioKind, SessionQuery, TurnRecord};
use tertulia::testing::scripted::{Cue, Gate, noise_16k};
use tertulia::{ErrorCode, Playback, SessionConfig, SessionEngine, SessionUpdate};

#[test]
fn reply_then_utterance_then_text_share_one_conversation() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.chat.then(["¡Hola! ¿Qué tal?"]);
    let opening = session.reply(None).unwrap();
    assert_eq!(type_of(&reader.until_end_of(opening)), "turn_finished");
    host.script_turn("Muy bien, gracias.", "Me alegro.");
    session.push_audio(&noise_16k(800), 16_000).unwrap();
    let spoken = session.end_utterance().unwrap();
    reader.until_end_of(spoken);
    host.scripted.chat.then(["Hasta luego."]);
    let typed = session.send_text("Adiós").unwrap();
    reader.until_end_of(typed);

    let last = host.scripted.chat.requests().pop().unwrap();
    assert!(last.pinned == last.messages.len() - 1 && last.messages[0].role == Role::System);
    let said: Vec<(Role, &str)> = conversation(&last).iter().map(|m| (m.role, m.content.as_str())).collect();
    assert_eq!(said[1], (Role::Assistant, "¡Hola! ¿Qué tal?"));
    assert_eq!(said[2..], [(Role::User, "Muy bien, gracias."), (Role::Assistant, "Me alegro."), (Role::User, "Adiós")]);
    // One conversation from turn to turn, and only what is new is evaluated.
    assert_eq!(host.scripted.chat.conversations(), 1);
    let evaluated: Vec<u32> = reader
        .seen
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Metrics(metrics) => Some(metrics.evaluated_tokens),
            _ => None,
        })
        .collect();
    assert_eq!(evaluated[1..], [1, 1]);
}

#[test]
fn instructions_of_the_host_are_not_the_words_of_the_user() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.chat.then(["¿Y ", "Ana?"]);
    let asked = session.reply(Some("Pregunta por Ana.")).unwrap();
    reader.until_end_of(asked);
    let said = session.say("Vale.").unwrap();
    reader.until_end_of(said);
    let text = |turn: &TurnRecord| (turn.user_text.clone(), turn.instructions.clone(), turn.reply_text.clone());
    let texts: Vec<_> = session.turns().unwrap().iter().map(text).collect();
    let expected = [("", "Pregunta por Ana.", "¿Y Ana?"), ("", "", "Vale.")];
    assert_eq!(texts, expected.map(|(user, host, reply)| (user.into(), host.into(), reply.into())));
    let id = session.id();
    let found = |text: &str| {
        let query = SessionQuery { text: Some(text.into()), ..SessionQuery::default() };
        host.engine.sessions(&query, None, 1).unwrap().sessions.len()
    };
    assert_eq!((found("vale"), found("y ana"), found("pregunta")), (1, 1, 0));
    assert_eq!(host.engine.sessions(&SessionQuery::default(), None, 1).unwrap().sessions[0].title, "");
    // The chat model reads them as before when the session goes on.
    drop((session, reader));
    let session = host.engine.open_session(id, &SessionUpdate::new()).unwrap();
    let mut reader = Reader::of(&session);
    host.scripted.chat.then(["Hola."]);
    let typed = session.send_text("Hola.").unwrap();
    reader.until_end_of(typed);
    let last = host.scripted.chat.requests().pop().unwrap();
    let said: Vec<&str> = conversation(&last).iter().map(|message| message.content.as_str()).collect();
    assert_eq!(said, ["(Pregunta por Ana.)", "¿Y Ana? Vale.", "Hola."]);
}

#[test]
fn metrics_report_the_time_of_each_stage() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.script_turn("Hola.", "Hola, Ana.");
    session.push_audio(&noise_16k(1000), 16_000).unwrap();
    session.end_utterance().unwrap();
    let metrics = reader.until("metrics");
    let EventKind::Metrics(metrics) = metrics.kind else { unreachable!() };
    let (transcript, text, audio) = (metrics.transcript_ms, metrics.first_text_ms, metrics.first_audio_ms);
    assert!(transcript.is_some() && transcript <= text && text <= audio, "{metrics:?}");
    assert_eq!(metrics.speech_ms, 1000);
    assert_eq!(metrics.reply_audio_ms, "Hola, Ana.".len() as u64 * 400 / 8);
}

#[test]
fn a_turn_finishes_when_its_audio_was_played() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(config());
    let turn = session.say("Hola, Ana.").unwrap();
    reader.until("reply_audio_done");
    let total = reader.samples_of(turn);
    session.played(turn, total - 1).unwrap();
    session.played(turn, 10).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(reader.events.try_next().unwrap(), None);
    session.played(turn, total).unwrap();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
}

#[test]
fn say_waits_for_the_turn_under_way() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let first = session.say("Uno.").unwrap();
    let second = session.say("Dos.").unwrap();
    reader.until_end_of(second);
    let order: Vec<(u64, String)> = reader
        .seen
        .iter()
        .filter(|e| ["turn_started", "turn_finished"].contains(&type_of(e).as_str()))
        .map(|e| (e.turn.unwrap().0, type_of(e)))
        .collect();
    let expected = [(first.0, "turn_started"), (first.0, "turn_finished"), (second.0, "turn_started")];
    assert_eq!(order[..3], expected.map(|(turn, kind)| (turn, kind.to_owned())));
}

#[test]
fn input_of_the_user_overtakes_queued_turns_of_the_host() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let gate = Gate::new();
    host.scripted.voice.before_next_word(Cue::Wait(gate.clone()));
    let speaking = session.say("Uno.").unwrap();
    let waiting = session.say("Dos.").unwrap();
    host.scripted.chat.then(["Sí."]);
    let typed = session.send_text("¡Un momento!").unwrap();
    for turn in [speaking, waiting] {
        let end = reader.until_end_of(turn);
        assert!(matches!(end.kind, EventKind::TurnInterrupted { reason: InterruptReason::BargeIn, .. }), "{end:?}");
    }
    gate.open();
    assert_eq!(type_of(&reader.until_end_of(typed)), "turn_finished");
}

#[test]
fn text_does_not_interrupt_an_uninterruptible_turn() {
    let host = Host::new();
    let config = SessionConfig { interruptible: false, playback: Playback::Assumed, ..config() };
    let (session, mut reader) = host.session_with(config);
    let gate = Gate::new();
    host.scripted.voice.before_next_word(Cue::Wait(gate.clone()));
    let speaking = session.say("Esto es importante.").unwrap();
    host.scripted.chat.then(["Sí."]);
    let typed = session.send_text("Pero…").unwrap();
    gate.open();
    assert_eq!(type_of(&reader.until_end_of(speaking)), "turn_finished");
    assert_eq!(type_of(&reader.until_end_of(typed)), "turn_finished");
}

#[test]
fn too_many_queued_turns_are_queue_full() {
    let host = Host::new();
    let (session, _reader) = host.session();
    host.scripted.voice.before_next_word(Cue::Wait(Gate::new()));
    let refused = (0..100).find_map(|_| session.say("Hola.").err()).expect("a limit");
    assert_eq!(refused.code(), ErrorCode::QueueFull);
}

#[test]
fn retry_reuses_the_audio_of_a_failed_turn() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.recognizer.then_cues([Cue::Fail(ErrorCode::RecognizerFailed)]);
    session.push_audio(&noise_16k(700), 16_000).unwrap();
    let failed = session.end_utterance().unwrap();
    assert_eq!(failure(&reader.until_end_of(failed)), (Stage::Recognise, ErrorCode::RecognizerFailed));
    let stored = session.audio(failed, AudioKind::User).unwrap();
    host.script_turn("Ahora sí.", "Muy bien.");
    let again = session.retry_turn(failed).unwrap();
    assert_eq!(type_of(&reader.until_end_of(again)), "turn_finished");
    let lens: Vec<usize> = host.scripted.recognizer.requests().iter().map(|r| r.audio.len()).collect();
    assert_eq!(lens[0], lens[1]);
    // The sound lies with the turn that succeeded, once.
    assert!(session.audio(again, AudioKind::User).unwrap() == stored, "stored unchanged");
    assert_eq!(session.audio(failed, AudioKind::User).unwrap_err().code(), ErrorCode::AudioGone);
    assert_eq!(session.retry_turn(tertulia::TurnId(99)).unwrap_err().code(), ErrorCode::TurnNotFound);
}

#[test]
fn a_second_events_reader_is_refused() {
    let host = Host::new();
    let (session, reader) = host.session();
    assert_eq!(session.events().unwrap_err().code(), ErrorCode::EventsTaken);
    drop(reader);
    session.events().unwrap();
}

#[test]
fn every_call_after_the_end_is_session_closed() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let id = session.id();
    session.end().unwrap();
    reader.read_to_the_end();
    assert_eq!(reader.types().last().unwrap(), "session_closed");
    assert_eq!(session.send_text("Hola").unwrap_err().code(), ErrorCode::SessionClosed);
    assert_eq!(session.push_audio(&[0.0], 16_000).unwrap_err().code(), ErrorCode::SessionClosed);
    assert_eq!(session.end().unwrap_err().code(), ErrorCode::SessionClosed);
    drop(session);
    assert_eq!(host.engine.open_session(id, &SessionUpdate::new()).unwrap_err().code(), ErrorCode::SessionClosed);
    assert!(host.engine.shut_down(Duration::from_secs(10)).unwrap().is_empty());
    assert_eq!(host.engine.create_session(config()).unwrap_err().code(), ErrorCode::EngineClosed);
}
