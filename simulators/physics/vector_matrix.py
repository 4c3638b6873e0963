"""A coherent vector-matrix multiplier: a strip of columns, spread over a panel of couplings, summed along its rows.

(Goodman, Dias and Woody, Opt. Lett. 2, 1 (1978), with fields instead of powers.) The strip's field at column place x is
the mean over its rows, as the line that lights it weighs them; it is imaged along x and spread along y; the panel
multiplies it; rows are imaged on the camera's rows, columns transformed:

    E(y, X) = sum_x exp(-i kappa X x) T(y, x) u(x),    T(y, x) = sum_Y P(y, Y) s(Y) C(Y, x),    u = H v

v: field of the strip's sub-pixels, H: their coherent image on the panel's, s: how light is spread along Y, C: the
panel's sub-pixels, P: their coherent image on the camera. All blur is Gaussian, of amplitudes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Array = NDArray[np.float64]

TURN_PARTS = 1 << 14
PHASORS = np.exp(2j * np.pi * np.arange(TURN_PARTS) / TURN_PARTS).astype(np.complex64)
"""Of a circle in steps of 0.4 mrad."""

_MIXTURES = 64
"""That are added at a time until a matrix's rank is met."""

_REACH = 4.5
"""Of a blur in its sigmas: 1e-5 of the amplitude's integral lies beyond."""


def image_weights(at: Array, sources: Array, sigma: float) -> csr_matrix:
    """Amplitude (places, sources) with which evenly spaced sources, imaged to ``sources``, are seen at places.

    A Gaussian of sigma whose integral is 1; where it is narrower than the sources' step, the straight line between two
    of them. All in one unit; ``at`` and ``sources`` rise.
    """
    from scipy.sparse import csr_matrix  # a fifth of a second, which every process of a bench would pay

    step = float(sources[1] - sources[0])
    narrow = sigma < 0.5 * step
    reach = step if narrow else _REACH * sigma
    first = np.maximum(np.ceil((at - reach - sources[0]) / step).astype(np.int64), 0)
    last = np.minimum(np.floor((at + reach - sources[0]) / step).astype(np.int64), len(sources) - 1)
    counts = np.maximum(last - first + 1, 0)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    index = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts) + np.repeat(first, counts)
    away = np.repeat(at, counts) - sources[index]
    if narrow:
        weights = np.maximum(1 - np.abs(away) / step, 0.0)
    else:
        weights = step / (math.sqrt(2 * math.pi) * sigma) * np.exp(-(away**2) / (2 * sigma**2))
    return csr_matrix((weights, index, bounds), shape=(len(at), len(sources)))


@kernel
def strip_field(
    phase: Array,
    row_weights: Array,
    across: Array,
    scale: float,
    rest: NDArray[np.complex64],
    light: NDArray[np.complex64],
    phasors: NDArray[np.complex64],
    out: NDArray[np.complex64],
) -> None:
    """Field (columns x M,) of a strip's sub-pixels: light (rest + sum_r w_r exp(i scale phi_rck)).

    phase: (rows, columns) of the gray levels, rad. row_weights: (rows,) of the line that lights it, times what of a
    pixel modulates light. across: (M, 3) `fringing.neighbour_weights` along a row. rest: (columns x M,) of light that
    no gray level reaches. light: (columns x M,) of the beam.
    """
    rows, columns = phase.shape
    parts, size = len(across), len(phasors)
    step = scale * (size / (2.0 * math.pi))
    out[:] = rest
    for r in range(rows):
        weight = np.float32(row_weights[r])
        if weight == 0.0:
            continue
        for c in range(columns):
            left, here, right = phase[r, max(c - 1, 0)], phase[r, c], phase[r, min(c + 1, columns - 1)]
            for k in range(parts):
                at = across[k, 0] * left + across[k, 1] * here + across[k, 2] * right
                out[c * parts + k] += weight * phasors[math.floor(at * step + 0.5) & (size - 1)]
    for i in range(len(out)):
        out[i] *= light[i]


