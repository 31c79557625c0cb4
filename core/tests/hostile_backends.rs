//! Backends that answer anything: the engine checks every answer, and no session suffers from another's.

#[path = "simulation/random.rs"]
mod random;

use parking_lot::Mutex;
use random::Random;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tertulia::backend::*;
use tertulia::event::{EventKind, SpokenWord};
use tertulia::testing::clock::VirtualClock;
use tertulia::testing::scripted::{noise_16k, sound};
use tertulia::{
    EngineBuilder, Error, ErrorCode, Events, LanguageTag, Listening, ListeningMode, LocalDriver, Result, Session,
    SessionConfig, SessionEngine, SessionUpdate, TurnId,
};

/// A backend of every role. While it is polite it keeps the contract.
#[derive(Clone)]
struct Hostile {
    random: Arc<Mutex<Random>>,
    polite: Arc<AtomicBool>,
}

/// A failure of a step instead of an answer.
fn mishap<T>(hostile: &Hostile, code: ErrorCode) -> Option<Result<T>> {
    match hostile.below(40) {
        0 => Some(Err(Error::new(code, "hostile"))),
        1 => Some(Err(ErrorCode::Cancelled.into())),
        2 => panic!("hostile"),
        _ => None,
    }
}

impl Hostile {
    fn below(&self, limit: u64) -> u64 {
        self.random.lock().below(limit)
    }

    fn is_polite(&self) -> bool {
        self.polite.load(Ordering::Relaxed)
    }

    fn probability(&self) -> f32 {
        match (self.is_polite(), self.below(24)) {
            (false, 0) => f32::NAN,
            (false, 1) => -0.5,
            (false, 2) => f32::INFINITY,
            (_, n) => (n % 2) as f32,
        }
    }

    fn text(&self) -> String {
        let pieces = ["", " ", "ñandú ", "¿Sí? ", "日本語。", "a", "**x** ", "\u{0}", "🙂", "Hola, Ana. ", "…"];
        (0..1 + self.below(4)).map(|_| pieces[self.below(pieces.len() as u64) as usize]).collect()
    }

    /// A place in a text of so many bytes, or near it.
    fn place(&self, len: usize) -> usize {
        match self.below(12) {
            0 => usize::MAX,
            1 => len + 1,
            _ => self.below(len as u64 + 1) as usize,
        }
    }

    fn transcript(&self) -> Transcript {
        let words = (0..self.below(3))
            .map(|_| {
                let start_ms = if self.below(9) == 0 { u64::MAX } else { self.below(500) };
                let end_ms = if self.below(9) == 0 { u64::MAX } else { self.below(900) };
                Word::new(self.text(), start_ms..end_ms, self.probability())
            })
            .collect();
        let mut transcript = Transcript::default();
        transcript.text = self.text();
        transcript.language_probability = self.probability();
        transcript.no_speech_probability = self.probability();
        transcript.average_log_probability = -self.probability();
        transcript.finished_probability = Some(self.probability());
        transcript.words = words;
        transcript
    }

    fn chunk(&self, text: &str) -> SpeechChunk {
        let mut samples = vec![0.1; self.below(900) as usize];
        if self.below(15) == 0 && !samples.is_empty() {
            samples[0] = f32::NAN;
        }
        let span = || self.place(text.len())..self.place(text.len());
        let word = |_| {
            let end = if self.below(9) == 0 { u64::MAX } else { self.below(900) };
            SpokenWord::new(span(), tag("es"), self.below(400)..end)
        };
        let rate = if self.below(20) > 0 { 8_000 } else { [0, 1, 24_000, u32::MAX][self.below(4) as usize] };
        let mut chunk = SpeechChunk::new(samples, rate, span());
        chunk.words = (0..self.below(3)).map(word).collect();
        chunk
    }
}

/// Steps of a hostile backend; what `polite` gives, and then the end, from one that is polite.
struct HostileSteps<T, F> {
    hostile: Hostile,
    code: ErrorCode,
    polite: Vec<T>,
    each: F,
}

impl<T: Send, F: FnMut() -> T + Send> StepStream for HostileSteps<T, F> {
    type Item = T;

    fn step(&mut self) -> BoxFuture<'_, Result<Option<T>>> {
        Box::pin(async move {
            if self.hostile.is_polite() {
                return Ok((!self.polite.is_empty()).then(|| self.polite.remove(0)));
            }
            match self.hostile.below(60) {
                0 => pending().await,
                1..=4 => return Ok(None),
                _ => {}
            }
            mishap(&self.hostile, self.code).unwrap_or_else(|| Ok(Some((self.each)())))
        })
    }
}

fn tag(text: &str) -> LanguageTag {
    text.parse().expect("a tag")
}

