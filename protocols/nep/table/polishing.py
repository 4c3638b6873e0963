"""Every number of a small sheet once more, where it works: by the equation's own steady states, near resonance.

The linear fit of `response` has noise on both sides. Here fields are fitted as they were read, by the few numbers that
make them: potentials, one loss, pumps, background, and the unit of density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, eq=False)
class Polished:
    """response: mended. D: (n,) of the potential that was written. gamma: loss. off: rms of fields, relative."""

    response: Response
    D: Complex
    gamma: float
    off: float


def polished(
    response: Response, D: Complex, T: Complex, fields: Complex, sheet: Sheet, alive: Callable[[], None]
) -> Polished:
    """From fields (settings, n) of macro-pixels T (settings, n) at a potential with about D (n,); no node is a wall."""
    n = len(D)
    size = float(np.sqrt((np.abs(fields) ** 2).mean()))
    first, second = (replace(response, leaks=_one_sided(response.leaks, side)).neighbours(T) for side in (0, 1))
    turn = np.exp(1j * np.angle(response.h))

    def leaks(x: Array) -> Complex:
        return np.asarray(1 + x[:2] + 1j * x[2:])

    def numbers(x: Array) -> tuple[Array, float, Complex, Complex, float]:
        V, rest = D.real + x[:n], x[n:]
        gamma = float(-D.imag.mean()) * float(np.exp(rest[0]))
        c = response.c * (1 + rest[1 : n + 1] + 1j * rest[n + 1 : 2 * n + 1])
        dark = response.c * (response.background + rest[2 * n + 1 : 3 * n + 1] + 1j * rest[3 * n + 1 : 4 * n + 1])
        return V, gamma, c, dark, float(np.abs(response.h).max() * np.exp(rest[-5]))

    def left(x: Array) -> Array:
        alive()
        V, gamma, c, dark, h = numbers(x)
        k = leaks(x[-4:])
        P = c * (T + k[0] * first + k[1] * second) + dark
        found = steady_state(V, P, sheet._replace(gamma=max(gamma, 1e-3)), follow=False)
        off = (fields - h * turn * found.psi) / size
        off[~found.converged] = _LOST
        return np.concatenate([off.real.ravel(), off.imag.ravel()])

    fit = least_squares(left, np.zeros(5 * n + 6), x_scale=0.01, max_nfev=12, diff_step=1e-6)
    V, gamma, c, dark, h = numbers(fit.x)
    off = float(np.sqrt((fit.fun**2).sum() / len(T) / n))
    mended_D = np.asarray(V - 1j * gamma, np.complex128)
    k = leaks(fit.x[-4:])
    beside = k[0] * _one_sided(response.leaks, 0) + k[1] * _one_sided(response.leaks, 1)
    mended = replace(response, c=c, h=h * turn, background=dark / c, leaks=beside, D=mended_D)
    return Polished(mended, mended_D, gamma, off)


def _one_sided(leaks: Complex, side: int) -> Complex:
    """Of neighbours to the right (0) or to the left (1) alone."""
    out = np.zeros_like(leaks)
    out[:, side] = leaks[:, side]
    return out
