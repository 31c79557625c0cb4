"""The conformance scenarios through the Python package: conformance.py FOLDER prints the name of each that it ran.

The package must hold the library with the feature `testing`.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tertulia import ModelChoices, TertuliaEngine, TertuliaError, TertuliaSession
from tertulia import _generated

GENERATED: Any = _generated
NONE = ModelChoices(vad="none", turn_detector="none", recognizer="none", chat="none", synthesizer="none")
ACTION, RESULT, ITEM = GENERATED.HostAction, GENERATED.ActionResult, GENERATED.JobItem


class Host:
    """Does what a scenario asks for, with the calls of an app."""

    engine: TertuliaEngine
    session: TertuliaSession

    def act(self, action: Any) -> Any:
        if isinstance(action, ACTION.TAKE_ENGINE):
            self.session = None  # type: ignore[assignment]
            self.engine = TertuliaEngine.__new__(TertuliaEngine)
            self.engine._adopt(action.engine)
        elif isinstance(action, ACTION.OPEN_ENGINE):
            self.engine = TertuliaEngine(action.store, models=NONE)
        elif isinstance(action, ACTION.TAKE_SESSION):
            self.session = self.engine.session_handle(action.session)
        elif isinstance(action, ACTION.APPLY):
            return RESULT.JSON(self.engine.apply(action.command))
        elif isinstance(action, ACTION.READ_EVENT):
            event = self.session.next_event()
            return RESULT.NOTHING() if event is None else RESULT.JSON(event.json())
        elif isinstance(action, ACTION.PUSH_AUDIO):
            self.push(action.pcm, action.channels, action.rate)
        elif isinstance(action, ACTION.PUSH_ENCODED):
            self.session.push_encoded(action.bytes)
        elif isinstance(action, ACTION.READ_AUDIO):
            return RESULT.AUDIO(self.engine.audio(action.session, action.turn, action.kind))
        elif isinstance(action, ACTION.EXPORT_SESSION):
            return RESULT.ITEM(ITEM.EXPORTED(self.engine.export_session(action.session, action.path).result()))
        elif isinstance(action, ACTION.IMPORT_SESSION):
            return RESULT.ITEM(ITEM.IMPORTED(self.engine.import_session(action.path, action.new_id).result()))
        else:
            raise NotImplementedError(repr(action))
        return RESULT.NOTHING()

    def push(self, pcm: bytes, channels: int, rate: int) -> None:
        samples = memoryview(pcm)
        if channels == 1:
            self.session.push_audio(samples, rate, "f32")
        else:
            self.session.push_audio(samples.cast("f", (len(pcm) // (4 * channels), channels)), rate)


def live(run: Any) -> None:
    """Lives through a scenario; fails where something differs."""
    host, result = Host(), RESULT.NOTHING()
    while (action := run.next(result)) is not None:
        try:
            result = host.act(action)
        except TertuliaError as error:
            result = RESULT.FAILED(error.number)
    difference = run.finish()
    if difference is not None:
        raise SystemExit(difference)


def main(folder: Path) -> None:
    for scenario in sorted((folder / "scenarios").glob("*.json")):
        live(GENERATED.ConformanceRun.scenario(scenario.read_text()))
        print(scenario.stem)
    with tempfile.TemporaryDirectory() as work:
        copy = shutil.copy(folder / "golden.redb", work)
        live(GENERATED.ConformanceRun.golden((folder / "golden.json").read_text(), copy))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
