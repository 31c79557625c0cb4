//! The engine.

use crate::boundary::{OK, call, give, invalid, list, optional_text, put, slice, text};
use crate::data::{Data, Samples, tertulia_data};
use crate::error::tertulia_error;
use crate::event::tertulia_event;
use crate::handle;
use crate::host::{self, Own, tertulia_backends};
use crate::job::{Item, JobObject, tertulia_job};
use crate::session::{self, Reader, tertulia_wakeup_fn};
use engine::backend::SynthesisRequest;
use engine::store::{AudioKind, ExportReport, ImportOptions, ImportReport, StoreKey};
use engine::{
    Command, Engine, EngineBuilder, EngineOptions, ErrorCode, Job, LanguageTag, ListenRequest, Result, SessionEngine,
    SessionId, TurnId,
};
use parking_lot::RwLock;
use serde::Deserialize;
use std::ffi::{c_char, c_void};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::sync::Arc;
use std::time::Duration;

/// The longest wait of `tertulia_engine_free()`.
const SHUT_DOWN_WAIT: Duration = Duration::from_secs(10);

/// An engine. Free it with `tertulia_engine_free()`.
pub struct tertulia_engine(());

pub(crate) struct EngineObject {
    /// None once it was freed, whoever still is in a call.
    engine: RwLock<Option<Arc<Engine>>>,
    pub(crate) reader: Reader,
}

impl EngineObject {
    pub(crate) fn open(own: Own, options: &EngineOptions) -> Result<Self> {
        Ok(Self::new(EngineBuilder::new().backends(own.over(options)?).options(options)?.build()?))
    }

    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine: RwLock::new(Some(Arc::new(engine))), reader: Reader::default() }
    }

    pub(crate) fn engine(&self) -> Result<Arc<Engine>> {
        self.engine.read().clone().ok_or_else(|| ErrorCode::EngineClosed.into())
    }
}

fn engine_of(engine: *const tertulia_engine) -> Result<Arc<Engine>> {
    handle::get::<EngineObject>(engine)?.engine()
}

pub(crate) fn session_id(id: *const c_char) -> Result<SessionId> {
    parsed_id("session_id", text("session_id", id)?)
}

fn parsed_id(name: &str, id: &str) -> Result<SessionId> {
    id.parse().map_err(|_| invalid(format!("{name}: no session's id")))
}

/// Opens an engine. `options_json` (NULL for the defaults) is an object as docs/schema/commands.json describes it under
/// EngineOptions: the store, its key and quota, the models of each role. `backends` (NULL for none) are the host's own, in
/// the place of the options'. `out_engine` must be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_open(
    options_json: *const c_char,
    backends: *const tertulia_backends,
    out_engine: *mut *mut tertulia_engine,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        // First, so that every backend is released, whatever fails.
        let own = host::backends(backends)?;
        let options = optional_text("options_json", options_json)?
            .map_or(Ok(EngineOptions::default()), EngineOptions::from_json)?;
        give(out_engine, || EngineObject::open(own, &options))
    })
}

/// Shuts an engine down, waiting up to ten seconds, and frees it. Its sessions are closed and stored. NULL does nothing. Not
/// in a callback (CalledFromCallback): it is not freed then.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_free(engine: *mut tertulia_engine) -> i32 {
    if engine.is_null() {
        return OK;
    }
    call(std::ptr::null_mut(), || {
        let object = handle::get::<EngineObject>(engine)?;
        // Whoever is in a call of it keeps its memory, and no more.
        if let Ok(engine) = object.engine() {
            engine.shut_down(SHUT_DOWN_WAIT)?;
        }
        object.engine.write().take();
        handle::remove::<EngineObject>(engine).map(drop)
    })
}

/// Makes a call that a command in JSON stands for (docs/schema/commands.json: Command), and writes its answer to
/// `out_answer` (docs/schema/outputs.json: CommandOutput), which must be freed; NULL for an answer that is not wanted.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_apply(
    engine: *const tertulia_engine,
    command_json: *const c_char,
    out_answer: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        put(out_answer, std::ptr::null_mut());
        let engine = engine_of(engine)?;
        let answer = engine.apply(Command::from_json(text("command_json", command_json)?)?)?;
        if out_answer.is_null() { Ok(()) } else { give(out_answer, || Ok(Data::json(&answer.to_json()))) }
    })
}

