"""The field of a panel in the focal plane of a lens, on grids of any pitch: matrix Fourier transforms.

Pixels are even squares of an active width at their pitch; with fringing fields each is M x M even sub-pixels
(`simulators.physics.fringing`). Monochromatic, with kappa = 2 pi / (lambda f):

    E(X, Y) = a^2 / (p lambda f) sum_rc sqrt(P_rc) exp(-i kappa (X x_c + Y y_r)) F_rc(X, Y)

    F_rc = s(X, Y) sum_mk exp(i Phi_rcmk - i kappa (X x_k + Y y_m)) / M^2

in root W / m for P_rc in W on the pixel's pitch squared, a: active width, p: pitch, s: transform of a sub-pixel, 1 on
the axis. A field whose aperture is D wide is known everywhere from samples finer than lambda f / D;
`pixel_means` interpolates it and averages its intensity over camera pixels that may be turned against the grid
(Soummer et al., Opt. Express 15, 15935 (2007), for the transform).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.far_field import square

OVERSAMPLING = 5
"""Samples of the grid per lambda f / D. Lagrange's 6 points are then right to 3e-4 of the light of the panel's edge."""

MARGIN = 3
"""Samples that the interpolation needs beyond what is asked for."""

_TURN = 1 << 14
PHASORS = np.exp(2j * np.pi * np.arange(_TURN) / _TURN).astype(np.complex64)
"""Of a circle in steps of 0.4 mrad."""


class FocalGrid(NamedTuple):
    """Samples of the focal plane, x_m (columns,) and y_m (rows,), at even steps."""

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]


def focal_grid(
    low_m: tuple[float, float], high_m: tuple[float, float], wavelength_focal_m2: float, panel_m: tuple[float, float]
) -> FocalGrid:
    """Grid that covers (X, Y) from low to high with room for interpolation, for a panel (width, height)."""
    axes = []
    for low, high, width in zip(low_m, high_m, panel_m, strict=True):
        step = wavelength_focal_m2 / (OVERSAMPLING * width)
        first = math.floor(low / step) - MARGIN
        axes.append(step * np.arange(first, math.ceil(high / step) + MARGIN + 1, dtype=np.float64))
    return FocalGrid(axes[0], axes[1])


class AxisTransform(NamedTuple):
    """Of one axis of the panel, rows or columns, onto one of the grid.

    weights: (Q, M) of the M sub-pixels of a pixel in each of Q values that stand for it. matrix: (pixels x Q, samples)
    of those values in each sample.
    """

    weights: NDArray[np.complex64]
    matrix: NDArray[np.complex64]


INTERPOLATION_ERROR = 2e-4
"""Largest error of a pixel's own pattern where it is interpolated between Q places of the grid."""


def axis_transform(
    at_m: NDArray[np.float64], pixels_m: NDArray[np.float64], centres_m: NDArray[np.float64], kappa: float
) -> AxisTransform:
    """exp(-i kappa X (x_c + x_k)) / M of one axis, in as few values per pixel as tell it on these samples.

    The M sub-pixels of a pixel lie so close that exp(-i kappa X x_k) hardly bends over a narrow grid: it is known at Q
    Chebyshev nodes of it, with Q = M and no interpolation where Q would not be less.
    """
    parts = len(centres_m)
    middle, half = (at_m[0] + at_m[-1]) / 2, (at_m[-1] - at_m[0]) / 2
    bend = kappa * half * float(np.abs(centres_m).max())
    count = 1
    while count < parts and bend**count / (math.factorial(count) * 2.0 ** (count - 1)) > INTERPOLATION_ERROR:
        count += 1
    carried = np.exp(-1j * kappa * np.outer(pixels_m, at_m))
    if count == parts:
        weights = np.eye(parts)
        shapes = np.exp(-1j * kappa * np.outer(centres_m, at_m)) / parts
    else:
        nodes = middle + half * np.cos(np.pi * (np.arange(count) + 0.5) / count)
        weights = np.exp(-1j * kappa * np.outer(nodes, centres_m)) / parts
        shapes = np.ones((count, len(at_m)))
        for q in range(count):
            for other in range(count):
                if other != q:
                    shapes[q] *= (at_m - nodes[other]) / (nodes[q] - nodes[other])
    matrix = (carried[:, None, :] * shapes[None, :, :]).reshape(-1, len(at_m))
    return AxisTransform(np.asarray(weights, np.complex64), np.asarray(matrix, np.complex64))


def envelope(grid: FocalGrid, width_m: float, kappa: float) -> NDArray[np.float64]:
    """Transform (rows, columns) of an even square, 1 on the axis."""
    return square(kappa * grid.x_m[None, :], kappa * grid.y_m[:, None], width_m)


