"""Lattices of dyads as curves: p_1 against ln r_gamma of every dyad, and holograms that set it a little wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from protocols.dyad.calibrate.balance import Balance, Search
from protocols.dyad.calibrate.posterior import WANDERS, WRITTEN

Array = NDArray[np.float64]

CURVES: dict[str, Callable[[Array], Array]] = {
    "probit": lambda z: np.asarray(ndtr(math.sqrt(2 * math.pi) * z)),
    "logistic": lambda z: np.asarray(1 / (1 + np.exp(-4 * z))),
    "skew": lambda z: np.asarray(ndtr(math.sqrt(2 * math.pi) * (z + 0.12 * z**2 * np.tanh(2 * z)))),
}
"""Of slope 1 at 0, where they are one half."""


class CurvedLattice:
    """n dyads, fair at ``centres`` with ``slopes`` there. wandering: of the errors' usual variance between holograms.

    Errors are a sum of waves over the space of all ratios whose variance between two holograms is proportional to how
    far apart they are.
    """

    def __init__(
        self, n: int, curve: str, rng: np.random.Generator, misread: float = 0.0, wandering: float = 1.0
    ) -> None:
        self.centres = rng.normal(0, 0.05, n)
        self.slopes = rng.uniform(8, 20, n)
        self._curve, self._rng, self._misread, self._wandering = CURVES[curve], rng, misread, wandering
        modes, reach = 300, 0.2
        scale = np.abs(rng.standard_cauchy((modes, 1))) / reach
        self._waves = rng.normal(0, 1, (modes, n)) / math.sqrt(n) * scale
        self._phases = rng.uniform(0, 2 * math.pi, (modes, n))
        self._size = math.sqrt(wandering * WANDERS * reach / modes)

    def p1(self, x: Array) -> Array:
        """(n,) of a hologram that is asked for ln r_gamma x (n,)."""
        off = self._size * np.cos((self._waves @ x)[:, None] + self._phases).sum(axis=0)
        off += math.sqrt(self._wandering) * WRITTEN * self._rng.normal(0, 1, len(x))
        return self._curve(self.slopes * (x + off - self.centres))

    def count(self, x: Array, trials: int) -> Array:
        """States "1" (n,), some of them misread."""
        p = self.p1(x)
        return self._rng.binomial(trials, self._misread + (1 - 2 * self._misread) * p).astype(float)

    def balanced_by(self, search: Search) -> Balance:
        """Ask and tell until the search is done."""
        n = len(self.centres)
        while not search.done:
            x, trials = search.ask()
            search.tell(x, self.count(x, trials), np.full(n, float(trials)), np.full(n, self._misread))
        return search.balance()
