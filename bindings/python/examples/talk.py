"""One turn: talk.py RECORDING REPLY.wav [STORE]. The reply to a recording in Spanish is written to a file."""

import sys
import wave
from array import array
from pathlib import Path

from tertulia import (
    ModelStore,
    Playback,
    ReplyAudioDelta,
    ReplyTextDelta,
    SessionConfig,
    TertuliaEngine,
    TranscriptDone,
    TurnFailed,
    TurnFinished,
)


def main(recording: str, reply: str, store: str | None = None) -> None:
    for progress in ModelStore().pull():
        print(f"{progress.phase.name.lower()} {progress.file}", file=sys.stderr)
    config = SessionConfig(native="en", target="es", playback=Playback.ASSUMED)
    rate, samples = 24_000, array("h")
    with TertuliaEngine(store) as engine, engine.create_session(config) as session:
        session.push_encoded(Path(recording).read_bytes())
        for event in session.events():
            match event.kind:
                case TranscriptDone(transcript=transcript):
                    print(f"> {transcript.text}")
                case ReplyTextDelta(text=text):
                    print(text, end="", flush=True)
                case ReplyAudioDelta(rate=rate, pcm=pcm):
                    samples.extend(int(sample * 32_767) for sample in array("f", pcm))
                case TurnFinished():
                    break
                case TurnFailed(error=error):
                    raise SystemExit(f"{error.name}: {error.detail}")
                case _:
                    pass
    print()
    with wave.open(reply, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
