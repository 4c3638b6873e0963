"""A map of a sample from differences that dyads measured between its places, and which places stand out.

A dyad is fair at a pump ratio x = ln r_gamma with

    -x = f_2 - f_1 + u,    f = ln(efficiency of the pump) + kappa ln g,

f of the sample where its sites are, and u of its two spots: it goes along with the lattice, and is told from f by that.
kappa is that of Eq. (5): p_1 cannot tell efficiency from g, and the map is one of f / kappa, by which g would differ if
it alone did. Beforehand f is a normal process: as different from place to place as it is on the whole, and alike over
some length. Moved by its own length a dyad begins where it ended before, or another one does; so differences make
chains, of which the level alone remains uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from protocols.dyad.sensing.decision import threshold

Array = NDArray[np.float64]
Whole = NDArray[np.int64]

_NORMAL = 1.4826
"""Standard deviations in a median absolute deviation of a normal distribution."""
_LEAST = 1e-4
"""Spreads are no less."""
_ALIKE = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Lengths over which places may be alike, in units."""


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
    u: by dyad. spread, spots: standard deviations of f over the sample where it has no defect, and of u. alike: over so
    many units f has the correlation exp(-1/2). step: of f from a dyad's first place to its second, all over the sample.
    z: (m,) of the estimates, normal where there is no defect. certain: (m,) places that stand out at the false-alarm
    rate of a map; suspected: at that of a place.
    """

    units: Whole
    f: Array
    sd: Array
    u: Array
    spread: float
    spots: float
    alike: float
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
    """The map that differences make: f and u normal beforehand, and then given what was measured."""
    units, index = np.unique(np.concatenate([d.first, d.second]), axis=0, return_inverse=True)
    one, two = np.split(index.ravel(), 2)
    step = float(np.median(d.value))
    about = d.value - step
    spread, spots = spreads(d, about)
    away2 = ((units[:, None] - units[None, :]) ** 2).sum(axis=2).astype(np.float64)
    same = d.dyad[:, None] == d.dyad[None, :]

    def model(alike: float) -> tuple[Array, Array, Array]:
        """Covariances of places with differences (m, k), Cholesky's factor of differences', and these made white."""
        places = spread**2 * np.exp(-away2 / (2 * alike**2))
        mixed = places[:, two] - places[:, one]
        factor = cholesky(mixed[two] - mixed[one] + spots**2 * same + np.diag(d.sd**2), lower=True)
        return mixed, factor, solve_triangular(factor, about, lower=True)

    def likelihood(alike: float) -> float:
        _, factor, white = model(alike)
        return float(-0.5 * white @ white - np.log(np.diag(factor)).sum())

    alike = max(_ALIKE, key=likelihood)
    for _ in range(2):  # both spreads by how large all is that was measured; again medians, for the defects' sake
        scale = _NORMAL * float(np.median(np.abs(model(alike)[2])))
        spread, spots = scale * spread, scale * spots
    mixed, factor, _ = model(alike)
    weights = cho_solve((factor, True), np.column_stack([about, mixed.T]))
    f, known = mixed @ weights[:, 0], np.einsum("mk,km->m", mixed, weights[:, 1:])
    # What is estimated of a normal place varies by as much as is known of it now and was not beforehand.
    z = f / np.sqrt(np.maximum(known, 1e-3 * spread**2))
    u = np.asarray(spots**2 * np.bincount(d.dyad, weights[:, 0]), np.float64)
    return SampleMap(
        units=units,
        f=f,
        sd=np.sqrt(np.maximum(spread**2 - known, 0.0)),
        u=u,
        spread=spread,
        spots=spots,
        alike=alike,
        step=step,
        z=z,
        certain=np.abs(z) > threshold(map_rate, len(units)),
        suspected=np.abs(z) > threshold(place_rate),
    )
