//! The format of scripted conversations (`tertulia talk --simulate`).
//!
//! A script is a JSON file:
//!
//! ```json
//! {
//!   "echo_db": -12,
//!   "echo_delay_ms": 120,
//!   "lines": [
//!     { "at_s": 0.5, "tutor": "Hola. Te cuento mi fin de semana." },
//!     { "after": "reply_audio_delta", "delay_s": 2, "say": "Sí." },
//!     { "after": "playback_resume", "delay_s": 1, "file": "question.wav" }
//!   ]
//! }
//! ```
//!
//! `echo_db` is the level of the speaker's echo in the microphone, 0 or less, and `echo_delay_ms` its delay; without
//! `echo_db` there is no echo. Lines are spoken in order, each after the line before it: `at_s` seconds after the start, or
//! `delay_s` seconds (0 by default) after the first event of the type `after` since the line before. A line is an utterance
//! of the learner, given as an audio `file` (relative to the script's folder) or as a text to `say` (optionally with
//! `voice`, `language` and the rate `speed`), or a text for the `tutor` to speak.

use crate::output::read_file;
use crate::setup;
use crate::sound::room::RATE_HZ;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tertulia::{Engine, Error, ErrorCode, LanguageTag, Result, audio};

/// The built-in script.
const DEMO: &str = include_str!("../scripts/demo.json");

/// The longest echo delay.
const ECHO_DELAY_MS_MAX: u32 = 2_000;

/// A script, checked.
#[derive(Debug)]
pub(crate) struct Script {
    /// The gain of the echo, 0 to 1.
    pub(crate) echo_gain: f32,
    pub(crate) echo_delay_ms: u32,
    pub(crate) lines: Vec<Line>,
    folder: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) when: When,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum When {
    /// Milliseconds after the start.
    At(u64),
    /// Milliseconds after an event of this type.
    After(String, u64),
}

#[derive(Debug)]
pub(crate) enum What {
    File(PathBuf),
    Say { text: String, manner: Manner },
    Tutor(String),
}

/// The voice of a line; absent fields have the language's defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manner {
    pub(crate) language: Option<LanguageTag>,
    pub(crate) voice: Option<String>,
    pub(crate) speed: Option<f32>,
}

/// The script as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenScript {
    echo_db: Option<f32>,
    #[serde(default)]
    echo_delay_ms: u32,
    lines: Vec<WrittenLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLine {
    at_s: Option<f64>,
    after: Option<String>,
    delay_s: Option<f64>,
    file: Option<PathBuf>,
    say: Option<String>,
    language: Option<LanguageTag>,
    voice: Option<String>,
    speed: Option<f32>,
    tutor: Option<String>,
}

impl Script {
    /// Reads a script from a file; `demo` is built in.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if path == Path::new("demo") && !path.exists() {
            return Self::parse(DEMO.as_bytes(), folder);
        }
        Self::parse(&read_file(path)?, folder)
    }

    fn parse(json: &[u8], folder: PathBuf) -> Result<Self> {
        let written: WrittenScript = serde_json::from_slice(json).map_err(|source| {
            Error::new(ErrorCode::InvalidArgument, format!("script: {source}")).with_source(source)
        })?;
        let echo_gain = match written.echo_db {
            Some(db) if (-100.0..=0.0).contains(&db) => 10f32.powf(db / 20.0),
            Some(_) => return Err(invalid("echo_db is outside -100 to 0")),
            None => 0.0,
        };
        if written.echo_delay_ms > ECHO_DELAY_MS_MAX {
            return Err(invalid(&format!("echo_delay_ms is over {ECHO_DELAY_MS_MAX}")));
        }
        let lines = written
            .lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| line.checked().map_err(|what| invalid(&format!("line {}: {what}", index + 1))));
        Ok(Self { echo_gain, echo_delay_ms: written.echo_delay_ms, lines: lines.collect::<Result<_>>()?, folder })
    }

    /// The audio of the learner's line, at the room's rate; `None` for a line of the tutor.
    pub(crate) fn sound(&self, line: &Line, engine: &Engine, target: &LanguageTag) -> Result<Option<Vec<f32>>> {
        let (samples, rate) = match &line.what {
            What::Tutor(_) => return Ok(None),
            What::File(path) => {
                let pcm = audio::decode(&read_file(&self.folder.join(path))?)?;
                (pcm.samples, pcm.rate)
            }
            What::Say { text, manner } => setup::synthesize_learner(engine, text, target, manner)?,
        };
        audio::resample(&samples, rate, RATE_HZ).map(Some)
    }
}

impl WrittenLine {
    fn checked(self) -> std::result::Result<Line, &'static str> {
        let ms = |seconds: f64| match (0.0..=86_400.0).contains(&seconds) {
            true => Ok((seconds * 1000.0) as u64),
            false => Err("time is outside 0 to 86400 s"),
        };
        let when = match (self.at_s, self.after, self.delay_s) {
            (Some(at_s), None, None) => When::At(ms(at_s)?),
            (None, Some(event), delay_s) => When::After(event, ms(delay_s.unwrap_or(0.0))?),
            _ => return Err("line has no time: expected at_s, or after with or without delay_s"),
        };
        let manner = Manner { language: self.language, voice: self.voice, speed: self.speed };
        if self.say.is_none() && manner != Manner::default() {
            return Err("language, voice and speed need say");
        }
        let what = match (self.file, self.say, self.tutor) {
            (Some(file), None, None) => What::File(file),
            (None, Some(text), None) => What::Say { text, manner },
            (None, None, Some(text)) => What::Tutor(text),
            _ => return Err("expected one of file, say and tutor"),
        };
        Ok(Line { when, what })
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("script: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Script> {
        Script::parse(json.as_bytes(), PathBuf::new())
    }

    #[test]
    fn script_lines_parse_with_their_times() {
        let script = parse(
            r#"{"echo_db": -20, "lines": [{"at_s": 1.5, "file": "a.wav"}, {"after": "reply_audio_delta", "say": "Sí."}]}"#,
        )
        .unwrap();
        assert!((script.echo_gain - 0.1).abs() < 1e-6);
        assert!(matches!(&script.lines[0], Line { when: When::At(1_500), what: What::File(_) }));
        assert!(matches!(&script.lines[1], Line { when: When::After(_, 0), what: What::Say { .. } }));
    }

    #[test]
    fn contradictory_script_lines_are_refused() {
        for line in [
            r#"{"say": "Hola"}"#,
            r#"{"at_s": 1}"#,
            r#"{"at_s": 1, "after": "reply_audio_delta", "say": "Hola"}"#,
            r#"{"at_s": -1, "say": "Hola"}"#,
            r#"{"at_s": 1, "say": "Hola", "tutor": "Hola"}"#,
            r#"{"at_s": 1, "tutor": "Hola", "voice": "ef_dora"}"#,
            r#"{"at_s": 1, "says": "Hola"}"#,
        ] {
            let error = parse(&format!(r#"{{"lines": [{line}]}}"#)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{line}");
        }
        assert!(parse(r#"{"echo_db": 6, "lines": []}"#).is_err());
    }

    #[test]
    fn built_in_script_parses() {
        assert!(Script::parse(DEMO.as_bytes(), PathBuf::new()).unwrap().lines.len() > 2);
    }
}
