//! `tertulia talk`: a conversation in real time.

use crate::args;
use crate::conversation::Talk;
use crate::live::Live;
use crate::output::Output;
use crate::script::{Line, Script, What, When};
use crate::setup;
use crate::sound::player::Player;
use crate::sound::room::{RATE_HZ, Room};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tertulia::{Engine, Error, ErrorCode, Listening, ListeningMode, Playback, Result, SessionEngine};

/// A step of the script's time.
const BLOCK: Duration = Duration::from_millis(10);

/// Blocks between two reports of what was played.
const REPORT_EVERY: u64 = 2;

/// The longest wait for an event, and the time without events after which a script has ended.
const WAIT_MS_MAX: u64 = 300_000;
const QUIET_MS: u64 = 5_000;

pub(crate) fn run(options: &args::Talk, output: &Output) -> Result<()> {
    match &options.simulate {
        Some(path) => simulate(path, options, output),
        None => converse(options, output),
    }
}

/// Talks through the machine's own microphone and speaker.
fn converse(options: &args::Talk, output: &Output) -> Result<()> {
    let engine = setup::engine(&options.session.store, options.session.chat.model.as_deref())?;
    let player = Arc::new(Mutex::new(Player::new(RATE_HZ)));
    let mut talk = open(&engine, options, player.clone(), output)?;
    let live = Live::open(&talk.session, Some(player), !options.no_echo_canceller)?;
    output.text("loading the models …")?;
    engine.preload().wait()?;
    output.text("listening; the space bar interrupts, Ctrl-C ends")?;
    if options.session.id.is_none() {
        talk.session.reply(None)?;
    }
    live.run(output, |live| {
        while talk.try_next()?.is_some() {}
        talk.report()?;
        live.show(&talk.partial, output)
    })?;
    talk.close()
}

/// Runs a script in a virtual room.
fn simulate(path: &Path, options: &args::Talk, output: &Output) -> Result<()> {
    let script = Script::read(path)?;
    let engine = setup::engine(&options.session.store, options.session.chat.model.as_deref())?;
    // Synthesised and loaded before the clock starts.
    let target = &options.session.languages.target;
    let sounds = script.lines.iter().map(|line| script.sound(line, &engine, target)).collect::<Result<Vec<_>>>()?;
    engine.preload().wait()?;

    let mut room = Room::new(script.echo_gain, script.echo_delay_ms);
    if let Some(folder) = &options.record_dir {
        room.record(folder)?;
    }
    let player = Arc::new(Mutex::new(Player::new(RATE_HZ)));
    let mut talk = open(&engine, options, player, output)?;
    let mut schedule = Schedule::new(&script.lines);
    let start = Instant::now();
    loop {
        let now_ms = room.now_ms();
        while let Some(event) = talk.try_next()? {
            schedule.on_event(&event, now_ms);
        }
        if let Some(at) = schedule.due(now_ms, room.user_speaks())? {
            let json = serde_json::json!({"type": "script_line", "line": at + 1, "at_ms": now_ms}).to_string();
            output.json_line(&json)?;
            match (&script.lines[at].what, &sounds[at]) {
                (What::Tutor(text), _) => {
                    talk.session.say(text)?;
                }
                (_, Some(sound)) => room.speak(sound),
                (_, None) => {}
            }
        }
        if schedule.is_over(now_ms, &talk) && !room.user_speaks() {
            break;
        }
        let block = room.advance(&mut talk.player())?;
        if !options.no_echo_canceller {
            talk.session.push_playback(&block.speaker, RATE_HZ)?;
        }
        talk.session.push_audio(&block.microphone, RATE_HZ)?;
        if (now_ms / 10).is_multiple_of(REPORT_EVERY) {
            talk.report()?;
        }
        // A late room catches up.
        let next = start + BLOCK * (room.now_ms() / 10) as u32;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    room.close()?;
    talk.close()
}

fn open<'a>(
    engine: &'a Engine,
    options: &args::Talk,
    player: Arc<Mutex<Player>>,
    output: &'a Output,
) -> Result<Talk<'a>> {
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    let session = setup::session(engine, &options.session, Playback::Reported, listening)?;
    Talk::new(engine, session, player, output)
}

/// The schedule of a script's lines.
struct Schedule<'a> {
    lines: &'a [Line],
    /// The next line, and the time of the event that it waits for.
    next: usize,
    event_ms: Option<u64>,
    /// The time of the last line, and of the last event.
    spoken_ms: u64,
    busy_ms: u64,
}

impl<'a> Schedule<'a> {
    fn new(lines: &'a [Line]) -> Self {
        Self { lines, next: 0, event_ms: None, spoken_ms: 0, busy_ms: 0 }
    }

    fn on_event(&mut self, event_type: &str, now_ms: u64) {
        self.busy_ms = now_ms;
        if let Some(Line { when: When::After(awaited, _), .. }) = self.lines.get(self.next)
            && awaited == event_type
        {
            self.event_ms.get_or_insert(now_ms);
        }
    }

    /// The index of the line that is due.
    fn due(&mut self, now_ms: u64, user_speaks: bool) -> Result<Option<usize>> {
        if user_speaks {
            (self.event_ms, self.spoken_ms, self.busy_ms) = (None, now_ms, now_ms);
            return Ok(None);
        }
        let Some(line) = self.lines.get(self.next) else { return Ok(None) };
        let due_ms = match (&line.when, self.event_ms) {
            (When::At(at_ms), _) => *at_ms,
            (When::After(_, delay_ms), Some(event_ms)) => event_ms + delay_ms,
            (When::After(event, _), None) if now_ms - self.spoken_ms > WAIT_MS_MAX => {
                let detail = format!("script: line {} waits for {event}, which does not come", self.next + 1);
                return Err(Error::new(ErrorCode::InvalidArgument, detail));
            }
            (When::After(..), None) => return Ok(None),
        };
        if now_ms < due_ms {
            return Ok(None);
        }
        (self.next, self.event_ms, self.spoken_ms, self.busy_ms) = (self.next + 1, None, now_ms, now_ms);
        Ok(Some(self.next - 1))
    }

    /// True if every line was spoken and all turns have ended.
    fn is_over(&self, now_ms: u64, talk: &Talk<'_>) -> bool {
        self.next == self.lines.len() && !talk.turn_is_open() && now_ms - self.busy_ms > QUIET_MS
    }
}
