"""What changed from one calibration to another, measured by their uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.store.calibration import Calibration, Measured

NOTEWORTHY = 3.0
"""A difference of so many standard uncertainties is no chance."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a value differs. before, after: the numbers, of an array its means. largest: difference, in ``unit``.

    sigmas: largest difference in combined standard uncertainties; inf where none is known and the value changed.
    rms_sigmas, beyond: of arrays, rms and the share of elements that differ by more than `NOTEWORTHY`. remark: why
    there is no number, "" if there is one.
    """

    name: str
    unit: str
    before: float = math.nan
    after: float = math.nan
    largest: float = math.nan
    sigmas: float = math.nan
    rms_sigmas: float = math.nan
    beyond: float = math.nan
    remark: str = ""

    @property
    def noteworthy(self) -> bool:
        """Whether it is more than chance."""
        return bool(self.remark) or self.sigmas > NOTEWORTHY


def compare(before: Calibration, after: Calibration) -> tuple[Difference, ...]:
    """Differences of all values and conditions, the largest first."""
    pairs = {
        **{f"condition {name}": (before.conditions.get(name), after.conditions.get(name))
           for name in {**before.conditions, **after.conditions}},
        **{name: (before.values.get(name), after.values.get(name)) for name in {**before.values, **after.values}},
    }  # fmt: skip
    found = [_difference(name, *pair) for name, pair in pairs.items()]
    return tuple(sorted(found, key=lambda d: (not d.remark, -d.sigmas if math.isfinite(d.sigmas) else -math.inf)))


def _difference(name: str, a: Measured | None, b: Measured | None) -> Difference:
    if a is None or b is None:
        there = a or b
        assert there is not None
        return Difference(name=name, unit=there.unit, remark="only before" if b is None else "only after")
    if a.unit != b.unit:
        return Difference(name=name, unit=b.unit, remark=f"unit was {a.unit}, is {b.unit}")
    if a.value.shape != b.value.shape:
        return Difference(name=name, unit=b.unit, remark=f"shape was {a.value.shape}, is {b.value.shape}")
    if a.value.size == 0:
        return Difference(name=name, unit=b.unit, sigmas=0.0)
    error = np.sqrt(_error(a) ** 2 + _error(b) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.abs(_numbers(b) - _numbers(a))
        sigmas = np.where(difference == 0, 0.0, difference / error)
    sigmas = np.where(np.isnan(sigmas), math.inf, sigmas)  # unknown where one is nan: told as different
    place = np.unravel_index(int(np.argmax(sigmas)), sigmas.shape)
    array = a.value.size > 1
    return Difference(
        name=name,
        unit=b.unit,
        before=_mean(a),
        after=_mean(b),
        largest=float(difference[place]),
        sigmas=float(sigmas[place]),
        rms_sigmas=float(np.sqrt(np.mean(sigmas**2))) if array else math.nan,
        beyond=float(np.mean(sigmas > NOTEWORTHY)) if array else math.nan,
    )


def _numbers(m: Measured) -> NDArray[Any]:
    values = np.atleast_1d(m.value).astype(np.complex128 if m.value.dtype.kind == "c" else np.float64)
    # Two maps that are both undefined at a place do not differ there.
    values[np.isnan(values)] = 0.0
    return values


def _error(m: Measured) -> NDArray[np.float64]:
    error = np.zeros(()) if m.uncertainty is None else np.where(np.isnan(m.uncertainty), 0.0, m.uncertainty)
    return np.atleast_1d(np.broadcast_to(error, m.value.shape))


def _mean(m: Measured) -> float:
    values = np.abs(m.value) if m.value.dtype.kind == "c" else m.value.astype(np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan
