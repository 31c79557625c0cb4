"""The error of every call."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _generated
from ._fit import part, replace
from ._generated import ErrorCode

# The generated one is an exception, which a type checker does not see.
_Exception = Exception if TYPE_CHECKING else part("TertuliaError")


class TertuliaError(_Exception):
    """An error with a stable code. A backend of the host's may raise it, too."""

    def __init__(self, code: ErrorCode, number: int | None = None, detail: str = "", retryable: bool = False) -> None:
        number = code.number() if number is None else number
        super().__init__(f"{code.name} ({number}): {detail}")
        self.code: ErrorCode = code
        """The reason."""
        self.number: int = number
        """The number of the code, also where this version does not know it."""
        self.detail: str = detail
        """Context and causes, for logs."""
        self.retryable: bool = retryable
        """True where the same call can succeed later."""

    def __reduce__(self) -> tuple[type[TertuliaError], tuple[ErrorCode, int, str, bool]]:
        return TertuliaError, (self.code, self.number, self.detail, self.retryable)


# The generated code makes, and looks for, the one case.
replace("TertuliaError.Failed", TertuliaError)


def _shown(record: object) -> str:
    return f"{type(record).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(record).items())})"


# Generated records are dataclasses without declared fields, and would show none.
for _record in [*vars(_generated).values(), *vars(_generated.TurnState).values()]:
    if isinstance(_record, type) and hasattr(_record, "__dataclass_fields__"):
        setattr(_record, "__repr__", _shown)
