"""The engine, and its end with the interpreter."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import atexit
import concurrent.futures.thread as _jobs
import logging
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _generated
from ._audio import SampleFormat, floats
from ._backends import ChatModel, Recognizer, Synthesizer, VadModel, host_backends
from ._events import EventReader, Spans, TertuliaEvent
from ._generated import (
    AudioKind,
    Capabilities,
    EngineWorker,
    EventWaker,
    ExportReport,
    ImportReport,
    ModelChoices,
    ModelInfo,
    PullPlan,
    PullProgress,
    SessionConfig,
    SessionCursor,
    SessionPage,
    SessionQuery,
    SessionRecord,
    SessionSummary,
    SessionUpdate,
    SpeechTranscript,
    StoreUsage,
    StoredAudio,
    TurnPage,
    TurnRecord,
    Verified,
)
from ._job import EngineJob, SpeechChunk, chunk_of
from ._session import TertuliaSession

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

_LOG = logging.getLogger("tertulia")
_ENGINES: weakref.WeakSet[TertuliaEngine] = weakref.WeakSet()


class TertuliaEngine:
    """An engine for spoken conversation: `with TertuliaEngine("talk.redb") as engine` shuts it down at the end.

    Without a path the sessions are in memory. Backends of the host's take the place of the models of their roles.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | None = None,
        *,
        vad: VadModel | None = None,
        recognizer: Recognizer | None = None,
        chat: ChatModel | None = None,
        synthesizer: Synthesizer | None = None,
        models: ModelChoices | None = None,
        model_folder: str | os.PathLike[str] | None = None,
        key: bytes | None = None,
        audio_bytes_max: int | None = None,
        memory_bytes_max: int | None = None,
        utterance_seconds_max: int = 120,
        threads: int | None = None,
        catalog_json: str | None = None,
    ) -> None:
        options = _generated.EngineOptions(
            store=None if store is None else os.fspath(store),
            key=key,
            audio_bytes_max=audio_bytes_max,
            memory_bytes_max=memory_bytes_max,
            utterance_seconds_max=utterance_seconds_max,
            model_folder=None if model_folder is None else os.fspath(model_folder),
            threads=threads,
            models=models or ModelChoices(),
            catalog_json=catalog_json,
        )
        self._adopt(_generated.TertuliaEngine(options, host_backends(vad, recognizer, chat, synthesizer)))

    def _adopt(self, native: _generated.TertuliaEngine) -> None:
        self._native = native
        self._spans: weakref.WeakValueDictionary[str, Spans] = weakref.WeakValueDictionary()
        _ENGINES.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        running = self.shut_down()
        if running:
            _LOG.warning("the engine still runs after 10 s: %s", running)

    def apply(self, command_json: str) -> str:
        """Makes a call that a command in JSON stands for, and gives its answer in JSON (docs/schema)."""
        return self._native.apply(command_json)

    def _handle(self, native: _generated.TertuliaSession) -> TertuliaSession:
        # Handles of one session share the reply under way, which the next one may go on reading.
        return TertuliaSession(native, self._spans.setdefault(native.id(), Spans()))

    def create_session(self, config: SessionConfig) -> TertuliaSession:
        """Creates a session and opens it."""
        return self._handle(self._native.create_session(config))

    def open_session(self, session: str, update: SessionUpdate | None = None) -> TertuliaSession:
        """Opens a stored session where it was left, with changes of its settings."""
        return self._handle(self._native.open_session(session, update))

    def session_handle(self, session: str) -> TertuliaSession:
        """Another handle of an open session."""
        return self._handle(self._native.session_handle(session))

    def close_session(self, session: str) -> None:
        """Closes a session without ending it."""
        self._native.close_session(session)

    def end_session(self, session: str) -> None:
        """Ends a session for good."""
        self._native.end_session(session)

    def delete_session(self, session: str) -> None:
        """Deletes a session, which must not be open."""
        self._native.delete_session(session)

    def sessions(self, query: SessionQuery | None = None) -> Iterator[SessionSummary]:
        """The sessions that match, the one that changed last first."""
        after: SessionCursor | None = None
        while True:
            page = self.session_page(query, after)
            yield from page.sessions
            after = page.next
            if after is None:
                return

    def session_page(
        self, query: SessionQuery | None = None, after: SessionCursor | None = None, limit: int = 50
    ) -> SessionPage:
        """A page of the list of sessions."""
        return self._native.sessions(query, after, limit)

    def session(self, session: str) -> SessionRecord:
        """A session as it is stored."""
        return self._native.session(session)

    def turns(self, session: str) -> Iterator[TurnRecord]:
        """The turns of a session, open or not; those whose records are damaged are left out."""
        after: int | None = None
        while True:
            page = self.turn_page(session, after)
            yield from page.turns
            after = page.next
            if after is None:
                return

    def turn_page(self, session: str, after: int | None = None, limit: int = 50) -> TurnPage:
        """A page of the turns of a session."""
        return self._native.turns(session, after, limit)

    def audio(self, session: str, turn: int, kind: AudioKind) -> StoredAudio:
        """The audio of a turn of a session, open or not: 16-bit samples."""
        return self._native.audio(session, turn, kind)

    def capabilities(self) -> Capabilities:
        """The engine's languages, voices and models."""
        return self._native.capabilities()

    def store_usage(self) -> StoreUsage:
        """The space that the store takes."""
        return self._native.store_usage()

    def events(self) -> EventReader:
        """The events of the engine itself: models being loaded, errors outside sessions."""
        return EventReader(self.next_event, self.set_waker)

    def next_event(self, timeout_ms: int = 0) -> TertuliaEvent | None:
        """Waits for the next event of the engine itself; None where none came."""
        event: Any = self._native.next_event(timeout_ms)
        return event

    def set_waker(self, waker: EventWaker | None) -> None:
        """Has the waker called, on any thread, whenever there may be a new event. It must only notify."""
        self._native.set_waker(waker)

    def transcribe(
        self, audio: Buffer, rate: int, languages: Sequence[str] = (), format: SampleFormat | None = None
    ) -> EngineJob[SpeechTranscript]:
        """Transcribes mono audio as one utterance. One language forces it, several are chosen from, none for all."""
        pcm: Any = floats(audio, format)
        return EngineJob(self._native.transcribe(pcm, rate, list(languages)), lambda item: item.transcript)

    def transcribe_encoded(self, file: bytes, languages: Sequence[str] = ()) -> EngineJob[SpeechTranscript]:
        """Transcribes a whole file (webm, mp4, ogg, wav, mp3 or flac)."""
        return EngineJob(self._native.transcribe_encoded(file, list(languages)), lambda item: item.transcript)

    def listen(
        self, audio: Buffer, rate: int, languages: Sequence[str] = (), format: SampleFormat | None = None
    ) -> EngineJob[TertuliaEvent]:
        """Listens to a recording as to an open microphone, with endpointing, and gives events."""
        pcm: Any = floats(audio, format)
        spans = Spans()
        return EngineJob(self._native.listen(pcm, rate, list(languages)), lambda item: spans.converted(item.event))

    def synthesize(
        self, text: str, languages: Sequence[str], voice: str | None = None, speed: float = 1.0
    ) -> EngineJob[SpeechChunk]:
        """Speaks a text; the first of the languages is the likeliest."""
        request = _generated.SynthesisRequest(text=text, languages=list(languages), voice=voice, speed=speed)
        return EngineJob(self._native.synthesize(request), chunk_of(text))

    def preload(self) -> EngineJob[None]:
        """Loads every model, so that the first turn need not wait."""
        return EngineJob(self._native.preload(), _nothing)

    def export_session(self, session: str, path: str | os.PathLike[str]) -> EngineJob[ExportReport]:
        """Writes a session as an archive to a file."""
        return EngineJob(self._native.export_session(session, os.fspath(path)), lambda item: item.report)

    def import_session(self, path: str | os.PathLike[str], new_id: str | None = None) -> EngineJob[ImportReport]:
        """Stores a session from its archive, under its own id or another."""
        return EngineJob(self._native.import_session(os.fspath(path), new_id), lambda item: item.report)

    def verify_store(self) -> EngineJob[Verified]:
        """Reads everything in the store and reports damage."""
        return EngineJob(self._native.verify_store(), lambda item: item.report)

    def compact_store(self) -> EngineJob[None]:
        """Gives the space of deleted data back to the file system."""
        return EngineJob(self._native.compact_store(), _nothing)

    def erase_sessions(self, sessions: Sequence[str]) -> EngineJob[None]:
        """Deletes sessions so that no byte of them is left."""
        return EngineJob(self._native.erase_sessions(list(sessions)), _nothing)

    def erase_everything(self) -> EngineJob[None]:
        """Deletes everything in the store so that no byte is left."""
        return EngineJob(self._native.erase_everything(), _nothing)

    def rotate_store_key(self, key: bytes | None) -> EngineJob[None]:
        """Gives the store another key of 32 bytes, or none."""
        return EngineJob(self._native.rotate_store_key(key), _nothing)

    def suspend(self, deadline_ms: int = 1_000) -> list[EngineWorker]:
        """Stops computing and closes the store; gives what still runs after the deadline."""
        return self._native.suspend(deadline_ms)

    def resume(self) -> None:
        """Opens the store again and lets turns go on."""
        self._native.resume()

    def shut_down(self, timeout_ms: int = 10_000) -> list[EngineWorker]:
        """Closes every session, stores everything, and stops; gives what still runs after the timeout."""
        return self._native.shut_down(timeout_ms)


