"""Couplings on the levels of a converter: rounded part by part, and the others fitted to what rounding did.

Rounded all at once, couplings of few bits have errors that add up. The reversed action is quadratic, so that those that
are not yet rounded can make up for those that are (as Zhou et al., "Incremental network quantization", 2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.langevin.training.fit import Fit, Single

_ROUNDS = 6
"""In each, half of the couplings that are left are rounded; the last rounds all."""
_ITERATIONS = 8
"""Of the fit before each."""
_RANGES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08)
"""Tried, relative to the largest coupling: few couplings are near it, and a smaller range has finer levels."""


def on_levels(fit: Fit, mask: NDArray[np.bool_], bits: int, settled: float, seed: int) -> Fit:
    """A fit whose couplings are levels of a converter of so many bits over both signs, 0 among them, 2 or more.

    The range is that for which couplings rounded at once have the least action; one coupling at least is at its end, so
    that the largest coupling says which it is. Which couplings are rounded first is drawn by lot. settled: gradient, of
    what it was without couplings, at which fitting ends.
    """
    rng = np.random.default_rng([seed, 0xB175])
    levels = 2 ** (bits - 1) - 1
    largest = float(np.abs(fit.J).max())
    ranges = [share * largest for share in _RANGES]
    end = min(ranges, key=lambda end: fit.action_of(_rounded(fit.J, end, levels)))
    left, found = mask.copy(), fit.copy()
    for number in range(_ROUNDS):
        beyond = left & (np.abs(found.J) >= end * (1 - 1e-6))
        drawn = np.triu(rng.random(mask.shape) < 0.5, 1)
        now = left if number == _ROUNDS - 1 else beyond if number == 0 else left & (beyond | drawn | drawn.T)
        found.fix(now, _rounded(found.J, end, levels))
        left = left & ~now
        for _ in range(_ITERATIONS):
            if not left.any() or found.gap < settled:
                break
            found.step()
    return found


def _rounded(J: Single, end: float, levels: int) -> Single:
    step = end / levels
    return np.asarray(np.clip(np.rint(J / step), -levels, levels) * step, np.float32)
