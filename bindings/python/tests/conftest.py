"""Backends in Python, whose answers the tests know."""

from __future__ import annotations

import math
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator

import pytest

from tertulia import (
    ChatModel,
    ChatRequest,
    Listening,
    ListeningMode,
    ModelChoices,
    RecognitionRequest,
    Recognizer,
    ReplyAudioDone,
    SessionConfig,
    SpeechChunk,
    SpokenWord,
    SynthesisRequest,
    Synthesizer,
    TertuliaEngine,
    TertuliaEvent,
    TertuliaEventKind,
    TertuliaSession,
    TextSpan,
    TurnFinished,
    Vad,
    VadModel,
)

NO_MODELS = ModelChoices(vad="none", turn_detector="none", recognizer="none", chat="none", synthesizer="none")
REPLY = "¡Qué bién 👍! Tengo 🥐 y café."
SPOKEN = ["¡Qué", "bién", "!", "Tengo", "y", "café."]
SAMPLES_PER_CHARACTER = 400


def samples_of(text: str) -> int:
    """The samples of `ToneSynthesizer`, which gets a space for each byte of an emoji."""
    return sum(4 if ord(character) > 0xFFFF else 1 for character in text) * SAMPLES_PER_CHARACTER


class FixedRecognizer(Recognizer):
    name, languages = "fixed-recognizer", ("en", "es")

    def __init__(self, text: str = "Hola, ¿qué tal? 👋") -> None:
        self.text, self.requests = text, list[RecognitionRequest]()

    def recognize(self, request: RecognitionRequest) -> str:
        self.requests.append(request)
        return self.text


class Chat(ChatModel):
    name, languages = "chat", ("en", "es")

    def __init__(self, reply: str = REPLY) -> None:
        self.text, self.requests = reply, list[ChatRequest]()

    def reply(self, request: ChatRequest) -> Iterable[str]:
        self.requests.append(request)
        for place, word in enumerate(self.text.split(" ")):
            yield " " + word if place else word


class ToneSynthesizer(Synthesizer):
    """400 samples at 8,000 Hz for each character, a chunk for each word."""

    name, languages = "tone-synthesizer", ("en", "es")

    def synthesize(self, request: SynthesisRequest) -> Iterator[SpeechChunk]:
        start = 0
        for word in request.text.split(" "):
            end = min(start + len(word) + 1, len(request.text))
            count = (end - start) * SAMPLES_PER_CHARACTER
            span = TextSpan(start=start, end=end)
            spoken = SpokenWord(
                text_span=TextSpan(start=start, end=start + len(word)),
                language="es",
                start_sample=0,
                end_sample=len(word) * SAMPLES_PER_CHARACTER,
            )
            yield SpeechChunk(array("f", [0.25] * count), 8_000, span, [spoken] if word else [])
            start = end


class Loudness(VadModel):
    name = "loudness"

    def open(self) -> Vad:
        return _Loudness()


class _Loudness(Vad):
    def process(self, frame: memoryview[float]) -> float:
        return 1.0 if max(frame) > 0.1 else 0.0

    def reset(self) -> None:
        pass


def tone(seconds: float, level: float = 0.25, rate: int = 16_000) -> array[float]:
    """A tone of 1 kHz."""
    step = 2 * math.pi * 1_000 / rate
    return array("f", (level * math.sin(step * n) for n in range(int(seconds * rate))))


def config() -> SessionConfig:
    return SessionConfig(native="en", target="es")


def open_microphone() -> SessionConfig:
    return SessionConfig(native="en", target="es", listening=Listening(mode=ListeningMode.CONTINUOUS))


def until(session: TertuliaSession, last: type[TertuliaEventKind], timeout: float = 20) -> list[TertuliaEvent]:
    """The events up to one of a kind."""
    events: list[TertuliaEvent] = []
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        event = session.next_event(100)
        if event is not None:
            events.append(event)
            if isinstance(event.kind, last):
                return events
    raise TimeoutError(f"no {last.__name__} among {[type(event.kind).__name__ for event in events]}")


def play_out(session: TertuliaSession, turn: int) -> list[TertuliaEvent]:
    """Reads a reply and reports it as played; the events up to the turn's end."""
    events = until(session, ReplyAudioDone)
    session.played(turn, events[-1].kind.samples_total)  # type: ignore[attr-defined]
    return events + until(session, TurnFinished)


def only(events: list[TertuliaEvent], kind: type) -> list:
    return [event.kind for event in events if isinstance(event.kind, kind)]


class Gate:
    """Blocks a backend until the test opens it."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.entered.set()
        self.opened.wait(60)


def bare_engine(store: str | None = None, **backends: object) -> TertuliaEngine:
    """An engine with these backends alone, whatever models the library has."""
    return TertuliaEngine(store, models=NO_MODELS, **backends)  # type: ignore[arg-type]


@pytest.fixture
def engine() -> Iterator[Callable[..., TertuliaEngine]]:
    """Makes engines, which must stop."""
    engines: list[TertuliaEngine] = []

    def make(store: str | None = None, **backends: object) -> TertuliaEngine:
        own: dict[str, object] = {
            "vad": Loudness(), "recognizer": FixedRecognizer(), "chat": Chat(), "synthesizer": ToneSynthesizer(), **backends
        }
        engines.append(bare_engine(store, **own))
        return engines[-1]

    yield make
    for made in engines:
        assert made.shut_down(10_000) == []
