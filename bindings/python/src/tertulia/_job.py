"""Jobs: work without a session, on the thread that asks for its items."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _generated
from ._events import place, replace_span
from ._generated import SpokenWord, TextSpan

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")


@dataclass(slots=True)
class SpeechChunk:
    """A chunk of speech."""

    pcm: Buffer
    """Mono samples of -1 to 1: a buffer of float32, or bytes of them."""
    rate: int
    """Samples per second."""
    text_span: TextSpan
    """The part of the text that it speaks, in code points."""
    words: list[SpokenWord] = field(default_factory=lambda: [])
    """Its words, with samples of the chunk; empty where the voice has no word times."""


def chunk_of(text: str) -> Callable[[Any], SpeechChunk]:
    """Reads chunks of speech, whose spans are bytes of a text."""
    utf8 = text.encode()

    def span(of: TextSpan) -> TextSpan:
        return TextSpan(start=place(utf8, of.start), end=place(utf8, of.end))

    def chunk(item: Any) -> SpeechChunk:
        speech = item.chunk
        words = [replace_span(word, span(word.text_span)) for word in speech.words]
        return SpeechChunk(speech.pcm, speech.rate, span(speech.text_span), words)

    return chunk


class EngineJob(Generic[T]):
    """Work without a session: `result()`, a `for` over its items, or `await`. It does nothing until then."""

    def __init__(self, native: _generated.EngineJob, read: Callable[[Any], T]) -> None:
        self._native, self._read = native, read

    def __iter__(self) -> Iterator[T]:
        """Its items: one result, or chunks of speech, events, progress. The work is done on this thread."""
        while (item := self._native.next()) is not None:
            yield self._read(item)

    def result(self) -> T:
        """Works to the end, and gives the last item."""
        last: list[T] = []
        for item in self:
            last = [item]
        return last[0]

    def __await__(self) -> Generator[Any, None, T]:
        """The result, worked out on another thread. Cancelling the task cancels the job."""
        return self._wait().__await__()

    async def _wait(self) -> T:
        try:
            return await asyncio.to_thread(self.result)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Stops the job after the piece under way; any thread."""
        self._native.cancel()

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1; 0 where it is not known."""
        return self._native.progress()
