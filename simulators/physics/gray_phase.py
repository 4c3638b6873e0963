"""The phase a gray level really gives, and the shape a panel and its optics add to a flat wave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

TURN = 2 * math.pi


def bent_phase(
    phase: NDArray[np.floating[Any]], gain: NDArray[np.floating[Any]] | float, bend: tuple[float, float]
) -> NDArray[np.float64]:
    """Phase (rad) where the look-up table promises ``phase`` (rad, a turn at most).

    Off by a gain, and by a smooth curve that vanishes at both ends: bend[0] / 2 of a turn in the middle, and
    bend[1] / 4 of a turn one way at a quarter and the other way at three quarters of the range.
    """
    share = np.asarray(phase, np.float64) / TURN
    curve = 0.5 * bend[0] * np.sin(math.pi * share) + 0.25 * bend[1] * np.sin(2 * math.pi * share)
    bent: NDArray[np.float64] = TURN * (share * (1 + gain) + curve)
    return bent


def wavefront(
    x_m: NDArray[np.floating[Any]], y_m: NDArray[np.floating[Any]], radius_m: float, modes: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Phase (rows, columns) of Zernike focus and astigmatism at 0 and 45 degrees, rad; the modes are rms over a disc.

    x_m: (columns,), y_m: (rows,) from the centre of the disc of ``radius_m``. Noll's Z4, Z6 and Z5.
    """
    x, y = x_m[None, :] / radius_m, y_m[:, None] / radius_m
    focus, upright, oblique = modes
    shape: NDArray[np.float64] = (
        focus * math.sqrt(3) * (2 * (x**2 + y**2) - 1)
        + upright * math.sqrt(6) * (x**2 - y**2)
        + oblique * math.sqrt(6) * 2 * x * y
    )
    return shape


def soft_discs(
    rows: int, columns: int, places: NDArray[np.float64], radii: NDArray[np.float64], transmission: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Transmission (rows, columns) of spots of dust: 1 but for discs with edges two pixels wide.

    places: (spots, 2) row and column, radii: (spots,), both in pixels.
    """
    out = np.ones((rows, columns))
    for (row, column), radius, through in zip(places, radii, transmission, strict=True):
        reach = radius + 4
        first_row, first_column = max(int(row - reach), 0), max(int(column - reach), 0)
        region = out[first_row : max(int(row + reach) + 1, 0), first_column : max(int(column + reach) + 1, 0)]
        r = first_row + np.arange(region.shape[0])[:, None] - row
        c = first_column + np.arange(region.shape[1])[None, :] - column
        region *= 1 - (1 - through) / (1 + np.exp(2 * (np.hypot(r, c) - radius)))
    return out
