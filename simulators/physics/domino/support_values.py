"""What supports are worth: problem (1) on each of many, by a Cholesky factor where it is a clique that has its optimum
inside, by exact search (`quadratic`) where it is not; and a local search from a support.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.domino.quadratic import best_on

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

_GAIN = 1e-9
"""Relative, below which a step of the local search is rounding."""


@dataclass(frozen=True, eq=False)
class Worth:
    """q: (starts,) optimum of (1) with shares on each support alone. searched: (starts,) where that took a search,
    since the support is no clique or has its optimum on its rim. exact: (starts,) false where the search ran out of
    time, and q is reached but perhaps not the most."""

    q: Array
    searched: Bools
    exact: Bools


def worth(W: Array, supports: Bools, most_s: float = math.inf) -> Worth:
    """Of supports (N, starts); equal ones are done once. most_s: of the search for one support."""
    W = np.ascontiguousarray(W, np.float64)
    distinct, which = np.unique(np.asarray(supports, np.bool_).T, axis=0, return_inverse=True)
    q = _inside(W, distinct)
    searched, exact = np.isnan(q), np.ones(len(q), np.bool_)
    for k in np.flatnonzero(searched):
        found = best_on(W, np.flatnonzero(distinct[k]), most_s)
        q[k], exact[k] = found.q, found.proved
    which = which.ravel()
    return Worth(q[which], searched[which], exact[which])


def climbed(W: Array, support: NDArray[np.integer]) -> tuple[NDArray[np.int64], float]:
    """The end of a local search: support (k,) and q. Each step takes in one more node, and lets go of those that it is
    not linked with, then, one by one, of those that lose their share; the first step that gains is taken, until there
    is none."""
    W = np.ascontiguousarray(W, np.float64)
    members = np.zeros(len(W) + 1, np.int64)
    count, q = _climb(W, np.asarray(support, np.int64), members, _GAIN)
    return np.sort(members[:count]), float(q)


@kernel
def _inside(W: Array, supports: Bools) -> Array:
    """q of supports (count, N) whose optimum has all of their nodes; nan of others."""
    count, n = supports.shape
    q = np.empty(count)
    members = np.empty(n, np.int64)
    shares, gram = np.empty(n), np.empty((n, n))
    for s in range(count):
        size = 0
        for i in range(n):
            if supports[s, i]:
                members[size] = i
                size += 1
        q[s] = 0.0
        if size > 1:
            value, drop = _centre(W, members, size, gram, shares)
            q[s] = value if drop < 0 else np.nan
    return q


@kernel
def _centre(W: Array, members: NDArray[np.int64], size: int, gram: Array, shares: Array) -> tuple[float, int]:
    """q of a set of nodes, all with a share; shares (N,) of them. Otherwise which (by its place) is one too many."""
    if size == 1:
        shares[0] = 1.0
        return 0.0, -1
    first, m = members[0], size - 1
    for i in range(m):
        a = members[i + 1]
        for j in range(i + 1):
            b = members[j + 1]
            if W[first, a] <= 0.0 or (i != j and W[a, b] <= 0.0):
                return 0.0, i + 1
            value = 0.5 * (W[first, a] + W[first, b] - W[a, b])
            for k in range(j):
                value -= gram[i, k] * gram[j, k]
            if i == j:
                if value <= 1e-12 * W[first, a]:
                    return 0.0, i + 1
                gram[i, i] = math.sqrt(value)
            else:
                gram[i, j] = value / gram[j, j]
    q = 0.0
    for i in range(m):  # shares[1:] is u of Z u = diag / 2, then the centre's coordinates
        value = 0.5 * W[first, members[i + 1]]
        for k in range(i):
            value -= gram[i, k] * shares[k + 1]
        shares[i + 1] = value / gram[i, i]
        q += 2.0 * shares[i + 1] ** 2
    total = 0.0
    for i in range(m - 1, -1, -1):
        value = shares[i + 1]
        for k in range(i + 1, m):
            value -= gram[k, i] * shares[k + 1]
        shares[i + 1] = value / gram[i, i]
        total += shares[i + 1]
    shares[0] = 1.0 - total
    least = 0
    for i in range(size):
        if shares[i] < shares[least]:
            least = i
    return q, least if shares[least] <= 0.0 else -1


@kernel
def _settle(W: Array, members: NDArray[np.int64], size: int, gram: Array, shares: Array) -> tuple[float, int]:
    """Let go of nodes that are too many, one after the other; q and how many are left."""
    while True:
        q, drop = _centre(W, members, size, gram, shares)
        if drop < 0:
            return q, size
        size -= 1
        for k in range(drop, size):
            members[k] = members[k + 1]


@kernel
def _climb(W: Array, support: NDArray[np.int64], members: NDArray[np.int64], gain: float) -> tuple[int, float]:
    n = len(W)
    gram, shares = np.empty((n + 1, n + 1)), np.empty(n + 1)
    trial = np.empty(n + 1, np.int64)
    size = len(support)
    for i in range(size):
        members[i] = support[i]
    if size == 0:
        return 0, 0.0
    q, size = _settle(W, members, size, gram, shares)
    inside = np.zeros(n, np.bool_)
    better = True
    while better:
        better = False
        inside[:] = False
        for i in range(size):
            inside[members[i]] = True
        for v in range(n):
            if inside[v]:
                continue
            trial[0] = v  # first, so that others go
            count = 1
            for i in range(size):
                if W[v, members[i]] > 0.0:
                    trial[count] = members[i]
                    count += 1
            if count == 1:
                continue
            value, count = _settle(W, trial, count, gram, shares)
            if value > q * (1.0 + gain):
                for i in range(count):
                    members[i] = trial[i]
                q, size, better = value, count, True
                break
    return size, q
