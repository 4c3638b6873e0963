"""An SLM: from phase to the gray level that gives it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.correction.values import PhaseTable
from drivers.errors import CalibrationError

PHASE_POINTS = 1 << 14
"""Phases around the circle for which the nearest level is looked up: to 0.2 mrad of the middle between two levels."""


class LevelFinder:
    """For phases at places of a panel, the gray level whose measured phase is nearest, modulo 2 pi."""

    def __init__(self, table: PhaseTable) -> None:
        bands, tiles, levels = table.phase_rad.shape
        self._band_of_row = np.repeat(np.arange(bands), np.diff(table.row_edges))
        self._tile_of_column = np.repeat(np.arange(tiles), np.diff(table.column_edges))
        cells = np.asarray(table.phase_rad, dtype=np.float64).reshape(-1, levels)
        # Cells of equal phases, as in a panel measured as a whole and split for the wavelengths, share their table.
        # Among levels that are left out nan would differ from nan.
        marked = np.where(np.isnan(cells), np.inf, cells)
        distinct, self._table_of_cell = np.unique(marked, axis=0, return_inverse=True)
        self._table_of_cell = self._table_of_cell.reshape(bands, tiles)
        self._levels = np.stack([nearest_levels(cell) for cell in distinct])
        self._one = len(distinct) == 1

    def levels(self, phase: NDArray[np.floating[Any]], row: int, column: int) -> NDArray[Any]:
        """Levels of a pattern (rows, columns; rad) whose corner is at (row, column); it must fit the panel."""
        if self._one:
            return look_up(self._levels[0], phase)
        rows, columns = phase.shape
        bands = self._band_of_row[row : row + rows]
        tiles = self._tile_of_column[column : column + columns]
        return look_up(self._levels, phase, self._table_of_cell[bands[:, None], tiles[None, :]])

    def levels_of_patches(self, patches: NDArray[np.floating[Any]], origins: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Levels of patches (n, rows, columns; rad) with their corners at origins (n, 2)."""
        if self._one:
            return look_up(self._levels[0], patches)
        _, rows, columns = patches.shape
        bands = self._band_of_row[origins[:, 0, None] + np.arange(rows)]
        tiles = self._tile_of_column[origins[:, 1, None] + np.arange(columns)]
        return look_up(self._levels, patches, self._table_of_cell[bands[:, :, None], tiles[:, None, :]])


def look_up(
    nearest: NDArray[Any], phase: NDArray[np.floating[Any]], which: NDArray[np.intp] | None = None
) -> NDArray[Any]:
    """Levels of phases (any shape; rad) in a table of `nearest_levels`, or of several the one that ``which`` names."""
    points = np.rint(phase * (PHASE_POINTS / (2 * math.pi))).astype(np.int64) & (PHASE_POINTS - 1)
    found: NDArray[Any] = nearest[points] if which is None else nearest[which, points]
    return found


def nearest_levels(phase_rad: NDArray[np.float64]) -> NDArray[Any]:
    """For `PHASE_POINTS` phases around the circle, the level whose phase (levels,) is nearest on the circle.

    Levels whose phase is nan are left out; one or more must be left.
    """
    usable = np.flatnonzero(np.isfinite(phase_rad))
    turns, first = np.unique(np.mod(phase_rad[usable] / (2 * math.pi), 1.0), return_index=True)
    order = usable[first]  # of levels with the same phase the lowest
    around = np.concatenate([turns[-1:] - 1, turns, turns[:1] + 1])
    # From each middle between two levels on, up to the next, the upper one is nearest; at the ends the circle closes.
    edges = np.clip(np.ceil((around[:-1] + around[1:]) / 2 * PHASE_POINTS), 0, PHASE_POINTS).astype(np.int64)
    counts = np.diff(edges, prepend=0, append=PHASE_POINTS)
    found: NDArray[Any] = np.repeat(np.concatenate([order[-1:], order, order[:1]]), counts)
    return found.astype(np.uint8 if len(phase_rad) <= 256 else np.uint16)


def check_phase_table(what: str, table: PhaseTable, rows: int, columns: int, levels: int) -> None:
    """Raise CalibrationError unless the table covers the panel, has a phase for each of its levels, and is finite."""
    if levels == 0:
        raise CalibrationError(f"{what}: the panel is continuous and has no gray levels; it needs no table")
    shape = (len(table.row_edges) - 1, len(table.column_edges) - 1, levels)
    if table.phase_rad.shape != shape or min(shape) < 1:
        raise CalibrationError(
            f"{what}: phases of shape {table.phase_rad.shape}; the edges and the panel's levels make it {shape}"
        )
    for edges, size, words in (
        (table.row_edges, rows, "row_edges"),
        (table.column_edges, columns, "column_edges"),
    ):
        if edges[0] != 0 or edges[-1] != size or np.any(np.diff(edges) < 1):
            raise CalibrationError(f"{what}: {words} must rise from 0 to {size}, the size of the panel")
    usable = np.isfinite(table.phase_rad)
    if np.isinf(table.phase_rad).any() or usable.sum(axis=2).min() < 2:
        raise CalibrationError(f"{what}: in every cell two levels or more need a finite phase; nan marks the others")