class ModelStore:
    """The folder of model files; without a path the platform's place for them."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._native = _generated.ModelStore(None if folder is None else os.fspath(folder))

    def list(self) -> list[ModelInfo]:
        """The models that the library knows."""
        return self._native.list()

    def plan(self, names: Sequence[str] = ()) -> PullPlan:
        """The files that a pull of these models (none for the default ones) would fetch."""
        return self._native.plan([*names])

    def pull(self, names: Sequence[str] = ()) -> EngineJob[PullProgress]:
        """Fetches these models (none for the default ones); a job that was cancelled goes on with the next pull."""
        return EngineJob(self._native.pull([*names]), lambda item: item.progress)

    def install(self, name: str, path: str | os.PathLike[str]) -> None:
        """Copies a GGUF file of the host's to its place as the model `name`, and checks it."""
        self._native.install(name, os.fspath(path))

    def remove(self, name: str) -> None:
        """Removes a model's files."""
        self._native.remove(name)

    def verify(self, name: str) -> None:
        """Reads a model's file, and compares its hash."""
        self._native.verify(name)


def _nothing(_item: object) -> None:
    return None


def _shut_down_all() -> None:
    """No thread of an engine may call Python once the interpreter ends."""
    for engine in list(_ENGINES):
        engine.shut_down(5_000)
    _generated.set_log(None, _generated.LogLevel.ERROR)


# Before the interpreter waits for its threads, which may wait for an engine; `atexit` comes after that. The hook of this
# module, which waits for jobs, was set before and runs after.
assert _jobs
getattr(threading, "_register_atexit", atexit.register)(_shut_down_all)
