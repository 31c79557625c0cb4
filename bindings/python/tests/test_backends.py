"""Backends in Python that fail, hang, or are cancelled."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest
from conftest import Chat, FixedRecognizer, Gate, Loudness, ToneSynthesizer, bare_engine, config, only, open_microphone, play_out, tone, until

from tertulia import (
    ErrorCode,
    ErrorEvent,
    InterruptReason,
    ReplyTextDelta,
    ReplyTextDone,
    TertuliaError,
    TranscriptDone,
    TranscriptPartial,
    TurnFailed,
    TurnInterrupted,
    TurnStage,
)


class BrokenRecognizer(FixedRecognizer):
    def recognize(self, request):
        raise ValueError("the microphone melted")


class BrokenChat(Chat):
    def reply(self, request):
        yield "Hola"
        raise KeyError("no such word")


class BrokenSynthesizer(ToneSynthesizer):
    def synthesize(self, request):
        raise OSError("no voice")


@pytest.mark.parametrize(
    ("role", "backend", "stage", "text"),
    [
        ("recognizer", BrokenRecognizer(), TurnStage.RECOGNISE, "ValueError: the microphone melted"),
        ("chat", BrokenChat(), TurnStage.REPLY, "KeyError: 'no such word'"),
        ("synthesizer", BrokenSynthesizer(), TurnStage.SPEAK, "OSError: no voice"),
    ],
)
def test_an_exception_is_host_callback_with_its_text(engine, role, backend, stage, text) -> None:
    with engine(**{role: backend}).create_session(config()) as session:
        session.push_audio(tone(0.5), 16_000)
        session.end_utterance()
        failed = only(until(session, TurnFailed), TurnFailed)[0]
    assert (failed.stage, failed.error.code, failed.error.number) == (stage, ErrorCode.HOST_CALLBACK, 901)
    assert text in failed.error.detail


def test_a_typed_error_keeps_its_code(engine) -> None:
    class Full(Chat):
        def reply(self, request):
            raise TertuliaError(ErrorCode.CONTEXT_FULL, detail="too much was said")

    with engine(chat=Full()).create_session(config()) as session:
        session.send_text("Hola.")
        failed = only(until(session, TurnFailed), TurnFailed)[0]
    assert (failed.error.code, failed.error.detail) == (ErrorCode.CONTEXT_FULL, "too much was said")


def test_a_detector_that_fails_shows_as_an_event(engine) -> None:
    class BrokenVad(Loudness):
        def open(self):
            raise RuntimeError("no detector")

    with engine(vad=BrokenVad()).create_session(open_microphone()) as session:
        session.push_audio(tone(0.5), 16_000)
        error = only(until(session, ErrorEvent), ErrorEvent)[0].error
    assert error.code == ErrorCode.HOST_CALLBACK and "no detector" in error.detail


def test_a_backend_that_cannot_say_its_name_is_an_error() -> None:
    class Nameless(Chat):
        languages = ("not a language!",)

    with pytest.raises(TertuliaError) as caught:
        bare_engine(chat=Nameless())
    assert caught.value.code == ErrorCode.UNKNOWN_LANGUAGE


def test_cancel_reaches_a_generator_and_a_blocking_backend(engine) -> None:
    closed, seen = threading.Event(), threading.Event()

    class Endless(Chat):
        def reply(self, request):
            try:
                while True:
                    yield "más y "
                    time.sleep(0.001)
            finally:
                closed.set()

    with engine(chat=Endless(), synthesizer=None).create_session(config()) as session:
        session.send_text("Hola.")
        until(session, ReplyTextDelta)
        session.interrupt()
        assert only(until(session, TurnInterrupted), TurnInterrupted)[0].reason == InterruptReason.CANCEL
    assert closed.wait(5)

    class Waiting(FixedRecognizer):
        def recognize(self, request):
            while not request.is_cancelled():
                time.sleep(0.001)
            seen.set()
            return ""

    with engine(recognizer=Waiting()).create_session(config()) as session:
        session.push_audio(tone(0.5), 16_000)
        session.end_utterance()
        time.sleep(0.05)
        session.interrupt()
        until(session, TurnInterrupted)
    assert seen.wait(5)


class Asleep(FixedRecognizer):
    """Sleeps until it is told that its answer is not wanted any more."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.woken, self.woken_at = threading.Event(), threading.Event(), 0.0
        self.call: Callable[[], object] | None = None

    def recognize(self, request):
        if self.call is not None:
            request.on_cancel(self.call)
        self.begun.set()
        assert request.wait_cancelled(20)
        self.woken_at = time.monotonic()
        self.woken.set()
        assert request.is_cancelled()
        return ""


