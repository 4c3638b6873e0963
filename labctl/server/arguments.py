"""Arguments of remote calls held against the contract before a driver sees them."""

from __future__ import annotations

import inspect
import math
import typing
from typing import Any

import numpy as np

from drivers.contract import Device, LimitError, Value


def check_arguments(device: Device, operation: str, positional: list[Any], named: dict[str, Any]) -> None:
    """Raise LimitError that names device, operation and argument unless the call fits the operation's signature."""
    what = f"{device.name}.{operation}"
    signature, hints = _signature(type(device), operation)
    try:
        bound = signature.bind(device, *positional, **named)
    except TypeError as error:
        raise LimitError(f"{what}{signature}: {error}") from None
    for name, value in bound.arguments.items():
        wanted = hints.get(name)
        if wanted is not None and not _fits(value, wanted):
            raise LimitError(f"{what}: argument {name} = {value!r:.80} does not fit; {signature} is needed")


_SIGNATURES: dict[tuple[type, str], tuple[inspect.Signature, dict[str, Any]]] = {}


def _signature(device_type: type, operation: str) -> tuple[inspect.Signature, dict[str, Any]]:
    key = (device_type, operation)
    if key not in _SIGNATURES:
        method = getattr(device_type, operation)
        _SIGNATURES[key] = inspect.signature(method), typing.get_type_hints(method)
    return _SIGNATURES[key]


def _fits(value: Any, wanted: Any) -> bool:
    origin = typing.get_origin(wanted)
    if origin is np.ndarray:
        return isinstance(value, np.ndarray)
    if origin is list:
        (item,) = typing.get_args(wanted)
        return isinstance(value, list) and all(_fits(v, item) for v in value)
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted in (bool, str) or (isinstance(wanted, type) and issubclass(wanted, Value)):
        return isinstance(value, wanted)
    return True
