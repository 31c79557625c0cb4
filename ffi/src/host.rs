//! Backends that the host wrote in C: tables of functions, whose results are pushed into sinks.

use crate::boundary::{OK, invalid, list, optional_text, versioned};
use crate::error::without_zeros;
use crate::handle;
use crate::sink::{OnCancel, Sender, SinkObject, host_error, sink, tertulia_sink};
use engine::backend::{
    Backends, ChatModel, ChatRequest, ChatStep, Conversation, Model, RecognitionRequest, RecognitionStep, Recognizer,
    RequestContext, SpeechChunk, Steps, SynthesisRequest, Synthesizer, Vad, VadModel,
};
use engine::{EngineOptions, Error, ErrorCode, LanguageTag, Result};
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Begins to recognise `count` mono samples at 16,000 Hz, and returns; the transcript is pushed into the sink. The request is
/// in JSON: `languages`, `purpose`, `session`, `turn`, `tag`. Texts and samples are valid during the call only. Returns
/// `TERTULIA_OK` or an error's code.
pub type tertulia_recognize_fn = Option<
    extern "C" fn(
        user_data: *mut c_void,
        request_json: *const c_char,
        samples: *const f32,
        count: usize,
        sink: *mut tertulia_sink,
    ) -> i32,
>;
/// Begins a reply, or speech, and returns; its parts are pushed into the sink. The request is in JSON: for a reply `messages`
/// (`role`, `content`), `max_tokens`, `temperature`; for speech `text`, `languages`, `voice`, `speed`; for both `purpose`,
/// `session`, `turn`, `tag`. It is valid during the call only. Returns `TERTULIA_OK` or an error's code.
pub type tertulia_request_fn =
    Option<extern "C" fn(user_data: *mut c_void, request_json: *const c_char, sink: *mut tertulia_sink) -> i32>;
/// Tells once that the results of a sink are not wanted any more, unless the sink has ended. Called on any thread, with no
/// lock of the library held, after the function that began the work has returned: it may make calls, and end the sink, but
/// must not wait. A call that ends the sink on another thread returns after it. Without it the work goes on until
/// `tertulia_sink_is_cancelled()` is asked, or a push fails with Cancelled.
pub type tertulia_cancel_fn = Option<extern "C" fn(user_data: *mut c_void, sink: *mut tertulia_sink)>;
/// Called once, when no engine uses the backend any more; any thread.
pub type tertulia_release_fn = Option<extern "C" fn(user_data: *mut c_void)>;

/// A recogniser, chat model or synthesizer of the host's. Fill the whole with zeros first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tertulia_backend {
    /// `sizeof(tertulia_backend)`.
    pub struct_size: usize,
    /// Handed to every function.
    pub user_data: *mut c_void,
    /// A short name for capabilities and logs; copied.
    pub name: *const c_char,
    /// The languages, BCP 47 tags with commas; copied.
    pub languages: *const c_char,
    /// Of a recogniser.
    pub recognize: tertulia_recognize_fn,
    /// Of a chat model or a synthesizer.
    pub request: tertulia_request_fn,
    /// NULL where there is nothing to release.
    pub release: tertulia_release_fn,
    /// NULL where nothing is to be told.
    pub cancel: tertulia_cancel_fn,
}

/// A voice activity detector of the host's. Its functions run on an audio thread: they must not wait.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tertulia_vad {
    /// `sizeof(tertulia_vad)`.
    pub struct_size: usize,
    /// Handed to every function.
    pub user_data: *mut c_void,
    /// A short name; copied.
    pub name: *const c_char,
    /// Samples of one frame at 16,000 Hz, 80 to 4,096.
    pub frame_len: usize,
    /// A detector with empty state, for one stream of audio.
    pub open: Option<extern "C" fn(user_data: *mut c_void) -> *mut c_void>,
    /// The probability of speech, 0 to 1, in the next frame; negative where it failed.
    pub process: Option<extern "C" fn(detector: *mut c_void, frame: *const f32, count: usize) -> f32>,
    /// Empties the state.
    pub reset: Option<extern "C" fn(detector: *mut c_void)>,
    /// Frees a detector.
    pub close: Option<extern "C" fn(detector: *mut c_void)>,
    /// NULL where there is nothing to release.
    pub release: tertulia_release_fn,
}

/// The backends of the host's; NULL for a role that it has none for. Fill the whole with zeros first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tertulia_backends {
    /// `sizeof(tertulia_backends)`.
    pub struct_size: usize,
    /// Voice activity detection.
    pub vad: *const tertulia_vad,
    /// Speech to text.
    pub recognizer: *const tertulia_backend,
    /// Replies.
    pub chat: *const tertulia_backend,
    /// Text to speech.
    pub synthesizer: *const tertulia_backend,
}

/// The backends of the host's.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) vad: Option<Arc<dyn VadModel>>,
    pub(crate) recognizer: Option<Arc<dyn Recognizer>>,
    pub(crate) chat: Option<Arc<dyn ChatModel>>,
    pub(crate) synthesizer: Option<Arc<dyn Synthesizer>>,
}

