"""The program of weighted nodes: maximise x'Ax with A_ij = 1 for links and A_ii = 1 - 1/w_i, by cliques of most weight.

Node i stands for w_i nodes that are linked with one another and with all that i is linked with: Motzkin and Straus for
that graph, its copies taken together. The optimum is 1 - 1/W, W the largest weight of a clique, with x_i = w_i / W on
it (Gibbons, Hearn, Pardalos and Ramana 1997). Weights are 1 or more.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.domino.quadratic import Optimum

Array = NDArray[np.float64]

_NODES_AT_ONCE = (500, 200_000)


def program_of(linked: NDArray[np.bool_], weight: Array) -> Array:
    """A (N, N). Raises ValueError for weights below 1."""
    if np.min(weight) < 1 or not np.isfinite(weight).all():
        raise ValueError(f"a node's weight is {np.min(weight):g}; this program needs 1 or more")
    return np.asarray(linked.astype(np.float64) + np.diag(1 - 1 / weight))


def heaviest_clique(
    linked: NDArray[np.bool_], weight: Array, at_least: float = 0.0, most_s: float = math.inf
) -> Optimum:
    """The clique of most weight, as an optimum of the program: q = 1 - 1/W, x = w/W on it.

    at_least: a weight that is known to be reached; if no more is found, x is 0 everywhere. Depth first, bounded by the
    weight of greedy colour classes; ends after about most_s, ``proved`` false.
    """
    n = len(weight)
    linked = np.ascontiguousarray(linked, np.bool_)
    candidates, bounds = np.zeros((n + 2, n), np.int64), np.zeros((n + 2, n))
    left, members, sums = np.zeros(n + 2, np.int64), np.zeros(n + 2, np.int64), np.zeros(n + 3)
    counts, best, best_members = np.zeros(3, np.int64), np.array([at_least]), np.zeros(n + 1, np.int64)
    left[0] = -1
    until, proved = time.monotonic() + most_s, False
    at_once, most = _NODES_AT_ONCE
    while not proved:
        proved = bool(
            _search(linked, weight, at_once, counts, best, best_members, candidates, bounds, left, members, sums)
        )
        if time.monotonic() > until:
            break
        at_once = min(2 * at_once, most)
    x = np.zeros(n)
    chosen = best_members[: counts[2]]
    x[chosen] = weight[chosen] / best[0] if len(chosen) else 0.0
    return Optimum(1 - 1 / best[0] if best[0] > 0 else 0.0, x, proved, int(counts[1]))


@kernel
def _bounded(
    linked: NDArray[np.bool_], weight: Array, candidates: NDArray[np.int64], bounds: Array, count: int
) -> None:
    """Order candidates by greedy colours; bounds: weight that a clique of the ones up to each has at most."""
    classes, sizes = np.empty((count, count), np.int64), np.zeros(count, np.int64)
    heaviest, used = np.zeros(count), 0
    for k in range(count):
        v = candidates[k]
        colour = 0
        while True:
            if colour == used:
                used += 1
                break
            fits = True
            for i in range(sizes[colour]):
                if linked[v, classes[colour, i]]:
                    fits = False
                    break
            if fits:
                break
            colour += 1
        classes[colour, sizes[colour]] = v
        sizes[colour] += 1
        heaviest[colour] = max(heaviest[colour], weight[v])
    at, total = 0, 0.0
    for colour in range(used):
        total += heaviest[colour]
        for i in range(sizes[colour]):
            candidates[at], bounds[at] = classes[colour, i], total
            at += 1


@kernel
def _search(
    linked: NDArray[np.bool_], weight: Array, most: int, counts: NDArray[np.int64], best: Array,
    best_members: NDArray[np.int64], candidates: NDArray[np.int64], bounds: Array, left: NDArray[np.int64],
    members: NDArray[np.int64], sums: Array,
) -> bool:  # fmt: skip
    """Go on for so many nodes; whether all is searched."""
    depth = counts[0]
    if left[0] < 0:
        for k in range(len(weight)):
            candidates[0, k] = k
        _bounded(linked, weight, candidates[0], bounds[0], len(weight))
        left[0] = len(weight)
    nodes = 0
    while depth >= 0:
        if nodes >= most:
            counts[0] = depth
            counts[1] += nodes
            return False
        k = left[depth] - 1
        if k < 0 or sums[depth] + bounds[depth, k] <= best[0]:
            depth -= 1
            continue
        left[depth] = k
        nodes += 1
        v = candidates[depth, k]
        members[depth] = v
        total = sums[depth] + weight[v]
        if total > best[0]:
            best[0] = total
            counts[2] = depth + 1
            for i in range(depth + 1):
                best_members[i] = members[i]
        count = 0
        for i in range(k):
            if linked[v, candidates[depth, i]]:
                candidates[depth + 1, count] = candidates[depth, i]
                count += 1
        if count:
            _bounded(linked, weight, candidates[depth + 1], bounds[depth + 1], count)
            depth += 1
            left[depth], sums[depth] = count, total
    counts[0] = depth
    counts[1] += nodes
    return True
