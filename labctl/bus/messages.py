"""The wire format, without sockets: a typed msgpack header, then raw array frames.

Frame 0 is a `Request` or `Reply`; arrays inside its values are replaced by (frame number, dtype, shape) and follow as
raw bytes, so they are neither copied nor encoded. Nothing executable is ever decoded.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from drivers.contract import Value
from drivers.errors import ERROR_TYPES, BusError, DeviceError, LabError
from drivers.settings import VALUE_TYPES

VERSION = 1
_ARRAY = 1
_DTYPES = frozenset("biuf")
_DTYPE_TEXT = re.compile(r"[<>|](b1|[iu][1248]|f2|f4|f8|f16)")
LARGEST_ARRAY_BYTES = 1 << 31
LARGEST_HEADER_BYTES = 1 << 24


class Request(msgspec.Struct, array_like=True, frozen=True):
    """One thing asked of a server. ``expires_ns`` is on the host's monotonic clock; later it is not executed."""

    version: int
    number: int
    device: str
    verb: str
    name: str
    arguments: Any
    lease: str
    expires_ns: int


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """An error on its way back: its type's name, message and the server's traceback."""

    error_type: str
    message: str
    traceback: str


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The answer to request ``number``: a value, or a failure."""

    number: int
    value: Any = None
    failure: Failure | None = None


class _ArrayPlace(msgspec.Struct, array_like=True, frozen=True):
    frame: int
    dtype: str
    shape: list[int]


Buffer = bytes | memoryview


def encode(message: Request | Reply) -> list[Buffer]:
    """Frames of a message; array frames are views of the arrays, not copies."""
    arrays: list[Buffer] = []

    def hook(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.kind not in _DTYPES:
                raise BusError(f"an array of dtype {value.dtype} cannot cross the bus; use numbers or booleans")
            flat = np.ascontiguousarray(value)
            arrays.append(flat.data.cast("B") if flat.size else b"")
            place = _ArrayPlace(len(arrays), value.dtype.str, list(value.shape))
            return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(place))
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, np.integer):
            return int(value)
        if isinstance(value, np.floating):
            return float(value)
        raise BusError(
            f"a {type(value).__name__} cannot cross the bus; use numbers, text, lists, arrays or contract values"
        )

    try:
        header = msgspec.msgpack.Encoder(enc_hook=hook).encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BusError(f"cannot encode {message!r:.200}: {error}") from None
    return [header, *arrays]


def _decode(frames: list[Buffer], message_type: Any) -> Any:
    if not frames or len(frames[0]) > LARGEST_HEADER_BYTES:
        raise BusError(f"malformed message: {len(frames)} frames, header too large or missing")

    def hook(code: int, data: memoryview) -> Any:
        if code != _ARRAY:
            raise BusError(f"malformed message: unknown extension {code}")
        place = msgspec.msgpack.decode(data, type=_ArrayPlace)
        if not 1 <= place.frame < len(frames) or len(place.dtype) > 4:
            raise BusError("malformed message: an array without its frame")
        if not _DTYPE_TEXT.fullmatch(place.dtype):  # numpy would evaluate stranger texts
            raise BusError(f"malformed message: an array of dtype {place.dtype!r}")
        dtype = np.dtype(place.dtype)
        size = math.prod(place.shape) * dtype.itemsize
        buffer = frames[place.frame]
        if size > LARGEST_ARRAY_BYTES:
            raise BusError(f"malformed message: an array of {size} bytes, more than the bus takes")
        if dtype.kind not in _DTYPES or min(place.shape, default=0) < 0 or size != len(buffer):
            raise BusError("malformed message: an array does not match its frame")
        array = np.frombuffer(buffer, dtype).reshape(place.shape)
        array.flags.writeable = False  # within one process the sender may hold the same memory
        return array

    try:
        return msgspec.msgpack.Decoder(message_type, ext_hook=hook).decode(frames[0])
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BusError(f"malformed message: {error}") from None


def decode_request(frames: list[Buffer]) -> Request:
    """Raises BusError on anything that is not a request of this version."""
    request: Request = _decode(frames, Request)
    if request.version != VERSION:
        raise BusError(f"the client speaks version {request.version} of the wire format, this server {VERSION}")
    return request


def decode_reply(frames: list[Buffer]) -> Reply:
    """Raises BusError on anything that is not a reply."""
    reply: Reply = _decode(frames, Reply)
    return reply


def revive(value: Any) -> Any:
    """Contract values back from their tagged maps, at any depth of lists. Raises BusError on what is none."""
    try:
        return _revived(value)
    except RecursionError:
        raise BusError("malformed message: nested too deeply") from None


def _revived(value: Any) -> Any:
    if isinstance(value, dict):
        tag = value.get("type")
        if isinstance(tag, str) and tag in VALUE_TYPES:
            cls: type[Value] = VALUE_TYPES[tag]
            fields = {k: _revived(v) for k, v in value.items() if k != "type"}
            try:
                return _with_tuples(cls, cls(**fields))
            except TypeError as error:
                raise BusError(f"malformed {tag}: {error}") from None
        return {k: _revived(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_revived(v) for v in value]
    return value


def _with_tuples(cls: type[Value], value: Value) -> Value:
    """Lists become tuples where the contract says tuple; msgpack knows only lists."""
    changes = {name: tuple(item) for name in _tuple_fields(cls) if isinstance(item := getattr(value, name), list)}
    return msgspec.structs.replace(value, **changes) if changes else value


@lru_cache(maxsize=256)
def _tuple_fields(cls: type[Value]) -> tuple[str, ...]:
    return tuple(f.name for f in msgspec.structs.fields(cls) if "tuple" in str(f.type))


def failure_of(error: BaseException, traceback: str) -> Failure:
    """What crosses the bus in place of an exception."""
    # Python's text may hold what UTF-8 cannot, such as half of a file name that was never text.
    message, traceback = (t.encode(errors="backslashreplace").decode() for t in (str(error), traceback))
    if type(error).__name__ in ERROR_TYPES:
        return Failure(type(error).__name__, message, traceback)
    for cls in type(error).__mro__:
        if cls.__name__ in ERROR_TYPES:  # a subclass travels as the nearest type every client knows
            return Failure(cls.__name__, message, traceback)
    return Failure("DeviceError", f"{type(error).__name__}: {message}", traceback)


def error_of(failure: Failure) -> LabError:
    """The exception a failure stands for, with the remote traceback attached."""
    error = ERROR_TYPES.get(failure.error_type, DeviceError)(failure.message)
    error.remote_traceback = failure.traceback
    error.add_note("in the device server:\n" + failure.traceback.rstrip())
    return error
