//! The JSON form of events, against its golden file and its page of documentation.

use std::collections::BTreeSet;
use std::sync::Arc;
use tertulia::event::{
    EndReason, ErrorInfo, Event, EventKind, InterruptReason, Metrics, SpokenWord, Stage, Transcript, TurnOrigin, Word,
};
use tertulia::{ErrorCode, SessionId, TurnId};

fn kinds() -> Vec<EventKind> {
    let transcript = Transcript {
        text: "Hola, Ana.".into(),
        language: Some("es".parse().unwrap()),
        language_probability: 0.75,
        no_speech_probability: 0.125,
        average_log_probability: -0.25,
        finished_probability: None,
        words: vec![Word { text: "Hola,".into(), start_ms: 120, end_ms: 480, confidence: 0.5 }],
    };
    let draft = Transcript { language: None, finished_probability: Some(0.25), ..transcript.clone() };
    let all_latencies = Metrics {
        decided_ms: Some(300),
        transcript_ms: Some(500),
        first_text_ms: Some(700),
        first_audio_ms: Some(900),
        computed_ms: Some(1500),
        ..Metrics::default()
    };
    let word = SpokenWord { text_span: 0..4, language: "es".parse().unwrap(), start_sample: 600, end_sample: 9000 };
    let error = ErrorInfo::from(&tertulia::Error::new(ErrorCode::ChatFailed, "why"));
    vec![
        EventKind::SessionOpened { resumed: true, turns: 3 },
        EventKind::TurnStarted { origin: TurnOrigin::Utterance, retry_of: None, corrects: None },
        EventKind::TurnStarted { origin: TurnOrigin::Text, retry_of: Some(TurnId(1)), corrects: None },
        EventKind::SpeechStarted { start_ms: 10 },
        EventKind::SpeechStopped { end_ms: 900 },
        EventKind::UtteranceEnded { start_ms: 10, end_ms: 900, decided_ms: 1000, reason: EndReason::Host },
        EventKind::TranscriptPartial { text: "Hola".into(), stable_len: 4 },
        EventKind::TranscriptDone { transcript, stored: true },
        EventKind::ReplyTextDelta { text: "¿Qué".into() },
        EventKind::ReplyTextDone { text: "¿Qué tal?".into() },
        EventKind::ReplyAudioDelta {
            chunk: 0,
            rate: 24_000,
            samples: 3,
            pcm: Arc::default(),
            text_span: 0..11,
            words: vec![word],
        },
        EventKind::ReplyAudioDone { samples_total: 3 },
        EventKind::PlaybackPause,
        EventKind::PlaybackResume,
        EventKind::PlaybackFlush,
        EventKind::TurnFinished { reply_text: "¿Qué tal?".into() },
        EventKind::TurnInterrupted { reason: InterruptReason::BargeIn, heard_text: "¿Qué".into(), estimated: false },
        EventKind::TurnFailed { stage: Stage::Reply, error: error.clone() },
        EventKind::Metrics(Metrics { first_audio_ms: Some(800), evaluated_tokens: 12, ..Metrics::default() }),
        EventKind::SessionClosed { ended: true },
        EventKind::ModelLoading { model: "whisper-base".into(), progress: 0.5 },
        EventKind::Error(error),
        EventKind::Idle { silence_ms: 5_000 },
        EventKind::UtteranceEnded { start_ms: 10, end_ms: 900, decided_ms: 1200, reason: EndReason::InputStalled },
        EventKind::TurnStarted { origin: TurnOrigin::Utterance, retry_of: None, corrects: Some(TurnId(3)) },
        EventKind::TranscriptDone { transcript: draft, stored: false },
        EventKind::Metrics(all_latencies),
    ]
}