/// Waits up to `timeout_ms` for the next event of the engine itself (models being loaded, errors outside sessions); as
/// `tertulia_session_next_event()`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_next_event(
    engine: *const tertulia_engine,
    timeout_ms: u64,
    out_event: *mut *mut tertulia_event,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let object = handle::get::<EngineObject>(engine)?;
        session::put_next(&object.reader, || object.engine()?.events(), timeout_ms, out_event)
    })
}

/// Has `wakeup` called whenever there may be a new event of the engine; as `tertulia_session_set_wakeup()`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_set_wakeup(
    engine: *const tertulia_engine,
    wakeup: tertulia_wakeup_fn,
    user_data: *mut c_void,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let object = handle::get::<EngineObject>(engine)?;
        session::set_wakeup(&object.reader, || object.engine()?.events(), wakeup, user_data)
    })
}

/// Stops computing and closes the store, for an app that goes to the background. Returns within `deadline_ms`; what still
/// runs then is written to `out_running` in JSON, unless it is NULL. Not in a callback (CalledFromCallback).
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_suspend(
    engine: *const tertulia_engine,
    deadline_ms: u64,
    out_running: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    stop(engine, out_running, out_error, |engine| engine.suspend(Duration::from_millis(deadline_ms)))
}

/// Closes every session, stores everything and stops; as `tertulia_engine_suspend()`. Another engine can open the store
/// then, whatever handles are left.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_shut_down(
    engine: *const tertulia_engine,
    timeout_ms: u64,
    out_running: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    stop(engine, out_running, out_error, |engine| engine.shut_down(Duration::from_millis(timeout_ms)))
}

fn stop(
    engine: *const tertulia_engine,
    out_running: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
    stop: impl FnOnce(&Engine) -> Result<engine::StillRunning>,
) -> i32 {
    call(out_error, || {
        put(out_running, std::ptr::null_mut());
        let running = stop(&*engine_of(engine)?)?;
        let json = serde_json::to_string(&running).expect("names of workers");
        if out_running.is_null() { Ok(()) } else { give(out_running, || Ok(Data::json(&json))) }
    })
}

/// Opens the store again and lets turns go on.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_resume(engine: *const tertulia_engine, out_error: *mut *mut tertulia_error) -> i32 {
    call(out_error, || engine_of(engine)?.resume())
}

/// The audio of a turn (`kind` "user" or "reply") of a session, open or not: its samples with `tertulia_data_i16()`, its
/// rate in JSON. `out_audio` must be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_audio(
    engine: *const tertulia_engine,
    session_id: *const c_char,
    turn: u64,
    kind: *const c_char,
    out_audio: *mut *mut tertulia_data,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    call(out_error, || {
        let (engine, id) = (engine_of(engine)?, self::session_id(session_id)?);
        let kind = match text("kind", kind)? {
            "user" => AudioKind::User,
            "reply" => AudioKind::Reply,
            other => return Err(invalid(format!("kind is {other:?}, not user or reply"))),
        };
        give(out_audio, || {
            let audio = engine.audio(id, TurnId(turn), kind)?;
            let json = serde_json::json!({"rate": audio.rate, "samples": audio.samples.len()}).to_string();
            Ok(Data { samples: Samples::I16(audio.samples), ..Data::json(&json) })
        })
    })
}

fn start<T: Item>(
    engine: *const tertulia_engine,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
    start: impl FnOnce(&Engine) -> Result<Job<'static, T>>,
) -> i32 {
    call(out_error, || {
        let engine = engine_of(engine)?;
        give(out_job, || Ok(JobObject::new(start(&engine)?)))
    })
}

fn languages(languages: *const c_char) -> Result<Vec<LanguageTag>> {
    list("languages", languages)?.unwrap_or_default().into_iter().map(str::parse).collect()
}

/// A job that transcribes `count` mono samples as one utterance. `languages` is a list of BCP 47 tags with commas: one to
/// force it, several to choose from; NULL for all.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_transcribe(
    engine: *const tertulia_engine,
    samples: *const f32,
    count: usize,
    rate: u32,
    languages: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| {
        Ok(engine.transcribe(slice("samples", samples, count)?.to_vec(), rate, self::languages(languages)?))
    })
}

