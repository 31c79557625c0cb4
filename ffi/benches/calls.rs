//! Benchmarks of the calls that a host makes often, on the shared library as a program in C has it.
//!
//! `cargo build --release -p tertulia-ffi && cargo bench -p tertulia-ffi`, or with the library at `TERTULIA_LIBRARY`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, criterion_group, criterion_main};
use libloading::Library;
use std::ffi::{CStr, c_char, c_void};
use std::hint::black_box;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A handle of any type.
type Handle = *mut c_void;

/// Events that are read in one go; from 128 on the engine waits for its reader.
const EVENTS: usize = 100;

/// As the header has it.
#[repr(C)]
struct Backend {
    struct_size: usize,
    user_data: Handle,
    name: *const c_char,
    languages: *const c_char,
    recognize: *const c_void,
    request: Option<extern "C" fn(Handle, *const c_char, Handle) -> i32>,
    release: *const c_void,
}

/// As the header has it.
#[repr(C)]
struct Backends {
    struct_size: usize,
    vad: *const c_void,
    recognizer: *const c_void,
    chat: *const Backend,
    synthesizer: *const c_void,
}

macro_rules! calls {
    ($($name:ident($($argument:ty),*) -> $result:ty;)*) => {
        struct Calls {
            $($name: extern "C" fn($($argument),*) -> $result,)*
        }

        impl Calls {
            fn of(library: &Library) -> Self {
                // SAFETY: the types are those of the header.
                Self { $($name: *unsafe { library.get(concat!("tertulia_", stringify!($name))) }.expect("an export")),* }
            }
        }
    };
}

calls! {
    engine_open(*const c_char, *const Backends, &mut Handle, Handle) -> i32;
    engine_apply(Handle, *const c_char, *mut Handle, Handle) -> i32;
    engine_session(Handle, *const c_char, &mut Handle, Handle) -> i32;
    engine_free(Handle) -> i32;
    data_json(Handle) -> *const c_char;
    data_free(Handle) -> i32;
    event_free(Handle) -> i32;
    session_set_wakeup(Handle, extern "C" fn(Handle), Handle, Handle) -> i32;
    session_next_event(Handle, u64, &mut Handle, Handle) -> i32;
    session_push_audio(Handle, *const f32, usize, u32, Handle) -> i32;
    session_push_playback(Handle, *const f32, usize, u32, Handle) -> i32;
    session_free(Handle) -> i32;
    sink_text(Handle, *const c_char, Handle) -> i32;
    sink_done(Handle, Handle) -> i32;
    sink_free(Handle) -> i32;
}

static CALLS: LazyLock<Calls> = LazyLock::new(|| {
    let beside =
        || -> Option<PathBuf> { Some(std::env::current_exe().ok()?.parent()?.parent()?.join("libtertulia.so")) };
    let path = std::env::var_os("TERTULIA_LIBRARY").map(PathBuf::from).or_else(beside).expect("a path");
    // SAFETY: the library has no initialisers. It is never unloaded.
    let library = unsafe { Library::new(&path) };
    let library = library.unwrap_or_else(|error| panic!("{}: build tertulia-ffi first: {error}", path.display()));
    Calls::of(Box::leak(Box::new(library)))
});

/// Calls of the wakeup function: one for each event.
static WAKEUPS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn wakeup(_: Handle) {
    WAKEUPS.fetch_add(1, Ordering::Release);
}

/// A chat model whose replies have many parts.
extern "C" fn reply(_: Handle, _: *const c_char, sink: Handle) -> i32 {
    for _ in 0..2 * EVENTS {
        (CALLS.sink_text)(sink, c"palabra ".as_ptr(), null_mut());
    }
    (CALLS.sink_done)(sink, null_mut());
    (CALLS.sink_free)(sink)
}

struct Engine(Handle);

impl Engine {
    fn open() -> Self {
        let chat = Backend {
            struct_size: size_of::<Backend>(),
            user_data: null_mut(),
            name: c"chat".as_ptr(),
            languages: c"en,es".as_ptr(),
            recognize: null(),
            request: Some(reply),
            release: null(),
        };
        let backends = Backends {
            struct_size: size_of::<Backends>(),
            vad: null(),
            recognizer: null(),
            chat: &raw const chat,
            synthesizer: null(),
        };
        let options = c"{\"models\":{\"vad\":\"none\",\"turn_detector\":\"none\",\"recognizer\":\"none\",\"synthesizer\":\"none\"}}";
        let mut engine = null_mut();
        assert_eq!((CALLS.engine_open)(options.as_ptr(), &raw const backends, &mut engine, null_mut()), 0);
        Self(engine)
    }

