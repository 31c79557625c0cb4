//! A frame costs no allocation, and little time.

#[path = "common/counting.rs"]
mod counting;

use counting::allocations;
use std::time::{Duration, Instant};
use tertulia::backend::VadModel;
use tertulia_models::files::ModelStore;
use tertulia_models::silero::{FRAME_LEN, SileroVad};

// One test in this file: another one would allocate on its own thread meanwhile. The thread that waits for it does so once, on
// a busy machine late: hence several rounds.
#[test]
fn a_frame_allocates_nothing_and_takes_less_than_it_lasts() {
    let model = SileroVad::new(ModelStore::open_default().unwrap().path("silero-vad-v6").unwrap());
    let mut vad = model.open().unwrap();
    let frame: [f32; FRAME_LEN] = std::array::from_fn(|i| (i as f32 * 0.1).sin() * 0.3);
    vad.process(&frame).unwrap();

    let mut fastest = Duration::MAX;
    let mut round = || {
        let before = allocations();
        for _ in 0..200 {
            let start = Instant::now();
            vad.process(&frame).unwrap();
            fastest = fastest.min(start.elapsed());
        }
        vad.reset();
        allocations() - before
    };
    assert_eq!((0..5).map(|_| round()).min(), Some(0));
    // Unoptimised code is allowed the time that the frame lasts.
    let allowed = Duration::from_millis(if cfg!(debug_assertions) { 32 } else { 1 });
    assert!(fastest < allowed, "a frame of 32 ms took {fastest:?}");
}
