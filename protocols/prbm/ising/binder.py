"""Where the Binder cumulants of lattices of different sizes cross: the critical temperature (Binder 1981)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_HALF_WINDOW = 0.36
_DEGREE = 3
_DRAWS = 400


@dataclass(frozen=True)
class Crossing:
    """T_c with its standard error. pairs: the crossing of each pair of sizes, (sides, T, error)."""

    T_c: float
    T_c_err: float
    pairs: list[tuple[tuple[int, int], float, float]]


def binder_crossing(
    temperatures: FloatArray, cumulants: Mapping[int, tuple[FloatArray, FloatArray]], seed: int = 0
) -> Crossing | None:
    """Crossings of U4 (and its errors, by size) against T; T_c is the one of the smallest with the largest size.

    Each size's U4 is fitted by a cubic around the crossing; errors are those of the same done to draws from the error
    bars. None where sizes, temperatures (fewer than five in the window of +-0.36) or crossings are missing.
    """
    sides = sorted(cumulants)
    rng = np.random.default_rng(seed)
    pairs = []
    for pair in itertools.combinations(sides, 2):
        found = _cross(temperatures, cumulants[pair[0]], cumulants[pair[1]], rng)
        if found is not None:
            pairs.append((pair, *found))
    ends = [p for p in pairs if p[0] == (sides[0], sides[-1])]
    return Crossing(ends[0][1], ends[0][2], pairs) if ends else None


def _cross(
    T: FloatArray, small: tuple[FloatArray, FloatArray], large: tuple[FloatArray, FloatArray], rng: np.random.Generator
) -> tuple[float, float] | None:
    middle = _roughly(T, small[0], large[0])
    if middle is None:
        return None
    near = np.abs(T - middle) <= _HALF_WINDOW
    if near.sum() < _DEGREE + 2:
        return None
    x = T[near] - middle
    weights = [1 / _smoothed(x, err[near]) for _, err in (small, large)]

    def crossing(a: FloatArray, b: FloatArray) -> float:
        difference = np.polynomial.Polynomial(
            np.polynomial.polynomial.polyfit(x, b, _DEGREE, w=weights[1])
            - np.polynomial.polynomial.polyfit(x, a, _DEGREE, w=weights[0])
        )
        roots = difference.roots()
        real = roots[np.abs(roots.imag) < 1e-9].real
        # The larger lattice has the larger cumulant below: the difference falls through zero.
        falls = real[(real >= x.min()) & (real <= x.max()) & (difference.deriv()(real) < 0)]
        return float(falls[np.abs(falls).argmin()]) if len(falls) else math.nan

    u, v = small[0][near], large[0][near]
    where = crossing(u, v)
    errors = rng.normal(size=(2, _DRAWS, len(x)))
    drawn = np.array([crossing(u + a / weights[0], v + b / weights[1]) for a, b in zip(*errors, strict=True)])
    drawn = drawn[np.isfinite(drawn)]
    if not math.isfinite(where) or len(drawn) < 0.9 * _DRAWS:
        return None
    return middle + where, float(drawn.std(ddof=1))


def _smoothed(x: FloatArray, errors: FloatArray) -> FloatArray:
    """Errors by a parabola through their logarithms.

    A cumulant that happens to be large happens to have a small error, too: weighted with its own, it would draw the
    fit upwards, the more so the fewer samples there are.
    """
    shape = np.polynomial.Polynomial.fit(x, np.log(np.maximum(errors, 1e-6)), 2)
    return np.asarray(np.exp(shape(x)))


def _roughly(T: FloatArray, small: FloatArray, large: FloatArray) -> float | None:
    """Where a line through the differences, weighted to where both cumulants are between their limits, vanishes."""
    order = np.argsort(T)
    difference = (large - small)[order]
    # A sign change with most evidence on both sides: positive below it, negative above.
    score = [difference[:k].sum() - difference[k:].sum() for k in range(1, len(T))]
    if len(score) < 1 or max(score) <= 0:
        return None
    k = int(np.argmax(score)) + 1
    return float(T[order][k - 1 : k + 1].mean())
