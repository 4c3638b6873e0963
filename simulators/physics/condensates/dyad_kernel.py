"""Many independent dyads side by side: Eq. (1) for pairs of sites, compiled.

Held to `equation.evolve` within rounding: sums are taken in another order, steps are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.condensates.equation import Complex, step_count

Array = NDArray[np.float64]

LANES = 64
"""Dyads that are advanced together: what they need fits into the nearest cache."""


def evolve_dyads(
    psi: Complex,
    gamma: ArrayLike,
    g: ArrayLike,
    xi: ArrayLike,
    J: ArrayLike,
    duration: float = 10.0,
    dt: float = 0.1,
) -> Complex:
    """Amplitudes (n, 2) of n dyads after ``duration``, in steps of at most dt; see `equation.evolve` for both.

    psi: (n, 2). gamma, g, xi: broadcast to (n, 2); a value per dyad is a column (n, 1). J: (n,) or a number, real or
    complex; either site sees the other by it.
    """
    psi = np.asarray(psi, np.complex128)
    n = len(psi)
    plain = np.empty((4, n))
    plain[0], plain[1], plain[2], plain[3] = psi[:, 0].real, psi[:, 0].imag, psi[:, 1].real, psi[:, 1].imag
    settings = np.empty((8, n))
    for row, value in ((0, gamma), (2, g), (4, xi)):
        settings[row : row + 2] = np.broadcast_to(np.asarray(value, np.float64), (n, 2)).T
    coupling = np.broadcast_to(np.asarray(J, np.complex128), (n,))
    settings[6], settings[7] = coupling.real, coupling.imag
    steps = step_count(duration, dt)
    _advance(plain, settings, steps, duration / max(steps, 1))
    out = np.empty((n, 2), np.complex128)
    out[:, 0].real, out[:, 0].imag, out[:, 1].real, out[:, 1].imag = plain
    return out


def denser_second(psi: Complex) -> NDArray[np.bool_]:
    """Whether condensate 2 is the denser one: state "1" of the dyads psi (..., 2)."""
    return np.asarray(np.abs(psi[..., 1]) > np.abs(psi[..., 0]))


@reordering_kernel
def _slope(
    x: float, y: float, u: float, v: float, gamma: float, g: float, xi: float, jr: float, ji: float
) -> tuple[float, float]:
    """Of a site x + i y that is coupled to u + i v."""
    density = x * x + y * y
    gain = gamma / (1.0 + xi * density)
    a = gain * x + jr * u - ji * v
    b = gain * y + jr * v + ji * u
    return density * y - x + a + g * b, -density * x - y + b - g * a


@reordering_kernel
def _advance(psi: Array, settings: Array, steps: int, h: float) -> None:
    """psi (4, n), in place. settings: (8, n), pairs of gamma, g, xi, and J's parts."""
    n = psi.shape[1]
    s, p = np.empty((4, LANES)), np.empty((8, LANES))
    half, sixth = h / 2, h / 6
    for first in range(0, n, LANES):
        count = min(LANES, n - first)
        # Lanes beyond the last dyad compute a copy of it.
        for i in range(LANES):
            at = first + min(i, count - 1)
            for k in range(4):
                s[k, i] = psi[k, at]
            for k in range(8):
                p[k, i] = settings[k, at]
        for _ in range(steps):
            for i in range(LANES):
                x, y, u, v = s[0, i], s[1, i], s[2, i], s[3, i]
                ga, gb, ta, tb, xa, xb, jr, ji = (
                    p[0, i], p[1, i], p[2, i], p[3, i], p[4, i], p[5, i], p[6, i], p[7, i],
                )  # fmt: skip
                x1, y1 = _slope(x, y, u, v, ga, ta, xa, jr, ji)
                u1, v1 = _slope(u, v, x, y, gb, tb, xb, jr, ji)
                mx, my, mu, mv = x + half * x1, y + half * y1, u + half * u1, v + half * v1
                x2, y2 = _slope(mx, my, mu, mv, ga, ta, xa, jr, ji)
                u2, v2 = _slope(mu, mv, mx, my, gb, tb, xb, jr, ji)
                mx, my, mu, mv = x + half * x2, y + half * y2, u + half * u2, v + half * v2
                x3, y3 = _slope(mx, my, mu, mv, ga, ta, xa, jr, ji)
                u3, v3 = _slope(mu, mv, mx, my, gb, tb, xb, jr, ji)
                mx, my, mu, mv = x + h * x3, y + h * y3, u + h * u3, v + h * v3
                x4, y4 = _slope(mx, my, mu, mv, ga, ta, xa, jr, ji)
                u4, v4 = _slope(mu, mv, mx, my, gb, tb, xb, jr, ji)
                s[0, i] = x + sixth * (x1 + 2 * (x2 + x3) + x4)
                s[1, i] = y + sixth * (y1 + 2 * (y2 + y3) + y4)
                s[2, i] = u + sixth * (u1 + 2 * (u2 + u3) + u4)
                s[3, i] = v + sixth * (v1 + 2 * (v2 + v3) + v4)
        for i in range(count):
            for k in range(4):
                psi[k, first + i] = s[k, i]
