//! Output: text for people, or JSON lines for programs.

use crossterm::terminal::is_raw_mode_enabled;
use serde::Serialize;
use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;
use tertulia::{Error, ErrorCode, Result};

pub(crate) struct Output {
    json: bool,
    /// A status line is shown, which the next line replaces.
    status: Cell<bool>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, status: Cell::new(false) }
    }

    /// A result: JSON with `--json`, else the text.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            let json = serde_json::to_string(value)
                .map_err(|source| Error::new(ErrorCode::Internal, "a result without JSON form").with_source(source))?;
            return line(&json);
        }
        line(&text())
    }

    /// One line that is JSON already; nothing without `--json`.
    pub(crate) fn json_line(&self, json: &str) -> Result<()> {
        if self.json { line(json) } else { Ok(()) }
    }

    /// One line for people; nothing with `--json`.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        if self.json {
            return Ok(());
        }
        self.status("")?;
        line(text)
    }

    /// The status line of a terminal, shown until something else is printed; nothing elsewhere.
    pub(crate) fn status(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json || !stdout.is_terminal() || (text.is_empty() && !self.status.get()) {
            return Ok(());
        }
        self.status.set(!text.is_empty());
        write!(stdout, "\r\x1b[K{text}").and_then(|()| stdout.flush()).or_else(ended_reader)
    }

    /// A part of a line for people, at once.
    pub(crate) fn text_part(&self, text: &str) -> Result<()> {
        if self.json {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).or_else(ended_reader)
    }

    /// The last line of a command that failed.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            let code = error.code();
            let value = serde_json::json!({
                "type": "error", "code": code.number(), "name": code.name(), "detail": error.detail(),
                "retryable": error.is_retryable(),
            });
            let _ = line(&value.to_string());
        }
        let _ = writeln!(io::stderr(), "error: {error}");
    }

    /// A progress bar on a terminal, a line now and then elsewhere, nothing with `--json`.
    pub(crate) fn progress(&self) -> ProgressBar {
        let bar = (!self.json && io::stderr().is_terminal()).then(|| {
            let bar = indicatif::ProgressBar::new(0);
            if let Ok(style) = indicatif::ProgressStyle::with_template("{msg:40} {bar:30} {bytes}/{total_bytes} {eta}")
            {
                bar.set_style(style);
            }
            bar
        });
        ProgressBar { bar, quiet: self.json, last: String::new() }
    }
}

pub(crate) struct ProgressBar {
    bar: Option<indicatif::ProgressBar>,
    quiet: bool,
    last: String,
}

impl ProgressBar {
    pub(crate) fn show(&mut self, what: &str, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
            bar.set_length(total);
            bar.set_position(done);
            bar.enable_steady_tick(Duration::from_millis(200));
        } else if !self.quiet && self.last != what {
            let _ = writeln!(io::stderr(), "{what} …");
            what.clone_into(&mut self.last);
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes a file of the user's.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|source| file_error("written", path, source))
}

/// Reads a file of the user's.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| file_error("read", path, source))
}

pub(crate) fn file_error(what: &str, path: &Path, source: io::Error) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("{} could not be {what}: {source}", path.display()))
        .with_source(source)
}

fn line(text: &str) -> Result<()> {
    // A terminal that gives single keys takes a line's end to the letter.
    let end = if is_raw_mode_enabled().unwrap_or(false) { "\r\n" } else { "\n" };
    write!(io::stdout(), "{text}{end}").or_else(ended_reader)
}

/// A reader that has seen enough, such as `head`, is no failure.
fn ended_reader(error: io::Error) -> Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidArgument, "stdout cannot be written").with_source(error))
}
