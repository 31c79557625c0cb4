"""The end of sessions, engines and processes, in the middle of everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from conftest import Chat, FixedRecognizer, ToneSynthesizer, bare_engine, config, only, open_microphone, play_out, tone, until

from tertulia import (
    AudioKind,
    ErrorCode,
    InterruptReason,
    SessionClosed,
    SessionOpened,
    SessionUpdate,
    TertuliaError,
    TurnState,
)

HERE = Path(__file__).parent


class Slow:
    """Backends that take a moment at each stage."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def backends(self) -> dict[str, object]:
        slow = self

        class SlowRecognizer(FixedRecognizer):
            def recognize(self, request):
                time.sleep(slow.seconds)
                return super().recognize(request)

        class SlowChat(Chat):
            def reply(self, request):
                for part in super().reply(request):
                    time.sleep(slow.seconds)
                    yield part

        class SlowSynthesizer(ToneSynthesizer):
            def synthesize(self, request):
                for chunk in super().synthesize(request):
                    time.sleep(slow.seconds)
                    yield chunk

        return {"recognizer": SlowRecognizer(), "chat": SlowChat("Sí, claro."), "synthesizer": SlowSynthesizer()}


def test_interrupt_and_close_in_the_middle_of_every_stage_1000_times(engine) -> None:
    engine = engine(**Slow(0.0005).backends())
    closed = 0
    audio = tone(0.3)
    for round in range(1_000):
        session = engine.create_session(open_microphone() if round % 3 == 0 else config())
        session.push_audio(audio, 16_000)
        session.end_utterance()
        # From the first stage to the last, in steps of 0.1 ms.
        time.sleep((round % 100) / 10_000)
        if round % 2:
            session.interrupt()
        session.close()
        if round % 10 == 0:
            assert isinstance(until(session, SessionClosed)[-1].kind, SessionClosed)
            closed += 1
    assert closed == 100
    assert engine.shut_down(10_000) == []


def test_shut_down_in_the_middle_of_every_stage() -> None:
    for round in range(50):
        engine = bare_engine(**Slow(0.002).backends())
        session = engine.create_session(config())
        session.push_audio(tone(0.3), 16_000)
        session.end_utterance()
        time.sleep(round / 1_000)
        assert engine.shut_down(10_000) == []
        with pytest.raises(TertuliaError) as caught:
            session.send_text("Hola.")
        assert caught.value.code == ErrorCode.ENGINE_CLOSED


