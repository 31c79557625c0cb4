//! [`Session`]: the host's handle of one conversation, and [`Events`], its one reader.

use crate::audio::UtteranceBuffer;
use crate::config::{ListeningMode, SessionConfig, SessionUpdate};
use crate::driver::jobs::Payload;
use crate::driver::microphone::{Mark, Source};
use crate::driver::{Message, SessionShared, Shared};
use crate::error::{Error, ErrorCode, Result};
use crate::event::{EndReason, Event, SessionId, TurnId, TurnOrigin};
use crate::prompt;
use crate::store::{AudioKind, Lineage, StoredAudio, TurnRecord};
use crate::turn::{Input, Redo, Start, StartKind, WAITING_TURNS_MAX};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// The longest text of one turn, in bytes.
pub const TEXT_BYTES_MAX: usize = 8_192;

/// A conversation that is open. Clones are the same session; dropping the last one suspends it (it can be opened
/// again), and only [`end`](Session::end) ends it.
///
/// Every call returns at once and may come from any thread; what follows from it arrives as [`Event`]s. After
/// [`end`](Session::end) every call fails with [`ErrorCode::SessionClosed`].
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    session: Arc<SessionShared>,
    /// What was pushed of an utterance whose end the host tells.
    utterance: Mutex<UtteranceBuffer>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close(false);
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, session: Arc<SessionShared>) -> Self {
        let utterance = Mutex::new(UtteranceBuffer::new(shared.options.utterance_seconds_max));
        Self { inner: Arc::new(Inner { shared, session, utterance }) }
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
    /// With [`ListeningMode::PushToTalk`](crate::ListeningMode) they are part of the next utterance; with
    /// [`ListeningMode::Continuous`](crate::ListeningMode) the engine hears in them by itself when somebody starts to
    /// speak and has finished.
    ///
    /// # Errors
    /// [`ErrorCode::AudioInvalidRate`], [`ErrorCode::AudioInvalidSample`] (nothing of the block is kept),
    /// [`ErrorCode::AudioOverrun`] once the utterance is as long as the longest allowed, or the engine as far behind
    /// (what came before is kept), [`ErrorCode::SessionClosed`].
    pub fn push_audio(&self, samples: &[f32], rate: u32) -> Result<()> {
        self.push_interleaved(samples, 1, rate)
    }

    /// Takes in samples of a microphone with up to eight channels, as [`push_audio`](Session::push_audio) does those of one:
    /// whole frames, one sample of each channel after the other, whose mean is heard. Their number may change between
    /// calls.
    ///
    /// # Errors
    /// As [`push_audio`](Session::push_audio); [`ErrorCode::AudioInvalidRate`] for another number of channels,
    /// [`ErrorCode::AudioInvalidSample`] where the last frame is not whole.
    pub fn push_interleaved(&self, samples: &[f32], channels: usize, rate: u32) -> Result<()> {
        self.inner.check_open()?;
        match self.inner.is_continuous() {
            true => self.inner.session.microphone.push(Source::Microphone, samples, channels, rate),
            false => self.inner.utterance.lock().push_interleaved(samples, channels, rate),
        }
    }

    /// Tells what the speaker plays, for microphones that hear it: from the first call on, its echo is taken out of what
    /// the microphone gives, where it comes back 40 ms to half a second later. Not for platforms that cancel echo
    /// themselves.
    ///
    /// Call it with each block as it is handed to the device, mono, at the device's rate, from the audio thread if you
    /// like; best with the silence between replies too, as then the clocks of speaker and microphone can be compared.
    /// Replies arrive faster than they are played: it is what the speaker plays now that is wanted. While the first two
    /// seconds are played, the canceller learns, and nobody is heard. With
    /// [`ListeningMode::PushToTalk`](crate::ListeningMode) nothing happens.
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
    /// [`push_audio`](Session::push_audio); [`ErrorCode::SessionClosed`].
    pub fn push_playback(&self, samples: &[f32], rate: u32) -> Result<()> {
        self.inner.check_open()?;
        match self.inner.is_continuous() {
            true => self.inner.session.microphone.push(Source::Playback, samples, 1, rate),
            false => Ok(()),
        }
    }

    /// The utterance that was pushed is complete: a turn starts with it. With
    /// [`ListeningMode::Continuous`](crate::ListeningMode) the engine need not be told; where nobody is speaking, the
    /// turn fails with [`ErrorCode::NoSpeech`].
    ///
    /// # Errors
    /// [`ErrorCode::AudioEmpty`] where nothing was pushed; [`ErrorCode::QueueFull`], [`ErrorCode::SessionClosed`].
    pub fn end_utterance(&self) -> Result<TurnId> {
        self.inner.check_open()?;
        if self.inner.is_continuous() {
            self.inner.check_room()?;
            let turn = self.inner.session.take_turn();
            self.inner.session.microphone.mark(Mark { reason: EndReason::Host, turn: Some(turn) });
            return Ok(turn);
        }
        let samples = self.inner.utterance.lock().take();
        if samples.is_empty() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        self.inner.start(StartKind::Utterance(EndReason::Host), None, Some(Payload::Pcm(samples.into())))
    }

    /// The microphone was taken away: a call came in, the route changed, the user muted it. What is being said is
    /// complete with that; audio that is pushed later is heard again. With
    /// [`ListeningMode::PushToTalk`](crate::ListeningMode) nothing happens.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`].
    pub fn input_interrupted(&self) -> Result<()> {
        self.inner.check_open()?;
        if self.inner.is_continuous() {
            self.inner.session.microphone.mark(Mark { reason: EndReason::InputInterrupted, turn: None });
        }
        Ok(())
    }

    /// The microphone is back, and may be another one, or elsewhere: the noise around it and the echo's way to it are
    /// learned anew. Audio that is pushed is heard without this call too. With
    /// [`ListeningMode::PushToTalk`](crate::ListeningMode) nothing happens.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`].
    pub fn input_resumed(&self) -> Result<()> {
        self.inner.check_open()?;
        if self.inner.is_continuous() {
            self.inner.session.microphone.resume();
        }
        Ok(())
    }

    /// Starts a turn with one complete recording: wav, flac, ogg, mp3, mp4 or webm, Opus included.
    ///
    /// What is wrong with the file shows as `turn_failed` at the stage `decode`.
    ///
    /// # Errors
    /// [`ErrorCode::AudioEmpty`] for no bytes; [`ErrorCode::QueueFull`], [`ErrorCode::SessionClosed`].
    pub fn push_encoded(&self, bytes: impl Into<Arc<[u8]>>) -> Result<TurnId> {
        self.inner.check_open()?;
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(ErrorCode::AudioEmpty.into());
        }
        self.inner.start(StartKind::Utterance(EndReason::Recording), None, Some(Payload::Encoded(bytes)))
    }

    /// Starts a turn with what the learner typed.
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`]; [`ErrorCode::QueueFull`],
    /// [`ErrorCode::SessionClosed`].
    pub fn send_text(&self, text: &str) -> Result<TurnId> {
        self.inner.start(StartKind::Text(checked_text(text)?), None, None)
    }

    /// Has the tutor speak this text, after the turn under way.
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`]; [`ErrorCode::QueueFull`],
    /// [`ErrorCode::SessionClosed`].
    pub fn say(&self, text: &str) -> Result<TurnId> {
        self.inner.start(StartKind::Say(checked_text(text)?), None, None)
    }

    /// Has the tutor speak of its own accord, after the turn under way: with `instructions`, such as "repeat your
    /// last sentence more slowly"; without, to open the conversation.
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`]; [`ErrorCode::QueueFull`],
    /// [`ErrorCode::SessionClosed`].
    pub fn reply(&self, instructions: Option<&str>) -> Result<TurnId> {
        let instructions = match instructions {
            Some(text) => checked_text(text)?,
            None => prompt::opening_instruction(&self.config(), &self.inner.shared.catalog)?,
        };
        self.inner.start(StartKind::Reply(instructions), None, None)
    }

    /// Tries a failed or interrupted turn again, as a new turn, with the audio or text it had. The new turn takes its
    /// place in the conversation ([`TurnRecord::retry_of`]), at the end of it.
    ///
    /// # Errors
    /// [`ErrorCode::TurnNotFound`] where there is no such turn, a correction took its place, its text was not kept, or
    /// it was the host's own; [`ErrorCode::AudioGone`] where its audio was not kept; [`ErrorCode::QueueFull`],
    /// [`ErrorCode::SessionClosed`]; those of the store.
    pub fn retry_turn(&self, turn: TurnId) -> Result<TurnId> {
        self.inner.check_open()?;
        let (mut record, current) = self.learners_turn(turn)?;
        let mut turn = turn;
        if record.user_audio.is_none() && current != turn {
            // An attempt that succeeded has the recording now.
            (record, turn) = (self.inner.shared.store.turn(self.id(), current)?, current);
        }
        // Of an utterance without a transcript the words are the learner's own: they were corrected.
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

    /// The learner says that the words of this turn were others: the conversation goes on from there, with a new turn
    /// that answers `text`. What was under way is cut short first, as by anything the learner says.
    ///
    /// The new turn takes the place of the corrected one and of all turns after it
    /// ([`TurnRecord::corrects`], [`Turns::current`](crate::store::Turns::current)): the tutor forgets them, also when the
    /// session is opened again. They stay in the store as they were, with what the recogniser understood and the
    /// recording. To correct once more, correct the new turn.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> tertulia::Result<()> {
    /// # use std::time::Duration;
    /// # use tertulia::testing::scripted::{Scripted, noise_16k};
    /// # use tertulia::{EngineBuilder, EventKind, Playback, SessionConfig, SessionEngine};
    /// # let scripted = Scripted::new();
    /// # scripted.recognizer.then("Tengo mucho hambre.");
    /// # scripted.chat.then(["¿Qué quieres comer?"]);
    /// # scripted.chat.then(["¡Un hombre! ¿Quién es?"]);
    /// # let engine = EngineBuilder::new().backends(scripted.backends()).build()?;
    /// # let config = SessionConfig { playback: Playback::Assumed, ..SessionConfig::new("en".parse()?, "es".parse()?) };
    /// # let session = engine.create_session(config)?;
    /// # let events = session.events()?;
    /// # session.push_audio(&noise_16k(800), 16_000)?;
    /// # let misheard = session.end_utterance()?;
    /// # let finished = |turn| -> tertulia::Result<()> {
    /// #     while let Some(event) = events.next_timeout(Duration::from_secs(10))? {
    /// #         if event.turn == Some(turn) && matches!(event.kind, EventKind::TurnFinished { .. }) {
    /// #             return Ok(());
    /// #         }
    /// #     }
    /// #     panic!("the turn does not end");
    /// # };
    /// # finished(misheard)?;
    /// let corrected = session.correct(misheard, "Tengo mucho hombre.")?;
    /// # finished(corrected)?;
    /// let turns = engine.session(session.id())?.1;
    /// assert_eq!(turns.turns[1].corrects, Some(misheard));
    /// assert_eq!(turns.current().map(|turn| turn.turn).collect::<Vec<_>>(), [corrected]);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::TextEmpty`], [`ErrorCode::TextTooLong`]; [`ErrorCode::TurnNotFound`] where there is no such turn
    /// in the store yet, a correction took its place, or it was the host's own; [`ErrorCode::QueueFull`],
    /// [`ErrorCode::SessionClosed`]; those of the store.
    pub fn correct(&self, turn: TurnId, text: &str) -> Result<TurnId> {
        self.inner.check_open()?;
        let text = checked_text(text)?;
        let (record, current) = self.learners_turn(turn)?;
        let what = match record.origin {
            TurnOrigin::Utterance => StartKind::Corrected(text),
            _ => StartKind::Text(text),
        };
        self.inner.start(what, Some(Redo::Correction(current)), None)
    }

    /// A turn that the learner began, and which attempt at it is part of the conversation now.
    fn learners_turn(&self, turn: TurnId) -> Result<(TurnRecord, TurnId)> {
        let store = &self.inner.shared.store;
        let record = store.turn(self.id(), turn)?;
        if matches!(record.origin, TurnOrigin::Say | TurnOrigin::Reply) {
            return Err(Error::new(ErrorCode::TurnNotFound, "a turn of the host's own is started anew, not redone"));
        }
        let lineage: Lineage = store.turns_from(self.id(), record.retry_of.unwrap_or(turn))?.turns.iter().collect();
        let current = lineage.current_attempt(turn);
        let current =
            current.ok_or_else(|| Error::new(ErrorCode::TurnNotFound, "a correction took the turn's place"))?;
        Ok((record, current))
    }

    /// Stops the turn under way, at whatever stage; nothing happens where there is none.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`].
    pub fn interrupt(&self) -> Result<()> {
        self.inner.tell(Input::Interrupt)
    }

    /// Tells how many samples of the turn's reply were played in all, at the reply's rate. Cumulative: tell it as
    /// often as you like.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`].
    pub fn played(&self, turn: TurnId, samples_total: u64) -> Result<()> {
        self.inner.tell(Input::Played { turn, samples_total })
    }

    /// Changes settings from the next turn on, without reloading models. They are stored soon after; where that fails, an
    /// `error` event tells, and they are written with the next turn.
    ///
    /// # Errors
    /// Those of [`SessionEngine::create_session`](crate::SessionEngine::create_session) for the settings; nothing is
    /// changed then.
    pub fn update(&self, update: SessionUpdate) -> Result<()> {
        self.inner.check_open()?;
        let shared = &self.inner.shared;
        let mut config = self.inner.session.config.lock();
        let mut changed = config.clone();
        update.apply(&mut changed);
        shared.check_config(&changed)?;
        *config = changed;
        let continuous = config.listening.mode == ListeningMode::Continuous;
        self.inner.session.continuous.store(continuous, Ordering::Release);
        drop(config);
        shared.send(Message::Updated(self.inner.session.key));
        Ok(())
    }

    /// The session's events. There is one reader at a time.
    ///
    /// # Errors
    /// [`ErrorCode::EventsTaken`].
    pub fn events(&self) -> Result<Events> {
        self.inner.session.events.take_reader()?;
        Ok(Events { session: self.inner.session.clone() })
    }

    /// The turns of this session in the store, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn turns(&self) -> Result<Vec<TurnRecord>> {
        Ok(self.inner.shared.store.turns(self.id())?.turns)
    }

    /// A turn's audio in the store.
    ///
    /// # Errors
    /// [`ErrorCode::AudioGone`], [`ErrorCode::TurnNotFound`]; those of the store.
    pub fn audio(&self, turn: TurnId, kind: AudioKind) -> Result<StoredAudio> {
        self.inner.shared.store.audio(self.id(), turn, kind)
    }

    /// Ends the session for good: the turn under way is cut short, what was kept until the end is deleted, and the
    /// last event is `session_closed`. The session's text can still be read through the engine.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`].
    pub fn end(&self) -> Result<()> {
        self.inner.check_open()?;
        self.inner.close(true);
        Ok(())
    }

    /// Closes the session without ending it, as dropping the last handle does.
    pub fn suspend(&self) {
        self.inner.close(false);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        if self.shared.shut_down.load(Ordering::Acquire) {
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

    fn is_continuous(&self) -> bool {
        self.session.continuous.load(Ordering::Acquire)
    }

    fn start(&self, what: StartKind, redoes: Option<Redo>, payload: Option<Payload>) -> Result<TurnId> {
        self.check_open()?;
        self.check_room()?;
        // Held until the message is on its way, so that turns arrive in the order of their numbers.
        let mut next_turn = self.session.next_turn.lock();
        let turn = TurnId(*next_turn);
        *next_turn += 1;
        self.session.turns_open.fetch_add(1, Ordering::AcqRel);
        self.shared.send(Message::Utterance(self.session.key, Start { turn, what, redoes }, payload));
        Ok(turn)
    }

    fn tell(&self, input: Input) -> Result<()> {
        self.check_open()?;
        self.shared.send(Message::Machine(self.session.key, input));
        Ok(())
    }

    fn close(&self, ended: bool) {
        if !self.session.closing.swap(true, Ordering::AcqRel) {
            self.session.microphone.close();
            self.shared.open.mark_closing(self.session.id);
            self.shared.send(Message::Machine(self.session.key, Input::Close { ended }));
        }
    }
}

fn checked_text(text: &str) -> Result<String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::new(ErrorCode::TextTooLong, format!("{} bytes; {TEXT_BYTES_MAX} at most", text.len())));
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(ErrorCode::TextEmpty.into());
    }
    Ok(text.to_owned())
}

/// The one reader of a session's events; dropping it lets another be taken.
///
/// Polled with [`try_next`](Events::try_next), waited for with [`next_timeout`](Events::next_timeout), or read as a
/// [`Stream`](futures_core::Stream).
pub struct Events {
    pub(crate) session: Arc<SessionShared>,
}

impl Events {
    /// The next event; `None` where there is none yet.
    ///
    /// # Errors
    /// [`ErrorCode::SessionClosed`] once the last event, `session_closed`, was read.
    pub fn try_next(&self) -> Result<Option<Event>> {
        self.session.events.try_next()
    }

    /// Has `wake` called, on any thread, whenever there may be something to read. It must only notify: it may not
    /// call the engine, and not wait.
    pub fn set_waker(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.session.events.set_wake(Some(Arc::new(wake)));
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.session.events.set_wake(None);
        self.session.events.return_reader();
    }
}

impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        match self.session.events.poll_next(context.waker()) {
            Ok(Some(event)) => Poll::Ready(Some(event)),
            Ok(None) => Poll::Pending,
            Err(_closed) => Poll::Ready(None),
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("session", &self.session.id).finish_non_exhaustive()
    }
}