impl Model for Hostile {
    fn name(&self) -> &str {
        "hostile"
    }
}

impl VadModel for Hostile {
    fn open(&self) -> Result<Box<dyn Vad>> {
        Ok(Box::new(self.clone()))
    }
}

impl Vad for Hostile {
    fn frame_len(&self) -> usize {
        if self.is_polite() { 512 } else { [512, 512, 160, 0, 1 << 40][self.below(5) as usize] }
    }

    fn process(&mut self, frame: &[f32]) -> Result<f32> {
        if self.is_polite() {
            return Ok(f32::from(frame.iter().any(|sample| sample.abs() > 0.1)));
        }
        mishap(self, ErrorCode::Internal).unwrap_or_else(|| Ok(self.probability()))
    }

    fn reset(&mut self) {}
}

impl TurnDetector for Hostile {
    fn probability_finished(&self, _request: DetectionRequest) -> BoxFuture<'_, Result<f32>> {
        Box::pin(async move {
            if !self.is_polite() && self.below(9) == 0 {
                pending::<()>().await;
            }
            Ok(self.probability())
        })
    }
}

impl Recognizer for Hostile {
    fn languages(&self) -> Vec<LanguageTag> {
        vec![tag("en"), tag("es")]
    }

    fn recognize(&self, _request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let hostile = self.clone();
        let each = move || match hostile.below(5) {
            0 => RecognitionStep::Working,
            1 => RecognitionStep::FirstPass(hostile.transcript()),
            2 => RecognitionStep::Final(hostile.transcript()),
            _ => {
                let text = hostile.text();
                RecognitionStep::Partial { stable_len: hostile.place(text.len()), text }
            }
        };
        let last = Transcript::from("Hola.".to_owned());
        let (hostile, polite) = (self.clone(), vec![RecognitionStep::Final(last)]);
        Ok(Box::new(HostileSteps { hostile, code: ErrorCode::RecognizerFailed, polite, each }))
    }
}

impl ChatModel for Hostile {
    fn languages(&self) -> Vec<LanguageTag> {
        vec![tag("en"), tag("es")]
    }

    fn context_len(&self) -> usize {
        4_096
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(self.clone()))
    }
}

impl Conversation for Hostile {
    fn reply(&mut self, _request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let done = || ChatStep::Done { reason: StopReason::Stop, usage: ChatUsage::default() };
        let hostile = self.clone();
        let each = move || match hostile.below(6) {
            0 => done(),
            1 => ChatStep::Working,
            _ => ChatStep::Text(hostile.text()),
        };
        let (hostile, polite) = (self.clone(), vec![ChatStep::Text("Hola, Ana.".into()), done()]);
        Ok(Box::new(HostileSteps { hostile, code: ErrorCode::ChatFailed, polite, each }))
    }
}

impl Synthesizer for Hostile {
    fn languages(&self) -> Vec<LanguageTag> {
        vec![tag("en"), tag("es")]
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        vec![VoiceInfo::new("v", tag("es"))]
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        let text_span = 0..request.text.len();
        let polite = vec![SpeechChunk::new(vec![0.1; 800], 8_000, text_span)];
        let (hostile, text) = (self.clone(), request.text);
        let each = move || hostile.chunk(&text);
        Ok(Box::new(HostileSteps { hostile: self.clone(), code: ErrorCode::SynthesizerFailed, polite, each }))
    }
}

/// A session and what its events said.
struct Open {
    session: Session,
    events: Events,
    /// The turns, true for those that have ended.
    turns: BTreeMap<TurnId, bool>,
    closed: bool,
}

struct World {
    random: Random,
    clock: VirtualClock,
    engine: tertulia::Engine,
    driver: LocalDriver,
    engine_events: Events,
    sessions: Vec<Open>,
}

impl World {
    fn new(hostile: &Hostile, seed: u64) -> Self {
        let clock = VirtualClock::new();
        let backends = Backends {
            vad: Some(Arc::new(hostile.clone())),
            turn_detector: Some(Arc::new(hostile.clone())),
            recognizer: Some(Arc::new(hostile.clone())),
            chat: Some(Arc::new(hostile.clone())),
            synthesizer: Some(Arc::new(hostile.clone())),
        };
        let builder = EngineBuilder::new().backends(backends).clock(Arc::new(clock.clone()));
        let (engine, driver) = block_on(builder.build_local()).expect("an engine");
        let engine_events = engine.events().expect("the first reader");
        Self { random: Random::new(seed), clock, engine, driver, engine_events, sessions: Vec::new() }
    }

    fn open(&mut self) {
        let mut config = SessionConfig::new(tag("en"), tag("es"));
        if self.random.one_in(2) {
            config.listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
        }
        let session = self.engine.create_session(config).expect("a session");
        let events = session.events().expect("the first reader");
        self.sessions.push(Open { session, events, turns: BTreeMap::new(), closed: false });
    }

