"""Rows of a panel in a continuous spectrum: neighbours share wavelengths, so their fields add coherently.

A wavelength's spot on the panel is a Gaussian of amplitude exp(-y^2 / w^2) that lights several rows. With A_r its mean
amplitude on row r and P its power, the far field of rows r with transforms F_r is

    I = integral P(lambda) |sum_r A_r F_r|^2 = sum_rs C_rs F_r F_s*,   C_rs = integral P(lambda) A_r A_s

Amplitude is taken as even within a row and carries the spot's whole power. For two bands of two rows each, w = 6.75 um
(1/e^2 diameter 13.5 um) and rows of 8 um this gives G_{j,j+1} = 0.25 G_jj (optical-table.md, table A).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BAND_ROWS = 2
"""Rows of a band in the ratio by which a coupling is named."""

_SMALLEST_RADIUS = 0.1


def spot_amplitudes(
    centres: NDArray[np.floating[Any]], radii: NDArray[np.floating[Any]] | float, rows: int
) -> NDArray[np.float64]:
    """A (rows, samples): amplitude on rows 0 to ``rows`` - 1 of spots at ``centres``, squares adding up to 1.

    centres and radii (1/e^2 of the power) in rows; row 0 reaches from 0 to 1. A spot that lies partly outside keeps
    there what falls there.
    """
    from scipy.special import erf  # a seventh of a second, which every process of a bench would pay

    reach = int(np.ceil(4 * np.max(radii))) + 1
    edges = np.arange(-reach, rows + reach + 1)[:, None]
    amplitude = np.diff(erf((edges - centres[None, :]) / radii), axis=0)
    norm = np.sqrt((amplitude**2).sum(axis=0))
    norm[norm == 0] = 1.0  # a spot far outside
    out: NDArray[np.float64] = (amplitude / norm)[reach : reach + rows]
    return out


def coupling(amplitudes: NDArray[np.float64], watts: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """C (rows, reach + 1) of each row with itself and the next ones, W; watts: (samples,) of the spectrum."""
    lit = amplitudes * watts
    rows = len(amplitudes)
    out = np.zeros((rows, reach + 1))
    for d in range(min(reach + 1, rows)):
        out[: rows - d, d] = np.einsum("rn,rn->r", lit[: rows - d], amplitudes[d:])
    return out


def coupling_reach(radius: float, tolerance: float = 1e-4) -> int:
    """Distance in rows beyond which C is less than ``tolerance`` of C_rr."""
    shares = row_shares(radius, 64)
    return max(int(np.flatnonzero(shares >= tolerance * shares[0])[-1]), BAND_ROWS - 1)


def neighbour_ratio(radius: float) -> float:
    """G_{j,j+1} / G_jj of adjacent bands of two rows for a spot of this 1/e^2 radius, in rows."""
    c = row_shares(radius, 2 * BAND_ROWS)
    own = sum(c[abs(r - s)] for r in range(BAND_ROWS) for s in range(BAND_ROWS))
    next_one = sum(c[abs(r - s)] for r in range(BAND_ROWS) for s in range(BAND_ROWS, 2 * BAND_ROWS))
    return float(next_one / own)


def radius_for_ratio(ratio: float) -> float:
    """Spot radius, in rows, at which neighbouring bands couple with this ratio; a tenth of a row at least."""
    from scipy.optimize import brentq  # half a second, which every process of a bench would pay

    if ratio <= neighbour_ratio(_SMALLEST_RADIUS):
        return _SMALLEST_RADIUS
    return float(brentq(lambda radius: neighbour_ratio(radius) - ratio, _SMALLEST_RADIUS, 8.0, xtol=1e-9))


def row_shares(radius: float, rows: int) -> NDArray[np.float64]:
    """C of row distances 0 to rows - 1 under an even spectrum of unit power per row."""
    per_row = 32
    centres = (np.arange((rows + 40) * per_row) + 0.5) / per_row - 20
    amplitudes = spot_amplitudes(centres, radius, rows)
    return np.asarray(amplitudes @ amplitudes[0]) / per_row
