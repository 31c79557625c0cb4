//! [`Session`]: the host's handle of one conversation.

mod events;

pub use events::Events;

use crate::audio::Sample;
use crate::config::{ListeningMode, SessionConfig, SessionUpdate};
use crate::driver::microphone::{Mark, Source};
use crate::driver::utterance::UtteranceFile;
use crate::driver::{Message, SessionShared};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{EndReason, SessionId, TurnId, TurnOrigin};
use crate::prompt;
use crate::store::{AudioKind, Lineage, StoredAudio, TurnRecord};
use crate::turn::{Input, Redo, Start, StartKind, WAITING_TURNS_MAX};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The longest text of one turn, in bytes.
pub const TEXT_BYTES_MAX: usize = 8_192;

/// A conversation that is open. Clones are the same session; [`close`](Session::close), or dropping the last one, closes it (it
/// can be opened again), and only [`end`](Session::end) ends it.
///
/// Calls may come from any thread, and their results arrive as [`Event`](crate::Event)s. All return at once but those that
/// read the store: [`turns`](Session::turns), [`audio`](Session::audio), [`retry_turn`](Session::retry_turn) and
/// [`correct`](Session::correct); see [the table](crate#calls-time-disk-threads). After close or end calls that change
/// something fail with [`ErrorCode::SessionClosed`], after the engine's end with [`ErrorCode::EngineClosed`].
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    session: Arc<SessionShared>,
    /// Dropping it closes the session.
    keeps_open: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if *self.keeps_open.get_mut() {
            self.session.close(false);
        }
    }
}

impl Session {
    pub(crate) fn new(session: Arc<SessionShared>, keeps_open: bool) -> Self {
        Self { inner: Arc::new(Inner { session, keeps_open: keeps_open.into() }) }
    }

    /// Lets the session stay open when this handle and its clones are dropped, until it is closed or ended: for languages
    /// whose garbage collector decides when that is. [`SessionEngine::handle`](crate::SessionEngine::handle) gives another.
    pub fn detach(self) -> SessionId {
        self.inner.keeps_open.store(false, Ordering::Release);
        self.id()
    }

    /// The session's id, with which it can be opened again.
    pub fn id(&self) -> SessionId {
        self.inner.session.id
    }

    /// The settings for the next turn.
    pub fn config(&self) -> SessionConfig {
        self.inner.session.config.lock().clone()
    }

    /// Takes in mono samples between -1 and 1 from the microphone, any number, at any rate from 8,000 to 192,000 Hz.
    /// The rate may change between calls.
    ///
    /// With [`ListeningMode::PushToTalk`] they are part of the next utterance; with [`ListeningMode::Continuous`] the
    /// engine finds speech and the end of the utterance by itself.
    ///
    /// # Errors
    /// [`ErrorCode::AudioInvalidRate`], [`ErrorCode::AudioInvalidSample`] (nothing of the block is kept),
    /// [`ErrorCode::AudioOverrun`] once the utterance has its maximum length, or the engine lags as far behind (earlier
    /// audio is kept).
    pub fn push_audio(&self, samples: &[f32], rate: u32) -> Result<()> {
        self.inner.push_microphone(samples, 1, rate)
    }

    /// Takes in 16-bit samples, as [`push_audio`](Session::push_audio) those between -1 and 1; errors as there.
    pub fn push_audio_i16(&self, samples: &[i16], rate: u32) -> Result<()> {
        self.inner.push_microphone(samples, 1, rate)
    }

    /// Takes in interleaved samples of a microphone with up to eight channels, in whole frames, as
    /// [`push_audio`](Session::push_audio) those of one; the channels are averaged. Their number may change between calls.
    ///
    /// # Errors
    /// As [`push_audio`](Session::push_audio); [`ErrorCode::AudioInvalidRate`] for another number of channels,
    /// [`ErrorCode::AudioInvalidSample`] where the last frame is not whole.
    pub fn push_interleaved(&self, samples: &[f32], channels: usize, rate: u32) -> Result<()> {
        self.inner.push_microphone(samples, channels, rate)
    }

