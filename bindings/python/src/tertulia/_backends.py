"""Backends of the host's: classes whose methods may block, since each request runs on a thread of its own."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from . import _generated
from ._audio import floats
from ._error import TertuliaError
from ._generated import (
    ChatMessage,
    ChatModelInfo,
    ErrorCode,
    RecognizerInfo,
    RequestContext,
    Sampling,
    SpeechTranscript,
    SpokenWord,
    SynthesizerInfo,
    TextSpan,
    VadInfo,
    VoiceInfo,
)
from ._job import SpeechChunk

Sink = _generated.RecognitionSink | _generated.ChatSink | _generated.SpeechSink


class Request:
    """A request to a backend."""

    def __init__(self, context: RequestContext | None, sink: Sink) -> None:
        self.context: RequestContext | None = context
        """For what, and for whom, it is made."""
        self._sink, self._cancelled = sink, threading.Event()
        self.on_cancel(None)

    def is_cancelled(self) -> bool:
        """True where the answer is not wanted any more: stop then."""
        return self._sink.is_cancelled()

    def wait_cancelled(self, timeout: float) -> bool:
        """Sleeps this many seconds, or until the answer is not wanted any more: True then."""
        return self._cancelled.wait(timeout)

    def on_cancel(self, call: Callable[[], object] | None) -> None:
        """Has a function called, once and on any thread, where the answer is not wanted any more; at once where that is so
        already. It must not wait: it closes a connection, say. It is not called after the answer was given.
        """
        self._sink.set_cancel_handler(_CancelHandler(self._cancelled, call))


class _CancelHandler(_generated.CancelHandler):
    def __init__(self, cancelled: threading.Event, call: Callable[[], object] | None) -> None:
        self._cancelled, self._call = cancelled, call

    def cancelled(self) -> None:
        self._cancelled.set()
        if self._call is not None:
            self._call()


class RecognitionRequest(Request):
    """A request to recognise an utterance."""

    def __init__(self, native: _generated.RecognitionRequest, sink: _generated.RecognitionSink) -> None:
        super().__init__(native.context, sink)
        self._partials = sink
        self.audio: memoryview[float] = memoryview(native.pcm).cast("f")
        """Mono samples of -1 to 1 at 16,000 Hz; `numpy.asarray(audio)` does not copy them."""
        self.languages: list[str] = native.languages
        """One language to force it; several to have the likeliest among them chosen."""
        self.vocabulary: list[str] = native.vocabulary
        """Words to expect."""
        self.word_times: bool = native.word_times
        """True if words need start and end times."""

    def partial(self, text: str, stable_len: int = 0) -> None:
        """Gives a partial transcript, of which the first `stable_len` code points will not change."""
        self._partials.push_partial(text, len(text[:stable_len].encode()))


class ChatRequest(Request):
    """A request for a reply to the last message."""

    def __init__(self, native: _generated.ChatRequest, sink: _generated.ChatSink) -> None:
        super().__init__(native.context, sink)
        self.messages: list[ChatMessage] = native.messages
        """The conversation, oldest first."""
        self.sampling: Sampling = native.sampling
        """Sampling of tokens."""


class SynthesisRequest(Request):
    """A request to synthesise a text."""

    def __init__(self, native: _generated.SynthesisRequest, sink: _generated.SpeechSink) -> None:
        super().__init__(native.context, sink)
        self.text: str = native.text
        """The text as it is displayed."""
        self.languages: list[str] = native.languages
        """The languages that may occur in it; the first is the likeliest."""
        self.voice: str | None = native.voice
        """The voice's name; None for the default voice of the first language."""
        self.speed: float = native.speed
        """The speed, 0.5 to 2; 1 is the voice's own."""


class Recognizer(ABC):
    """Speech to text."""

    name: str = "python"
    languages: Sequence[str] = ()
    partials: bool = True
    """False where partial transcripts are not wanted, such as where each request is paid for."""
    drafts: bool = True
    """False where transcripts of utterances that may go on are not wanted."""

    @abstractmethod
    def recognize(self, request: RecognitionRequest) -> str | SpeechTranscript:
        """The transcript of an utterance."""


class ChatModel(ABC):
    """Replies."""

    name: str = "python"
    languages: Sequence[str] = ()
    context_len: int = 8192
    """The context length in tokens."""

    @abstractmethod
    def reply(self, request: ChatRequest) -> Iterable[str]:
        """The parts of a reply, which are spoken as they come: a generator is closed where no more is wanted."""


class Synthesizer(ABC):
    """Text to speech."""

    name: str = "python"
    languages: Sequence[str] = ()
    voices: Sequence[VoiceInfo] = ()

    @abstractmethod
    def synthesize(self, request: SynthesisRequest) -> Iterable[SpeechChunk]:
        """Chunks of speech, which cover the text without gap."""


