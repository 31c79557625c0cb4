//! A simulated host, microphone, disk and backends in virtual time, driven by a seed.

use crate::model::Model;
use crate::random::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use tertulia::backend::block_on;
use tertulia::event::EventKind;
use tertulia::testing::clock::VirtualClock;
use tertulia::testing::fault::FaultyDisk;
use tertulia::testing::scripted::{Cue, NOISE_LEVEL, SPEECH_LEVEL, Scripted, sound};
use tertulia::{
    Clock, Engine, EngineBuilder, ErrorCode, Events, Keep, Listening, ListeningMode, LocalDriver, Playback, Retention,
    Session, SessionConfig, SessionEngine, SessionUpdate, TurnId,
};

pub(crate) struct World {
    random: Random,
    clock: VirtualClock,
    scripted: Scripted,
    has_turn_detector: bool,
    disk: FaultyDisk,
    engine: Engine,
    driver: LocalDriver,
    session: Session,
    events: Events,
    /// The engine need not be done with one thing when the next happens.
    hasty: bool,
    /// The host reads its events seldom.
    lazy: bool,
    /// The host never reports what it played.
    silent: bool,
    /// The store never fails, and neither does the power.
    calm: bool,
    /// The host tells what its speaker plays.
    tells_echo: bool,
    /// The microphone: the level, the number of blocks left, and the rate.
    sound: (f32, u64, u32),
    words: u64,
    /// How far the host has played each turn.
    played: BTreeMap<TurnId, u64>,
    /// Turns that the host was promised since the session was opened last.
    promised: Vec<TurnId>,
    model: Model,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = FaultyDisk::new();
        let (clock, scripted) = (VirtualClock::new(), Scripted::new());
        let has_turn_detector = random.one_in(2);
        scripted.voice.set_word_times(!random.one_in(4));
        let (engine, driver) = engine(&clock, &scripted, has_turn_detector, &disk);
        let config = config(&mut random);
        let (hasty, lazy, calm) = (random.one_in(3), random.one_in(4), random.one_in(2));
        let (tells_echo, silent) = (random.one_in(16), random.one_in(8));
        let session = engine.create_session(config.clone()).expect("a session");
        let events = session.events().expect("the first reader");
        Self {
            random,
            clock,
            scripted,
            has_turn_detector,
            disk,
            engine,
            driver,
            session,
            events,
            hasty,
            lazy,
            silent,
            calm,
            tells_echo,
            sound: (0.0, 20, 16_000),
            words: 0,
            played: BTreeMap::new(),
            promised: Vec::new(),
            model: Model::new(&config, !hasty, calm && !hasty && !lazy),
        }
    }

    /// Something happens.
    /// The machines' next deadline; housekeeping comes once an hour.
    fn next_deadline_us(&self) -> Option<u64> {
        let due_in_us = self.driver.due_in_us();
        (due_in_us < 600_000_000).then(|| self.clock.monotonic_us() + due_in_us)
    }

    pub(crate) fn act(&mut self) {
        self.write_scripts();
        let now_us = self.clock.monotonic_us();
        let choice = self.random.below(100);
        let ms = match choice {
            // Time goes by: to the next thing that is due, or not quite.
            0..8 => self.random.below(400),
            8..16 => {
                let due = [self.clock.next_wake_us(), self.next_deadline_us()];
                due.into_iter().flatten().min().map_or(1, |due_us| due_us.saturating_sub(now_us).div_ceil(1000))
            }
            _ => self.random.below(8),
        };
        // At least a little: two calls of the host never come at the same moment.
        self.clock.advance_to(now_us + ms.max(1) * 1000);
        match choice {
            0..16 => {}
            16..60 => (0..self.random.below(8)).for_each(|_| self.push_block()),
            60..78 => self.report_played(),
            78..84 => self.read(),
            84..91 => self.begin_turn(),
            91 => self.session.interrupt().expect("an open session"),
            92 => self.session.interrupt_all().expect("an open session"),
            93 if self.random.one_in(2) => self.session.discard_utterance().expect("an open session"),
            93 => self.session.input_interrupted().expect("an open session"),
            94..96 => self.update(),
            96 if !self.calm => {
                let kind = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::Other][self.random.below(2) as usize];
                let nth = self.random.below(12);
                self.disk.fail_operation(nth, kind);
            }
            97 if self.random.one_in(3) => self.reopen(),
            98 if !self.calm && self.random.one_in(4) => self.crash(),
            _ => self.disk.recover(),
        }
        self.work();
        if !self.lazy && !self.random.one_in(4) {
            self.read();
        }
    }

    /// The engine does what there is to do, or a part of it.
    fn work(&mut self) {
        match self.hasty {
            true => (0..self.random.below(8)).for_each(|_| _ = self.driver.step()),
            false => self.driver.run_until_idle(),
        }
    }

    /// Everybody stops: what is due is done, the host plays what it has, and all that was begun must end. Then the
    /// power fails, and what was acknowledged must be there.
    pub(crate) fn wind_down(mut self) -> Vec<String> {
        self.disk.recover();
        self.be_quiet();
        self.model.assert_quiet(&self.promised);
        self.crash();
        self.be_quiet();
        let (_, turns) = self.engine.session(self.session.id()).expect("the session");
        assert!(turns.is_complete(), "turns are damaged");
        self.model.assert_stored(&turns.turns);
        self.model.assert_contexts(&self.scripted.chat.requests(), &turns.turns);
        self.model.into_told()
    }

    fn be_quiet(&mut self) {
        for _ in 0..10_000 {
            self.write_scripts();
            self.driver.run_until_idle();
            let read = self.read_all();
            self.driver.run_until_idle();
            let played = self.play_all();
            self.driver.run_until_idle();
            let now_us = self.clock.monotonic_us();
            let due = [self.clock.next_wake_us(), self.next_deadline_us()];
            match due.into_iter().flatten().min() {
                Some(due_us) => self.clock.advance_to(due_us.max(now_us + 1000)),
                None if read || played => self.clock.advance_to(now_us + 1000),
                None => return,
            }
        }
        panic!("it never gets quiet");
    }

    fn push_block(&mut self) {
        let (level, left, rate) = self.sound;
        self.sound = match left {
            0 => {
                let level = [SPEECH_LEVEL, SPEECH_LEVEL, NOISE_LEVEL, 0.0, 0.0][self.random.below(5) as usize];
                let rate = if self.random.one_in(60) { [8_000, 48_000][self.random.below(2) as usize] } else { 16_000 };
                (level, 1 + self.random.below(50), rate)
            }
            _ => (level, left - 1, rate),
        };
        let block = sound(level, 32, rate);
        let pushed = match self.tells_echo {
            true => self.session.push_playback(&sound(NOISE_LEVEL, 32, rate), rate),
            false => Ok(()),
        };
        match pushed.and_then(|()| self.session.push_audio(&block, rate)) {
            Err(error) if error.code() != ErrorCode::AudioOverrun => panic!("{error}"),
            _ => {}
        }
        self.clock.advance_to(self.clock.monotonic_us() + 32_000);
        self.work();
    }

    fn begin_turn(&mut self) {
        let choice = self.random.below(10);
        let text = match choice {
            5..9 if self.random.one_in(12) => self.sentences(120),
            _ => self.sentences(3),
        };
        let begun = match choice {
            0..2 => self.session.end_utterance(),
            2..5 => self.session.send_text(&text),
            5..7 => self.session.say(&text),
            7 => self.session.reply(Some(&text)),
            8 if self.random.one_in(2) => {
                let last = self.promised.last().map_or(1, |turn| turn.0);
                self.session.correct(TurnId(last.saturating_sub(self.random.below(4))), &text)
            }
            8 => self.session.retry_turn(TurnId(1 + self.random.below(6))),
            _ => self.session.push_encoded(*b"no audio"),
        };
        match begun.map_err(|error| error.code()) {
            Ok(turn) => self.promised.push(turn),
            Err(ErrorCode::QueueFull | ErrorCode::AudioEmpty | ErrorCode::TurnNotFound | ErrorCode::AudioGone) => {}
            // A disk that has just failed may be asked for the turn that is to be tried again.
            Err(code) if code.block() == 7 => {}
            Err(code) => panic!("{code:?}"),
        }
    }

    /// On time, late, twice, or for a turn that is long over; never more than the host has.
    fn report_played(&mut self) {
        let Some((turn, had)) = self.model.turn_with_audio(self.random.below(4)) else { return };
        let before = *self.played.get(&turn).unwrap_or(&0);
        let now = (before + self.random.below(4_000)).min(had);
        let reported = match self.random.below(8) {
            0 => self.random.below(before + 1),
            1 => before,
            // Right at the end of a word, or just before or after it.
            2..5 => (self.model.word_end_after(turn, now) + self.random.below(3)).saturating_sub(1).min(had),
            _ => now,
        };
        self.played.insert(turn, before.max(reported));
        self.report(turn, reported);
    }

    fn report(&mut self, turn: TurnId, samples: u64) {
        if self.silent {
            return;
        }
        self.model.report(turn, samples, self.clock.monotonic_us() / 1000);
        self.session.played(turn, samples).expect("an open session");
    }

    /// Plays what there is; of a playback that was flushed the host tells no more.
    fn play_all(&mut self) -> bool {
        let Some((turn, had)) = self.model.turn_with_audio(0).filter(|(turn, _)| !self.model.is_flushed(*turn)) else {
            return false;
        };
        if self.played.insert(turn, had) == Some(had) {
            return false;
        }
        self.report(turn, had);
        true
    }

    fn update(&mut self) {
        let mut listening = self.session.config().listening;
        if self.random.one_in(4) {
            listening = listening_of(&mut self.random);
        }
        let update = SessionUpdate::new()
            .patience(self.random.below(11) as f32 / 10.0)
            .interruptible(!self.random.one_in(4))
            .speed(1.0 + self.random.below(2) as f32)
            .listening(listening);
        self.session.update(&update).expect("settings in their ranges");
    }

    /// Reads some of the events that are there, or all of them.
    fn read(&mut self) {
        let most = if self.random.one_in(3) { self.random.below(6) as usize } else { usize::MAX };
        self.read_at_most(most);
    }

    fn read_all(&mut self) -> bool {
        self.read_at_most(usize::MAX)
    }

    fn read_at_most(&mut self, most: usize) -> bool {
        let mut audio = 0;
        for count in 0..most {
            let Ok(Some(event)) = self.events.try_next() else { return count > 0 };
            audio += usize::from(matches!(event.kind, EventKind::ReplyAudioDelta { .. }));
            assert!(audio <= 140, "{audio} chunks wait to be read");
            self.model.read(event, self.clock.monotonic_us() / 1000);
        }
        most > 0
    }

    /// Closes the session, reads to its end, and opens it again.
    fn reopen(&mut self) {
        self.disk.recover();
        self.session.close();
        self.driver.run_until_idle();
        while let Ok(Some(event)) = self.events.try_next() {
            self.model.read(event, self.clock.monotonic_us() / 1000);
        }
        self.model.assert_closed();
        self.open();
    }

    /// The power fails and comes back: what had not reached the disk may be there or not.
    fn crash(&mut self) {
        // An event is there only once what it tells is stored.
        self.read_all();
        self.model.crash();
        let disk = self.disk.crashed(self.random.next());
        let (engine, driver) = engine(&self.clock, &self.scripted, self.has_turn_detector, &disk);
        self.disk = disk;
        self.driver = driver;
        self.engine = engine;
        self.open();
    }

    fn open(&mut self) {
        self.session = self.engine.open_session(self.session.id(), &SessionUpdate::new()).expect("the session");
        self.events = self.session.events().expect("the first reader");
        self.promised.clear();
        self.model.open(self.clock.monotonic_us() / 1000);
    }

    /// So many words, none of which is ever used again.
    fn sentences(&mut self, words_max: u64) -> String {
        let count = 1 + self.random.below(words_max);
        let mut text = String::new();
        for at in 0..count {
            self.words += 1;
            let end = match self.random.below(6) {
                _ if at + 1 == count => ".",
                0 => ". ",
                1 => ", ",
                _ => " ",
            };
            text += &format!("p{}{end}", self.words);
        }
        text
    }

    /// There is always an answer.
    fn write_scripts(&mut self) {
        while self.scripted.recognizer.unasked() < 4 {
            let text = match self.random.below(8) {
                0 => String::new(),
                1 => "Sí.".to_owned(),
                2 => "Mhm".to_owned(),
                3 => self.sentences(4).replace('.', " y"),
                _ => self.sentences(6),
            };
            let cues = self.cues([text], 600);
            self.scripted.recognizer.then_cues(cues);
        }
        while self.scripted.turn_detector.unasked() < 4 {
            let probability = self.random.below(101) as f32 / 100.0;
            let cues = self.cues([probability], 100);
            self.scripted.turn_detector.then_cues(cues);
        }
        while self.scripted.chat.unasked() < 4 {
            let pieces: Vec<String> = match self.random.below(12) {
                0 => vec![" ".to_owned()],
                1 => vec![self.sentences(200)],
                _ => (0..1 + self.random.below(4)).map(|_| self.sentences(12) + " ").collect(),
            };
            let cues = self.cues(pieces, 300);
            self.scripted.chat.then(cues);
        }
        while self.scripted.voice.unasked() < 300 {
            let cue = match self.random.below(300) {
                0 => Cue::Fail(ErrorCode::SynthesizerFailed),
                1 => Cue::Panic,
                2..40 => Cue::Sleep(self.clock.nap(self.random.below(200))),
                _ => Cue::Item(()),
            };
            self.scripted.voice.before_next_word(cue);
        }
    }

    /// The items, with waits between them, and sometimes a bad end.
    fn cues<T>(&mut self, items: impl IntoIterator<Item = T>, ms_max: u64) -> Vec<Cue<T>> {
        let mut cues = Vec::new();
        for item in items {
            if !self.random.one_in(4) {
                cues.push(Cue::Sleep(self.clock.nap(self.random.below(ms_max))));
            }
            match self.random.below(40) {
                0 => cues.push(Cue::Fail(ErrorCode::RecognizerFailed)),
                1 => cues.push(Cue::Panic),
                _ => cues.push(Cue::Item(item)),
            }
        }
        cues
    }
}

