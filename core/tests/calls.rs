//! The table of calls in the crate's documentation is whole; the calls that return at once do, while every backend computes;
//! and calls in a backend do not wait for it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tertulia::audio::write_wav;
use tertulia::backend::*;
use tertulia::catalog::Catalog;
use tertulia::store::{AudioKind, ImportOptions, SessionQuery, StoreLocation, StoreOptions};
use tertulia::testing::scripted::{Scripted, noise_16k};
use tertulia::{
    Engine, EngineBuilder, EngineOptions, ErrorCode, EventKind, Events, Job, JobControl, LanguageTag, ListenRequest,
    Listening, ListeningMode, Result, Session, SessionConfig, SessionEngine, SessionId, SessionUpdate, SystemClock,
    TrimLevel, TurnId,
};

const TIMES: usize = 200;
const AT_ONCE: Duration = Duration::from_millis(5);
const STEP: Duration = Duration::from_millis(200);

/// The rows of the table: the name of each call, and when it returns.
fn table() -> BTreeMap<String, String> {
    let mut calls = BTreeMap::new();
    for row in include_str!("../docs/calls.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let mut names = cells[1].split('`').skip(1).step_by(2);
        let (owner, first) = names.next().and_then(|name| name.split_once("::")).expect("a type and a call");
        for name in std::iter::once(first).chain(names) {
            let twice = calls.insert(format!("{owner}::{name}"), cells[2].to_owned());
            assert_eq!(twice, None, "{owner}::{name} is there twice");
        }
    }
    calls
}

/// The public methods in a file, as `Type::method`, without hidden ones.
fn methods(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let (mut owner, mut is_trait, mut hidden, mut found) = ("", false, false, Vec::new());
    let name = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().len();
    for line in text.lines() {
        let generic = line.strip_prefix("impl<").and_then(|rest| Some(rest.split_once("> ")?.1));
        if let Some(rest) = generic.or(line.strip_prefix("impl ")).or(line.strip_prefix("pub trait ")) {
            (owner, is_trait) = (&rest[..name(rest)], line.starts_with("pub trait "));
        }
        let public = ["    pub fn ", "    pub async fn "].iter().find_map(|start| line.strip_prefix(start));
        if let Some(rest) = public.or(line.strip_prefix("    fn ").filter(|_| is_trait)) {
            found.extend((!hidden).then(|| format!("{owner}::{}", &rest[..name(rest)])));
        }
        hidden = line == "    #[doc(hidden)]" || (hidden && line.starts_with("    #["));
    }
    found
}

#[test]
fn every_call_is_in_the_table() {
    let files = [
        "engine/api.rs",
        "engine/builder.rs",
        "engine/native.rs",
        "session.rs",
        "session/events.rs",
        "driver/local.rs",
        "job.rs",
    ];
    let owners = ["SessionEngine", "EngineBuilder", "Session", "Events", "LocalDriver", "Job"];
    let is_theirs = |call: &String| owners.contains(&call.split_once("::").unwrap().0);
    let public: BTreeSet<String> = files.iter().flat_map(|file| methods(file)).filter(is_theirs).collect();
    assert!(public.len() > 70, "the sources were not read: {public:?}");
    assert_eq!(public, table().into_keys().collect());
}

/// A recogniser, chat model and synthesizer, each of whose steps blocks its worker, until its work is cancelled.
#[derive(Clone, Default)]
struct Slow {
    /// The steps of each.
    steps: Arc<[AtomicUsize; 3]>,
}

impl Slow {
    fn steps<T: Send + 'static>(
        &self,
        role: usize,
        cancel: CancelFlag,
        item: impl Fn() -> T + Send + 'static,
    ) -> Steps<'static, T> {
        let steps = self.steps.clone();
        steps_from_fn(move || {
            cancel.check()?;
            std::thread::sleep(STEP);
            steps[role].fetch_add(1, Ordering::Relaxed);
            Ok(Some(item()))
        })
    }

    fn counts(&self) -> [usize; 3] {
        std::array::from_fn(|role| self.steps[role].load(Ordering::Relaxed))
    }
}

fn languages() -> Vec<LanguageTag> {
    ["en", "es"].map(|tag| tag.parse().unwrap()).into()
}

impl Model for Slow {
    fn name(&self) -> &str {
        "slow"
    }
}

impl Recognizer for Slow {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        Ok(self.steps(0, request.cancel, || RecognitionStep::Working))
    }
}

impl ChatModel for Slow {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(self.clone()))
    }
}

impl Conversation for Slow {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        Ok(self.steps(1, request.cancel, || ChatStep::Working))
    }
}

