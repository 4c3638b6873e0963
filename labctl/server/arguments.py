"""Arguments of remote calls held against the contract before a driver sees them."""

from __future__ import annotations

import contextlib
import inspect
import math
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from drivers.contract import Device, LimitError, Value
from drivers.errors import BusError


def check_arguments(device: Device, operation: str, positional: list[Any], named: dict[str, Any]) -> None:
    """Raise LimitError that names device, operation and argument unless the call fits the operation's signature."""
    signature, hints, names, least = _signature(type(device), operation)
    what = f"{device.name}.{operation}"
    if not named and least <= len(positional) <= len(names):  # the usual call, bound without the signature's help
        _check(what, signature, hints, zip(names, positional, strict=False))
        return
    try:
        bound = signature.bind(device, *positional, **named)
    except TypeError as error:
        raise LimitError(f"{what}{signature}: {error}") from None
    _check(what, signature, hints, bound.arguments.items())


def _check(
    what: str, signature: inspect.Signature, hints: dict[str, Any], arguments: Iterable[tuple[str, Any]]
) -> None:
    for name, value in arguments:
        wanted = hints.get(name)
        if wanted is not None and not _fits(value, wanted):
            array = typing.get_origin(wanted) is np.ndarray
            cure = "a NumPy array is needed, as numpy.asarray makes of lists" if array else f"{signature} is needed"
            raise LimitError(f"{what}: argument {name} = {value!r:.80} does not fit; {cure}")


@contextlib.contextmanager
def taken_apart(verb: str) -> Iterator[None]:
    """Whatever goes wrong within with the arguments of a verb of the server's own is told as a BusError."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise BusError(f"{verb}: malformed arguments ({type(error).__name__}: {error})") from error


_Signature = tuple[inspect.Signature, dict[str, Any], tuple[str, ...], int]
_SIGNATURES: dict[tuple[type, str], _Signature] = {}


def _signature(device_type: type, operation: str) -> _Signature:
    """Signature, types, names of the plain arguments without ``self``, and how many of those must be given."""
    key = (device_type, operation)
    if key not in _SIGNATURES:
        method = getattr(device_type, operation)
        signature = inspect.signature(method)
        parameters = list(signature.parameters.values())[1:]
        plain = [p for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        least = sum(p.default is inspect.Parameter.empty for p in plain)
        others = [p for p in parameters if p not in plain]
        if any(p.default is inspect.Parameter.empty or p.kind is inspect.Parameter.POSITIONAL_ONLY for p in others):
            plain, least = [], 1  # every call is bound by the signature
        _SIGNATURES[key] = signature, typing.get_type_hints(method), tuple(p.name for p in plain), least
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