def test_cancel_wakes_a_backend_that_sleeps(engine) -> None:
    took = []
    for _ in range(20):
        asleep = Asleep()
        with engine(recognizer=asleep).create_session(config()) as session:
            session.push_audio(tone(0.5), 16_000)
            session.end_utterance()
            assert asleep.begun.wait(5)
            start = time.monotonic()
            session.interrupt()
            assert asleep.woken.wait(5)
            took.append((asleep.woken_at - start) * 1_000)
    assert sorted(took)[5] < 5, f"it took so many ms: {took}"


def test_on_cancel_may_call_the_engine(engine) -> None:
    asleep, called = Asleep(), threading.Event()
    made = engine(recognizer=asleep)
    with made.create_session(config()) as session:

        def call() -> None:
            session.send_text("¿Sigues ahí?")
            session.interrupt()
            assert list(made.turns(session.id)) is not None and made.store_usage() is not None
            called.set()

        asleep.call = call
        session.push_audio(tone(0.5), 16_000)
        session.end_utterance()
        assert asleep.begun.wait(5)
        session.interrupt()
        assert called.wait(5) and asleep.woken.wait(5)


def test_on_cancel_is_not_called_after_the_answer(engine) -> None:
    calls = []

    class Watched(Chat):
        def reply(self, request):
            request.on_cancel(lambda: calls.append("reply"))
            yield from super().reply(request)

    class WatchedRecognizer(FixedRecognizer):
        def recognize(self, request):
            request.on_cancel(lambda: calls.append("recognize"))
            return super().recognize(request)

    with engine(recognizer=WatchedRecognizer(), chat=Watched()).create_session(config()) as session:
        for turn in range(20):
            session.push_audio(tone(0.5), 16_000)
            turn = session.end_utterance()
            until(session, ReplyTextDone)
            session.interrupt_all()
            until(session, TurnInterrupted)
    assert calls == []


def test_an_exception_in_on_cancel_hurts_nobody(engine) -> None:
    asleep = Asleep()
    asleep.call = lambda: 1 / 0
    with engine(recognizer=asleep).create_session(config()) as session:
        session.push_audio(tone(0.5), 16_000)
        session.end_utterance()
        assert asleep.begun.wait(5)
        session.interrupt()
        assert asleep.woken.wait(5)
        session.send_text("Hola.")
        until(session, ReplyTextDone)


def test_cancelling_a_job_that_nobody_waits_for_wakes_its_backend(engine) -> None:
    class Endless(ToneSynthesizer):
        def synthesize(self, request):
            yield from super().synthesize(request)
            assert request.wait_cancelled(20)
            woken.set()

    woken = threading.Event()
    job = engine(synthesizer=Endless()).synthesize("Hola", ["es"])
    assert next(iter(job)).rate == 8_000
    assert not woken.is_set()
    job.cancel()
    assert woken.wait(5)
    with pytest.raises(TertuliaError) as caught:
        job.result()
    assert caught.value.code == ErrorCode.CANCELLED


def test_a_hung_backend_blocks_no_other_session(engine) -> None:
    gate, first = Gate(), threading.Event()

    class HungOnce(Chat):
        def reply(self, request):
            if not first.is_set():
                first.set()
                gate.wait()
            yield from super().reply(request)

    engine = engine(chat=HungOnce())
    with engine.create_session(config()) as hung, engine.create_session(config()) as other:
        hung.send_text("Hola.")
        assert gate.entered.wait(10)
        turn = other.send_text("Hola.")
        play_out(other, turn)
        start = time.monotonic()
        hung.interrupt()
        until(hung, TurnInterrupted)
        assert time.monotonic() - start < 2
    start = time.monotonic()
    assert engine.shut_down() == [] and time.monotonic() - start < 2
    gate.opened.set()


def test_backends_are_released_with_the_engine() -> None:
    chat = Chat()
    known = weakref.ref(chat)
    with bare_engine(chat=chat) as engine:
        with engine.create_session(config()) as session:
            session.send_text("Hola.")
            until(session, ReplyTextDone)
    del chat, engine, session
    deadline = time.monotonic() + 5
    while known() is not None and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert known() is None


def test_partial_transcripts_and_their_stable_prefix(engine) -> None:
    text = "¿Qué 👋 tal?"

    class Partials(FixedRecognizer):
        def recognize(self, request):
            request.partial(text, len("¿Qué 👋"))
            return text

    with engine(recognizer=Partials()).create_session(config()) as session:
        session.push_audio(tone(0.5), 16_000)
        session.end_utterance()
        events = until(session, TranscriptDone)
    partial = only(events, TranscriptPartial)[0]
    assert partial.text[: partial.stable_len] == "¿Qué 👋"
    json = next(event for event in events if isinstance(event.kind, TranscriptPartial)).json()
    assert f'"stable_len":{len("¿Qué 👋".encode())}' in json