impl Synthesizer for Slow {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        Ok(self.steps(2, request.cancel, || SpeechChunk::new(vec![0.0; 80], 8_000, 0..0)))
    }
}

/// The median time of each call that was measured.
#[derive(Default)]
struct Medians(BTreeMap<String, Duration>);

impl Medians {
    /// Measures the call with each item; making the item and dropping the result do not count.
    fn of_each<T, R>(&mut self, name: &str, items: impl IntoIterator<Item = T>, mut call: impl FnMut(T) -> R) {
        let mut times: Vec<Duration> = items
            .into_iter()
            .map(|item| {
                let start = Instant::now();
                let result = call(item);
                let time = start.elapsed();
                drop(result);
                time
            })
            .collect();
        assert!(times.len() >= TIMES, "{name}: {} times", times.len());
        times.sort_unstable();
        assert!(self.0.insert(name.to_owned(), times[times.len() / 2]).is_none(), "{name} was measured twice");
    }

    fn of<R>(&mut self, name: &str, mut call: impl FnMut() -> R) {
        self.of_each(name, 0..TIMES, |_time| call());
    }
}

fn config() -> SessionConfig {
    SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap())
}

/// A session in which turns are started, and the reader of its events.
struct Talk {
    session: Session,
    events: Events,
    under_way: Cell<usize>,
}

impl Talk {
    fn new(engine: &impl SessionEngine) -> Self {
        let session = engine.create_session(config()).unwrap();
        Self { events: session.events().unwrap(), session, under_way: Cell::new(0) }
    }

    /// As many turns as are measured may begin; each time that ten wait, they are interrupted.
    fn room(&self) -> impl Iterator<Item = ()> {
        (0..TIMES).map(|_| {
            if self.under_way.get() == 10 {
                self.session.interrupt_all().unwrap();
                while self.under_way.get() > 0 {
                    let event = self.events.next_timeout(Duration::from_secs(10)).unwrap().expect("the turns end");
                    let ends = matches!(event.kind, EventKind::TurnInterrupted { .. });
                    self.under_way.set(self.under_way.get() - usize::from(ends));
                }
            }
            self.under_way.set(self.under_way.get() + 1);
        })
    }
}

fn measure_builder(medians: &mut Medians) {
    let builders = || (0..TIMES).map(|_| EngineBuilder::new());
    medians.of("EngineBuilder::new", EngineBuilder::new);
    medians.of_each("EngineBuilder::backends", builders(), |builder| builder.backends(Scripted::new().backends()));
    medians.of_each("EngineBuilder::store", builders(), |builder| builder.store(StoreLocation::File("x".into())));
    medians.of_each("EngineBuilder::store_options", builders(), |b| b.store_options(StoreOptions::default()));
    let catalog = Catalog::builtin();
    medians.of_each("EngineBuilder::catalog", builders(), |builder| builder.catalog(catalog.clone()));
    medians.of_each("EngineBuilder::clock", builders(), |builder| builder.clock(Arc::new(SystemClock::default())));
    medians.of_each("EngineBuilder::utterance_seconds_max", builders(), |builder| builder.utterance_seconds_max(60));
    medians.of_each("EngineBuilder::memory_bytes_max", builders(), |builder| builder.memory_bytes_max(1 << 30));
    let options = EngineOptions::default();
    medians.of_each("EngineBuilder::options", builders(), |builder| builder.options(&options).unwrap());
    let (_engine, driver) = block_on(EngineBuilder::new().build_local()).unwrap();
    medians.of("LocalDriver::due_in_us", || driver.due_in_us());
    medians.of("LocalDriver::is_done", || driver.is_done());
}

fn measure_engine(medians: &mut Medians, engine: &impl SessionEngine) {
    let sessions = || (0..TIMES).map(|_| engine.create_session(config()).unwrap()).collect::<Vec<_>>();
    let session = engine.create_session(config()).unwrap();
    medians.of("SessionEngine::handle", || engine.handle(session.id()).unwrap());
    medians.of("SessionEngine::capabilities", || engine.capabilities());
    medians.of("SessionEngine::catalog", || engine.catalog());
    medians.of("SessionEngine::events", || engine.events().unwrap());
    medians.of("SessionEngine::memory_needed", || engine.memory_needed(None));
    medians.of("SessionEngine::unload", || engine.unload());
    medians.of("SessionEngine::trim", || engine.trim(TrimLevel::Models));
    medians.of_each("SessionEngine::close_session", &sessions(), |open| engine.close_session(open.id()).unwrap());
    medians.of_each("SessionEngine::end_session", &sessions(), |open| engine.end_session(open.id()).unwrap());
    medians.of_each("Session::close", &sessions(), |open| open.close());
    medians.of_each("Session::end", &sessions(), |open| open.end().unwrap());
    medians.of_each("Session::detach", sessions(), |open| open.detach());
}