def program(text: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs a program, with the backends of the tests."""
    head = f"import sys, threading, time\nsys.path.insert(0, {str(HERE)!r})\nfrom conftest import *\nfrom tertulia import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(text), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


EXITS = {
    "nothing closed": """
        engine = bare_engine(chat=Chat(), synthesizer=ToneSynthesizer())
        session = engine.create_session(config())
        session.send_text("Hola.")
        until(session, ReplyTextDelta)
    """,
    "a job running": """
        class Slow(FixedRecognizer):
            def recognize(self, request):
                time.sleep(1_000)
        engine = bare_engine(recognizer=Slow())
        job = engine.transcribe(tone(1), 16_000)
        threading.Thread(target=lambda: job.result()).start()
        time.sleep(0.3)
    """,
    "a job running in a task": """
        import asyncio
        class Slow(FixedRecognizer):
            def recognize(self, request):
                time.sleep(1_000)
        engine = bare_engine(recognizer=Slow())
        async def wait():
            await engine.transcribe(tone(1), 16_000)
        async def main():
            task = asyncio.create_task(wait())
            await asyncio.sleep(0.3)
            raise SystemExit(0)
        asyncio.run(main())
    """,
    "a callback waiting": """
        class Hung(Chat):
            def reply(self, request):
                time.sleep(1_000)
                yield ""
        engine = bare_engine(chat=Hung())
        session = engine.create_session(config())
        session.send_text("Hola.")
        time.sleep(0.3)
    """,
    "a thread waiting for events": """
        engine = bare_engine(chat=Chat())
        session = engine.create_session(config())
        threading.Thread(target=lambda: list(session.events())).start()
        time.sleep(0.3)
    """,
    "audio coming in, and a log": """
        class Log(LogSink):
            def log(self, level, target, line):
                pass
        set_log(Log(), LogLevel.TRACE)
        engine = bare_engine(vad=Loudness(), recognizer=FixedRecognizer(), chat=Chat(), synthesizer=ToneSynthesizer())
        session = engine.create_session(open_microphone())
        def pump():
            try:
                while True:
                    session.push_audio(tone(0.03), 16_000)
            except TertuliaError:
                pass
        threading.Thread(target=pump, daemon=True).start()
        time.sleep(0.5)
    """,
    "a model loaded": """
        try:
            ModelStore().list()
            engine = TertuliaEngine(models=ModelChoices(turn_detector="none", chat="none", synthesizer="none"))
            engine.preload().result()
        except TertuliaError as error:
            if error.code not in (ErrorCode.UNSUPPORTED, ErrorCode.MODEL_MISSING):
                raise
            print("skipped: the library has no models, or their files are not there:", error)
            sys.exit()
        session = engine.create_session(config())
    """,
    "an exception": """
        engine = bare_engine(chat=Chat())
        session = engine.create_session(config())
        session.send_text("Hola.")
        sys.exit(0)
    """,
}


@pytest.mark.parametrize("end", ["", "engine.shut_down(1_000)\n"], ids=["exit", "shut down"])
@pytest.mark.parametrize("name", EXITS)
def test_the_interpreter_exits(name: str, end: str) -> None:
    running = program(textwrap.dedent(EXITS[name]) + end)
    try:
        output, _ = running.communicate(timeout=30)
    finally:
        running.kill()
    if name == "a job running":
        # The thread that waited for it has an error, which Python prints.
        assert "ENGINE_CLOSED" in output
    elif name != "a job running in a task" and not output.startswith("skipped: "):
        assert not output, output
    assert running.returncode == 0, output
    if output.startswith("skipped: "):
        pytest.skip(output)


def test_a_killed_process_is_resumed(engine, tmp_path) -> None:
    store = tmp_path / "store.redb"
    running = program(
        """
        class Endless(Chat):
            def reply(self, request):
                while True:
                    yield "más y "
                    time.sleep(0.01)
        engine = bare_engine(sys.argv[1], recognizer=FixedRecognizer(), chat=Endless(), synthesizer=ToneSynthesizer())
        session = engine.create_session(config())
        session.push_audio(tone(0.5), 16_000)
        session.end_utterance()
        until(session, ReplyTextDelta)
        print(session.id, flush=True)
        time.sleep(60)
        """,
        str(store),
    )
    assert running.stdout is not None
    session_id = running.stdout.readline().strip()
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    engine = engine(str(store))
    with engine.open_session(session_id) as session:
        assert only(until(session, SessionOpened), SessionOpened)[0].resumed
        turn = session.send_text("¿Seguimos?")
        play_out(session, turn)
    first, second = engine.turns(session_id)
    assert first.user_text == "Hola, ¿qué tal? 👋" and second.user_text == "¿Seguimos?"
    assert isinstance(first.state, TurnState.INTERRUPTED) and first.state.reason == InterruptReason.CRASH


def test_every_call_after_shut_down_is_an_error_or_does_nothing(engine, tmp_path) -> None:
    engine = engine()
    session = engine.create_session(config())
    assert engine.shut_down() == []
    id = session.id
    refused = [
        lambda: session.push_audio(tone(0.1), 16_000),
        lambda: session.push_playback(tone(0.1), 16_000),
        lambda: session.push_encoded(b"RIFF"),
        session.end_utterance,
        session.discard_utterance,
        session.input_interrupted,
        session.input_resumed,
        lambda: session.send_text("Hola."),
        lambda: session.say("Hola."),
        session.reply,
        lambda: session.retry_turn(1),
        lambda: session.correct(1, "Hola."),
        session.interrupt,
        session.interrupt_all,
        lambda: session.played(1, 1),
        lambda: session.update(SessionUpdate(speed=1.5)),
        session.end,
        lambda: engine.create_session(config()),
        lambda: engine.open_session(id),
        lambda: engine.session_handle(id),
        lambda: engine.close_session(id),
        lambda: engine.end_session(id),
        lambda: engine.delete_session(id),
        lambda: list(engine.sessions()),
        lambda: engine.session(id),
        lambda: list(engine.turns(id)),
        lambda: engine.audio(id, 1, AudioKind.USER),
        engine.store_usage,
        lambda: engine.transcribe(tone(0.1), 16_000).result(),
        lambda: engine.listen(tone(0.1), 16_000).result(),
        lambda: engine.synthesize("Hola.", ["es"]).result(),
        lambda: engine.preload().result(),
        lambda: engine.export_session(id, tmp_path / "session.zip").result(),
        lambda: engine.verify_store().result(),
        lambda: engine.compact_store().result(),
        lambda: engine.erase_sessions([id]).result(),
        lambda: engine.erase_everything().result(),
        lambda: engine.rotate_store_key(bytes(32)).result(),
        engine.suspend,
        engine.resume,
    ]
    for call in refused:
        with pytest.raises(TertuliaError) as caught:
            call()
        assert caught.value.code == ErrorCode.ENGINE_CLOSED, call
    session.close()
    assert session.config().native == "en" and engine.capabilities().models.chat == "chat"
    assert isinstance(list(session.events())[-1].kind, SessionClosed) and list(engine.events()) == []
    assert engine.shut_down() == []
