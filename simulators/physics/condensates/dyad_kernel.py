"""Many independent dyads side by side: Eq. (1) for pairs of sites, compiled.

Held to `equation.evolve` within rounding: sums are taken in another order, steps are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.condensates.equation import Complex, step_count

Array = NDArray[np.float64]

LANES = 32
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
def slope(
    x: float, y: float, u: float, v: float, gamma: float, g: float, xi: float, kr: float, ki: float
) -> tuple[float, float]:
    """Of a site x + i y that is coupled to u + i v by kr + i ki = (1 - i g) J.

    Terms are summed as they come: those that wait for the division last, since the time of a step is this chain.
    """
    density = x * x + y * y
    gain = gamma / (1.0 + xi * density)
    turn = density + g * gain
    return (
        turn * y + (gain * x + ((kr * u - ki * v) - x)),
        (gain * y + ((kr * v + ki * u) - y)) - turn * x,
    )


@reordering_kernel
def _advance(psi: Array, settings: Array, steps: int, h: float) -> None:
    """psi (4, n), in place. settings: (8, n), pairs of gamma, g, xi, and J's parts."""
    n = psi.shape[1]
    s, p = np.empty((4, LANES)), np.empty((10, LANES))
    half, third, sixth = h / 2, h / 3, h / 6
    for first in range(0, n, LANES):
        count = min(LANES, n - first)
        # Lanes beyond the last dyad compute a copy of it.
        for i in range(LANES):
            at = first + min(i, count - 1)
            for k in range(4):
                s[k, i] = psi[k, at]
            for k in range(6):
                p[k, i] = settings[k, at]
            jr, ji = settings[6, at], settings[7, at]
            for k in range(2):
                p[6 + 2 * k, i], p[7 + 2 * k, i] = jr + p[2 + k, i] * ji, ji - p[2 + k, i] * jr
        for _ in range(steps):
            for i in range(LANES):
                x, y, u, v = s[0, i], s[1, i], s[2, i], s[3, i]
                ga, gb, ta, tb, xa, xb, ar, ai, br, bi = (
                    p[0, i], p[1, i], p[2, i], p[3, i], p[4, i], p[5, i], p[6, i], p[7, i], p[8, i], p[9, i],
                )  # fmt: skip
                dx, dy = slope(x, y, u, v, ga, ta, xa, ar, ai)
                du, dv = slope(u, v, x, y, gb, tb, xb, br, bi)
                sx, sy, su, sv = x + sixth * dx, y + sixth * dy, u + sixth * du, v + sixth * dv
                mx, my, mu, mv = x + half * dx, y + half * dy, u + half * du, v + half * dv
                dx, dy = slope(mx, my, mu, mv, ga, ta, xa, ar, ai)
                du, dv = slope(mu, mv, mx, my, gb, tb, xb, br, bi)
                sx, sy, su, sv = sx + third * dx, sy + third * dy, su + third * du, sv + third * dv
                mx, my, mu, mv = x + half * dx, y + half * dy, u + half * du, v + half * dv
                dx, dy = slope(mx, my, mu, mv, ga, ta, xa, ar, ai)
                du, dv = slope(mu, mv, mx, my, gb, tb, xb, br, bi)
                sx, sy, su, sv = sx + third * dx, sy + third * dy, su + third * du, sv + third * dv
                mx, my, mu, mv = x + h * dx, y + h * dy, u + h * du, v + h * dv
                dx, dy = slope(mx, my, mu, mv, ga, ta, xa, ar, ai)
                du, dv = slope(mu, mv, mx, my, gb, tb, xb, br, bi)
                s[0, i], s[1, i], s[2, i], s[3, i] = sx + sixth * dx, sy + sixth * dy, su + sixth * du, sv + sixth * dv
        for i in range(count):
            for k in range(4):
                psi[k, first + i] = s[k, i]
