"""Audio of the host as bytes for the library, copied only where it must be."""

from __future__ import annotations

import ctypes
from array import array
from typing import TYPE_CHECKING, Any, Literal

from ._fit import part, replace

if TYPE_CHECKING:
    from typing_extensions import Buffer

SampleFormat = Literal["f32", "i16"]
"""The samples of plain bytes: 32-bit floats of -1 to 1, or 16-bit integers; little-endian."""


def samples(audio: Buffer, format: SampleFormat | None) -> tuple[memoryview, SampleFormat, int]:
    """The bytes of samples, their format, and the number of channels: the last dimension of an array with two."""
    view = memoryview(audio)
    channels = view.shape[1] if view.ndim == 2 and view.shape else 1
    if format is None:
        kind = {"f": "f32", "h": "i16"}.get(view.format.lstrip("<=@"))
        if kind is None and view.format.lstrip("<=@") == "d":
            return memoryview(array("f", view.cast("B").cast("d"))).cast("B"), "f32", channels
        if kind is None:
            raise TypeError("samples are float32, float64 or int16; plain bytes need format='f32' or 'i16'")
        format = "f32" if kind == "f32" else "i16"
    if not view.c_contiguous:
        view = memoryview(view.tobytes())
    return view.cast("B"), format, channels


def floats(audio: Buffer, format: SampleFormat | None = None) -> memoryview:
    """Mono samples as bytes of 32-bit floats."""
    view, format, channels = samples(audio, format)
    if channels != 1:
        raise TypeError(f"mono samples were expected, not {channels} channels")
    if format == "i16":
        return memoryview(array("f", (sample / 32768 for sample in view.cast("h")))).cast("B")
    return view


_ForeignBytes = part("_UniffiForeignBytes")


class _BorrowedBytes:
    """Lends bytes to the library for a call: in place of the generated code's, which takes `bytes` alone."""

    @staticmethod
    def check_lower(value: Any) -> None:
        if memoryview(value).nbytes >= 1 << 31:
            raise ValueError("the audio is longer than 2 GiB")

    @staticmethod
    def lower(value: bytes | memoryview) -> Any:
        lent = _ForeignBytes()
        lent.len = memoryview(value).nbytes
        if lent.len:
            if isinstance(value, memoryview) and not value.readonly:
                owner: Any = (ctypes.c_char * lent.len).from_buffer(value)
            else:
                owner = ctypes.c_char_p(bytes(value))
            # The cast keeps the owner alive.
            lent.data = ctypes.cast(owner, ctypes.POINTER(ctypes.c_char))
        return lent


replace("_UniffiFfiConverterByRefBytes", _BorrowedBytes)
