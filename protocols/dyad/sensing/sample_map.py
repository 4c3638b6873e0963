"""A map of a sample from differences that dyads measured between its places, and which places stand out.

A dyad is fair at a pump ratio x = ln r_gamma with

    -x = f_2 - f_1 + u,    f = ln(efficiency of the pump) + kappa ln g,

f of the sample where its sites are, and u of its two spots: it goes along with the lattice, and is told from f by that.
kappa is that of Eq. (5): p_1 cannot tell efficiency from g, and the map is one of f / kappa, by which g would differ if
it alone did. Moved by its own length, a dyad begins where it ended before, so that differences along a row make a
chain; the level of a chain is not measured, but all places are alike beforehand, as different as places are on the
whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from protocols.dyad.sensing.decision import threshold

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

_NORMAL = 1.4826
"""Standard deviations in a median absolute deviation of a normal distribution."""
_LEAST = 1e-4
"""Spreads are no less."""


@dataclass(frozen=True, eq=False)
class Differences:
    """k of them. first, second: (k, 2) whole units where a dyad's sites were. value, sd: (k,) f_2 - f_1 + u. dyad: (k,)
    which one measured."""

    first: Whole
    second: Whole
    value: Array
    sd: Array
    dyad: Whole


@dataclass(frozen=True, eq=False)
class SampleMap:
    """Of m places, in units of f.

    units: (m, 2) rows and columns of the hologram's transform. f, sd: (m,) estimates, and their standard deviations.
    u: by dyad. spread, spots: standard deviations of f over the sample where it has no defect, and of u. step: of f
    from a dyad's first place to its second, all over the sample. z: (m,) of the estimates, normal where there is no
    defect. certain: (m,) places that stand out at the false-alarm rate of a map; suspected: at that of a place.
    """

    units: Whole
    f: Array
    sd: Array
    u: Array
    spread: float
    spots: float
    step: float
    z: Array
    certain: NDArray[np.bool_]
    suspected: NDArray[np.bool_]


def spreads(d: Differences, about: Array) -> tuple[float, float]:
    """Of f and of u, from differences about their mean; medians, which a few defects do not move."""
    dyads = np.unique(d.dyad)
    level = {int(k): float(np.median(about[d.dyad == k])) for k in dyads}
    own = about - np.array([level[int(k)] for k in d.dyad])
    times = len(about) / len(dyads)
    noise2 = float(np.median(d.sd)) ** 2
    within2 = (_NORMAL * float(np.median(np.abs(own)))) ** 2 * times / max(times - 1, 1)
    if times < 2:  # nothing tells f from u: all is f
        within2 = (_NORMAL * float(np.median(np.abs(about)))) ** 2
    between2 = (_NORMAL * float(np.median(np.abs(list(level.values()))))) ** 2
    spread2, spots2 = (within2 - noise2) / 2, between2 - np.pi / 2 * within2 / times
    return float(np.sqrt(max(spread2, _LEAST**2))), float(np.sqrt(max(spots2, _LEAST**2)))


def solve(d: Differences, map_rate: float, place_rate: float) -> SampleMap:
    """The map that differences make, each f and u being normal beforehand (a linear model with known variances)."""
    units, index = np.unique(np.concatenate([d.first, d.second]), axis=0, return_inverse=True)
    one, two = np.split(index.ravel(), 2)
    step = float(np.median(d.value))
    about = d.value - step
    spread, spots = spreads(d, about)
    n, m = int(d.dyad.max()) + 1, len(units)
    weight = 1 / d.sd**2
    f, variance, mixed = np.zeros(m), np.zeros(m), np.zeros((m, n))
    schur = np.diag(np.bincount(d.dyad, weight, n) + 1 / spots**2)
    right = np.bincount(d.dyad, weight * about, n)
    for edges in _chains(one, two, m):
        # Of each chain the places are found for any u, then u, then the places.
        places, at = np.unique(np.concatenate([one[edges], two[edges]]), return_inverse=True)
        a, b = np.split(at.ravel(), 2)
        rows = np.arange(len(edges))
        ends = np.zeros((len(edges), len(places)))
        ends[rows, a], ends[rows, b] = -1, 1
        whose = np.zeros((len(edges), n))
        whose[rows, d.dyad[edges]] = 1
        weighted = ends.T * weight[edges]
        covariance = np.linalg.inv(weighted @ ends + np.eye(len(places)) / spread**2)
        shared = weighted @ whose
        f[places] = covariance @ (weighted @ about[edges])
        variance[places] = np.diag(covariance)
        mixed[places] = covariance @ shared
        schur -= shared.T @ mixed[places]
        right -= shared.T @ f[places]
    of_u = np.linalg.inv(schur)
    u = of_u @ right
    f -= mixed @ u
    variance += np.einsum("mi,ij,mj->m", mixed, of_u, mixed)
    # What is estimated of a normal place varies by what was not known of it beforehand less what is not known now.
    z = f / np.sqrt(np.maximum(spread**2 - variance, 1e-3 * spread**2))
    return SampleMap(
        units=units,
        f=f,
        sd=np.sqrt(variance),
        u=u,
        spread=spread,
        spots=spots,
        step=step,
        z=z,
        certain=np.abs(z) > threshold(map_rate, m),
        suspected=np.abs(z) > threshold(place_rate),
    )


def _chains(one: Whole, two: Whole, places: int) -> Iterator[Whole]:
    """Differences (their numbers) that hang together."""
    graph = coo_matrix((np.ones(len(one)), (one, two)), shape=(places, places))
    chain = connected_components(graph, directed=False)[1][one]
    order = np.argsort(chain, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(chain[order])) + 1)
