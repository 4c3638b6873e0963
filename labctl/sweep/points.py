"""What is kept of a point, as bytes and back: msgpack, with arrays as they are."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from labctl.plain import plain

_ARRAY = 1
_LARGEST_INTEGER = 1 << 63
_LONGEST_TRACE = 4000


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """Why a point has no values: the error's type, its message, and the traceback of where it was measured."""

    error_type: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.error_type}: {self.message}"


class MeasuredPoint(msgspec.Struct, array_like=True, frozen=True):
    """A point that was measured: its number, how long it took, and its values or why there are none."""

    index: int
    seconds: float
    values: dict[str, Any]
    error: Failure | None = None


def tidy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of an experiment as they are kept: numbers, text, arrays of numbers, lists, and tables of these."""
    return {text(str(key)): _tidied(value) for key, value in values.items()}


def _tidied(value: Any) -> Any:
    if isinstance(value, np.generic):
        return _tidied(value.item()) if value.dtype.kind in "biufUS" else _tidied(np.asarray(value))
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "biufc" else _tidied(value.tolist())
    if isinstance(value, complex):
        return np.asarray(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else float(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return tidy(value)
    if isinstance(value, (list, tuple)):
        return [_tidied(item) for item in value]
    return _tidied(plain(value))


def text(value: str) -> str:
    """What of a text HDF5 and UTF-8 take."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="backslashreplace").decode()


def failure(error: BaseException) -> Failure:
    """What is kept of an error."""
    trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
    return Failure(type(error).__name__, text(str(error)), text(trace))


def encode(point: MeasuredPoint) -> bytes:
    """A point as bytes, with its length before it, so that many can stand one behind the other."""
    data = _ENCODER.encode(point)
    return len(data).to_bytes(8, "little") + data


def decode(data: memoryview | bytes) -> list[MeasuredPoint]:
    """All points that stand in ``data``. Raises ValueError if it does not end where a point ends, or is none."""
    view, found, at = memoryview(data), [], 0
    while at < len(view):
        size = int.from_bytes(view[at : at + 8], "little")
        end = at + 8 + size
        if end > len(view):
            raise ValueError(f"a point of {size} bytes begins at {at}, and there are {len(view)} bytes in all")
        try:
            found.append(_DECODER.decode(view[at + 8 : end]))
        except msgspec.MsgspecError as error:
            raise ValueError(f"what begins at {at} is no point: {error}") from None
        at = end
    return found


def _to_extension(value: Any) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a {type(value).__name__} cannot be kept")
    head = msgspec.msgpack.encode([value.dtype.str, list(value.shape)])
    return msgspec.msgpack.Ext(_ARRAY, len(head).to_bytes(2, "little") + head + value.tobytes())


def _from_extension(code: int, data: memoryview) -> Any:
    size = int.from_bytes(data[:2], "little")
    dtype, shape = msgspec.msgpack.decode(data[2 : 2 + size])
    return np.frombuffer(data[2 + size :], dtype).reshape(shape).copy()


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_extension)
_DECODER = msgspec.msgpack.Decoder(MeasuredPoint, ext_hook=_from_extension)
