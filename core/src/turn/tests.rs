//! Random lives of the machine: in any order of inputs each turn that started ends exactly once, and the session closes.

use super::endpoint::{EndpointSettings, SAMPLES_PER_MS};
use super::*;
use crate::error::ErrorCode;
use crate::event::EndReason;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FRAME: u64 = 512;

/// A deterministic generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A host, a driver and backends that do, at random, anything that the contract allows.
struct World {
    random: Random,
    machine: Machine,
    now_us: u64,
    next_turn: u64,
    position: u64,
    /// How many more frames are speech, or silence.
    run: (bool, u64),
    work: Vec<(TurnId, Output)>,
    asked: Vec<Output>,
    tickets: Vec<Ticket>,
    outputs: Vec<Output>,
}

pub(super) const SETTINGS: Settings = Settings {
    interruptible: true,
    playback_assumed: false,
    output_latency_ms: 0,
    speaks: true,
    listening: ListeningSettings {
        continuous: true,
        endpoint: EndpointSettings {
            weights: WEIGHTS_OF_TESTS,
            patience: 0.5,
            speech_min: 90 * SAMPLES_PER_MS,
            utterance_max: 20_000 * SAMPLES_PER_MS,
        },
        asks_detector: true,
        asks_recognizer: true,
        partial_every: 500 * SAMPLES_PER_MS,
        interrupt_after: 500 * SAMPLES_PER_MS,
        idle_after: Some(2_000 * SAMPLES_PER_MS),
    },
};

fn settings(random: &mut Random) -> Settings {
    let mut settings = SETTINGS;
    settings.interruptible = !random.one_in(4);
    settings.playback_assumed = random.one_in(3);
    settings.output_latency_ms = random.below(200) as u32;
    settings.speaks = !random.one_in(5);
    settings.listening.asks_detector = !random.one_in(4);
    settings.listening.asks_recognizer = !random.one_in(8);
    settings
}

