"""Frozen state: plain values and arrays as bytes, from which something that is simulated goes on later.

What may be kept is plain: None, numbers, text, arrays of numbers, and lists, tuples and dicts of these, so that reading
bytes of whatever origin runs no code; tuples come back as lists. Who reads checks what it takes over (`fill`): bytes
may be anybody's, and compiled code does not look where it writes.
"""

from __future__ import annotations

import contextlib
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError

_MAGIC = b"labctl frozen 1\n"
_DTYPE = re.compile(r"[<>|](b1|[iu][1248]|f[248]|c8|c16)")
_LARGEST_BYTES = 1 << 34
_SAMPLE_BYTES = 1 << 15
_PAYS = 0.5
"""Compressed size of samples, relative, below which an array is compressed."""

FrozenBytes = NDArray[np.uint8]


class _Head(msgspec.Struct, array_like=True):
    """The values, with arrays as {"array": number}, and of each array: dtype, shape, bytes kept, whether compressed."""

    value: Any
    arrays: list[tuple[str, list[int], int, bool]]


def freeze(value: Any) -> FrozenBytes:
    """A plain value as bytes. Raises TypeError for what is not plain."""
    arrays: list[tuple[str, list[int], int, bool]] = []
    parts: list[bytes | memoryview] = []
    head = msgspec.msgpack.encode(_Head(_plain(value, arrays, parts), arrays))
    size = len(head).to_bytes(8, "little")
    return np.frombuffer(b"".join([_MAGIC, size, head, *parts]), np.uint8)


def _plain(value: Any, arrays: list[tuple[str, list[int], int, bool]], parts: list[bytes | memoryview]) -> Any:
    if isinstance(value, np.ndarray):
        kept, compressed = _shrunk(np.ascontiguousarray(value))
        arrays.append((value.dtype.str, list(value.shape), len(kept), compressed))
        parts.append(kept)
        return {"array": len(arrays) - 1}
    if isinstance(value, Mapping):
        return {"items": [[_plain(k, arrays, parts), _plain(v, arrays, parts)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(item, arrays, parts) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item(), arrays, parts)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be frozen")


def _shrunk(array: NDArray[Any]) -> tuple[bytes | memoryview, bool]:
    if not _DTYPE.fullmatch(array.dtype.str):
        raise TypeError(f"an array of {array.dtype} cannot be frozen")
    data = array.reshape(-1).view(np.uint8).data
    starts = (0, max(len(data) - _SAMPLE_BYTES, 0) // 2, max(len(data) - _SAMPLE_BYTES, 0))
    sample = b"".join(data[start : start + _SAMPLE_BYTES] for start in starts)
    if len(zlib.compress(sample, 1)) > _PAYS * len(sample):
        return data, False
    return zlib.compress(data, 1), True


def thaw(data: FrozenBytes) -> Any:
    """The value of `freeze`. Raises ConfigurationError for bytes that are no whole one."""
    with spoilt_told():
        return _thawed(np.ascontiguousarray(data, np.uint8).data)


@contextlib.contextmanager
def spoilt_told() -> Iterator[None]:
    """Whatever goes wrong within with values that are not what they should be is told as a ConfigurationError."""
    try:
        yield
    except (
        msgspec.MsgspecError, zlib.error, AttributeError, LookupError, TypeError, ValueError, OverflowError,
        RecursionError, MemoryError,
    ) as error:  # fmt: skip
        raise ConfigurationError(
            f"frozen state is spoilt ({type(error).__name__}: {error}); begin the run anew with --anew"
        ) from None


def _thawed(raw: memoryview) -> Any:
    start = len(_MAGIC) + 8
    if bytes(raw[: len(_MAGIC)]) != _MAGIC:
        raise ValueError("it is of another version, or no frozen state")
    at = start + int.from_bytes(raw[len(_MAGIC) : start], "little")
    head = msgspec.msgpack.decode(raw[start:at], type=_Head)
    arrays = []
    for dtype, shape, kept, compressed in head.arrays:
        arrays.append(_array(raw[at : at + kept], dtype, shape, kept, compressed))
        at += kept
    if at != len(raw):
        raise ValueError(f"{len(raw)} bytes, {at} expected")
    return _filled(head.value, arrays)


def _array(data: memoryview, dtype: str, shape: list[int], kept: int, compressed: bool) -> NDArray[Any]:
    if not _DTYPE.fullmatch(dtype) or any(n < 0 for n in shape) or kept < 0:
        raise ValueError(f"an array of {dtype!r:.20}, {shape}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > _LARGEST_BYTES:
        raise ValueError(f"an array of {size} bytes")
    whole: bytes | memoryview = zlib.decompressobj().decompress(data, size + 1) if compressed else data
    if len(whole) != size:
        raise ValueError(f"an array of {len(whole)} bytes, {size} expected")
    return np.frombuffer(whole, np.dtype(dtype)).reshape(shape)


def _filled(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_filled(item, arrays) for item in value]
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        return {_filled(k, arrays): _filled(v, arrays) for k, v in value["items"]}
    return value


def fill(into: NDArray[Any], kept: Any) -> None:
    """Write a thawed array over one that is there. ConfigurationError unless it is of the same kind and shape."""
    if not isinstance(kept, np.ndarray) or kept.shape != into.shape or kept.dtype != into.dtype:
        found = f"{kept.dtype} {kept.shape}" if isinstance(kept, np.ndarray) else type(kept).__name__
        raise unlike(f"{found} in place of {into.dtype} {into.shape}")
    into[...] = kept


def owned(kept: Any, dtype: Any, dimensions: int) -> NDArray[Any]:
    """A thawed array that may be written to. Raises ConfigurationError unless it is of this dtype and dimension."""
    if not isinstance(kept, np.ndarray) or kept.dtype != np.dtype(dtype) or kept.ndim != dimensions:
        found = f"{kept.dtype} {kept.shape}" if isinstance(kept, np.ndarray) else type(kept).__name__
        raise unlike(f"{found} in place of {np.dtype(dtype)} in {dimensions} dimensions")
    return kept.copy()


def within(kept: NDArray[Any], low: int, high: int) -> NDArray[Any]:
    """The array, whose numbers must be ``low`` to ``high`` - 1; else ConfigurationError."""
    if kept.size and not (kept.min() >= low and kept.max() < high):
        raise unlike(f"{kept.min()} to {kept.max()}, where {low} to {high - 1} are possible")
    return kept


def unlike(what: str) -> ConfigurationError:
    """The error for state that does not fit what takes it over."""
    return ConfigurationError(f"frozen state does not fit this bench: {what}; begin the run anew with --anew")
