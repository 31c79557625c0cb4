//! An open microphone, once the buffers have grown, allocates nothing: neither on the host's audio thread nor behind it.

#[path = "common/counting.rs"]
mod counting;

use counting::allocations;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tertulia::backend::Backends;
use tertulia::{EngineBuilder, EventKind, Listening, ListeningMode, SessionConfig, SessionEngine};
use tertulia_models::files::ModelStore;
use tertulia_models::silero::SileroVad;

// One test in this file: another one would allocate on its own thread meanwhile.
#[test]
fn a_silent_microphone_allocates_nothing() {
    let vad = SileroVad::new(ModelStore::open_default().unwrap().path("silero-vad-v6").unwrap());
    let backends = Backends { vad: Some(Arc::new(vad)), ..Backends::default() };
    let engine = EngineBuilder::new().backends(backends).build().unwrap();
    let mut config = SessionConfig::new("en".parse().unwrap(), "es".parse().unwrap());
    config.listening = Listening { mode: ListeningMode::Continuous, idle_ms: Some(19_000), ..Listening::default() };
    let session = engine.create_session(config).unwrap();
    let events = session.events().unwrap();
    // A browser's rate goes through the resampler.
    let push_seconds = |seconds: usize, pause: Duration| {
        for _ in 0..seconds * 100 {
            session.push_audio(&[0.0; 480], 48_000).unwrap();
            std::thread::sleep(pause);
        }
    };
    // Much at once, and again, so that every buffer has grown beyond what comes later.
    let settle = || std::thread::sleep(Duration::from_millis(500));
    for _ in 0..2 {
        push_seconds(10, Duration::ZERO);
        settle();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !matches!(events.try_next().unwrap().map(|event| event.kind), Some(EventKind::Idle { .. })) {
        assert!(Instant::now() < deadline, "the silence was not processed");
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = allocations();
    push_seconds(10, Duration::from_millis(1));
    settle();
    assert_eq!(allocations() - before, 0, "in 10 s of silence");
}