/// A job is made at once, whatever it does later.
fn measure_jobs(medians: &mut Medians, engine: &impl SessionEngine) {
    let (control, id) = (JobControl::default(), engine.create_session(config()).unwrap().id());
    medians.of("Job::new", || Job::new(control.clone(), steps_once(async { Ok(()) })));
    medians.of("Job::once", || Job::once(control.clone(), async { Ok(()) }));
    let job = engine.verify_store();
    medians.of("Job::control", || job.control());
    medians.of("SessionEngine::verify_store", || engine.verify_store());
    medians.of("SessionEngine::compact_store", || engine.compact_store());
    medians.of("SessionEngine::preload", || engine.preload());
    medians.of("SessionEngine::export_session_to", || engine.export_session_to(id, Box::new(Vec::new())));
    let archive = || Box::new(std::io::Cursor::new(Vec::new()));
    medians.of("SessionEngine::import_session", || engine.import_session(archive(), ImportOptions::default()));
    let audio = (0..TIMES).map(|_| noise_16k(1000));
    medians.of_each("SessionEngine::transcribe", audio.clone(), |audio| engine.transcribe(audio, 16_000, languages()));
    let requests = audio.map(|audio| ListenRequest::new(audio, 16_000, languages()));
    medians.of_each("SessionEngine::listen", requests, |request| engine.listen(request).unwrap());
    let requests = (0..TIMES).map(|_| SynthesisRequest::new("Hola.", languages()));
    medians.of_each("SessionEngine::synthesize", requests, |request| engine.synthesize(request).unwrap());
}

fn measure_turns(medians: &mut Medians, talk: &Talk) {
    let session = &talk.session;
    let recording: Arc<[u8]> = write_wav(&noise_16k(1000), 16_000).into();
    medians.of_each("Session::send_text", talk.room(), |()| session.send_text("Hola.").unwrap());
    medians.of_each("Session::say", talk.room(), |()| session.say("Hola.").unwrap());
    medians.of_each("Session::reply", talk.room(), |()| session.reply(None).unwrap());
    medians.of_each("Session::push_encoded", talk.room(), |()| session.push_encoded(recording.clone()).unwrap());
    let noise = noise_16k(100);
    let spoken = talk.room().map(|()| session.push_audio(&noise, 16_000).unwrap());
    medians.of_each("Session::end_utterance", spoken, |()| session.end_utterance().unwrap());
    medians.of("Session::played", || session.played(TurnId(1), 80).unwrap());
    medians.of("Session::interrupt", || session.interrupt().unwrap());
    medians.of("Session::interrupt_all", || session.interrupt_all().unwrap());
    medians.of("Events::try_next", || talk.events.try_next().unwrap());
    medians.of("Events::set_waker", || talk.events.set_waker(|| {}));
}

fn measure_session(medians: &mut Medians, session: &Session) {
    let (block, stereo, short) = (noise_16k(10), noise_16k(20), [1_000_i16; 160]);
    medians.of("Session::id", || session.id());
    medians.of("Session::config", || session.config());
    medians.of("Session::events", || session.events().unwrap());
    medians.of("Session::push_audio", || session.push_audio(&block, 16_000).unwrap());
    medians.of("Session::push_audio_i16", || session.push_audio_i16(&short, 16_000).unwrap());
    medians.of("Session::push_interleaved", || session.push_interleaved(&stereo, 2, 16_000).unwrap());
    medians.of("Session::push_playback", || session.push_playback(&block, 16_000).unwrap());
    medians.of("Session::input_interrupted", || session.input_interrupted().unwrap());
    medians.of("Session::input_resumed", || session.input_resumed().unwrap());
    medians.of("Session::discard_utterance", || session.discard_utterance().unwrap());
    let update = SessionUpdate::new().speed(0.8);
    medians.of("Session::update", || session.update(&update).unwrap());
}

