//! Streaming: text and audio are emitted as they are made, with backpressure.

use crate::support::{Host, type_of};
use tertulia::event::EventKind;
use tertulia::testing::scripted::{Cue, Gate, noise_16k};

#[test]
fn the_events_of_a_spoken_turn_come_in_order() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    host.scripted.recognizer.then("Hola, quiero un café.");
    host.scripted.chat.then(["¡Claro que sí, ", "ahora mismo! ", "¿Algo más?"]);
    session.push_audio(&noise_16k(1000), 16_000).unwrap();
    let turn = session.end_utterance().unwrap();
    reader.until_end_of(turn);
    let mut types = reader.types();
    types.dedup();
    // Text and audio pass each other; everything else has its place.
    let frame: Vec<&str> =
        types.iter().map(String::as_str).filter(|t| !["reply_text_delta", "reply_audio_delta"].contains(t)).collect();
    assert_eq!(
        frame,
        [
            "session_opened",
            "turn_started",
            "utterance_ended",
            "transcript_partial",
            "transcript_done",
            "reply_text_done",
            "reply_audio_done",
            "metrics",
            "turn_finished"
        ]
    );
    let seqs: Vec<u64> = reader.seen.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn the_first_text_and_audio_arrive_before_the_second_step() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let gate = Gate::new();
    host.scripted.chat.then([
        Cue::Item("¡Buenos días, Ana! ¿Cómo".to_owned()),
        Cue::Wait(gate.clone()),
        Cue::Item(" estás?".to_owned()),
    ]);
    let turn = session.send_text("Buenos días").unwrap();
    // The gate is shut: these come from the first step alone.
    let text = reader.until("reply_text_delta");
    assert!(matches!(&text.kind, EventKind::ReplyTextDelta { text } if text.starts_with("¡Buenos")));
    let audio = reader.until("reply_audio_delta");
    assert!(matches!(&audio.kind, EventKind::ReplyAudioDelta { chunk: 0, pcm, .. } if !pcm.is_empty()));
    assert!(!reader.types().contains(&"reply_text_done".to_owned()));
    gate.open();
    assert_eq!(type_of(&reader.until_end_of(turn)), "turn_finished");
}

#[test]
fn the_first_audio_arrives_before_the_rest_of_the_clause() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let gate = Gate::new();
    host.scripted.voice.before_next_word(Cue::Item(()));
    host.scripted.voice.before_next_word(Cue::Wait(gate.clone()));
    let turn = session.say("Buenos días.").unwrap();
    reader.until("reply_audio_delta");
    gate.open();
    reader.until_end_of(turn);
    assert_eq!(reader.types().iter().filter(|t| *t == "reply_audio_delta").count(), 2);
}

#[test]
fn a_full_event_queue_applies_backpressure_to_the_backends() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let word = "no ";
    host.scripted.chat.then([word.repeat(1000).as_str()]);
    let turn = session.send_text("Habla mucho").unwrap();
    reader.until("reply_audio_delta");
    std::thread::sleep(std::time::Duration::from_millis(300));
    // The events read now were made ahead: not a thousand words.
    let mut ahead = 0;
    while let Some(event) = reader.events.try_next().unwrap() {
        reader.seen.push(event);
        ahead += 1;
        if ahead > 400 {
            panic!("the engine made {ahead} events ahead of the reader");
        }
        if ahead == 120 {
            break;
        }
    }
    reader.until_end_of(turn);
    assert_eq!(reader.types().iter().filter(|t| *t == "reply_audio_delta").count(), 1000);
}

#[test]
fn markdown_and_emoji_are_displayed_and_not_spoken() {
    let host = Host::new();
    let (session, mut reader) = host.session();
    let reply = "**¡Muy bien!** Has dicho `quiero` 😀. ¿Algo más?";
    host.scripted.chat.then([reply]);
    let turn = session.send_text("Quiero un café.").unwrap();
    let end = reader.until_end_of(turn);
    assert!(matches!(&end.kind, EventKind::TurnFinished { reply_text } if reply_text == reply));
    let spoken: String = host.scripted.voice.requests().iter().map(|request| request.text.clone()).collect();
    assert_eq!(spoken.split_whitespace().collect::<Vec<_>>().join(" "), "¡Muy bien! Has dicho quiero . ¿Algo más?");
    // The places of the words are those in the text that is shown.
    let word = reader.seen.iter().find_map(|event| match &event.kind {
        EventKind::ReplyAudioDelta { words, .. } => {
            words.iter().find(|word| reply[word.text_span.clone()] == *"quiero")
        }
        _ => None,
    });
    assert!(word.is_some());
    // A chunk may end in the silence that stands for an emoji, and not inside of it.
    for event in &reader.seen {
        if let EventKind::ReplyAudioDelta { text_span, .. } = &event.kind {
            assert!(reply.get(text_span.clone()).is_some(), "{text_span:?}");
        }
    }
}
