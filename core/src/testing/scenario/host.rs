//! The host of a run: its actions, and a host in Rust.

use super::ScenarioRun;
use crate::engine::{Command, Engine, SessionEngine};
use crate::error::{Error, ErrorCode, Result};
use crate::event::SessionId;
use crate::session::{Events, Session};

/// An action of the host.
#[derive(Debug)]
pub enum HostAction {
    /// Take this engine, and drop the one before, which a crash has ended.
    TakeEngine(Engine),
    /// Take the handle of the open session with this id, and drop the one before.
    TakeSession(SessionId),
    /// Make the call; its result is the answer's JSON.
    Apply(Box<Command>),
    /// Ask for the session's next event, without waiting; its result is the event's JSON, or `None`.
    ReadEvent,
    /// Push a block of the microphone.
    PushAudio {
        /// Its samples, one of each channel after the other.
        samples: Vec<f32>,
        /// The number of channels.
        channels: usize,
        /// Samples per second of each channel.
        rate: u32,
    },
    /// Push a file.
    PushEncoded(Vec<u8>),
}

/// Lives through a run.
pub(super) fn live(run: &mut ScenarioRun) -> Result<()> {
    let (mut host, mut result) = (Host::default(), Ok(None));
    while let Some(action) = run.next(result)? {
        result = host.act(action);
    }
    Ok(())
}

/// The handles of a host.
#[derive(Default)]
struct Host {
    engine: Option<Engine>,
    session: Option<(Session, Events)>,
}

impl Host {
    fn act(&mut self, action: HostAction) -> Result<Option<String>> {
        match action {
            HostAction::TakeEngine(engine) => {
                self.engine = Some(engine);
                Ok(None)
            }
            HostAction::TakeSession(id) => {
                let session = self.engine()?.handle(id)?;
                let events = session.events()?;
                self.session = Some((session, events));
                Ok(None)
            }
            HostAction::Apply(command) => Ok(Some(self.engine()?.apply(*command)?.to_json())),
            HostAction::ReadEvent => Ok(self.session()?.1.try_next()?.map(|event| event.to_json())),
            HostAction::PushAudio { samples, channels, rate } => {
                self.session()?.0.push_interleaved(&samples, channels, rate)?;
                Ok(None)
            }
            HostAction::PushEncoded(bytes) => {
                self.session()?.0.push_encoded(bytes)?;
                Ok(None)
            }
        }
    }

    fn engine(&self) -> Result<&Engine> {
        self.engine.as_ref().ok_or_else(|| Error::from(ErrorCode::EngineClosed))
    }

    fn session(&self) -> Result<&(Session, Events)> {
        self.session.as_ref().ok_or_else(|| Error::from(ErrorCode::SessionClosed))
    }
}
