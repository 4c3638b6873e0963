"""What a search for balance is, whatever its method: it asks for counts at pump ratios, is told, and answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.calibrate.posterior import Counts

Array = NDArray[np.float64]

SURE = 1.959963985
"""Standard deviations either way that hold 95 % of a normal distribution."""

REPEATED = 0.007
"""Standard deviation of p_1 between what is expected and what is counted within the next minute: no curve is quite the
one that is believed in, and no table stays the same. A sample that moves by 0.5 um an hour, over a map of g that
changes within 1.5 um, changes p_1 by 0.005 in a minute where dp_1/dr_gamma is 14."""


@dataclass(frozen=True, eq=False)
class Balance:
    """Where p_1 = 1/2, all (n,).

    x: ln r_gamma that is chosen. low, high: ends of the 95 % interval of the true one. p1, p1_sd: expected at x, and
    how uncertain, by counts, by how well a ratio is set, and by `REPEATED`. slope: dp_1/dx there. trials: spent. late:
    dyads that are not as certain as was wanted.
    """

    x: Array
    low: Array
    high: Array
    p1: Array
    p1_sd: Array
    slope: Array
    trials: Array
    late: NDArray[np.bool_]

    @property
    def p1_interval(self) -> tuple[Array, Array]:
        """Ends of the 95 % interval of p_1 at x."""
        return np.clip(self.p1 - SURE * self.p1_sd, 0, 1), np.clip(self.p1 + SURE * self.p1_sd, 0, 1)


class Search(ABC):
    """A method. It does not measure: ``while not done: x, frames = ask(); tell(x, ones, trials, misread)``.

    counts: what it was told, from which it can be made anew (`restore`).
    """

    counts: Counts

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether all dyads are as certain as is wanted, or all trials spent."""

    @abstractmethod
    def ask(self) -> tuple[Array, int]:
        """ln r_gamma (n,) at which to count next, and how many condensations of each dyad."""

    @abstractmethod
    def balance(self) -> Balance:
        """The answer so far."""

    def tell(self, x: Array, ones: Array, trials: Array, misread: Array) -> None:
        """Counts of a batch, all (n,): states "1" among the trials, probability that a state is misread."""
        self.counts = self.counts.with_batch(x, ones, trials, misread)
        self._told()

    def restore(self, counts: Counts) -> None:
        """Go on from counts that were told before."""
        self.counts = counts
        if counts.x.shape[1]:
            self._told()

    @abstractmethod
    def _told(self) -> None:
        """Draw conclusions from ``counts``."""
