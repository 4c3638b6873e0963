"""Values of the contract as JSON, and back. Large arrays go beside it, as LECO's additional payload.

A structured value is an object of its fields with its ``type``: ``{"type": "ROI", "row": 0, ...}``. An array of up to
`MOST_IN_JSON` numbers is a list; a larger one is ``{"array": K, "shape": [...], "dtype": "<u2"}``, its bytes, row by
row, are frame K of the payload. Both are understood in arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from drivers.contract import LimitError, Value
from drivers.settings import VALUE_TYPES

MOST_IN_JSON = 1024


def to_json(value: Any, payload: list[bytes]) -> Any:
    """What JSON can hold of a value; bytes of large arrays are added to ``payload``."""
    if isinstance(value, np.ndarray):
        if value.size <= MOST_IN_JSON:
            return value.tolist()
        plain = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        payload.append(plain.tobytes())
        return {"array": len(payload) - 1, "shape": list(value.shape), "dtype": plain.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Value):
        fields = {name: to_json(getattr(value, name), payload) for name in value.__struct_fields__}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): to_json(item, payload) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, payload) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def from_json(value: Any, payload: Sequence[bytes] = (), wanted: str = "") -> Any:
    """The value that JSON tells of. wanted: name of the type where the JSON need not say it, "array" for an array.

    Raises LimitError if it is malformed.
    """
    if isinstance(value, dict):
        if "array" in value:
            return _array(value, payload)
        name = value.get("type", wanted)
        if name in VALUE_TYPES:
            fields = {key: from_json(item, payload) for key, item in value.items() if key != "type"}
            try:
                return msgspec.convert(fields, VALUE_TYPES[name], dec_hook=_as_it_is)
            except (msgspec.MsgspecError, TypeError, ValueError) as error:
                raise LimitError(f"{value!r:.100} is no {name}: {error}; give all of its fields") from None
        return {key: from_json(item, payload) for key, item in value.items()}
    if isinstance(value, list):
        if wanted == "array":
            try:
                return np.array(value, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise LimitError(f"{value!r:.100} is no array of numbers: {error}; give rows of one length") from None
        return [from_json(item, payload) for item in value]
    return value


def _array(told: Mapping[str, Any], payload: Sequence[bytes]) -> np.ndarray[Any, Any]:
    try:
        dtype, shape = np.dtype(str(told["dtype"])), tuple(int(n) for n in told["shape"])
        data = payload[int(told["array"])]
        if dtype.kind not in "biuf" or any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"{len(data)} bytes are not {shape} of {dtype}")
        return np.frombuffer(data, dtype).reshape(shape)
    except (LookupError, TypeError, ValueError) as error:
        raise LimitError(
            f'{told!r:.100} is no array: {error}; give "array", "shape", "dtype" and a frame with its bytes'
        ) from None


def _as_it_is(wanted: type, value: Any) -> Any:
    if isinstance(value, list):
        return np.array(value)
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"{type(value).__name__} is no array")