/// A job that listens to a recording as to an open microphone, with endpointing, and gives events; as
/// `tertulia_engine_transcribe()`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_listen(
    engine: *const tertulia_engine,
    samples: *const f32,
    count: usize,
    rate: u32,
    languages: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| {
        let samples = slice("samples", samples, count)?.to_vec();
        engine.listen(ListenRequest::new(samples, rate, self::languages(languages)?))
    })
}

/// A request for speech, in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Speech {
    text: String,
    languages: Vec<LanguageTag>,
    voice: Option<String>,
    speed: Option<f32>,
}

/// A job that speaks a text. The request is in JSON: `text`, `languages` (a list of tags, the likeliest first), and if
/// wanted `voice` and `speed` (0.5 to 2).
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_synthesize(
    engine: *const tertulia_engine,
    request_json: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| {
        let speech: Speech = serde_json::from_str(text("request_json", request_json)?)
            .map_err(|error| invalid(format!("request_json: {error}")))?;
        let mut request = SynthesisRequest::new(speech.text, speech.languages);
        request.voice = speech.voice;
        request.speed = speech.speed.unwrap_or(request.speed);
        engine.synthesize(request)
    })
}

/// A job that loads every model, so that the first turn need not wait.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_preload(
    engine: *const tertulia_engine,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| Ok(engine.preload()))
}

fn archive_error(path: &str, source: std::io::Error) -> engine::Error {
    engine::Error::new(ErrorCode::ArchiveIo, path.to_owned()).with_source(source)
}

/// A job that writes a session as an archive to the file at `path`.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_export_session(
    engine: *const tertulia_engine,
    session_id: *const c_char,
    path: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| export_job(engine, self::session_id(session_id)?, text("path", path)?))
}

pub(crate) fn export_job(engine: &Engine, id: SessionId, path: &str) -> Result<Job<'static, ExportReport>> {
    let file = File::create(path).map_err(|source| archive_error(path, source))?;
    Ok(engine.export_session_to(id, Box::new(BufWriter::new(file))))
}

/// A job that stores a session from the archive at `path`, under its own id, or under `new_id` unless that is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_import_session(
    engine: *const tertulia_engine,
    path: *const c_char,
    new_id: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| {
        let path = text("path", path)?;
        let new_id = if new_id.is_null() { None } else { Some(session_id(new_id)?) };
        import_job(engine, path, new_id)
    })
}

pub(crate) fn import_job(engine: &Engine, path: &str, new_id: Option<SessionId>) -> Result<Job<'static, ImportReport>> {
    let file = File::open(path).map_err(|source| archive_error(path, source))?;
    let options = ImportOptions { new_id, ..ImportOptions::default() };
    Ok(engine.import_session(Box::new(BufReader::new(file)), options))
}

/// A job that reads everything in the store and reports damage.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_verify_store(
    engine: *const tertulia_engine,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| Ok(engine.verify_store()))
}

/// A job that gives the room of deleted data back to the file system.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_compact_store(
    engine: *const tertulia_engine,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| Ok(engine.compact_store()))
}

/// A job that deletes sessions (`session_ids` is a list with commas) so that no byte of them is left; NULL for everything.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_erase(
    engine: *const tertulia_engine,
    session_ids: *const c_char,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| match list("session_ids", session_ids)? {
        None => engine.erase_everything(),
        Some(ids) => {
            let ids = ids.into_iter().map(|id| parsed_id("session_ids", id));
            engine.erase_sessions(&ids.collect::<Result<Vec<_>>>()?)
        }
    })
}

/// A job that gives the store another key of 32 bytes, or with NULL takes the encryption away.
#[unsafe(no_mangle)]
pub extern "C" fn tertulia_engine_rotate_store_key(
    engine: *const tertulia_engine,
    key: *const u8,
    out_job: *mut *mut tertulia_job,
    out_error: *mut *mut tertulia_error,
) -> i32 {
    start(engine, out_job, out_error, |engine| {
        let bytes = if key.is_null() { None } else { slice("key", key, 32)?.first_chunk().copied() };
        engine.rotate_store_key(bytes.map(StoreKey::new))
    })
}
