//! Printers of a session's events: of one turn, and of a conversation in real time.

use crate::output::Output;
use crate::sound::player::{Player, lock};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tertulia::event::{EventKind, Metrics};
use tertulia::{Engine, Error, ErrorCode, Event, Events, Result, Session, SessionEngine, TurnId};

/// The longest time without an event: the largest model takes less to load on a slow disk.
const PATIENCE: Duration = Duration::from_secs(600);

/// The result of a turn.
#[derive(Default)]
pub(crate) struct TurnResult {
    pub(crate) reply_pcm: Vec<f32>,
    pub(crate) reply_rate: u32,
    pub(crate) metrics: Metrics,
}

/// Prints events up to the turn's end: with `--json` each as a line, else the texts.
pub(crate) fn print_turn(engine: &Engine, events: &Events, turn: TurnId, output: &Output) -> Result<TurnResult> {
    let mut result = TurnResult::default();
    let mut last_event = Instant::now();
    let engine_events = engine.events()?;
    while last_event.elapsed() < PATIENCE {
        while let Some(event) = engine_events.try_next()? {
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
            EventKind::ReplyAudioDelta { pcm, rate, .. } => {
                result.reply_pcm.extend_from_slice(&pcm);
                result.reply_rate = rate;
            }
            EventKind::Metrics(metrics) => result.metrics = metrics,
            EventKind::TurnFinished { .. } | EventKind::TurnInterrupted { .. } if is_this_turn => return Ok(result),
            EventKind::TurnFailed { error, .. } if is_this_turn => return Err(Error::new(error.code, error.detail)),
            _ => {}
        }
    }
    Err(Error::new(ErrorCode::Internal, "the turn does not end"))
}

/// A conversation in real time: prints the session's events and applies them to the player.
pub(crate) struct Talk<'a> {
    engine_events: Events,
    pub(crate) session: Session,
    events: Events,
    player: Arc<Mutex<Player>>,
    output: &'a Output,
    /// The last report of played samples.
    reported: Option<(TurnId, u64)>,
    turns_open: usize,
    /// The partial transcript.
    pub(crate) partial: String,
    /// The reply that is being spoken: its turn, its text, and the number of bytes printed.
    reply: (Option<TurnId>, String, usize),
}

impl<'a> Talk<'a> {
    pub(crate) fn new(
        engine: &Engine,
        session: Session,
        player: Arc<Mutex<Player>>,
        output: &'a Output,
    ) -> Result<Self> {
        let (events, engine_events) = (session.events()?, engine.events()?);
        let (partial, reply) = (String::new(), (None, String::new(), 0));
        Ok(Self { engine_events, session, events, player, output, reported: None, turns_open: 0, partial, reply })
    }

    pub(crate) fn player(&self) -> MutexGuard<'_, Player> {
        lock(&self.player)
    }

    pub(crate) fn turn_is_open(&self) -> bool {
        self.turns_open > 0
    }

    /// Takes the next event, if there is one; gives its type.
    pub(crate) fn try_next(&mut self) -> Result<Option<String>> {
        while let Some(event) = self.engine_events.try_next()? {
            self.output.json_line(&event.to_json())?;
        }
        let Some(event) = self.events.try_next()? else { return Ok(None) };
        self.output.json_line(&event.to_json())?;
        self.apply(&event)?;
        self.print(&event)?;
        let json = serde_json::to_value(&event.kind)
            .map_err(|source| Error::new(ErrorCode::Internal, "an event without JSON form").with_source(source))?;
        Ok(json["type"].as_str().map(str::to_owned))
    }

    /// Reports the played samples to the engine, if there are more than at the last report.
    pub(crate) fn report(&mut self) -> Result<()> {
        let played = self.player().played();
        self.report_played(played)
    }

    /// Closes the session and prints its id.
    pub(crate) fn close(self) -> Result<()> {
        self.session.close();
        self.output.text(&format!("session: {}", self.session.id()))
    }

    fn report_played(&mut self, played: Option<(TurnId, u64)>) -> Result<()> {
        if let Some((turn, samples)) = played.filter(|_| played != self.reported) {
            self.session.played(turn, samples)?;
            self.reported = played;
        }
        Ok(())
    }

    /// Does what the event asks of the player.
    fn apply(&mut self, event: &Event) -> Result<()> {
        let turn = event.turn.unwrap_or(TurnId(0));
        match &event.kind {
            EventKind::TurnStarted { .. } => self.turns_open += 1,
            EventKind::ReplyAudioDelta { pcm, rate, .. } => self.player().push(turn, pcm, *rate)?,
            EventKind::ReplyAudioDone { .. } => self.player().complete(turn),
            EventKind::PlaybackPause => self.player().pause(true),
            EventKind::PlaybackResume => self.player().pause(false),
            EventKind::PlaybackFlush => {
                let played = self.player().flush();
                self.report_played(played)?;
            }
            EventKind::TurnFinished { .. } | EventKind::TurnInterrupted { .. } | EventKind::TurnFailed { .. } => {
                self.turns_open = self.turns_open.saturating_sub(1);
                self.player().complete(turn);
            }
            _ => {}
        }
        Ok(())
    }

    /// Prints the event as text.
    fn print(&mut self, event: &Event) -> Result<()> {
        let line = match &event.kind {
            EventKind::TranscriptPartial { text, .. } => {
                self.partial.clone_from(text);
                return Ok(());
            }
            EventKind::TranscriptDone { transcript, .. } => {
                self.partial.clear();
                format!("learner: {}", transcript.text)
            }
            EventKind::ReplyTextDelta { text } => {
                if self.reply.0 != event.turn {
                    self.reply = (event.turn, String::new(), 0);
                }
                self.reply.1.push_str(text);
                return Ok(());
            }
            EventKind::ReplyAudioDelta { text_span, .. } if text_span.end > self.reply.2 => {
                let printed = self.reply.2..text_span.end.min(self.reply.1.len());
                self.reply.2 = text_span.end;
                format!("tutor:   {}", self.reply.1.get(printed).unwrap_or_default().trim())
            }
            EventKind::PlaybackPause => "         (playback paused)".to_owned(),
            EventKind::PlaybackResume => "         (playback resumed)".to_owned(),
            EventKind::TurnInterrupted { heard_text, .. } => format!("         (interrupted after: {heard_text})"),
            EventKind::TurnFailed { stage, error } => {
                format!("         (failed at {stage:?}: {} {})", error.code.number(), error.name)
            }
            EventKind::Error(error) => format!("         (error {} {})", error.code.number(), error.name),
            _ => return Ok(()),
        };
        self.output.text(&format!("{:7.2} s  {line}", event.at_ms as f64 / 1000.0))
    }
}
