"""Transcribes a recording (wav, mp3, flac, ogg, mp4 or webm): transcribe.py FILE [LANGUAGE…]."""

import sys
from pathlib import Path

from tertulia import ModelChoices, ModelStore, TertuliaEngine


def main(file: str, languages: list[str]) -> None:
    models = ModelStore()
    recognizer = next(model.name for model in models.list() if model.is_default and model.role.name == "RECOGNIZER")
    for progress in models.pull([recognizer]):
        print(f"{progress.phase.name.lower()} {progress.file}", file=sys.stderr)
    only = ModelChoices(vad="none", turn_detector="none", chat="none", synthesizer="none")
    with TertuliaEngine(models=only) as engine:
        transcript = engine.transcribe_encoded(Path(file).read_bytes(), languages).result()
    for word in transcript.words:
        print(f"{word.start_ms / 1_000:7.2f} s  {word.text}")
    print(transcript.text)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
