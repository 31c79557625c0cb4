//! The scenario runner: a host in virtual time, on an engine without threads.

use super::{Around, Call, Line, Outcome, Requests, Scenario, Span, code_named};
use crate::backend::{ChatRequest, Message, Purpose, Role, SynthesisRequest};
use crate::config::{SessionConfig, SessionUpdate};
use crate::driver::local::LocalDriver;
use crate::engine::{Command, CommandOutput, Engine, EngineBuilder, SessionEngine};
use crate::error::{Error, ErrorCode, Result};
use crate::platform::Clock;
use crate::prompt;
use crate::session::{Events, Session};
use crate::testing::clock::VirtualClock;
use crate::testing::fault::FaultyDisk;
use crate::testing::scripted::{NOISE_LEVEL, SPEECH_LEVEL, Script, Scripted, sound};
use crate::turn::EndpointWeights;
use serde_json::{Value, json};
use std::sync::Arc;

/// The microphone gives a block so often.
const BLOCK_MS: u64 = 32;
/// Nothing lasts longer.
const END_MS: u64 = 600_000;
/// Weights of endpointing that do not follow what is found to be best for real speech.
const WEIGHTS: EndpointWeights = EndpointWeights {
    wait_ms_min: 460.0,
    wait_ms_max: 1_800.0,
    bias: 0.5,
    detector: 1.5,
    words: 2.0,
    words_pending: 0.0,
};

pub(super) fn run(scenario: &Scenario) -> Result<Outcome> {
    let mut stage = Stage::new(scenario)?;
    let blocks = blocks(&scenario.microphone);
    let (mut block, mut call) = (0, 0);
    loop {
        stage.work();
        let next = [
            stage.clock.next_wake_us(),
            // Without the store's housekeeping, which never ends.
            Some(stage.clock.monotonic_us() + stage.driver.due_in_us()).filter(|due_us| *due_us <= END_MS * 1000),
            blocks.get(block).map(|(at_ms, _)| at_ms * 1000),
            scenario.calls.get(call).map(|timed| timed.at_ms * 1000),
        ];
        let Some(now_us) = next.into_iter().flatten().min() else { break };
        if now_us > END_MS * 1000 {
            return Err(Error::new(ErrorCode::InvalidArgument, "the scenario does not end"));
        }
        stage.clock.advance_to(now_us);
        stage.work();
        while let Some((_, sound)) = blocks.get(block).filter(|(at_ms, _)| at_ms * 1000 <= now_us) {
            stage.push_audio(sound)?;
            block += 1;
        }
        // Calls of one moment come one right after the other, before the engine has done anything.
        while let Some(timed) = scenario.calls.get(call).filter(|timed| timed.at_ms * 1000 <= now_us) {
            let given = stage.call(&timed.call)?.err().map(|error| error.code());
            let expected = timed.fails.as_deref().map(code_named).transpose()?;
            if given != expected {
                stage.fault(format!("{:?} at {} ms gives {given:?}, not {expected:?}", timed.call, timed.at_ms));
            }
            call += 1;
        }
    }
    stage.outcome()
}

/// A block of the microphone: when it comes, and what it is.
type Block = (u64, Sound);

/// Samples, one of each channel after the other.
struct Sound {
    rate: u32,
    channels: usize,
    samples: Vec<f32>,
}

/// The blocks that the microphone gives, each when it is complete; none for nothing.
fn blocks(spans: &[Span]) -> Vec<Block> {
    let (mut blocks, mut at_ms, mut rate, mut channels) = (Vec::new(), 0, 16_000, 1);
    for span in spans {
        let (level, ms) = match *span {
            Span::RateHz(next) => {
                rate = next;
                continue;
            }
            Span::Channels(next) => {
                channels = next;
                continue;
            }
            Span::NothingMs(ms) => {
                at_ms += ms;
                continue;
            }
            Span::SpeechMs(ms) => (SPEECH_LEVEL, ms),
            Span::NoiseMs(ms) => (NOISE_LEVEL, ms),
            Span::SilenceMs(ms) => (0.0, ms),
        };
        let end_ms = at_ms + ms;
        while at_ms < end_ms {
            let ms = BLOCK_MS.min(end_ms - at_ms);
            at_ms += ms;
            // The mean of the channels counts.
            let first = sound(level * channels as f32, ms, rate);
            let mut samples = vec![0.0; first.len() * channels];
            samples.iter_mut().step_by(channels).zip(first).for_each(|(to, from)| *to = from);
            blocks.push((at_ms, Sound { rate, channels, samples }));
        }
    }
    blocks
}

