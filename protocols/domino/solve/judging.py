"""What supports are worth in the program that is solved: of weighted links, or of weighted nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from protocols.domino.ideal import Known, best_known, polished
from protocols.domino.problem.program import Program
from simulators.physics.domino.node_weights import heaviest_clique, program_of
from simulators.physics.domino.quadratic import Optimum, best_on
from simulators.physics.domino.support_values import Worth, worth

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Judge(ABC):
    """A: (N, N) of the program x'Ax, which the flow runs on."""

    A: Array

    @abstractmethod
    def worth(self, supports: Bools, most_s: float) -> Worth:
        """Of supports (N, starts)."""

    @abstractmethod
    def polished(self, supports: Bools) -> Array:
        """q (starts,) of a local search from each."""

    @abstractmethod
    def best_on(self, support: NDArray[np.integer], most_s: float) -> Optimum:
        """The optimum with shares on a support, the numbers of its nodes, alone; searched for about most_s at most."""

    @abstractmethod
    def best_known(self, found: float, given: float | None, most_s: float) -> Known:
        """Beside a q that was found: what was ``given``, else what an exact search proves or finds within most_s."""

    @abstractmethod
    def weight(self, support: NDArray[np.integer]) -> float:
        """What the subnetwork weighs, by the numbers of its nodes: its links, or its nodes."""


def judge_of(program: Program) -> Judge:
    """As the program says."""
    if program.node_weights is None:
        return Links(program.W)
    return Nodes(program.W > 0, program.node_weights)


class Links(Judge):
    """Weights are of links."""

    def __init__(self, W: Array) -> None:
        self.A = W

    def worth(self, supports: Bools, most_s: float) -> Worth:
        return worth(self.A, supports, most_s)

    def polished(self, supports: Bools) -> Array:
        return polished(self.A, supports)

    def best_on(self, support: NDArray[np.integer], most_s: float) -> Optimum:
        return best_on(self.A, support, most_s)

    def best_known(self, found: float, given: float | None, most_s: float) -> Known:
        return best_known(self.A, found, given, most_s)

    def weight(self, support: NDArray[np.integer]) -> float:
        return float(self.A[np.ix_(support, support)].sum() / 2)


class Nodes(Judge):
    """Weights are of nodes."""

    def __init__(self, linked: Bools, weights: Array) -> None:
        self.A = program_of(linked, weights)
        self._linked, self._weights = linked, weights

    def worth(self, supports: Bools, most_s: float) -> Worth:
        distinct, which = np.unique(supports.T, axis=0, return_inverse=True)
        ends = [self.best_on(np.flatnonzero(row), most_s) for row in distinct]
        which = which.ravel()
        q, exact = np.array([end.q for end in ends]), np.array([end.proved for end in ends])
        searched = np.array([int((end.x > 0).sum()) < int(row.sum()) for end, row in zip(ends, distinct, strict=True)])
        return Worth(q[which], searched[which], exact[which])

    def polished(self, supports: Bools) -> Array:
        distinct, which = np.unique(supports.T, axis=0, return_inverse=True)
        ends = np.array([self._climbed(self.best_on(np.flatnonzero(row), 0.1).support) for row in distinct])
        return np.asarray(1 - 1 / np.maximum(ends, 1.0))[which.ravel()]

    def _climbed(self, clique: NDArray[np.int64]) -> float:
        """Weight after taking in nodes one by one, each for those that it is not linked with, while that gains."""
        inside = np.zeros(len(self.A), np.bool_)
        inside[clique] = True
        while True:
            lost = (inside & ~self._linked) @ self._weights
            gain = np.where(inside, -np.inf, self._weights - lost)
            best = int(gain.argmax())
            if gain[best] <= 0:
                return float(self._weights[inside].sum())
            inside &= self._linked[best]
            inside[best] = True

    def best_on(self, support: NDArray[np.integer], most_s: float) -> Optimum:
        x = np.zeros(len(self.A))
        if not len(support):
            return Optimum(0.0, x, True, 0)
        found = heaviest_clique(self._linked[np.ix_(support, support)], self._weights[support], most_s=most_s)
        x[support] = found.x
        return Optimum(found.q, x, found.proved, found.searched)

    def best_known(self, found: float, given: float | None, most_s: float) -> Known:
        if given is not None:
            return Known(given, None, "given", False)
        by = "depth-first search over cliques, bounded by weighted colours (own)"
        exact = heaviest_clique(self._linked, self._weights, (1 - 1e-9) / (1 - found), most_s)
        if exact.x.any():
            return Known(exact.q, exact.support, by, exact.proved, most_s)
        return Known(found, None, by if exact.proved else f"DOMINO; {by} found none better", exact.proved, most_s)

    def weight(self, support: NDArray[np.integer]) -> float:
        return float(self._weights[support].sum())
