"""Optimisation problems as Ising machines: their energies, and what a state of the spins means (Lucas 2014)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocols.graphs import Graph
from simulators.physics.annealing import annealed
from simulators.physics.ising import MAX_ENUMERATED_SPINS, energies, enumerated

FloatArray = NDArray[np.float64]

Kind = Literal["ground-state", "max-cut", "partition"]

_REFERENCE_SWEEPS = 2000
_REFERENCE_RESTARTS = 20


@dataclass(frozen=True, eq=False)
class Problem:
    """``machine`` has the problem's best answers as its ground states; ``graph`` is what was given.

    ground-state: the energy of the graph's couplings J and fields, as low as can be. max-cut: the weight of edges
    between two groups, as large as can be; J = -w. partition: the same, as small as can be between groups of equal
    size (of n // 2 at least), by J = w - 2 A for all pairs, H = -sum w s s + A (sum s)^2.
    """

    kind: Kind
    graph: Graph
    machine: Graph
    largest: bool

    @classmethod
    def of(cls, kind: Kind, graph: Graph) -> Problem:
        """Of a graph."""
        if kind == "ground-state":
            return cls(kind, graph, graph, largest=False)
        free = np.zeros(len(graph))
        if kind == "max-cut":
            return cls(kind, graph, Graph(graph.names, graph.edges, -graph.weights, free), largest=True)
        degree = np.abs(graph.matrix()).sum(axis=1)
        # Lucas, section 2.2: moving one spin over must not pay, whatever edges it frees.
        penalty = (
            min(2 * float(degree.max(initial=0.0)), len(graph) * float(np.abs(graph.weights).max(initial=0.0))) / 4
        )
        pairs = np.array(list(itertools.combinations(range(len(graph)), 2)), np.int64).reshape(-1, 2)
        dense = graph.matrix().toarray()[pairs[:, 0], pairs[:, 1]] - 2 * penalty
        return cls(kind, graph, Graph(graph.names, pairs, dense, free), largest=False)

    def value(self, spins: NDArray[np.int8]) -> FloatArray:
        """Energy, or weight of the cut, (...,) of spins (..., N); nan where groups are not of equal size."""
        g = self.graph
        if self.kind == "ground-state":
            return energies(g.edges, g.weights, g.node_weights, spins)
        aligned = -energies(g.edges, g.weights, np.zeros(len(g)), spins)
        cut = 0.5 * (g.weights.sum() - aligned)
        if self.kind == "partition":
            balanced = np.abs(spins.sum(axis=-1, dtype=np.int64)) <= len(g) % 2
            cut = np.where(balanced, cut, np.nan)
        return np.asarray(cut)

    def better(self, a: FloatArray) -> float:
        """The best of some values."""
        return float(np.nanmax(a) if self.largest else np.nanmin(a)) if np.isfinite(a).any() else float("nan")

    def as_good(self, values: FloatArray, best: float) -> NDArray[np.bool_]:
        """Which values are as good as the best known, to rounding."""
        slack = 1e-9 * max(1.0, abs(best))
        return np.asarray(values >= best - slack if self.largest else values <= best + slack)

    def reference(self, seed: int) -> tuple[float, str]:
        """The best value, and how it is known: by enumeration where there are few spins, else by annealing."""
        m, n = self.machine, len(self.machine)
        if n <= min(MAX_ENUMERATED_SPINS, 20):
            energy, _ = enumerated(m.edges, m.weights, m.node_weights)
            k = int(energy.argmin())
            gray = k ^ (k >> 1)
            spins = np.where((gray >> np.arange(n)) & 1, 1, -1).astype(np.int8)
            return float(self.value(spins)), "exact: all states"
        scale = float(np.abs(m.matrix()).sum(axis=1).max()) / 2
        schedule = np.geomspace(scale, scale / 200, _REFERENCE_SWEEPS)
        _, spins = annealed(m.matrix(), m.node_weights, schedule, _REFERENCE_RESTARTS, seed)
        how = f"found: best of {_REFERENCE_RESTARTS} annealings in arithmetic of {_REFERENCE_SWEEPS} sweeps"
        return float(self.value(spins)), how
