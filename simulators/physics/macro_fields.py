"""Fields that macro-pixels send into an order, with what fringing fields make of the phases written next to them.

The pattern is taken as wrapped to one turn, as gray levels are; each pixel's phase is the blurred one of
`simulators.physics.fringing`, and a macro-pixel's field is the mean of its sub-pixels', relative to a carrier (a blaze
and whatever else its order needs):

    E = < exp(i [(K * wrapped)(x, y) - carrier(x, y)]) >

One compiled pass over the panel, with phasors from a table: fit for the inner loop of an encoder.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.fringing import SUB_PIXELS, blurred, neighbour_weights, sub_pixel_centres

_TABLE = 8192
"""Phasors of a turn. A phase is off by 4e-4 rad at most, and at random."""

_angles = 2 * math.pi * np.arange(_TABLE) / _TABLE
PHASORS = np.exp(1j * _angles).astype(np.complex64)


def pixel_weights(
    crosstalk_px: tuple[float, float], fill_factor: float = 0.93
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Neighbour weights (sub-pixels, 3) down and across for blurs of ``crosstalk_px`` (down, across), SLM pixels."""
    centres = sub_pixel_centres(SUB_PIXELS, math.sqrt(fill_factor))
    down, across = (neighbour_weights(centres, sigma).astype(np.float32) for sigma in crosstalk_px)
    return down, across


@kernel
def macro_fields(
    turns: NDArray[np.float32],
    carrier: NDArray[np.complex64],
    down: NDArray[np.float32],
    across: NDArray[np.float32],
    macro_rows: int,
    macro_columns: int,
    phasors: NDArray[np.complex64],
    fields: NDArray[np.complex128],
) -> None:
    """Fill ``fields`` (macro rows, macro columns), 1 for a macro-pixel that shows its carrier.

    turns: (rows, columns) wrapped phase, 0 to 1. carrier: (rows, columns) exp(-i carrier). down, across:
    `pixel_weights`. macro_rows, macro_columns: pixels of a macro-pixel. phasors: `PHASORS`. At the border a pixel has
    itself as neighbour.
    """
    rows, columns = turns.shape
    m, n, size = len(down), len(across), len(phasors)
    scale = np.float32(size)
    mask = size - 1
    along = np.empty((3, columns, n), np.float32)  # rows r - 1, r, r + 1, in a ring
    fields[:] = 0.0
    for ahead in range(rows + 1):
        if ahead < rows:
            slot = ahead % 3
            for c in range(columns):
                left = turns[ahead, c - 1 if c > 0 else c]
                here = turns[ahead, c]
                right = turns[ahead, c + 1 if c + 1 < columns else c]
                for k in range(n):
                    along[slot, c, k] = scale * (across[k, 0] * left + across[k, 1] * here + across[k, 2] * right)
        r = ahead - 1
        if r < 0:
            continue
        above, middle = (r - 1 if r > 0 else r) % 3, r % 3
        below = (r + 1 if r + 1 < rows else r) % 3
        out = r // macro_rows
        for c in range(columns):
            total = np.complex64(0)
            for j in range(m):
                for k in range(n):
                    at = down[j, 0] * along[above, c, k] + down[j, 1] * along[middle, c, k]
                    at += down[j, 2] * along[below, c, k]
                    total += phasors[int(at + np.float32(0.5)) & mask]
            fields[out, c // macro_columns] += total * carrier[r, c]
    fields /= m * n * macro_rows * macro_columns


def fields_plainly(
    phase: NDArray[np.float64],
    carrier_rad: NDArray[np.float64],
    crosstalk_px: tuple[float, float],
    macro_rows: int,
    macro_columns: int,
    fill_factor: float = 0.93,
) -> NDArray[np.complex128]:
    """The same (macro rows, macro columns) by the plain road, from phases (rows, columns) in radians."""
    centres = sub_pixel_centres(SUB_PIXELS, math.sqrt(fill_factor))
    down, across = (neighbour_weights(centres, sigma) for sigma in crosstalk_px)
    pixels = np.exp(1j * blurred(np.mod(phase, 2 * math.pi), down, across)).mean(axis=(1, 3))
    pixels *= np.exp(-1j * carrier_rad)
    rows, columns = phase.shape
    shape = (rows // macro_rows, macro_rows, columns // macro_columns, macro_columns)
    return np.asarray(pixels.reshape(shape).mean(axis=(1, 3)))


def in_turns(phase: NDArray[Any]) -> NDArray[np.float32]:
    """Phases in radians as `macro_fields` takes them."""
    turns = np.mod(np.asarray(phase, np.float64) * (1 / (2 * math.pi)), 1.0).astype(np.float32)
    turns[turns >= 1] = 0.0  # what rounded up to a full turn
    return turns
