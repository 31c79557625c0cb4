//! Tracing: the spans of a turn, without words of the user.
//!
//! Alone in its process: `tracing` caches for each span whether the first thread to reach it has a subscriber, and the
//! thread of another test has none.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tertulia::backend::block_on;
use tertulia::testing::scripted::{Cue, Scripted, noise_16k};
use tertulia::{EngineBuilder, ErrorCode, Playback, SessionConfig, SessionEngine};
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_stage_is_a_tracing_span_without_words_of_the_conversation() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let scripted = Scripted::new();
        let (engine, mut driver) = block_on(EngineBuilder::new().backends(scripted.backends()).build_local()).unwrap();
        let config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
        let session = engine.create_session(SessionConfig { playback: Playback::Assumed, ..config }).unwrap();
        scripted.recognizer.then("Vivo en Utrecht.");
        scripted.chat.then(["Utrecht es bonita."]);
        scripted.chat.then([Cue::Item("Hasta".to_owned()), Cue::Fail(ErrorCode::ChatFailed)]);
        session.push_audio(&noise_16k(600), 16_000).unwrap();
        session.end_utterance().unwrap();
        driver.run_until_idle();
        session.send_text("Adiós, Utrecht.").unwrap();
        driver.run_until_idle();
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for stage in ["stage=Decode", "stage=Recognise", "stage=Reply", "stage=Speak", "summary{", "commit{turns=1}"] {
        let span = log.lines().find(|line| line.contains(stage)).unwrap_or_else(|| panic!("no {stage} in\n{log}"));
        assert!(span.contains("time.busy="), "{span}");
    }
    assert!(log.contains("a turn failed"));
    for word in ["Utrecht", "bonita", "Hasta", "Adiós"] {
        assert!(!log.contains(word), "{word} is in\n{log}");
    }
}
