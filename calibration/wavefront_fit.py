"""Wavefronts from phases of blocks of a panel: unwrapping, modes, and the phase of every pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.zernike import zernikes

Array = NDArray[np.float64]

BELIEVED_RAD = 0.5
"""Standard uncertainty above which a block's own phase is not used, but that of its neighbours."""

_DEGREE = 4
"""Of the polynomial through the blocks: up to spherical aberration."""


def unwrapped(phase: Array, error: Array, start: tuple[int, int], together: bool) -> Array:
    """Phase (rows, columns) of blocks without jumps of a turn, from the block ``start`` outwards.

    together: whether rows may be compared; else each row by itself, from the column of ``start``. Blocks that are too
    uncertain to steer by take the turn that is nearest to a line through those before them.
    """
    out = phase.copy()
    rows, columns = phase.shape
    row, column = start

    def along(values: Array, sure: NDArray[np.bool_], first: int) -> None:
        for way in (1, -1):
            seen = [first]
            for k in range(first + way, len(values) if way > 0 else -1, way):
                a, b = seen[-1], seen[-2] if len(seen) > 1 else seen[-1]
                slope = (values[a] - values[b]) / (a - b) if a != b else 0.0
                expected = values[a] + 0.5 * slope * (k - a)
                values[k] += 2 * math.pi * round((expected - values[k]) / (2 * math.pi))
                if sure[k]:
                    seen.append(k)

    sure = error < BELIEVED_RAD
    if together:
        along(out[row], sure[row], column)
        for c in range(columns):
            along(out[:, c], sure[:, c], row)
    else:
        for r in range(rows):
            along(out[r], sure[r], column)
    return out


def weighted_fit(terms: Array, values: Array, error: Array) -> tuple[Array, Array, float]:
    """Coefficients (n,), their covariance (n, n), and chi^2 per degree of freedom (covariance grows by it, if > 1).

    terms: (n, points). Directions that the points do not tell are left at nothing.
    """
    scaled = (terms / error).T
    inverse = np.linalg.pinv(scaled, rcond=1e-6)
    found = inverse @ (values / error)
    free = max(len(values) - len(terms), 1)
    chi2 = float((((values - found @ terms) / error) ** 2).sum()) / free
    return found, inverse @ inverse.T * max(chi2, 1.0), chi2


def zernike_terms(indices: Sequence[int], rows: Array, columns: Array, panel: tuple[int, int]) -> Array:
    """Zernike polynomials (n, rows, columns) at panel pixels, on the disc around a panel of (rows, columns)."""
    radius = 0.5 * math.hypot(*panel)
    y, x = (rows - (panel[0] - 1) / 2) / radius, (columns - (panel[1] - 1) / 2) / radius
    return zernikes(indices, *np.meshgrid(x, y))


def panel_phase(finding: Any, rows: Array, columns: Array) -> Array:
    """Phase (rows, columns), rad, of a "wavefront" at panel pixels; shown with the other sign it makes waves flat.

    finding: what has ``row_px``, ``column_px``, ``phase_rad`` (blocks down, across) by name and
    ``uncertainty("phase_rad")``: a calibration. A polynomial through the blocks, and what it leaves of each between
    their centres; beyond the outer centres what it leaves stays as it is there.
    """
    error = finding.uncertainty("phase_rad")
    return smooth_phase(finding["row_px"], finding["column_px"], finding["phase_rad"], error, rows, columns)


def smooth_phase(row_px: Array, column_px: Array, phase: Array, error: Array, rows: Array, columns: Array) -> Array:
    """`panel_phase` of plain arrays."""
    reach = max(float(np.ptp(row_px)), float(np.ptp(column_px)), 1.0) / 2
    degrees = min(_DEGREE, len(row_px) - 1), min(_DEGREE, len(column_px) - 1)
    a, b = np.meshgrid(np.arange(degrees[0] + 1), np.arange(degrees[1] + 1), indexing="ij")
    chosen = a + b <= max(degrees)

    def powers(at: Array, centres: Array, degree: int) -> Array:
        return np.asarray(((at - centres.mean()) / reach)[:, None] ** np.arange(degree + 1))

    down, across = powers(row_px, row_px, degrees[0]), powers(column_px, column_px, degrees[1])
    terms = np.einsum("ra,cb->abrc", down, across)[chosen]
    found, _, _ = weighted_fit(terms.reshape(len(terms), -1), phase.ravel(), np.maximum(error, 1e-6).ravel())
    coefficients = np.zeros(chosen.shape)
    coefficients[chosen] = found
    left = (phase - down @ coefficients @ across.T) / (1 + (error / 0.1) ** 2)
    smooth = powers(rows, row_px, degrees[0]) @ coefficients @ powers(columns, column_px, degrees[1]).T
    return np.asarray(smooth + _between(rows, row_px) @ left @ _between(columns, column_px).T)


def _between(at: Array, nodes: Array) -> Array:
    """Weights (at, nodes) of linear interpolation; beyond the outer nodes their value stays."""
    return np.stack([np.interp(at, nodes, unit) for unit in np.eye(len(nodes))], axis=1)