    fn apply(&self, command: &str) -> String {
        let command = std::ffi::CString::new(command).expect("no zeros");
        let mut answer = null_mut();
        assert_eq!((CALLS.engine_apply)(self.0, command.as_ptr(), &raw mut answer, null_mut()), 0, "{command:?}");
        // SAFETY: it is valid until the data is freed.
        let json = unsafe { CStr::from_ptr((CALLS.data_json)(answer)) }.to_str().expect("UTF-8").to_owned();
        (CALLS.data_free)(answer);
        json
    }

    /// A new session that takes text and push-to-talk: its handle and id.
    fn session(&self) -> (Handle, String) {
        let config = r#"{"native":"en","target":"es","playback":"assumed","listening":{"mode":"push_to_talk"}}"#;
        let answer = self.apply(&format!(r#"{{"type":"create_session","config":{config}}}"#));
        let id = answer.split(r#""session":""#).nth(1).and_then(|rest| rest.get(..36)).expect("an id").to_owned();
        let (mut session, name) = (null_mut(), std::ffi::CString::new(&*id).expect("no zeros"));
        assert_eq!((CALLS.engine_session)(self.0, name.as_ptr(), &mut session, null_mut()), 0);
        (session, id)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        (CALLS.engine_free)(self.0);
    }
}

/// Reads an event that waits, and frees it after the clock was stopped.
fn event_waiting(criterion: &mut Criterion) {
    let engine = Engine::open();
    let mut group = criterion.benchmark_group("c");
    group.measurement_time(Duration::from_millis(20)).warm_up_time(Duration::from_millis(2));
    group.bench_function("next_event, one waits", |bencher| {
        bencher.iter_custom(|wanted| {
            let (mut taken, mut count) = (Duration::ZERO, 0);
            while count < wanted {
                let (session, id) = engine.session();
                WAKEUPS.store(0, Ordering::Release);
                (CALLS.session_set_wakeup)(session, wakeup, null_mut(), null_mut());
                engine.apply(&format!(r#"{{"type":"send_text","session":"{id}","text":"Habla."}}"#));
                while WAKEUPS.load(Ordering::Acquire) < EVENTS {
                    std::thread::sleep(Duration::from_micros(100));
                }
                let mut events = [null_mut(); EVENTS];
                let start = Instant::now();
                for event in &mut events {
                    black_box((CALLS.session_next_event)(session, 0, event, null_mut()));
                }
                taken += start.elapsed();
                count += EVENTS as u64;
                for event in events {
                    assert!(!event.is_null());
                    (CALLS.event_free)(event);
                }
                engine.apply(&format!(r#"{{"type":"close_session","session":"{id}"}}"#));
                (CALLS.session_free)(session);
            }
            taken.mul_f64(wanted as f64 / count as f64)
        });
    });
    group.finish();
}

/// Looks for an event where none waits.
fn no_event(criterion: &mut Criterion) {
    let engine = Engine::open();
    let (session, _) = engine.session();
    let mut event = null_mut();
    while (CALLS.session_next_event)(session, 200, &mut event, null_mut()) == 0 && !event.is_null() {
        (CALLS.event_free)(event);
    }
    let mut group = criterion.benchmark_group("c");
    group.bench_function("next_event, none waits", |bencher| {
        bencher.iter(|| (CALLS.session_next_event)(session, 0, &mut event, null_mut()));
    });
    group.finish();
    assert!(event.is_null());
    (CALLS.session_free)(session);
}

/// Pushes 20 ms at 48 kHz as a device does: the engine has done with the block before. A microphone's wakes its thread, a
/// speaker's does not. Beside it, the copy alone.
fn push_audio(criterion: &mut Criterion) {
    let engine = Engine::open();
    let (session, id) = engine.session();
    let samples = [0.1_f32; 960];
    let mut group = criterion.benchmark_group("c");
    group.measurement_time(Duration::from_millis(20)).warm_up_time(Duration::from_millis(2));
    for (name, push) in [("push_audio", CALLS.session_push_audio), ("push_playback", CALLS.session_push_playback)] {
        group.bench_function(format!("{name}, 20 ms at 48 kHz"), |bencher| {
            bencher.iter_custom(|wanted| {
                let mut taken = Duration::ZERO;
                for block in 1..=wanted {
                    let start = Instant::now();
                    let code = push(session, black_box(samples.as_ptr()), samples.len(), 48_000, null_mut());
                    taken += start.elapsed();
                    assert_eq!(code, 0);
                    if block % 2_000 == 0 || block == wanted {
                        // Before the utterance is as long as it may be.
                        engine.apply(&format!(r#"{{"type":"discard_utterance","session":"{id}"}}"#));
                    }
                    while start.elapsed() < Duration::from_micros(100) {
                        std::hint::spin_loop();
                    }
                }
                taken
            });
        });
    }
    group.bench_function("the copy of 20 ms", |bencher| {
        let mut copy = [0.0; 960];
        bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(&samples)));
    });
    group.finish();
    (CALLS.session_free)(session);
}

criterion_group!(benches, event_waiting, no_event, push_audio);
criterion_main!(benches);