fn failure() -> ErrorInfo {
    ErrorInfo::from(&ErrorCode::ChatFailed.into())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let machine = Machine::new(settings(&mut random));
        Self {
            random,
            machine,
            now_us: 0,
            next_turn: 1,
            position: 0,
            run: (false, 30),
            work: Vec::new(),
            asked: Vec::new(),
            tickets: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn handle(&mut self, input: Input) {
        self.machine.handle(input, self.now_us);
        self.obey();
    }

    fn obey(&mut self) {
        let mut inputs = Vec::new();
        while let Some(output) = self.machine.poll() {
            self.outputs.push(output.clone());
            match output {
                Output::Listen { turn }
                | Output::Recognise { turn }
                | Output::Reply { turn, .. }
                | Output::Speak { turn, .. } => self.work.push((turn, output)),
                Output::AskDetector { .. } | Output::AskRecognizer { .. } => self.asked.push(output),
                Output::Store { ticket, .. } | Output::StoreEnd { ticket } => self.tickets.push(ticket),
                Output::Purge { turn } => {
                    let samples = self.random.below(500);
                    inputs.push(Input::Purged { turn, samples });
                }
                Output::StartSpoken(spoken) => {
                    let what = StartKind::Spoken(spoken);
                    let start = Start { turn: self.take_turn(), what, redoes: None };
                    inputs.push(Input::Start(start));
                }
                _ => {}
            }
        }
        inputs.into_iter().for_each(|input| self.handle(input));
    }

    fn take_turn(&mut self) -> TurnId {
        self.next_turn += 1;
        TurnId(self.next_turn - 1)
    }

    /// Something happens.
    fn live(&mut self) {
        self.now_us += self.random.below(40_000);
        if self.machine.poll_timeout().is_some_and(|due| due <= self.now_us) {
            self.machine.tick(self.now_us);
            self.obey();
        }
        match self.random.below(100) {
            0..55 => self.feed_frame(),
            55..70 => self.answer(),
            70..85 => self.finish_work(),
            85..93 => self.commit(),
            93 => {
                let what = match self.random.below(4) {
                    0 => StartKind::Utterance(EndReason::Recording),
                    1 => StartKind::Text("Hola".into()),
                    2 => StartKind::Say("Hola, Ana. ¿Qué tal estás hoy?".into()),
                    _ => StartKind::Reply("Repite.".into()),
                };
                let turn = self.take_turn();
                self.handle(Input::Start(Start { turn, what, redoes: None }));
            }
            94 => self.handle(Input::Interrupt),
            95..98 => {
                let turn = TurnId(self.next_turn.saturating_sub(1 + self.random.below(2)));
                let samples_total = self.random.below(40_000);
                self.handle(Input::Played { turn, samples_total });
            }
            98 => {
                let settings = settings(&mut self.random);
                self.handle(Input::Settings(settings));
            }
            _ => {
                let turn = self.random.one_in(2).then(|| self.take_turn());
                self.handle(Input::EndUtterance { reason: EndReason::Host, turn });
            }
        }
    }

    fn feed_frame(&mut self) {
        let (speech, left) = self.run;
        self.run = match left {
            0 => (!speech, 1 + self.random.below(60)),
            _ => (speech, left - 1),
        };
        self.position += FRAME;
        let probability = if speech { 0.9 } else { 0.05 };
        self.handle(Input::Speech { end: self.position, probability });
    }

    /// Answers one inquiry, perhaps one that was dropped; perhaps twice.
    fn answer(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let at = self.random.below(self.asked.len() as u64) as usize;
        let asked = self.asked[at].clone();
        if !self.random.one_in(10) {
            self.asked.remove(at);
        }
        match asked {
            Output::AskDetector { inquiry, .. } => {
                let probability = self.random.below(101) as f32 / 100.0;
                self.handle(Input::Answered { inquiry, answer: Answer::Detected(probability) });
            }
            Output::AskRecognizer { inquiry, .. } => {
                let text = ["", "Sí.", "Quiero un café y", "No, espera un momento."][self.random.below(4) as usize];
                let transcript = Transcript { text: text.into(), language: "es".parse().ok(), ..Default::default() };
                if self.random.one_in(3) {
                    self.handle(Input::Answered { inquiry, answer: Answer::FirstPass(transcript.clone()) });
                }
                let answer = if self.random.one_in(8) { Err(failure()) } else { Ok(transcript) };
                self.handle(Input::Answered { inquiry, answer: Answer::Recognised(answer) });
            }
            _ => unreachable!("only inquiries are asked"),
        }
    }

    fn finish_work(&mut self) {
        if self.work.is_empty() {
            return;
        }
        let at = self.random.below(self.work.len() as u64) as usize;
        let (turn, work) = self.work.remove(at);
        let report = |world: &mut World, report| world.handle(Input::Work { turn, report });
        if self.random.one_in(12) {
            report(self, Report::Failed { stage: Stage::Reply, error: failure() });
            return;
        }
        match work {
            Output::Listen { .. } => report(self, Report::SpeechFound { start_ms: 10, end_ms: 500, audio_ms: 600 }),
            Output::Recognise { .. } => {
                let text = if self.random.one_in(6) { "" } else { "Hola." };
                report(self, Report::Transcribed(Transcript { text: text.into(), ..Default::default() }));
            }
            Output::Reply { .. } => {
                for text in ["¡Claro que sí, Ana! ", "¿Quieres algo", " más, o ya está bien así?"] {
                    report(self, Report::ReplyText(text.into()));
                }
                let (prompt_tokens, evaluated_tokens, reply_tokens, dropped_messages) = (9, 3, 4, 0);
                report(self, Report::ReplyDone { prompt_tokens, evaluated_tokens, reply_tokens, dropped_messages });
            }
            _ => {
                let (pcm, text_span): (Arc<[f32]>, _) = (vec![0.1; 4_000].into(), 0..4);
                report(self, Report::Spoken { pcm, rate: 8_000, text_span, words: Vec::new() });
                report(self, Report::ClauseSpoken);
            }
        }
    }

    fn commit(&mut self) {
        if !self.tickets.is_empty() {
            // In order, as the driver commits.
            let ticket = self.tickets.remove(0);
            let error = self.random.one_in(10).then(failure);
            self.handle(Input::Stored { ticket, error });
        }
    }

    /// Closes the session: work that is due is done, and the time goes on until the machine is closed.
    fn wind_down(&mut self) {
        self.handle(Input::Close { ended: true });
        for _ in 0..10_000 {
            self.now_us += 50_000;
            self.machine.tick(self.now_us);
            self.obey();
            self.commit();
            self.finish_work();
            if self.outputs.last() == Some(&Output::Closed) {
                return;
            }
        }
        panic!("the session never closes");
    }
}

#[test]
fn a_failed_commit_that_no_event_waits_for_is_an_error_event() {
    for (error, told) in [(None, 0), (Some(failure()), 1)] {
        let mut world = World::new(1);
        world.handle(Input::Stored { ticket: Ticket::OF_NO_EVENT, error });
        let is_error = |output: &&Output| matches!(output, Output::Emit { turn: None, kind: EventKind::Error(_) });
        assert_eq!(world.outputs.iter().filter(is_error).count(), told);
    }
}

fn lived(seed: u64) -> Vec<Output> {
    let mut world = World::new(seed);
    for _ in 0..600 {
        world.live();
    }
    world.wind_down();
    world.outputs
}

#[track_caller]
fn assert_sound(seed: u64, outputs: &[Output]) {
    let mut open = BTreeSet::new();
    let mut ended = BTreeMap::new();
    let mut flushed = BTreeSet::new();
    let mut paused = None;
    for output in outputs {
        let Output::Emit { turn, kind } = output else { continue };
        let alive = || turn.is_some_and(|turn| open.contains(&turn));
        match kind {
            EventKind::TurnStarted { .. } => assert!(open.insert(turn.unwrap()), "seed {seed}: {turn:?} started twice"),
            EventKind::TurnFinished { .. } | EventKind::TurnInterrupted { .. } | EventKind::TurnFailed { .. } => {
                let turn = turn.unwrap();
                assert!(open.remove(&turn), "seed {seed}: {turn:?} ended without a start, or twice: {kind:?}");
                ended.insert(turn, kind.clone());
                if paused == Some(turn) {
                    paused = None;
                }
            }
            EventKind::PlaybackPause => {
                assert!(alive() && paused.is_none(), "seed {seed}: {turn:?} is held twice, or not there");
                paused = *turn;
            }
            EventKind::PlaybackResume => {
                assert!(paused.is_some() && paused == *turn, "seed {seed}: {turn:?} goes on and was not held");
                paused = None;
            }
            EventKind::PlaybackFlush => {
                paused = None;
                flushed.insert(*turn);
            }
            EventKind::ReplyTextDelta { .. } | EventKind::ReplyAudioDelta { .. } if flushed.contains(turn) => {
                panic!("seed {seed}: {turn:?} goes on after it was flushed");
            }
            EventKind::ReplyTextDelta { .. } | EventKind::ReplyAudioDelta { .. } | EventKind::TranscriptDone { .. } => {
                assert!(alive(), "seed {seed}: {turn:?} goes on after its end");
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "seed {seed}: {open:?} never ended");
}

#[test]
fn each_turn_ends_exactly_once_in_any_order_of_inputs() {
    let mut kinds = BTreeSet::new();
    for seed in 0..400 {
        let outputs = lived(seed);
        assert_sound(seed, &outputs);
        kinds.extend(outputs.iter().filter_map(|output| match output {
            Output::Emit { kind: EventKind::TurnInterrupted { reason, .. }, .. } => Some(format!("{reason:?}")),
            Output::Emit { kind, .. } => Some(format!("{kind:?}").split([' ', '(']).next().unwrap().to_owned()),
            _ => None,
        }));
    }
    // The lives were not dull.
    for kind in ["BargeIn", "Cancel", "TurnFinished", "TurnFailed", "PlaybackPause", "PlaybackResume", "Idle"] {
        assert!(kinds.contains(kind), "{kind} never happened: {kinds:?}");
    }
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    for seed in 0..20 {
        assert_eq!(lived(seed), lived(seed));
    }
}