/// Copies the tables of the host.
pub(crate) fn backends(table: *const tertulia_backends) -> Result<Own> {
    // SAFETY: zeros are null pointers.
    let Some(table) = unsafe { versioned("backends", table) }? else { return Ok(Own::default()) };
    let all = (
        HostVad::new(table.vad),
        Host::new("recognizer", table.recognizer, true),
        Host::new("chat", table.chat, false),
        Host::new("synthesizer", table.synthesizer, false),
    );
    Ok(Own {
        vad: all.0?.map(|vad| vad as _),
        recognizer: all.1?.map(|host| host as _),
        chat: all.2?.map(|host| host as _),
        synthesizer: all.3?.map(|host| host as _),
    })
}

impl Own {
    /// The host's backends, and those of the options for the other roles.
    pub(crate) fn over(self, options: &EngineOptions) -> Result<Backends> {
        let others = self.others(options)?;
        Ok(Backends {
            vad: self.vad.or(others.vad),
            recognizer: self.recognizer.or(others.recognizer),
            chat: self.chat.or(others.chat),
            synthesizer: self.synthesizer.or(others.synthesizer),
            turn_detector: others.turn_detector,
        })
    }

    #[cfg(feature = "models")]
    fn others(&self, options: &EngineOptions) -> Result<Backends> {
        use engine::ModelChoice;
        let mut options = options.clone();
        let models = &mut options.models;
        let own = [self.vad.is_some(), self.recognizer.is_some(), self.chat.is_some(), self.synthesizer.is_some()];
        let choices = [&mut models.vad, &mut models.recognizer, &mut models.chat, &mut models.synthesizer];
        choices.into_iter().zip(own).filter(|(_, own)| *own).for_each(|(choice, _)| *choice = ModelChoice::None);
        tertulia_models::backends_for(&options)
    }

    #[cfg(not(feature = "models"))]
    fn others(&self, _options: &EngineOptions) -> Result<Backends> {
        Ok(Backends::default())
    }
}

/// A pointer of the host's, for any thread, as it promises.
struct UserData {
    pointer: *mut c_void,
    release: tertulia_release_fn,
}

// SAFETY: the header says that functions of backends are called on any thread with it.
unsafe impl Send for UserData {}
// SAFETY: as above, by several at a time.
unsafe impl Sync for UserData {}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            release(self.pointer);
        }
    }
}

/// A recogniser, chat model or synthesizer of the host's.
#[derive(Clone)]
struct Host {
    user_data: Arc<UserData>,
    name: String,
    languages: Vec<LanguageTag>,
    recognize: tertulia_recognize_fn,
    request: tertulia_request_fn,
    cancel: tertulia_cancel_fn,
}

impl Host {
    fn new(role: &str, table: *const tertulia_backend, recognizes: bool) -> Result<Option<Arc<Self>>> {
        // SAFETY: zeros are null pointers.
        let Some(table) = unsafe { versioned(role, table) }? else { return Ok(None) };
        let user_data = Arc::new(UserData { pointer: table.user_data, release: table.release });
        let name = optional_text("name", table.name)?.unwrap_or("host").to_owned();
        let languages = list("languages", table.languages)?.ok_or_else(|| invalid("languages is NULL"))?;
        let languages = languages.into_iter().map(str::parse).collect::<Result<Vec<_>>>()?;
        if (recognizes && table.recognize.is_none()) || (!recognizes && table.request.is_none()) {
            return Err(invalid(format!("{role} lacks its function")));
        }
        let (recognize, request, cancel) = (table.recognize, table.request, table.cancel);
        Ok(Some(Arc::new(Self { user_data, name, languages, recognize, request, cancel })))
    }

    fn request(&self, json: &serde_json::Value, sink: SinkObject) -> Result<()> {
        let request = self.request.expect("it was checked");
        let json = without_zeros(&json.to_string());
        self.begin(sink, |sink| request(self.user_data.pointer, json.as_ptr(), sink))
    }

    /// Begins work of the host's, with a sink for its results.
    fn begin(&self, sink: SinkObject, begin: impl FnOnce(*mut tertulia_sink) -> i32) -> Result<()> {
        let sink = handle::insert(sink);
        if let Some(cancel) = self.cancel {
            let (user_data, address) = (self.user_data.clone(), sink.expose_provenance());
            let on_cancel: OnCancel =
                Box::new(move || cancel(user_data.pointer, std::ptr::with_exposed_provenance_mut(address)));
            handle::get::<SinkObject>(sink)?.set_on_cancel(Some(on_cancel));
        }
        match begin(sink) {
            OK => Ok(()),
            code => {
                let _ = handle::remove::<SinkObject>(sink);
                Err(host_error(code, &format!("{} returned {code}", self.name)))
            }
        }
    }
}