    fn act(&mut self) {
        let index = self.random.below(self.sessions.len() as u64) as usize;
        let (random, open) = (&mut self.random, &mut self.sessions[index]);
        let session = &open.session;
        let turn = TurnId(1 + random.below(1 + open.turns.len() as u64));
        // Whatever a call answers, the invariants hold.
        match random.below(16) {
            0 => drop(session.push_audio(&noise_16k(300), 16_000)),
            1 => drop(session.push_audio(&sound(0.0, 700, 8_000), 8_000)),
            2 => drop(session.end_utterance()),
            3 => drop(session.send_text("Hola.")),
            4 => drop(session.say("uno dos tres. Cuatro cinco.")),
            5 => drop(session.reply(None)),
            6 => drop(session.interrupt()),
            7 | 8 => drop(session.played(turn, random.below(3_000))),
            9 => drop(session.retry_turn(turn)),
            10 => drop(session.correct(turn, "Adiós.")),
            11 => drop(session.update(&SessionUpdate::new().interruptible(random.one_in(2)))),
            12 => {
                let now_us = tertulia::Clock::monotonic_us(&self.clock);
                self.clock.advance_to(now_us + random.below(800_000));
            }
            _ => {
                let steps = random.below(30);
                (0..steps).for_each(|_| _ = self.driver.step());
            }
        }
    }

    /// Reads all events and holds them to the rules.
    fn read(&mut self) {
        for open in &mut self.sessions {
            while let Ok(Some(event)) = open.events.try_next() {
                match &event.kind {
                    EventKind::TurnStarted { .. } => {
                        assert_eq!(open.turns.insert(event.turn.unwrap(), false), None, "a turn started twice");
                    }
                    EventKind::TurnFinished { .. }
                    | EventKind::TurnInterrupted { .. }
                    | EventKind::TurnFailed { .. } => {
                        assert_eq!(open.turns.insert(event.turn.unwrap(), true), Some(false), "{event:?}");
                    }
                    EventKind::SessionClosed { .. } => open.closed = true,
                    _ => {}
                }
            }
        }
        while let Ok(Some(event)) = self.engine_events.try_next() {
            assert!(!matches!(event.kind, EventKind::Error(_)), "the engine itself panicked: {event:?}");
        }
    }

    /// Ends a session; its turns end with it. Another is opened for it.
    fn close_one(&mut self) {
        let index = self.random.below(self.sessions.len() as u64) as usize;
        let _ended = self.sessions[index].session.end();
        for _ in 0..200 {
            self.driver.run_until_idle();
            let now_us = tertulia::Clock::monotonic_us(&self.clock);
            self.clock.advance_to(now_us + 50_000);
        }
        self.read();
        let open = self.sessions.remove(index);
        assert!(open.closed && open.turns.values().all(|ended| *ended), "{:?}", open.turns);
        self.open();
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            self.driver.run_until_idle();
            self.read();
            for open in &self.sessions {
                for (turn, _) in open.turns.iter().filter(|(_, ended)| !**ended) {
                    open.session.played(*turn, u64::MAX).expect("the session is open");
                }
            }
            let now_us = tertulia::Clock::monotonic_us(&self.clock);
            self.clock.advance_to(now_us + 500_000);
        }
    }
}

#[test]
fn hostile_answers_end_turns_and_nothing_else() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some("hostile") {
            usual(info);
        }
    }));
    let steps: u64 = std::env::var("TERTULIA_STEPS").map_or(100_000, |steps| steps.parse().expect("a number"));
    let seed: u64 = std::env::var("TERTULIA_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let hostile = Hostile { random: Arc::new(Mutex::new(Random::new(seed))), polite: Arc::default() };
    let mut world = World::new(&hostile, seed + 1);
    (0..3).for_each(|_| world.open());
    for step in 1..=steps {
        world.act();
        world.read();
        if step % 1_000 == 0 {
            world.close_one();
        }
    }
    hostile.polite.store(true, Ordering::Relaxed);
    for open in &world.sessions {
        open.session.interrupt().expect("the session is open");
    }
    world.settle();
    for index in 0..world.sessions.len() {
        let open = &world.sessions[index];
        assert!(!open.closed, "a session was closed");
        let unended: Vec<_> = open.turns.iter().filter(|(_, ended)| !**ended).collect();
        assert!(unended.is_empty(), "turns that never ended: {unended:?}");
        let turn = open.session.send_text("Hola.").expect("room for a turn");
        world.settle();
        assert_eq!(world.sessions[index].turns.get(&turn), Some(&true));
    }
}