/// The engine, and the host that uses it.
struct Stage<'s> {
    scenario: &'s Scenario,
    clock: VirtualClock,
    scripted: Scripted,
    config: SessionConfig,
    disk: FaultyDisk,
    engine: Engine,
    driver: LocalDriver,
    session: Session,
    events: Option<Events>,
    reads: bool,
    /// The number of the last event.
    seq: u64,
    outcome: Outcome,
}

/// Adds the answers of a backend to its script.
fn script<T: Clone, R: Clone>(script: &Script<T, R>, answers: &[Vec<Line<T>>], clock: &VirtualClock) -> Result<()> {
    answers.iter().try_for_each(|lines| {
        script.then_cues(lines.iter().map(|line| line.cue(clock)).collect::<Result<Vec<_>>>()?);
        Ok(())
    })
}

impl<'s> Stage<'s> {
    fn new(scenario: &'s Scenario) -> Result<Self> {
        let (clock, scripted) = (VirtualClock::new(), Scripted::new());
        let scripts = &scenario.backends;
        script(&scripted.turn_detector, scripts.turn_detector.as_deref().unwrap_or_default(), &clock)?;
        script(&scripted.recognizer, &scripts.recognizer, &clock)?;
        script(&scripted.chat, &scripts.chat, &clock)?;
        for line in &scripts.voice {
            scripted.voice.before_next_word(line.cue(&clock)?);
        }
        scripted.voice.set_word_times(!scripts.lacks_word_times);
        let (config, disk) = (scenario.session_config()?, FaultyDisk::new());
        let (engine, driver) = engine(scenario, &clock, &scripted, &disk)?;
        let session = engine.handle(engine.create_session(config.clone())?.detach())?;
        let events = Some(session.events()?);
        let (reads, seq, outcome) = (true, 0, Outcome::default());
        Ok(Stage { scenario, clock, scripted, config, disk, engine, driver, session, events, reads, seq, outcome })
    }

    /// Lets the engine do what it can do now, and reads what it tells.
    fn work(&mut self) {
        loop {
            self.driver.run_until_idle();
            if !self.read() {
                return;
            }
        }
    }

    /// Reads all events that are there; false where there were none.
    fn read(&mut self) -> bool {
        let mut read = false;
        while self.reads
            && let Some(events) = &self.events
        {
            match events.try_next() {
                Ok(Some(event)) => {
                    read = true;
                    self.seq += 1;
                    if event.seq != self.seq || event.session != Some(self.session.id()) {
                        self.fault(format!("not event {} of the session: {}", self.seq, event.to_json()));
                    }
                    let event = serde_json::from_str(&event.to_json()).unwrap_or_default();
                    self.outcome.events.push(event);
                }
                Ok(None) => break,
                Err(_closed) => self.events = None,
            }
        }
        read
    }