    /// The far-end signal of the echo canceller: the audio that the speaker plays now. From the first call on, echo that
    /// returns 40 to 500 ms later is removed from the microphone's audio. Not for platforms with an echo canceller.
    ///
    /// Call it with each block as it is handed to the device, mono, at the device's rate, from the audio thread if you
    /// like, and preferably with the silence between replies, too, so that the clocks of speaker and microphone can be
    /// compared. During the first two seconds of playback the canceller adapts and an open microphone is muted.
    ///
    /// ```no_run
    /// # fn output_callback(session: &tertulia::Session, block: &mut [f32]) -> tertulia::Result<()> {
    /// // ... the host fills `block` with what is due, and then:
    /// session.push_playback(block, 48_000)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::AudioInvalidRate`], [`ErrorCode::AudioInvalidSample`], [`ErrorCode::AudioOverrun`] as in
    /// [`push_audio`](Session::push_audio).
    pub fn push_playback(&self, samples: &[f32], rate: u32) -> Result<()> {
        self.inner.check_open()?;
        self.inner.session.microphone.push(Source::Playback, samples, 1, rate)
    }

    /// Ends the utterance that was pushed and starts a turn with it. Not needed with [`ListeningMode::Continuous`]; the
    /// turn fails with [`ErrorCode::NoSpeech`] there where no utterance is under way.
    ///
    /// # Errors
    /// [`ErrorCode::AudioEmpty`] where nothing was pushed; [`ErrorCode::QueueFull`].
    pub fn end_utterance(&self) -> Result<TurnId> {
        self.inner.check_open()?;
        if self.inner.is_continuous() {
            self.inner.check_room()?;
            let turn = self.inner.session.take_turn();
            self.inner.session.microphone.mark(Mark::End { reason: EndReason::Host, turn: Some(turn) });
            return Ok(turn);
        }
        if !self.inner.session.microphone.take_utterance() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        let started = self.inner.start(StartKind::Utterance(EndReason::Host), None, None);
        self.inner.session.microphone.mark(Mark::UtteranceEnd(started.as_ref().ok().copied()));
        started
    }

    /// Drops the utterance under way: with [`ListeningMode::PushToTalk`] the audio that was pushed since the last one
    /// ended, with [`ListeningMode::Continuous`] the one that is being spoken; what is pushed later is another. No turn
    /// begins and no event tells of it, but `playback_resume` where the playback was paused. A turn that began is not
    /// touched; see [`interrupt`](Session::interrupt).
    pub fn discard_utterance(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.session.microphone.take_utterance();
        self.inner.session.microphone.mark(Mark::Discard);
        Ok(())
    }

    /// Tells that the microphone was taken away: a call came in, the route changed, the user muted it. Ends the utterance
    /// under way; audio that is pushed later is processed again. Does nothing with [`ListeningMode::PushToTalk`].
    pub fn input_interrupted(&self) -> Result<()> {
        self.inner.check_open()?;
        if self.inner.is_continuous() {
            self.inner.session.microphone.mark(Mark::End { reason: EndReason::InputInterrupted, turn: None });
        }
        Ok(())
    }

    /// Tells that the microphone is back and may be another one, or elsewhere: VAD and echo canceller are reset. Not
    /// needed for audio to be processed.
    pub fn input_resumed(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.session.microphone.mark(Mark::Resumed);
        Ok(())
    }

    /// Starts a turn with one complete recording: wav, flac, ogg, mp3, mp4 or webm, Opus included.
    ///
    /// A file that cannot be decoded shows as `turn_failed` at the stage `decode`.
    ///
    /// # Errors
    /// [`ErrorCode::AudioEmpty`] for no bytes; [`ErrorCode::QueueFull`].
    pub fn push_encoded(&self, bytes: impl Into<Arc<[u8]>>) -> Result<TurnId> {
        self.inner.check_open()?;
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        self.inner.start(StartKind::Utterance(EndReason::Recording), None, Some(UtteranceFile::Encoded(bytes)))
    }

