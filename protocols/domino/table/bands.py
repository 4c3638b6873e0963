"""Which band of the coupling panel has what: one the total field, N the couplings, N the nodes themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BRIGHTEST_SUM = 9.0
"""Nodes whose light the band of the total field may add up at full brightness: with more of them it is dimmed, since it
must not saturate the camera."""


@dataclass(frozen=True, eq=False)
class Bands:
    """W (N, N), not negative, on the 2 N + 1 bands of a multiplier."""

    W: Array

    @property
    def nodes(self) -> int:
        """N."""
        return len(self.W)

    @property
    def count(self) -> int:
        """Of bands."""
        return 2 * self.nodes + 1

    @property
    def largest(self) -> float:
        """Of the couplings, which has amplitude 1."""
        return float(self.W.max())

    total = slice(0, 1)

    @property
    def coupled(self) -> slice:
        """Bands of the couplings."""
        return slice(1, 1 + self.nodes)

    @property
    def single(self) -> slice:
        """Bands of the nodes themselves."""
        return slice(1 + self.nodes, self.count)

    @property
    def sum_share(self) -> float:
        """Brightness of the band of the total field, by amplitude."""
        return min(1.0, BRIGHTEST_SUM / self.nodes)

    @property
    def target(self) -> Array:
        """(bands, nodes) that the coupling panel is to show, each band at a brightness of its own."""
        return np.vstack([np.ones((1, self.nodes)), self.W / self.largest, np.eye(self.nodes)])
