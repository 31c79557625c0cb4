"""The places where this package reaches into the generated code, whose form is uniffi's own.

Each is looked up by its name when the package is imported: other code is found out at once, with the name that it lacks.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

from . import _generated

PARTS: list[str] = []
"""The names that were looked up."""


def part(path: str) -> Any:
    """A part of the generated code."""
    PARTS.append(path)
    found: Any = _generated
    for name in path.split("."):
        found = getattr(found, name, None)
        if found is None:
            raise ImportError(
                f"the generated code has no {path}: another version of uniffi wrote it, which the package tertulia does not fit"
            )
    return found


def replace(path: str, own: object) -> None:
    """Has the generated code use a class of this package in the place of its own, instead of making each object twice."""
    part(path)
    owner, _, name = path.rpartition(".")
    setattr(part(owner) if owner else _generated, name, own)