    /// Starts a turn with a typed text of at most [`TEXT_BYTES_MAX`].
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`], [`ErrorCode::QueueFull`].
    pub fn send_text(&self, text: &str) -> Result<TurnId> {
        self.inner.start(StartKind::Text(checked_text(text)?), None, None)
    }

    /// Starts a turn that speaks this text of at most [`TEXT_BYTES_MAX`], after the turn under way.
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`], [`ErrorCode::QueueFull`].
    pub fn say(&self, text: &str) -> Result<TurnId> {
        self.inner.start(StartKind::Say(checked_text(text)?), None, None)
    }

    /// Starts a turn with a reply that no utterance asked for, after the turn under way: to `instructions`, such as "repeat your
    /// last sentence more slowly", or without them to open the conversation.
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`], [`ErrorCode::QueueFull`].
    pub fn reply(&self, instructions: Option<&str>) -> Result<TurnId> {
        let instructions = match instructions {
            Some(text) => checked_text(text)?,
            None => prompt::opening_instruction(&self.config(), &self.inner.session.engine.catalog)?,
        };
        self.inner.start(StartKind::Reply(instructions), None, None)
    }

    /// Retries a failed or interrupted turn as a new turn with the same audio or text. The new turn supersedes it
    /// ([`TurnRecord::retry_of`]) at the end of the conversation.
    ///
    /// # Errors
    /// [`ErrorCode::TurnNotFound`] where there is no such turn, a correction superseded it, its text was not kept, or
    /// the host started it; [`ErrorCode::AudioGone`] where its audio was not kept; [`ErrorCode::QueueFull`]; those of the
    /// store.
    pub fn retry_turn(&self, turn: TurnId) -> Result<TurnId> {
        self.inner.check_open()?;
        let (mut record, current) = self.user_turn(turn)?;
        let mut turn = turn;
        if record.user_audio.is_none() && current != turn {
            // An attempt that succeeded has the audio now.
            (record, turn) = (self.inner.session.engine.store.turn(self.id(), current)?, current);
        }
        // The words of an utterance without a transcript are a correction by the user.
        let has_words = record.transcript.is_none() && !record.user_text.is_empty();
        let what = match record.origin {
            TurnOrigin::Utterance if has_words => StartKind::Corrected(record.user_text),
            TurnOrigin::Utterance if record.user_audio.is_none() => return Err(ErrorCode::AudioGone.into()),
            TurnOrigin::Utterance => StartKind::Utterance(EndReason::Recording),
            _ if record.text_gone => return Err(Error::new(ErrorCode::TurnNotFound, "the turn's text was not kept")),
            _ => StartKind::Text(record.user_text),
        };
        self.inner.start(what, Some(Redo::Retry(turn)), None)
    }

    /// Corrects the user's words of a turn: the conversation goes on from there, with a new turn that answers `text`. The
    /// turn under way is interrupted first, as by any input of the user.
    ///
    /// The new turn supersedes the corrected one and all turns after it ([`TurnRecord::corrects`],
    /// [`Turns::current`](crate::store::Turns::current)): they leave the chat model's context for good, but stay in the
    /// store with their transcripts and audio. To correct again, correct the new turn.
    ///
    /// ```no_run
    /// # fn host(session: &tertulia::Session, misheard: tertulia::TurnId) -> tertulia::Result<tertulia::TurnId> {
    /// session.correct(misheard, "Tengo mucho hombre.")
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`]; [`ErrorCode::TurnNotFound`] where there is no such turn
    /// in the store yet, a correction superseded it, or the host started it; [`ErrorCode::QueueFull`]; those of the store.
    pub fn correct(&self, turn: TurnId, text: &str) -> Result<TurnId> {
        self.inner.check_open()?;
        let text = checked_text(text)?;
        let (record, current) = self.user_turn(turn)?;
        let what = match record.origin {
            TurnOrigin::Utterance => StartKind::Corrected(text),
            _ => StartKind::Text(text),
        };
        self.inner.start(what, Some(Redo::Correction(current)), None)
    }

    /// A turn that the user started, and the attempt at it that is part of the conversation now.
    fn user_turn(&self, turn: TurnId) -> Result<(TurnRecord, TurnId)> {
        let store = &self.inner.session.engine.store;
        let record = store.turn(self.id(), turn)?;
        if matches!(record.origin, TurnOrigin::Say | TurnOrigin::Reply) {
            return Err(Error::new(ErrorCode::TurnNotFound, "the turn was started by the host"));
        }
        let lineage: Lineage = store.turns_from(self.id(), record.retry_of.unwrap_or(turn))?.turns.iter().collect();
        let current = lineage.current_attempt(turn);
        let current =
            current.ok_or_else(|| Error::new(ErrorCode::TurnNotFound, "the turn was superseded by a correction"))?;
        Ok((record, current))
    }

    /// Interrupts the turn under way, at any stage; does nothing where there is none. Turns that wait come next.
    pub fn interrupt(&self) -> Result<()> {
        self.inner.tell(Input::Interrupt)
    }

    /// Interrupts the turn under way and every turn that waits, also one whose utterance the host has just ended: each
    /// ends as `turn_interrupted` with the reason `cancel`.
    pub fn interrupt_all(&self) -> Result<()> {
        // Held until the message is sent, so that no turn comes in between.
        let next_turn = self.inner.session.next_turn.lock();
        self.inner.tell(Input::InterruptAll { before: TurnId(*next_turn) })
    }

    /// Reports how many samples of the turn's reply were played in total, at the reply's rate. Cumulative and
    /// idempotent. A turn ends once all of its reply was played.
    ///
    /// Five seconds after the rest of a reply could have been played since the last report, or since the audio came, the
    /// turn ends without it: an `error` event of the turn has the code [`ErrorCode::PlaybackNotReported`], and
    /// `turn_finished` follows; all of the reply counts as heard, which is an estimate
    /// ([`TurnRecord::heard_estimated`]). Time in which the engine has the playback paused does not count.
    pub fn played(&self, turn: TurnId, samples_total: u64) -> Result<()> {
        self.inner.tell(Input::Played { turn, samples_total })
    }

    /// Changes settings from the next turn on, without reloading models. They are stored soon after; if that fails, an
    /// `error` event follows, and they are stored with the next turn.
    ///
    /// # Errors
    /// Those of [`SessionEngine::create_session`](crate::SessionEngine::create_session) for the settings, which stay as
    /// they were then.
    pub fn update(&self, update: &SessionUpdate) -> Result<()> {
        self.inner.check_open()?;
        let shared = &self.inner.session.engine;
        loop {
            let before = self.config();
            let changed = update.applied_to(&before)?;
            // Backends of the host's are asked, which may make calls: without the lock.
            shared.check_config(&changed)?;
            let mut config = self.inner.session.config.lock();
            if *config != before {
                // Another update came between.
                continue;
            }
            *config = changed;
            let continuous = config.listening.mode == ListeningMode::Continuous;
            self.inner.session.continuous.store(continuous, Ordering::Release);
            break;
        }
        shared.send(Message::Updated(self.inner.session.key));
        Ok(())
    }

    /// The one reader of the session's events. Fails with [`ErrorCode::EventsTaken`] while there is another.
    pub fn events(&self) -> Result<Events> {
        Events::take(&self.inner.session.events)
    }

    /// The turns of this session in the store, oldest first. Fails with the codes of the store.
    pub fn turns(&self) -> Result<Vec<TurnRecord>> {
        Ok(self.inner.session.engine.store.turns(self.id())?.turns)
    }

    /// A turn's audio in the store.
    ///
    /// # Errors
    /// [`ErrorCode::AudioGone`], [`ErrorCode::TurnNotFound`]; those of the store.
    pub fn audio(&self, turn: TurnId, kind: AudioKind) -> Result<StoredAudio> {
        self.inner.session.engine.store.audio(self.id(), turn, kind)
    }

    /// Ends the session for good: the turn under way is interrupted, data retained until the session's end is deleted,
    /// and `session_closed` is the last event. The session's text can still be read through the engine.
    pub fn end(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.session.close(true);
        Ok(())
    }

    /// Closes the session without ending it, as dropping the last handle does: the turn under way is interrupted,
    /// `session_closed` is the last event, and it [can be opened again](crate::SessionEngine::open_session). Does nothing
    /// where it was closed or ended.
    pub fn close(&self) {
        self.inner.session.close(false);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        if self.session.engine.shut_down.is_cancelled() {
            return Err(ErrorCode::EngineClosed.into());
        }
        if self.session.closing.load(Ordering::Acquire) {
            return Err(ErrorCode::SessionClosed.into());
        }
        Ok(())
    }

    fn check_room(&self) -> Result<()> {
        if self.session.turns_open.load(Ordering::Acquire) > WAITING_TURNS_MAX {
            return Err(ErrorCode::QueueFull.into());
        }
        Ok(())
    }

    fn push_microphone<S: Sample>(&self, samples: &[S], channels: usize, rate: u32) -> Result<()> {
        self.check_open()?;
        let source = if self.is_continuous() { Source::OpenMicrophone } else { Source::PushToTalk };
        self.session.microphone.push(source, samples, channels, rate)
    }

    fn is_continuous(&self) -> bool {
        self.session.continuous.load(Ordering::Acquire)
    }

    fn start(&self, what: StartKind, redoes: Option<Redo>, file: Option<UtteranceFile>) -> Result<TurnId> {
        self.check_open()?;
        self.check_room()?;
        // Held until the message is sent, so that turns arrive in the order of their numbers.
        let mut next_turn = self.session.next_turn.lock();
        let turn = TurnId(*next_turn);
        *next_turn += 1;
        self.session.turns_open.fetch_add(1, Ordering::AcqRel);
        self.session.engine.send(Message::Utterance(self.session.key, Start { turn, what, redoes }, file));
        Ok(turn)
    }

    fn tell(&self, input: Input) -> Result<()> {
        self.check_open()?;
        self.session.send(input);
        Ok(())
    }
}

fn checked_text(text: &str) -> Result<String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::new(
            ErrorCode::TextTooLong,
            format!("text is too long: {} of at most {TEXT_BYTES_MAX} bytes", text.len()),
        ));
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(ErrorCode::TextEmpty.into());
    }
    Ok(text.to_owned())
}