class Vad(ABC):
    """A voice activity detector of one stream of audio. It runs on an audio thread: it must not wait."""

    @abstractmethod
    def process(self, frame: memoryview[float]) -> float:
        """The probability of speech, 0 to 1, in the next frame of float32 samples."""

    @abstractmethod
    def reset(self) -> None:
        """Empties the state."""


class VadModel(ABC):
    """Voice activity detection."""

    name: str = "python"
    frame_len: int = 512
    """Samples of one frame at 16,000 Hz, 80 to 4,096."""

    @abstractmethod
    def open(self) -> Vad:
        """A detector with empty state, for one stream of audio."""


def _begin(sink: Sink, name: str, work: Callable[[], None]) -> None:
    def run() -> None:
        try:
            work()
            sink.done()
        except TertuliaError as error:
            _fail(sink, error.number, error.detail)
        except BaseException as error:
            _fail(sink, ErrorCode.HOST_CALLBACK.number(), f"{type(error).__name__}: {error}")

    threading.Thread(target=run, name=f"tertulia-{name}", daemon=True).start()


def _fail(sink: Sink, number: int, detail: str) -> None:
    try:
        sink.fail(number, detail)
    except TertuliaError:
        pass  # The results have ended.


def _each(items: Iterable[Any], push: Callable[[Any], None]) -> None:
    try:
        for item in items:
            push(item)
    finally:
        # A generator cleans up now, and not when it is collected.
        close = getattr(items, "close", None)
        if close is not None:
            close()


class _Recognizer(_generated.Recognizer):
    def __init__(self, host: Recognizer) -> None:
        self._host = host

    def info(self) -> RecognizerInfo:
        host = self._host
        return RecognizerInfo(
            name=host.name, languages=list(host.languages), partials=host.partials, drafts=host.drafts
        )

    def recognize(self, request: _generated.RecognitionRequest, sink: _generated.RecognitionSink) -> None:
        def work() -> None:
            found = self._host.recognize(RecognitionRequest(request, sink))
            sink.push_final(SpeechTranscript(text=found) if isinstance(found, str) else found)

        _begin(sink, "recognizer", work)


class _ChatModel(_generated.ChatModel):
    def __init__(self, host: ChatModel) -> None:
        self._host = host

    def info(self) -> ChatModelInfo:
        host = self._host
        return ChatModelInfo(name=host.name, languages=list(host.languages), context_len=host.context_len)

    def reply(self, request: _generated.ChatRequest, sink: _generated.ChatSink) -> None:
        _begin(sink, "chat", lambda: _each(self._host.reply(ChatRequest(request, sink)), sink.push_text))


class _Synthesizer(_generated.Synthesizer):
    def __init__(self, host: Synthesizer) -> None:
        self._host = host

    def info(self) -> SynthesizerInfo:
        host = self._host
        return SynthesizerInfo(name=host.name, languages=list(host.languages), voices=list(host.voices))

    def synthesize(self, request: _generated.SynthesisRequest, sink: _generated.SpeechSink) -> None:
        text = request.text

        def in_bytes(span: TextSpan) -> TextSpan:
            return TextSpan(start=len(text[: span.start].encode()), end=len(text[: span.end].encode()))

        def word(of: SpokenWord) -> SpokenWord:
            return SpokenWord(
                text_span=in_bytes(of.text_span),
                language=of.language,
                start_sample=of.start_sample,
                end_sample=of.end_sample,
            )

        def push(chunk: SpeechChunk) -> None:
            pcm: Any = chunk.pcm if isinstance(chunk.pcm, bytes) else floats(chunk.pcm)
            sink.push_audio(pcm, chunk.rate, in_bytes(chunk.text_span), [word(of) for of in chunk.words])

        _begin(sink, "synthesizer", lambda: _each(self._host.synthesize(SynthesisRequest(request, sink)), push))


class _Vad(_generated.Vad):
    def __init__(self, host: Vad) -> None:
        self._host = host

    def process(self, frame: bytes) -> float:
        return float(self._host.process(memoryview(frame).cast("f")))

    def reset(self) -> None:
        self._host.reset()


class _VadModel(_generated.VadModel):
    def __init__(self, host: VadModel) -> None:
        self._host = host

    def info(self) -> VadInfo:
        return VadInfo(name=self._host.name, frame_len=self._host.frame_len)

    def open(self) -> _generated.Vad:
        return _Vad(self._host.open())


def host_backends(
    vad: VadModel | None, recognizer: Recognizer | None, chat: ChatModel | None, synthesizer: Synthesizer | None
) -> _generated.HostBackends:
    return _generated.HostBackends(
        vad=_VadModel(vad) if vad else None,
        recognizer=_Recognizer(recognizer) if recognizer else None,
        chat=_ChatModel(chat) if chat else None,
        synthesizer=_Synthesizer(synthesizer) if synthesizer else None,
    )
