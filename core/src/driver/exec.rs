//! The queues of work that is ready: one for each heavy backend.

use super::inbox::Inbox;
use crate::backend::BoxFuture;
use async_task::Runnable;
use std::sync::Arc;

/// Which worker does a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    /// The microphone and its VAD: nothing that takes long, so that nobody waits to be heard.
    Microphone,
    /// The turn detector.
    Turns,
    /// Decoding, the recogniser.
    Ears,
    /// The chat model.
    Mind,
    /// The synthesizer.
    Voice,
}

impl Worker {
    pub(crate) const ALL: [Worker; 5] = [Worker::Microphone, Worker::Turns, Worker::Ears, Worker::Mind, Worker::Voice];

    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn thread_name(self) -> &'static str {
        match self {
            Worker::Microphone => "tertulia-mic",
            Worker::Turns => "tertulia-turns",
            Worker::Ears => "tertulia-ears",
            Worker::Mind => "tertulia-mind",
            Worker::Voice => "tertulia-voice",
        }
    }
}

/// The workers' queues. Whoever runs them decides on which thread; a piece of work that is not finished goes to the
/// end of its queue when it can go on.
#[derive(Clone, Default)]
pub(crate) struct Workers {
    queues: Arc<[Inbox<Runnable>; Worker::ALL.len()]>,
}

impl Workers {
    pub(crate) fn spawn(&self, worker: Worker, work: BoxFuture<'static, ()>) {
        let queues = self.queues.clone();
        // Where the queue is closed, the engine is shut down, and the work is dropped.
        let schedule = move |runnable| queues[worker as usize].push(runnable);
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        let (runnable, task) = async_task::spawn(work, schedule);
        #[cfg(all(target_family = "wasm", target_os = "unknown"))]
        let (runnable, task) = async_task::spawn_local(work, schedule);
        task.detach();
        runnable.schedule();
    }

    /// Does one piece of work that is ready of each worker; false where there was none.
    pub(crate) fn try_tick(&self) -> bool {
        let mut worked = false;
        for ready in &*self.queues {
            if let Some(runnable) = ready.try_pop() {
                runnable.run();
                worked = true;
            }
        }
        worked
    }

    /// Does one worker's work until the queues are closed.
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub(crate) fn run(&self, worker: Worker) {
        while let Some(runnable) = self.queues[worker as usize].pop() {
            runnable.run();
        }
    }

    /// Stops the workers after the step they are in, and drops the work that is left.
    pub(crate) fn close(&self) {
        for ready in &*self.queues {
            ready.close();
        }
    }
}