#[test]
fn event_json_equals_the_golden_file() {
    let session = SessionId("0192f0c1-2345-7abc-8def-0123456789ab".parse().unwrap());
    let lines: Vec<String> = kinds()
        .into_iter()
        .zip(1..)
        .map(|(kind, seq)| {
            let turn = (seq % 2 == 0).then_some(TurnId(4));
            Event { kind, seq, session: Some(session), turn, at_ms: seq * 10 }.to_json()
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/events.jsonl");
    let now = lines.join("\n") + "\n";
    // A change of the form is a change for every binding: TERTULIA_WRITE_GOLDEN=1 rewrites the file.
    if std::env::var_os("TERTULIA_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(path).expect("the golden file");
    for (now, golden) in now.lines().zip(golden.lines()) {
        assert_eq!(now, golden);
    }
    assert_eq!(now.lines().count(), golden.lines().count());
}

#[test]
fn event_json_is_one_line_with_type_seq_and_at_ms() {
    for kind in kinds() {
        let json = Event { kind, seq: 1, session: None, turn: None, at_ms: 2 }.to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let object = value.as_object().unwrap();
        assert!(object["type"].is_string() && object["seq"] == 1 && object["at_ms"] == 2);
        assert!(!object.contains_key("session") && !object.contains_key("turn"));
        assert!(!json.contains('\n'));
    }
}

#[test]
fn event_json_reads_back_equal() {
    for kind in kinds() {
        let event = Event { kind, seq: 1, session: Some(SessionId::new(0)), turn: Some(TurnId(2)), at_ms: 3 };
        assert_eq!(Event::from_json(&event.to_json()).unwrap(), event);
    }
}

#[test]
fn event_json_of_a_newer_version_is_read() {
    let read = |json: &str| Event::from_json(json).map(|event| event.kind);
    let stopped = r#"{"type":"speech_stopped","seq":1,"at_ms":2,"end_ms":900,"new_field":{"x":[1]}}"#;
    assert_eq!(read(stopped).unwrap(), EventKind::SpeechStopped { end_ms: 900 });
    let reason =
        r#"{"type":"turn_interrupted","seq":1,"at_ms":2,"reason":"new_reason","heard_text":"","estimated":false}"#;
    assert_eq!(read(reason).unwrap(), EventKind::Unknown);
    let error = r#"{"type":"error","seq":1,"at_ms":2,"code":999,"name":"NewError","retryable":true,"detail":"why"}"#;
    let Ok(EventKind::Error(error)) = read(error) else { panic!("not an error") };
    assert_eq!((error.code, &*error.name, error.retryable), (ErrorCode::Unknown(999), "NewError", true));
    for json in ["", "{}", r#"{"seq":1,"at_ms":2}"#, r#"{"type":"idle","at_ms":2}"#, r#"{"type":7,"seq":1,"at_ms":2}"#]
    {
        assert_eq!(read(json).unwrap_err().code(), ErrorCode::InvalidArgument, "{json}");
    }
}

/// The paths of an event's own fields, such as `words[].text`; one empty path for an event without any.
fn fields(event: &serde_json::Value) -> Vec<String> {
    const COMMON: [&str; 5] = ["type", "seq", "session", "turn", "at_ms"];
    let own = event.as_object().unwrap().iter().filter(|(name, _)| !COMMON.contains(&name.as_str()));
    let mut paths = Vec::new();
    for (name, value) in own {
        assert!(!value.is_null(), "{name} is null in {event}");
        match value.as_array().map(Vec::as_slice) {
            Some([serde_json::Value::Object(item), ..]) => {
                paths.extend(item.keys().map(|inner| format!("`{name}[].{inner}`")));
            }
            _ => paths.push(format!("`{name}`")),
        }
    }
    if paths.is_empty() { vec![String::new()] } else { paths }
}

#[test]
fn every_event_type_and_field_is_documented() {
    let documented: BTreeSet<(String, String)> = include_str!("../../docs/events.md")
        .lines()
        .skip_while(|line| *line != "## Types")
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().to_owned());
            (cells.next().unwrap().replace('`', ""), cells.next().unwrap())
        })
        .collect();
    let golden: BTreeSet<(String, String)> = include_str!("golden/events.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .flat_map(|event: serde_json::Value| {
            let kind = event["type"].as_str().unwrap().to_owned();
            fields(&event).into_iter().map(move |field| (kind.clone(), field))
        })
        .collect();
    assert_eq!(documented, golden);
}
