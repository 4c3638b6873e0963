"""Fair dyads kept fair: every ratio follows what a drifting sample does to it, by a filter of its own (Kalman)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.calibrate.posterior import WANDERS, WRITTEN

Array = NDArray[np.float64]


class Tracker:
    """x: (n,) ln r_gamma on the SLM. balance, variance: (n,) where it is fair, as far as is known. slope: (n,) dp_1/dx.

    The balance walks at random, by ``drift`` (variance of ln r_gamma per second) that is learned from how much windows
    surprise.
    """

    def __init__(self, x: Array, variance: Array, slope: Array, drift: float = 1e-9) -> None:
        self.x = x.copy()
        self.balance = x.copy()
        self.variance = variance.copy()
        self.slope = slope
        self.drift = drift

    def tell(self, ones: Array, trials: int, passed_s: float, misread: Array | float = 0.0) -> Array:
        """Counts (n,) of a window at x, so long after the one before; returns the ratios ln r_gamma to be set now.

        Those that are fair within their uncertainty stay as they are. misread: (n,) probability that a state is.
        """
        share = (ones + 0.5) / (trials + 1)
        told = self.slope * (1 - 2 * np.clip(misread, 0, 0.4))  # of the share that is counted
        seen = self.x - (share - 0.5) / told  # far from 1/2 it says less than the whole way
        noise = np.maximum(share * (1 - share), 0.02) / (trials * told**2)
        prior = self.variance + self.drift * passed_s
        surprise = (seen - self.balance) ** 2
        gain = prior / (prior + noise)
        self.balance = self.balance + gain * (seen - self.balance)
        self.variance = (1 - gain) * prior
        # What windows differ by beyond counting, on average over the lattice, is drift.
        drift = float((surprise - noise - self.variance).mean()) / max(passed_s, 1e-9)
        self.drift = float(np.clip(0.8 * self.drift + 0.2 * drift, 1e-11, 1e-6))
        off = np.abs(self.balance - self.x)
        moved = np.where(off > np.sqrt(self.variance), self.balance, self.x)
        change = float(np.sqrt(((moved - self.x) ** 2).mean()))
        if change > 0:
            self.variance = self.variance + WRITTEN**2 + WANDERS * change
        self.x = moved
        return moved


def longest_excursion(p1: Array, window_s: float, allowed: float, noise: float) -> float:
    """Longest time (s) that any dyad's p_1 (windows, n) was off 1/2 by more than is allowed and three standard
    deviations of a window's noise."""
    beyond = np.abs(p1 - 0.5) > allowed + 3 * noise
    longest = 0
    run = np.zeros(p1.shape[1], int)
    for row in beyond:
        run = np.where(row, run + 1, 0)
        longest = max(longest, int(run.max(initial=0)))
    return longest * window_s
