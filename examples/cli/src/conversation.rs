//! Runs turns and tells their events as they come.

use crate::output::Output;
use crate::sound::player::{Player, lock};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tertulia::event::{EventKind, Metrics};
use tertulia::{Engine, Error, ErrorCode, Event, Events, Result, Session, TurnId};

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
            EventKind::ReplyAudioDelta { pcm, rate, .. } => {
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

/// A conversation in real time: events are told as they come, and the player does what they ask for.
pub(crate) struct Talk<'a> {
    engine: &'a Engine,
    pub(crate) session: Session,
    events: Events,
    player: Arc<Mutex<Player>>,
    output: &'a Output,
    /// What was reported last.
    reported: Option<(TurnId, u64)>,
    turns_open: usize,
    /// What the learner has said so far.
    pub(crate) so_far: String,
    /// The reply that is being spoken, and how much of it was told.
    reply: (Option<TurnId>, String, usize),
}

impl<'a> Talk<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        session: Session,
        player: Arc<Mutex<Player>>,
        output: &'a Output,
    ) -> Result<Self> {
        let events = session.events()?;
        let (so_far, reply) = (String::new(), (None, String::new(), 0));
        Ok(Self { engine, session, events, player, output, reported: None, turns_open: 0, so_far, reply })
    }

    pub(crate) fn player(&self) -> MutexGuard<'_, Player> {
        lock(&self.player)
    }

    pub(crate) fn turn_is_open(&self) -> bool {
        self.turns_open > 0
    }

    /// Takes the next event, if there is one; gives its type.
    pub(crate) fn try_next(&mut self) -> Result<Option<String>> {
        while let Some(event) = self.engine.next_event(Duration::ZERO)? {
            self.output.json_line(&event.to_json())?;
        }
        let Some(event) = self.events.try_next()? else { return Ok(None) };
        self.output.json_line(&event.to_json())?;
        self.obey(&event)?;
        self.tell(&event)?;
        let json = serde_json::to_value(&event.kind)
            .map_err(|source| Error::new(ErrorCode::Internal, "an event without JSON form").with_source(source))?;
        Ok(json["type"].as_str().map(str::to_owned))
    }

    /// Tells the engine what was played, where that has changed.
    pub(crate) fn report(&mut self) -> Result<()> {
        let played = self.player().played();
        self.report_played(played)
    }

    /// Suspends the session and says its id.
    pub(crate) fn close(self) -> Result<()> {
        self.session.suspend();
        self.output.text(&format!("session: {}", self.session.id()))
    }

    fn report_played(&mut self, played: Option<(TurnId, u64)>) -> Result<()> {
        if let Some((turn, samples)) = played.filter(|_| played != self.reported) {
            self.session.played(turn, samples)?;
            self.reported = played;
        }
        Ok(())
    }

    fn obey(&mut self, event: &Event) -> Result<()> {
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

    /// What people want to read.
    fn tell(&mut self, event: &Event) -> Result<()> {
        let line = match &event.kind {
            EventKind::TranscriptPartial { text, .. } => {
                self.so_far.clone_from(text);
                return Ok(());
            }
            EventKind::TranscriptDone { transcript, .. } => {
                self.so_far.clear();
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
                let told = self.reply.2..text_span.end.min(self.reply.1.len());
                self.reply.2 = text_span.end;
                format!("tutor:   {}", self.reply.1.get(told).unwrap_or_default().trim())
            }
            EventKind::PlaybackPause => "         (the tutor holds)".to_owned(),
            EventKind::PlaybackResume => "         (the tutor goes on)".to_owned(),
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
