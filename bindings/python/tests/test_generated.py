"""The places where the package reaches into the generated code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import config, only, until

import tertulia
from tertulia import ErrorCode, SessionOpened, TertuliaError, TertuliaEvent, TertuliaEventKind, _fit, _generated

PACKAGE = Path(tertulia.__file__).parent


def test_errors_are_made_as_the_classes_of_the_package(engine) -> None:
    with pytest.raises(TertuliaError) as caught:
        engine().session("no id")
    assert type(caught.value) is TertuliaError, "uniffi does not look for TertuliaError.Failed any more"
    assert caught.value.code == ErrorCode.INVALID_ARGUMENT
    assert _generated.TertuliaError.Failed is TertuliaError


def test_events_are_made_as_the_classes_of_the_package(engine) -> None:
    made = engine()
    with made.create_session(config()) as session:
        opened = until(session, SessionOpened)
        generated = made.session_handle(session.id)._native.next_event
    assert [type(event) for event in opened] == [TertuliaEvent], "uniffi does not look for TertuliaEvent any more"
    assert only(opened, SessionOpened) == [SessionOpened(False, 0)]
    # The generated call, in whose place `next_event` of the package stands, makes the same.
    with pytest.raises(TertuliaError) as caught:
        generated(0)
    assert caught.value.code == ErrorCode.EVENTS_TAKEN


def test_every_kind_of_event_has_its_class() -> None:
    methods = [name for name in vars(_generated.TertuliaEventKind) if name.startswith("is_") and name[3:].isupper()]
    kinds = {getattr(_generated.TertuliaEventKind, name[3:]) for name in methods}
    assert kinds == set(TertuliaEventKind.__subclasses__()), "uniffi names the kinds of events in another way"


@pytest.mark.parametrize("path", sorted({path for path in _fit.PARTS if path != "TertuliaEventKind"}))
def test_other_generated_code_is_found_out_by_name(path: str, tmp_path: Path) -> None:
    copy = tmp_path / "tertulia"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "libtertulia*"))
    for library in PACKAGE.glob("libtertulia*"):
        (copy / library.name).symlink_to(library)
    owner, _, name = path.rpartition(".")
    source = (copy / "_generated.py").read_text()
    if owner == "_UniffiLib":
        source += "\n\nclass _Without:\n    def __getattr__(self, name):\n"
        source += f"        if name == {name!r}:\n            raise AttributeError(name)\n        return getattr(_UniffiLib_, name)\n"
        source += "\n\n_UniffiLib_, _UniffiLib = _UniffiLib, _Without()\n"
    elif owner:
        source += f"\n\ndel {owner}.{name}\n"
    else:
        source = re.sub(rf"\b{name}\b", f"{name}Renamed", source)
    (copy / "_generated.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-c", "import tertulia"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1 and f"ImportError: the generated code has no {path}" in done.stderr
    assert "another version of uniffi" in done.stderr