    fn push_audio(&mut self, sound: &Sound) -> Result<()> {
        match self.session.push_interleaved(&sound.samples, sound.channels, sound.rate) {
            Err(error) if error.code() != ErrorCode::SessionClosed => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes a call and returns its result; fails where it cannot be made.
    fn call(&mut self, call: &Call) -> Result<Result<()>> {
        let around = match call {
            Call::Command(command) => return self.apply(super::of_session(command, self.session.id())?),
            Call::Around(around) => around,
        };
        match around {
            Around::PushEncoded(bytes) => return Ok(self.session.push_encoded(bytes.as_bytes()).map(drop)),
            Around::StopReading => self.reads = false,
            Around::StartReading => self.reads = true,
            Around::Crash => {
                self.crash()?;
                let (session, update) = (self.session.id(), SessionUpdate::new());
                return self.apply(Command::OpenSession { session, update });
            }
            Around::FailStore => self.disk.fail_from_operation(0, std::io::ErrorKind::StorageFull),
            Around::MendStore => self.disk.recover(),
        }
        Ok(Ok(()))
    }

    fn apply(&mut self, command: Command) -> Result<Result<()>> {
        match self.engine.apply(command) {
            Ok(CommandOutput::Session { session }) => {
                self.session = self.engine.handle(session)?;
                self.events = Some(self.session.events()?);
                self.seq = 0;
                Ok(Ok(()))
            }
            output => Ok(output.map(drop)),
        }
    }

    fn crash(&mut self) -> Result<()> {
        self.disk = self.disk.crashed(0);
        (self.engine, self.driver) = engine(self.scenario, &self.clock, &self.scripted, &self.disk)?;
        Ok(())
    }

    fn fault(&mut self, fault: String) {
        self.outcome.faults.push(fault);
    }

    fn outcome(mut self) -> Result<Outcome> {
        let (_, turns) = self.engine.session(self.session.id())?;
        for turn in turns.turns {
            self.outcome.turns.push(serde_json::to_value(&turn).unwrap_or_default());
        }
        let pinned = prompt::system_messages(&self.config, self.engine.catalog())?.len();
        let recognizer = self.scripted.recognizer.requests().into_iter().map(|request| {
            let (ms, languages) = (request.audio.len() / 16, request.languages);
            json!({"audio_ms": ms, "languages": languages, "vocabulary": request.vocabulary})
        });
        let chat = self.scripted.chat.requests().into_iter().map(|request| chat_request(&request, pinned));
        let voice = self.scripted.voice.requests().into_iter().map(|request| {
            let SynthesisRequest { text, languages, voice, speed, .. } = request;
            json!({"text": text, "languages": languages, "voice": voice, "speed": speed})
        });
        self.outcome.requests = Requests {
            recognizer: Some(recognizer.collect()),
            chat: Some(chat.collect()),
            voice: Some(voice.collect()),
        };
        for (backend, unasked) in [
            ("turn detector", self.scripted.turn_detector.unasked()),
            ("recogniser", self.scripted.recognizer.unasked()),
            ("chat model", self.scripted.chat.unasked()),
            ("voice", self.scripted.voice.unasked()),
        ] {
            if unasked > 0 {
                self.fault(format!("{unasked} lines of the {backend}'s script were never asked for"));
            }
        }
        Ok(self.outcome)
    }
}

fn engine(
    scenario: &Scenario,
    clock: &VirtualClock,
    scripted: &Scripted,
    disk: &FaultyDisk,
) -> Result<(Engine, LocalDriver)> {
    let mut backends = scripted.backends();
    if scenario.backends.turn_detector.is_some() {
        backends.turn_detector = Some(scripted.turn_detector.clone());
    }
    let builder = EngineBuilder::new().backends(backends).clock(Arc::new(clock.clone())).store(disk.location());
    let builder = builder.endpoint_weights(WEIGHTS);
    match scenario.utterance_seconds_max {
        Some(seconds) => futures_lite::future::block_on(builder.utterance_seconds_max(seconds).build_local()),
        None => futures_lite::future::block_on(builder.build_local()),
    }
}

/// `{"reply": [{"user": "…"}, {"assistant": "…"}]}`, or `prefill`; what is pinned in front is left out.
fn chat_request(request: &ChatRequest, pinned: usize) -> Value {
    let message = |message: &Message| match message.role {
        Role::System => json!({"system": message.content}),
        Role::User => json!({"user": message.content}),
        Role::Assistant => json!({"assistant": message.content}),
    };
    let messages: Vec<Value> = request.messages.iter().skip(pinned).map(message).collect();
    match request.context.purpose {
        Purpose::Prefill => json!({"prefill": messages}),
        _ => json!({"reply": messages}),
    }
}