fn engine(
    clock: &VirtualClock,
    scripted: &Scripted,
    has_turn_detector: bool,
    disk: &FaultyDisk,
) -> (Engine, LocalDriver) {
    let mut backends = scripted.backends();
    if has_turn_detector {
        backends.turn_detector = Some(scripted.turn_detector.clone());
    }
    let builder = EngineBuilder::new().backends(backends).clock(Arc::new(clock.clone())).store(disk.location());
    block_on(builder.utterance_seconds_max(6).build_local()).expect("an engine")
}

fn config(random: &mut Random) -> SessionConfig {
    let playback = if random.one_in(4) { Playback::Assumed } else { Playback::Reported };
    let audio = Retention {
        user_audio: [Keep::UntilSessionEnd, Keep::Never][random.below(2) as usize],
        ..Retention::default()
    };
    let has_latency = playback == Playback::Reported && random.one_in(3);
    SessionConfig {
        playback,
        output_latency_ms: if has_latency { random.below(150) as u32 } else { 0 },
        interruptible: !random.one_in(5),
        listening: listening_of(random),
        retention: if random.one_in(2) { Retention { reply_audio: Keep::Never, ..audio } } else { audio },
        ..SessionConfig::new("en".parse().expect("a tag"), "es".parse().expect("a tag"))
    }
}

fn listening_of(random: &mut Random) -> Listening {
    Listening {
        mode: if random.one_in(5) { ListeningMode::PushToTalk } else { ListeningMode::Continuous },
        preroll_ms: random.below(500) as u32,
        speech_ms_min: 30 + random.below(200) as u32,
        interrupt_ms: 100 + random.below(1_500) as u32,
        partial_ms: 100 + random.below(1_000) as u32,
        idle_ms: random.one_in(2).then(|| 200 + random.below(3_000) as u32),
    }
}
