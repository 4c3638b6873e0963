"""Networks of any number of sites, many trials side by side: Eq. (1), compiled, with couplings in sparse rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.condensates.equation import Complex, coupling_matrix, step_count

Array = NDArray[np.float64]

LANES = 16
"""Trials that are advanced together."""


def evolve_networks(
    psi: Complex,
    gamma: ArrayLike,
    g: ArrayLike,
    xi: ArrayLike,
    J: ArrayLike,
    duration: float = 10.0,
    dt: float = 0.1,
) -> Complex:
    """Amplitudes (trials, n) of networks after ``duration``, in steps of at most dt; see `equation.evolve` for both.

    gamma, g, xi: broadcast to (n,). J: number or (n, n), real or complex.
    """
    from scipy.sparse import csr_matrix  # a fifth of a second, which every process of a bench would pay

    psi = np.asarray(psi, np.complex128)
    n = psi.shape[1]
    settings = np.stack([np.broadcast_to(np.asarray(v, np.float64), (n,)) for v in (g, xi)])
    couplings = csr_matrix(coupling_matrix(J, n))
    pumped = np.repeat(np.broadcast_to(np.asarray(gamma, np.float64), (n,))[:, None], LANES, axis=1)
    plain = np.stack([psi.real.T, psi.imag.T])
    steps = step_count(duration, dt)
    _advance(
        plain,
        settings,
        pumped,
        couplings.indptr.astype(np.int64),
        couplings.indices.astype(np.int64),
        np.ascontiguousarray(couplings.data.real),
        np.ascontiguousarray(couplings.data.imag),
        steps,
        duration / max(steps, 1),
    )
    return np.asarray(plain[0].T + 1j * plain[1].T)


@reordering_kernel
def slopes(
    s: Array,
    settings: Array,
    pumped: Array,
    shape: float,
    start: NDArray[np.int64],
    column: NDArray[np.int64],
    jr: Array,
    ji: Array,
    out: Array,
) -> None:
    """d psi / dt of lanes side by side: s and out (2, n, lanes), real and imaginary part.

    settings: (2, n) of g and xi. pumped: (n, lanes), multiplied by shape: gamma. start, column, jr, ji: J in sparse
    rows.
    """
    n, lanes = s.shape[1], s.shape[2]
    a, b = np.empty(lanes), np.empty(lanes)
    for i in range(n):
        g, xi = settings[0, i], settings[1, i]
        for k in range(lanes):
            x, y = s[0, i, k], s[1, i, k]
            gain = pumped[i, k] * shape / (1.0 + xi * (x * x + y * y))
            a[k] = gain * x
            b[k] = gain * y
        for at in range(start[i], start[i + 1]):
            j, r, m = column[at], jr[at], ji[at]
            for k in range(lanes):
                a[k] += r * s[0, j, k] - m * s[1, j, k]
                b[k] += r * s[1, j, k] + m * s[0, j, k]
        for k in range(lanes):
            x, y = s[0, i, k], s[1, i, k]
            density = x * x + y * y
            out[0, i, k] = density * y - x + a[k] + g * b[k]
            out[1, i, k] = -density * x - y + b[k] - g * a[k]


@reordering_kernel
def add_scaled(s: Array, factor: float, slope: Array, out: Array) -> None:
    """out = s + factor slope, all (2, n, lanes)."""
    for c in range(s.shape[0]):
        for i in range(s.shape[1]):
            for k in range(s.shape[2]):
                out[c, i, k] = s[c, i, k] + factor * slope[c, i, k]


@reordering_kernel
def step(
    s: Array,
    settings: Array,
    pumped: Array,
    shapes: tuple[float, float, float],
    start: NDArray[np.int64],
    column: NDArray[np.int64],
    jr: Array,
    ji: Array,
    h: float,
    work: Array,
) -> None:
    """One Runge-Kutta step of fourth order of s (2, n, lanes), in place.

    shapes: what pumped is multiplied by at its beginning, middle and end. work: (5, 2, n, lanes).
    """
    k1, k2, k3, k4, middle = work[0], work[1], work[2], work[3], work[4]
    slopes(s, settings, pumped, shapes[0], start, column, jr, ji, k1)
    add_scaled(s, h / 2, k1, middle)
    slopes(middle, settings, pumped, shapes[1], start, column, jr, ji, k2)
    add_scaled(s, h / 2, k2, middle)
    slopes(middle, settings, pumped, shapes[1], start, column, jr, ji, k3)
    add_scaled(s, h, k3, middle)
    slopes(middle, settings, pumped, shapes[2], start, column, jr, ji, k4)
    for c in range(2):
        for i in range(s.shape[1]):
            for k in range(s.shape[2]):
                s[c, i, k] += h / 6 * (k1[c, i, k] + 2 * (k2[c, i, k] + k3[c, i, k]) + k4[c, i, k])


@reordering_kernel
def _advance(
    psi: Array,
    settings: Array,
    pumped: Array,
    start: NDArray[np.int64],
    column: NDArray[np.int64],
    jr: Array,
    ji: Array,
    steps: int,
    h: float,
) -> None:
    """psi (2, n, trials), in place."""
    n, trials = psi.shape[1], psi.shape[2]
    s, work = np.empty((2, n, LANES)), np.empty((5, 2, n, LANES))
    for first in range(0, trials, LANES):
        count = min(LANES, trials - first)
        for k in range(LANES):  # lanes beyond the last trial compute a copy of it
            s[:, :, k] = psi[:, :, first + min(k, count - 1)]
        for _ in range(steps):
            step(s, settings, pumped, (1.0, 1.0, 1.0), start, column, jr, ji, h, work)
        for k in range(count):
            psi[:, :, first + k] = s[:, :, k]
