"""Problem (1): maximise q(x) = x'Wx over the simplex, exactly, by search over cliques (arXiv 2405.17296, Eq. 1).

W is symmetric, not negative, without a diagonal. An optimal support is a clique on which W is a strict matrix of
squared Euclidean distances: else weight could be moved between two nodes without loss. Of n points at such distances,
q = 2 R^2 with R the radius of the sphere through them, where its centre lies among them; x are the centre's
barycentric coordinates. Both properties pass on to subsets, so that a depth-first search with a Cholesky factor that
grows by a row at each node leaves nothing out. Unweighted, q = 1 - 1/omega (Motzkin and Straus 1965).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel

Array = NDArray[np.float64]

_LEAST_PIVOT = 1e-12
"""Of a squared distance: a set with less is flat, and has no better optimum than one of its subsets."""
_NODES_AT_ONCE = (500, 200_000)
"""Of the search between two looks at the clock: few at first, so that a small time limit is kept."""
_CLOSELY = 40
"""Candidates among which the heaviest link is looked for."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """q, and x (N,) where it is reached. proved: whether all else was ruled out; searched: nodes of the search."""

    q: float
    x: Array
    proved: bool
    searched: int

    @property
    def support(self) -> NDArray[np.int64]:
        """Nodes with a share."""
        return np.flatnonzero(self.x > 0)


def check_weights(W: Array) -> Array:
    """W as it must be. Raises ValueError that names what is wrong."""
    W = np.ascontiguousarray(W, np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1] or len(W) < 1:
        raise ValueError(f"weights are {W.shape}; needed is a square matrix (N, N)")
    if not np.all(np.isfinite(W)) or W.min() < 0:
        raise ValueError("weights must be finite and not negative; of signed couplings take |J|")
    if np.any(W != W.T) or np.any(np.diag(W) != 0):
        raise ValueError("weights must be symmetric, with nothing on the diagonal")
    return W


def best_on(W: Array, support: NDArray[np.integer], most_s: float = math.inf) -> Optimum:
    """The optimum of (1) with shares on ``support`` alone."""
    support = np.asarray(support, np.int64)
    found = maximum(W[np.ix_(support, support)], most_s=most_s) if len(support) else Optimum(0.0, np.zeros(0), True, 0)
    x = np.zeros(len(W))
    x[support] = found.x
    return Optimum(found.q, x, found.proved, found.searched)


def maximum(W: Array, at_least: float = 0.0, most_s: float = math.inf) -> Optimum:
    """The global optimum. at_least: a q known to be reached, which prunes what is worse; x is of it or better, and 0
    everywhere if nothing better was found. Ends after about most_s, ``proved`` false."""
    W = check_weights(W)
    n = len(W)
    order = _degenerate_order(W > 0)
    permuted = np.ascontiguousarray(W[np.ix_(order, order)])
    state, top = _State(n), permuted.max(axis=1)
    state.best[0] = at_least
    until, proved = time.monotonic() + most_s, False
    at_once, most = _NODES_AT_ONCE
    while not proved:
        proved = bool(_search(permuted, top, at_once, *state.arrays))
        if time.monotonic() > until:
            break
        at_once = min(2 * at_once, most)
    x = np.zeros(n)
    members = state.best_members[: state.counts[2]]
    x[order[members]] = state.best_x[: len(members)]
    q = float(state.best[0])
    if len(members):
        x /= x.sum()
        q = float(x @ W @ x)
    return Optimum(q, x, proved, int(state.counts[1]))


def _degenerate_order(linked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Nodes by degeneracy, those of dense parts last: each has few later neighbours."""
    degree = linked.sum(axis=1).astype(np.int64)
    left = np.ones(len(linked), np.bool_)
    order = np.empty(len(linked), np.int64)
    for k in range(len(linked)):
        v = int(np.argmin(np.where(left, degree, np.iinfo(np.int64).max)))
        order[k] = v
        left[v] = False
        degree -= linked[v]
    return order


class _State:
    """Of an interrupted search: a stack of levels, each with its candidates and where in them it is."""

    def __init__(self, n: int) -> None:
        self.counts = np.zeros(3, np.int64)  # depth, nodes, size of the best
        self.best = np.zeros(1)
        self.best_members, self.best_x = np.zeros(n + 1, np.int64), np.zeros(n + 1)
        self.candidates = np.zeros((n + 2, n), np.int64)
        self.bounds = np.zeros((n + 2, n), np.int64)
        self.left = np.zeros(n + 2, np.int64)
        self.left[0] = -1  # not begun
        self.members = np.zeros(n + 2, np.int64)
        self.z = np.zeros((n + 2, n + 2))
        self.u = np.zeros(n + 2)
        self.among = np.zeros(n + 3)  # heaviest link of the members

    @property
    def arrays(self) -> tuple[Any, ...]:
        """In the order that the kernel takes them."""
        return (
            self.counts, self.best, self.best_members, self.best_x, self.candidates, self.bounds, self.left,
            self.members, self.z, self.u, self.among,
        )  # fmt: skip


