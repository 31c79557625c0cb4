//! The JSON form of events, against its golden file and its page of documentation.

use std::collections::BTreeSet;
use std::sync::Arc;
use tertulia::backend::{Message, Role};
use tertulia::event::{
    EndReason, ErrorInfo, Event, EventKind, InterruptReason, Metrics, SpokenWord, Stage, Transcript, TurnOrigin, Word,
};
use tertulia::{ErrorCode, SessionId, TurnId};

fn kinds() -> Vec<EventKind> {
    let mut transcript = Transcript::from("Hola, Ana.".to_owned());
    transcript.language = Some("es".parse().unwrap());
    transcript.language_probability = 0.75;
    transcript.no_speech_probability = 0.125;
    transcript.average_log_probability = -0.25;
    transcript.words = vec![Word::new("Hola,", 120..480, 0.5)];
    let mut draft = transcript.clone();
    (draft.language, draft.finished_probability) = (None, Some(0.25));
    let mut all_latencies = Metrics::default();
    (all_latencies.decided_ms, all_latencies.transcript_ms) = (Some(300), Some(500));
    (all_latencies.first_text_ms, all_latencies.first_audio_ms) = (Some(700), Some(900));
    all_latencies.computed_ms = Some(1500);
    let mut costs = Metrics::default();
    (costs.first_audio_ms, costs.evaluated_tokens) = (Some(800), 12);
    let word = SpokenWord::new(0..4, "es".parse().unwrap(), 600..9000);
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
        EventKind::Metrics(costs),
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
            let mut event = Event::new(kind, seq, seq * 10);
            (event.session, event.turn) = (Some(session), (seq % 2 == 0).then_some(TurnId(4)));
            event.to_json()
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
        let json = Event::new(kind, 1, 2).to_json();
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
        let mut event = Event::new(kind, 1, 3);
        (event.session, event.turn) = (Some(SessionId::new(0)), Some(TurnId(2)));
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

#[test]
fn reserved_names_have_no_meaning_yet() {
    const RESERVED: [&str; 4] = ["reply_data", "tool", "tool_calls", "tool_call_id"];
    let (_, page) = include_str!("../../docs/events.md").split_once("## Reserved names").unwrap();
    assert!(RESERVED.iter().all(|name| page.contains(&format!("`{name}`"))));
    let data = r#"{"type":"reply_data","seq":9,"at_ms":2,"turn":4,"data":{"mood":"glad"}}"#;
    let event = Event::from_json(data).unwrap();
    assert_eq!((event.kind, event.seq, event.turn), (EventKind::Unknown, 9, Some(TurnId(4))));
    assert!(serde_json::from_str::<Role>("\"tool\"").is_err());
    let message = serde_json::json!(Message::new(Role::User, "Hola."));
    assert!(RESERVED.iter().all(|name| message.get(name).is_none()));
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
