"""What a sweep varies, as it is written on the command line: ``g=0.05:1:125`` or ``J=0.1,0.2,0.5``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError, LimitError
from labctl.bench.overrides import parse_assignments

MOST_POINTS = 1_000_000
"""Of one sweep: all of them are checked before the first is measured, and kept in one file."""

HOW = "write a list KEY=0.1,0.2,0.5 or a range KEY=FROM:TO:COUNT, evenly spaced, or KEY=FROM:TO:COUNT:log"

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_UNIT = r"[^\s0-9.:,+-][^\s:,]*"
_RANGE = re.compile(rf"({_NUMBER})(?: ?({_UNIT}))?:({_NUMBER})(?: ?({_UNIT}))?:([0-9]{{1,9}})(:log)?")
_QUANTITY = re.compile(rf"({_NUMBER}) ?({_UNIT})")
_LOOKS_LIKE_A_RANGE = re.compile(rf"{_NUMBER}[^:]*:")


@dataclass(frozen=True)
class Axis:
    """One parameter, or what of the bench, that a sweep varies.

    values: as the experiment is given them, and as ``--set`` would: numbers, words, or quantities such as ``5.0 ms``.
    unit: of all of them, where it is written.
    """

    key: str
    values: tuple[object, ...]
    unit: str = ""

    def coordinates(self) -> NDArray[Any]:
        """(values,) numbers in `unit`, or text where one of them is no number."""
        if self.unit:
            return np.array([float(str(value).rpartition(" ")[0]) for value in self.values])
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values):
            return np.array(self.values)
        return np.array(["none" if value is None else str(value) for value in self.values], object)


def parse_axes(texts: Iterable[str]) -> tuple[tuple[Axis, ...], dict[str, object]]:
    """Axes of ``KEY=VALUES`` texts in their order, and the assignments among them that have one value only.

    Raises ConfigurationError for what is neither, LimitError for an axis that is too long.
    """
    axes: dict[str, Axis] = {}
    single: dict[str, object] = {}
    for text in texts:
        ((key, value),) = parse_assignments([text]).items()
        written = text.partition("=")[2].strip()
        axis = _range(key, written) or _list(key, value, written)
        if key in axes or key in single:
            raise ConfigurationError(f"{key} is given twice; give all its values at once: {HOW}")
        if axis is None:
            single[key] = value
        else:
            axes[key] = axis
    return tuple(axes.values()), single


def _range(key: str, written: str) -> Axis | None:
    found = _RANGE.fullmatch(written)
    if found is None:
        if _LOOKS_LIKE_A_RANGE.match(written):
            raise ConfigurationError(f"{key}={written} is no range; {HOW}")
        return None
    first, unit, last, last_unit, count_text, log = found.groups()
    begin, end, count, unit = float(first), float(last), int(count_text), unit or last_unit or ""
    if last_unit is not None and unit != last_unit:
        raise ConfigurationError(f"{key}={written} goes from {unit} to {last_unit}; give both in one unit")
    if count > MOST_POINTS:
        raise LimitError(f"{key}={written} has {count} values, a sweep has {MOST_POINTS} points at most; take fewer")
    if begin == end or count < 2:
        raise ConfigurationError(f"{key}={written} is no range: it needs two ends and 2 values at least")
    if not (math.isfinite(begin) and math.isfinite(end)):
        raise ConfigurationError(f"{key}={written} ends beyond the greatest number there is")
    if log and not (begin > 0 and end > 0):
        raise ConfigurationError(f"{key}={written} cannot be logarithmic: both ends must be above 0")
    numbers = (np.geomspace if log else np.linspace)(begin, end, count)
    values: list[object] = numbers.tolist()
    if re.fullmatch("[+-]?[0-9]+", first) and re.fullmatch("[+-]?[0-9]+", last) and not np.any(numbers % 1):
        values = [int(number) for number in numbers]
    return _axis(key, [f"{value!r} {unit}" for value in values] if unit else values, written, unit)


def _list(key: str, value: object, written: str) -> Axis | None:
    if not isinstance(value, list) or written.startswith("["):
        return None  # in brackets it is one value that is a list
    found = [_QUANTITY.fullmatch(item) if isinstance(item, str) else None for item in value]
    quantities = [quantity for quantity in found if quantity is not None]
    units = {quantity[2] for quantity in quantities}
    if len(quantities) == len(value) and len(units) == 1:
        unit = units.pop()
        return _axis(key, [f"{quantity[1]} {unit}" for quantity in quantities], written, unit)
    return _axis(key, value, written, "")


def _axis(key: str, values: list[Any], written: str, unit: str) -> Axis:
    if len({_same(value) for value in values}) < len(values):
        raise ConfigurationError(f"{key}={written} has a value twice; to measure points again, use --repeat")
    return Axis(key, tuple(values), unit)


def _same(value: object) -> object:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)
