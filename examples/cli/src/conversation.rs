//! Runs one turn and tells its events as they come.

use crate::output::Output;
use std::time::{Duration, Instant};
use tertulia::event::{EventKind, Metrics};
use tertulia::{Engine, Error, ErrorCode, Events, Result, TurnId};

/// How long nothing may happen: the largest model takes less to load on a slow disk.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a turn gave.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) reply_pcm: Vec<f32>,
    pub(crate) reply_rate: u32,
    pub(crate) metrics: Metrics,
}

/// Reads events up to the turn's end. With `--json` each is a line; else what people want to read is printed.
pub(crate) fn tell_turn(engine: &Engine, events: &Events, turn: TurnId, output: &Output) -> Result<Told> {
    let mut told = Told::default();
    let mut last_event = Instant::now();
    while last_event.elapsed() < PATIENCE {
        while let Some(event) = engine.next_event(Duration::ZERO)? {
            last_event = Instant::now();
            output.json_line(&event.to_json())?;
            if let EventKind::ModelLoading { model, progress: 0.0 } = event.kind {
                tracing::info!(model, "loading");
            }
        }
        let Some(event) = events.next_timeout(Duration::from_millis(100))? else { continue };
        last_event = Instant::now();
        output.json_line(&event.to_json())?;
        let is_this_turn = event.turn == Some(turn);
        match event.kind {
            EventKind::TranscriptDone { transcript, .. } => output.text(&format!("learner: {}", transcript.text))?,
            EventKind::TurnStarted { .. } => {}
            EventKind::ReplyTextDelta { text } => output.text_part(&text)?,
            EventKind::ReplyTextDone { .. } => output.text_part("\n")?,
            EventKind::ReplyAudio { pcm, rate, .. } => {
                told.reply_pcm.extend_from_slice(&pcm);
                told.reply_rate = rate;
            }
            EventKind::Metrics(metrics) => told.metrics = metrics,
            EventKind::TurnFinished { .. } | EventKind::TurnInterrupted { .. } if is_this_turn => return Ok(told),
            EventKind::TurnFailed { error, .. } if is_this_turn => return Err(Error::new(error.code, error.detail)),
            _ => {}
        }
    }
    Err(Error::new(ErrorCode::Internal, "the turn does not end"))
}
