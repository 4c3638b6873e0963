"""Macro-pixels of the photonic RBM in a blazed order, and the phases that give them wanted fields on a real panel.

A blaze along the bands, its period proportional to each row's wavelength, sends the light of all of them to one camera
column beside the zeroth order, away from what no gray level reaches (dead area, front face). A dark macro-pixel's phase
lags behind by one turn along its columns, so that its own light cancels there. The others show two phases, one on
either half, about the carrier:

    phi = carrier + (pi / 2) s -+ arccos(u),      field = i s u,      s = +-1,  -1 <= u <= 1

One edge in the middle is the least that fringing fields can spoil; what they do spoil there, at the borders to the
neighbours and wherever the carrier wraps depends on all phases at once. It is worked out by
`simulators.physics.macro_fields`, and u is corrected: first for each macro-pixel, then a few of them, in turn, for the
sum of the band, which is all that is measured. Fields that no u reaches by itself are then made up for by others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Calibration, ConfigurationError
from simulators.physics.compiled import kernel
from simulators.physics.macro_fields import PHASORS, in_turns, macro_fields, pixel_weights

HALF_PI = math.pi / 2
HEADROOM = 0.9
"""Largest field asked of a macro-pixel, of what it would give without fringing fields."""

_REST = -2.7

_SINGLE_ROUNDS = 2
_SUM_ROUNDS = 4
_ADJUSTED = 16
"""Macro-pixels of a band that share a correction of its sum: enough for each to move by little."""


@dataclass(eq=False)
class BlazedStrip:
    """Bands of ``rows_per_band`` rows from first_row on, of macro-pixels ``pixels_per_spin`` wide from first_column on.

    carrier: (rows, columns) phase, rad, by which light of these pixels arrives in phase at the camera pixel that is
    read. crosstalk_px: sigma of the fringing fields, (down, across), SLM pixels.
    sides: (rows, columns) of one macro-pixel, +1 or -1: which pixels show which of the two phases; halves if empty.
    reach: (rows, columns) turns of phase that the panel's levels reach, 1 if empty: above it pixels show the nearest.
    """

    first_row: int
    rows_per_band: int
    first_column: int
    pixels_per_spin: int
    carrier: NDArray[np.float64]
    crosstalk_px: tuple[float, float]
    sides: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 0), np.int64))
    reach: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    _phasors: NDArray[np.complex64] = field(init=False, repr=False)
    _weights: tuple[NDArray[np.float32], NDArray[np.float32]] = field(init=False, repr=False)
    _bright: NDArray[np.float32] = field(init=False, repr=False)
    _dark: NDArray[np.float32] = field(init=False, repr=False)
    _turns: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._phasors = np.exp(-1j * (self.carrier + HALF_PI)).astype(np.complex64)
        self._weights = pixel_weights(self.crosstalk_px)
        if self.pixels_per_spin < 2:
            raise ConfigurationError("pixels_per_spin = 1: a macro-pixel of two phases needs 2 columns or more")
        fall = 2 * math.pi * (np.arange(self.carrier.shape[1]) % self.pixels_per_spin) / self.pixels_per_spin
        self._bright, self._dark = in_turns(self.carrier), in_turns(self.carrier - fall)
        self._turns = np.empty_like(self._bright)
        if not self.reach.size:
            self.reach = np.ones_like(self._bright)
        if not self.sides.size:
            self.sides = halves(self.rows_per_band, self.pixels_per_spin)

    @property
    def bands(self) -> int:
        """How many."""
        return len(self.carrier) // self.rows_per_band

    @property
    def macro_pixels(self) -> int:
        """Of a band."""
        return int(self.carrier.shape[1]) // self.pixels_per_spin

    @property
    def origin(self) -> tuple[int, int]:
        """Its corner on the panel, row and column."""
        return self.first_row, self.first_column

    def phases(
        self, signs: NDArray[np.floating[Any]], u: NDArray[np.float64], lit: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Phases (rows, columns), rad, of macro-pixels (bands, macro pixels); those not lit are dark."""
        return 2 * math.pi * self._wrapped(signs, u, lit).astype(np.float64)

    def cells(self, band: int, macro_pixels: range, sign: int, turn_rad: float = 0.0) -> NDArray[np.float64]:
        """Phases (rows, columns) of macro-pixels of a band at u = 1, turned by ``turn_rad`` against their carrier."""
        rows = slice(band * self.rows_per_band, (band + 1) * self.rows_per_band)
        columns = slice(macro_pixels.start * self.pixels_per_spin, macro_pixels.stop * self.pixels_per_spin)
        return self.carrier[rows, columns] + HALF_PI * sign + turn_rad

    def fields(
        self, signs: NDArray[np.floating[Any]], u: NDArray[np.float64], lit: NDArray[np.bool_]
    ) -> NDArray[np.complex128]:
        """Fields (bands, macro pixels) in the order, relative to s u = 1."""
        turns, out = self._wrapped(signs, u, lit), np.empty(u.shape, np.complex128)
        macro_fields(turns, self._phasors, *self._weights, self.rows_per_band, self.pixels_per_spin, PHASORS, out)
        return out

    def _wrapped(
        self, signs: NDArray[np.floating[Any]], u: NDArray[np.float64], lit: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """What `phases` returns, in turns; valid until it is asked for again."""
        turn = 1 / (2 * math.pi)
        half = (np.arccos(np.clip(u, -1.0, 1.0)) * turn).astype(np.float32)
        middle = np.broadcast_to(np.asarray(signs, np.float32) * np.float32(0.25), u.shape)
        lit = np.broadcast_to(lit, u.shape)
        _fill(self._turns, self._bright, self._dark, self.reach, middle, half, lit, self.sides)
        return self._turns

    def solve(
        self,
        signs: NDArray[np.floating[Any]],
        u: NDArray[np.float64],
        lit: NDArray[np.bool_],
        weights: NDArray[np.float64],
        between: Callable[[], object] = lambda: None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Phases (rows, columns) whose fields sum up to what is wanted, and what is left (bands,) of the sums.

        signs, u: (bands, macro pixels) wanted field = signs x u. lit: those that are not dark. weights: (bands, macro
        pixels) of each in its band's sum; those without weight, as the output spin, stay as they are. between: called
        every tenth of a second or so, for a control loop that must show that it is alive.
        """
        signs, lit = (np.broadcast_to(a, u.shape) for a in (signs, lit))
        free = lit & (weights != 0)
        wanted = np.where(lit, signs * u, 0.0)
        tuned = u.copy()
        for _ in range(_SINGLE_ROUNDS):
            between()
            off = wanted - self.fields(signs, tuned, lit).real
            tuned = np.where(free, np.clip(tuned + signs * off, -1.0, 1.0), tuned)
        places = np.flatnonzero(free.any(axis=0))
        chooser = np.random.default_rng(0)  # of the method: the same phases for the same wish
        best, left = tuned, np.full(len(u), np.inf)
        for turn in range(_SUM_ROUNDS + 1):
            between()
            off = (weights * (self.fields(signs, tuned, lit).real - wanted)).sum(axis=1)
            better = np.abs(off) < np.abs(left)
            best = np.where(better[:, None], tuned, best)
            left = np.where(better, off, left)
            if turn == _SUM_ROUNDS or not len(places):
                break
            chosen = chooser.permutation(places)[:_ADJUSTED]
            share = (weights * free)[:, chosen].sum(axis=1)
            step = np.divide(left, share, out=np.zeros_like(left), where=share > 0)
            tuned = best.copy()
            moved = np.clip(tuned[:, chosen] - step[:, None] * signs[:, chosen], -1.0, 1.0)
            tuned[:, chosen] = np.where(free[:, chosen], moved, tuned[:, chosen])
        between()
        # Bands that were best in different rounds have other neighbours now.
        left = (weights * (self.fields(signs, best, lit).real - wanted)).sum(axis=1)
        return self.phases(signs, best, lit), left


def compile_kernels() -> None:
    """Have all that is compiled on first use compiled now: some seconds the first time on a machine."""
    one = np.ones((1, 1))
    BlazedStrip(0, 1, 0, 2, np.zeros((1, 2)), (0.1, 0.1)).fields(one, one, one > 0)


def halves(rows: int, columns: int) -> NDArray[np.int64]:
    """Sides (rows, columns) of a macro-pixel with one edge, in its middle."""
    return np.tile(np.where(2 * np.arange(columns) < columns, 1, -1), (rows, 1))


def stripes(rows: int, columns: int, along_rows: bool) -> NDArray[np.int64]:
    """Sides (rows, columns) of a macro-pixel of stripes one pixel wide, along its rows or its columns."""
    index = np.arange(rows)[:, None] if along_rows else np.arange(columns)[None, :]
    return np.array(np.broadcast_to(1 - 2 * (index & 1), (rows, columns)))


@kernel
def _fill(
    turns: NDArray[np.float32],
    bright: NDArray[np.float32],
    dark: NDArray[np.float32],
    reach: NDArray[np.float32],
    middle: NDArray[np.float32],
    half: NDArray[np.float32],
    lit: NDArray[np.bool_],
    sides: NDArray[np.int64],
) -> None:
    """Wrapped phases (rows, columns) in turns: carrier + middle +- half where lit, the dark ones elsewhere; what is out
    of reach is as near as it can be."""
    rows, columns = turns.shape
    macro_rows, macro_columns = sides.shape
    for r in range(rows):
        band = r // macro_rows
        for c in range(columns):
            k = c // macro_columns
            value = dark[r, c]
            if lit[band, k]:
                side = np.float32(sides[r - band * macro_rows, c - k * macro_columns])
                value = bright[r, c] + middle[band, k] + side * half[band, k]
                value -= math.floor(value)
            most = reach[r, c]
            if value > most:
                value = most if 2 * value < 1 + most else np.float32(0)
            turns[r, c] = value if value < 1.0 else np.float32(0)


def reach_of(table: Calibration, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Turns (rows, columns) that the levels of a "phase_table" reach on a part of the panel, at most 1.

    Half a level beyond the last is still nearest to it, by less than it is to 0.
    """
    phase = table["phase_rad"]
    step = np.nanmax(np.diff(phase, axis=2), axis=2) / 2
    top = np.minimum((np.nanmax(phase, axis=2) + step) / (2 * math.pi), 1.0).astype(np.float32)
    of_rows = np.repeat(np.arange(len(top)), np.diff(table["row_edges"]))[rows]
    of_columns = np.repeat(np.arange(top.shape[1]), np.diff(table["column_edges"]))[columns]
    return np.asarray(top[of_rows[:, None], of_columns[None, :]], np.float32)


def rest_of(rows: int, columns: int, centre_column: float, period_px: float) -> NDArray[np.float64]:
    """Phases (rows, columns), rad, of a panel whose light goes elsewhere than to the order of a blaze of period_px.

    A blaze to the other side would not do: what fringing fields make of its wraps, 1 % of the field, goes to just that
    order. The order lies between all those of a blaze that is 2.7 times as steep.
    """
    one = _REST * 2 * math.pi * (np.arange(columns) - centre_column) / period_px
    return np.tile(one, (rows, 1))


def blaze_of(
    wavelengths_m: NDArray[np.float64],
    columns: NDArray[np.integer[Any]],
    centre_column: float,
    period_px: float,
    at_wavelength_m: float,
) -> NDArray[np.float64]:
    """Phase (rows, columns), rad, that moves the light of every row by the same way in the focal plane.

    wavelengths_m: (rows,). columns: of the SLM. period_px: of the blaze, SLM columns, at one wavelength; in proportion
    at the others.
    """
    periods = period_px * wavelengths_m / at_wavelength_m
    return np.asarray(2 * math.pi * (columns - centre_column) / periods[:, None])
