"""Starts that are confined: a few nodes are drawn that are linked with one another, and only sites that are linked with
all of these are pumped.

A dominant subnetwork that holds the drawn nodes stands out more among their common neighbours than in the whole
network, where it may have few other links. On a table the other sites are dark; here they are left out of W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.domino.ideal import Batch, IdealLoop

Array = NDArray[np.float64]

TOGETHER = 4
"""Starts that are confined to the same sites: networks are small, and fewer would cost more each."""


@dataclass(frozen=True)
class ConfinedLoop:
    """DOMINO on common neighbours of so many ``pins`` in W (N, N). loop: makes the loop of a network, which is cut out
    of W as it is. together: starts in the same place."""

    W: Array
    pins: int
    loop: Callable[[Array], IdealLoop]
    together: int = TOGETHER

    @property
    def tau(self) -> float:
        """Time between locks if all sites were pumped; few sites are given more, unless they are told."""
        return self.loop(self.W).tau

    def warm_up(self) -> None:
        """Compile."""
        self.loop(self.W).warm_up()

    def run(self, count: int, rng: np.random.Generator) -> Batch:
        """So many fresh starts, some at each place. x is 0 where nothing was pumped."""
        n = len(self.W)
        supports = np.zeros((n, count), np.bool_)
        x, begun, cpu_s = np.zeros((n, count)), np.zeros((n, count)), 0.0
        for first in range(0, count, self.together):
            here = np.arange(first, min(first + self.together, count))
            sites = common_neighbours(self.W, self.pins, rng)
            batch = self.loop(self.W[np.ix_(sites, sites)]).run(len(here), rng)
            at = np.ix_(sites, here)
            supports[at], x[at], begun[at] = batch.supports, batch.x, batch.begun
            cpu_s += batch.cpu_s
        return Batch(supports, x, begun, cpu_s)

    def course(self, x: Array, points: int = 200) -> tuple[Array, Array]:
        """Times (points,) and amplitudes (points, N) of one start x (N,)."""
        sites = np.flatnonzero(x > 0)
        times, inside = self.loop(self.W[np.ix_(sites, sites)]).course(x[sites], points)
        course = np.zeros((len(inside), len(x)))
        course[:, sites] = inside
        return times, course


def common_neighbours(W: Array, pins: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Up to so many nodes that are linked with one another, drawn one after the other, and all nodes that are linked
    with each of them; sorted. Fewer are drawn where no more are linked; the first has a link, if any node has."""
    linked = W > 0
    np.fill_diagonal(linked, False)
    open_, drawn = np.asarray(linked.any(axis=0), np.bool_), []
    for _ in range(pins):
        if not open_.any():
            break
        drawn.append(int(rng.choice(np.flatnonzero(open_))))
        open_ &= linked[drawn[-1]]
    open_[drawn] = True
    return np.flatnonzero(open_)
