"""The plain way: the same pump ratios for all dyads, a cubic spline through p_1, and where it crosses one half.

Johnston and Berloff, PRL 132, 096901 (2024), inset of Fig. 1d. Its uncertainty is that of splines through counts drawn
anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from labctl.client import ConfigurationError
from protocols.dyad.calibrate.balance import REPEATED, SURE, Balance, Search
from protocols.dyad.calibrate.posterior import Counts, wandered

Array = NDArray[np.float64]

_REDRAWN = 60
_FINE = 40
"""Places between two points of the sweep at which a spline is looked at."""


@dataclass(frozen=True)
class SweepOptions:
    """points: ratios from -reach to reach in ln r_gamma. precision: standard deviation of p_1 that is wanted, of all
    dyads but a share ``patience``. first: condensations at each point in the first sweep. most: of each dyad."""

    points: int = 16
    reach: float = 0.15
    precision: float = 0.006
    most: int = 200_000
    first: int = 200
    patience: float = 0.0


class SweepSearch(Search):
    """Of n dyads, sweep after sweep until the crossings are certain."""

    def __init__(self, n: int, options: SweepOptions, rng: np.random.Generator) -> None:
        if options.points < 4:
            raise ConfigurationError(f"points = {options.points}: a cubic spline needs 4 ratios at least")
        self.options = options
        self._rng = rng
        self.counts = Counts.none(n)
        self._n = n
        self._ratios = np.linspace(-options.reach, options.reach, options.points)
        self._next = options.first
        self._root = np.zeros(n)
        self._root_sd = np.full(n, np.inf)
        self._slope = np.full(n, np.nan)

    @property
    def done(self) -> bool:
        """At the end of a sweep: whether enough crossings are certain, or the trials are spent."""
        batches = self.counts.x.shape[1]
        if batches == 0 or batches % self.options.points:
            return False
        spent = float(self.counts.spent.max())
        return spent >= self.options.most or float((self._p1_sd > self.options.precision).mean()) <= (
            self.options.patience
        )

    def ask(self) -> tuple[Array, int]:
        """The next point of the sweep."""
        at = self.counts.x.shape[1] % self.options.points
        return np.full(self._n, self._ratios[at]), self._next

    def balance(self) -> Balance:
        """Where the splines cross."""
        half = SURE * self._root_sd
        return Balance(
            x=self._root,
            low=self._root - half,
            high=self._root + half,
            p1=np.full(self._n, 0.5),
            p1_sd=np.sqrt(self._p1_sd**2 + (self._slope * self._set_sd) ** 2 + REPEATED**2),
            slope=self._slope,
            trials=self.counts.spent,
            late=np.asarray(~(self._p1_sd <= self.options.precision)),
        )

    @property
    def _set_sd(self) -> float:
        """Of the chosen ratios, in a hologram unlike any of the sweep."""
        chosen = np.where(np.isfinite(self._root), self._root, 0.0)
        return float(wandered(self.counts.x, chosen).min(initial=np.inf))

    @property
    def _p1_sd(self) -> Array:
        return np.asarray(np.nan_to_num(self._slope * self._root_sd, nan=np.inf, posinf=np.inf))

    def _told(self) -> None:
        o = self.options
        if self.counts.x.shape[1] % o.points:
            return
        # Sweeps one after the other are one sweep with more trials.
        ones, trials = (v.reshape(self._n, -1, o.points).sum(axis=1) for v in (self.counts.ones, self.counts.trials))
        misread = np.clip(self.counts.misread, 0, 0.45)[:, None]
        p = (ones / trials - misread) / (1 - 2 * misread)
        self._root, self._slope = crossing(self._ratios, p)
        raw = np.clip((ones + 0.5) / (trials + 1), 0, 1)
        redrawn = self._rng.binomial(trials.astype(np.int64), raw, (_REDRAWN, *ones.shape)) / trials
        redrawn = (redrawn - misread) / (1 - 2 * misread)
        roots, _ = crossing(self._ratios, redrawn.reshape(-1, o.points))
        roots = roots.reshape(_REDRAWN, self._n)
        there = np.isfinite(roots)
        self._root_sd = np.where(there.mean(axis=0) > 0.9, np.nanstd(np.where(there, roots, 0.0), axis=0), np.inf)
        worst = float(np.quantile(self._p1_sd, 1 - o.patience, method="higher"))
        spent = float(trials.sum(axis=1).max())
        lacking = (worst / o.precision) ** 2 - 1 if math.isfinite(worst) and worst > o.precision else 1.0
        more = min(lacking, 2.0) * spent
        self._next = max(math.ceil(min(more, o.most - spent) / o.points), 1)


def crossing(x: Array, p: Array) -> tuple[Array, Array]:
    """Where cubic splines through p (n, points) at x (points,) cross one half upwards, and their slopes there; nan
    where they do not. Of several crossings the middle one."""
    spline = CubicSpline(x, p.T)
    fine = np.linspace(x[0], x[-1], _FINE * (len(x) - 1) + 1)
    above = spline(fine).T > 0.5
    up = ~above[:, :-1] & above[:, 1:]
    order = np.cumsum(up, axis=1)
    wanted = (order[:, -1:] + 1) // 2
    at = np.argmax(up & (order == wanted), axis=1)
    left, right = fine[at], fine[at + 1]
    dyad = np.arange(len(p))
    for _ in range(30):
        middle = 0.5 * (left + right)
        high = _along(spline, middle)[dyad] > 0.5
        left, right = np.where(high, left, middle), np.where(high, middle, right)
    root = 0.5 * (left + right)
    slope = _along(spline.derivative(), root)
    crosses = up.any(axis=1)
    return np.where(crosses, root, np.nan), np.where(crosses, slope, np.nan)


def _along(spline: CubicSpline, at: Array) -> Array:
    """Spline d at at[d]: (n,)."""
    place = np.clip(np.searchsorted(spline.x, at, side="right") - 1, 0, len(spline.x) - 2)
    away = at - spline.x[place]
    out = np.zeros_like(at)
    for power in spline.c:
        out = out * away + power[place, np.arange(len(at))]
    return out
