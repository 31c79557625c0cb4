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

/// How much of a script's time passes between two looks at what happened.
const BLOCK: Duration = Duration::from_millis(10);

/// Blocks between two reports of what was played.
const REPORT_EVERY: u64 = 2;

/// How long a script waits for an event, and how long nothing may happen before it is over.
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
    engine.preload()?;
    output.text("speak when you like; the space bar interrupts, Ctrl-C ends")?;
    if options.session.id.is_none() {
        talk.session.reply(None)?;
    }
    live.run(output, |live| {
        while talk.try_next()?.is_some() {}
        talk.report()?;
        live.show(&talk.so_far, output)
    })?;
    talk.close()
}

/// Runs a script in a room without sound hardware.
fn simulate(path: &Path, options: &args::Talk, output: &Output) -> Result<()> {
    let script = Script::read(path)?;
    let engine = setup::engine(&options.session.store, options.session.chat.model.as_deref())?;
    // What is made and loaded now need not be while time passes.
    let target = &options.session.languages.target;
    let sounds = script.lines.iter().map(|line| script.sound(line, &engine, target)).collect::<Result<Vec<_>>>()?;
    engine.preload()?;

    let mut room = Room::new(script.echo_gain, script.echo_delay_ms);
    if let Some(folder) = &options.record_dir {
        room.record(folder)?;
    }
    let player = Arc::new(Mutex::new(Player::new(RATE_HZ)));
    let mut talk = open(&engine, options, player, output)?;
    let mut cues = Cues::new(&script.lines);
    let start = Instant::now();
    loop {
        let now_ms = room.now_ms();
        while let Some(event) = talk.try_next()? {
            cues.hear(&event, now_ms);
        }
        if let Some(at) = cues.due(now_ms, room.learner_speaks())? {
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
        if cues.over(now_ms, &talk) && !room.learner_speaks() {
            break;
        }
        let passed = room.pass(&mut talk.player())?;
        if !options.no_echo_canceller {
            talk.session.push_playback(&passed.speaker, RATE_HZ)?;
        }
        talk.session.push_audio(&passed.microphone, RATE_HZ)?;
        if (now_ms / 10).is_multiple_of(REPORT_EVERY) {
            talk.report()?;
        }
        // A room that was late catches up.
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

/// When the lines of a script are due.
struct Cues<'a> {
    lines: &'a [Line],
    /// The next line, and when what it waits for came.
    next: usize,
    cue_ms: Option<u64>,
    /// When the line before was spoken, or something happened last.
    spoken_ms: u64,
    busy_ms: u64,
}

impl<'a> Cues<'a> {
    fn new(lines: &'a [Line]) -> Self {
        Self { lines, next: 0, cue_ms: None, spoken_ms: 0, busy_ms: 0 }
    }

    fn hear(&mut self, event_type: &str, now_ms: u64) {
        self.busy_ms = now_ms;
        if let Some(Line { when: When::After(awaited, _), .. }) = self.lines.get(self.next)
            && awaited == event_type
        {
            self.cue_ms.get_or_insert(now_ms);
        }
    }

    /// The line that is due.
    fn due(&mut self, now_ms: u64, learner_speaks: bool) -> Result<Option<usize>> {
        if learner_speaks {
            (self.cue_ms, self.spoken_ms, self.busy_ms) = (None, now_ms, now_ms);
            return Ok(None);
        }
        let Some(line) = self.lines.get(self.next) else { return Ok(None) };
        let due_ms = match (&line.when, self.cue_ms) {
            (When::At(at_ms), _) => *at_ms,
            (When::After(_, delay_ms), Some(cue_ms)) => cue_ms + delay_ms,
            (When::After(event, _), None) if now_ms - self.spoken_ms > WAIT_MS_MAX => {
                let detail = format!("line {} of the script waits for {event}, which does not come", self.next + 1);
                return Err(Error::new(ErrorCode::InvalidArgument, detail));
            }
            (When::After(..), None) => return Ok(None),
        };
        if now_ms < due_ms {
            return Ok(None);
        }
        (self.next, self.cue_ms, self.spoken_ms, self.busy_ms) = (self.next + 1, None, now_ms, now_ms);
        Ok(Some(self.next - 1))
    }

    /// Whether every line was spoken, and nothing follows from it any more.
    fn over(&self, now_ms: u64, talk: &Talk<'_>) -> bool {
        self.next == self.lines.len() && !talk.turn_is_open() && now_ms - self.busy_ms > QUIET_MS
    }
}
