"""The handle of an open session."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import ctypes
from types import TracebackType
from typing import TYPE_CHECKING

from . import _generated
from ._audio import SampleFormat, floats, samples
from ._error import TertuliaError
from ._events import EventReader, Spans, TertuliaEvent
from ._fit import part
from ._generated import ErrorCode, EventWaker, SessionConfig, SessionUpdate

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self


_clone = part("_UniffiLib.uniffi_tertulia_fn_clone_tertuliasession")
_read_next = part("_UniffiLib.uniffi_tertulia_fn_method_tertuliasession_next_event")
_free = part("_UniffiLib.ffi_tertulia_rustbuffer_free")
_Status = part("_UniffiRustCallStatus")
_Stream = part("_UniffiRustBufferStream")
_check_status = part("_uniffi_check_call_status")
_Error = part("_UniffiFfiConverterTypeTertuliaError")
_Event = part("_UniffiFfiConverterOptionalTypeTertuliaEvent")


def _next_event(native: _generated.TertuliaSession, timeout_ms: int) -> TertuliaEvent | None:
    """`next_event` of the generated code in half its time: one status in the place of three, and one copy of the buffer."""
    status = _Status()
    buffer = _read_next(_clone(native._handle, status), timeout_ms, status)
    if status.code:
        _check_status(_Error, status)
    try:
        return _Event.read(_Stream(ctypes.string_at(buffer.data, buffer.len), buffer.len))
    finally:
        _free(buffer, status)


class TertuliaSession:
    """A conversation that is open: `with engine.create_session(…) as session` closes it at the end.

    It stays open where this handle is forgotten, until it is closed or ended, or the engine is shut down.
    """

    def __init__(self, native: _generated.TertuliaSession, spans: Spans) -> None:
        self._native, self._spans = native, spans

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def id(self) -> str:
        """The session's id, with which it can be opened again."""
        return self._native.id()

    def events(self) -> EventReader:
        """The session's events, for `for` or `async for`; they end with the session."""
        return EventReader(self.next_event, self.set_waker)

    def next_event(self, timeout_ms: int = 0) -> TertuliaEvent | None:
        """Waits for the next event; None where none came. One thread reads: EVENTS_TAKEN while another does."""
        event = _next_event(self._native, max(timeout_ms, 0))
        return None if event is None else self._spans.converted(event)

    def set_waker(self, waker: EventWaker | None) -> None:
        """Has the waker called, on any thread, whenever there may be a new event. It must only notify."""
        self._native.set_waker(waker)

    def push_audio(self, audio: Buffer, rate: int, format: SampleFormat | None = None) -> None:
        """Takes in audio of the microphone: a buffer of float32 (-1 to 1) or int16 samples, such as a NumPy array, with a
        second dimension for channels; or bytes with their format. Blocks of any length; never waits.
        """
        view, format, channels = samples(audio, format)
        if format == "i16" and channels == 1:
            self._native.push_audio_i16(view, rate)  # pyright: ignore[reportArgumentType]
        elif channels == 1:
            self._native.push_audio(view, rate)  # pyright: ignore[reportArgumentType]
        else:
            self._native.push_interleaved(floats(view, format), channels, rate)  # pyright: ignore[reportArgumentType]

    def push_playback(self, audio: Buffer, rate: int, format: SampleFormat | None = None) -> None:
        """Takes in what the loudspeaker plays, mono, for the engine's echo canceller."""
        self._native.push_playback(floats(audio, format), rate)  # pyright: ignore[reportArgumentType]

    def push_encoded(self, file: bytes) -> int:
        """Starts a turn with one whole file (webm, mp4, ogg, wav, mp3 or flac), and gives its number."""
        return self._native.push_encoded(file)

    def end_utterance(self) -> int:
        """Ends the utterance whose audio was pushed, and starts a turn."""
        return self._native.end_utterance()

    def discard_utterance(self) -> None:
        """Drops the utterance under way; no turn begins."""
        self._native.discard_utterance()

    def input_interrupted(self) -> None:
        """Tells that the microphone was taken away."""
        self._native.input_interrupted()

    def input_resumed(self) -> None:
        """Tells that the microphone is back, and may be another one."""
        self._native.input_resumed()

    def send_text(self, text: str) -> int:
        """Starts a turn with a typed text."""
        return self._native.send_text(text)

    def say(self, text: str) -> int:
        """Starts a turn that speaks this text."""
        return self._native.say(text)

    def reply(self, instructions: str | None = None) -> int:
        """Starts a turn with a reply that no utterance asked for; without instructions it opens the conversation."""
        return self._native.reply(instructions)

    def retry_turn(self, turn: int) -> int:
        """Retries a failed or interrupted turn as a new turn."""
        return self._native.retry_turn(turn)

    def correct(self, turn: int, text: str) -> int:
        """Corrects the user's words of a turn; the conversation goes on from there."""
        return self._native.correct(turn, text)

    def interrupt(self) -> None:
        """Interrupts the turn under way."""
        self._native.interrupt()

    def interrupt_all(self) -> None:
        """Interrupts the turn under way and all that wait."""
        self._native.interrupt_all()

    def played(self, turn: int, samples_total: int) -> None:
        """Reports how many samples of the turn's reply were played in total."""
        self._native.played(turn, samples_total)

    def config(self) -> SessionConfig:
        """The settings for the next turn."""
        return self._native.config()

    def update(self, update: SessionUpdate) -> None:
        """Changes settings from the next turn on: those that are given, nested ones as a whole."""
        self._native.update(update)

    def close(self) -> None:
        """Closes the session without ending it: it can be opened again. Does nothing where it is closed."""
        try:
            self._native.close_session()
        except TertuliaError as error:
            if error.code not in (ErrorCode.SESSION_CLOSED, ErrorCode.ENGINE_CLOSED):
                raise

    def end(self) -> None:
        """Ends the session for good."""
        self._native.end_session()
