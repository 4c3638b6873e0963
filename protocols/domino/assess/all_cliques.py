"""All maximal cliques of a network that has few enough, each with its optimum of problem (1) and the weight of its
links: what is found is ranked among them, exactly."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.physics.domino.quadratic import best_on

Array = NDArray[np.float64]
Nodes = tuple[int, ...]


@dataclass(frozen=True)
class Ranked:
    """q: of each distinct optimum that a maximal clique has, by its support, largest first. weight: of all links of
    each maximal clique, largest first. complete: whether these are all; otherwise the search was given up."""

    q: dict[Nodes, float]
    weight: dict[Nodes, float]
    complete: bool

    def rank_q(self, q: float) -> int:
        """1 is the best; equal ones share a rank."""
        return 1 + sum(other > q * (1 + 1e-9) for other in self.q.values())

    def rank_weight(self, weight: float) -> int:
        """1 is the heaviest."""
        return 1 + sum(other > weight * (1 + 1e-9) for other in self.weight.values())


def ranked(W: Array, most: int) -> Ranked:
    """Of W (N, N). most: cliques that are looked at."""
    import networkx as nx

    cliques = nx.find_cliques(nx.from_numpy_array((W > 0).astype(np.int64)))
    q: dict[Nodes, float] = {}
    weight: dict[Nodes, float] = {}
    for clique in itertools.islice(cliques, most):
        nodes = tuple(sorted(int(k) for k in clique))
        weight[nodes] = float(W[np.ix_(nodes, nodes)].sum() / 2)
        optimum = best_on(W, np.array(nodes, np.int64))
        if len(optimum.support):
            q[tuple(int(k) for k in optimum.support)] = optimum.q
    complete = next(cliques, None) is None
    return Ranked(_sorted(q), _sorted(weight), complete)


def _sorted(values: dict[Nodes, float]) -> dict[Nodes, float]:
    return dict(sorted(values.items(), key=lambda item: (-item[1], item[0])))
