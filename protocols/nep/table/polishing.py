"""Every number of a small sheet once more, where it works: by the equation's own steady states, near resonance.

The linear fit of `response` has noise on both sides, and takes leaks of neighbours for alike. Here fields are fitted as
they were read, by what makes them: potentials, one loss, the unit of density, and of every node its pump, background,
leaks of either neighbour (light of neighbours has a phase of its own), what its macro-pixel and its neighbours' show of
T*, and the phase in which it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from protocols.nep.table.response import Response
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.steady import steady_state

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

MOST_NODES = 32
"""Above which the linear fit has to do."""
_LOST = 10.0
_LEFT = 0.002
"""Of fields, relative: what is weighed against the following, by which numbers differ from those of before, about."""
_LEAK, _CONJ, _CONJ_LEAK, _TURN_RAD = 0.05, 0.03, 0.03, 0.05


@dataclass(frozen=True, eq=False)
class Polished:
    """response: mended. D: (n,) of the potential that was written. gamma: loss. off: rms of fields, relative."""

    response: Response
    D: Complex
    gamma: float
    off: float


class _Numbers(NamedTuple):
    V: Array
    gamma: float
    c: Complex
    background: Complex
    h: Complex
    leaks: Complex
    conj: Complex
    conj_leaks: Complex


def polished(
    response: Response, D: Complex, T: Complex, fields: Complex, sheet: Sheet, alive: Callable[[], None]
) -> Polished:
    """From fields (settings, n) of macro-pixels T (settings, n) at a potential with about D (n,); no node is a wall."""
    n = len(D)
    size = float(np.sqrt((np.abs(fields) ** 2).mean()))
    to, side = np.nonzero(response.edges.neighbours >= 0)
    cuts = np.cumsum([n, 1, 2 * n, 2 * n, 1, 2 * len(to), 2 * n, 2 * len(to)])
    tight = np.full(cuts[-1] + n, np.inf)
    for first, last, about in zip(cuts[4:], [*cuts[5:], None], (_LEAK, _CONJ, _CONJ_LEAK, _TURN_RAD), strict=True):
        tight[first:last] = about

    def numbers(x: Array) -> _Numbers:
        more, loss, c, dark, h, k, conj, conj_k, turn = np.split(x, cuts)
        leaks, conj_leaks = response.leaks.copy(), np.zeros_like(response.leaks)
        leaks[to, side] += _complex(k)
        conj_leaks[to, side] = _complex(conj_k)
        return _Numbers(
            D.real + more,
            max(float(-D.imag.mean()) * float(np.exp(loss[0])), 1e-3),
            response.c * (1 + _complex(c)),
            response.background + _complex(dark),
            float(np.abs(response.h).max() * np.exp(h[0])) * np.exp(1j * (np.angle(response.h) + turn)),
            leaks,
            _complex(conj),
            conj_leaks,
        )

    def mended(a: _Numbers) -> Response:
        return replace(
            response,
            c=a.c,
            h=a.h,
            background=a.background,
            leaks=a.leaks,
            D=np.asarray(a.V - 1j * a.gamma, np.complex128),
            conj=a.conj,
            conj_leaks=a.conj_leaks,
        )

    def off(x: Array) -> Complex:
        a = numbers(x)
        found = steady_state(a.V, mended(a).pump(T), sheet._replace(gamma=a.gamma), follow=False)
        left = (fields - a.h * found.psi) / size
        left[~found.converged] = _LOST
        return np.asarray(left)

    def weighed(x: Array) -> Array:
        alive()
        left = off(x) / _LEFT
        return np.concatenate([left.real.ravel(), left.imag.ravel(), x[cuts[4] :] / tight[cuts[4] :]])

    fit = least_squares(weighed, np.zeros(len(tight)), x_scale=0.01, max_nfev=25, diff_step=1e-6)
    best = numbers(fit.x)
    found = mended(best)
    return Polished(found, found.D, best.gamma, float(np.sqrt((np.abs(off(fit.x)) ** 2).mean())))


def _complex(parts: Array) -> Complex:
    """First half the real ones."""
    real, imag = np.split(parts, 2)
    return np.asarray(real + 1j * imag)