@kernel
def _coloured(W: Array, candidates: NDArray[np.int64], bounds: NDArray[np.int64], count: int) -> None:
    """Order candidates by greedy colours; bounds: how many colours the ones up to each need."""
    n = len(W)
    classes = np.empty((count, count), np.int64)
    sizes = np.zeros(count, np.int64)
    used = 0
    for k in range(count):
        v = candidates[k]
        colour = 0
        while True:
            if colour == used:
                used += 1
                break
            fits = True
            for i in range(sizes[colour]):
                if W[v, classes[colour, i]] > 0:
                    fits = False
                    break
            if fits:
                break
            colour += 1
        classes[colour, sizes[colour]] = v
        sizes[colour] += 1
    at = 0
    for colour in range(used):
        for i in range(sizes[colour]):
            candidates[at] = classes[colour, i]
            bounds[at] = colour + 1
            at += 1
    assert n >= at


@kernel
def _search(
    W: Array,
    top: Array,
    most: int,
    counts: NDArray[np.int64],
    best: Array,
    best_members: NDArray[np.int64],
    best_x: Array,
    candidates: NDArray[np.int64],
    bounds: NDArray[np.int64],
    left: NDArray[np.int64],
    members: NDArray[np.int64],
    z: Array,
    u: Array,
    among: Array,
) -> bool:
    """Go on for so many nodes; whether all is searched. top: (N,) heaviest link of each node; the others: `_State`."""
    n = len(W)
    depth = counts[0]
    if left[0] < 0:
        for k in range(n):
            candidates[0, k] = k
        _coloured(W, candidates[0], bounds[0], n)
        left[0] = n
        depth = 0
    nodes = 0
    while depth >= 0:
        if nodes >= most:
            counts[0] = depth
            counts[1] += nodes
            return False
        k = left[depth] - 1
        if k < 0:
            depth -= 1
            continue
        left[depth] = k
        # At most heaviest (1 - 1/size) of a clique of so many nodes, by each node's heaviest link first, then by links.
        share = 1.0 - 1.0 / (depth + bounds[depth, k])
        enough = best[0] * (1.0 + 1e-12)
        heaviest = among[depth]
        for i in range(k + 1):
            heaviest = max(heaviest, top[candidates[depth, i]])
        if heaviest * share > enough and k < _CLOSELY:
            heaviest = among[depth]
            for i in range(k + 1):
                v = candidates[depth, i]
                for j in range(depth):
                    heaviest = max(heaviest, W[v, members[j]])
                for j in range(i):
                    heaviest = max(heaviest, W[v, candidates[depth, j]])
        if heaviest * share <= enough:
            depth -= 1
            continue
        nodes += 1
        v = candidates[depth, k]
        if depth > 0:
            # A new row of the Cholesky factor of the points' Gram matrix about the first of them.
            first = members[0]
            c = W[first, v]
            rest, dot = c, 0.0
            for i in range(depth - 1):
                value = 0.5 * (W[first, members[i + 1]] + c - W[members[i + 1], v])
                for j in range(i):
                    value -= z[i, j] * z[depth - 1, j]
                value /= z[i, i]
                z[depth - 1, i] = value
                rest -= value * value
                dot += value * u[i]
            if rest <= _LEAST_PIVOT * c:
                continue
            pivot = math.sqrt(rest)
            z[depth - 1, depth - 1] = pivot
            u[depth - 1] = (0.5 * c - dot) / pivot
        members[depth] = v
        heaviest = among[depth]
        for i in range(depth):
            heaviest = max(heaviest, W[v, members[i]])
        among[depth + 1] = heaviest
        if depth > 0:
            q = 0.0
            for i in range(depth):
                q += 2.0 * u[i] * u[i]
            if q > best[0] * (1.0 + 1e-12):
                # The centre's coordinates; it must lie among the points.
                inside, total = True, 0.0
                a = np.empty(depth)
                for i in range(depth - 1, -1, -1):
                    value = u[i]
                    for j in range(i + 1, depth):
                        value -= z[j, i] * a[j]
                    a[i] = value / z[i, i]
                    total += a[i]
                    if a[i] < 0.0:
                        inside = False
                        break
                if inside and total <= 1.0:
                    best[0] = q
                    counts[2] = depth + 1
                    best_members[0] = members[0]
                    best_x[0] = 1.0 - total
                    for i in range(depth):
                        best_members[i + 1] = members[i + 1]
                        best_x[i + 1] = a[i]
        count = 0
        for i in range(k):
            w = candidates[depth, i]
            if W[v, w] > 0:
                candidates[depth + 1, count] = w
                count += 1
        if count:
            _coloured(W, candidates[depth + 1], bounds[depth + 1], count)
            depth += 1
            left[depth] = count
    counts[0] = depth
    counts[1] += nodes
    return True