@kernel
def pixel_fields(
    phase: NDArray[np.float64],
    rows: NDArray[np.int64],
    pupil: NDArray[np.complex64],
    down: NDArray[np.float64],
    across: NDArray[np.float64],
    weights_down: NDArray[np.complex64],
    weights_across: NDArray[np.complex64],
    scales: NDArray[np.float64],
    phasors: NDArray[np.complex64],
    out: NDArray[np.complex64],
) -> None:
    """Fields of some rows of a panel in several states, Q values per pixel and axis.

    phase: (panel rows, columns) of the gray levels, rad, multiplied by each of scales (states,). pupil: of the panel's
    shape. down, across: (M, 3) `fringing.neighbour_weights`. weights_down, weights_across: of `AxisTransform`. phasors:
    `PHASORS`. out: (states, rows x Q down, columns x Q across), overwritten.
    """
    last_row, last_column = phase.shape[0] - 1, phase.shape[1] - 1
    columns, states, size = phase.shape[1], len(scales), len(phasors)
    q_down, q_across = len(weights_down), len(weights_across)
    mixed = np.empty(columns)
    sums = np.empty((states, q_across), np.complex64)
    steps = scales * (size / (2.0 * math.pi))
    out[:] = 0.0
    for i in range(len(rows)):
        r = rows[i]
        above, below = max(r - 1, 0), min(r + 1, last_row)
        for m in range(len(down)):
            for c in range(columns):
                mixed[c] = down[m, 0] * phase[above, c] + down[m, 1] * phase[r, c] + down[m, 2] * phase[below, c]
            for c in range(columns):
                left, right = mixed[max(c - 1, 0)], mixed[min(c + 1, last_column)]
                sums[:] = 0.0
                for k in range(len(across)):
                    at = across[k, 0] * left + across[k, 1] * mixed[c] + across[k, 2] * right
                    for s in range(states):
                        phasor = phasors[math.floor(at * steps[s] + 0.5) & (size - 1)]
                        for q in range(q_across):
                            sums[s, q] += weights_across[q, k] * phasor
                for s in range(states):
                    for q in range(q_across):
                        value = pupil[r, c] * sums[s, q]
                        for d in range(q_down):
                            out[s, i * q_down + d, c * q_across + q] += weights_down[d, m] * value


@kernel
def _lagrange(place: float, weights: NDArray[np.float64]) -> int:
    """Fill the weights (6,) of the samples around a place, counted in samples; returns the first of them."""
    first = math.floor(place) - 2
    t = place - first
    a, b, c, d, e, f = t, t - 1.0, t - 2.0, t - 3.0, t - 4.0, t - 5.0
    ab, cd, ef = a * b, c * d, e * f
    weights[0] = b * cd * ef / -120.0
    weights[1] = a * cd * ef / 24.0
    weights[2] = ab * d * ef / -12.0
    weights[3] = ab * c * ef / 12.0
    weights[4] = ab * cd * f / -24.0
    weights[5] = ab * cd * e / 120.0
    return first


@kernel
def pixel_means(
    field: NDArray[np.complex64],
    origin: tuple[float, float],
    affine: NDArray[np.float64],
    nodes: NDArray[np.float64],
    weights: NDArray[np.float64],
    other: NDArray[np.complex64],
    intensity: NDArray[np.float64],
    product: NDArray[np.complex128],
) -> None:
    """Means over camera pixels of |E|^2 and, where there is another wave R, of E R*.

    field: (grid rows, columns). affine: (2, 2), grid samples (down, across) per camera pixel (down, across); origin:
    grid place of the centre of the first pixel. nodes, weights: (n,) of a rule on a pixel, from -1/2 to 1/2, weights of
    sum 1. other: (rows x n, columns x n) at the nodes, or empty. intensity and, if there is another, product: (rows,
    columns), filled.
    """
    rows, columns = intensity.shape
    n = len(nodes)
    has_other = other.size > 0
    w_down, w_across = np.empty(6), np.empty(6)
    for r in range(rows):
        for c in range(columns):
            total = 0.0
            cross = 0j
            for a in range(n):
                for b in range(n):
                    v, u = r + nodes[a], c + nodes[b]
                    y = origin[0] + affine[0, 0] * v + affine[0, 1] * u
                    x = origin[1] + affine[1, 0] * v + affine[1, 1] * u
                    top, left = _lagrange(y, w_down), _lagrange(x, w_across)
                    e = 0j
                    for i in range(6):
                        line = 0j
                        for j in range(6):
                            line += w_across[j] * field[top + i, left + j]
                        e += w_down[i] * line
                    weight = weights[a] * weights[b]
                    total += weight * (e.real * e.real + e.imag * e.imag)
                    if has_other:
                        cross += weight * e * np.conj(np.complex128(other[r * n + a, c * n + b]))
            intensity[r, c] = total
            if has_other:
                product[r, c] = cross