@kernel
def panel_field(
    phase: Array,
    down: Array,
    across: Array,
    scale: float,
    modulated: float,
    rest: NDArray[np.complex64],
    turn: float,
    phasors: NDArray[np.complex64],
    out: NDArray[np.complex64],
) -> None:
    """Field (rows x M, columns x N) of a panel's sub-pixels in even light: exp(i turn) (rest + m exp(i scale phi)).

    phase: (rows, columns) of the gray levels, rad. down: (M, 3) and across: (N, 3) `fringing.neighbour_weights`.
    modulated: m, what of a pixel modulates light. rest: of the shape of ``out``, or (1, 1).
    """
    rows, columns = phase.shape
    m_parts, n_parts, size = len(down), len(across), len(phasors)
    step = scale * (size / (2.0 * math.pi))
    common = np.complex64(complex(math.cos(turn), math.sin(turn)))
    even = rest.size == 1
    mixed = np.empty(columns)
    for r in range(rows):
        above, below = max(r - 1, 0), min(r + 1, rows - 1)
        for m in range(m_parts):
            y = r * m_parts + m
            for c in range(columns):
                mixed[c] = down[m, 0] * phase[above, c] + down[m, 1] * phase[r, c] + down[m, 2] * phase[below, c]
            for c in range(columns):
                left, here, right = mixed[max(c - 1, 0)], mixed[c], mixed[min(c + 1, columns - 1)]
                for k in range(n_parts):
                    x = c * n_parts + k
                    at = across[k, 0] * left + across[k, 1] * here + across[k, 2] * right
                    phasor = phasors[math.floor(at * step + 0.5) & (size - 1)]
                    other = rest[0, 0] if even else rest[y, x]
                    out[y, x] = common * (other + np.float32(modulated) * phasor)


@kernel
def add_rows(
    starts: NDArray[np.int32],
    index: NDArray[np.int32],
    weights: NDArray[np.complex64],
    field: NDArray[np.complex64],
    out: NDArray[np.complex64],
) -> None:
    """Sparse rows (starts, index, weights) times a dense field (sources, columns) into ``out`` (places, columns)."""
    out[:] = 0.0
    for i in range(len(starts) - 1):
        for k in range(starts[i], starts[i + 1]):
            weight, source = weights[k], index[k]
            for c in range(field.shape[1]):
                out[i, c] += weight * field[source, c]


def low_rank(matrix: NDArray[np.complex64], lost: float) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Left (rows, rank) and right (rank, columns) whose product is the matrix but for a share ``lost`` of its norm.

    The left has orthonormal columns, found from random mixtures of the matrix's own, some after some (Halko, Martinsson
    and Tropp, SIAM Rev. 53, 217 (2011), sec. 4.4); where a matrix has no small rank, the left is 1.
    """
    rows, columns = matrix.shape
    most = min(rows, columns) // 2
    draws = np.random.default_rng(0)  # any mixtures do
    left, right = np.empty((rows, 0), np.complex64), np.empty((0, columns), np.complex64)
    whole = _energy(matrix)
    while left.shape[1] + _MIXTURES <= most:
        mix = np.empty((columns, _MIXTURES), np.complex64)
        mix.real, mix.imag = draws.standard_normal((2, columns, _MIXTURES), np.float32)
        found = matrix @ mix
        for _ in range(2):
            found -= left @ (left.conj().T @ found)
            found, _ = np.linalg.qr(found)
        left = np.concatenate([left, found], axis=1)
        right = np.concatenate([right, found.conj().T @ matrix])
        if whole - _energy(right) <= lost**2 * whole:
            return np.ascontiguousarray(left), right
    return np.eye(rows, dtype=np.complex64), matrix


def _energy(matrix: NDArray[np.complex64]) -> float:
    return float(np.square(matrix.view(np.float32)).sum(dtype=np.float64))


@kernel
def exposed(
    field: NDArray[np.complex64],
    reference: NDArray[np.complex64],
    path: complex,
    weights: Array,
    signal_w: float,
    reference_w: float,
    out: Array,
) -> None:
    """Add to ``out`` (rows, columns) the mean of |sqrt(P) E|^2 + |sqrt(P') R|^2 + 2 sqrt(P P') Re(E R* path*).

    field: (rows x n, columns) at n nodes of each pixel's rows, as R of ``reference``; weights: (n,) of the nodes.
    """
    n = len(weights)
    rows, columns = out.shape
    both = 2.0 * math.sqrt(signal_w * reference_w)
    turned = path.conjugate()
    for r in range(rows):
        for c in range(columns):
            total = 0.0
            for k in range(n):
                e, w = field[r * n + k, c], reference[r * n + k, c]
                total += weights[k] * (
                    signal_w * (e.real * e.real + e.imag * e.imag)
                    + reference_w * (w.real * w.real + w.imag * w.imag)
                    + both * (e * w.conjugate() * turned).real
                )
            out[r, c] += total
