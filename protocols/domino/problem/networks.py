"""Random weighted networks of the paper: cliques linked at random (Supp. A), and links at random (Supp. I.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from labctl.client import ConfigurationError

Array = NDArray[np.float64]

_TRIES = 1000


def clique_network(nodes: int, density: float, rng: np.random.Generator) -> Array:
    """W (N, N) of Supp. A: a random partition of N nodes into cliques, links between different cliques drawn until
    the density (links of all pairs) is reached, weights U(0, 1); connected.

    N is cut at places that are even, into so many cliques that they make up about half of all links, or less.
    """
    _check(nodes, density)
    i, j = np.triu_indices(nodes, 1)
    wanted = round(density * len(i))
    for _ in range(_TRIES):
        clique = _partition(nodes, density, rng)
        inside = clique[i] == clique[j]
        between = rng.permutation(np.flatnonzero(~inside))
        linked = inside.copy()
        linked[between[: max(0, wanted - int(inside.sum()))]] = True
        W = _weighted(nodes, i[linked], j[linked], rng)
        if connected_components(W > 0)[0] == 1:
            return W
    raise _sparse(nodes, density)


def uniform_network(nodes: int, density: float, rng: np.random.Generator) -> Array:
    """W (N, N) of Supp. I.2: a weight U(0, 1) with probability ``density``, else 0; connected."""
    _check(nodes, density)
    i, j = np.triu_indices(nodes, 1)
    for _ in range(_TRIES):
        linked = rng.random(len(i)) < density
        W = _weighted(nodes, i[linked], j[linked], rng)
        if connected_components(W > 0)[0] == 1:
            return W
    raise _sparse(nodes, density)


def _partition(nodes: int, density: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Clique (N,) of each node. m cliques have about a share 1.6 / m of all pairs: m is drawn up to where that is half
    of the density or less, so that links between them are left to be drawn."""
    fewest = min(nodes, max(2, int(np.ceil(3.2 / density))))
    m = int(rng.integers(fewest, max(fewest + 1, min(nodes, 3 * fewest) + 1)))
    cuts = np.sort(rng.choice(np.arange(1, nodes), size=min(m, nodes) - 1, replace=False))
    sizes = np.diff(cuts, prepend=0, append=nodes)
    return np.asarray(rng.permutation(np.repeat(np.arange(len(sizes)), sizes)))


def _weighted(nodes: int, i: NDArray[np.int64], j: NDArray[np.int64], rng: np.random.Generator) -> Array:
    W = np.zeros((nodes, nodes))
    W[i, j] = 1 - rng.random(len(i))  # not 0
    return W + W.T


def _check(nodes: int, density: float) -> None:
    if nodes < 2:
        raise ConfigurationError(f"nodes={nodes}; a network has 2 or more")
    if not 0 < density <= 1:
        raise ConfigurationError(f"density={density:g}; allowed: above 0, 1 at most")


def _sparse(nodes: int, density: float) -> ConfigurationError:
    return ConfigurationError(
        f"density={density:g}: {_TRIES} networks of {nodes} nodes were not connected; choose a larger density "
        f"(log(N)/N = {np.log(nodes) / nodes:.2g} and more)"
    )
