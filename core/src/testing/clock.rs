//! A virtual clock, which tests advance by hand.
//!
//! ```
//! use tertulia::Clock;
//! use tertulia::testing::clock::VirtualClock;
//! let clock = VirtualClock::new();
//! clock.advance_to(1_500_000);
//! assert_eq!(clock.monotonic_us(), 1_500_000);
//! ```

use crate::platform::Clock;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The Unix time at which every virtual clock starts, in ms.
const START_UNIX_MS: u64 = 1_750_000_000_000;

/// The clock. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    now_us: u64,
    /// The sleepers and their wake times, in the order in which they fell asleep.
    asleep: Vec<(u64, Waker)>,
}

impl VirtualClock {
    /// A clock at 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock on, and wakes those whose time has come, in the order of their times. It never goes back.
    pub fn advance_to(&self, now_us: u64) {
        let mut state = self.0.lock();
        state.now_us = state.now_us.max(now_us);
        let now_us = state.now_us;
        let mut due: Vec<(u64, Waker)> = state.asleep.extract_if(.., |(until_us, _)| *until_us <= now_us).collect();
        drop(state);
        due.sort_by_key(|(until_us, _)| *until_us);
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// The next wake time.
    pub fn next_wake_us(&self) -> Option<u64> {
        self.0.lock().asleep.iter().map(|(until_us, _)| *until_us).min()
    }

    /// A sleep of `ms` milliseconds from its first poll.
    pub fn nap(&self, ms: u64) -> Nap {
        Nap { clock: self.clone(), us: ms * 1000 }
    }
}

impl Clock for VirtualClock {
    fn monotonic_us(&self) -> u64 {
        self.0.lock().now_us
    }

    fn unix_ms(&self) -> u64 {
        START_UNIX_MS + self.monotonic_us() / 1000
    }
}

/// See [`VirtualClock::nap`].
#[derive(Clone, Debug)]
pub struct Nap {
    clock: VirtualClock,
    us: u64,
}

impl Nap {
    /// Sleeps. Nothing shortens it: this is the step of a backend that does not look at its cancel flag.
    pub(super) async fn sleep(&self) {
        let until_us = self.clock.monotonic_us() + self.us;
        poll_fn(|context| {
            let mut state = self.clock.0.lock();
            if state.now_us >= until_us {
                return Poll::Ready(());
            }
            state.asleep.push((until_us, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
