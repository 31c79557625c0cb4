//! Interruptions: heard text, purged audio, dropped results.

use crate::support::{Host, config, type_of};
use tertulia::event::{EventKind, InterruptReason};
use tertulia::testing::scripted::{Cue, Gate, SAMPLES_PER_BYTE};
use tertulia::{ErrorCode, SessionConfig};

#[test]
fn heard_text_ends_at_the_last_word_played() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(config());
    let turn = session.say("uno dos tres cuatro").unwrap();
    reader.until("reply_audio_done");
    session.interrupt().unwrap();
    reader.until("playback_flush");
    session.played(turn, (SAMPLES_PER_BYTE * "uno dos tr".len()) as u64).unwrap();
    let end = reader.until_end_of(turn);
    assert_eq!(
        end.kind,
        EventKind::TurnInterrupted { reason: InterruptReason::Cancel, heard_text: "uno dos".into(), estimated: false }
    );
    let stored = session.turns().unwrap().pop().unwrap();
    assert_eq!((stored.reply_text.as_str(), stored.heard_text.as_deref()), ("uno dos tres cuatro", Some("uno dos")));
}

#[test]
fn the_chat_model_gets_the_heard_text_after_an_interruption() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(config());
    host.scripted.chat.then(["uno dos tres cuatro"]);
    let turn = session.send_text("Cuenta.").unwrap();
    reader.until("reply_audio_done");
    session.played(turn, (SAMPLES_PER_BYTE * "uno".len()) as u64).unwrap();
    host.scripted.chat.then(["Vale."]);
    session.send_text("¡Basta!").unwrap();
    reader.until_end_of(turn);
    reader.until("reply_audio_done");
    let request = host.scripted.chat.requests().pop().unwrap();
    assert!(request.messages.iter().any(|message| message.content == "uno"), "{:?}", request.messages);
    assert!(!request.messages.iter().any(|message| message.content.contains("cuatro")));
}

#[test]
fn an_interruption_waits_briefly_for_the_last_played_report() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(config());
    let turn = session.say("uno dos tres").unwrap();
    reader.until("reply_audio_done");
    let before = std::time::Instant::now();
    session.interrupt().unwrap();
    let end = reader.until_end_of(turn);
    assert!(matches!(&end.kind, EventKind::TurnInterrupted { heard_text, .. } if heard_text.is_empty()));
    assert!(before.elapsed() >= std::time::Duration::from_millis(90), "the last report was waited for");
}

#[test]
fn unread_audio_of_a_cancelled_turn_is_purged() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(config());
    let turn = session.say("uno dos tres cuatro cinco").unwrap();
    let first = reader.until("reply_audio_delta");
    assert_eq!(first.turn, Some(turn));
    std::thread::sleep(std::time::Duration::from_millis(100));
    session.interrupt().unwrap();
    // The call only tells the engine; a host that reads on at once may still get some.
    std::thread::sleep(std::time::Duration::from_millis(50));
    reader.until_end_of(turn);
    assert_eq!(reader.types().iter().filter(|kind| *kind == "reply_audio_delta").count(), 1, "{:?}", reader.types());
}

#[test]
fn output_latency_is_subtracted_from_the_heard_text() {
    let host = Host::new();
    let (session, mut reader) = host.session_with(SessionConfig { output_latency_ms: 200, ..config() });
    let turn = session.say("uno dos tres cuatro").unwrap();
    reader.until("reply_audio_done");
    session.interrupt().unwrap();
    // 200 ms are 1,600 samples: four bytes of this voice.
    session.played(turn, (SAMPLES_PER_BYTE * "uno dos".len()) as u64).unwrap();
    let end = reader.until_end_of(turn);
    assert!(matches!(&end.kind, EventKind::TurnInterrupted { heard_text, .. } if heard_text == "uno"), "{end:?}");
}

#[test]
fn late_results_of_a_cancelled_turn_are_dropped() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let gate = Gate::new();
    host.scripted.chat.then([
        Cue::Item("Primero. ".to_owned()),
        Cue::Wait(gate.clone()),
        Cue::Item("Demasiado tarde.".to_owned()),
    ]);
    let slow = session.send_text("Hola").unwrap();
    reader.until("reply_text_delta");
    session.interrupt().unwrap();
    reader.until_end_of(slow);
    gate.open();
    host.scripted.chat.then(["Segundo."]);
    let next = session.send_text("¿Y ahora?").unwrap();
    let end = reader.until_end_of(next);
    assert!(matches!(&end.kind, EventKind::TurnFinished { reply_text } if reply_text == "Segundo."));
    assert!(!reader.seen.iter().any(|event| event.to_json().contains("Demasiado")));
    assert!(session.interrupt().is_ok(), "nothing to stop is no error");
    assert_eq!(type_of(&end), "turn_finished");
    assert_ne!(session.interrupt().map_err(|error| error.code()), Err(ErrorCode::Internal));
}
