"""Values of the contract, back from what a message holds of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from drivers.contract import Value
from drivers.errors import BusError
from drivers.settings import VALUE_TYPES

_PLAIN = frozenset((type(None), bool, int, float, str, np.ndarray))


def revive(value: Any) -> Any:
    """Contract values back from their tagged maps, at any depth of lists. Raises BusError on what is none."""
    if type(value) in _PLAIN:
        return value  # most values, and nothing to look for
    try:
        return _revived(value)
    except RecursionError:
        raise BusError("malformed message: nested too deeply") from None


def _revived(value: Any) -> Any:
    if isinstance(value, dict):
        tag = value.get("type")
        if isinstance(tag, str) and tag in VALUE_TYPES:
            cls: type[Value] = VALUE_TYPES[tag]
            fields = {k: v if type(v) in _PLAIN else _revived(v) for k, v in value.items() if k != "type"}
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
