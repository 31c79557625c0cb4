"""Events as dataclasses, and the reader that gives them.

Spans are in code points here: `text[span.start:span.end]` is the part of a text. In JSON they are bytes of its UTF-8 form.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ._error import TertuliaError
from ._fit import part, replace as fit
from ._generated import (
    EndReason,
    ErrorCode,
    ErrorInfo,
    EventWaker,
    InterruptReason,
    Metrics,
    SpeechTranscript,
    SpokenWord,
    TextSpan,
    TurnOrigin,
    TurnStage,
)


class TertuliaEventKind:
    """The kinds of events; docs/events.md says what each field means."""


@dataclass(slots=True)
class SessionOpened(TertuliaEventKind):
    resumed: bool
    turns: int


@dataclass(slots=True)
class TurnStarted(TertuliaEventKind):
    origin: TurnOrigin
    retry_of: int | None
    corrects: int | None


@dataclass(slots=True)
class SpeechStarted(TertuliaEventKind):
    start_ms: int


@dataclass(slots=True)
class SpeechStopped(TertuliaEventKind):
    end_ms: int


@dataclass(slots=True)
class Idle(TertuliaEventKind):
    silence_ms: int


@dataclass(slots=True)
class UtteranceEnded(TertuliaEventKind):
    start_ms: int
    end_ms: int
    decided_ms: int
    reason: EndReason


@dataclass(slots=True)
class TranscriptPartial(TertuliaEventKind):
    text: str
    stable_len: int
    """Code points of `text` that will not change."""


@dataclass(slots=True)
class TranscriptDone(TertuliaEventKind):
    transcript: SpeechTranscript
    stored: bool


@dataclass(slots=True)
class ReplyTextDelta(TertuliaEventKind):
    text: str


@dataclass(slots=True)
class ReplyTextDone(TertuliaEventKind):
    text: str


@dataclass(slots=True)
class ReplyAudioDelta(TertuliaEventKind):
    chunk: int
    rate: int
    samples: int
    pcm: bytes
    """Mono samples, little-endian 32-bit floats: `numpy.frombuffer(pcm, "<f4")`, or `array.array("f", pcm)`."""
    text_span: TextSpan
    words: list[SpokenWord]
    in_bytes: tuple[TextSpan, list[SpokenWord]] | None = field(default=None, repr=False, compare=False)
    """The spans in bytes of the UTF-8 text, as JSON has them."""


@dataclass(slots=True)
class ReplyAudioDone(TertuliaEventKind):
    samples_total: int


@dataclass(slots=True)
class PlaybackPause(TertuliaEventKind):
    pass


@dataclass(slots=True)
class PlaybackResume(TertuliaEventKind):
    pass


@dataclass(slots=True)
class PlaybackFlush(TertuliaEventKind):
    pass


@dataclass(slots=True)
class TurnFinished(TertuliaEventKind):
    reply_text: str


@dataclass(slots=True)
class TurnInterrupted(TertuliaEventKind):
    reason: InterruptReason
    heard_text: str
    estimated: bool


@dataclass(slots=True)
class TurnFailed(TertuliaEventKind):
    stage: TurnStage
    error: ErrorInfo


@dataclass(slots=True)
class TurnMetrics(TertuliaEventKind):
    metrics: Metrics


@dataclass(slots=True)
class SessionClosed(TertuliaEventKind):
    ended: bool


@dataclass(slots=True)
class ModelLoading(TertuliaEventKind):
    model: str
    progress: float


@dataclass(slots=True)
class ErrorEvent(TertuliaEventKind):
    error: ErrorInfo


@dataclass(slots=True)
class UnknownEvent(TertuliaEventKind):
    """An event of a newer library."""


@dataclass(slots=True)
class TertuliaEvent:
    """An event of a session or of the engine."""

    kind: TertuliaEventKind
    seq: int
    """Its number, from 1 without gaps at each opening of the session."""
    session: str | None
    """The session; None for events of the engine."""
    turn: int | None
    """The turn that it belongs to."""
    at_ms: int
    """Milliseconds since the session (or the engine) was opened."""

    def json(self) -> str:
        """The event in JSON, as docs/events.md has it."""
        event = self
        if isinstance(self.kind, ReplyAudioDelta) and self.kind.in_bytes:
            span, words = self.kind.in_bytes
            event = replace(self, kind=replace(self.kind, text_span=span, words=words))
        elif isinstance(self.kind, TranscriptPartial):
            stable = len(self.kind.text[: self.kind.stable_len].encode())
            event = replace(self, kind=replace(self.kind, stable_len=stable))
        return _json(event)


_json: Callable[[Any], str] = part("TertuliaEvent.json")


def _use_own_classes() -> None:
    """Has the generated code make the classes of this module, instead of making each event twice."""
    own: dict[str, type[TertuliaEventKind]] = {kind.__name__: kind for kind in TertuliaEventKind.__subclasses__()}
    others = {"METRICS": TurnMetrics, "ERROR": ErrorEvent, "UNKNOWN": UnknownEvent}
    methods: list[str] = [name for name in part("TertuliaEventKind").__dict__ if name.startswith("is_")]
    for variant in (name[3:] for name in methods if name[3:].isupper()):
        kind = others.get(variant) or own["".join(word.capitalize() for word in variant.split("_"))]
        fit(f"TertuliaEventKind.{variant}", kind)

        def is_kind(self: object, kind: type = kind) -> bool:
            return isinstance(self, kind)

        setattr(TertuliaEventKind, f"is_{variant}", is_kind)
    fit("TertuliaEvent", TertuliaEvent)


_use_own_classes()


class Spans:
    """The texts of replies under way, in which spans in bytes become spans in code points."""

    def __init__(self) -> None:
        self._turn: int | None = None
        self._text = b""

    def converted(self, event: TertuliaEvent) -> TertuliaEvent:
        kind = event.kind
        if isinstance(kind, ReplyAudioDelta):
            if not self._text.isascii():
                kind.in_bytes = kind.text_span, kind.words
                kind.words = [replace_span(word, self._span(word.text_span)) for word in kind.words]
                kind.text_span = self._span(kind.text_span)
        elif isinstance(kind, ReplyTextDelta):
            if event.turn != self._turn:
                self._turn, self._text = event.turn, b""
            self._text += kind.text.encode()
        elif isinstance(kind, ReplyTextDone):
            self._turn, self._text = event.turn, kind.text.encode()
        elif isinstance(kind, TranscriptPartial) and not kind.text.isascii():
            kind.stable_len = place(kind.text.encode(), kind.stable_len)
        return event

    def _span(self, span: TextSpan) -> TextSpan:
        return TextSpan(start=place(self._text, span.start), end=place(self._text, span.end))


def place(text: bytes, byte: int) -> int:
    """The code point at a byte of a text, also in the middle of one."""
    return len(text[:byte].decode(errors="ignore"))


def replace_span(word: SpokenWord, span: TextSpan) -> SpokenWord:
    return SpokenWord(
        text_span=span, language=word.language, start_sample=word.start_sample, end_sample=word.end_sample
    )


class _Waker(EventWaker):
    def __init__(self, loop: asyncio.AbstractEventLoop, flag: asyncio.Event) -> None:
        self._loop, self._flag = loop, flag

    def wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._flag.set)
        except RuntimeError:
            pass  # The loop is closed, and nothing waits.


class EventReader:
    """The events of a session or of the engine, to be read by one `for` or `async for`; it ends when they do."""

    _END = (ErrorCode.SESSION_CLOSED, ErrorCode.ENGINE_CLOSED)

    def __init__(
        self, next_event: Callable[[int], TertuliaEvent | None], set_waker: Callable[[EventWaker | None], None]
    ) -> None:
        self._next, self._set_waker = next_event, set_waker

    def __iter__(self) -> Iterator[TertuliaEvent]:
        try:
            while True:
                # In short waits, so that signals are handled in between.
                event = self._next(200)
                if event is not None:
                    yield event
        except TertuliaError as error:
            if error.code not in self._END:
                raise

    async def __aiter__(self) -> AsyncIterator[TertuliaEvent]:
        flag = asyncio.Event()
        self._set_waker(_Waker(asyncio.get_running_loop(), flag))
        try:
            while True:
                flag.clear()
                event = self._next(0)
                if event is None:
                    await flag.wait()
                else:
                    yield event
        except TertuliaError as error:
            if error.code not in self._END:
                raise
        finally:
            try:
                self._set_waker(None)
            except TertuliaError:
                pass  # It was closed, which lets go of the waker.
