"""A hologram in whole gray levels whose spots have the wanted powers all the same, and which changes by few pixels.

Rounding every pixel to its level leaves powers off by some 4e-4, and otherwise with every pattern. Here single pixels
go up or down by one level, those first that bring all spots' computed powers nearest to what is wanted; some hundred of
a quarter of a million do for 3e-5. A slightly other hologram is the one before but for as many pixels, so that whatever
else the panel does wrong stays as it was.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from protocols.dyad.table.hologram import SpotSum

Array = NDArray[np.float64]
Levels = NDArray[np.int16]

CLOSE = 3e-5
"""Rms of computed ln powers that is close enough."""
_MOST_ROUNDS = 40
_SHARE = 0.6
"""Of what is lacking that a round's pixels are to bring."""


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
        gain = np.abs(slope).ravel()
        # A pixel also moves every spot at random; this is by how much.
        noise = 0.5 * step * (2 / total) ** 2 * 0.5 * float((np.abs(fields) ** -2).sum())
        chosen = _chosen(gain - noise * beam.ravel() ** 2, gain * step, _SHARE * float((lacking**2).sum()))
        if not len(chosen):
            break
        moves = np.sign(slope.ravel()[chosen]).astype(np.int16)
        flat_view = pattern.reshape(-1)
        flat_view[chosen] = np.mod(flat_view[chosen] + moves, levels)
    return best, best_off


def _chosen(worth: NDArray[np.float32], brings: NDArray[np.float32], wanted: float) -> NDArray[np.int64]:
    """Pixels that are worth most, as many as bring what is wanted, of those that are worth anything."""
    many = min(len(worth), 4096)
    top = np.argpartition(-worth, many - 1)[:many]
    top = top[np.argsort(-worth[top])]
    top = top[worth[top] > 0]
    enough = int(np.searchsorted(np.cumsum(brings[top]), wanted)) + 1
    return np.asarray(top[:enough], np.int64)
