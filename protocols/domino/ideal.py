"""The ideal loop: the equations without a table, batched over starts, on one core."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from simulators.physics.domino.locked_flow import Stage, flow, spread_starts, stages_for, starts
from simulators.physics.domino.quadratic import maximum
from simulators.physics.domino.support_values import climbed

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

AT_ONCE = 100
"""Starts side by side: what they need stays in the processor's cache."""
NOISY_FLIPS = 0.02
"""Of the locks read: with noise, a node of the support may turn its sign now and then."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Of some starts: supports (N, starts), x (N, starts) at the end and the beginning, processor time."""

    supports: Bools
    x: Array
    begun: Array
    cpu_s: float


@dataclass(frozen=True)
class IdealLoop:
    """DOMINO on W (N, N) with a plan of stages. eta: couplings vary by so much, anew in every window. spread: starts
    are U[0, 1]^spread."""

    W: Array
    stages: tuple[Stage, ...]
    eta: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(
        cls,
        W: Array,
        gamma: float,
        tau: float | None = None,
        duration: float = 10.0,
        eta: float = 0.0,
        spread: float = 1.0,
        decay: float = 0.0,
        gamma_end: float | None = None,
    ) -> IdealLoop:
        """As long, and in as short steps, as the network needs. decay: of each field by itself, which falls to nothing
        before the read-out. gamma_end: to which the gain goes from gamma before the read-out; None: it stays."""
        stages = stages_for(len(W), largest_eigenvalue(W), gamma, tau, duration, decay=decay, gamma_end=gamma_end)
        return cls(W, stages, eta, spread)

    @property
    def tau(self) -> float:
        """Time between locks."""
        return self.stages[0].h * self.stages[0].every

    def warm_up(self) -> None:
        """Compile."""
        x = np.ones((len(self.W), 2)) / len(self.W)
        flow(self.W, x, (Stage(2, 1e-3, 1, (0.0, 0.0), 1),))

    def run(self, count: int, rng: np.random.Generator) -> Batch:
        """So many fresh starts."""
        n = len(self.W)
        x = starts(n, count, rng) if self.spread == 1 else spread_starts(n, count, self.spread, rng)
        with threadpool_limits(1):
            begun_s = time.process_time()
            end = flow(self.W, x, self.stages, self.eta, rng)
            cpu_s = time.process_time() - begun_s
        return Batch(end.support(NOISY_FLIPS if self.eta else 0.0), end.x, x, cpu_s)

    def course(self, x: Array, points: int = 200) -> tuple[Array, Array]:
        """Times (points,) and amplitudes (points, N) of one start x (N,)."""
        locks = sum(-(-stage.steps // stage.every) for stage in self.stages)
        keep = np.unique(np.geomspace(1, locks, points).round().astype(int))
        times, course, seen = [], [], [0]

        def watch(t: float, state: Array) -> None:
            seen[0] += 1
            if seen[0] in keep:
                times.append(t)
                course.append(state[:, 0].copy())

        flow(self.W, x[:, None], self.stages, self.eta, np.random.default_rng(0), watch)
        return np.array(times), np.array(course)


def weight_unit(W: Array) -> float:
    """What weights W (N, N), not all 0, are divided by before they run, since windows, steps and gains are made for
    weights of about 1: the power of two that leaves a largest weight above 1/2, and 1 at most. 1 for weights of 0 to 1;
    q, an optimum and its support do not depend on it.
    """
    return 2.0 ** math.ceil(math.log2(float(np.max(W))))


def largest_eigenvalue(W: Array) -> float:
    """Of W (N, N), not negative: by the power method on W + its mean degree, which bipartite networks need."""
    shift = float(W.sum() / len(W))
    v = np.full(len(W), 1 / np.sqrt(len(W)))
    value = 0.0
    for _ in range(1000):
        w = W @ v + shift * v
        size = float(np.linalg.norm(w))
        if abs(size - value) <= 1e-7 * size:
            break
        v, value = w / size, size
    return size - shift


@dataclass(frozen=True, eq=False)
class Known:
    """The best q that is known and a support that has it; by whom, and whether it is proved to be the most."""

    q: float
    support: NDArray[np.int64] | None
    by: str
    proved: bool
    limit_s: float | None = None


def best_known(W: Array, found: float, given: float | None, most_s: float) -> Known:
    """found: a q that was reached. given: told by the user, and taken for granted."""
    if given is not None:
        return Known(given, None, "given", False)
    by = "depth-first search over cliques with Euclidean weights (own)"
    exact = maximum(W, at_least=found * (1 - 1e-9), most_s=most_s)
    if exact.x.any():
        return Known(exact.q, exact.support, by, exact.proved, most_s)
    return Known(found, None, by if exact.proved else f"DOMINO; {by} found none better", exact.proved, most_s)


def polished(W: Array, supports: Bools) -> Array:
    """q (starts,) of a local search from each support (N, starts)."""
    distinct, which = np.unique(supports.T, axis=0, return_inverse=True)
    ends = np.array([climbed(W, np.flatnonzero(support))[1] for support in distinct])
    return np.asarray(ends[which.ravel()])