#[test]
fn calls_that_return_at_once_do_while_every_backend_computes() {
    let (folder, slow) = (tempfile::tempdir().unwrap(), Slow::default());
    let backends = Backends {
        recognizer: Some(Arc::new(slow.clone())),
        chat: Some(Arc::new(slow.clone())),
        synthesizer: Some(Arc::new(slow.clone())),
        ..Scripted::new().backends()
    };
    let store = StoreLocation::File(folder.path().join("sessions.redb"));
    let engine = EngineBuilder::new().backends(backends).store(store).build().unwrap();
    // One session for each backend, so that all three are always at work.
    let busy: [Session; 3] = std::array::from_fn(|_| engine.create_session(config()).unwrap());
    busy[0].push_encoded(write_wav(&noise_16k(1000), 16_000)).unwrap();
    busy[1].send_text("Hola.").unwrap();
    busy[2].say("Hola.").unwrap();
    while slow.counts().contains(&0) {
        std::thread::sleep(STEP);
    }
    let (start, before, mut medians) = (Instant::now(), slow.counts(), Medians::default());

    measure_builder(&mut medians);
    measure_engine(&mut medians, &engine);
    measure_jobs(&mut medians, &engine);
    measure_turns(&mut medians, &Talk::new(&engine));
    let listening = Listening { mode: ListeningMode::Continuous, ..Listening::default() };
    measure_session(&mut medians, &engine.create_session(SessionConfig { listening, ..config() }).unwrap());

    let steps = start.elapsed().as_millis() / STEP.as_millis();
    for (after, before) in slow.counts().into_iter().zip(before) {
        assert!((after - before) as u128 > steps / 2, "{after} steps, {before} before, of {steps}: it was idle");
    }
    let slowest: Vec<_> = medians.0.iter().filter(|(_, median)| **median > AT_ONCE).collect();
    assert!(slowest.is_empty(), "not at once: {slowest:?}");
    let at_once = table().into_iter().filter(|(_, returns)| returns.contains("at once")).map(|(name, _)| name);
    assert_eq!(at_once.collect::<BTreeSet<String>>(), medians.0.into_keys().collect());
}

/// A chat model whose first reply makes calls of the host's.
struct Calling(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Model for Calling {
    fn name(&self) -> &str {
        "calling"
    }
}

impl ChatModel for Calling {
    fn languages(&self) -> Vec<LanguageTag> {
        languages()
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        let work = self.0.lock().unwrap().take();
        work.into_iter().for_each(|work| work());
        Ok(Box::new(Slow::default()))
    }
}

/// Calls of the table that take their time, and may be made in a backend.
fn call_in_a_backend(engine: &Engine, own: SessionId) {
    assert_eq!(engine.open_session(own, &SessionUpdate::new()).unwrap_err().code(), ErrorCode::SessionBusy);
    let session = engine.create_session(config()).unwrap();
    let id = session.id();
    assert_eq!(session.correct(TurnId(1), "Hola.").unwrap_err().code(), ErrorCode::TurnNotFound);
    assert_eq!(session.retry_turn(TurnId(1)).unwrap_err().code(), ErrorCode::TurnNotFound);
    assert_eq!(session.audio(TurnId(1), AudioKind::User).unwrap_err().code(), ErrorCode::TurnNotFound);
    assert_eq!(engine.audio(id, TurnId(1), AudioKind::User).unwrap_err().code(), ErrorCode::TurnNotFound);
    assert!(session.turns().unwrap().is_empty() && engine.turns(id, None, 10).unwrap().turns.is_empty());
    assert!(engine.session(id).unwrap().1.is_complete());
    assert_eq!(engine.sessions(&SessionQuery::default(), None, 10).unwrap().sessions.len(), 2);
    engine.sweep(false).unwrap();
    engine.store_usage().unwrap();
    engine.resume().unwrap();
    session.close();
    // It does not wait for the session to be closed.
    while let Err(error) = engine.delete_session(id) {
        assert_eq!(error.code(), ErrorCode::SessionBusy);
    }
    let refused = [engine.suspend(Duration::MAX).unwrap_err(), engine.shut_down(Duration::MAX).unwrap_err()];
    assert_eq!(refused.map(|error| error.code()), [ErrorCode::CalledFromCallback; 2]);
}

#[test]
fn calls_in_a_backend_do_not_wait_for_it() {
    let chat = Arc::new(Calling(Mutex::default()));
    let backends = Backends { chat: Some(chat.clone()), ..Backends::default() };
    let engine = Arc::new(EngineBuilder::new().backends(backends).build().unwrap());
    let session = engine.create_session(config()).unwrap();
    let (inside, id, (done, is_done)) = (engine.clone(), session.id(), channel());
    let work = move || {
        call_in_a_backend(&inside, id);
        done.send(()).unwrap();
    };
    *chat.0.lock().unwrap() = Some(Box::new(work));
    session.send_text("Hola.").unwrap();
    is_done.recv_timeout(Duration::from_secs(20)).expect("a call waits for its own backend, or failed");
}
