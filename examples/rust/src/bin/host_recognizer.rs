//! A recogniser of the host: a program that reads a WAV file on stdin and prints its words.
//!
//! `cargo run -p tertulia-examples --bin host_recognizer -- RECORDING PROGRAM [ARGUMENT ...]`

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::{env, fs, sync::Arc, thread, time::Duration};
use tertulia::audio::write_wav;
use tertulia::backend::*;
use tertulia::{EngineBuilder, Error, ErrorCode, EventKind, LanguageTag, Result, SessionConfig, SessionEngine};

struct External(Vec<String>);

impl Model for External {
    fn name(&self) -> &str {
        "external"
    }
}

impl Recognizer for External {
    fn languages(&self) -> Vec<LanguageTag> {
        ["en", "es"].map(|tag| tag.parse().expect("a language tag")).into()
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let (program, (sender, steps)) = (self.0.clone(), steps_channel());
        thread::spawn(move || match run(&program, &write_wav(&request.audio, LISTEN_RATE_HZ)) {
            Ok(text) => sender.send(RecognitionStep::Final(text.into())).unwrap_or_default(), // may be cancelled
            Err(error) => sender.fail(Error::new(ErrorCode::RecognizerFailed, "program failed").with_source(error)),
        });
        Ok(steps)
    }
}

fn run(program: &[String], wav: &[u8]) -> io::Result<String> {
    let mut command = Command::new(&program[0]);
    let mut child = command.args(&program[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().expect("it is piped").write_all(wav)?;
    let output = child.wait_with_output()?;
    let words = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    if output.status.success() { Ok(words) } else { Err(io::Error::other(output.status.to_string())) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, recording, _program, ..] = &arguments[..] else { return Err("no recording or no program".into()) };
    let backends = Backends { recognizer: Some(Arc::new(External(arguments[2..].to_vec()))), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build()?;
    let session = engine.create_session(SessionConfig::new("en".parse()?, "es".parse()?))?;
    let events = session.events()?;
    session.push_encoded(fs::read(recording)?)?;
    loop {
        match events.next_timeout(Duration::from_secs(60))?.ok_or("no transcript within a minute")?.kind {
            EventKind::TranscriptDone { transcript, .. } => return Ok(writeln!(io::stdout(), "{}", transcript.text)?),
            EventKind::TurnFailed { error, .. } => return Err(Error::new(error.code, error.detail).into()),
            _ => {}
        }
    }
}
