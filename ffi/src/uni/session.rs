//! The handle of an open session.

use super::config::{SessionConfig, SessionUpdate, mirrored};
use super::event::TertuliaEvent;
use super::{Result, call, samples};
use crate::session::Reader;
use engine::{Session, TurnId};
use std::sync::Arc;

/// Tells that there may be an event to read. It is called on any thread of the engine, must only notify, and must call
/// nothing of this library.
#[uniffi::export(foreign)]
pub trait EventWaker: Send + Sync {
    /// There may be an event.
    fn wake(&self) -> Result<()>;
}

/// Calls a waker of the host's, whose exceptions have nowhere to go.
pub(super) fn waking(waker: Arc<dyn EventWaker>) -> impl Fn() + Send + Sync + 'static {
    move || {
        if let Err(error) = waker.wake() {
            tracing::warn!(%error, "a waker failed");
        }
    }
}

/// A handle of an open session, which does not keep it open: only closing or ending the session does that.
#[derive(uniffi::Object)]
pub struct TertuliaSession {
    session: Session,
    reader: Reader,
}

impl TertuliaSession {
    pub(super) fn new(session: Session) -> Arc<Self> {
        Arc::new(Self { session, reader: Reader::default() })
    }
}

#[uniffi::export]
impl TertuliaSession {
    /// The session's id, with which it can be opened again.
    pub fn id(&self) -> String {
        self.session.id().to_string()
    }

    /// Waits up to `timeout_ms` for the next event; none where none came. One thread reads: EventsTaken while another does.
    /// Fails with SessionClosed after `SessionClosed` was read.
    pub fn next_event(&self, timeout_ms: u64) -> Result<Option<TertuliaEvent>> {
        call(|| Ok(self.reader.next(|| self.session.events(), timeout_ms)?.map(Into::into)))
    }

    /// Has the waker called whenever there may be a new event; none for no more calls.
    pub fn set_waker(&self, waker: Option<Arc<dyn EventWaker>>) -> Result<()> {
        call(|| match waker {
            Some(waker) => self.reader.set_waker(|| self.session.events(), waking(waker)),
            None => self.reader.set_waker(|| self.session.events(), || {}),
        })
    }

    /// Takes in mono samples of -1 to 1 from the microphone at `rate` Hz (8,000 to 192,000): little-endian 32-bit floats.
    /// Blocks of any length; never waits.
    pub fn push_audio(&self, pcm: &[u8], rate: u32) -> Result<()> {
        call(|| self.session.push_audio(&samples(pcm)?, rate))
    }

    /// The same with little-endian 16-bit samples.
    pub fn push_audio_i16(&self, pcm: &[u8], rate: u32) -> Result<()> {
        call(|| self.session.push_audio_i16(&samples(pcm)?, rate))
    }

    /// The same with interleaved 32-bit samples of several channels, which are averaged.
    pub fn push_interleaved(&self, pcm: &[u8], channels: u32, rate: u32) -> Result<()> {
        call(|| self.session.push_interleaved(&samples(pcm)?, channels as usize, rate))
    }

    /// Takes in what the loudspeaker plays, for the engine's echo canceller; as `push_audio`.
    pub fn push_playback(&self, pcm: &[u8], rate: u32) -> Result<()> {
        call(|| self.session.push_playback(&samples(pcm)?, rate))
    }

    /// Starts a turn with one whole file (webm, mp4, ogg, wav, mp3 or flac), and gives its number.
    pub fn push_encoded(&self, bytes: &[u8]) -> Result<u64> {
        call(|| Ok(self.session.push_encoded(bytes)?.0))
    }

    /// Ends the utterance whose audio was pushed, and starts a turn.
    pub fn end_utterance(&self) -> Result<u64> {
        call(|| Ok(self.session.end_utterance()?.0))
    }

    /// Drops the utterance under way; no turn begins.
    pub fn discard_utterance(&self) -> Result<()> {
        call(|| self.session.discard_utterance())
    }

    /// Tells that the microphone was taken away.
    pub fn input_interrupted(&self) -> Result<()> {
        call(|| self.session.input_interrupted())
    }

    /// Tells that the microphone is back, and may be another one.
    pub fn input_resumed(&self) -> Result<()> {
        call(|| self.session.input_resumed())
    }

    /// Starts a turn with a typed text.
    pub fn send_text(&self, text: &str) -> Result<u64> {
        call(|| Ok(self.session.send_text(text)?.0))
    }

    /// Starts a turn that speaks this text.
    pub fn say(&self, text: &str) -> Result<u64> {
        call(|| Ok(self.session.say(text)?.0))
    }

    /// Starts a turn with a reply that no utterance asked for, to instructions, or without them to open the conversation.
    #[uniffi::method(default(instructions = None))]
    pub fn reply(&self, instructions: Option<String>) -> Result<u64> {
        call(|| Ok(self.session.reply(instructions.as_deref())?.0))
    }

    /// Retries a failed or interrupted turn as a new turn. Reads the store.
    pub fn retry_turn(&self, turn: u64) -> Result<u64> {
        call(|| Ok(self.session.retry_turn(TurnId(turn))?.0))
    }

    /// Corrects the user's words of a turn; the conversation goes on from there. Reads the store.
    pub fn correct(&self, turn: u64, text: &str) -> Result<u64> {
        call(|| Ok(self.session.correct(TurnId(turn), text)?.0))
    }

    /// Interrupts the turn under way.
    pub fn interrupt(&self) -> Result<()> {
        call(|| self.session.interrupt())
    }

    /// Interrupts the turn under way and all that wait.
    pub fn interrupt_all(&self) -> Result<()> {
        call(|| self.session.interrupt_all())
    }

    /// Reports how many samples of the turn's reply were played in total.
    pub fn played(&self, turn: u64, samples_total: u64) -> Result<()> {
        call(|| self.session.played(TurnId(turn), samples_total))
    }

    /// The settings for the next turn.
    pub fn config(&self) -> Result<SessionConfig> {
        call(|| mirrored(&self.session.config()))
    }

    /// Changes settings from the next turn on.
    pub fn update(&self, update: SessionUpdate) -> Result<()> {
        call(|| self.session.update(&update.read()?))
    }

    /// Closes the session without ending it: it can be opened again.
    pub fn close_session(&self) -> Result<()> {
        call(|| {
            self.session.close();
            Ok(())
        })
    }

    /// Ends the session for good.
    pub fn end_session(&self) -> Result<()> {
        call(|| self.session.end())
    }
}
