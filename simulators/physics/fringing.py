"""Fringing fields: the phase of a pixel runs into its neighbours (Persson OE 20, 22334; Moser OE 27, 25046).

The wrapped phase of the gray levels, constant over each pixel, is blurred by a Gaussian whose width differs along x and
y. It is worked out at the centres of M x M sub-pixels, each of which is taken as even:

    phi(x, y) = (K * phi_gray)(x, y)

A pixel is reached by its eight neighbours; those beyond are more than three sigma away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SUB_PIXELS = 4
"""Per pixel and direction. A flank is 2.1 sigma wide, 0.36 pixels: midpoints at 0.25 integrate it to 1e-4."""


def sub_pixel_centres(count: int, width: float) -> NDArray[np.float64]:
    """Centres (count,) of equal parts of a pixel's active ``width``, from its middle; in units of ``width``'s."""
    return (np.arange(count, dtype=np.float64) - (count - 1) / 2) * (width / count)


def neighbour_weights(centres_px: NDArray[np.floating[Any]], sigma_px: float) -> NDArray[np.float64]:
    """(centres, 3) share of the previous pixel, of this one and of the next in the blurred phase at each centre.

    What lies beyond the neighbours is counted to them, so the shares add up to 1.
    """
    if sigma_px <= 0:
        return np.tile([0.0, 1.0, 0.0], (len(centres_px), 1))
    from scipy.special import ndtr  # a seventh of a second, which every process of a bench would pay

    below = ndtr((-0.5 - centres_px) / sigma_px)
    above = ndtr((centres_px - 0.5) / sigma_px)
    return np.stack([below, 1 - below - above, above], axis=1)


def blurred(phase: NDArray[np.float64], down: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phase (rows, M, columns, N) at every sub-pixel of an image (rows, columns) of gray-level phases, rad.

    down: (M, 3) and across: (N, 3) `neighbour_weights`. Pixels at the border have themselves as neighbours outside.
    """
    wide = np.pad(phase, 1, mode="edge")
    rows, columns = phase.shape
    along = np.zeros((rows + 2, columns, len(across)))
    for d in range(3):
        along += across[:, d] * wide[:, d : d + columns, None]
    out = np.zeros((rows, len(down), columns, len(across)))
    for d in range(3):
        out += down[:, d, None, None] * along[d : d + rows, None]
    return out
