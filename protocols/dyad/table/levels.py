"""A hologram in whole gray levels whose spots have the wanted powers all the same, and which changes by few pixels.

Rounding every pixel to its level leaves powers off by some 4e-4, and otherwise with every pattern. Here single pixels
go up or down by one level until all spots' computed powers are what is wanted to 1.5e-5; two thousand of a quarter of a
million do. A slightly other hologram is the one before but for as many pixels, so that whatever else the panel does
wrong stays as it was.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.table.hologram import SpotSum

Array = NDArray[np.float64]
Levels = NDArray[np.int16]

CLOSE = 1.5e-5
"""Rms of computed ln powers that is close enough."""
_MOST_ROUNDS = 40
_SHARE = 0.5
"""Of what is lacking that a round's pixels are to bring."""
_LOOKED_AT = 0.05
"""Share of the pixels that a round chooses from, at random: the best of all would all serve the same few spots."""
_GOOD = 0.8
"""Quantile of what a pixel is worth from which it is good enough."""


def nearest_levels(phase: Array, levels: int) -> Levels:
    """Of a pattern (rows, columns), rad."""
    return np.asarray(np.mod(np.rint(phase * (levels / (2 * math.pi))), levels), np.int16)


def refined(
    pattern: Levels,
    levels: int,
    powers: Array,
    spots: SpotSum,
    beam: NDArray[np.float32],
    flat: Array | float = 0.0,
) -> tuple[Levels, float]:
    """The pattern (rows, columns) with some pixels a level up or down, and how far (rms of ln) powers are off then.

    powers: (m,) wanted, relative. beam: (rows, columns) amplitude on the panel. flat: (rows, columns) rad that the
    table adds to the panel's phase.
    """
    wanted = np.log(powers) - np.log(powers).mean()
    step = 2 * math.pi / levels
    pattern = pattern.copy()
    added = np.exp(1j * np.asarray(flat)).astype(np.complex64)
    turns = np.exp(1j * step * np.arange(levels)).astype(np.complex64)
    total = float(beam.sum())
    rng = np.random.default_rng(0)  # any will do, and the same one makes the same pattern
    best, best_off, waited = pattern.copy(), math.inf, 0
    for _ in range(_MOST_ROUNDS):
        lit = turns[pattern] * added * beam
        fields = spots.sums(lit) / total
        found = np.log(np.abs(fields) ** 2)
        lacking = wanted - (found - found.mean())
        off = float(np.sqrt((lacking**2).mean()))
        waited = 0 if off < 0.95 * best_off else waited + 1
        if off < best_off:
            best, best_off = pattern.copy(), off
        if off < CLOSE or waited > 3:
            break
        # d ln|E_k|^2 / d phase of pixel p, times what is lacking, summed over the spots; no sum of all is moved.
        back = spots.waves_of(np.conj(lacking / fields))
        slope = (-2 / total) * (lit * np.conj(back)).imag
        # A pixel also moves every spot at random; this is by how much.
        noise = 0.5 * step * (2 / total) ** 2 * 0.5 * float((np.abs(fields) ** -2).sum())
        some = rng.permutation(np.unique(rng.integers(0, slope.size, math.ceil(_LOOKED_AT * slope.size))))
        chosen = _chosen(
            slope.ravel()[some], noise * beam.ravel()[some] ** 2, _SHARE * float((lacking**2).sum()) / step
        )
        if not len(chosen):
            break
        at = some[chosen]
        line = pattern.reshape(-1)
        line[at] = np.mod(line[at] + np.sign(slope.ravel()[at]).astype(np.int16), levels)
    return best, best_off


def _chosen(slope: NDArray[np.float32], costs: NDArray[np.float32], wanted: float) -> NDArray[np.int64]:
    """Some of the good pixels, in the order they come, as many as bring what is wanted."""
    gain = np.abs(slope)
    worth = gain - costs
    good = np.flatnonzero(worth > max(float(np.quantile(worth, _GOOD)), 0.0))
    enough = int(np.searchsorted(np.cumsum(gain[good]), wanted)) + 1
    return np.asarray(good[:enough], np.int64)