fn json_of(context: &RequestContext) -> serde_json::Map<String, serde_json::Value> {
    let purpose = format!("{:?}", context.purpose).to_lowercase();
    let json =
        serde_json::json!({"purpose": purpose, "session": context.session, "turn": context.turn, "tag": &*context.tag});
    let serde_json::Value::Object(mut fields) = json else { unreachable!("it is an object") };
    fields.retain(|_, value| !value.is_null());
    fields
}

impl Model for Host {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Recognizer for Host {
    fn languages(&self) -> Vec<LanguageTag> {
        self.languages.clone()
    }

    fn recognize(&self, request: RecognitionRequest) -> Result<Steps<'static, RecognitionStep>> {
        let recognize = self.recognize.expect("it was checked");
        let mut json = json_of(&request.context);
        json.insert("languages".into(), serde_json::json!(request.languages));
        let json = without_zeros(&serde_json::Value::Object(json).to_string());
        let (sink, steps) = sink(Sender::Transcript, request.cancel);
        self.begin(sink, |sink| {
            recognize(self.user_data.pointer, json.as_ptr(), request.audio.as_ptr(), request.audio.len(), sink)
        })?;
        Ok(steps)
    }
}

impl ChatModel for Host {
    fn languages(&self) -> Vec<LanguageTag> {
        self.languages.clone()
    }

    fn open_conversation(&self) -> Result<Box<dyn Conversation>> {
        Ok(Box::new(self.clone()))
    }
}

impl Conversation for Host {
    fn reply(&mut self, request: ChatRequest) -> Result<Steps<'_, ChatStep>> {
        let mut json = json_of(&request.context);
        json.insert("messages".into(), serde_json::json!(request.messages));
        json.insert("max_tokens".into(), request.sampling.max_tokens.into());
        json.insert("temperature".into(), request.sampling.temperature.into());
        let (sink, steps) = sink(Sender::Reply, request.cancel);
        Host::request(self, &json.into(), sink)?;
        Ok(steps)
    }
}

impl Synthesizer for Host {
    fn languages(&self) -> Vec<LanguageTag> {
        self.languages.clone()
    }

    fn synthesize(&self, request: SynthesisRequest) -> Result<Steps<'static, SpeechChunk>> {
        let mut json = json_of(&request.context);
        json.insert("text".into(), request.text.into());
        json.insert("languages".into(), serde_json::json!(request.languages));
        json.insert("speed".into(), request.speed.into());
        if let Some(voice) = request.voice {
            json.insert("voice".into(), voice.into());
        }
        let (sink, steps) = sink(Sender::Speech, request.cancel);
        Host::request(self, &json.into(), sink)?;
        Ok(steps)
    }
}

struct HostVad {
    table: tertulia_vad,
    user_data: Arc<UserData>,
    name: String,
}

// SAFETY: its pointers are the host's, for any thread, as the header says; the name is not read again.
unsafe impl Send for HostVad {}
// SAFETY: as above.
unsafe impl Sync for HostVad {}

impl HostVad {
    fn new(table: *const tertulia_vad) -> Result<Option<Arc<Self>>> {
        // SAFETY: zeros are null pointers.
        let Some(table) = unsafe { versioned("vad", table) }? else { return Ok(None) };
        let user_data = Arc::new(UserData { pointer: table.user_data, release: table.release });
        let name = optional_text("name", table.name)?.unwrap_or("host").to_owned();
        if table.open.is_none() || table.process.is_none() || table.close.is_none() {
            return Err(invalid("vad lacks a function"));
        }
        if !(80..=4_096).contains(&table.frame_len) {
            return Err(invalid(format!("vad.frame_len is {}: outside 80 to 4096", table.frame_len)));
        }
        Ok(Some(Arc::new(Self { table, user_data, name })))
    }
}

impl Model for HostVad {
    fn name(&self) -> &str {
        &self.name
    }
}

impl VadModel for HostVad {
    fn open(&self) -> Result<Box<dyn Vad>> {
        let detector = self.table.open.expect("it was checked")(self.user_data.pointer);
        if detector.is_null() {
            return Err(Error::new(ErrorCode::HostCallback, format!("{} gave no detector", self.name)));
        }
        Ok(Box::new(Detector { detector, table: self.table, _user_data: self.user_data.clone() }))
    }
}

struct Detector {
    detector: *mut c_void,
    table: tertulia_vad,
    /// Not released before the detector is closed.
    _user_data: Arc<UserData>,
}

// SAFETY: a detector is used by one thread at a time, any one, as the header says.
unsafe impl Send for Detector {}

impl Vad for Detector {
    fn frame_len(&self) -> usize {
        self.table.frame_len
    }

    fn process(&mut self, frame: &[f32]) -> Result<f32> {
        let probability = self.table.process.expect("it was checked")(self.detector, frame.as_ptr(), frame.len());
        if probability < 0.0 { Err(ErrorCode::VadFailed.into()) } else { Ok(probability) }
    }

    fn reset(&mut self) {
        if let Some(reset) = self.table.reset {
            reset(self.detector);
        }
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.table.close.expect("it was checked")(self.detector);
    }
}
